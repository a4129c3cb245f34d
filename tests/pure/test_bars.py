"""Bars: what a file may look like, what is refused in which words, and what filling and resampling keep."""

import gzip
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from leverage.market import Bars, DataError
from leverage.market.times import clock, interval, parse_interval, parse_time, span

DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data"
START = 1_577_836_800  # 2020-01-01 00:00 UTC.
HEADER = "timestamp,open,high,low,close\n"
MINUTES = HEADER + f"{START},100,103,99,101\n{START + 60},101,102,100,101\n{START + 120},101,105,101,104\n"


def saved(folder: Path, text: str, name: str = "prices.csv") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def bars_of(closes, step=60, start=START) -> Bars:
    """Bars that open at the close before and reach no further than their ends."""
    close = np.asarray(closes, float)
    opened = np.concatenate(([close[0]], close[:-1]))
    time = start + step * np.arange(len(close))
    return Bars.of(time, opened, np.maximum(opened, close), np.minimum(opened, close), close)


def same(one: Bars, other: Bars) -> bool:
    names = ("time", "open", "high", "low", "close", "is_filled")
    return one.interval == other.interval and all(
        np.array_equal(getattr(one, n), getattr(other, n)) for n in names
    )


# Files


def test_read__csv__is_its_rows(tmp_path):
    bars = Bars.read(saved(tmp_path, MINUTES))

    assert bars.time.tolist() == [START, START + 60, START + 120]
    assert bars.open.tolist() == [100, 101, 101]
    assert bars.high.tolist() == [103, 102, 105]
    assert bars.low.tolist() == [99, 100, 101]
    assert bars.close.tolist() == [101, 101, 104]
    assert (bars.interval, bars.start, bars.end) == (60, START, START + 180)
    assert not bars.is_filled.any()


def test_read__gzip_and_parquet__are_told_by_their_content(tmp_path):
    plain = Bars.read(saved(tmp_path, MINUTES))
    packed = tmp_path / "packed.csv"
    packed.write_bytes(gzip.compress(MINUTES.encode()))
    columns = tmp_path / "columns.gz"
    columns.write_bytes(gzip.compress(as_parquet(tmp_path, plain, pa.int64()).read_bytes()))

    assert same(Bars.read(packed), plain)
    assert same(Bars.read(columns), plain)


def as_parquet(folder: Path, bars: Bars, kind) -> Path:
    path = folder / f"{str(kind)[:9]}.parquet"
    time = pa.array(bars.time).cast(kind) if kind == pa.int64() else pa.array(bars.time * 1_000_000_000, kind)
    columns = {"timestamp": time, **{n: getattr(bars, n) for n in ("open", "high", "low", "close")}}
    parquet.write_table(pa.table(columns), path)
    return path


@pytest.mark.parametrize("kind", [pa.timestamp("ns"), pa.timestamp("ns", "UTC")])
def test_read__parquet_with_dates__is_the_same(tmp_path, kind):
    plain = Bars.read(saved(tmp_path, MINUTES))

    assert same(Bars.read(as_parquet(tmp_path, plain, kind)), plain)


@pytest.mark.parametrize(
    "written",
    [
        str,
        lambda time: str(time * 1_000),
        lambda time: f"{time * 1_000 + 999}",
        lambda time: f"{time}.0",
        lambda time: clock(time),
        lambda time: clock(time).replace(" ", "T") + "Z",
        lambda time: clock(time).replace(" ", "T") + ":00+00:00",
        lambda time: clock(time + 7_200).replace(" ", "T") + "+02:00",
        lambda time: clock(time) + (" " if time == START else ""),
    ],
)
def test_read__times_in_any_form__are_the_same(tmp_path, written):
    rows = "".join(f"{written(START + 60 * n)},100,101,99,100\n" for n in range(3))

    bars = Bars.read(saved(tmp_path, HEADER + rows))

    assert bars.time.tolist() == [START, START + 60, START + 120]


def test_read__columns_in_another_order_and_more__are_found_by_name(tmp_path):
    rows = "".join(f"7,{close},101,{START + 60 * n},100,99\n" for n, close in enumerate((100, 99.5)))
    text = f"Volume, close,HIGH,Timestamp,open,low\r\n{rows}\r\n\n"

    bars = Bars.read(saved(tmp_path, text))

    assert bars.close.tolist() == [100, 99.5] and bars.low.tolist() == [99, 99]


