"""What the fast engine makes of bars: when it acts, at which price, what it books, and what it refuses."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bench.paths import random_bars, random_funding
from leverage import backtest
from leverage import policy as rules
from leverage.backtest import LINES, Costs, InputError, Reaction, Token
from leverage.market import Bars, Funding
from leverage.types import DAY, WAD, Fees, Policy, Trigger

MIDNIGHT = 20_000 * DAY
ROOT = Path(__file__).resolve().parents[2]
PERCENT = WAD // 100

# Whatever is due is done: no limits, no least trade, no cooldown.
BARE = Policy(
    triggers=0, period=DAY, offset=0, exclusive=0, cooldown=0, band_min=0, band_max=10**6 * WAD,
    emergency_move=10 * PERCENT, drift=0, tolerance=WAD // 10**6, max_slippage=WAD // 2,
    emergency_slippage=WAD // 2, tip_rate=0, tip_cap=0, min_notional=0, max_notional=10**15 * WAD,
)  # fmt: skip
SCHEDULE = replace(BARE, triggers=rules.SCHEDULED)
EMERGENCY = replace(BARE, triggers=rules.EMERGENCY)


def bars_of(*rows: tuple[float, float, float, float], interval: int = 60, start: int = MIDNIGHT) -> Bars:
    """Rows of open, high, low, close."""
    opened, high, low, close = np.array(rows, float).T
    return Bars.of(start + interval * np.arange(len(rows)), opened, high, low, close)


def closes(*prices: float, interval: int = DAY, start: int = MIDNIGHT - DAY) -> Bars:
    """Bars that are all close; the first one's is where the replay of closes starts."""
    return bars_of(*[(price,) * 4 for price in prices], interval=interval, start=start)


def summed(result) -> np.ndarray:
    return sum(result.attribution[line] for line in LINES)


# When, and at which price


def test_run__without_a_rule__holds_a_fixed_position():
    result = backtest.run(closes(100, 105, 110), Token(3.0, BARE), reaction=Reaction.CLOSES)

    assert result.nav == pytest.approx([1, 1.15, 1.3])
    assert result.leverage == pytest.approx([3, 3 * 1.05 / 1.15, 3 * 1.1 / 1.3])
    assert result.size == pytest.approx([30_000] * 3)
    assert len(result.trades) == 0 and result.turnover == 0 and result.ruined_at is None


def test_run__rows__are_the_start_and_each_close():
    bars = bars_of((100, 103, 99, 102), (102, 104, 101, 103))

    by_closes = backtest.run(bars, Token(1.0, BARE), reaction=Reaction.CLOSES)
    by_extremes = backtest.run(bars, Token(1.0, BARE))

    assert by_closes.time.tolist() == [MIDNIGHT + 60, MIDNIGHT + 120]
    assert by_closes.price.tolist() == [102, 103]
    assert by_extremes.time.tolist() == [MIDNIGHT, MIDNIGHT + 60, MIDNIGHT + 120]
    assert by_extremes.price.tolist() == [100, 102, 103]
    assert by_extremes.nav[0] == 1 and by_extremes.leverage[0] == pytest.approx(1)


