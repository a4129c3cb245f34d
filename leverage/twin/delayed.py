"""What a queued vault trades at: the seam of IDelayedAdapter.sol, and twin of MockDelayedVenue.sol.

What callers pay in wei, for proofs and orders, is left out: it is nobody's collateral.
"""

from dataclasses import dataclass, replace
from typing import Protocol

from leverage import leverage_math as lm
from leverage.twin.ground import Chain, Contract, Token, require
from leverage.twin.venue import Fill, Position, Venue, fill_price, filled, liquidated, pay, whole
from leverage.types import WAD, Order, Stage

NO_ORDER = Order(Stage.NONE, 0, 0, 0)


@dataclass(frozen=True)
class Outcome:
    """What became of an order: the account at the moment of the fill without the fill, what was filled, the
    venue's index price then, and what the account got itself by executing, WAD."""

    before: Position
    fill: Fill = Fill()
    price: int = 0
    reward: int = 0


class DelayedVenue(Venue, Protocol):
    """A venue that fills later, as IDelayedAdapter."""

    def quote_at(self, size_delta: int, index_price: int) -> Fill:
        """What an order would fill at an index price."""

    def submit(self, size_delta: int, assets: int, release: int, worst_price: int) -> None:
        """Send an order, with `assets` of margin that are there already."""

    def settle(self, proof: int | None) -> Outcome:
        """Bring the order to its end, executing it at the index price `proof` when it is given."""


@dataclass(frozen=True)
class Parcel:
    """What travels with an order, amounts WAD."""

    is_reducing: bool = False
    fillable_until: int = 0
    worst_price: int = 0
    deposit: int = 0
    assets: int = 0
    release: int = 0


