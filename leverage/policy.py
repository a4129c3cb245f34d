"""When to rebalance and how much (E-5, E-6): twin of contracts/libraries/RebalancePolicy.sol, and `decide()`.

The keeper and the backtester share `decide()`; it reads nothing but its arguments.
"""

from dataclasses import replace
from typing import Protocol

from leverage import leverage_math as lm
from leverage.types import (
    WAD,
    Action,
    Kind,
    Order,
    Policy,
    Rebalancing,
    Sizes,
    Snapshot,
    Stage,
    Trigger,
    Waiting,
)

EMERGENCY = 1
BAND = 2
SCHEDULED = 4


def due(
    policy: Policy, last: Rebalancing, target: int, price: int, leverage: int, time: int, is_keeper: bool
) -> Trigger:
    """The trigger that is due at `time`, first match wins."""
    gearing = abs(leverage)
    away = abs(leverage - target)

    if policy.triggers & EMERGENCY and (
        gearing > policy.band_max
        or (
            gearing > abs(target) + policy.tolerance
            and moved_against(last.price, price, target) >= policy.emergency_move
        )
    ):
        return Trigger.EMERGENCY

    if is_unfinished(policy, last, target, leverage):
        return Trigger.NONE if time < last.time + policy.cooldown else last.chunk

    if policy.triggers & BAND and (gearing < policy.band_min or gearing > policy.band_max):
        return Trigger.BAND

    opened = slot_start(policy, time)
    if (
        policy.triggers & SCHEDULED
        and last.time < opened
        and away > policy.drift
        and (is_keeper or not is_exclusive(policy, time))
    ):
        return Trigger.SCHEDULED

    return Trigger.NONE


def is_unfinished(policy: Policy, last: Rebalancing, target: int, leverage: int) -> bool:
    """Whether chunks of the last rebalance remain: still out of tolerance, on the same side of the target."""
    return (
        last.chunk != Trigger.NONE
        and last.buying == (leverage < target)
        and abs(leverage - target) > policy.tolerance
    )


def moved_against(start: int, price: int, target: int) -> int:
    """Fraction by which the index moved against the position since `start`; 0 when it moved for it."""
    low, high = (price, start) if target > 0 else (start, price)
    return (high - low) * WAD // start if high > low and start != 0 else 0


def slot_start(policy: Policy, time: int) -> int:
    """Start of the schedule's slot that `time` lies in, counted from 00:00 UTC plus the offset."""
    if time < policy.offset:
        return 0
    return time - (time - policy.offset) % policy.period


def is_exclusive(policy: Policy, time: int) -> bool:
    """Whether a schedule has opened so lately that it is the keeper role's alone."""
    return time < slot_start(policy, time) + policy.exclusive


def lateness(policy: Policy, time: int) -> int:
    """Seconds for which a scheduled rebalance has been open to everybody."""
    return max(0, time - slot_start(policy, time) - policy.exclusive)