@pytest.mark.parametrize("name", ["out.csv", "out.csv.gz", "deep/out.parquet"])
def test_write__then_read__is_the_same(tmp_path, name):
    holed = (
        HEADER + f"{START},100.1,103,99,101\n{START + 60},101,102,100,1e2\n{START + 240},101,105,101,104\n"
    )
    bars = Bars.read(saved(tmp_path, holed))

    bars.write(tmp_path / name)

    assert same(Bars.read(tmp_path / name), bars)


def test_write__unknown_ending__is_refused(tmp_path):
    with pytest.raises(DataError, match=r"out\.xls: the name must end with \.csv, \.csv\.gz or \.parquet"):
        Bars.read(saved(tmp_path, MINUTES)).write(tmp_path / "out.xls")


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (
            ["100,103,101,102"],
            r":2: low 101 is above open 100 at 2020-01-01 00:00: correct the row or remove",
        ),
        (["100,103,99,98"], r":2: low 99 is above close 98 at"),
        (["104,103,99,100"], r":2: open 104 is above high 103 at"),
        (["100,103,99,104"], r":2: close 104 is above high 103 at"),
        (["0,103,0,100"], r":2: open 0 at 2020-01-01 00:00 is no price"),
        (["100,inf,99,100"], r":2: high inf at 2020-01-01 00:00 is no price"),
        (["100,103,-1,100"], r":2: low -1 at 2020-01-01 00:00 is no price"),
        (["100,103,99,"], r":2: close is empty: fill it in or remove the row"),
        (["100,103,99,nan"], r":2: close is empty"),
        (["100,103,99,abc"], r":2: close 'abc' is no number"),
        (["100,103,99"], r":2: 5 columns expected, 4 found: '1577836800,100,103,99'"),
        (["100,103,99,100,7"], r":2: 5 columns expected, 6 found"),
        (["100,103,99,100", "", "100,103,101,102"], r":4: low 101 is above open 100 at 2020-01-01 00:01"),
        (["100,103,99,100", "", "100,103"], r":4: 5 columns expected, 3 found"),
        (["100,103,99,100", "", "100,103,99,abc"], r":4: close 'abc' is no number"),
    ],
)
def test_read__bad_row__is_one_line_with_its_place(tmp_path, rows, said):
    written, time = [], START
    for row in rows:
        written.append(f"{time},{row}" if row else "")
        time += 60 if row else 0
    good = [f"{time + 60 * n},100,103,99,100" for n in range(2)]

    with pytest.raises(DataError, match=r"prices\.csv" + said) as caught:
        Bars.read(saved(tmp_path, HEADER + "\n".join(written + good) + "\n"))

    assert "\n" not in str(caught.value)


def test_read__bad_row_after_a_million_bytes__is_found(tmp_path):
    rows = [f"{START + 60 * n},100.001,103.002,99.003,100.004" for n in range(40_000)]
    rows[39_998] = f"{START + 60 * 39_998},100,103,99,oops"

    with pytest.raises(DataError, match=r"prices\.csv:40000: close 'oops' is no number"):
        Bars.read(saved(tmp_path, HEADER + "\n".join(rows)))


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        ((0, 60, 60, 120), r":4: 2020-01-01 00:01 is there twice, with closes of 101 and 102: keep one row"),
        ((0, 120, 60), r":4: 2020-01-01 00:01 comes after 2020-01-01 00:02: sort the rows by time, oldest"),
        (
            (0, 60, 120, 210, 270),
            r":5: 2020-01-01 00:03:30 is 1 min 30 s after the bar before, no multiple of 1m as most are",
        ),
        ((0,), r":1: 1 bars: two are needed at least"),
        ((), r":1: 0 bars: two are needed at least"),
        ((0, 1, 2, 1_000_000_000), r"there would be 1,000,000,001 bars of 1s, most of them missing: remove"),
    ],
)
def test_read__bad_times__are_one_line_with_their_place(tmp_path, seconds, said):
    rows = "".join(f"{START + s},100,200,99,{100 + n}\n" for n, s in enumerate(seconds))

    with pytest.raises(DataError, match=said):
        Bars.read(saved(tmp_path, HEADER + rows))


