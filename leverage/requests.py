"""What a holder does where the venue fills later: request, wait, claim, do what no keeper does."""

from collections.abc import Callable, Iterable
from typing import Any

from eth_utils import keccak

from leverage import abi
from leverage import leverage_math as lm
from leverage.chain import Chain, rpc
from leverage.errors import LeverageError, RevertError
from leverage.keeper import ORDER_OVERTAKEN, OVERTAKEN, SOON, Clock, decided
from leverage.types import Action, Report, Stage
from leverage.wallet import SHARE_DECIMALS, Trade, Wallet, show

# The two sides of the queue, as its functions have them in their names.
DEPOSIT, REDEEM = "Deposit", "Redeem"
OLDER = 0  # The id of refunds whose requests have given way to newer ones.
PATIENCE = 10  # Seconds that keepers get before a wallet does their work.

Say = Callable[[str], None]


def wallet_of(chain: Chain, symbol: str, account: Any = None, say: Say = lambda text: None) -> Wallet:
    """The wallet that fits a token; `say` hears how a request gets on."""
    if "queue" in chain.record.token(symbol):
        return QueuedWallet(chain, symbol, account, say)
    return Wallet(chain, symbol, account)


class QueuedWallet(Wallet):
    """One token of a queued vault, seen from one account."""

    def __init__(self, chain: Chain, symbol: str, account: Any = None, say: Say = lambda text: None):
        super().__init__(chain, symbol, account)
        self.queue = chain.contract("RequestQueue", chain.record.token(symbol)["queue"])
        self.clock = Clock()
        self._say = say
        self._said = ""

    def mint(self, amount: str, slippage: int, seconds: int, least: str | None = None) -> Trade:
        """Request to mint for `amount` of collateral, and claim the shares; waits for at most `seconds`."""
        _refuse_floor(least)
        assets = self._stake(amount, self.queue, self.queue.call("room"))
        net = assets - lm.fee_up(assets, self.terms.call("fees")["mint"])
        expected = f"about {show(self.queue.call('convertToShares', net), SHARE_DECIMALS)} {self.symbol}"
        self._approve(self.queue, assets)
        return self._requested(DEPOSIT, assets, expected, seconds)

    def burn(self, amount: str, slippage: int, seconds: int, least: str | None = None) -> Trade:
        """Request to burn `amount` of shares, or "all", and claim the collateral, as `mint` does."""
        _refuse_floor(least)
        shares = self._shares(amount)
        worth = self._worth(shares)
        expected = "nobody knows what" if worth is None else f"about {self.show(worth)} {self.asset_symbol}"
        return self._requested(REDEEM, shares, expected, seconds)

    def claim(self) -> list[str]:
        """Take what settled requests have brought, and what was not filled; says what that is."""
        lines = []
        for side in (DEPOSIT, REDEEM):
            if trade := self._claimed(side):
                lines.append(self.told(trade, is_mint=side == DEPOSIT))
            lines += self._refunded(side, [OLDER, *self._ids(side)])
        return lines or ["nothing to claim"]

    def cancel(self) -> list[str]:
        """Take requests back that have not gone out; says which."""
        me = self.account.address
        lines = []
        for side, number, amount in self._pending():
            self.queue.send(self.account, f"cancel{side}Request", number, me, me)
            lines.append(f"{_noun(side)} {number} cancelled: {self._amount(side, amount)} taken back")
        return lines or ["nothing to cancel"]

    def status(self) -> dict[str, str]:
        """The account's requests, line by line."""
        if self.account is None:
            raise LeverageError("whose requests? pass --account")
        me, lines = self.account.address, {}
        for side, number, amount in self._pending():
            try:
                self.queue.call(f"cancel{side}Request", number, me, me, sender=me)
                where = "waits for the next order"
            except RevertError as error:
                where = "is in an order" if error.name == "RequestInFlight" else "waits for its money"
            lines[f"{_noun(side)} {number}"] = f"{self._amount(side, amount)} {where}"
        if shares := self.queue.call("maxMint", me):
            lines["minted"] = f"{show(shares, SHARE_DECIMALS)} {self.symbol} to claim"
        if assets := self.queue.call("maxWithdraw", me):
            lines["paid out"] = f"{self.show(assets)} {self.asset_symbol} to claim"
        for side in (DEPOSIT, REDEEM):
            for number in (OLDER, *self._ids(side)):
                if amount := self.queue.call(f"refundable{side}Request", number, me):
                    which = f"{_noun(side)} {number}" if number else f"old {_noun(side)}s"
                    lines[which] = f"{self._amount(side, amount)} not filled, to claim"
        return lines or {"requests": "none"}

    # Requests

    def _requested(self, side: str, amount: int, expected: str, seconds: int) -> Trade:
        me = self.account.address
        receipt = self.queue.send(self.account, f"request{side}", amount, me, me)
        number = self.queue.event(receipt, f"{side}Request")["request_id"]
        what = f"{_noun(side)} {number}"
        self._tell(f"{what} requested, for {expected} at the present price; it gets that of the later fill")
        self._await(side, number, seconds)
        trade = self._claimed(side)
        for text in self._refunded(side, [number]):
            self._tell(text)
        if trade is None:
            raise LeverageError(f"{what} was not filled, and has been taken back")
        return trade

    def _await(self, side: str, number: int, seconds: int) -> None:
        """Watch a request until it has ended, and do what a keeper would when none does it."""
        began = since = self.clock.now()
        before = None
        while self.queue.call(f"pending{side}Request", number, self.account.address):
            now = self.clock.now()
            if now > began + seconds:
                what = f"{_noun(side)} {number} still waits after {seconds} s"
                raise LeverageError(f"{what}: look at its status, claim it later, or cancel it")
            (report,) = self.chain.read_reports([self.vault.address])
            action = decided(report, is_keeper=False)
            if (action and action.kind) != before:
                before, since = action and action.kind, now
            self._tell(_progress(report, action))
            if action and now >= since + PATIENCE:
                self._keep(action)
            self.clock.sleep(SOON)

    def _keep(self, action: Action) -> None:
        try:
            self.chain.act(self.vault.address, action, self.chain.outbox(self.account))
        except LeverageError as error:
            if not isinstance(error, RevertError) or error.name not in OVERTAKEN | ORDER_OVERTAKEN:
                self._tell(f"cannot {action.kind} yet: {error}")

    def _claimed(self, side: str) -> Trade | None:
        """Everything that is claimable on one side, claimed."""
        me = self.account.address
        most = self.queue.call(f"max{side}", me)
        if not most:
            return None
        receipt = self.queue.send(self.account, side.lower(), most, me, me)
        event = self.queue.event(receipt, "Deposit" if side == DEPOSIT else "Withdraw")
        return Trade(event["assets"], event["shares"], receipt.transaction)

    def _refunded(self, side: str, numbers: Iterable[int]) -> list[str]:
        """What orders did not fill of these requests, taken back."""
        me, lines = self.account.address, []
        for number in numbers:
            if amount := self.queue.call(f"refundable{side}Request", number, me):
                self.queue.send(self.account, f"cancel{side}Request", number, me, me)
                lines.append(f"{self._amount(side, amount)} not filled, taken back")
        return lines

    def _pending(self) -> list[tuple[str, int, int]]:
        """Side, id and amount of the requests that have not ended."""
        me = self.account.address
        found = [(side, number) for side in (DEPOSIT, REDEEM) for number in self._ids(side)]
        asked = ((s, number, self.queue.call(f"pending{s}Request", number, me)) for s, number in found)
        return [request for request in asked if request[2]]

    def _ids(self, side: str) -> list[int]:
        """The account's latest requests: all but two have given way."""
        event = abi.find(self.queue.entries, "event", f"{side}Request")
        me = "0x" + self.account.address[2:].lower().rjust(64, "0")
        wanted = {
            "address": self.queue.address,
            "fromBlock": hex(self.chain.record.token(self.symbol)["block"]),
            "topics": ["0x" + keccak(text=abi.signature(event)).hex(), me],
        }
        return sorted({int(log["topics"][3], 16) for log in rpc("eth_getLogs", wanted)})[-2:]

    # For the reader

    def _worth(self, shares: int) -> int | None:
        """What burning would bring at the present price, before costs; None when there is no price."""
        try:
            assets = int(self.queue.call("convertToAssets", shares))
        except RevertError:
            return None
        return assets - lm.fee_up(assets, self.terms.call("fees")["burn"])

    def _amount(self, side: str, amount: int) -> str:
        if side == DEPOSIT:
            return f"{self.show(amount)} {self.asset_symbol}"
        return f"{show(amount, SHARE_DECIMALS)} {self.symbol}"

    def _tell(self, text: str) -> None:
        if text != self._said:
            self._said = text
            self._say(text)


def _progress(report: Report, action: Action | None) -> str:
    if report.waiting and report.waiting.order.stage != Stage.NONE:
        return "its order is under way" if action is None else "its order can be settled"
    if action is None:
        return "waits: too small to go alone, or stopped for now"
    return "waits for a keeper"


def _noun(side: str) -> str:
    return "deposit" if side == DEPOSIT else "redemption"


def _refuse_floor(least: str | None) -> None:
    if least is not None:
        raise LeverageError("--min-out cannot be promised here: the price is that of the later fill")