def slippage(policy: Policy, leverage: int) -> int:
    """How far from the index a rebalance may trade: more the further leverage is beyond the band, but never
    for more than half of what is left."""
    gearing, band = abs(leverage), policy.band_max
    if gearing <= band:
        return policy.max_slippage
    beyond = min(gearing - band, band)
    allowed = policy.max_slippage + (policy.emergency_slippage - policy.max_slippage) * beyond // band
    return min(allowed, WAD * WAD // (2 * gearing))


def chunk(policy: Policy, size_delta: int, price: int) -> int:
    """A trade cut to the largest allowed per call."""
    return lm.capped(size_delta, price, policy.max_notional)


def decide(
    snapshot: Snapshot | None,
    policy: Policy | None,
    now: int,
    is_keeper: bool,
    waiting: Waiting | None = None,
) -> Action | None:
    """What a keeper should do at `now`, or None; `waiting` belongs to a vault whose venue fills later."""
    if waiting and waiting.order.stage != Stage.NONE:
        return finish(waiting.order, now)
    if snapshot is None or policy is None:
        return _without_price(waiting)
    # Shares without a position: the venue has liquidated it, or everybody has left but fees and tips.
    is_gone = snapshot.size == 0 and (waiting is None or waiting.is_gone)
    if snapshot.supply > 0 and not snapshot.ruined and (snapshot.equity <= 0 or is_gone):
        return Action(Kind.CHECK_RUIN)

    trigger, wanted = rebalance(snapshot, policy, now, is_keeper, waiting)
    if waiting is None:
        return Action(Kind.REBALANCE, trigger, wanted) if trigger else None
    assets, shares = going(snapshot, policy, now, waiting)
    if trigger or is_worth(snapshot, policy, assets, shares):
        return Action(
            Kind.COMMIT, trigger, lm.order(sized(snapshot, snapshot.target, wanted, assets, shares))
        )
    return Action(Kind.COLLECT_CASH) if waiting.cash_short else None


def finish(order: Order, now: int) -> Action | None:
    """How to bring an order to its end at `now`, or None while it has to wait."""
    is_waiting = order.stage == Stage.WAITING
    if is_waiting and now < order.fillable_from:
        return None
    is_fillable = is_waiting and now < order.cancellable_from
    return Action(
        Kind.SETTLE, size_delta=order.size_delta, proof_from=order.fillable_from if is_fillable else 0
    )


def may_raise(snapshot: Snapshot, now: int, waiting: Waiting | None) -> bool:
    """Whether leverage may be raised: a pause stops that (E-7), and the price of a venue that fills later."""
    gap = abs(snapshot.venue_price - snapshot.price)
    is_near = waiting is None or gap <= snapshot.price * waiting.max_deviation // WAD
    return is_near and now >= snapshot.paused_until and not snapshot.ruined


def going(snapshot: Snapshot, policy: Policy, now: int, waiting: Waiting) -> tuple[int, int]:
    """Deposits, WAD, and shares to redeem that the next order takes along; what cannot go now waits."""
    is_entering = may_raise(snapshot, now, waiting) and (
        snapshot.supply == 0 or abs(snapshot.leverage) <= policy.band_max
    )
    assets = waiting.assets * 10 ** (18 - waiting.decimals) if is_entering else 0
    return assets, 0 if waiting.cash_short else waiting.shares


class Fund(Protocol):
    """What a batch meets: the holders' part of a vault at one price."""

    @property
    def price(self) -> int: ...
    @property
    def size(self) -> int: ...
    @property
    def equity(self) -> int: ...
    @property
    def supply(self) -> int: ...


def sized(fund: Fund, target: int, wanted: int, brought: int, shares: int) -> Sizes:
    """What each party adds to the order (E-3): leavers close their part of the position as it is, those who
    stay make their part of the rebalance `wanted`, and `brought`, WAD, joins at the leverage after it."""
    if fund.supply == 0:
        enter = lm.size_to_leverage(target, brought, fund.size, fund.price) if brought else 0
        return Sizes(enter, 0, wanted)
    if fund.equity <= 0:
        return Sizes(0, 0, wanted)
    sizes = Sizes(
        enter=lm.joining(fund.size + wanted, brought, fund.equity),
        leave=-lm.portion_down(fund.size, shares, fund.supply),
        rebalance=wanted - lm.portion_down(wanted, shares, fund.supply),
    )
    if lm.order(sizes) != 0 or fund.size == 0:
        return sizes
    # Where all cross inside, a wei goes to the venue for the sake of its price: a lagging index is worth
    # nothing.
    if sizes.enter == 0:
        return replace(sizes, leave=sizes.leave + (1 if fund.size < 0 else -1))
    return replace(sizes, enter=sizes.enter + (1 if sizes.enter > 0 else -1))


def turnover(fund: Fund, brought: int, shares: int) -> int:
    """What comes and goes, WAD."""
    return brought if shares == 0 or fund.equity <= 0 else brought + fund.equity * shares // fund.supply


def is_worth(snapshot: Snapshot, policy: Policy, assets: int, shares: int) -> bool:
    """Whether requests alone are worth an order: dust waits for company, unless it is all there is."""
    if shares > 0 and (shares == snapshot.supply or snapshot.size == 0 or snapshot.equity <= 0):
        return True  # Where no position is left, as in a ruined vault, sharing needs no order.
    value = turnover(snapshot, assets, shares)
    return value > 0 and value * abs(snapshot.target) // WAD >= policy.min_notional


def _without_price(waiting: Waiting | None) -> Action | None:
    """Who leaves needs no index price (E-1), and nothing else is possible without one."""
    if waiting is None:
        return None
    if waiting.cash_short:
        return Action(Kind.COLLECT_CASH)
    return Action(Kind.COMMIT) if waiting.shares else None


def rebalance(
    snapshot: Snapshot, policy: Policy, now: int, is_keeper: bool, waiting: Waiting | None
) -> tuple[Trigger, int]:
    """The fund's own trade and why; none where it may not be made or is not worth making."""
    nothing = (Trigger.NONE, 0)
    if snapshot.ruined or snapshot.supply == 0:
        return nothing
    trigger = due(
        policy, snapshot.rebalancing, snapshot.target, snapshot.price, snapshot.leverage, now, is_keeper
    )
    if trigger == Trigger.NONE:
        return nothing
    wanted = lm.size_to_leverage(snapshot.target, snapshot.equity, snapshot.size, snapshot.price)
    size_delta = chunk(policy, wanted, snapshot.price)
    is_begun = snapshot.size == 0 and waiting is not None and going(snapshot, policy, now, waiting)[0] > 0
    is_small = abs(lm.notional(size_delta, snapshot.price)) < policy.min_notional
    if trigger != Trigger.EMERGENCY and is_small and not is_begun:
        return nothing  # Not worth a trade; but a fund of any size is brought out of danger.
    if not may_raise(snapshot, now, waiting) and (size_delta > 0) == (snapshot.target > 0):
        return nothing
    return trigger, size_delta


def band_edges(target: int, against: int, favour: int) -> tuple[int, int]:
    """|leverage| after the index moved by the fraction `favour` for the position, and `against` it.

    Band edges computed from moves give longs and shorts the same distance. One and the same band would not:
    +3x reaches 4x after 11.1 %, -3x after 6.7 %.
    """
    sign = 1 if target > 0 else -1
    return abs(lm.drifted(target, sign * favour)), abs(lm.drifted(target, -sign * against))