class OrderVenue(Contract):
    """An ideal delayed venue. It holds one order, which anyone may `execute` at an index price or, when it is
    old, `cancel`; `settle` does either itself."""

    def __init__(
        self,
        chain: Chain,
        asset: Token,
        price: int,
        *,
        fee_rate: int = 0,
        slippage: int = 0,
        keeper_deposit: int = 0,
        max_leverage: int = 10 * WAD,
        address: str = "venue",
    ):
        super().__init__(chain, address)
        self.asset = asset
        self.scale: int = 10 ** (18 - asset.decimals)
        self.venue_price = price
        self.fee_rate = fee_rate
        self.slippage = slippage
        self.max_leverage = max_leverage
        # What an order keeps for its keeper, WAD.
        self.keeper_deposit = keeper_deposit
        # Part of an order that fills, and the rest is dropped: with zero, every order is refused.
        self.fill_ratio = WAD
        # Ages of an order, in seconds, between which it fills and from which it can be cancelled.
        self.fillable_from = 2
        self.fillable_until = 29
        self.cancellable_from = 31
        # Margin moves inside orders only: with a position, `withdraw` pays no more than they `released`, WAD.
        self.margin_moves_with_orders = False
        self.released = 0
        # The account with all that is in transit, and with a fill as soon as the venue made it.
        self.held = Position()
        self.order = NO_ORDER
        self.parcel = Parcel()
        # Of a filled order that is not settled.
        self.outcome = Outcome(Position())

    # Views

    def position(self) -> Position:
        return self.outcome.before if self.order.stage == Stage.FILLED else self.held

    def price(self) -> int:
        require(self.venue_price != 0, "VenuePriceInvalid")
        return self.venue_price

    def quote(self, size_delta: int) -> Fill:
        return self.quote_at(size_delta, self.price())

    def quote_at(self, size_delta: int, index_price: int) -> Fill:
        return self._fill_at(self._fillable(size_delta), index_price)

    # The vault's doors

    def submit(self, size_delta: int, assets: int, release: int, worst_price: int) -> None:
        require(self.order.stage == Stage.NONE, "OrderExists", self.order.size_delta)
        self._credit(assets * self.scale)
        is_reducing = self._is_reducing(size_delta)
        size_delta = whole(self.held.size, size_delta)
        self._require_margin(self.quote(size_delta), is_reducing)
        now = self.chain.now
        self.order = Order(Stage.WAITING, size_delta, now + self.fillable_from, now + self.cancellable_from)
        self.parcel = Parcel(
            is_reducing=is_reducing,
            fillable_until=now + self.fillable_until,
            worst_price=worst_price,
            deposit=self.keeper_deposit,
            assets=assets * self.scale,
            release=release * self.scale,
        )

    def settle(self, proof: int | None) -> Outcome:
        require(self.order.stage != Stage.NONE, "NoOrder")
        if self.order.stage == Stage.WAITING:
            if proof is not None and self._is_fillable():
                self._execute(proof, is_ours=True)
            else:
                self._cancel(is_ours=True)
        outcome = self.outcome
        if self.order.stage == Stage.GONE:
            outcome = replace(outcome, before=self.held)
        self.order, self.parcel, self.outcome = NO_ORDER, Parcel(), Outcome(Position())
        return outcome

    def withdraw(self, assets: int, receiver: str) -> None:
        free = self._free() // self.scale
        require(free >= assets, "WithdrawalShort", free, assets)
        self._credit(-assets * self.scale)
        self.released -= min(self.released, assets * self.scale)
        pay(self.asset, self.address, receiver, assets)

    # The venue's keepers: anyone

    def execute(self, index_price: int) -> None:
        """Fill the waiting order at an index price, or cancel it when it cannot be filled; keeps the
        deposit."""
        require(self.order.stage == Stage.WAITING, "NoOrder")
        self._require_not_waiting(self._is_fillable())
        self._execute(index_price, is_ours=False)

    def cancel(self) -> None:
        """Cancel an order that has waited long enough; keeps the deposit."""
        require(self.order.stage == Stage.WAITING, "NoOrder")
        self._cancel(is_ours=False)

    # The tester's knobs

    def fund(self, amount: int) -> None:
        """Funding received, WAD; paid when negative."""
        self._credit(amount)

    def donate(self, assets: int, sender: str) -> None:
        """Somebody else pays into the venue account."""
        self.asset.transfer(sender, self.address, assets)
        self._credit(assets * self.scale)

    def liquidate(self, cash: int) -> None:
        """The venue takes the position away with a waiting order and its deposit, and leaves `cash`, WAD."""
        self.held = Position(0, cash)
        self.released = 0
        if self.order.stage == Stage.WAITING:
            self.order = replace(self.order, stage=Stage.GONE)

    def liquidate_part(self, part: int, penalty: int) -> None:
        """The venue takes a part of the position at `price` less a penalty on its value, WAD fractions."""
        self.held = liquidated(self.held, self.price(), part, penalty)

    # Internals

    def _execute(self, index_price: int, is_ours: bool) -> None:
        """Fills the order or, as a venue does with one that cannot be filled, cancels it."""
        parcel, before = self.parcel, self.held
        # A position that was forced down meanwhile is not turned round.
        is_moot = parcel.is_reducing and before.size == 0
        size = 0 if is_moot else self._fillable(self.order.size_delta)
        fill = self._fill_at(size, index_price)
        if not is_ours:
            fill = Fill(fill.size, fill.cash - parcel.deposit, fill.fee + parcel.deposit)
        left = Position(before.size + size, before.cash + fill.cash)

        dealt, worst = fill_price(index_price, self.slippage, size > 0), parcel.worst_price
        is_too_bad = worst != 0 and (dealt > worst if size > 0 else dealt < worst)
        if size == 0 or is_too_bad or (not parcel.is_reducing and self._margin(left, index_price) < 0):
            return self._remove(is_ours)
        self.order = replace(self.order, stage=Stage.FILLED)
        self.outcome = Outcome(before, fill, index_price, parcel.deposit if is_ours else 0)
        self.held = left
        self._release(parcel.release, index_price)

    def _cancel(self, is_ours: bool) -> None:
        self._require_not_waiting(self.chain.now >= self.order.cancellable_from)
        self._remove(is_ours)

    def _remove(self, is_ours: bool) -> None:
        """Whoever removes an order gets its deposit."""
        self.order = replace(self.order, stage=Stage.GONE)
        if not is_ours:
            self._credit(-self.parcel.deposit)
        if self.margin_moves_with_orders:
            self.released += self.parcel.assets

    def _release(self, amount: int, at_price: int) -> None:
        """As a venue does, drops in silence what the position cannot spare. Without a position nothing is
        held back."""
        if not self.margin_moves_with_orders or self.held.size == 0:
            self.released = 0
        elif self._margin(self.held, at_price) >= self.released + amount:
            self.released += amount

    def _free(self) -> int:
        """What `withdraw` can pay, WAD."""
        if self.order.stage != Stage.NONE:
            return 0
        margin = max(0, self._margin(self.held, 0 if self.held.size == 0 else self.price()))
        is_held_back = self.margin_moves_with_orders and self.held.size != 0
        return min(margin, self.released) if is_held_back else margin

    def _margin(self, held: Position, at_price: int) -> int:
        """Equity beyond what the position must have; negative when it is short of that."""
        least = lm.carrying(held.size, at_price, self.max_leverage)
        return lm.equity(held.cash, held.size, at_price) - least

    def _require_margin(self, fill: Fill, is_reducing: bool) -> None:
        """That the account can pay the deposit and, unless it reduces, carry the position after `fill`."""
        size, price = self.held.size + fill.size, self.price()
        margin = lm.equity(self.held.cash + fill.cash, size, price) - self.keeper_deposit
        least = 0 if is_reducing else lm.carrying(size, price, self.max_leverage)
        require(margin >= least, "MarginShort", margin, least)

    def _is_reducing(self, size_delta: int) -> bool:
        return self.held.size != 0 and (self.held.size > 0) != (size_delta > 0)

    def _fillable(self, size_delta: int) -> int:
        return lm.div(whole(self.held.size, size_delta) * self.fill_ratio, WAD)

    def _fill_at(self, size: int, index_price: int) -> Fill:
        return filled(size, fill_price(index_price, self.slippage, size > 0), self.fee_rate)

    def _is_fillable(self) -> bool:
        return self.order.fillable_from <= self.chain.now <= self.parcel.fillable_until

    def _require_not_waiting(self, is_over: bool) -> None:
        order = self.order
        arguments = (self.chain.now, order.fillable_from, order.cancellable_from)
        require(is_over, "OrderWaiting", *arguments)

    def _credit(self, amount: int) -> None:
        self.held = replace(self.held, cash=self.held.cash + amount)
