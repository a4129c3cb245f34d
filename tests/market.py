"""One vault on an ideal venue, with everything around it, and how tests push it about."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from unittest.mock import patch

import pytest
from eth_utils import keccak

from leverage import leverage_math as lm
from leverage.types import DAY, WAD, Caps, Fees, Policy

# 2030-01-01 12:00 UTC, when every test begins.
NOON = 1_893_499_200
LINES = ("price", "funding", "venueFee", "slippage", "managementFee", "rounding")
FEES = Fees(mint=WAD // 1_000, burn=WAD // 1_000, management_per_day=WAD // 10_000)
NO_FEES = Fees(0, 0, 0)
FOREVER = 2**256 - 1
# Seconds for which batches wait after an order failed, and for which a batch is carried on.
RETRY_DELAY, PATIENCE = 120, 3_600


def wad(value: Any) -> int:
    """A number of units, as WAD."""
    return int(Decimal(value) * WAD)


def policy(target: int, **changes: int) -> Policy:
    """The policy of these tests: a band of a third round the target, 10 bp of everything worth naming."""
    gearing = abs(target)
    values = {
        "triggers": 7, "period": DAY, "offset": 120, "exclusive": 1_800, "cooldown": 60,
        "band_min": gearing * 2 // 3, "band_max": gearing * 4 // 3, "emergency_move": wad("0.1"),
        "drift": wad("0.05"), "tolerance": wad("0.02"), "max_slippage": wad("0.01"),
        "emergency_slippage": wad("0.05"), "tip_rate": wad("0.001"), "tip_cap": wad(5),
        "min_notional": wad(10), "max_notional": wad(1_000_000),
    }  # fmt: skip
    return Policy(**{**values, **changes})


def caps(decimals: int) -> Caps:
    return Caps(daily=5_000_000 * 10**decimals, total=20_000_000 * 10**decimals)


@dataclass
class Market:
    """Prices are given in collateral, amounts in units of it; what comes back is as the contracts have it."""

    chain: Any
    owner: Any
    asset: Any
    feed: Any
    oracle: Any
    adapter: Any
    vault: Any
    token: Any
    terms: Any

    def units(self, amount: Any) -> int:
        """An amount of collateral in its own decimals."""
        return int(Decimal(amount) * 10 ** self.asset.decimals())

    def near(self, found: int, expected: int) -> bool:
        """Whether assets are those expected, to what rounding can do: two wei of size, or a unit."""
        return abs(found - expected) <= max(1, 2 * self.adapter.price() // WAD // self.scale)

    @property
    def scale(self) -> int:
        return 10 ** (18 - self.asset.decimals())

    # What happens outside

    def price(self, index: Any, venue: Any = None) -> None:
        """Move the index, and the venue with it unless it is given its own price."""
        self.feed.set(int(Decimal(index) * 10 ** self.feed.decimals()), sender=self.owner)
        self.adapter.setPrice(wad(index if venue is None else venue), sender=self.owner)

    def wait(self, seconds: int, fresh: bool = True) -> None:
        """Let time pass; the feed repeats its price at the end unless it is to be late."""
        self.chain.pending_timestamp = self.now + seconds
        self.chain.mine()
        if fresh:
            self.feed.set(self.feed.latestAnswer(), sender=self.owner)

    def wait_until(self, second: int, day: int = 0) -> None:
        """Wait for a second after midnight UTC, `day` days after the day on which tests begin."""
        self.wait((NOON // DAY + day) * DAY + second - self.now)

    @property
    def now(self) -> int:
        return self.chain.blocks.head.timestamp

    # What users do

    def fund(self, who: Any, assets: int) -> None:
        """Give `who` at least `assets`, and the vault leave to take them."""
        if self.asset.balanceOf(who) < assets:
            self.asset.mint(who, assets, sender=self.owner)
        if self.asset.allowance(who, self.vault) < assets:
            self.asset.approve(self.vault, FOREVER, sender=who)

    def deposit(self, who: Any, amount: Any) -> Any:
        assets = self.units(amount)
        self.fund(who, assets)
        return self.vault.deposit(assets, who, sender=who)

    def mint(self, who: Any, shares: Any) -> Any:
        """Mint an exact number of shares: where nav is 1 and trading is free, equity grows by the same."""
        self.fund(who, self.vault.previewMint(wad(shares)))
        return self.vault.mint(wad(shares), who, sender=who)

    def redeem(self, who: Any, shares: int | None = None) -> Any:
        """Redeem `shares`, or all that `who` has."""
        return self.vault.redeem(shares or self.token.balanceOf(who), who, who, sender=who)

    # What is seen

    def paid(self, tx: Any) -> int:
        """Assets that left for a receiver in a redemption."""
        return only(tx, self.vault.Withdraw).assets

    def lines(self) -> dict[str, int]:
        """The ledger up to now, after checking that it closes to 0 wei (I-10)."""
        lines, nav = self.vault.attribution()
        ledger = dict(zip(LINES, lines, strict=True))
        assert WAD + sum(ledger.values()) == nav == self.vault.nav()
        return ledger

    def cash(self) -> int:
        return self.adapter.position().cash

    def size(self) -> int:
        return self.adapter.position().size


@dataclass
class QueuedMarket(Market):
    """The same where orders fill later. A proof is an index price, as the ideal venue takes it."""

    queue: Any
    # Collateral that somebody sent to the queue without a request.
    gifts: int = 0

    # What users do

    def fund(self, who: Any, assets: int) -> None:
        """Give `who` at least `assets`, and the queue leave to take them."""
        if self.asset.balanceOf(who) < assets:
            self.asset.mint(who, assets, sender=self.owner)
        if self.asset.allowance(who, self.queue) < assets:
            self.asset.approve(self.queue, FOREVER, sender=who)

    def request(self, who: Any, amount: Any, refunded: bool = False, controller: Any = None) -> Any:
        """Ask for a deposit."""
        assets = self.units(amount)
        self.fund(who, assets)
        return self.queue.requestDeposit(assets, controller or who, who, refunded, sender=who)

    def leave(
        self, who: Any, shares: int | None = None, refunded: bool = False, controller: Any = None
    ) -> Any:
        """Ask for a redemption of `shares`, or of all that `who` has."""
        shares = self.token.balanceOf(who) if shares is None else shares
        return self.queue.requestRedeem(shares, controller or who, who, refunded, sender=who)

    def enter(self, who: Any, amount: Any) -> int:
        """Ask, have it filled where the index stands, and claim; returns the shares."""
        before = self.token.balanceOf(who)
        self.request(who, amount)
        self.fill()
        self.claim(who)
        return self.token.balanceOf(who) - before

    def exit(self, who: Any, shares: int | None = None) -> int:
        """The same of a redemption; returns the assets."""
        before = self.asset.balanceOf(who)
        self.leave(who, shares)
        self.fill()
        self.claim(who)
        return self.asset.balanceOf(who) - before

    def seed(self, who: Any, shares: int) -> None:
        """The first deposit: equity is what the mint fee leaves of it. In no time."""
        assets = lm.gross_up(self.units(shares), self.terms.fees().mint)
        times = (self.adapter.fillableFrom(), self.adapter.fillableUntil(), self.adapter.cancellableFrom())
        self.adapter.setTimes(0, *times[1:], sender=self.owner)
        self.enter(who, Decimal(assets) / 10 ** self.asset.decimals())
        self.adapter.setTimes(*times, sender=self.owner)

    def claim(self, who: Any) -> None:
        """Everything that is settled."""
        if assets := self.queue.maxDeposit(who):
            self.queue.deposit(assets, who, sender=who)
        if shares := self.queue.maxRedeem(who):
            self.queue.redeem(shares, who, who, sender=who)

    # What keepers do

    def commit(self, who: Any = None, **options: Any) -> Any:
        return self.vault.commit(sender=who or self.owner, **options)

    def settle(self, who: Any = None, index: Any = None) -> Any:
        """Execute the order at the index or, when it is filled or over, take note of its end."""
        proof = [wad(self.index if index is None else index).to_bytes(32, "big")]
        return self.vault.settle(proof, sender=who or self.owner, value=self.adapter.proofFee())

    def note(self, who: Any = None) -> Any:
        """Take note of an order's end, or cancel it when it is old."""
        return self.vault.settle([], sender=who or self.owner)

    def fill(self, index: Any = None, who: Any = None) -> Any:
        """An order for everything that waits, from commit to settlement; the index moves to its price."""
        tx = self.commit(who)
        if self.in_flight():
            self.wait(self.adapter.fillableFrom())
            if index is not None:
                self.price(index)
            tx = self.settle(who)
        return tx

    def fail(self, who: Any = None) -> Any:
        """Send an order that nobody executes, and cancel it when that is allowed."""
        self.commit(who)
        return self.lapse(who)

    def lapse(self, who: Any = None) -> Any:
        self.wait(self.adapter.cancellableFrom())
        return self.note(who)

    # What is seen

    @property
    def index(self) -> Decimal:
        return Decimal(self.feed.latestAnswer()) / 10 ** self.feed.decimals()

    def in_flight(self) -> bool:
        return self.adapter.order().stage != 0

    def held(self) -> int:
        """Collateral in the queue."""
        return self.asset.balanceOf(self.queue)

    def idle(self) -> int:
        """Collateral in the queue that is the holders': equity beyond the venue account."""
        account, price = self.adapter.position(), self.oracle.price()
        return (self.vault.equity() - lm.equity(account.cash, account.size, price)) // self.scale

    def audit(self, people: Any) -> None:
        """All that lies in the queue is somebody's: collateral and shares, to the last unit (I-1)."""
        self.feed.set(max(self.feed.latestAnswer(), 1), sender=self.owner)
        deposits, minted = self._owed(3, people)
        redemptions, paid = self._owed(10, people)
        assert self.held() == self.idle() + deposits + paid + self.vault.feesOwed() + self.gifts
        assert self.token.balanceOf(self.queue) == redemptions + minted

    def _owed(self, side: int, people: Any) -> tuple[int, int]:
        """What one side of the queue owes, from its slots: of what was requested, and of what came of it."""
        (word,) = self._words(side)
        tail = range(1, (word >> 32 & 2**32 - 1) + 1)
        batches = [0, *self._words(*(_under(side + 1, number) for number in tail))]
        ends = [0, *self._words(*(_under(side + 2, number) for number in tail))]
        requests = results = 0
        for batch, rest in zip(batches, ends, strict=True):
            amount, result, end = batch & 2**104 - 1, batch >> 104 & 2**104 - 1, batch >> 248
            requests += (amount, 0, rest, result)[end]
            results += result if end in (1, 2) else 0
        theirs = iter(self._words(*(slot for account in people for slot in _slots_of(account, side))))
        for result, amount, *asked in zip(theirs, theirs, theirs, theirs, strict=True):
            results += result >> 128
            requests += amount
            for request in asked:
                amount, number = request & 2**128 - 1, request >> 128 & 2**64 - 1
                is_refunded, part = request >> 192 & 255, request >> 200
                if part == 2 or (part == 0 and is_refunded and batches[number] >> 240 & 255):
                    requests += amount
        return requests, results

    def _words(self, *slots: int) -> list[int]:
        """What the queue keeps in its slots, in one request."""
        ask = [("eth_getStorageAt", [self.queue.address, hex(slot), "latest"]) for slot in slots]
        answers = self.chain.provider.web3.provider.make_batch_request(ask) if ask else []
        return [int(answer["result"], 16) for answer in answers]


