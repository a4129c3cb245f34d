"""Twin of RequestQueue.sol: where users of a queued vault request and claim, and where its idle cash lies."""

from typing import Protocol

from leverage.twin.batches import MOST, Side
from leverage.twin.ground import Chain, Contract, Token, require, transaction
from leverage.twin.terms import Room

# How long, in seconds, a batch whose orders fail is carried on.
PATIENCE = 3_600


class Vault(Protocol):
    """What a queue needs to know of its vault."""

    def cash_short(self) -> int: ...
    def room_for(self, assets: int) -> Room: ...
    def collect_cash(self) -> None: ...


class RequestQueue(Contract):
    vault: Vault
    token: Token

    def __init__(self, chain: Chain, asset: Token, address: str = "queue"):
        super().__init__(chain, address)
        self.asset = asset
        self.operators: set[tuple[str, str]] = set()
        self.deposits = Side(chain, f"{address}.deposits", 0)
        self.redemptions = Side(chain, f"{address}.redemptions", MOST)

    # Views

    def pending_deposit_request(self, number: int, controller: str) -> int:
        return self.deposits.pending(number, controller, False)

    def pending_redeem_request(self, number: int, controller: str) -> int:
        return self.redemptions.pending(number, controller, self._is_short())

    def claimable_deposit_request(self, number: int, controller: str) -> int:
        return self.deposits.claimable_of(number, controller, False)

    def claimable_redeem_request(self, number: int, controller: str) -> int:
        return self.redemptions.claimable_of(number, controller, self._is_short())

    def refundable_deposit_request(self, number: int, controller: str) -> int:
        return self.deposits.refundable_of(number, controller)

    def refundable_redeem_request(self, number: int, controller: str) -> int:
        return self.redemptions.refundable_of(number, controller)

    def max_deposit(self, controller: str) -> int:
        return self.deposits.claimable(controller, False).amount

    def max_mint(self, controller: str) -> int:
        return self.deposits.claimable(controller, False).result

    def max_redeem(self, controller: str) -> int:
        return self.redemptions.claimable(controller, self._is_short()).amount

    def max_withdraw(self, controller: str) -> int:
        return self.redemptions.claimable(controller, self._is_short()).result

    def room(self) -> int:
        """How much a deposit request may be now, in assets."""
        room = self.vault.room_for(self.deposits.closed())
        return max(0, min(room.today, room.before_cap) - self.deposits.waiting())

    def next(self) -> tuple[int, int, int, int]:
        """Assets and shares that the next commit would take, and since when each of them waits."""
        assets, first = self.deposits.next()
        shares, second = self.redemptions.next()
        return assets, shares, first, second

    def in_flight(self) -> tuple[int, int]:
        """Assets and shares in flight."""
        return self.deposits.in_flight(), self.redemptions.in_flight()

    # Requests

    def set_operator(self, operator: str, approved: bool, sender: str) -> bool:
        (self.operators.add if approved else self.operators.discard)((sender, operator))
        return True

    @transaction
    def request_deposit(
        self,
        assets: int,
        controller: str,
        owner: str,
        is_refunded: bool = False,
        *,
        sender: str | None = None,
    ) -> int:
        """`sender` is by default the owner, here and below the controller where there is no owner."""
        sender = sender or owner
        self._require_operator(sender, owner)
        if not self.deposits.takes(assets):
            self._ask_for_room(assets)
        number = self.deposits.join(controller, assets, is_refunded, self._is_for(sender, controller))
        self.asset.transfer(owner, self.address, assets)
        return number

    @transaction
    def request_redeem(
        self,
        shares: int,
        controller: str,
        owner: str,
        is_refunded: bool = False,
        *,
        sender: str | None = None,
    ) -> int:
        require(shares > 0, "RequestTooSmall", shares, 1)
        is_for = self._is_for(sender or owner, controller)
        number = self.redemptions.join(controller, shares, is_refunded, is_for)
        self.token.transfer(owner, self.address, shares)
        return number

    @transaction
    def cancel_deposit_request(
        self, number: int, receiver: str, controller: str, *, sender: str | None = None
    ) -> int:
        # What has been at the venue may not be back.
        if number != self.deposits.tail and self._is_short():
            self.vault.collect_cash()
            require(not self._is_short(), "CashInTransit", self.vault.cash_short())
        self._require_operator(sender or controller, controller)
        assets = self.deposits.cancel(controller, number)
        self.asset.transfer(self.address, receiver, assets)
        return assets

    @transaction
    def cancel_redeem_request(
        self, number: int, receiver: str, controller: str, *, sender: str | None = None
    ) -> int:
        self._require_operator(sender or controller, controller)
        shares = self.redemptions.cancel(controller, number)
        self.token.transfer(self.address, receiver, shares)
        return shares

    # Claims

    @transaction
    def deposit(self, assets: int, receiver: str, controller: str, *, sender: str | None = None) -> int:
        self._require_claim(sender or controller, controller, assets)
        shares = self.deposits.take(controller, assets, False)
        self.token.transfer(self.address, receiver, shares)
        return shares

    @transaction
    def mint(self, shares: int, receiver: str, controller: str, *, sender: str | None = None) -> int:
        self._require_claim(sender or controller, controller, shares)
        assets = self.deposits.take_result(controller, shares, False)
        self.token.transfer(self.address, receiver, shares)
        return assets

    @transaction
    def redeem(self, shares: int, receiver: str, controller: str, *, sender: str | None = None) -> int:
        self._require_claim(sender or controller, controller, shares)
        assets = self.redemptions.take(controller, shares, self._is_short())
        self.asset.transfer(self.address, receiver, assets)
        return assets

    @transaction
    def withdraw(self, assets: int, receiver: str, controller: str, *, sender: str | None = None) -> int:
        self._require_claim(sender or controller, controller, assets)
        shares = self.redemptions.take_result(controller, assets, self._is_short())
        self.asset.transfer(self.address, receiver, assets)
        return shares

    # The vault's doors

    def bind(self, vault: Vault, token: Token) -> None:
        self.vault = vault
        self.token = token

    def commit(self, deposits: bool, redemptions: bool, margin: int, receiver: str) -> None:
        if deposits:
            self.deposits.commit()
        if redemptions:
            self.redemptions.commit()
        self.asset.transfer(self.address, receiver, margin)

    def settle(self, deposits: bool, shares: int, assets: int, unfilled: int, room: int, least: int) -> None:
        if deposits:
            self.deposits.settle(shares, unfilled)
        if self.redemptions.is_in_flight:
            self.redemptions.settle(assets, unfilled)
        self.deposits.limit(max(0, room - self.deposits.closed()), least)

    def fail(self, deposits: bool) -> None:
        side = self.deposits if deposits else self.redemptions
        if side.is_in_flight:
            side.carry(PATIENCE)

    def refund(self, lost: int) -> None:
        self.deposits.refund(self.deposits.in_flight() - lost)

    def write_off(self, assets: int) -> int:
        return self.redemptions.write_off(assets)

    def close(self) -> None:
        self.deposits.limit(0, 1)

    def pay(self, receiver: str, assets: int) -> None:
        self.asset.transfer(self.address, receiver, assets)

    # Internals

    def _ask_for_room(self, assets: int) -> None:
        """What the vault said at the last settlement does not allow a deposit: ask again, and tell why
        not."""
        room = self.vault.room_for(self.deposits.closed())
        waiting = self.deposits.waiting()
        require(assets >= room.least, "RequestTooSmall", assets, room.least)
        for most, error in ((room.today, "DailyCapExceeded"), (room.before_cap, "TotalCapExceeded")):
            require(waiting + assets <= most, error, assets, max(0, most - waiting))
        self.deposits.limit(min(room.today, room.before_cap), room.least)

    def _is_short(self) -> bool:
        return self.vault.cash_short() > 0

    def _require_claim(self, sender: str, controller: str, amount: int) -> None:
        require(amount > 0, "ZeroAmount")
        self._require_operator(sender, controller)

    def _require_operator(self, sender: str, controller: str) -> None:
        require(self._is_for(sender, controller), "NotOperator", sender, controller)

    def _is_for(self, sender: str, controller: str) -> bool:
        return sender == controller or (controller, sender) in self.operators