@pytest.mark.parametrize(
    "time", ["yesterday", "2020-13-01", "nan", "-", "1577836860000000", "-60", "1e99", "1577836860000000000"]
)
def test_read__no_time__is_one_line_with_its_place(tmp_path, time):
    rows = f"{START},100,101,99,100\n{time},100,101,99,100\n"

    with pytest.raises(DataError, match=r"prices\.csv:3: timestamp (is empty|.* is no time: write unix sec)"):
        Bars.read(saved(tmp_path, HEADER + rows))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "not valid CSV: Empty CSV file"),
        (b"timestamp,close\n1,2\n", "no column 'open': the first line must name timestamp, open, high, low"),
        (b"1577836800,1,2,3,4\n", "no column 'timestamp': the first line must name"),
        (gzip.compress(MINUTES.encode())[:-20], "cannot be read: Compressed file ended"),
        (b"\x1f\x8bnonsense", "cannot be read: "),
        (b"PAR1nonsense", "not valid parquet: "),
    ],
)
def test_read__bad_file__is_one_line(tmp_path, content, said):
    path = tmp_path / "prices.csv"
    path.write_bytes(content)

    with pytest.raises(DataError, match=f"prices.csv: {said}"):
        Bars.read(path)


def test_read__parquet_with_a_bad_row__says_which(tmp_path):
    path = tmp_path / "prices.parquet"
    time = [START, START + 60]
    parquet.write_table(
        pa.table({"timestamp": time, "open": [1, 5], "high": [2, 2], "low": [1, 1], "close": [1, 1]}), path
    )

    with pytest.raises(DataError, match=r"prices\.parquet, row 1: open 5 is above high 2"):
        Bars.read(path)


@pytest.mark.parametrize(("name", "said"), [("none.csv", "No such file"), (".", "Is a directory")])
def test_read__no_file__is_one_line(tmp_path, name, said):
    with pytest.raises(DataError, match=f"cannot be read: {said}"):
        Bars.read(tmp_path / name)


# Gaps


def test_fill__missing_bars__have_the_close_before_and_are_reported():
    time = START + 60 * np.array([0, 1, 4, 5, 7])
    close = np.array([10.0, 11, 12, 13, 14])
    bars = Bars.of(time, close, close + 1, close - 1, close)

    assert bars.close.tolist() == [10, 11, 11, 11, 12, 13, 13, 14]
    assert bars.open[2:4].tolist() == bars.high[2:4].tolist() == bars.low[2:4].tolist() == [11, 11]
    assert np.flatnonzero(bars.is_filled).tolist() == [2, 3, 6]
    assert bars.gaps() == (3, 2, 2, START + 120)
    assert str(bars) == (
        "2020-01-01 00:00 to 2020-01-01 00:08, 8 bars of 1m, 3 of them missing (37.50%), filled with the"
        " close before; gaps: 2, the longest 2 min from 2020-01-01 00:02"
    )
    assert (
        str(bars.window(end=START + 120))
        == "2020-01-01 00:00 to 2020-01-01 00:02, 2 bars of 1m, none missing"
    )


@given(st.lists(st.integers(1, 9), min_size=1, max_size=50), st.sampled_from([1, 60, 300, 86_400]))
def test_fill__any_gaps__change_no_bar_that_was_there(steps, length):
    steps = [1, *steps, 1, 1, 1, 1] + [1] * len(steps)  # The bars' own length is the most frequent step.
    place = np.concatenate(([0], np.cumsum(steps)))
    close = 100.0 + np.arange(len(place))

    bars = Bars.of(START + length * place, close, close, close, close)

    assert bars.interval == length
    assert (np.diff(bars.time) == length).all()
    assert np.array_equal(bars.close[place], close)
    assert np.flatnonzero(~bars.is_filled).tolist() == place.tolist()
    assert bars.gaps().missing == place[-1] + 1 - len(place) == bars.is_filled.sum()
    assert (bars.close[1:][bars.is_filled[1:]] == bars.close[:-1][bars.is_filled[1:]]).all()


# Windows and other intervals


