"""When to trade and which way: triggers, windows round midnight, chunks, and what `decide()` leaves alone."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leverage import config
from leverage import leverage_math as lm
from leverage import policy as rules
from leverage.types import DAY, WAD, Action, Kind, Policy, Rebalancing, Snapshot, Trigger

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
        (-3, -0.34, Trigger.BAND),
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
