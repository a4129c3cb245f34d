"""E-2 on the integer model: timing the oracle and pushing the pool brings nothing; without rules it would."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.attack import PRICE, Act, Attack, Outcome, attacks, follow, play
from bench.pool_model import ALL_RULES, ModelWorld, Rules
from leverage.leverage_math import VIRTUAL
from leverage.types import WAD

FUND = 100_000 * WAD
PERCENT = WAD // 100
TARGETS = (3 * WAD, -3 * WAD)
DEPTHS = (
    1_000_000 * WAD,
    100_000_000 * WAD,
)  # A stake of five funds moves the price by about half, or by 3 %.
STAKES = (WAD // 10, WAD, 5 * WAD)
LAGS = tuple(percent * PERCENT for percent in (-3, -1, 0, 1, 3, 8))
PUSHES = tuple(percent * PERCENT for percent in (-20, -5, 5, 20))


def searched(
    rules: Rules = ALL_RULES, depth: int = DEPTHS[1], stakes: tuple[int, ...] = STAKES
) -> list[Outcome]:
    """What every attack of the grid brings, on the long and on the short."""
    return [
        play(ModelWorld.at_target(target, FUND, depth, rules), attack, FUND)
        for target in TARGETS
        for attack in attacks(LAGS, stakes, PUSHES)
    ]


def best(outcomes: list[Outcome]) -> float:
    return max(outcome.profit for outcome in outcomes)


def worst(outcomes: list[Outcome]) -> float:
    return min(outcome.holders for outcome in outcomes)


@pytest.mark.parametrize("depth", DEPTHS)
def test_attack__grid__brings_no_profit_and_no_loss(depth):
    outcomes = searched(depth=depth)

    # Not a wei: both are exact fractions.
    assert best(outcomes) <= 0
    assert worst(outcomes) >= 0
    assert sum(not outcome.refused for outcome in outcomes) > len(outcomes) // 2


CENT = WAD // 100
PRICES = st.integers(-15, 15).map(lambda percent: PRICE * (100 + percent) // 100)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just(Act.MARKET), PRICES),
        st.tuples(st.just(Act.ORACLE), PRICES),
        st.tuples(st.just(Act.PUSH), PRICES),
        st.tuples(st.just(Act.MINT), st.integers(1, 5 * FUND // CENT).map(lambda cents: cents * CENT)),
        st.tuples(st.just(Act.BURN), st.just(0)),
    ),
    min_size=2,
    max_size=12,
)


@settings(max_examples=300, deadline=None)
@given(target=st.sampled_from(TARGETS), depth=st.sampled_from(DEPTHS), steps=STEPS, end=PRICES)
def test_attack__any_steps_in_any_order__bring_no_profit_and_no_loss(target, depth, steps, end):
    world = ModelWorld.at_target(target, FUND, depth)

    # In the end the pool is where the market has it.
    profit, holders, _ = follow(world, [*steps, (Act.BURN, 0), (Act.MARKET, end), (Act.BURN, 0)])

    # What nobody holds counts when shares are issued but not when they leave: a millionth of a unit at most.
    dust = VIRTUAL * sum(act is Act.MINT for act, _ in steps)
    assert profit <= dust
    assert holders * FUND >= -dust


# The search has teeth


def test_attack__sized_on_the_gross__empties_the_holders():
    outcomes = searched(Rules(is_sized_on_net=False))

    assert best(outcomes) > 500
    assert worst(outcomes) < -1000


def test_attack__better_fills_to_the_entrant__costs_the_holders():
    outcomes = searched(Rules(is_better_fill_the_funds=False, is_capped_by_exposure=False))

    assert best(outcomes) > 500
    assert worst(outcomes) < -300


def test_attack__both_rules_dropped__costs_the_holders_most():
    outcomes = searched(Rules(False, False, False))

    assert best(outcomes) > 500
    assert worst(outcomes) < -1000


def test_attack__shares_beyond_the_exposure_bought__leak():
    outcomes = searched(Rules(is_capped_by_exposure=False))

    assert best(outcomes) > 0.01
    assert worst(outcomes) < -0.01


def test_attack__told__names_what_was_done():
    attack = Attack("mint stale", 3 * PERCENT, 5 * WAD, -PERCENT, 0)

    assert str(attack) == "mint stale, lag +3.0%, stake 5 funds, pushes -1.0% and +0.0%"