def test_run__a_row_for_every_few_bars__are_rows_of_all_and_the_last():
    bars = random_bars(1, 100, volatility=0.02)
    token = Token(3.0, replace(EMERGENCY, emergency_move=PERCENT), Fees(0, 0, WAD // 1_000))

    whole, some = backtest.run(bars, token), backtest.run(bars, token, every=30)

    rows = [0, 30, 60, 90, 100]
    assert some.time.tolist() == whole.time[rows].tolist()
    assert some.nav.tolist() == whole.nav[rows].tolist()
    assert some.attribution["price"].tolist() == whole.attribution["price"][rows].tolist()
    assert len(some.trades) == len(whole.trades) > 3


@pytest.mark.parametrize(("target", "against"), [(3.0, 88.0), (-3.0, 112.0)])
def test_run__bar_with_both_extremes__goes_to_the_adverse_one_first(target, against):
    """12 % each way from the last trade: the fund is brought back at the adverse extreme, and only there."""
    bars = bars_of((100, 100, 100, 100), (100, 112, 88, 100))

    (trade,) = backtest.run(bars, Token(target, EMERGENCY)).trades

    assert trade["price"] == against
    assert trade["trigger"] == Trigger.EMERGENCY
    assert trade["leverage_before"] == pytest.approx(target * against / 100 / (1 - 0.36))
    assert trade["leverage_after"] == pytest.approx(target)
    assert MIDNIGHT + 60 < trade["time"] < MIDNIGHT + 120


def test_run__two_falls_in_a_bar__are_two_triggers_from_open_to_close():
    bars = bars_of((100, 100, 100, 100), (89, 89, 78, 79))

    trades = backtest.run(bars, Token(3.0, EMERGENCY)).trades

    assert trades["price"].tolist() == [89, 78]


def test_run__on_closes__sees_no_extremes():
    bars = bars_of((100, 100, 100, 100), (100, 112, 80, 99))

    assert len(backtest.run(bars, Token(3.0, EMERGENCY), reaction=Reaction.CLOSES).trades) == 0
    assert len(backtest.run(bars, Token(3.0, EMERGENCY), reaction="extremes").trades) == 1


@pytest.mark.parametrize(("is_keeper", "second"), [(True, 0), (False, 1_800)])
def test_run__schedule__is_acted_on_when_it_opens_to_whoever_acts(is_keeper, second):
    prices = np.linspace(100, 110, 200)
    bars = closes(*prices, interval=60, start=MIDNIGHT - 3_660)
    policy = replace(SCHEDULE, exclusive=1_800)

    (trade,) = backtest.run(bars, Token(3.0, policy, is_keeper=is_keeper), reaction=Reaction.CLOSES).trades

    assert trade["time"] == MIDNIGHT + second
    assert trade["trigger"] == Trigger.SCHEDULED
    assert trade["price"] == pytest.approx(prices[60 + second // 60])


def test_run__schedule_within_a_bar__waits_for_its_close():
    """00:02 lies within the bar of five minutes, before one of its extremes, which nobody chooses."""
    bars = bars_of((100, 105, 100, 105), (105, 106, 104, 105), interval=300, start=MIDNIGHT - 300)

    (trade,) = backtest.run(bars, Token(3.0, replace(SCHEDULE, offset=120))).trades

    assert (trade["time"], trade["price"]) == (MIDNIGHT + 300, 105)


def test_run__chunks__go_on_after_the_cooldown():
    policy = replace(SCHEDULE, max_notional=200_000 * WAD, cooldown=120)
    bars = closes(100, 110, *[110] * 8, interval=60, start=MIDNIGHT - 120)

    trades = backtest.run(bars, Token(3.0, policy), reaction=Reaction.CLOSES).trades

    # 6r of a million: 600,000 to buy.
    assert (trades["time"] - MIDNIGHT).tolist() == [0, 120, 240]
    assert trades["size"] * trades["price"] == pytest.approx([200_000] * 3)
    assert trades["leverage_after"][-1] == pytest.approx(3)


def test_run__trade_below_the_minimum_net_of_its_cost__is_left():
    """10,000 to buy before its own cost, 30 bp less for a fee of 10 bp at 3x."""
    policy = replace(SCHEDULE, min_notional=9_980 * WAD)
    bars = closes(100, 100 + 1 / 6, start=MIDNIGHT - 2 * DAY)

    free = backtest.run(bars, Token(3.0, policy), reaction=Reaction.CLOSES)
    dear = backtest.run(bars, Token(3.0, policy, costs=Costs(fee=0.001)), reaction=Reaction.CLOSES)

    assert len(free.trades) == 1
    assert len(dear.trades) == 0


def test_run__fill_beyond_the_slippage_allowed__is_not_made():
    policy = replace(SCHEDULE, max_slippage=PERCENT)
    bars = closes(100, 110)

    def trades(impact: float) -> int:
        token = Token(3.0, policy, costs=Costs(impact=impact))
        return len(backtest.run(bars, token, reaction=Reaction.CLOSES).trades)

    # Of about 600,000.
    assert trades(1.6e-8) == 1
    assert trades(1.8e-8) == 0


# What it costs


def test_run__costs__are_fee_impact_and_skew_of_the_trade():
    """600,000 to buy at 3x after +10 %: at 1 % of premium, 2 % of fee and 6 % of impact for all of it."""
    costs = Costs(fee=0.02, impact=1e-7, skew=0.01)

    result = backtest.run(closes(100, 110), Token(3.0, SCHEDULE, costs=costs), reaction=Reaction.CLOSES)

    (trade,) = result.trades
    bought = trade["size"] * 110
    dealt = 1.01 * (1 + bought * 1.01 * 1e-7)
    assert trade["fee"] == pytest.approx(0.02 * bought * dealt)
    assert trade["slippage"] == pytest.approx(bought * (dealt - 1))
    assert trade["equity"] == pytest.approx(1_300_000)
    assert result.equity[-1] == pytest.approx(1_300_000 - trade["fee"] - trade["slippage"])
    assert result.attribution["venue_fee"][-1] == pytest.approx(-trade["fee"] / 1e6)
    assert result.attribution["slippage"][-1] == pytest.approx(-trade["slippage"] / 1e6)
    assert result.turnover == pytest.approx(bought / 1_300_000)
    # Net of its own cost, to second order.
    assert trade["leverage_after"] == pytest.approx(3, abs=0.05)


def test_run__seller_at_a_premium__gains_by_it():
    sold = backtest.run(
        closes(100, 90), Token(3.0, SCHEDULE, costs=Costs(skew=0.001)), reaction=Reaction.CLOSES
    )

    (trade,) = sold.trades
    assert trade["size"] < 0
    assert trade["slippage"] == pytest.approx(0.001 * trade["size"] * 90)


@pytest.mark.parametrize(
    ("target", "rate", "paid"), [(3.0, 1e-3, 3e-3), (-2.0, 1e-3, -2e-3), (2.0, -1e-3, -2e-3)]
)
def test_run__funding__is_paid_by_longs_when_positive(target, rate, paid):
    bars = closes(*[100] * 5, interval=60)
    funding = Funding.of(bars.time[:2] + 130, np.array([rate, 0.0]))

    result = backtest.run(bars, Token(target, BARE), funding, Reaction.CLOSES)

    # Due between the second close and the third.
    assert result.nav == pytest.approx([1, 1, 1 - paid, 1 - paid, 1 - paid])
    assert result.attribution["funding"] == pytest.approx(result.nav - 1)


def test_run__funding_at_the_very_start__is_that_of_the_holders_before():
    bars = closes(100, 100, 100, interval=60)
    start = int(bars.time[0]) + 60
    funding = Funding.of(np.array([start - 60, start, start + 60]), np.full(3, 1e-3))

    result = backtest.run(bars, Token(1.0, BARE), funding, Reaction.CLOSES)

    assert result.nav == pytest.approx([1, 1 - 1e-3, 1 - 1e-3])


def test_run__management_fee__is_exp_of_its_rate_for_any_bookings():
    bars = closes(*[100] * 31, start=MIDNIGHT)
    fees = Fees(mint=PERCENT, burn=PERCENT, management_per_day=WAD // 10_000)
    funding = Funding.of(bars.time, np.zeros(len(bars)))

    alone = backtest.run(bars, Token(1.0, BARE, fees), reaction=Reaction.CLOSES)
    booked = backtest.run(bars, Token(1.0, BARE, fees), funding, Reaction.CLOSES)

    assert alone.nav == pytest.approx(np.exp(-1e-4 * np.arange(31)), rel=1e-12)
    assert booked.nav == pytest.approx(alone.nav, rel=1e-12)
    assert alone.attribution["management_fee"] == pytest.approx(alone.nav - 1)


def test_run__late_schedule__pays_its_tip_once():
    """Drift comes a minute after the keeper's hour: 60 s at 0.1 a second, in shares; none for more chunks."""
    policy = replace(
        SCHEDULE, exclusive=3_600, tip_rate=WAD // 10, tip_cap=10 * WAD, max_notional=10**5 * WAD
    )
    bars = closes(*[100] * 62, *[105] * 8, interval=60, start=MIDNIGHT - 120)

    result = backtest.run(bars, Token(3.0, policy), reaction=Reaction.CLOSES)

    assert (result.trades["time"] - MIDNIGHT - 3_600).tolist() == [60, 120, 180]
    assert result.attribution["venue_fee"][-1] == pytest.approx(-6 / 1e6, rel=1e-4)


def test_attribution__any_path__sums_to_the_change_of_nav():
    bars = random_bars(7, 2_000, volatility=0.008)
    policy = replace(BARE, triggers=7, band_min=2 * WAD, band_max=4 * WAD, drift=5 * PERCENT)
    token = Token(3.0, policy, Fees(0, 0, WAD // 1_000), Costs(0.001, 1e-9, 1e-3))

    result = backtest.run(bars, token, random_funding(7, bars))

    assert 1 + summed(result) == pytest.approx(result.nav, abs=1e-12)
    assert all(np.ptp(result.attribution[line]) > 1e-6 for line in LINES)


# Ruin


def test_run__equity_gone__ends_at_nothing():
    bars = bars_of((100, 100, 100, 100), (100, 100, 60, 95), (95, 140, 95, 140))

    result = backtest.run(bars, Token(3.0, BARE))

    assert result.ruined_at is not None and MIDNIGHT + 60 < result.ruined_at < MIDNIGHT + 120
    assert result.nav.tolist() == [1, 1, 0, 0]
    assert result.size.tolist()[2:] == result.equity.tolist()[2:] == result.leverage.tolist()[2:] == [0, 0]
    assert summed(result)[-1] == pytest.approx(-1)


def test_run__same_fall_with_the_emergency_rule__survives():
    steps = [(price, price, price - 2, price - 2) for price in range(100, 60, -2)]

    assert backtest.run(bars_of(*steps), Token(3.0, BARE)).ruined_at is not None
    assert backtest.run(bars_of(*steps), Token(3.0, EMERGENCY)).nav[-1] == pytest.approx(0.2, abs=0.05)


# Bad input


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"time": np.array([0])}, "1 bars: there must be at least 2"),
        ({"time": np.array([0, 60, 180])}, "bars are 60 s apart, but 120 s after 60: fill the gaps first"),
        ({"time": np.array([0, -60, -120])}, "bars are -60 s apart, but -60 s after 0: fill the gaps first"),
        ({"low": np.array([1.0, 0.0, 1.0])}, "low of the bar at 60 is 0.0: it must be above 0"),
        ({"close": np.array([1.0, 1.0, math.nan])}, "close of the bar at 120 is nan: it must be above 0"),
        ({"high": np.array([math.inf, 1.0, 1.0])}, "high of the bar at 0 is inf: it must be above 0"),
        ({"open": np.ones(2)}, "2 values of open for 3 bars"),
    ],
)
def test_run__bars_that_cannot_be__are_refused(changes, complaint):
    bars = backtest._Flat(np.array([0, 60, 120]), *[np.ones(3)] * 4)._replace(**changes)

    with pytest.raises(InputError, match=f"^{complaint}$"):
        backtest.run(bars, Token(3.0, BARE))


@pytest.mark.parametrize(
    ("token", "every", "complaint"),
    [
        (Token(0.5, BARE), 1, "target 0.5x: it must be 1x to 5x, long or short"),
        (Token(-6.0, BARE), 1, "target -6x: it must be 1x to 5x, long or short"),
        (Token(3.0, BARE, capital=0.0), 1, "capital of 0: it must be above 0"),
        (Token(3.0, BARE, capital=math.nan), 1, "capital of nan: it must be above 0"),
        (
            Token(3.0, BARE, costs=Costs(fee=-0.1)),
            1,
            r"Costs\(fee=-0.1, impact=0.0, skew=0.0\): fee and impact may not be negative, .*",
        ),
        (
            Token(3.0, BARE, costs=Costs(impact=math.nan)),
            1,
            r"Costs\(fee=0.0, impact=nan, skew=0.0\): .* nor fee and skew beyond 1",
        ),
        (Token(3.0, BARE), 0, "a row for every 0 bars: it must be at least 1"),
    ],
)
def test_run__token_that_cannot_be__is_refused(token, every, complaint):
    with pytest.raises(InputError, match=f"^{complaint}$"):
        backtest.run(closes(1, 1), token, every=every)


@pytest.mark.parametrize(
    ("time", "rate", "complaint"),
    [
        ([60, 0], [0.0, 0.0], "funding payments must be in order of time"),
        ([0, 60], [0.0, math.nan], "the funding rate at 60 is nan: it must be finite"),
    ],
)
def test_run__funding_that_cannot_be__is_refused(time, rate, complaint):
    funding = Funding(np.array(time), np.array(rate), 60)

    with pytest.raises(InputError, match=f"^{complaint}$"):
        backtest.run(closes(1, 1), Token(3.0, BARE), funding)


# Machine code


def test_cache__lies_outside_the_sources_and_follows_every_rule(tmp_path, monkeypatch):
    """A change of a rule in another file must not leave old machine code in use."""
    folder = Path(backtest.settings.CACHE_DIR)
    (tmp_path / "rule_of_old.py").write_text("EDGE = 1\n")
    (tmp_path / "rule_of_new.py").write_text("EDGE = 2\n")
    monkeypatch.syspath_prepend(tmp_path)
    import rule_of_new
    import rule_of_old

    old, new = (backtest.cache_folder({rule.__name__}) for rule in (rule_of_old, rule_of_new))

    assert folder.is_relative_to(ROOT / ".cache") or not folder.is_relative_to(ROOT)
    assert old != new and old.parent == new.parent
    assert list((ROOT / "leverage").rglob("*.nbi")) == []
