"""When a rebalance is due, and for whom (E-5)."""

from dataclasses import astuple
from decimal import Decimal

import pytest
from market import only, policy, reverts, wad

from leverage import leverage_math as lm
from leverage import policy as rules
from leverage.types import DAY, WAD, Trigger

OPEN = 120
EMERGENCY, BAND, SCHEDULED = 1, 2, 4
# Index prices, and the triggers that the state satisfies, first match first.
STATES = {
    "moved 10.5 % against": (1_790, [EMERGENCY, SCHEDULED]),
    "above the band": (1_770, [EMERGENCY, BAND, SCHEDULED]),
    "below the band": (3_200, [BAND, SCHEDULED]),
    "drifted": (2_100, [SCHEDULED]),
    "at rest": (2_010, []),
}
NAMED = {EMERGENCY: Trigger.EMERGENCY, BAND: Trigger.BAND, SCHEDULED: Trigger.SCHEDULED}


def test_due__each_of_the_eight_masks__names_the_first_match(deploy, minter, outsider, owner):
    market = deploy()
    market.mint(minter, 10_000)
    market.wait_until(3_600, day=1)

    found, expected = {}, {}
    for state, (price, satisfied) in STATES.items():
        market.price(price)
        for mask in range(8):
            market.terms.setPolicy(astuple(policy(3 * WAD, triggers=mask)), sender=owner)
            found[state, mask] = market.vault.due(outsider)
            expected[state, mask] = next((NAMED[bit] for bit in satisfied if mask & bit), Trigger.NONE)

    assert found == expected
    assert set(found.values()) == set(Trigger)


