"""Bars through the exact twin, point by point: what the fast engine is measured against."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

from leverage import leverage_math as lm
from leverage import policy as rules
from leverage.backtest import LINES, Bars, Funding, Reaction, Result, Token
from leverage.twin.ground import Chain, Oracle, Revert
from leverage.twin.ground import Token as Balances
from leverage.twin.instant import InstantVault
from leverage.twin.venue import LinearVenue
from leverage.types import WAD, Caps, Kind, Trigger

NO_CAPS = Caps(10**36, 10**36)
# A keeper finds these out by simulation, and sends nothing.
NOT_WORTH_IT = {"TradeTooSmall", "NothingFilled"}


@dataclass(frozen=True)
class Point:
    """A price that the keeper sees, and what of a bar it is."""

    time: int
    price: int
    is_extreme: bool = False
    is_close: bool = False


@dataclass(frozen=True)
class Trade:
    """A rebalance of the twin, WAD."""

    time: int
    trigger: Trigger
    size: int


@dataclass(frozen=True)
class Exact:
    """The twin's books at each close, WAD, one list per name of `Result`'s arrays, and of its lines."""

    closes: dict[str, list[int]]
    trades: list[Trade]
    ruined_at: int | None


def to_wad(value: float) -> int:
    """The float as it is, not as it is printed."""
    return int(Fraction(value) * WAD)


def points(bars: Bars, target: float, reaction: Reaction) -> Iterator[Point]:
    """What the keeper sees of bars, in order."""
    step = int(bars.time[1] - bars.time[0])
    against, other = (bars.low, bars.high) if target > 0 else (bars.high, bars.low)
    for i, opens_at in enumerate(map(int, bars.time)):
        if reaction == Reaction.EXTREMES:
            yield Point(opens_at, to_wad(bars.open[i]))
            yield Point(opens_at + step // 3, to_wad(against[i]), is_extreme=True)
            yield Point(opens_at + step * 2 // 3, to_wad(other[i]), is_extreme=True)
        yield Point(opens_at + step, to_wad(bars.close[i]), is_close=True)


def replay(
    bars: Bars, token: Token, funding: Funding | None = None, reaction: Reaction = Reaction.EXTREMES
) -> Exact:
    """What `backtest.run` replays, by the twin of the contracts."""
    seen = points(bars, token.target, reaction)
    first = next(seen)
    chain, skew = Chain(first.time), to_wad(token.costs.skew)
    asset, oracle = Balances(chain, "asset"), Oracle(chain, first.price)
    venue = LinearVenue(chain, asset, first.price)
    # What entering costs is the entrant's.
    fees = replace(token.fees, mint=0)
    vault = InstantVault(chain, venue, asset, oracle, to_wad(token.target), token.policy, fees, NO_CAPS)
    if token.is_keeper:
        vault.terms.keepers.add("keeper")
    asset.mint("holder", to_wad(token.capital))
    vault.deposit(to_wad(token.capital), "holder")
    venue.fee_rate = to_wad(token.costs.fee)
    venue.depth = int(WAD / Fraction(token.costs.impact)) if token.costs.impact else 0

    unscheduled = replace(token.policy, triggers=token.policy.triggers & ~rules.SCHEDULED)
    paid_at, rates = (funding.time, funding.rate) if funding else (np.empty(0, np.int64), np.empty(0))
    payment = int(np.searchsorted(paid_at, first.time, side="right"))
    exact = Exact({name: [] for name in ("nav", "leverage", "size", "equity", *LINES)}, [], None)
    for point in seen:
        chain.now = point.time
        oracle.set(point.price)
        venue.venue_price = point.price + lm.div(point.price * skew, WAD)
        owed, is_paid = 0, False
        while payment < len(paid_at) and paid_at[payment] <= point.time:
            owed += lm.div(lm.notional(venue.held.size, point.price) * to_wad(rates[payment]), WAD)
            payment, is_paid = payment + 1, True
        if is_paid:
            venue.fund(-owed)
            vault.accrue()
        snapshot = vault.snapshot()
        policy = unscheduled if point.is_extreme else token.policy
        action = rules.decide(snapshot, policy, point.time, token.is_keeper)
        if action and action.kind == Kind.CHECK_RUIN:
            return Exact(exact.closes, exact.trades, point.time)
        if action:
            try:
                trigger, size = vault.rebalance("keeper")
                exact.trades.append(Trade(point.time, trigger, size))
            except Revert as refusal:
                if refusal.name not in NOT_WORTH_IT:
                    raise
        if point.is_close:
            snapshot = vault.snapshot()
            lines, _ = vault.attribution()
            row = {name: getattr(snapshot, name) for name in ("nav", "leverage", "size", "equity")}
            for name, value in (row | {line: getattr(lines, line) for line in LINES}).items():
                exact.closes[name].append(value)
    return exact


def difference(fast: Result, exact: Exact) -> float:
    """The largest relative difference of nav, leverage, size and equity, and the largest difference of the
    attribution's lines; infinite where the trades are others."""
    told = [(int(row["time"]), int(row["trigger"])) for row in fast.trades]
    if (
        told != [(trade.time, int(trade.trigger)) for trade in exact.trades]
        or fast.ruined_at != exact.ruined_at
    ):
        return float("inf")
    # A ruined fund is worth nothing to the end.
    worst = float(np.max(fast.nav[len(exact.closes["nav"]) + 1 :], initial=0.0))
    for name, values in exact.closes.items():
        ours = fast.attribution[name] if name in LINES else getattr(fast, name)
        theirs = np.array([value / WAD for value in values])
        scale = 1.0 if name in LINES else np.abs(theirs)
        worst = max(worst, float(np.max(np.abs(ours[1 : len(theirs) + 1] - theirs) / scale, initial=0.0)))
    return worst
