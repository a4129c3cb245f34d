"""What positions pay for being held: fractions of the notional, at their times."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from leverage.market import table, times
from leverage.market.errors import DataError
from leverage.market.table import Numbers, Times
from leverage.statistics import YEAR

RATE = "rate"


@dataclass(frozen=True)
class Funding:
    """Payments: at `time`, in unix seconds, a long pays `rate` of its notional, and a short gets as much.

    A rate below zero is the other way round. `interval` is the usual time between two, in seconds.
    """

    time: Times
    rate: Numbers
    interval: int

    def __len__(self) -> int:
        return len(self.time)

    @classmethod
    def read(cls, path: Path | str) -> "Funding":
        """Payments of a file with the columns timestamp, rate."""
        found = table.read(path, [RATE])
        return cls.of(found.times(), found.numbers(RATE), found.where)

    @classmethod
    def of(cls, time: Times, rate: Numbers, where: Callable[[int], str] = "payment {}".format) -> "Funding":
        """Payments from columns, checked; `where` says where a row comes from."""
        if len(time) < 2:
            raise DataError(f"{where(-1)}: {len(time)} payments: two are needed, to tell their interval")
        unsorted = np.flatnonzero(np.diff(time) <= 0)
        if len(unsorted):
            row = int(unsorted[0]) + 1
            raise DataError(
                f"{where(row)}: {times.clock(time[row])} comes after {times.clock(time[row - 1])}:"
                " sort the rows by time, oldest first, and keep one for each time"
            )
        wrong = np.flatnonzero(~(np.abs(rate) < 1))
        if len(wrong):
            row = int(wrong[0])
            raise DataError(
                f"{where(row)}: rate {rate[row]:g} at {times.clock(time[row])} is no fraction of the"
                " notional: write 0.01 % as 0.0001"
            )
        return cls(time, rate, table.common_step(time))

    @property
    def missing(self) -> int:
        """Payments absent between the first and the last; nothing is paid in their place."""
        return round(int(self.time[-1] - self.time[0]) / self.interval) + 1 - len(self) if len(self) else 0

    def window(self, start: int, end: int) -> "Funding":
        """The payments after `start`, up to `end`; there may be none."""
        chosen = (self.time > start) & (self.time <= end)
        return Funding(self.time[chosen], self.rate[chosen], self.interval)

    def per_year(self) -> float:
        """Mean rate as a fraction of the notional per year of 365 days."""
        return float(self.rate.mean()) * YEAR / self.interval if len(self) else 0.0

    def write(self, path: Path | str) -> None:
        """Write the payments to a .csv, .csv.gz or .parquet file."""
        table.write(path, {table.TIME: self.time, RATE: self.rate})

    def __str__(self) -> str:
        if not len(self):
            return "no payments in the window"
        missing = f", {self.missing:,} missing and taken as none" if self.missing else ""
        return (
            f"{times.clock(self.time[0])} to {times.clock(self.time[-1])},"
            f" {len(self):,} payments every {times.interval(self.interval)}{missing};"
            f" longs paid {self.per_year():+.2%} of the notional per year"
        )
