"""A real venue as it was: what it held, quoted, filled and paid is told, and the rest is for the twin to
compute.

Tell before each transaction what the account holds (`tell`) and, of the transaction itself, its fills or its
outcome and its payouts; quotes are asked for as they are needed, of the venue as it was before.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace

from leverage.twin.delayed import Outcome
from leverage.twin.ground import Chain, Contract, Token, require
from leverage.twin.venue import Fill, Position, pay


class RecordedVenue(Contract):
    """What both kinds have in common; `ask` answers what the venue's own price was."""

    def __init__(
        self, chain: Chain, asset: Token, max_leverage: int, ask: Callable[[], int], address: str = "venue"
    ):
        super().__init__(chain, address)
        self.asset = asset
        self.scale: int = 10 ** (18 - asset.decimals)
        self.max_leverage = max_leverage
        self.ask = ask
        self.held = Position()

    def tell(self, position: Position) -> Position:
        """The account as the venue has it now; what it changed since the twin last knew, such as by
        funding."""
        change = Position(position.size - self.held.size, position.cash - self.held.cash)
        self.held = position
        return change

    def position(self) -> Position:
        return self.held

    def price(self) -> int:
        return self.ask()

    def _credit(self, amount: int) -> None:
        self.held = replace(self.held, cash=self.held.cash + amount)


class RecordedFills(RecordedVenue):
    """A venue that fills at once; `ask_quote` answers what a size was quoted."""

    ask_quote: Callable[[int], Fill]
    fills: tuple[Fill, ...] | None = None
    free: int | None = None

    def record(self, fills: Iterable[Fill] | None, free: int | None = None) -> None:
        """The fills of the next transaction, in order, and what it could withdraw, if that was too little.
        One that was refused has left no fills: then what was quoted is what would have been filled."""
        self.fills = None if fills is None else tuple(fills)
        self.free = free

    def quote(self, size_delta: int) -> Fill:
        return self.ask_quote(size_delta)

    def adjust(self, size_delta: int, assets: int, worst_price: int) -> Fill:
        self._credit(assets * self.scale)
        if self.fills is None:
            fill = self.quote(size_delta)
        else:
            # A venue says nothing of a trade that did not fill.
            fill, *rest = self.fills or (Fill(),)
            self.fills = tuple(rest)
        self.held = Position(self.held.size + fill.size, self.held.cash + fill.cash)
        return fill

    def withdraw(self, assets: int, receiver: str) -> None:
        require(self.free is None, "WithdrawalShort", self.free, assets)
        self._credit(-assets * self.scale)
        pay(self.asset, self.address, receiver, assets)


class RecordedOrders(RecordedVenue):
    """A venue that fills later; `ask_quote` answers what a size was quoted at an index price."""

    ask_quote: Callable[[int, int], Fill]
    outcome: Outcome | None = None
    payouts: tuple[int, ...] | None = None

    def record(self, outcome: Outcome | None, payouts: Iterable[int] | None) -> None:
        """Of the next transaction: what became of its order, None when it was not filled, and what the venue
        paid, in assets. One that was refused has left no payouts: then the venue would have paid."""
        self.outcome = outcome
        self.payouts = None if payouts is None else tuple(payouts)

    def quote(self, size_delta: int) -> Fill:
        return self.quote_at(size_delta, self.price())

    def quote_at(self, size_delta: int, index_price: int) -> Fill:
        return self.ask_quote(size_delta, index_price)

    def submit(self, size_delta: int, assets: int, release: int, worst_price: int) -> None:
        self._credit(assets * self.scale)

    def settle(self, proof: int | None) -> Outcome:
        if self.outcome is None:
            return Outcome(self.held)
        before, fill = self.outcome.before, self.outcome.fill
        self.held = Position(before.size + fill.size, before.cash + fill.cash)
        return self.outcome

    def withdraw(self, assets: int, receiver: str) -> None:
        if self.payouts is not None:
            got, *rest = self.payouts or (0,)
            require(got == assets, "WithdrawalShort", got, assets)
            self.payouts = tuple(rest)
        self._credit(-assets * self.scale)
        pay(self.asset, self.address, receiver, assets)
