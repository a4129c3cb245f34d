"""Numbers that the formulas must reproduce: worked examples of public articles, recomputed by hand.

Tolerances are those of the printed digits; `left` is what a token keeps after one reset at constant leverage.
"""

import math
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from leverage import backtest
from leverage import leverage_math as lm
from leverage import policy as rules
from leverage.backtest import Reaction, Token
from leverage.market import Bars
from leverage.types import DAY, WAD, Policy

LONG, SHORT = 3 * WAD, -3 * WAD


def near(value: float, digits: int) -> object:
    return pytest.approx(value, abs=0.5 * 10**-digits)


def after_resets(
    target: int, moves: list[Fraction], start: int = 10_000 * WAD, price: int = 100 * WAD
) -> int:
    """Equity of a token that trades to `target` before each move, without costs."""
    equity = start
    for move in moves:
        size = lm.size_to_leverage(target, equity, 0, price)
        cash = equity - lm.notional(size, price)
        price = price + price * move.numerator // move.denominator
        equity = lm.equity(cash, size, price)
    return equity


# A reset after every day and nothing else: without costs, limits and least trades.
DAILY = Policy(
    triggers=rules.SCHEDULED, period=DAY, offset=0, exclusive=0, cooldown=0, band_min=0, band_max=10**6 * WAD,
    emergency_move=WAD // 10, drift=0, tolerance=WAD // 10**6, max_slippage=WAD // 2,
    emergency_slippage=WAD // 2, tip_rate=0, tip_cap=0, min_notional=0, max_notional=10**15 * WAD,
)  # fmt: skip


def by_engine(target: int, moves: list[Fraction], policy: Policy) -> float:
    """Equity after a day of each move over that before, by leverage/backtest.py."""
    prices = [float(100 * math.prod(1 + move for move in moves[:day])) for day in range(len(moves) + 1)]
    bars = Bars.of(DAY * np.arange(len(prices)), *[np.array(prices)] * 4)
    token = Token(target / WAD, policy, capital=10_000.0)
    return float(backtest.run(bars, token, reaction=Reaction.CLOSES).equity[-1] / token.capital)


def equal_steps(total: float, n: int) -> list[Fraction]:
    return [Fraction((1 + total) ** (1 / n) - 1).limit_denominator(10**15)] * n


# Compounding against a fixed multiple


def test_long__five_days_of_five_percent__compounds_to_20113():
    token = after_resets(LONG, [Fraction(5, 100)] * 5)

    assert token / WAD == near(20_113.57, 2)


def test_fixed_3x__five_days_of_five_percent__ends_at_18288_and_2_09x():
    size = 300 * WAD
    price = int(100 * Fraction(105, 100) ** 5 * WAD)
    equity = lm.equity(-20_000 * WAD, size, price)

    assert equity / WAD == near(18_288.45, 2)
    assert lm.leverage(size, price, equity) / WAD == near(2.0936, 4)


@pytest.mark.parametrize(
    ("resets", "loss"), [(1, 75), (2, 58.28), (3, 54.64), (4, 53.02), (5, 52.11), (10, 50.39)]
)
def test_short__index_up_a_quarter_in_n_resets__loses_less_with_each(resets, loss):
    left = after_resets(SHORT, equal_steps(0.25, resets)) / (10_000 * WAD)

    assert 100 * (1 - left) == near(loss, 2)


def test_short__reset_ever_more_often__tends_to_the_cube():
    left = after_resets(SHORT, equal_steps(0.25, 2_000)) / (10_000 * WAD)

    assert left == pytest.approx(1.25**-3, rel=1e-3)


@pytest.mark.parametrize(("resets", "value"), [(1, 1_600), (5, 1_695.80), (10, 1_711.36), (20, 1_719.53)])
def test_long__index_up_a_fifth_in_n_resets__tends_to_1728(resets, value):
    assert after_resets(LONG, equal_steps(0.2, resets), 1_000 * WAD) / WAD == near(value, 2)


def test_short__ten_percent_triggers_on_the_way_up_a_quarter__loses_55_86():
    left = after_resets(SHORT, [Fraction(1, 10), Fraction(1, 10), Fraction(125, 121) - 1])

    assert 100 * (1 - left / (10_000 * WAD)) == near(55.86, 2)


def test_long__up_and_down_a_tenth__loses_nine_percent_with_resets_and_three_without():
    daily = after_resets(LONG, [Fraction(1, 10), Fraction(-1, 10)])
    held = lm.equity(-20_000 * WAD, 300 * WAD, 99 * WAD)

    assert daily / (10_000 * WAD) == near(0.91, 6)
    assert held / (10_000 * WAD) == near(0.97, 6)


