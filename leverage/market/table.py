"""Columns of numbers by time, in a file. Its content tells whether it is CSV or parquet, plain or gzip."""

import csv
import gzip
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyarrow import csv as arrow_csv
from pyarrow import parquet

from leverage.market import times
from leverage.market.errors import DataError

Times: TypeAlias = npt.NDArray[np.int64]
Numbers: TypeAlias = npt.NDArray[np.float64]
Flags: TypeAlias = npt.NDArray[np.bool_]

TIME = "timestamp"
GZIP, PARQUET = b"\x1f\x8b", b"PAR1"
SUFFIXES = (".csv", ".csv.gz", ".parquet")


@dataclass(frozen=True)
class Table:
    """A file's columns, with a way to say where in the file a row is."""

    path: Path
    columns: dict[str, Any]
    text: bytes | None = field(repr=False)

    def __len__(self) -> int:
        return len(self.columns[TIME])

    def where(self, row: int) -> str:
        """The place of a row in the file: its line, or its number where there are no lines."""
        return f"{self.path}, row {row}" if self.text is None else _line(self.path, self.text, row)

    def times(self) -> Times:
        """The column of times, in unix seconds."""
        column = self._column(TIME)
        if pa.types.is_date(column.type) or pa.types.is_timestamp(column.type):
            seconds = column.cast(pa.timestamp("s"), safe=False).cast(pa.int64())
            return np.asarray(seconds.to_numpy(), dtype=np.int64)
        if _is_number(column.type):
            written = column.cast(pa.float64(), safe=False).to_numpy()
            seconds = np.where(written >= times.MILLISECONDS_FROM, written // 1_000, written // 1)
            for row in np.flatnonzero(~((seconds >= 0) & (seconds <= times.LAST))):
                self._time(int(row), f"{written[row]:.0f}")
            return np.asarray(seconds.astype(np.int64))
        return np.array([self._time(row, text) for row, text in enumerate(column.to_pylist())], np.int64)

    def numbers(self, name: str) -> Numbers:
        """A column of numbers."""
        column = self._column(name)
        if _is_number(column.type):
            return np.asarray(column.cast(pa.float64(), safe=False).to_numpy(), dtype=np.float64)
        return np.array([self._number(row, name, text) for row, text in enumerate(column.to_pylist())], float)

    def _column(self, name: str) -> Any:
        """A column without holes."""
        column = self.columns[name]
        if column.null_count:
            row = column.is_null().to_pylist().index(True)
            raise DataError(f"{self.where(row)}: {name} is empty: fill it in or remove the row")
        return column

    def _time(self, row: int, text: Any) -> int:
        try:
            return times.parse_time(str(text))
        except DataError as error:
            raise DataError(f"{self.where(row)}: {TIME} {error}") from None

    def _number(self, row: int, name: str, text: Any) -> float:
        try:
            return float(text)
        except (TypeError, ValueError):
            raise DataError(f"{self.where(row)}: {name} {text!r} is no number") from None


def read(path: Path | str, names: Sequence[str]) -> Table:
    """The columns of these names, and that of time; others are ignored."""
    path = Path(path)
    try:
        data = path.read_bytes()
        if data.startswith(GZIP):
            data = gzip.decompress(data)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from None
    is_parquet = data.startswith(PARQUET)
    found = _parquet(path, data) if is_parquet else _csv(path, data)
    columns = {name.strip().lower(): found.column(place) for place, name in enumerate(found.column_names)}
    if missing := [name for name in (TIME, *names) if name not in columns]:
        raise DataError(
            f"{path}: no column {missing[0]!r}: {'' if is_parquet else 'the first line must name '}"
            f"{', '.join((TIME, *names))}; it has {', '.join(found.column_names)[:100]}"
        )
    return Table(path, columns, None if is_parquet else data)


def write(path: Path | str, columns: dict[str, npt.NDArray[Any]]) -> None:
    """Write columns as the ending of the name says: .csv, .csv.gz or .parquet."""
    path = Path(path)
    check_suffix(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".parquet":
        parquet.write_table(pa.table(columns), path)
        return
    with gzip.open(path, "wt", newline="") if path.suffix == ".gz" else path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(zip(*(column.tolist() for column in columns.values()), strict=True))


def check_suffix(path: Path) -> None:
    """Refuse a name whose ending says no format."""
    if not path.name.endswith(SUFFIXES):
        raise DataError(f"{path}: the name must end with {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}")


def common_step(time: Times) -> int:
    """The most frequent step from one time to the next, the shortest of several."""
    steps, counts = np.unique(np.diff(time), return_counts=True)
    return int(steps[np.argmax(counts)])


def _parquet(path: Path, data: bytes) -> Any:
    try:
        return parquet.read_table(pa.BufferReader(data))
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path}: not valid parquet: {error}") from None


def _csv(path: Path, data: bytes) -> Any:
    wrong: list[Any] = []

    def refuse(row: Any) -> str:
        wrong.append(row)
        return "error"

    def parse(types: dict[str, Any] | None = None) -> Any:
        return arrow_csv.read_csv(
            pa.BufferReader(data),
            read_options=arrow_csv.ReadOptions(use_threads=False),
            parse_options=arrow_csv.ParseOptions(invalid_row_handler=refuse),
            convert_options=arrow_csv.ConvertOptions(column_types=types, strings_can_be_null=True),
        )

    try:
        try:
            return parse()
        except pa.ArrowInvalid:
            if wrong:
                raise
            # A later row has another kind of value than the first; as text it can be found and named.
            names = arrow_csv.open_csv(pa.BufferReader(data)).schema.names
            return parse(dict.fromkeys(names, pa.string()))
    except pa.ArrowInvalid as error:
        if wrong:
            row = wrong[0]
            where = _line(path, data, row.number - 2)
            expected, found = row.expected_columns, row.actual_columns
            raise DataError(
                f"{where}: {expected} columns expected, {found} found: {row.text[:80]!r}"
            ) from None
        raise DataError(f"{path}: not valid CSV: {error}") from None


def _line(path: Path, text: bytes, row: int) -> str:
    """`path:line` of a row below the header; blank lines are none."""
    lines = [number for number, line in enumerate(text.splitlines(), 1) if line]
    return f"{path}:{lines[row + 1]}"


def _is_number(kind: Any) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))