@pytest.mark.parametrize(
    ("target", "inside", "outside"),
    # A long reaches 4x when the index fell by 1/9, a short when it rose by 1/15.
    [(3, "1777.77777778", "1777.77777777"), (-3, "2133.33333333", "2133.33333334")],
    ids=["long at -11.1 %", "short at +6.67 %"],
)
def test_due__band_at_four__is_crossed_at_the_golden_moves(deploy, minter, target, inside, outside):
    market = deploy(target, triggers=BAND)
    market.mint(minter, 10_000)
    edge = market.terms.policy().bandMax
    move = lm.move_to(target * WAD, edge * target // 3 if target > 0 else -edge)
    assert move in (-WAD // 9, -WAD // 9 + 1, WAD // 15)

    market.price(inside)
    assert market.vault.due(minter) == Trigger.NONE
    with reverts(market.vault.NothingDue, leverage=market.vault.leverage(), target=target * WAD):
        market.vault.rebalance(sender=minter)
    market.price(outside)
    assert market.vault.due(minter) == Trigger.BAND
    tx = market.vault.rebalance(sender=minter)

    assert only(tx, market.vault.Rebalanced).trigger == Trigger.BAND
    assert abs(Decimal(outside) / 2_000 - 1 - Decimal(move) / WAD) < Decimal("1e-11")


@pytest.mark.parametrize(
    ("target", "index", "leverage"),
    [
        (3, 2_100, "2.7391304"),
        (3, 1_900, "3.3529411"),
        (3, 1_800, "3.8571428"),
        (-3, 2_100, "-3.7058823"),
        (-3, 1_900, "-2.4782608"),
        (-3, 2_200, "-4.7142857"),
    ],
)
def test_leverage__after_a_move__drifts_to_the_golden_number(world, target, index, leverage):
    market = world.markets[target, 6]

    market.price(index)

    found = market.vault.leverage()
    assert int(Decimal(found) / 10**11) == int(Decimal(leverage) * 10**7)
    assert abs(found - lm.drifted(target * WAD, wad(index) // 2_000 - WAD)) <= 10


@pytest.mark.parametrize(("index", "is_due"), [("1800.00000001", False), ("1800", True)])
def test_due__index_moved_against_a_long__is_an_emergency_at_ten_percent(long, outsider, index, is_due):
    long.price(index)

    assert long.vault.due(outsider) == (Trigger.EMERGENCY if is_due else Trigger.NONE)


@pytest.mark.parametrize("target", [3, -3])
def test_due__index_moved_in_favour__is_no_emergency(world, outsider, target):
    market = world.markets[target, 6]

    market.price(2_200 if target > 0 else 1_800)

    assert market.vault.due(outsider) == Trigger.NONE


def test_due__ten_percent_down_but_leverage_at_target__is_no_emergency(long, keeper, minter, outsider):
    """The move is counted from the last rebalance: a fund back at its target needs no help."""
    long.price(2_100)
    long.wait_until(OPEN, day=1)
    long.vault.rebalance(sender=keeper)
    long.price(1_890)
    assert long.vault.due(outsider) == Trigger.EMERGENCY

    long.vault.rebalance(sender=outsider)

    assert long.vault.due(outsider) == Trigger.NONE
    assert long.vault.snapshot().rebalancing.price == wad(1_890)


@pytest.mark.parametrize(
    ("second", "for_keeper", "for_others"),
    [
        (OPEN - 1, Trigger.NONE, Trigger.NONE),
        (OPEN, Trigger.SCHEDULED, Trigger.NONE),
        (OPEN + 1_799, Trigger.SCHEDULED, Trigger.NONE),
        (OPEN + 1_800, Trigger.SCHEDULED, Trigger.SCHEDULED),
        (DAY - 1, Trigger.SCHEDULED, Trigger.SCHEDULED),
    ],
)
def test_due__by_the_clock__is_the_keepers_first(
    deploy, minter, keeper, outsider, second, for_keeper, for_others
):
    """A fund entered at 00:02 of the first day: its first schedule is the next day's."""
    market = deploy()
    market.wait_until(OPEN, day=1)
    market.mint(minter, 10_000)
    market.price(2_100)
    assert market.vault.due(keeper) == Trigger.NONE

    market.wait_until(second, day=2)

    assert market.vault.due(keeper) == for_keeper
    assert market.vault.due(outsider) == for_others


def test_rebalance__in_the_exclusive_seconds__is_the_keepers_alone(long, keeper, outsider):
    long.price(2_100)
    long.wait_until(OPEN + 1_799, day=1)

    with reverts(long.vault.NothingDue, leverage=long.vault.leverage(), target=3 * WAD):
        long.vault.rebalance(sender=outsider)
    tx = long.vault.rebalance(sender=keeper)

    log = only(tx, long.vault.Rebalanced)
    assert (log.trigger, log.caller, log.tipShares) == (Trigger.SCHEDULED, keeper, 0)


def test_rebalance__scheduled__happens_once_per_slot(long, keeper, outsider):
    long.price(2_100)
    long.wait_until(OPEN, day=1)
    long.vault.rebalance(sender=keeper)
    long.price(2_200)

    for second in (OPEN, OPEN + 1_800, DAY - 1, DAY + OPEN - 1):
        long.wait_until(second, day=1)
        assert long.vault.due(keeper) == Trigger.NONE
    long.wait_until(OPEN, day=2)
    assert long.vault.due(keeper) == Trigger.SCHEDULED


def test_rebalance__of_a_missed_slot__is_made_up_once(long, keeper):
    long.price(2_100)
    long.wait_until(OPEN, day=5)

    long.vault.rebalance(sender=keeper)

    long.price(2_200)
    assert long.vault.due(keeper) == Trigger.NONE


def test_due__every_eight_hours__opens_three_times_a_day(deploy, minter, keeper):
    market = deploy(period=8 * 3_600)
    market.mint(minter, 10_000)

    opened = []
    for hour in (16, 24, 32):
        market.price(2_000 + hour * 10)
        market.wait_until(hour * 3_600 + OPEN - 1)
        assert market.vault.due(keeper) == Trigger.NONE
        market.wait(1)
        opened.append(market.vault.due(keeper))
        market.vault.rebalance(sender=keeper)

    assert opened == [Trigger.SCHEDULED] * 3


@pytest.mark.parametrize(("index", "is_due"), [("2017", False), ("2018", True)])
def test_due__scheduled__needs_the_drift(long, keeper, index, is_due):
    """+3x at 2,017 is at 2.9503x, at 2,018 at 2.9474x; the drift is 0.05x."""
    long.price(index)
    long.wait_until(OPEN, day=1)

    assert (abs(long.vault.leverage() - 3 * WAD) > long.terms.policy().drift) == is_due
    assert long.vault.due(keeper) == (Trigger.SCHEDULED if is_due else Trigger.NONE)


def test_rebalance__empty_or_at_rest__has_nothing_to_do(vacant, long, outsider):
    with reverts(vacant.vault.NothingDue, leverage=0, target=3 * WAD):
        vacant.vault.rebalance(sender=outsider)
    with reverts(long.vault.NothingDue, leverage=3 * WAD, target=3 * WAD):
        long.vault.rebalance(sender=outsider)

    assert vacant.vault.due(outsider) == long.vault.due(outsider) == Trigger.NONE


def test_rebalance__without_a_usable_price__reverts(long, outsider):
    long.price(1_700)
    updated, heartbeat = long.now, long.oracle.heartbeat()
    long.wait(heartbeat + 1, fresh=False)

    with reverts(long.oracle.PriceStale, updatedAt=updated, age=heartbeat + 1, heartbeat=heartbeat):
        long.vault.rebalance(sender=outsider)
    with reverts(long.oracle.PriceStale, updatedAt=updated, age=heartbeat + 1, heartbeat=heartbeat):
        long.vault.due(outsider)


def test_slot_start__around_midnight__never_skips_nor_repeats(deploy):
    """The property behind the schedule: each second lies in one slot, and slots open once a day at 00:02."""
    terms = policy(3 * WAD)
    midnight = 20_000 * DAY

    starts = [rules.slot_start(terms, midnight + second) for second in range(-300, 2 * DAY + 300, 7)]

    assert starts == sorted(starts)
    assert set(starts) == {midnight + day * DAY + OPEN for day in (-1, 0, 1, 2)}