@pytest.mark.parametrize(
    ("target", "moves", "left"),
    [
        (LONG, ["1/10", "-1/11"], 1 - 0.0545),
        (LONG, ["1/10", "1/10"], 1.69),
        (LONG, ["-1/20", "-1/19"], 1 - 0.284),
        (LONG, ["1/20", "1/20"], 1.3225),
        (LONG, ["1/10"] * 4, 2.856),
        (LONG, ["1/10", "-1/10"] * 2, 0.828),
        (LONG, ["-1/10"] * 4, 0.240),
    ],
)
def test_token__published_examples__agree(target, moves, left):
    exact = [Fraction(move) for move in moves]
    value = after_resets(target, exact) / (10_000 * WAD)

    assert value == pytest.approx(left, abs=6e-4)
    assert by_engine(target, exact, DAILY) == pytest.approx(value, rel=1e-12)


# The fast engine


@pytest.mark.parametrize("resets", [1, 2, 5, 10])
@pytest.mark.parametrize("target", [LONG, SHORT])
def test_engine__index_up_a_quarter_in_n_resets__is_what_the_formulas_say(target, resets):
    moves = equal_steps(0.25, resets)

    assert by_engine(target, moves, DAILY) == pytest.approx(
        after_resets(target, moves) / (10_000 * WAD), rel=1e-12
    )


def test_engine__ten_percent_triggers_on_the_way_up_a_quarter__loses_55_86():
    """The second move is of 10 % to the last digit: an edge on which float64 happens to stand firm."""
    moves = [Fraction(1, 10), Fraction(1, 10), Fraction(125, 121) - 1]
    policy = replace(DAILY, triggers=rules.EMERGENCY)

    assert 100 * (1 - by_engine(SHORT, moves, policy)) == near(55.86, 2)


def test_engine__up_and_down_a_tenth__loses_nine_percent_with_resets_and_three_in_a_band_of_2x_to_4x():
    moves = [Fraction(1, 10), Fraction(-1, 10)]
    band = replace(DAILY, triggers=rules.BAND, band_min=2 * WAD, band_max=4 * WAD)

    assert by_engine(LONG, moves, DAILY) == near(0.91, 6)
    assert by_engine(LONG, moves, band) == near(0.97, 6)


# Drift and the trade back