def _slots_of(account: Any, side: int) -> tuple[int, ...]:
    """Where one side of the queue keeps what is an account's: results, remainders, and its two requests."""
    who = int(account.address, 16)
    request = _under(side + 4, who)
    return _under(side + 5, who), _under(side + 6, who), request, request + 1


def _under(slot: int, key: int) -> int:
    """Where a mapping keeps what belongs to a key."""
    return int.from_bytes(keccak(key.to_bytes(32, "big") + slot.to_bytes(32, "big")), "big")


def only(tx: Any, event: Any) -> Any:
    """The one event of its kind in a transaction."""
    (log,) = tx.decode_logs(event)
    return log


def works(act: Any) -> bool:
    """Whether a call does not revert."""
    from ape.exceptions import VirtualMachineError

    try:
        with _unexplained():
            act()
    except VirtualMachineError:
        return False
    return True


@contextmanager
def reverts(error: Any, **inputs: Any) -> Iterator[None]:
    """The block reverts with exactly this error and all of these arguments, whichever contract it comes from.

    ape.reverts() accepts any revert that it cannot decode, such as one from a contract inside the call.
    """
    from ape.exceptions import ContractLogicError
    from eth_abi import decode
    from eth_utils import to_checksum_address

    with _unexplained(), pytest.raises(ContractLogicError) as caught:
        yield
    abi, message = error.abi, caught.value.message
    assert message.startswith("0x"), f"not {abi.selector}: {message}"
    data = bytes.fromhex(message[2:])
    assert data[:4] == keccak(text=abi.selector)[:4], f"not {abi.selector}: {message}"
    values = decode([entry.type for entry in abi.inputs], data[4:])
    found = {
        entry.name: to_checksum_address(value) if entry.type == "address" else value
        for entry, value in zip(abi.inputs, values, strict=True)
    }
    assert found == {name: getattr(value, "address", value) for name, value in inputs.items()}


@contextmanager
def _unexplained() -> Iterator[None]:
    """Reverts carry their data as it came: to explain one, Ape replays it, which takes seconds."""
    from ape.exceptions import ContractLogicError
    from ape_foundry.provider import FoundryProvider
    from web3 import HTTPProvider

    request, answered = HTTPProvider.make_request, []

    def listen(provider: Any, method: Any, parameters: Any) -> Any:
        answer = request(provider, method, parameters)
        answered.append(answer.get("error", {}).get("data"))
        return answer

    def raw(provider: Any, exception: Any, revert_message: Any = None, **_: Any) -> ContractLogicError:
        # Of a view's revert data Ape keeps the text alone.
        return ContractLogicError(next(filter(None, answered), revert_message), base_err=exception)

    with (
        patch.object(HTTPProvider, "make_request", listen),
        patch.object(FoundryProvider, "_handle_execution_reverted", raw),
    ):
        yield
