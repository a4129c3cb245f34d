"""The fast engine and the exact twin on the same path: the same trades, and the same books to 1e-9."""

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench import exact
from bench.limits import FAST_VS_TWIN
from bench.paths import random_bars, random_funding
from leverage import backtest, config
from leverage.backtest import Costs, Reaction, Token
from leverage.types import DAY, WAD, Fees, Trigger

TOKENS = config.load().tokens
PERCENT = WAD // 100
GRAIN = WAD // 10**6


@st.composite
def policies(draw, target: float):
    """Any policy that the contracts take, but for a band edge within a millionth of the target: a 1x token
    without costs stands there for ever, and float64 cannot tell the two apart."""
    gearing = round(abs(target) * WAD)
    tolerance = draw(st.integers(WAD // 1_000, gearing // 10))
    return replace(
        TOKENS["ETH3L"].policy_struct(),
        triggers=draw(st.integers(0, 7)),
        period=draw(st.sampled_from([3_600, 28_800, DAY, 7 * DAY])),
        offset=draw(st.integers(0, 3_599)),
        exclusive=draw(st.integers(0, 3_599)),
        cooldown=draw(st.sampled_from([0, 60, 600, 3_600])),
        band_min=draw(st.integers(0, gearing - GRAIN)),
        band_max=draw(st.integers(gearing + GRAIN, 8 * WAD)),
        emergency_move=draw(st.integers(PERCENT, WAD // 2)),
        tolerance=tolerance,
        drift=draw(st.integers(tolerance, gearing // 2)),
        max_slippage=draw(st.integers(WAD // 2_000, WAD // 20)),
        emergency_slippage=WAD // 5,
        tip_rate=draw(st.integers(0, WAD // 10)),
        min_notional=draw(st.integers(0, 10_000)) * WAD,
        max_notional=draw(st.sampled_from([30_000, 300_000, 10**9])) * WAD,
    )


@st.composite
def tokens(draw):
    target = draw(st.sampled_from([1.0, 2.0, 3.0, 5.0, -1.0, -2.0, -3.0, -5.0, 2.5]))
    return Token(
        target,
        draw(policies(target)),
        Fees(0, 0, draw(st.sampled_from([0, WAD // 10_000, WAD // 1_000]))),
        Costs(
            fee=draw(st.sampled_from([0.0, 0.0005, 0.002])),
            impact=draw(st.sampled_from([0.0, 5e-10, 2e-8])),
            skew=draw(st.sampled_from([0.0, 0.001, -0.001])),
        ),
        capital=draw(st.sampled_from([1_000.0, 100_000.0, 5_000_000.0])),
        is_keeper=draw(st.booleans()),
    )


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    token=tokens(),
    seed=st.integers(0, 10**6),
    volatility=st.sampled_from([0.001, 0.004, 0.012]),
    interval=st.sampled_from([60, 300, 3_600]),
    is_funded=st.booleans(),
    reaction=st.sampled_from(Reaction),
)
def test_run__any_token_on_a_random_path__is_the_twin_to_1e_9(
    token, seed, volatility, interval, is_funded, reaction
):
    bars = random_bars(seed, 400, interval, volatility)
    funding = random_funding(seed, bars) if is_funded else None

    fast = backtest.run(bars, token, funding, reaction)
    slow = backtest.run(bars, token, funding, reaction, is_screened=False)

    assert exact.difference(fast, exact.replay(bars, token, funding, reaction)) <= FAST_VS_TWIN
    assert (fast.nav == slow.nav).all() and (fast.trades == slow.trades).all()


@pytest.mark.parametrize("symbol", ["ETH3L", "ETH3S", "ETH2L", "ETH1S"])
def test_run__our_tokens_over_ten_days_of_fives_minutes__are_the_twin_with_every_trigger(symbol):
    ours = TOKENS[symbol]
    bars = random_bars(len(symbol) + ours.target % 7, 3_000, volatility=0.006)
    token = Token(ours.target / WAD, ours.policy_struct(), ours.fees_struct(), Costs(0.0005, 5e-10, 1e-4))
    funding = random_funding(1, bars)

    fast = backtest.run(bars, token, funding)

    assert exact.difference(fast, exact.replay(bars, token, funding)) <= FAST_VS_TWIN
    assert len(set(fast.trades["trigger"])) >= 2


def test_difference__other_policy__is_told():
    """The comparison itself can fail: a drift of 30 % instead of 5 % makes other trades."""
    ours = TOKENS["ETH3L"].policy_struct()
    bars = random_bars(3, 1_000)
    fast = backtest.run(bars, Token(3.0, replace(ours, drift=3 * WAD // 10)))

    assert exact.difference(fast, exact.replay(bars, Token(3.0, ours))) == float("inf")
    assert Trigger.SCHEDULED in fast.trades["trigger"]


def test_difference__same_trades_at_other_costs__is_their_size():
    ours = TOKENS["ETH3L"].policy_struct()
    bars = random_bars(3, 1_000)
    fast = backtest.run(bars, Token(3.0, ours, costs=Costs(fee=1e-6)))

    difference = exact.difference(fast, exact.replay(bars, Token(3.0, ours)))

    assert 1e-8 < difference < 1e-4
