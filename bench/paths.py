"""Bars and funding to replay: recorded ones where they are, and random ones."""

from pathlib import Path

import numpy as np

from leverage.market import Bars, Funding

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
START = 1_600_000_200  # A multiple of five minutes.
FUNDED = 28_800  # Seconds between two payments.


def random_bars(seed: int, count: int, interval: int = 300, volatility: float = 0.004) -> Bars:
    """A random walk with fat tails, and a gap from one bar to the next; `volatility` is per bar."""
    draw = np.random.default_rng(seed)
    close = 2_000 * np.exp(np.cumsum(draw.standard_t(4, count) * volatility / np.sqrt(2)))
    opened = np.append(2_000, close[:-1]) * (1 + draw.normal(0, volatility / 20, count))
    reach = 1 + np.abs(draw.normal(0, volatility / 2, (2, count)))
    high, low = np.maximum(opened, close) * reach[0], np.minimum(opened, close) / reach[1]
    return Bars.of(START + interval * np.arange(count), opened, high, low, close)


def random_funding(seed: int, bars: Bars) -> Funding:
    """A payment every eight hours, of 1 bp on average."""
    draw = np.random.default_rng(seed)
    time = np.arange(bars.start // FUNDED * FUNDED, bars.end + FUNDED, FUNDED)
    return Funding.of(time, draw.normal(1e-4, 3e-4, len(time)))


def chained(*parts: Bars) -> Bars:
    """Bars of one interval after each other, each part scaled to begin where the one before ended."""
    columns = {name: [] for name in ("open", "high", "low", "close")}
    last = parts[0].open[0]
    for part in parts:
        scale = last / part.open[0]
        for name, column in columns.items():
            column.append(getattr(part, name) * scale)
        last = part.close[-1] * scale
    prices = [np.concatenate(column) for column in columns.values()]
    return Bars.of(parts[0].start + parts[0].interval * np.arange(len(prices[0])), *prices)
