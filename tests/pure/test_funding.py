"""Funding rates: what a file may say, what is refused, and which payments belong to a window."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from leverage.market import DataError, Funding

DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data"
START = 1_577_836_800  # 2020-01-01 00:00 UTC.
HOUR = 3_600


def saved(folder: Path, *rows: tuple) -> Path:
    path = folder / "funding.csv"
    path.write_text("timestamp,rate\n" + "".join(",".join(map(str, row)) + "\n" for row in rows))
    return path


def test_read__payments__tell_their_interval(tmp_path):
    hours = (0, 8, 16, 32, 40)  # The one at 24 is missing.

    funding = Funding.read(saved(tmp_path, *((START + HOUR * hour, 0.0001) for hour in hours)))

    assert funding.interval == 8 * HOUR
    assert funding.missing == 1
    assert funding.rate.tolist() == [0.0001] * 5
    assert funding.per_year() == pytest.approx(0.0001 * 3 * 365)
    assert str(funding) == (
        "2020-01-01 00:00 to 2020-01-02 16:00, 5 payments every 8h, 1 missing and taken as none;"
        " longs paid +10.95% of the notional per year"
    )


def test_read__milliseconds_late__are_the_same_seconds(tmp_path):
    rows = [((START + 8 * HOUR * n) * 1_000 + late, -0.0002) for n, late in enumerate((0, 7, 3))]

    funding = Funding.read(saved(tmp_path, *rows))

    assert funding.time.tolist() == [START, START + 8 * HOUR, START + 16 * HOUR]
    assert (funding.interval, funding.missing) == (8 * HOUR, 0)


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([(START, 0.1), (START + 1, 1.2)], r":3: rate 1\.2 at 2020-01-01 00:00:01 is no fraction of the not"),
        ([(START, -5), (START + 1, 0)], r":2: rate -5 at 2020-01-01 00:00 is no fraction"),
        ([(START, "inf"), (START + 1, 0)], r":2: rate inf at 2020-01-01 00:00 is no fraction"),
        ([(START, "")] * 2, r":2: rate is empty"),
        ([(START, 0), (START, 0)], r":3: 2020-01-01 00:00 comes after 2020-01-01 00:00: sort the rows"),
        ([(START + 60, 0), (START, 0)], r":3: 2020-01-01 00:00 comes after 2020-01-01 00:01: sort the rows"),
        ([(START, 0)], r":1: 1 payments: two are needed"),
    ],
)
def test_read__bad_row__is_one_line_with_its_place(tmp_path, rows, said):
    with pytest.raises(DataError, match=r"funding\.csv" + said):
        Funding.read(saved(tmp_path, *rows))


@given(st.integers(-2, 12), st.integers(-2, 12))
def test_window__cut_in_two__has_every_payment_once(cut, end):
    time = START + HOUR * np.arange(10)
    funding = Funding.of(time, np.linspace(-0.1, 0.1, 10))
    low, mid, high = START - HOUR, START + HOUR * min(cut, end), START + HOUR * end

    parts = [funding.window(low, mid), funding.window(mid, high)]

    assert sum((part.rate.tolist() for part in parts), []) == funding.window(low, high).rate.tolist()
    assert (funding.window(low, high).time > low).all() and (funding.window(low, high).time <= high).all()


def test_window__nothing_in_it__says_so():
    funding = Funding.of(START + HOUR * np.arange(10), np.zeros(10)).window(START - 10, START - 5)

    assert len(funding) == 0 and funding.missing == 0 and funding.per_year() == 0
    assert str(funding) == "no payments in the window"


@pytest.mark.parametrize("name", ["out.csv", "out.csv.gz", "out.parquet"])
def test_write__then_read__is_the_same(tmp_path, name):
    funding = Funding.of(START + HOUR * np.arange(3), np.array([1e-4, -3.33e-5, 0]))

    funding.write(tmp_path / name)
    read = Funding.read(tmp_path / name)

    assert read.time.tolist() == funding.time.tolist() and read.rate.tolist() == funding.rate.tolist()


@pytest.mark.skipif(not DATA.is_dir(), reason=f"not run: no market data in {DATA}")
@pytest.mark.parametrize(
    ("name", "rows", "hours", "missing"),
    [
        ("funding_eth_binance_8h", 6_038, 8, 0),
        ("funding_btc_bitmex_8h", 4_844, 8, 0),
        ("funding_btc_deribit_1h", 16_008, 1, 2),
    ],
)
def test_read__real_rates__are_as_the_list_says(name, rows, hours, missing):
    funding = Funding.read(DATA / f"{name}.csv.gz")

    assert (len(funding), funding.interval, funding.missing) == (rows, hours * HOUR, missing)