def test_window__moments__are_met_from_inside():
    bars = bars_of(range(1, 11))

    assert len(bars.window()) == 10
    assert bars.window(START + 60, START + 240).close.tolist() == [2, 3, 4]
    assert bars.window(START + 30, START + 239).close.tolist() == [2, 3]
    assert bars.window(START - 999, START + 9_999).close.tolist() == bars.close.tolist()
    with pytest.raises(
        DataError,
        match="no bar of 1m from 2020-01-02 00:00: there are bars from 2020-01-01 00:00 to 2020-01-01 00:10",
    ):
        bars.window(START + 86_400)
    with pytest.raises(DataError, match="no bar of 1m from 2020-01-01 00:05 to 2020-01-01 00:01"):
        bars.window(START + 300, START + 60)


def test_resample__hours__are_whole_ones_alone():
    bars = bars_of(np.arange(1, 241), start=START - 600)

    hours = bars.resample(3_600)

    assert hours.time.tolist() == [START, START + 3_600, START + 7_200]
    assert hours.open.tolist() == [10, 70, 130] and hours.close.tolist() == [70, 130, 190]
    assert hours.high.tolist() == [70, 130, 190] and hours.low.tolist() == [10, 70, 130]


def test_resample__gap_of_an_hour__stays_one():
    time = START + 60 * np.concatenate((np.arange(60), np.arange(150, 300)))
    close = np.ones(len(time))

    hours = Bars.of(time, close, close, close, close).resample(3_600)

    assert hours.is_filled.tolist() == [False, True, False, False, False]


@given(st.lists(st.floats(1, 1e6), min_size=60, max_size=60))
def test_resample__in_two_steps__is_the_same_as_in_one(closes):
    bars = bars_of(closes)

    once = bars.resample(1_800)

    assert same(bars.resample(300).resample(1_800), once)
    assert same(bars.resample(60), bars)
    assert once.high.max() == bars.high.max() and once.low.min() == bars.low.min()
    assert once.close[-1] == bars.close[-1] and once.open[0] == bars.open[0]


@pytest.mark.parametrize("seconds", [90, 30, 7_200])
def test_resample__what_does_not_fit__is_refused(seconds):
    with pytest.raises(DataError, match=r"bars of 1m from .* do not make bars of|no whole bar of 2h"):
        bars_of(range(1, 61)).resample(seconds)


# How people write time


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("1577836800", START),
        ("1577836800000", START),
        (" 1577836800.9 ", START),
        ("99999999999", 99_999_999_999),
        ("100000000000", 100_000_000),
        ("2020-01-01", START),
        ("2020-01-01 00:02", START + 120),
        ("2020-01-01T02:00+02:00", START),
        ("2020-01-01T00:00:01Z", START + 1),
    ],
)
def test_parse_time__any_form__is_unix_seconds(text, time):
    assert parse_time(text) == time


@pytest.mark.parametrize(
    "text", ["", "soon", "2020-1-1", "inf", "1e99", "1e400", "-1", "1960-01-01", "2020-01-01 25:00"]
)
def test_parse_time__no_time__is_refused(text):
    with pytest.raises(DataError, match="is no time: write unix seconds, milliseconds, or ISO 8601"):
        parse_time(text)


@given(st.integers(1, 10**7))
def test_interval__written_and_read__is_the_same(seconds):
    assert parse_interval(interval(seconds)) == seconds


@pytest.mark.parametrize("text", ["", "m", "0m", "-5m", "1.5h", "5 m", "60", "1y"])
def test_parse_interval__none__is_refused(text):
    with pytest.raises(DataError, match="is no interval: write a whole number and one of s, m, h, d, w"):
        parse_interval(text)


def test_span__seconds__has_two_units():
    assert [span(s) for s in (0, 59, 3_600, 90_061)] == ["0 s", "59 s", "1 h", "1 d 1 h"]


# The real data


@pytest.mark.skipif(not DATA.is_dir(), reason=f"not run: no market data in {DATA}")
@pytest.mark.parametrize(
    ("name", "rows", "missing"),
    [
        ("eth_usd_1m_2019-09_2020-03", 225_435, 48_165),
        ("eth_usd_5m_2022-05_2025-05", 322_308, 2_268),
        ("eth_usd_1h", 64_870, 122),
        ("ethbull_daily", 310, 0),
        ("ethdown_binance_4h", 5_241, 5),
    ],
)
def test_read__real_bars__are_as_the_list_says(name, rows, missing):
    bars = Bars.read(DATA / f"{name}.csv.gz")

    assert bars.gaps().missing == missing
    assert len(bars) == rows + missing
