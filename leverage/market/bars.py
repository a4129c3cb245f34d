"""Open, high, low and close of a price over intervals of one length, without gaps."""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from leverage.market import table, times
from leverage.market.errors import DataError
from leverage.market.table import Flags, Numbers, Times

PRICES = ("open", "high", "low", "close")
MOST_BARS = 50_000_000  # Ninety-five years of minutes.


class Gaps(NamedTuple):
    """Bars that were missing: how many, in how many gaps, and the longest gap's bars and first moment."""

    missing: int
    gaps: int
    longest: int
    longest_at: int


@dataclass(frozen=True)
class Bars:
    """One bar per interval of `interval` seconds. `time` is when a bar opens, in unix seconds.

    A bar that was missing has the close before it as all its prices; `is_filled` tells which.
    """

    time: Times
    open: Numbers
    high: Numbers
    low: Numbers
    close: Numbers
    interval: int
    is_filled: Flags

    def __len__(self) -> int:
        return len(self.time)

    @classmethod
    def read(cls, path: Path | str) -> "Bars":
        """Bars of a file with the columns timestamp, open, high, low, close."""
        found = table.read(path, PRICES)
        opened, high, low, close = (found.numbers(name) for name in PRICES)
        return cls.of(found.times(), opened, high, low, close, found.where)

    @classmethod
    def of(
        cls,
        time: Times,
        open: Numbers,
        high: Numbers,
        low: Numbers,
        close: Numbers,
        where: Callable[[int], str] = "bar {}".format,
    ) -> "Bars":
        """Bars from columns, checked and filled; `where` says where a row comes from."""
        prices = dict(zip(PRICES, (open, high, low, close), strict=True))
        _check_times(time, close, where)
        _check_prices(time, prices, where)
        interval = table.common_step(time)
        _check_grid(time, interval, where)

        place = (time - time[0]) // interval
        count = int(place[-1]) + 1
        if count > MOST_BARS:
            raise DataError(
                f"{where(0)}: from {times.clock(time[0])} to {times.clock(time[-1])} there would be"
                f" {count:,} bars of {times.interval(interval)}, most of them missing: remove stray rows"
            )
        is_filled = np.ones(count, bool)
        is_filled[place] = False
        # Each bar's own row, or the last one before it.
        row = np.cumsum(~is_filled) - 1
        filled = {name: np.where(is_filled, close[row], values[row]) for name, values in prices.items()}
        return cls(time[0] + interval * np.arange(count), interval=interval, is_filled=is_filled, **filled)

    @property
    def start(self) -> int:
        """When the first bar opens."""
        return int(self.time[0])

    @property
    def end(self) -> int:
        """When the last bar closes."""
        return int(self.time[-1]) + self.interval

    def gaps(self) -> Gaps:
        """What was missing."""
        edges = np.diff(self.is_filled.astype(np.int8), prepend=0, append=0)
        first, last = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
        if not len(first):
            return Gaps(0, 0, 0, 0)
        lengths = last - first
        longest = int(np.argmax(lengths))
        return Gaps(int(lengths.sum()), len(first), int(lengths[longest]), int(self.time[first[longest]]))

    def window(self, start: int | None = None, end: int | None = None) -> "Bars":
        """The bars that open at `start` or later and close at `end` or earlier."""
        first = 0 if start is None else int(np.searchsorted(self.time, start))
        last = len(self) if end is None else int(np.searchsorted(self.time, end - self.interval, "right"))
        if last <= first:
            sides = [f"from {times.clock(start)}"] if start is not None else []
            sides += [f"to {times.clock(end)}"] if end is not None else []
            raise DataError(
                f"no bar of {times.interval(self.interval)} {' '.join(sides)}:"
                f" there are bars from {times.clock(self.start)} to {times.clock(self.end)}"
            )
        return self._at(slice(first, last))

    def resample(self, interval: int) -> "Bars":
        """Longer bars, which open at multiples of `interval`; what makes no whole one at the ends goes."""
        if interval == self.interval:
            return self
        factor, rest = divmod(interval, self.interval)
        offset = -self.start % interval
        if rest or factor == 0 or offset % self.interval:
            raise DataError(
                f"bars of {times.interval(self.interval)} from {times.clock(self.start)} on"
                f" do not make bars of {times.interval(interval)}: choose a multiple"
            )
        first = offset // self.interval
        count = (len(self) - first) // factor
        if count < 1:
            raise DataError(
                f"no whole bar of {times.interval(interval)} from {times.clock(self.start)}"
                f" to {times.clock(self.end)}: choose a shorter one"
            )
        whole = self._at(slice(first, first + count * factor))
        shape = (count, factor)
        return Bars(
            time=whole.time[::factor],
            open=whole.open[::factor],
            high=whole.high.reshape(shape).max(axis=1),
            low=whole.low.reshape(shape).min(axis=1),
            close=whole.close[factor - 1 :: factor],
            interval=interval,
            is_filled=whole.is_filled.reshape(shape).all(axis=1),
        )

    def write(self, path: Path | str) -> None:
        """Write the bars that were not missing to a .csv, .csv.gz or .parquet file."""
        kept = self._at(~self.is_filled)
        table.write(path, {table.TIME: kept.time, **{name: getattr(kept, name) for name in PRICES}})

    def __str__(self) -> str:
        gaps = self.gaps()
        period = f"{times.clock(self.start)} to {times.clock(self.end)}"
        text = f"{period}, {len(self):,} bars of {times.interval(self.interval)}"
        if not gaps.missing:
            return f"{text}, none missing"
        return (
            f"{text}, {gaps.missing:,} of them missing ({gaps.missing / len(self):.2%}), filled with the"
            f" close before; gaps: {gaps.gaps:,}, the longest {times.span(gaps.longest * self.interval)}"
            f" from {times.clock(gaps.longest_at)}"
        )

    def _at(self, chosen: slice | Flags) -> "Bars":
        arrays = {f.name: getattr(self, f.name)[chosen] for f in fields(self) if f.name != "interval"}
        return replace(self, **arrays)


