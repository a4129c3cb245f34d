"""What a mint costs now, and what to expect of the token after it. Money in integers, statistics in floats.

A volatility is the standard deviation of the index's log return over one day.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from leverage import leverage_math as lm
from leverage.statistics import expected_decay
from leverage.types import WAD, Fees

YEAR = 365
HORIZONS = (1, 7, 30)  # Days for which decay is told.
MOVES = (-0.3, -0.2, -0.1, -0.05, 0.0, 0.05, 0.1, 0.2, 0.3)  # Of the index, in the comparison.


# What is known


@dataclass(frozen=True)
class Conditions:
    """What a venue tells; None where it, or we, cannot tell.

    `maintenance`: the fraction of its notional at which a position is liquidated, WAD. `funding`: what longs
    pay per day now, as a fraction of the notional, WAD; below zero shorts do. `deposit`: what goes with each
    order to whoever executes it, WAD of collateral.
    """

    maintenance: int | None = None
    funding: int | None = None
    deposit: int = 0


@dataclass(frozen=True)
class Volatility:
    """Per day, and where it is from."""

    daily: float
    source: str


@dataclass(frozen=True)
class Mint:
    """One mint now, in base units of collateral: assets = fee + trade + deposit + what the shares are worth.

    `trade` is what the venue's fill costs against the index, `venue_fee` the part of it that is fees;
    `deposit` this mint's part of what goes to whoever executes a queued order. `venue_rate` is the venue's
    fee as a fraction of the notional, WAD. What is not known is None.
    """

    assets: int
    fee: int
    shares: int
    trade: int | None = None
    venue_fee: int | None = None
    venue_rate: int | None = None
    deposit: int = 0


@dataclass(frozen=True)
class Room:
    """How many assets may come in: today, in all, and at least. `closed` says why none may."""

    today: int
    in_all: int
    least: int = 0
    closed: str = ""

    @property
    def most(self) -> int:
        return 0 if self.closed else min(self.today, self.in_all)


@dataclass(frozen=True)
class Quote:
    """A mint, and what it takes to judge the token. Leverage, price and nav are WAD.

    `leverage` is what an entrant joins at; `venue_leverage` the venue account's, which has less cash than the
    fund. `band` has the edges of |leverage|. Without a chain there is no `room`.
    """

    symbol: str
    source: str
    asset: str
    decimals: int
    target: int
    leverage: int
    venue_leverage: int
    price: int
    nav: int
    band: tuple[int, int]
    fees: Fees
    mint: Mint
    conditions: Conditions
    room: Room | None = None
    volatility: Volatility | None = None
    notes: Sequence[str] = ()


# Volatility and decay


def decay(target: int, daily: float, days: float) -> float:
    """What variance leaves of a token that is always at its target, where the index ends as it began."""
    return expected_decay(target / WAD, daily**2 * days)


def turnover(target: int, daily: float) -> float:
    """Notional that daily rebalances trade per day, in nav: |L(L-1)| times the mean size of a return."""
    leverage = target / WAD
    return abs(leverage * (leverage - 1)) * daily * math.sqrt(2 / math.pi)


# Fees and funding


def round_trip(fees: Fees) -> float:
    """What the fees of a mint and a burn take together."""
    return 1 - (1 - fees.mint / WAD) * (1 - fees.burn / WAD)


def compounded(rate: float, days: float = YEAR) -> float:
    """What a continuous rate per day, as a fraction of nav, takes in that time."""
    return 1 - math.exp(-rate * days)


def funding_on_nav(target: int, funding: int) -> float:
    """A rate of funding on the notional as a fraction of nav: leverage times as much."""
    return target * funding / WAD**2


# Gaps


def gap(leverage: int, maintenance: int | None) -> int | None:
    """The one move of the index, WAD, that leaves just the venue's margin, which is 0 when unknown."""
    return lm.move_to_liquidation(leverage, maintenance or 0) if leverage else None


def move_to_edge(leverage: int, edge: int) -> int | None:
    """The move of the index, WAD, that takes `leverage` to |edge|; None where no move does."""
    signed = edge if leverage > 0 else -edge
    return lm.move_to(leverage, signed) if leverage and edge and signed != WAD else None


# The comparison


@dataclass(frozen=True)
class Outcome:
    """What is left of 1 after the index has moved by `move`; None when it was liquidated on the way."""

    move: float
    asset: float
    token: float
    margin: float | None
    perp: float | None


def compare(quote: Quote, days: float, moves: Sequence[float] = MOVES) -> list[Outcome]:
    """The token beside the asset itself and beside positions of the same leverage that nobody rebalances.

    The token pays for its mint and burn, its management, its funding and its rebalances, as far as they are
    known. `margin` borrows for nothing; `perp` pays the venue's fee twice, and funding.
    """
    daily = quote.volatility.daily if quote.volatility else 0.0
    funding, fee = (quote.conditions.funding or 0), (quote.mint.venue_rate or 0) / WAD
    running = quote.fees.management_per_day / WAD + funding_on_nav(quote.target, funding)
    running += turnover(quote.target, daily) * fee
    # To leave costs about what it cost to come.
    leaving = (1 - (quote.mint.trade or 0) / quote.mint.assets) * (1 - quote.fees.burn / WAD)
    kept = (1 - cost_of_mint(quote.mint)) * decay(quote.target, daily, days) * math.exp(-running * days)
    target, rate = quote.target / WAD, funding / WAD
    size = target / (1 + abs(target) * fee)
    ruin, liquidation = gap(quote.target, 0), gap(quote.target, quote.conditions.maintenance)

    def outcome(move: float) -> Outcome:
        perp = 1 - abs(size) * fee * (2 + move) + size * move - size * rate * days * (1 + move / 2)
        return Outcome(
            move,
            1 + move,
            kept * leaving * (1 + move) ** target,
            None if is_beyond(move, ruin) else 1 + target * move,
            None if is_beyond(move, liquidation) else perp,
        )

    return [outcome(move) for move in moves]


def is_beyond(move: float, edge: int | None) -> bool:
    """Whether a move goes as far as the one that liquidates, or further."""
    return edge is not None and move * edge > 0 and abs(move) >= abs(edge) / WAD


def cost_of_mint(mint: Mint) -> float:
    """What a mint costs, as a fraction of what is put in."""
    return (mint.fee + (mint.trade or 0) + mint.deposit) / mint.assets
