"""E-2 on the real venue: around a lagging oracle and a pushed pool nobody gains, and nobody else loses."""

import pytest

from bench.attack import Attack, attacks, play
from bench.pool_model import ModelWorld, Pool
from bench.stale_oracle import FUND, LAGS, MARKET, PERCENT, TARGETS, WIDEST, RealWorld, prepared, search
from leverage.types import WAD

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

PUSHES = (-2 * PERCENT, 2 * PERCENT)
DUST_BP = 0.00001  # The venue pays and counts in millionths of a unit.


@pytest.fixture(scope="module")
def venue():
    with prepared() as (rig, funds):
        yield rig, funds


@pytest.fixture(params=TARGETS, ids=["long", "short"])
def fund(venue, request):
    """One that takes any lag: with the default deviation most attacks are refused."""
    _, funds = venue
    return funds[WIDEST, request.param]


@pytest.mark.parametrize("by_shares", [False, True], ids=["by assets", "by shares"])
def test_attack__grid_on_the_venue__brings_no_profit_and_no_loss(venue, fund, by_shares):
    rig, _ = venue
    stakes = (WAD,) if by_shares else (WAD // 10, 5 * WAD)
    grid = attacks((-3 * PERCENT, 3 * PERCENT), stakes, PUSHES)

    outcomes = list(search(RealWorld(rig, fund, by_shares), grid))

    assert max(outcome.profit for outcome in outcomes) <= 0
    assert min(outcome.holders for outcome in outcomes) >= -DUST_BP
    assert sum(not outcome.refused for outcome in outcomes) > len(outcomes) * 3 // 4


@pytest.mark.parametrize("lag", LAGS)
def test_attack__on_the_venue__brings_what_the_model_says(venue, fund, lag):
    rig, _ = venue
    attack = Attack("mint stale", lag, WAD, 2 * PERCENT, -2 * PERCENT)
    world = RealWorld(rig, fund)
    pool = rig.perp.markets[MARKET].pool
    before = world.holdings()
    model = ModelWorld(
        Pool(pool.call("slot0")[0], pool.call("liquidity")), before.size, before.cash, before.supply
    )

    (real,) = search(world, [attack])
    modelled = play(model, attack, FUND)

    assert real.refused == modelled.refused == 0
    assert real.profit == pytest.approx(modelled.profit, abs=DUST_BP)
    assert real.holders == pytest.approx(modelled.holders, abs=DUST_BP)


def test_attack__default_deviation__refuses_what_lags_too_much(venue):
    rig, funds = venue
    narrow = next(fund for (deviation, target), fund in funds.items() if deviation != WIDEST)
    attack = Attack("mint stale", 3 * PERCENT, WAD)

    (outcome,) = search(RealWorld(rig, narrow), [attack])

    assert (outcome.refused, outcome.profit, outcome.holders) == (1, 0, 0)
