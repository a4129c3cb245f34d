"""How fast backtests are, and how near the exact twin.

The twin is the baseline, too: the same rules and bars in plain Python, on a slice of them.
"""

import itertools
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from bench import exact
from bench.paths import DATA, chained, random_bars, random_funding
from leverage import backtest, config, sweep
from leverage.backtest import Costs, Token
from leverage.market import Bars, Funding
from leverage.types import WAD

YEAR_OF_MINUTES = 525_600
THREE_YEARS_OF_FIVES = 315_360
POLICIES = 1_000
SLICE = 3_000  # Bars that the twin replays.
PATHS = 12
COSTS = Costs(fee=0.0005, impact=5e-10, skew=1e-4)

Say = Callable[[str], None]


def run(report: Say) -> dict[str, Any]:
    """Compile, then the year, the sweep and the difference."""
    report("compiling")
    compiled, _ = seconds(backtest.prepare)
    return {"compile_s": round(compiled, 2), **year(report), **sweeping(report), **difference(report)}


def ours(symbol: str) -> Token:
    """A token of ours at a venue that costs something."""
    token = config.load().tokens[symbol]
    return Token(token.target / WAD, token.policy_struct(), token.fees_struct(), COSTS)


def year(report: Say) -> dict[str, Any]:
    """One policy over a year of minutes, the middle of five runs, and the twin's time for as many bars."""
    report("a year of minutes")
    recorded = DATA / "eth_usd_1m_2019-09_2020-03.csv.gz"
    if recorded.exists():
        half = Bars.read(recorded)
        bars, what = chained(half, half), f"{recorded.name}, twice"
    else:
        bars, what = random_bars(0, YEAR_OF_MINUTES, 60, 0.001), "a random walk"
    bars = bars.window(bars.start, bars.start + YEAR_OF_MINUTES * 60)
    funding, token = random_funding(0, bars), ours("ETH3L")
    took = statistics.median(seconds(lambda: backtest.run(bars, token, funding))[0] for _ in range(5))
    few = bars.window(bars.start, bars.start + SLICE * 60)
    by_twin, _ = seconds(lambda: exact.replay(few, token, funding))
    return {
        "year_1m_s": round(took, 4),
        "year_bars": len(bars),
        "year_data": what,
        "year_twin_ratio": round(took / len(bars) / (by_twin / len(few)), 6),
    }


def sweeping(report: Say) -> dict[str, Any]:
    """A thousand policies over three years of five minutes, and one thread's time for as many."""
    recorded = DATA / "eth_usd_5m_2022-05_2025-05.csv.gz"
    if recorded.exists():
        bars, funding = Bars.read(recorded), Funding.read(DATA / "funding_eth_binance_8h.csv.gz")
        bars = bars.window(bars.end - THREE_YEARS_OF_FIVES * 300, bars.end)
    else:
        bars = random_bars(0, THREE_YEARS_OF_FIVES, volatility=0.002)
        funding = random_funding(0, bars)
    tokens = policies()

    def show(done: int) -> None:
        report(f"sweep: {done} of {POLICIES} policies")

    took, told = seconds(lambda: sweep.run(bars, tokens, funding, progress=show))
    some = tokens[:: POLICIES // 20]
    alone, _ = seconds(lambda: sweep.run(bars, some, funding, workers=1))
    assert len(told) == POLICIES
    return {
        "sweep_1000_s": round(took, 2),
        "sweep_bars": len(bars),
        "sweep_data": recorded.name if recorded.exists() else "a random walk",
        "sweep_one_thread_ratio": round(took / POLICIES / (alone / len(some)), 3),
    }


def policies() -> list[Token]:
    """Bands, emergency moves and drifts round ours."""
    token = ours("ETH3L")
    percent = WAD // 100
    choices = itertools.product(range(310, 510, 20), range(4, 24, 2), range(2, 42, 4))
    return [
        replace(
            token,
            policy=replace(
                token.policy, band_max=high * percent, emergency_move=move * percent, drift=drift * percent
            ),
        )
        for high, move, drift in choices
    ]


def difference(report: Say) -> dict[str, Any]:
    """The largest relative difference from the twin over random paths, each of our tokens on two."""
    symbols = list(config.load().tokens)
    found = []
    for path in range(PATHS):
        report(f"twin: path {path + 1} of {PATHS}")
        token = ours(symbols[path % len(symbols)])
        bars = random_bars(path, SLICE, volatility=0.006)
        funding = random_funding(path, bars)
        fast = backtest.run(bars, token, funding)
        found.append(exact.difference(fast, exact.replay(bars, token, funding)))
    return {"fast_vs_twin_rel": max(found)}


def seconds(work: Callable[[], Any]) -> tuple[float, Any]:
    """How long it took, and what came of it."""
    began = time.perf_counter()
    result = work()
    return time.perf_counter() - began, result