def _check_times(time: Times, close: Numbers, where: Callable[[int], str]) -> None:
    if len(time) < 2:
        raise DataError(f"{where(-1)}: {len(time)} bars: two are needed at least, to tell their interval")
    wrong = np.flatnonzero(np.diff(time) <= 0)
    if not len(wrong):
        return
    row = int(wrong[0]) + 1
    now, before = times.clock(time[row]), times.clock(time[row - 1])
    if now == before:
        raise DataError(
            f"{where(row)}: {now} is there twice, with closes of {close[row - 1]:g} and {close[row]:g}:"
            " keep one row for each time"
        )
    raise DataError(f"{where(row)}: {now} comes after {before}: sort the rows by time, oldest first")


def _check_prices(time: Times, prices: dict[str, Numbers], where: Callable[[int], str]) -> None:
    for name, values in prices.items():
        wrong = np.flatnonzero(~(np.isfinite(values) & (values > 0)))
        if len(wrong):
            row = int(wrong[0])
            raise DataError(
                f"{where(row)}: {name} {values[row]:g} at {times.clock(time[row])} is no price:"
                " correct it or remove the row"
            )
    for less, more in (("low", "open"), ("low", "close"), ("open", "high"), ("close", "high")):
        wrong = np.flatnonzero(prices[less] > prices[more])
        if len(wrong):
            row = int(wrong[0])
            raise DataError(
                f"{where(row)}: {less} {prices[less][row]:g} is above {more} {prices[more][row]:g}"
                f" at {times.clock(time[row])}: correct the row or remove it"
            )


def _check_grid(time: Times, interval: int, where: Callable[[int], str]) -> None:
    steps = np.diff(time)
    wrong = np.flatnonzero(steps % interval)
    if len(wrong):
        row = int(wrong[0]) + 1
        raise DataError(
            f"{where(row)}: {times.clock(time[row])} is {times.span(int(steps[row - 1]))} after the bar"
            f" before, no multiple of {times.interval(interval)} as most are: move or remove the row"
        )
