"""A stretch of prices from a CSV file.

Comments start with `#`, and the first names the source. Then come `time,<market>,...` and the rows.
"""

import csv
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path

from leverage.errors import LeverageError
from leverage.types import WAD

SAMPLE = Path(__file__).parent / "prices.csv"
MAX_GAP = 3_600  # Seconds; the oracle's heartbeat is five minutes longer.
MAX_STEP = 2  # The pool's makers quote over a wide but finite range.


class PricesError(LeverageError):
    """A price file that cannot be played."""


@dataclass(frozen=True)
class Row:
    """The prices of all markets, WAD, from a moment on."""

    time: int
    prices: dict[str, int]


@dataclass(frozen=True)
class Prices:
    """What the file says of itself, and its rows, oldest first."""

    path: Path
    source: str
    markets: tuple[str, ...]
    rows: tuple[Row, ...]

    @property
    def period(self) -> str:
        start, end = (clock(row.time, "%Y-%m-%d %H:%M") for row in (self.rows[0], self.rows[-1]))
        return f"{start} to {end} UTC"


def clock(time: int, form: str = "%H:%M") -> str:
    """Seconds as UTC."""
    return datetime.fromtimestamp(time, UTC).strftime(form)


def load(path: Path | str = SAMPLE) -> Prices:
    """Read and check a file; the message of what is wrong with it names the line."""
    path = Path(path)
    try:
        lines = path.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise PricesError(f"{path}: cannot be read: {getattr(error, 'strerror', 'not text')}") from None

    comments = [line.lstrip("# ").rstrip() for line in lines if line.startswith("#")]
    table = [(n, line) for n, line in enumerate(lines, 1) if line.strip() and not line.startswith("#")]
    header, *body = table or [(1, "")]
    markets = tuple(name.strip() for name in header[1].split(",")[1:])
    if not header[1].startswith("time,") or not all(markets) or len(set(markets)) < len(markets):
        raise PricesError(f"{path}:{header[0]}: the header must be `time,<market>,...`")
    if len(body) < 2:
        raise PricesError(f"{path}: two rows are needed at least")

    rows: list[Row] = []
    for number, line in body:
        try:
            row = _row(markets, next(csv.reader([line])))
            _check_step(rows[-1] if rows else row, row, is_first=not rows)
        except ValueError as error:
            raise PricesError(f"{path}:{number}: {error}") from None
        rows.append(row)
    return Prices(path, (comments or [path.name])[0], markets, tuple(rows))


def _row(markets: tuple[str, ...], fields: list[str]) -> Row:
    if len(fields) != len(markets) + 1:
        raise ValueError(f"{len(markets) + 1} columns expected, {len(fields)} found")
    time = int(fields[0]) if fields[0].isdecimal() else _seconds(fields[0])
    return Row(time, {name: _wad(field) for name, field in zip(markets, fields[1:], strict=True)})


def _seconds(text: str) -> int:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text} names no time zone; end it with Z for UTC")
    return int(moment.timestamp())


def _wad(text: str) -> int:
    try:
        price = Decimal(text)
    except InvalidOperation:
        raise ValueError(f"{text!r} is not a price") from None
    if not price.is_finite() or price <= 0:
        raise ValueError(f"{text!r} is not a price")
    # The oracle, like Chainlink's, has eight decimals.
    return int(price * 10**8) * WAD // 10**8


def _check_step(last: Row, row: Row, *, is_first: bool) -> None:
    if is_first:
        return
    if not 0 < row.time - last.time <= MAX_GAP:
        raise ValueError(f"rows must follow each other by 1 s to {MAX_GAP} s")
    for name, price in row.prices.items():
        if not last.prices[name] < price * MAX_STEP < last.prices[name] * MAX_STEP**2:
            raise ValueError(f"{name} moves by more than a factor of {MAX_STEP} at once")
