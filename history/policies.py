"""Rebalancing rules compared on the same prices, at the same costs."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from history import replay
from history.replay import Period
from leverage import statistics, sweep
from leverage.backtest import Result, Token
from leverage.statistics import Summary
from leverage.types import DAY

POLICIES = "ours", "ftx", "bybit", "kucoin", "tlx"
TARGETS = 3, -3
ETH, BTC = "funding_eth_binance_8h", "funding_btc_binance_8h"
SPLIT = "2024-01-01"

# All bars of five minutes and less that there are, before and after the day on which defaults were chosen.
BEFORE = (
    Period("ETH 2019-09 to 2020-03", "eth_usd_1m_2019-09_2020-03", funding=ETH),
    Period("BTC 2019-09 to 2020-03", "btc_usd_1m_2019-09_2020-03", funding=BTC),
    Period("ETH 2021-04 to 2021-06", "eth_usd_1m_2021-04_2021-06", funding=ETH),
    Period("BTC 2021-04 to 2021-05", "btc_usd_1m_2021-04_2021-05", funding=BTC),
    Period("ETH 2021-11 to 2021-12", "eth_usd_1m_2021-11_2021-12", funding=ETH),
    Period("ETH 2022-05 to 2023-12", "eth_usd_5m_2022-05_2025-05", end="2023-12-31 23:55", funding=ETH),
    Period("BTC 2022-08 to 2023-12", "btc_usd_5m_2022-08_2025-05", end="2023-12-31 23:55", funding=BTC),
)
AFTER = (
    Period("ETH 2024-01 to 2025-05", "eth_usd_5m_2022-05_2025-05", start=SPLIT, funding=ETH),
    Period("BTC 2024-01 to 2025-05", "btc_usd_5m_2022-08_2025-05", start=SPLIT, funding=BTC),
)

# Days on which leveraged positions were wiped out, and rallies that do it to shorts; from the evening before.
CRASHES = (
    Period("ETH 2020-03-12", "eth_usd_1m_2019-09_2020-03", "2020-03-11 18:00", "2020-03-13 18:00", ETH),
    Period("ETH 2021-05-19", "eth_usd_1m_2021-04_2021-06", "2021-05-18 18:00", "2021-05-20 18:00", ETH),
    Period("ETH 2021-12-04", "eth_usd_1m_2021-11_2021-12", "2021-12-03 18:00", "2021-12-05 18:00", ETH),
    Period("ETH 2022-11-08", "eth_usd_5m_2022-05_2025-05", "2022-11-07 18:00", "2022-11-10 18:00", ETH),
    Period("ETH 2024-08-05", "eth_usd_5m_2022-05_2025-05", "2024-08-03 18:00", "2024-08-06 18:00", ETH),
)
RALLIES = (
    Period("BTC 2019-10-25", "btc_usd_1m_2019-09_2020-03", "2019-10-24 18:00", "2019-10-27 18:00", BTC),
    Period("ETH 2021-05-24", "eth_usd_1m_2021-04_2021-06", "2021-05-23 12:00", "2021-05-26 18:00", ETH),
    Period("ETH 2024-05-20", "eth_usd_5m_2022-05_2025-05", "2024-05-19 18:00", "2024-05-22 18:00", ETH),
)


class Figures(NamedTuple):
    """A token's life in one period."""

    days: float
    summary: Summary
    error: float  # Sum of the squares of the daily differences from the multiple.
    difference: float  # Sum of their sizes.
    worst: float  # The highest |leverage| it ever had, before it was rebalanced, too.


def figures(result: Result, token: Token) -> Figures:
    """What is kept of a replay."""
    summary = statistics.summarise(result, token)
    daily = statistics.tracking(result.time, result.nav, result.price, token.target, token.policy.offset)
    before = np.abs(result.trades["leverage_before"])
    return Figures(
        days=(summary.end - summary.start) / DAY,
        summary=summary,
        error=float(daily.difference @ daily.difference),
        difference=float(np.abs(daily.difference).sum()),
        worst=max(summary.leverage_max, float(before.max(initial=0.0))),
    )


class Score(NamedTuple):
    """Several periods together."""

    tracking_error: float  # Root of the mean square of the daily differences.
    difference: float  # Mean size of them.
    turnover: float  # Value traded over equity, per year.
    decay: (
        float  # What nav lost beyond the asset's power and the decay of its variance, a log return per year.
    )
    worst: float
    rebalances: float  # Per year.
    ruined: int

    @classmethod
    def of(cls, lives: list[Figures]) -> "Score":
        days = sum(life.days for life in lives)
        years = days / 365
        alive = [life.summary for life in lives if life.summary.ruined_at is None]
        alive_years = sum(s.end - s.start for s in alive) / DAY / 365
        beyond = sum(np.log1p(s.decay) - np.log1p(s.expected_decay) for s in alive)
        return cls(
            tracking_error=float(np.sqrt(sum(life.error for life in lives) / days)),
            difference=sum(life.difference for life in lives) / days,
            turnover=sum(life.summary.turnover * life.days for life in lives) / days,
            decay=float(beyond / alive_years) if alive_years else 0.0,
            worst=max(life.worst for life in lives),
            rebalances=sum(sum(life.summary.rebalances.values()) for life in lives) / years,
            ruined=sum(life.summary.ruined_at is not None for life in lives),
        )


def lives(
    tokens: list[Token], periods: tuple[Period, ...], tell: Callable[[str], None] = lambda text: None
) -> list[list[Figures]]:
    """Each token's life in each of the periods."""
    found = []
    for period in periods:
        tell(period.name)
        found.append(sweep.run(period.bars, tokens, period.paid, summarise=figures))
    return [list(life) for life in zip(*found, strict=True)]


def compared(
    periods: tuple[Period, ...], tell: Callable[[str], None] = lambda text: None
) -> dict[tuple[str, int], list[Figures]]:
    """Every policy at +3x and -3x."""
    keys = [(name, target) for target in TARGETS for name in POLICIES]
    tokens = [replay.token(name, target) for name, target in keys]
    return dict(zip(keys, lives(tokens, periods, tell), strict=True))


def survived(period: Period, target: int) -> dict[str, tuple[Result, float]]:
    """Every policy through a crash or a rally: the replay, and the highest |leverage| there was."""
    found = {}
    for name in POLICIES:
        token = replay.token(name, target)
        result = period.replay(token)
        found[name] = result, figures(result, token).worst
    return found
