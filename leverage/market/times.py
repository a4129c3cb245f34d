"""Moments and intervals, and how people write them. In seconds, UTC."""

from datetime import UTC, datetime

from leverage.market.errors import DataError
from leverage.types import DAY

UNITS = {"s": 1, "m": 60, "h": 3_600, "d": DAY, "w": 7 * DAY}

# A number from here on is milliseconds: as such it is of 1973 or later, as seconds of the year 5138.
MILLISECONDS_FROM = 10**11
LAST = 253_402_300_799  # The end of the year 9999.


def parse_time(text: str) -> int:
    """Unix seconds of a moment: seconds, milliseconds, or ISO 8601, which is UTC unless it names a zone.

    Part of a second is dropped.
    """
    for parse in (_from_number, _from_iso):
        try:
            if 0 <= (time := parse(text.strip())) <= LAST:
                return time
        except (ValueError, OverflowError):
            pass
    raise DataError(
        f"{text!r} is no time: write unix seconds, milliseconds, or ISO 8601 such as 2024-01-31T00:02Z"
    )


def _from_number(text: str) -> int:
    number = float(text)
    return int(number // 1_000 if number >= MILLISECONDS_FROM else number // 1)


def _from_iso(text: str) -> int:
    moment = datetime.fromisoformat(text)
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())


def parse_interval(text: str) -> int:
    """Seconds of an interval such as 30s, 5m, 1h, 1d."""
    number, unit = text[:-1], text[-1:]
    if unit not in UNITS or not number.isdecimal() or not int(number):
        raise DataError(f"{text!r} is no interval: write a whole number and one of s, m, h, d, w, as in 5m")
    return int(number) * UNITS[unit]


def interval(seconds: int) -> str:
    """The shortest way to write an interval that `parse_interval` reads."""
    unit = max((unit for unit in UNITS if seconds % UNITS[unit] == 0), key=UNITS.__getitem__)
    return f"{seconds // UNITS[unit]}{unit}"


def clock(time: int) -> str:
    """A moment for people: date and minute, with its seconds where it has any."""
    moment = datetime.fromtimestamp(int(time), UTC)
    return moment.strftime("%Y-%m-%d %H:%M:%S" if moment.second else "%Y-%m-%d %H:%M")


def span(seconds: int) -> str:
    """A length of time for people, in its two largest units."""
    parts = []
    for unit, name in ((DAY, "d"), (3_600, "h"), (60, "min"), (1, "s")):
        if seconds >= unit:
            parts.append(f"{seconds // unit} {name}")
            seconds %= unit
    return " ".join(parts[:2]) or "0 s"
