"""Distances and lateness, against the geometry of leverage."""

from dataclasses import replace

import pytest
from standins import NOON, PRICE, report_at

from leverage import leverage_math as lm
from leverage.keeper import events
from leverage.service.measures import Feed, Sight, Surroundings, measured
from leverage.types import WAD, Action, Kind, Report, Trigger

MAINTENANCE = WAD // 16
ROUNDING = 10**4


def drift(leverage, move):
    return lm.drifted(leverage, move)


@pytest.mark.parametrize(
    ("leverage", "target"), [(3, 3), (3.9, 3), (2.1, 3), (2, 2), (-3, -3), (-1.2, -3), (-1, -1)]
)
def test_to_band__inside__is_the_nearest_move_that_leaves_it(leverage, target):
    found = report_at(leverage, target)

    room = measured(found, None, None).to_band

    low, high = found.policy.band_min, found.policy.band_max
    ends = [abs(drift(found.snapshot.leverage, sign * room)) for sign in (1, -1)]
    at_edge = [end for end in ends if min(abs(end - low), abs(end - high)) <= ROUNDING]
    assert room > 0 and len(at_edge) == 1
    for sign in (1, -1):
        assert low <= abs(drift(found.snapshot.leverage, sign * (room - ROUNDING))) <= high


@pytest.mark.parametrize(("leverage", "target"), [(4.2, 3), (1.9, 3), (-5.2, -3), (-0.9, -3)])
def test_to_band__outside__is_nothing(leverage, target):
    found = measured(report_at(leverage, target), None, None)

    assert found.to_band == 0
    assert found.is_out_of_band


def test_to_band__edge_that_no_move_reaches__counts_for_nothing():
    policy = replace(report_at().policy, band_min=WAD // 2)
    found = replace(report_at(3, 3), policy=policy)

    # A long's leverage stays above 1 however far the index rises.
    room = measured(found, None, None).to_band
    assert abs(drift(3 * WAD, -room) - policy.band_max) <= ROUNDING


@pytest.mark.parametrize("leverage", [5, 3, 2, -1, -3, -5])
def test_to_liquidation__holder__is_the_move_that_leaves_the_maintenance(leverage):
    room = measured(report_at(leverage, leverage), MAINTENANCE, None).to_liquidation

    left = drift(leverage * WAD, -room if leverage > 0 else room)
    assert abs(abs(left) - WAD * WAD // MAINTENANCE) <= 10**6
    assert room > 0


def test_to_liquidation__no_debt__needs_a_price_of_nothing():
    assert measured(report_at(1, 1), MAINTENANCE, None).to_liquidation == WAD


def test_to_liquidation__nothing_left__is_nothing():
    assert (
        measured(report_at(3, 3, equity=0, leverage=lm.INFINITE_LEVERAGE), MAINTENANCE, None).to_liquidation
        == 0
    )
    assert measured(report_at(17, 3), MAINTENANCE, None).to_liquidation == 0


def test_measured__maintenance_or_feed_unknown__is_unknown():
    found = measured(report_at(), None, None)

    assert (found.to_liquidation, found.price_age) == (None, None)


@pytest.mark.parametrize("state", [{"supply": 0}, {"ruined": True}])
def test_measured__nobody_or_nothing_there__has_no_distances(state):
    found = measured(report_at(5, 3, **state), MAINTENANCE, None)

    assert (found.to_band, found.to_liquidation, found.is_out_of_band) == (None, None, False)


def test_measured__venue_above_index_and_old_price__tells_both():
    found = measured(report_at(venue_price=PRICE * 102 // 100), None, Feed(NOON - 77, WAD // 50))

    assert found.mark_gap == WAD // 50
    assert found.price_age == 77


def test_measured__unreadable__is_nothing():
    assert measured(Report("0x", failure="PriceStale"), MAINTENANCE, None) is None


# Lateness


def later(found, seconds):
    return replace(found, snapshot=replace(found.snapshot, timestamp=found.snapshot.timestamp + seconds))


def seen(sight, *reports):
    for found in reports:
        sight(events.Looked({"ETH3L": found}, 0.1))
    return sight


def test_late__due_in_several_passes__counts_from_the_first():
    sight = seen(Sight(), report_at(), later(report_at(4.5), 10), later(report_at(4.6), 50))

    assert sight.late("ETH3L") == 40
    assert sight.due["ETH3L"][0].kind == Kind.REBALANCE


def test_late__done_or_due_no_more__is_nothing():
    action = Action(Kind.REBALANCE, Trigger.BAND)
    done = seen(Sight(), report_at(4.5), later(report_at(4.5), 50))
    done(events.Acted("ETH3L", action, {}, 50))
    others = seen(Sight(), report_at(4.5), later(report_at(4.5), 50), later(report_at(3), 60))

    assert (done.late("ETH3L"), others.late("ETH3L")) == (0, 0)


def test_late__other_thing_due__counts_anew():
    ruin = later(report_at(3, equity=-WAD, leverage=lm.INFINITE_LEVERAGE), 100)

    sight = seen(Sight(), report_at(4.5), ruin, later(ruin, 7))

    assert (sight.due["ETH3L"][0].kind, sight.late("ETH3L")) == (Kind.CHECK_RUIN, 7)


def test_late__schedule__counts_only_what_is_everybodys():
    opened = NOON // 86_400 * 86_400 + 86_400 + 120
    due = later(report_at(3.2), opened + 60 - NOON)
    exclusive = due.policy.exclusive

    inside = seen(Sight(), due, later(due, exclusive - 61))
    after = seen(Sight(), due, later(due, exclusive - 60 + 5))
    stranger = seen(Sight(is_keeper=False), due)

    assert (inside.late("ETH3L"), after.late("ETH3L")) == (0, 5)
    assert inside.due.keys() == {"ETH3L"} and stranger.due == {}


def test_sight__partial_look__keeps_the_others():
    sight = Sight(surroundings=Surroundings(feeds={"B": Feed(NOON - 5, WAD)}))
    sight(events.Looked({"A": report_at(), "B": report_at(4.5)}, 0.1))
    sight(events.Looked({"A": report_at(3.1)}, 0.1))

    assert sight.measure("A").leverage == report_at(3.1).snapshot.leverage
    assert sight.measure("B").price_age == 5
    assert sight.due.keys() == {"B"}
