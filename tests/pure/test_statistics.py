"""Statistics: each formula at known values, and what must hold of it for any path."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from leverage import statistics
from leverage.statistics import DAY, HOUR, YEAR
from leverage.types import Trigger

START = 1_577_836_800  # 2020-01-01 00:00 UTC.
prices = st.lists(st.floats(0.5, 2_000), min_size=3, max_size=40).map(np.array)
moves = st.lists(st.floats(-0.15, 0.15), min_size=2, max_size=40).map(np.array)
targets = st.sampled_from([-3.0, -2.0, -1.0, 1.0, 2.0, 3.0, 5.0])


def grown(steps, by=1.0):
    """1 and what becomes of it when it changes by these fractions times `by`, one after the other."""
    return np.concatenate(([1.0], np.cumprod(1 + by * np.asarray(steps))))


def days(count, step=DAY):
    return START + step * np.arange(count)


# Variance and decay


def test_realised_variance__steps_of_one_percent__is_their_squares():
    price = 100 * math.e ** np.array([0, 0.01, 0, 0.01, 0.02])

    assert statistics.realised_variance(price) == pytest.approx(4 * 0.01**2)
    assert statistics.variances(price) == pytest.approx(np.arange(5) * 0.01**2)


@given(prices, st.floats(0.01, 100), st.data())
def test_realised_variance__any_path__adds_up_and_knows_no_unit_and_no_direction(price, unit, data):
    cut = data.draw(st.integers(0, len(price) - 1))
    whole = statistics.realised_variance(price)

    assert statistics.realised_variance(price[: cut + 1]) + statistics.realised_variance(
        price[cut:]
    ) == pytest.approx(whole)
    assert statistics.realised_variance(unit * price) == pytest.approx(whole)
    assert statistics.realised_variance(1 / price[::-1]) == pytest.approx(whole)


@pytest.mark.parametrize(("per", "expected"), [(DAY, 0.04), (YEAR, 0.04 * math.sqrt(365)), (4 * DAY, 0.08)])
def test_volatility__four_percent_a_day__is_that_per_any_time(per, expected):
    price = math.e ** np.cumsum([0, 0.04, -0.04, 0.04, 0.04])

    assert statistics.volatility(days(5), price, per) == pytest.approx(expected)


def test_volatility__uneven_times__counts_the_time_covered():
    time, price = START + np.array([0, 10, DAY, 4 * DAY]), math.e ** np.array([0, 0.03, 0.07, 0.07])

    assert statistics.volatility(time, price, DAY) == pytest.approx(0.05 / 2)


def test_volatility__one_moment__is_none():
    assert statistics.volatility(days(1), np.array([5.0])) == 0


@pytest.mark.parametrize(("target", "expected"), [(3, -0.134), (-3, -0.250), (1, 0), (0, 0)])
def test_expected_decay__month_at_four_percent_a_day__is_golden(target, expected):
    assert statistics.expected_decay(target, 30 * 0.04**2) - 1 == pytest.approx(expected, abs=5e-4)


@given(st.floats(-5, 5), st.floats(0, 2), st.floats(0, 2))
def test_expected_decay__any_leverage__mirrors_at_a_half_and_multiplies_over_time(target, one, other):
    decay = statistics.expected_decay

    assert decay(target, one) == pytest.approx(decay(1 - target, one))
    assert decay(target, one) * decay(target, other) == pytest.approx(decay(target, one + other))
    assert decay(target, one) <= 1 or 0 < target < 1


@given(targets, st.integers(0, 2**32 - 1))
def test_decay__reset_after_every_small_step__is_as_expected(target, seed):
    steps = np.random.default_rng(seed).choice([-0.001, 0.001], 4_000)
    price = grown(steps)

    decay = statistics.decay(grown(steps, target), price, target)

    assert math.log(decay[-1]) == pytest.approx(
        math.log(statistics.expected_decay(target, statistics.realised_variance(price))), abs=2e-3
    )


@given(moves, targets)
def test_decay__any_path__is_the_product_of_its_steps(steps, target):
    decay = statistics.decay(7 * grown(steps, target), 3 * grown(steps), target)

    assert decay == pytest.approx(np.cumprod([1, *((1 + target * steps) / (1 + steps) ** target)]))
    assert decay[0] == 1


def test_returns__nothing_left__brings_nothing():
    assert statistics.returns(np.array([2.0, 3, 0, 0])).tolist() == [0.5, -1, 0]


# Nav


def test_multiple__golden__three_times_five_rises():
    """GOLDEN no. 1: 10,000 at fixed 3x through five days of +5 % are 18,288.45."""
    price = 100 * grown([0.05] * 5)

    assert 10_000 * statistics.multiple(price, 3)[-1] == pytest.approx(18_288.45, abs=0.01)


def test_multiple__once_gone__does_not_come_back():
    price = np.array([100.0, 90, 60, 100, 200])

    assert statistics.multiple(price, 3) == pytest.approx([1, 0.7, 0, 0, 0])
    assert statistics.multiple(price, -1) == pytest.approx([1, 1.1, 1.4, 1, 0])


def test_drawdown__path__is_what_is_lost_of_the_top():
    nav = np.array([1.0, 2, 1, 1.5, 4, 0])

    assert statistics.drawdown(nav) == pytest.approx([0, 0, -0.5, -0.25, 0, -1])


@given(prices, st.floats(0.01, 100))
def test_drawdown__any_path__is_of_nothing_that_never_fell(nav, unit):
    down = statistics.drawdown(nav)

    assert ((down <= 0) & (down > -1)).all()
    assert statistics.drawdown(unit * nav) == pytest.approx(down)
    assert (statistics.drawdown(np.sort(nav)) == 0).all()
    assert (down == 0).all() == (np.diff(nav) >= 0).all()


# Days


def test_every__midnights__are_met_by_the_row_in_force():
    time = START + np.array([-HOUR, 0, HOUR, DAY - 1, DAY + 1, 3 * DAY])

    assert statistics.every(time, DAY).tolist() == [1, 3, 4, 5]
    assert statistics.every(time, DAY, 120).tolist() == [1, 4, 4]
    assert statistics.every(time[:1], DAY).tolist() == []


@given(moves, targets, st.integers(0, DAY - 1))
def test_tracking__reset_every_day__has_no_error(steps, target, offset):
    assume(np.ptp(steps) > 1e-3)
    time = days(len(steps) + 1) + offset

    tracking = statistics.tracking(time, grown(steps, target), grown(steps), target, offset)

    assert tracking.time.tolist() == time[1:].tolist()
    assert tracking.difference == pytest.approx(np.zeros(len(steps)), abs=1e-9)
    assert tracking.error == pytest.approx(0, abs=1e-9)
    assert tracking.correlation == pytest.approx(math.copysign(1, target))
    assert tracking.slope == pytest.approx(target)


def test_tracking__alternating_misses__are_their_deviation():
    nav = np.array([1, 1.01, 1.01 * 0.99, 1.01 * 0.99 * 1.01])

    tracking = statistics.tracking(days(4), nav, np.ones(4), 3)

    assert tracking.difference == pytest.approx([0.01, -0.01, 0.01])
    assert tracking.error == pytest.approx(np.std([0.01, -0.01, 0.01], ddof=1))
    assert (tracking.correlation, tracking.slope) == (0, 0)


def test_tracking__less_than_a_day__has_none():
    tracking = statistics.tracking(START + HOUR * np.arange(5), np.ones(5), np.ones(5), 3)

    assert len(tracking.difference) == 0
    assert (tracking.error, tracking.correlation, tracking.slope) == (0, 0, 0)


@given(moves, st.floats(0.1, 10), st.floats(-5, 5))
def test_correlation_and_slope__line__are_one_and_its_slope(x, slope, shift):
    assume(np.ptp(x) > 1e-3)

    assert statistics.correlation(x, slope * x + shift) == pytest.approx(1)
    assert statistics.correlation(x, -slope * x + shift) == pytest.approx(-1)
    assert statistics.slope(-slope * x + shift, x) == pytest.approx(-slope)


@given(prices, prices)
def test_correlation__any_two__is_numpys(x, y):
    x, y = x[: len(y)], y[: len(x)]
    assume(np.ptp(x) > 1e-3 and np.ptp(y) > 1e-3)

    assert statistics.correlation(x, y) == pytest.approx(np.corrcoef(x, y)[0, 1], abs=1e-9)
    assert statistics.slope(y, x) == pytest.approx(np.polyfit(x, y, 1)[0], abs=1e-9)


# Summary


def backtest(steps, target, step=DAY):
    """A daily reset without costs, as a backtest would tell it."""
    nav, price = grown(steps, target), 200 * grown(steps)
    trades = np.array([(Trigger.SCHEDULED,), (Trigger.BAND,), (Trigger.SCHEDULED,)], [("trigger", "i8")])
    return SimpleNamespace(
        time=days(len(nav), step),
        nav=nav,
        price=price,
        leverage=target * np.linspace(1, 1.25, len(nav)),
        trades=trades,
        turnover=2.5,
        attribution={"price": nav - 1, "funding": 0 * nav},
        ruined_at=None,
    )


def test_summarise__daily_reset__says_what_happened():
    steps = [0.05, -0.04] * 20
    token = SimpleNamespace(target=-3.0, policy=SimpleNamespace(offset=0))

    summary = statistics.summarise(backtest(steps, -3.0), token)

    variance = 20 * (math.log(1.05) ** 2 + math.log(0.96) ** 2)
    asset = (1.05 * 0.96) ** 20
    assert (summary.start, summary.end) == (START, START + 40 * DAY)
    assert summary.nav == pytest.approx((0.85 * 1.12) ** 20)
    assert summary.asset == pytest.approx(asset - 1)
    assert summary.multiple == pytest.approx(1 - 3 * (asset - 1))
    assert summary.variance == pytest.approx(variance)
    assert summary.volatility == pytest.approx(math.sqrt(variance * 365 / 40))
    assert summary.decay == pytest.approx(summary.nav * asset**3 - 1)
    assert summary.expected_decay == pytest.approx(math.exp(-6 * variance) - 1)
    assert summary.tracking_error == pytest.approx(0, abs=1e-9)
    assert (summary.correlation, summary.slope) == (pytest.approx(-1), pytest.approx(-3))
    assert summary.turnover == pytest.approx(2.5 * 365 / 40)
    assert (summary.leverage_min, summary.leverage_max) == (3, 3.75)
    assert summary.rebalances == {"emergency": 0, "band": 1, "scheduled": 2}
    assert summary.attribution == {"price": pytest.approx(summary.nav - 1), "funding": 0}


@pytest.mark.parametrize(("step", "count", "expected"), [(900, 96, HOUR), (HOUR, 24 * 30, DAY)])
def test_summarise__variance__is_of_hours_where_days_are_few(step, count, expected):
    steps = np.random.default_rng(1).normal(0, 0.01, count)
    token = SimpleNamespace(target=3.0, policy=SimpleNamespace(offset=0))
    result = backtest(steps, 3.0, step)

    summary = statistics.summarise(result, token)

    assert summary.variance == pytest.approx(statistics.realised_variance(result.price[:: expected // step]))
