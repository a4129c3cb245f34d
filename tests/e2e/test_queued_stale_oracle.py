"""E-3 on the real delayed venue: around a lagging oracle and a pushed skew nobody gains or loses."""

import pytest

from bench.attack import attacks, play
from bench.queued_attack import FUND, TARGETS, QueuedWorld, prepared
from leverage.types import WAD

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

LAGS = (-9 * WAD // 1000, 9 * WAD // 1000)
STAKES = (WAD // 10, 5 * WAD)
PUSHES = (WAD // 200,)
DUST_BP = 0.00001  # The venue counts to the wei, and rounds by some.


@pytest.fixture(scope="module")
def venue():
    with prepared() as (rig, funds):
        yield rig, funds


@pytest.mark.parametrize("target", TARGETS, ids=["long", "short"])
def test_attack__grid_on_the_delayed_venue__brings_no_profit_and_no_loss(venue, target):
    rig, funds = venue
    outcomes = []
    for attack in attacks(LAGS, STAKES, PUSHES):
        with rig.undone():
            outcomes.append(play(QueuedWorld(rig, funds[target]), attack, FUND))

    assert max(outcome.profit for outcome in outcomes) <= 0
    assert min(outcome.holders for outcome in outcomes) >= -DUST_BP
    assert sum(not outcome.refused for outcome in outcomes) > len(outcomes) * 3 // 4


def test_attack__a_percent_beyond_the_limit__is_refused_and_costs_nobody(venue):
    rig, funds = venue
    (attack,) = attacks((3 * WAD // 100,), (WAD,), (), ("mint stale",))

    with rig.undone():
        outcome = play(QueuedWorld(rig, funds[3 * WAD]), attack, FUND)

    assert outcome.refused == 1
    assert outcome.profit == 0
    assert outcome.holders == 0