def test_long__index_up_five_percent__drifts_to_2_7391_and_buys_14_2857():
    size, price = 150 * WAD, 210 * WAD
    equity = lm.equity(-20_000 * WAD, size, price)
    trade = lm.size_to_leverage(LONG, equity, size, price)

    assert equity == 11_500 * WAD
    assert lm.leverage(size, price, equity) / WAD == near(2.7391, 4)
    assert trade / WAD == near(14.2857, 4)
    assert lm.notional(trade, price) == pytest.approx(3_000 * WAD, abs=WAD // 10**12)
    assert (size + trade) / WAD == near(164.2857, 4)


@pytest.mark.parametrize(
    ("target", "percent", "drifted"),
    [(LONG, 5, 2.739), (LONG, -5, 3.353), (SHORT, 5, -3.706), (SHORT, -5, -2.478), (LONG, 10, 2.538)]
    + [(LONG, -10, 3.857), (SHORT, 10, -4.714)],
)
def test_drift__after_a_move__is_l_1_plus_r_over_1_plus_lr(target, percent, drifted):
    assert lm.drifted(target, percent * WAD // 100) / WAD == near(drifted, 3)


@pytest.mark.parametrize(
    ("target", "percent"), [(t * WAD, r) for t in (3, -3, 2, -2, -1) for r in (-10, -1, 1, 10)]
)
def test_trade__after_a_move__is_l_l_minus_1_r_of_equity(target, percent):
    """Bull and bear trade in the same direction, and the bear twice as much: 6r and 12r for 3x."""
    before, price = 10_000 * WAD, 2_000 * WAD
    size = lm.size_to_leverage(target, before, 0, price)
    cash = before - lm.notional(size, price)
    moved = price * (100 + percent) // 100

    trade = lm.size_to_leverage(target, lm.equity(cash, size, moved), size, moved)

    wanted = target * (target - WAD) // WAD * percent // 100 * 10_000
    assert lm.notional(trade, moved) == pytest.approx(wanted, abs=10**6)


def test_article_004__sells_gains_and_buys_falls__is_the_wrong_direction():
    """Article 004 has a 3x long sell part of its gains and buy into a fall, which raises leverage in a crash.

    A long must buy after a rise (2.739x) and sell after a fall (3.353x), and so must a short.
    """
    for target in (LONG, SHORT):
        for percent in (5, -5):
            before, price = 10_000 * WAD, 2_000 * WAD
            size = lm.size_to_leverage(target, before, 0, price)
            cash = before - lm.notional(size, price)
            moved = price * (100 + percent) // 100

            trade = lm.size_to_leverage(target, lm.equity(cash, size, moved), size, moved)

            assert (trade > 0) == (percent > 0)


def test_short__after_a_rise__holds_fewer_units():
    before, price = 10_000 * WAD, 2_000 * WAD
    size = lm.size_to_leverage(SHORT, before, 0, price)
    moved = price * 105 // 100
    equity = lm.equity(before - lm.notional(size, price), size, moved)

    assert abs(size + lm.size_to_leverage(SHORT, equity, size, moved)) < abs(size)


@pytest.mark.parametrize(
    ("move", "leverage", "basket"), [(Fraction(-1, 9), 4.0, 225), (Fraction(1, 3), 2.0, 450)]
)
def test_basket__at_the_edges_of_a_2x_4x_band__is_225_and_450(move, leverage, basket):
    """300 BTC at 40,000 against 4,000,000 of equity: 3x."""
    size, price = 300 * WAD, 40_000 * WAD
    cash = 4_000_000 * WAD - lm.notional(size, price)
    moved = price + price * move.numerator // move.denominator
    equity = lm.equity(cash, size, moved)

    assert lm.leverage(size, moved, equity) / WAD == near(leverage, 6)
    assert (size + lm.size_to_leverage(LONG, equity, size, moved)) / WAD == near(basket, 4)


def test_long__nav_from_200_to_230__buys_60():
    size, price = 3 * WAD, 200 * WAD
    moved = 210 * WAD
    equity = lm.equity(-400 * WAD, size, moved)

    assert equity == 230 * WAD
    assert lm.notional(lm.size_to_leverage(LONG, equity, size, moved), moved) / WAD == near(60, 6)
    assert lm.leverage(size, price, 200 * WAD) == LONG


# Thresholds


@pytest.mark.parametrize(
    ("target", "edge", "percent"),
    [(3, 4, -11.111), (-3, -4, 6.667), (3, 2, 33.333), (-3, -2, -11.111)],
)
def test_thresholds__of_a_uniform_band__are_not_symmetric(target, edge, percent):
    assert lm.move_to(target * WAD, edge * WAD) / WAD * 100 == near(percent, 3)


@pytest.mark.parametrize(
    ("maintenance", "long", "short"),
    [("0", -33.3, 33.3), ("0.005", -33.0, 32.7), ("0.01", -32.7, 32.0), ("0.02", -32.0, 30.7)]
    + [("0.05", -29.8, 27.0)],
)
def test_liquidation__of_3x__is_nearer_than_a_third(maintenance, long, short):
    held = int(Fraction(maintenance) * WAD)

    assert lm.move_to_liquidation(LONG, held) / WAD * 100 == near(long, 1)
    assert lm.move_to_liquidation(SHORT, held) / WAD * 100 == near(short, 1)


def test_long__ten_percent_down__has_25_9_percent_left_to_ruin():
    drifted = lm.drifted(LONG, -WAD // 10)

    assert lm.move_to_liquidation(drifted, 0) / WAD * 100 == near(-25.9, 1)


# Fees, funding and decay


def test_fees__a_thousandth_in_and_out__take_0_1999_percent():
    assets = 10**12
    kept = assets - lm.fee_up(assets, WAD // 1_000)
    kept -= lm.fee_up(kept, WAD // 1_000)

    assert (assets - kept) / assets * 100 == near(0.1999, 4)


def test_management_fee__a_basis_point_a_day__dilutes_by_3_584_percent_a_year():
    supply = 10**6 * WAD
    for _ in range(365):
        supply += lm.management_shares(supply, WAD // 10_000)
    whole = 10**6 * WAD + lm.management_shares(10**6 * WAD, 365 * WAD // 10_000)

    assert supply == pytest.approx(whole, rel=1e-12)
    assert (1 - 10**6 * WAD / whole) * 100 == near(3.584, 3)


def test_exponential__of_one__is_e():
    assert lm.exp_minus_one(WAD) / WAD == pytest.approx(math.e - 1, abs=1e-15)


@pytest.mark.parametrize(("target", "percent"), [(LONG, 13.4), (SHORT, 25.0)])
def test_decay__thirty_days_at_four_percent__is_half_l_l_minus_1_variance(target, percent):
    """exp(-L(L-1)/2 * variance), against a path of equal steps up and down that ends where it began."""
    days, up = 30, Fraction(math.exp(0.04)).limit_denominator(10**12) - 1
    moves = [up, 1 / (1 + up) - 1] * (days // 2)
    left = after_resets(target, moves) / (10_000 * WAD)

    expected = math.exp(-0.5 * (target // WAD) * (target // WAD - 1) * 0.04**2 * days)
    assert 100 * (1 - expected) == near(percent, 1)
    assert left == pytest.approx(expected, rel=5e-3)
