"""When to trade and which way: triggers, windows round midnight, chunks, and what `decide()` leaves alone."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leverage import config
from leverage import leverage_math as lm
from leverage import policy as rules
from leverage.types import (
    DAY,
    WAD,
    Action,
    Kind,
    Order,
    Policy,
    Rebalancing,
    Snapshot,
    Stage,
    Trigger,
    Waiting,
)

MIDNIGHT = 20_000 * DAY
OPEN = MIDNIGHT + 120
PRICE = 2_000 * WAD


def policy_of(symbol: str = "ETH3L") -> Policy:
    return config.load().tokens[symbol].policy_struct()


POLICY = policy_of()


def vault(
    target: int = 3 * WAD,
    move: float = 0.0,
    since: int = OPEN - DAY,
    chunk: Trigger = Trigger.NONE,
    **changes,
) -> Snapshot:
    """A vault of 10,000 that stood at its target at `since`, after the index moved by the fraction `move`."""
    equity = 10_000 * WAD
    size = lm.size_to_leverage(target, equity, 0, PRICE)
    price = PRICE + PRICE * round(move * 10**9) // 10**9
    now = lm.equity(equity - lm.notional(size, PRICE), size, price)
    buying = lm.size_to_leverage(target, now, size, price) > 0
    snapshot = Snapshot(
        timestamp=since, price=price, venue_price=price, size=size, equity=now, supply=equity,
        nav=lm.nav(now, equity), leverage=lm.leverage(size, price, now), target=target,
        rebalancing=Rebalancing(PRICE, since, chunk, buying), paused_until=0, ruined=False,
    )  # fmt: skip
    return replace(snapshot, **changes)


# Which trigger


@pytest.mark.parametrize(
    ("target", "move", "trigger"),
    [
        (3, -0.0999, Trigger.NONE),
        (3, -0.10, Trigger.EMERGENCY),
        (-3, 0.0999, Trigger.NONE),
        (-3, 0.10, Trigger.EMERGENCY),
        (3, 0.34, Trigger.BAND),
        (-3, -0.51, Trigger.BAND),
        (3, 0.10, Trigger.NONE),
        (-3, -0.10, Trigger.NONE),
    ],
)
def test_due__move_since_last_rebalance__triggers_by_side(target, move, trigger):
    policy = policy_of("ETH3L" if target > 0 else "ETH3S")
    snapshot = vault(target * WAD, move, since=OPEN)

    action = rules.decide(snapshot, policy, OPEN + 3_000, False)

    assert (action.trigger if action else Trigger.NONE) == trigger


def test_due__switched_off__leaves_the_next_one():
    crash = vault(move=-0.14)
    off = replace(POLICY, triggers=rules.BAND | rules.SCHEDULED)

    assert rules.decide(crash, POLICY, OPEN, True).trigger == Trigger.EMERGENCY
    assert rules.decide(crash, off, OPEN, True).trigger == Trigger.BAND
    assert (
        rules.decide(crash, replace(off, triggers=rules.SCHEDULED), OPEN, True).trigger == Trigger.SCHEDULED
    )
    assert rules.decide(crash, replace(off, triggers=0), OPEN, True) is None


@given(move=st.floats(-0.3, 0.3), target=st.sampled_from([3, -3, 2, -1, 5]), paused=st.booleans())
def test_emergency__any_move__only_reduces(move, target, paused):
    low, high = rules.band_edges(target * WAD, WAD // 9, WAD // 3)
    policy = replace(POLICY, band_min=low, band_max=high)
    action = rules.decide(vault(target * WAD, move), policy, OPEN + DAY, paused)

    if action and action.trigger == Trigger.EMERGENCY:
        assert (action.size_delta < 0) == (target > 0)


@given(move=st.floats(-0.25, 0.6), target=st.sampled_from([3, -3, 2, -2, -1]))
def test_decide__any_move__trades_with_the_index_and_never_past_target(move, target):
    """Both sides buy after a rise and sell after a fall: the sign table of a rebalance."""
    snapshot = vault(target * WAD, move)
    action = rules.decide(snapshot, POLICY, OPEN + DAY, True)
    if action is None or action.kind != Kind.REBALANCE:
        return

    assert (action.size_delta > 0) == (move > 0)
    reached = lm.leverage(snapshot.size + action.size_delta, snapshot.price, snapshot.equity)
    assert abs(reached - snapshot.target) <= abs(snapshot.leverage - snapshot.target)
    is_same_side = (reached > snapshot.target) == (snapshot.leverage > snapshot.target)
    # A wei of size is worth that much leverage where hardly any equity is left.
    grain = snapshot.price // snapshot.equity
    assert is_same_side or abs(reached - snapshot.target) < 10**6 + grain


# The schedule


@pytest.mark.parametrize(
    ("second", "keeper", "anyone"),
    [(-120, False, False), (-1, False, False), (0, True, False), (1, True, False), (1_799, True, False)]
    + [(1_800, True, True), (DAY - 121, True, True), (DAY - 1, True, True)],
)
def test_schedule__seconds_round_midnight__open_for_keeper_then_anyone(second, keeper, anyone):
    """The slot from 00:02 to 00:02 belongs to the keeper role for its first half an hour."""
    drifted = vault(move=0.03, since=OPEN - 3_600)

    assert (rules.decide(drifted, POLICY, OPEN + second, True) is not None) == keeper
    assert (rules.decide(drifted, POLICY, OPEN + second, False) is not None) == anyone


@given(
    st.integers(-2 * DAY, 2 * DAY),
    st.sampled_from([3_600, 28_800, DAY]),
    st.integers(0, 3_599),
)
def test_slot__any_second__begins_at_most_a_period_ago_on_the_same_phase(second, period, offset):
    policy = replace(POLICY, period=period, offset=offset)
    time = MIDNIGHT + second
    start = rules.slot_start(policy, time)

    assert 0 <= time - start < period
    assert (start - offset - MIDNIGHT) % period == 0
    assert rules.slot_start(policy, start) == start
    assert rules.slot_start(policy, start - 1) == start - period


@given(st.lists(st.integers(0, 3 * DAY), min_size=1, max_size=60), st.booleans())
def test_schedule__called_at_any_times__acts_at_most_once_a_slot(seconds, is_keeper):
    """Whoever calls, and however often round midnight: no slot is used twice while leverage drifts on."""
    used = []
    since = MIDNIGHT - DAY
    for second in sorted(seconds):
        now = MIDNIGHT + second
        action = rules.decide(vault(move=0.03, since=since), POLICY, now, is_keeper)
        if action:
            used.append(rules.slot_start(POLICY, now))
            since = now

    assert len(used) == len(set(used))


@given(st.lists(st.integers(0, 3 * DAY), min_size=1, max_size=40))
def test_schedule__some_call_after_the_exclusive_window__never_misses_a_slot(seconds):
    since, used = MIDNIGHT - DAY, set()
    for second in sorted(seconds):
        now = MIDNIGHT + second
        if rules.decide(vault(move=0.03, since=since), POLICY, now, False):
            used.add(rules.slot_start(POLICY, now))
            since = now

    late = {
        slot
        for slot in (rules.slot_start(POLICY, MIDNIGHT + second) for second in seconds)
        if any(MIDNIGHT + s >= slot + POLICY.exclusive and MIDNIGHT + s < slot + DAY for s in seconds)
    }
    assert used == late


def test_schedule__no_drift__does_nothing():
    still = vault(move=0.005)  # 3x becomes 2.970x.

    assert rules.decide(still, POLICY, OPEN + 2_000, True) is None


def test_lateness__grows_from_the_end_of_the_exclusive_window():
    assert rules.lateness(POLICY, OPEN + 1_800) == 0
    assert rules.lateness(POLICY, OPEN + 1_801) == 1
    assert rules.lateness(POLICY, OPEN + DAY - 1) == DAY - 1_801
    assert rules.lateness(POLICY, OPEN + DAY) == 0


def test_tip__whole_slot_late__stays_at_its_cap():
    late = rules.lateness(POLICY, OPEN + DAY - 1)

    assert lm.tip(1_000, POLICY.tip_rate, POLICY.tip_cap) == WAD
    assert lm.tip(late, POLICY.tip_rate, POLICY.tip_cap) == 5 * WAD


# Chunks


def test_chunk__larger_than_allowed__is_cut_and_waits_for_the_cooldown():
    small = replace(POLICY, max_notional=100 * WAD)
    crash = vault(move=-0.12, since=OPEN - 10)

    first = rules.decide(crash, small, OPEN, True)
    assert abs(lm.notional(first.size_delta, crash.price)) <= 100 * WAD

    within_band = vault(move=-0.09, since=OPEN - 59, chunk=Trigger.BAND)
    assert rules.decide(within_band, small, OPEN, True) is None
    assert rules.decide(within_band, small, OPEN + 1, True).trigger == Trigger.BAND


def test_chunk__market_turned_past_the_target__is_dropped():
    """Leverage is above target now, but the unfinished rebalance was buying."""
    turned = vault(move=-0.03, since=OPEN - 3_600, chunk=Trigger.BAND)
    turned = replace(turned, rebalancing=replace(turned.rebalancing, buying=True))

    assert rules.decide(turned, POLICY, OPEN - 60, True) is None


@given(st.integers(-(10**27), 10**27), st.integers(1, 10**24), st.integers(1, 10**25))
def test_chunk__any_trade__keeps_direction_and_fits(size_delta, price, most):
    cut = rules.chunk(replace(POLICY, max_notional=most), size_delta, price)

    assert abs(lm.notional(cut, price)) <= most
    assert cut * size_delta >= 0 and abs(cut) <= abs(size_delta)


# What is left alone


def test_decide__paused__lowers_leverage_but_never_raises_it():
    fallen, risen = vault(move=-0.12), vault(move=0.35)
    until = OPEN + 10

    assert rules.decide(replace(risen, paused_until=until), POLICY, OPEN, False) is None
    assert rules.decide(replace(risen, paused_until=until), POLICY, until, False).trigger == Trigger.BAND
    assert rules.decide(replace(fallen, paused_until=until), POLICY, OPEN, False).size_delta < 0


def test_decide__equity_gone__checks_ruin_once():
    gone = vault(move=-0.34)

    assert gone.equity < 0 and abs(gone.leverage) == lm.INFINITE_LEVERAGE
    assert rules.decide(gone, POLICY, OPEN, False) == Action(Kind.CHECK_RUIN)
    assert rules.decide(replace(gone, ruined=True), POLICY, OPEN, False) is None


def test_decide__position_gone__checks_ruin():
    """Liquidated: money may be left, and no size is what no trade of ours leaves behind."""
    gone = replace(vault(), size=0, leverage=0)

    assert rules.decide(gone, POLICY, OPEN, False) == Action(Kind.CHECK_RUIN)


def test_decide__nobody_holds_a_share__does_nothing():
    empty = replace(vault(), size=0, equity=0, supply=0, leverage=0, nav=WAD)

    assert rules.decide(empty, POLICY, OPEN, True) is None


def test_decide__trade_below_the_minimum__does_nothing():
    drifted = vault(move=0.03)
    needs = abs(lm.notional(rules.decide(drifted, POLICY, OPEN, True).size_delta, drifted.price))

    assert rules.decide(drifted, replace(POLICY, min_notional=needs), OPEN, True) is not None
    assert rules.decide(drifted, replace(POLICY, min_notional=needs + 1), OPEN, True) is None


def test_decide__emergency_smaller_than_worth_it__is_handled_all_the_same():
    falling = vault(move=-0.15)

    action = rules.decide(falling, replace(POLICY, min_notional=10**6 * WAD), OPEN, False)

    assert action is not None
    assert action.trigger == Trigger.EMERGENCY


# Venues that fill later


NO_ORDER = Order(Stage.NONE, 0, 0, 0)


def waiting(assets: int = 0, shares: int = 0, order: Order = NO_ORDER, **changes) -> Waiting:
    """Requests of whole units, in collateral of 18 decimals."""
    values = {"opened_at": OPEN, "cash_short": 0, "max_deviation": WAD // 50, **changes}
    return Waiting(order, assets * WAD, shares * WAD, **values)


def at_noon(snapshot: Snapshot, requests: Waiting, policy: Policy = POLICY) -> Action | None:
    """What anybody would do when no schedule is open."""
    return rules.decide(snapshot, policy, OPEN + DAY // 2, False, requests)


CALM = vault(since=OPEN + DAY // 2 - 1)
EMPTY = replace(CALM, size=0, equity=0, supply=0, leverage=0, nav=WAD)
PAID_OFF = replace(CALM, size=0, equity=500 * WAD, leverage=0, ruined=True)
SETTLE, PROVE = Action(Kind.SETTLE, size_delta=7), Action(Kind.SETTLE, size_delta=7, proof_from=OPEN + 2)


@pytest.mark.parametrize(
    ("stage", "second", "action"),
    [
        (Stage.WAITING, 1, None),
        (Stage.WAITING, 2, PROVE),
        (Stage.WAITING, 30, PROVE),
        (Stage.WAITING, 31, SETTLE),
        (Stage.WAITING, 10**6, SETTLE),
        (Stage.FILLED, 0, SETTLE),
        (Stage.FILLED, 10, SETTLE),
        (Stage.GONE, 0, SETTLE),
    ],
)
@pytest.mark.parametrize("snapshot", [CALM, EMPTY, PAID_OFF, vault(move=-0.34), None])
def test_decide__order_at_the_venue__is_brought_to_its_end(stage, second, action, snapshot):
    """Whatever else is due: nothing can be sent before."""
    requests = waiting(5_000, 50, Order(stage, 7, OPEN + 2, OPEN + 31), cash_short=9)

    assert rules.decide(snapshot, POLICY, OPEN + second, True, requests) == action


@pytest.mark.parametrize(
    ("snapshot", "requests", "kind"),
    [
        (CALM, waiting(), None),
        (CALM, waiting(assets=10_000), Kind.COMMIT),
        (CALM, waiting(shares=1_000), Kind.COMMIT),
        (EMPTY, waiting(assets=100), Kind.COMMIT),
        (EMPTY, waiting(), None),
        # Stopped deposits are not worth an order, with those who leave they wait for nobody.
        (replace(CALM, paused_until=OPEN + DAY), waiting(assets=10_000), None),
        (replace(CALM, paused_until=OPEN + DAY), waiting(10_000, 1_000), Kind.COMMIT),
        (replace(CALM, venue_price=PRICE * 1021 // 1000), waiting(assets=10_000), None),
        (replace(CALM, venue_price=PRICE * 1019 // 1000), waiting(assets=10_000), Kind.COMMIT),
        (replace(EMPTY, venue_price=PRICE * 970 // 1000), waiting(assets=10_000), None),
        # The last ones leave, however little it is; and from a ruined vault.
        (replace(CALM, supply=WAD, equity=WAD, size=3 * WAD // 2_000), waiting(shares=1), Kind.COMMIT),
        (PAID_OFF, waiting(shares=1), Kind.COMMIT),
        (PAID_OFF, waiting(assets=10_000), None),
        (PAID_OFF, waiting(), None),
        # Payouts in transit are fetched, and until then nobody else leaves.
        (CALM, waiting(cash_short=1), Kind.COLLECT_CASH),
        (CALM, waiting(shares=1_000, cash_short=1), Kind.COLLECT_CASH),
        (CALM, waiting(10_000, 1_000, cash_short=1), Kind.COMMIT),
        (PAID_OFF, waiting(shares=1, cash_short=1), Kind.COLLECT_CASH),
        # Ruin goes first.
        (vault(move=-0.34), waiting(10_000, 1_000, cash_short=1), Kind.CHECK_RUIN),
        # Without a price, too, orders end and people leave.
        (None, waiting(), None),
        (None, waiting(assets=10_000), None),
        (None, waiting(shares=1), Kind.COMMIT),
        (None, waiting(shares=1, cash_short=1), Kind.COLLECT_CASH),
    ],
)
def test_decide__requests__are_committed_when_they_can_go(snapshot, requests, kind):
    action = at_noon(snapshot, requests)

    assert (action.kind if action else None) == kind


@pytest.mark.parametrize("decimals", [6, 18])
def test_decide__dust__waits_for_company(decimals):
    """At 3x a deposit of 100 and a redemption worth 100 trade 300 each."""
    policy = replace(POLICY, min_notional=600 * WAD)

    def requests(assets, shares):
        return replace(waiting(shares=shares), assets=assets * 10**decimals, decimals=decimals)

    assert at_noon(CALM, requests(199, 0), policy) is None
    assert at_noon(CALM, requests(0, 199), policy) is None
    assert at_noon(CALM, requests(100, 99), policy) is None
    assert at_noon(CALM, requests(100, 100), policy).kind == Kind.COMMIT
    assert at_noon(CALM, requests(200, 0), policy).kind == Kind.COMMIT


def test_decide__dust_beside_a_due_rebalance__goes_with_it():
    fallen = vault(move=-0.12)

    action = at_noon(fallen, waiting(assets=1), replace(POLICY, min_notional=600 * WAD))

    assert (action.kind, action.trigger) == (Kind.COMMIT, Trigger.EMERGENCY)
    assert action.size_delta < 0


def test_decide__deposits_above_the_band__wait_until_leverage_is_back():
    """With the emergency switched off nothing brings it back but the schedule."""
    fallen = vault(move=-0.13, since=OPEN + DAY // 2 - 1)
    only_scheduled = replace(POLICY, triggers=rules.SCHEDULED)

    assert fallen.leverage > POLICY.band_max
    assert at_noon(fallen, waiting(assets=10_000), only_scheduled) is None
    assert at_noon(fallen, waiting(assets=10_000, shares=1_000), only_scheduled).size_delta < 0


def test_decide__rebalance_with_a_venue_off_the_index__only_lowers_leverage():
    def odd(snapshot):
        return replace(snapshot, venue_price=snapshot.price * 103 // 100)

    assert at_noon(odd(vault(move=-0.12)), waiting()).trigger == Trigger.EMERGENCY
    assert at_noon(odd(vault(move=0.35)), waiting()) is None


def test_decide__who_crosses__leaves_only_the_rest_for_the_venue():
    """Deposits of 1,000 against redemptions worth 1,000: nothing is left of either."""
    crossed = at_noon(CALM, waiting(assets=1_000, shares=1_000))
    more = at_noon(CALM, waiting(assets=3_000, shares=1_000))

    assert abs(crossed.size_delta) <= 1
    assert more.size_delta == pytest.approx(3 * WAD, rel=1e-6)


def test_decide__first_deposits__go_to_the_target():
    assert at_noon(EMPTY, waiting(assets=1_000)).size_delta == 3 * WAD // 2
    assert at_noon(replace(EMPTY, target=-2 * WAD), waiting(assets=1_000)).size_delta == -WAD


@given(
    move=st.floats(-0.3, 0.6),
    target=st.sampled_from([3, -3, 2, -1]),
    assets=st.integers(0, 10**6),
    shares=st.integers(0, 10**4),
    is_keeper=st.booleans(),
    second=st.integers(0, DAY),
)
def test_decide__requests_or_none__never_hide_a_rebalance(move, target, assets, shares, is_keeper, second):
    """A queued vault is rebalanced when an instant one would be, and never later for the sake of requests."""
    snapshot, now = vault(target * WAD, move), OPEN + second
    instant = rules.decide(snapshot, POLICY, now, is_keeper)
    queued = rules.decide(snapshot, POLICY, now, is_keeper, waiting(assets, shares))

    if instant is None:
        assert queued is None or queued.kind == Kind.COMMIT and queued.trigger == Trigger.NONE
        assert queued is None or assets + shares > 0
    elif instant.kind == Kind.REBALANCE:
        assert (queued.kind, queued.trigger) == (Kind.COMMIT, instant.trigger)
        alone = rules.decide(snapshot, POLICY, now, is_keeper, waiting())
        assert alone == replace(instant, kind=Kind.COMMIT)
    else:
        assert queued == instant


@given(
    st.integers(0, 10**5), st.integers(0, 9_999), st.integers(0, 10**5), st.integers(0, 9_999), st.booleans()
)
def test_decide__more_company__never_makes_requests_wait(assets, shares, more_assets, more_shares, is_paused):
    snapshot = replace(CALM, paused_until=OPEN + DAY if is_paused else 0)
    policy = replace(POLICY, min_notional=5_000 * WAD)
    first = at_noon(snapshot, waiting(assets, shares), policy)
    second = at_noon(snapshot, waiting(assets + more_assets, min(10_000, shares + more_shares)), policy)

    assert first is None or second is not None


@pytest.mark.parametrize("shares", [0, 2_000])
def test_batch__leverage__is_kept_for_everybody(shares):
    """E-3: who enters or leaves does so at the leverage that the fund has after its own trade."""
    snapshot = vault(move=0.02)
    sizes = rules.sized(snapshot, snapshot.target, 0, 4_000 * WAD, shares * WAD)

    value = lm.portion_down(snapshot.equity, shares * WAD, snapshot.supply)
    equity = snapshot.equity + 4_000 * WAD - value
    after = lm.leverage(snapshot.size + lm.order(sizes), snapshot.price, equity)
    assert after == pytest.approx(snapshot.leverage, rel=1e-12)


# Bands


@pytest.mark.parametrize("target", [3, -3, 2, -2, -1, 5])
def test_band_edges__from_moves__are_equally_far_for_longs_and_shorts(target):
    """Defaults per side are computed, not copied: the way to the edge is the same, whichever side."""
    against, favour = WAD * 111 // 1000, WAD * 333 // 1000
    low, high = rules.band_edges(target * WAD, against, favour)
    sign = 1 if target > 0 else -1

    assert low < abs(target) * WAD < high
    assert lm.move_to(target * WAD, sign * high) == pytest.approx(-sign * against, abs=10**6)
    assert lm.move_to(target * WAD, sign * low) == pytest.approx(sign * favour, abs=10**6)


# Price limits


@pytest.mark.parametrize(
    ("leverage", "allowed"),
    [
        ("3", "0.01"),
        ("4", "0.01"),
        ("-4", "0.01"),
        ("5", "0.02"),
        ("6", "0.03"),
        ("-8", "0.05"),
        ("25", "0.02"),
        ("-50", "0.01"),
    ],
)
def test_slippage__beyond_the_band__widens_with_the_danger(leverage, allowed):
    policy = replace(POLICY, band_max=4 * WAD, max_slippage=WAD // 100, emergency_slippage=WAD // 20)

    assert rules.slippage(policy, config.to_wad(leverage)) == config.to_wad(allowed)
