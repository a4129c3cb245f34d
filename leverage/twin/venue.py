"""What a twin trades at: the seam of IPerpAdapter.sol and IInstantAdapter.sol, and an ideal venue.

Sizes, prices and cash WAD; `assets` in the collateral's own decimals. A Fill's cash is net of its fee.
"""

from dataclasses import dataclass, replace
from typing import Protocol

from leverage import leverage_math as lm
from leverage.twin.ground import Chain, Contract, Token, require
from leverage.types import WAD


@dataclass(frozen=True)
class Position:
    """`cash` is all that the account is worth apart from `size` times a price."""

    size: int = 0
    cash: int = 0


@dataclass(frozen=True)
class Fill:
    """What changed hands, bought > 0; `fee` is the part of `cash` that is the venue's fees."""

    size: int = 0
    cash: int = 0
    fee: int = 0


class Venue(Protocol):
    """What every venue tells and pays, as IPerpAdapter."""

    address: str
    max_leverage: int

    def position(self) -> Position:
        """The account with everything owed and earned up to now."""

    def price(self) -> int:
        """The venue's own price."""

    def quote(self, size_delta: int) -> Fill:
        """What a trade would fill now."""

    def withdraw(self, assets: int, receiver: str) -> None:
        """Pay collateral out, in full or not at all."""


class InstantVenue(Venue, Protocol):
    """A venue that fills at once, as IInstantAdapter."""

    def adjust(self, size_delta: int, assets: int, worst_price: int) -> Fill:
        """Trade with `assets` of margin that are there already; 0 is no limit to the price."""


class LinearVenue(Contract):
    """Twin of MockAdapter.sol: fills any size at a price of the tester's choice, with costs linear in the
    size.

    `slippage` is a WAD fraction by which a fill is worse than `price`. It grows by notional / depth, where
    `depth` is the notional, WAD, that would move the price by all of itself; 0 is no such impact, as the mock
    has none. A buyer pays up, a seller gets down, fees are up.
    """

    def __init__(
        self,
        chain: Chain,
        asset: Token,
        price: int,
        *,
        fee_rate: int = 0,
        slippage: int = 0,
        depth: int = 0,
        max_leverage: int = 10 * WAD,
        address: str = "venue",
    ):
        super().__init__(chain, address)
        self.asset = asset
        self.scale: int = 10 ** (18 - asset.decimals)
        self.venue_price = price
        self.fee_rate = fee_rate
        self.slippage = slippage
        self.depth = depth
        self.max_leverage = max_leverage
        self.fill_ratio = WAD
        self.held = Position()

    # Views

    def position(self) -> Position:
        return self.held

    def price(self) -> int:
        return self.venue_price

    def quote(self, size_delta: int) -> Fill:
        return filled(self._fillable(size_delta), self._fill_price(size_delta), self.fee_rate)

    def equity(self) -> int:
        """At the venue's own price."""
        return lm.equity(self.held.cash, self.held.size, self.venue_price)

    # The vault's doors

    def adjust(self, size_delta: int, assets: int, worst_price: int) -> Fill:
        self._credit(assets * self.scale)
        dealt = self._fill_price(size_delta)
        is_too_bad = worst_price != 0 and (dealt > worst_price if size_delta > 0 else dealt < worst_price)
        fill = Fill() if is_too_bad else self.quote(size_delta)
        before = abs(self.held.size)
        self.held = Position(self.held.size + fill.size, self.held.cash + fill.cash)
        if abs(self.held.size) > before:
            self._require_margin(self.equity())
        return fill

    def withdraw(self, assets: int, receiver: str) -> None:
        amount, worth = assets * self.scale, self.equity()
        require(worth >= amount, "WithdrawalShort", max(0, worth) // self.scale, assets)
        self._require_margin(worth - amount)
        self._credit(-amount)
        pay(self.asset, self.address, receiver, assets)

    # The tester's knobs

    def fund(self, amount: int) -> None:
        """Funding received, WAD; paid when negative."""
        self._credit(amount)

    def donate(self, assets: int, sender: str) -> None:
        """Somebody else pays into the venue account."""
        self.asset.transfer(sender, self.address, assets)
        self._credit(assets * self.scale)

    def liquidate(self, cash: int) -> None:
        """The venue takes the position away and leaves `cash`, WAD."""
        self.held = Position(0, cash)

    def liquidate_part(self, part: int, penalty: int) -> None:
        """The venue takes a part of the position at `price` less a penalty on its value, WAD fractions."""
        self.held = liquidated(self.held, self.venue_price, part, penalty)

    # Internals

    def _fillable(self, size_delta: int) -> int:
        return lm.div(whole(self.held.size, size_delta) * self.fill_ratio, WAD)

    def _fill_price(self, size_delta: int) -> int:
        worse = self.slippage
        if self.depth:
            worse += abs(lm.notional(self._fillable(size_delta), self.venue_price)) * WAD // self.depth
        return fill_price(self.venue_price, worse, size_delta > 0)

    def _credit(self, amount: int) -> None:
        self.held = replace(self.held, cash=self.held.cash + amount)

    def _require_margin(self, worth: int) -> None:
        leverage = abs(lm.leverage(self.held.size, self.venue_price, worth))
        require(leverage <= self.max_leverage, "MarginShort", leverage, self.max_leverage)


def whole(size: int, size_delta: int) -> int:
    """`size_delta`, but never through zero to the other side of `size`."""
    is_reducing = size != 0 and (size > 0) != (size_delta > 0)
    return -size if is_reducing and abs(size_delta) > abs(size) else size_delta


def fill_price(price: int, slippage: int, is_buy: bool) -> int:
    """A price that is worse for the trader by the WAD fraction `slippage`; better when that is negative."""
    worse = lm.div(price * slippage, WAD)
    return price + worse if is_buy else price - worse


def filled(size: int, dealt: int, fee_rate: int) -> Fill:
    """A trade of `size` at the price `dealt`: a buyer pays up, a seller gets down, fees are up."""
    if size == 0:
        return Fill()
    value = lm.ceil_div(size * dealt, WAD) if size > 0 else -size * dealt // WAD
    fee = lm.fee_up(value, fee_rate)
    return Fill(size, (-value if size > 0 else value) - fee, fee)


def liquidated(position: Position, price: int, part: int, penalty: int) -> Position:
    """What is left after the venue closed a part at `price` less a penalty on its value, WAD fractions."""
    closed = lm.div(position.size * part, WAD)
    value = lm.notional(closed, price)
    return Position(position.size - closed, position.cash + value - lm.div(abs(value) * penalty, WAD))


def pay(asset: Token, venue: str, receiver: str, assets: int) -> None:
    """An ideal venue pays profit in newly minted collateral."""
    asset.mint(venue, max(0, assets - asset.balance_of(venue)))
    asset.transfer(venue, receiver, assets)
