"""What a quote says of a token: worked examples of GOLDEN.md, and sums that must agree with the formulas."""

import math

import numpy as np
import pytest

from leverage import leverage_math as lm
from leverage import quote as q
from leverage.quote import Conditions, Mint, Quote, Volatility
from leverage.types import WAD, Fees

LONG, SHORT = 3 * WAD, -3 * WAD
FEES = Fees(mint=WAD // 1_000, burn=WAD // 1_000, management_per_day=WAD // 10_000)
NO_FEES = Fees(0, 0, 0)
FREE = Mint(assets=1_000 * WAD, fee=0, shares=1_000 * WAD)


def near(value, digits):
    return pytest.approx(value, abs=0.5 * 10**-digits)


def quoted(target=LONG, fees=NO_FEES, mint=FREE, conditions=None, daily=None):
    return Quote(
        symbol="X",
        source="test",
        asset="USD",
        decimals=18,
        target=target,
        leverage=target,
        venue_leverage=target,
        price=2_000 * WAD,
        nav=WAD,
        band=(2 * WAD, 4 * WAD),
        fees=fees,
        mint=mint,
        conditions=conditions or Conditions(),
        volatility=None if daily is None else Volatility(daily, "test"),
    )


def only(quote, days, move):
    (outcome,) = q.compare(quote, days, [move])
    return outcome


# Decay


@pytest.mark.parametrize(("target", "lost"), [(LONG, 13.4), (SHORT, 25.0)])
def test_decay__thirty_days_at_four_percent__is_that_of_the_articles(target, lost):
    assert 100 * (1 - q.decay(target, 0.04, 30)) == near(lost, 1)


def test_decay__of_an_unleveraged_long__is_none():
    assert q.decay(WAD, 0.04, 30) == 1


def test_turnover__daily_resets__is_the_mean_of_the_trades_that_the_formula_makes():
    """6r for +3x and 12r for -3x: GOLDEN.md's rebalance trade per unit of nav, over normal returns."""
    returns = np.random.default_rng(1).normal(0, 0.01, 4_000)
    price, equity = 2_000 * WAD, 10_000 * WAD

    for target in (LONG, SHORT):
        size = lm.size_to_leverage(target, equity, 0, price)
        cash = equity - lm.notional(size, price)
        traded = []
        for move in returns:
            moved = price + int(price * move)
            trade = lm.size_to_leverage(target, lm.equity(cash, size, moved), size, moved)
            traded.append(abs(lm.notional(trade, moved)) / equity)

        assert q.turnover(target, 0.01) == pytest.approx(np.mean(traded), rel=0.03)


# Fees and funding


def test_fees__a_thousandth_in_and_out__take_0_1999_percent():
    assert 100 * q.round_trip(FEES) == near(0.1999, 4)


def test_management__a_basis_point_a_day__is_3_584_percent_a_year():
    assert 100 * q.compounded(FEES.management_per_day / WAD) == near(3.584, 3)


def test_funding__a_hundredth_of_a_percent_in_eight_hours__costs_three_times_as_much_of_nav():
    """Example 9: 10.95 % of the notional is 32.85 % of a 3x token's nav, 28.0 % compounded."""
    daily = 3 * WAD // 10_000

    assert 100 * 365 * daily / WAD == near(10.95, 2)
    assert 100 * 365 * q.funding_on_nav(LONG, daily) == near(32.85, 2)
    assert 100 * q.compounded(q.funding_on_nav(LONG, daily)) == near(28.0, 1)
    assert q.funding_on_nav(SHORT, daily) == -q.funding_on_nav(LONG, daily)


def test_mint__costs__are_all_that_is_not_in_the_shares():
    mint = Mint(assets=1_000, fee=1, shares=0, trade=3, venue_fee=2, deposit=4)

    assert q.cost_of_mint(mint) == 0.008


# Gaps


@pytest.mark.parametrize(
    ("maintenance", "long", "short"),
    [
        (None, -33.3, 33.3),
        (0.005, -33.0, 32.7),
        (0.01, -32.7, 32.0),
        (0.02, -32.0, 30.7),
        (0.05, -29.8, 27.0),
    ],
)
def test_gap__at_the_target__is_that_of_example_6(maintenance, long, short):
    margin = None if maintenance is None else int(maintenance * WAD)

    assert q.gap(LONG, margin) / WAD * 100 == near(long, 1)
    assert q.gap(SHORT, margin) / WAD * 100 == near(short, 1)


def test_gap__after_a_tenth_against_it__is_what_is_left_of_it():
    long, short = lm.drifted(LONG, -WAD // 10), lm.drifted(SHORT, WAD // 10)

    assert (long / WAD, short / WAD) == (near(3.857, 3), near(-4.714, 3))
    assert q.gap(long, None) / WAD * 100 == near(-25.9, 1)
    assert q.gap(short, None) / WAD * 100 == near(21.2, 1)


def test_gap__without_a_position__is_none():
    assert q.gap(0, WAD // 20) is None


@pytest.mark.parametrize(
    ("target", "edge", "percent"),
    [(LONG, 4, -11.11), (SHORT, 4, 6.667), (LONG, 2, 33.33), (SHORT, 2, -11.11)],
)
def test_move_to_edge__of_one_band_for_all__is_not_symmetric(target, edge, percent):
    assert q.move_to_edge(target, edge * WAD) / WAD * 100 == near(percent, 2)


def test_move_to_edge__one_for_a_long__is_never_reached():
    assert q.move_to_edge(LONG, WAD) is None
    assert q.move_to_edge(SHORT, WAD) is not None


# The comparison


def test_compare__without_costs_or_variance__is_the_power_and_the_multiple():
    """Examples 1 and 10: +27.6282 % gives a fixed 3x 1.828845; +20 % takes a token towards 1.728."""
    fifth, week = only(quoted(), 7, 0.2), only(quoted(), 5, 1.05**5 - 1)

    assert fifth.token == near(1.728, 9) and fifth.margin == fifth.perp == near(1.6, 9)
    assert week.margin == near(1.828845, 6) and week.asset == near(1.276282, 6)


def test_compare__back_at_the_start__costs_the_token_its_decay_and_fees_and_the_perp_its_own():
    rate, funding, fee = WAD // 1_000, 3 * WAD // 10_000, 0.001
    mint = Mint(1_000 * WAD, WAD, 0, trade=3 * WAD, venue_fee=3 * WAD, venue_rate=rate)
    quote = quoted(fees=FEES, mint=mint, conditions=Conditions(funding=funding), daily=0.04)

    outcome = only(quote, 30, 0.0)

    running = 30 * (0.0001 + 3 * 0.0003 + 6 * 0.04 * math.sqrt(2 / math.pi) * fee)
    expected = 0.996 * math.exp(-3 * 0.04**2 * 30) * math.exp(-running) * 0.997 * 0.999
    size = 3 / (1 + 3 * fee)
    assert outcome.token == pytest.approx(expected, rel=1e-12)
    assert outcome.perp == pytest.approx(1 - 2 * size * fee - 30 * size * 0.0003, rel=1e-12)
    assert outcome.margin == outcome.asset == 1


def test_compare__funding_that_longs_pay__is_what_shorts_get():
    paid = Conditions(funding=WAD // 1_000)

    long, short = (only(quoted(target, conditions=paid), 10, 0.0) for target in (LONG, SHORT))

    assert long.token == pytest.approx(math.exp(-0.03)) and short.token == pytest.approx(math.exp(0.03))
    assert long.perp == pytest.approx(0.97) and short.perp == pytest.approx(1.03)


def test_compare__moves_as_far_as_the_gap__liquidate_what_nobody_rebalances():
    conditions = Conditions(maintenance=WAD // 20)
    long, short = quoted(LONG, conditions=conditions), quoted(SHORT, conditions=conditions)

    assert only(long, 7, -0.3).margin == near(0.1, 9) and only(long, 7, -0.3).perp is None
    assert only(long, 7, -0.34).margin is None
    assert only(short, 7, 0.3).margin == near(0.1, 9) and only(short, 7, 0.3).perp is None
    assert only(short, 7, -0.3).perp == near(1.9, 9)
    assert only(long, 7, -0.34).token == pytest.approx(0.66**3)
