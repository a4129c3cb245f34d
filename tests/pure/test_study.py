"""What a command's options become: tokens, each with its market's data, and one line for each mistake."""

import numpy as np
import pytest

from leverage import study
from leverage.errors import LeverageError
from leverage.market import Bars, Funding
from leverage.types import WAD

START, HOUR = 1_577_836_800, 3_600  # 2020-01-01 00:00 UTC.
OPTIONS = {
    "symbols": [],
    "targets": [],
    "market": "ETH",
    "prices": [],
    "funding": [],
    "start": None,
    "end": None,
    "interval": None,
    "reaction": "extremes",
    "settings": [],
    "capital": 1e6,
    "fee": 0.001,
    "impact": 0.0,
    "skew": 0.0,
    "files": [],
}


@pytest.fixture
def eth(tmp_path):
    """Two days of minutes."""
    return prices(tmp_path / "eth.csv", 60, 2 * 24 * 60, 2_000)


@pytest.fixture
def btc(tmp_path):
    """Two days of hours."""
    return prices(tmp_path / "btc.parquet", HOUR, 48, 9_000)


@pytest.fixture
def rates(tmp_path):
    """Payments every eight hours, of which the first day's are missing."""
    path = tmp_path / "rates.csv"
    time = START + 8 * HOUR * np.arange(3, 30)
    Funding.of(time, np.full(len(time), 1e-4)).write(path)
    return path


def prices(path, step, count, level):
    close = level * np.exp(np.cumsum(np.random.default_rng(3).normal(0, 0.001, count)))
    opened = np.concatenate(([level], close[:-1]))
    time = START + step * np.arange(count)
    Bars.of(time, opened, np.maximum(opened, close), np.minimum(opened, close), close).write(path)
    return path


def read(*, policies=("ours",), variants=((),), **options):
    return study.read(policies, variants, **{**OPTIONS, **options})


def test_read__window_and_interval__are_the_bars(eth):
    found = read(
        symbols=["ETH3L"], prices=[str(eth)], start="2020-01-01T06:00", end="2020-01-02", interval="5m"
    )

    bars = found.markets["ETH"].bars
    assert (bars.start, bars.end, bars.interval) == (START + 6 * HOUR, START + 24 * HOUR, 300)
    assert found.period == "2020-01-01 06:00 to 2020-01-02 00:00 UTC"


def test_read__tokens_and_policies__are_all_combinations(eth):
    found = read(
        symbols=["ETH3S"],
        targets=["2"],
        policies=["ours", "tlx", "ours"],
        prices=[str(eth)],
        settings=["drift=0.1"],
    )

    assert [(c.symbol, c.policy) for c in found.candidates] == [
        ("ETH3S", "ours drift=0.1"),
        ("+2x", "ours drift=0.1"),
        ("ETH3S", "tlx drift=0.1"),
        ("+2x", "tlx drift=0.1"),
    ]
    tokens = [found.token(candidate) for candidate in found.candidates]
    assert [token.target for token in tokens] == [-3, 2, -3, 2]
    assert {token.policy.drift for token in tokens} == {WAD // 10}
    assert tokens[3].policy.band_max == 5 * WAD // 2
    assert (tokens[0].costs.fee, tokens[0].capital) == (0.001, 1e6)
    assert tokens[0].fees.management_per_day == WAD // 10_000


def test_read__impact__is_of_a_million(eth):
    found = read(symbols=["ETH3L"], prices=[str(eth)], impact=0.0005, skew=-0.001)

    assert found.costs.impact == pytest.approx(5e-10)
    assert "a trade of a million fills 0.050% worse, its price is -0.100% off the index" in " ".join(
        found.notes()
    )


def test_read__two_markets__have_their_own_data(eth, btc, rates):
    found = read(symbols=["ETH3L", "BTC3L"], prices=[f"ETH={eth}", f"BTC={btc}"], funding=[f"BTC={rates}"])

    assert found.markets["ETH"].bars.interval == 60 and found.markets["BTC"].bars.interval == HOUR
    assert found.markets["ETH"].funding is None
    assert found.markets["BTC"].funding.time.tolist() == [START + 8 * HOUR * n for n in (3, 4, 5, 6)]
    cases = found.replay()
    assert [case.symbol for case in cases] == ["ETH3L", "BTC3L"]
    assert cases[0].result.price[0] == 2_000 and cases[1].result.price[0] == 9_000


def test_notes__data__say_what_is_missing(eth, rates):
    found = read(symbols=["ETH3L"], prices=[str(eth)], funding=[str(rates)], reaction="closes")

    bars, funding, costs, seen = found.notes()
    assert bars == "ETH prices: 2020-01-01 00:00 to 2020-01-03 00:00, 2,880 bars of 1m, none missing"
    assert funding.startswith("ETH funding: 2020-01-02 00:00 to 2020-01-03 00:00, 4 payments every 8h;")
    assert funding.endswith("; nothing is paid for 16 h before")
    assert costs == "capital 1,000,000, the venue takes 0.100% of what is traded"
    assert seen == "bars are seen at their closes alone"
    assert "none given, none paid" in " ".join(read(symbols=["ETH3L"], prices=[str(eth)]).notes())


def test_sweep__candidates__are_in_order_and_counted(eth, btc):
    told = []
    variants = study.grid(["drift=0.02,0.2", "band_favour=0.2:0.4:0.1"])
    found = read(symbols=["BTC3L", "ETH3L"], prices=[f"ETH={eth}", f"BTC={btc}"], variants=variants)

    outcomes = found.sweep(tell=told.append)

    assert len(outcomes) == len(found.candidates) == 12 == told[-1]
    assert told == sorted(told)
    expected = {(case.symbol, case.policy): case.summary for case in found.replay()}
    for outcome in outcomes:
        assert outcome.summary.nav == pytest.approx(expected[outcome.symbol, outcome.policy].nav, rel=1e-12)


@pytest.mark.parametrize(
    ("varied", "settings"),
    [
        ([], [[]]),
        (["drift=0.02"], [["drift=0.02"]]),
        (["drift = 0.02, 0.05"], [["drift=0.02"], ["drift=0.05"]]),
        (["period=3600:10800:3600"], [["period=3600"], ["period=7200"], ["period=10800"]]),
        (["drift=0.05:0.01:-0.02"], [["drift=0.05"], ["drift=0.03"], ["drift=0.01"]]),
        (["drift=0.1:0.35:0.1"], [["drift=0.1"], ["drift=0.2"], ["drift=0.3"]]),
        (["a=1,2", "b='x'"], [["a=1", 'b="x"'], ["a=2", 'b="x"']]),
        (
            ['triggers=["band"],["band","scheduled"]'],
            [['triggers=["band"]'], ['triggers=["band", "scheduled"]']],
        ),
    ],
)
def test_grid__values_and_ranges__are_settings(varied, settings):
    assert study.grid(varied) == settings


@pytest.mark.parametrize(
    "varied", ["drift", "drift=", "drift=much", "drift=1:2:0", "drift=1:x:1", "drift=[", "a=1\nb=2"]
)
def test_grid__nonsense__is_one_line(varied):
    with pytest.raises(study.StudyError, match="write KEY=VALUE,VALUE or KEY=LOW:HIGH:STEP"):
        study.grid([varied])


def test_grid__too_many__are_refused():
    with pytest.raises(study.StudyError, match="1,000,000 combinations: vary less, 100,000 is the most"):
        study.grid(["a=1:100:1", "b=1:100:1", "c=1:100:1"])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"symbols": []}, "which token. Name one of ETH3L, .* or give --target"),
        ({"targets": ["three"]}, "--target three: not a number"),
        ({"targets": ["NaN"]}, "--target NaN: not a finite number"),
        ({"capital": 0.0}, "--capital 0: must be above zero"),
        ({"capital": float("nan")}, "--capital nan: must be above zero"),
        ({"fee": -0.1}, "--fee -0.1: must be from 0 to below 1"),
        ({"fee": 1.0}, "--fee 1: must be from 0 to below 1"),
        ({"impact": float("inf")}, "--impact inf: must be from 0 to below 1"),
        ({"skew": -1.0}, "--skew -1: must be above -1 and below 1"),
        ({"start": "tomorrow"}, "'tomorrow' is no time"),
        ({"start": "2021-01-01"}, "no bar of 1m from 2021-01-01 00:00: there are bars from 2020-01-01"),
        ({"interval": "hourly"}, "'hourly' is no interval"),
        ({"interval": "90s"}, "do not make bars of 90s: choose a multiple"),
        ({"prices": []}, "no prices of ETH: add --prices ETH=FILE"),
        ({"prices": ["BTC=x.csv"]}, "BTC=x.csv: cannot be read: No such file"),
        ({"symbols": ["ETH3L", "BTC3L"]}, r"--prices .*eth\.csv: write --prices ETH=FILE; .* are ETH, BTC"),
        ({"funding": ["none.csv"]}, "none.csv: cannot be read: No such file"),
    ],
)
def test_read__bad_options__are_one_line(eth, options, said):
    with pytest.raises(LeverageError, match=said) as caught:
        read(**{"symbols": ["ETH3L"] if "targets" not in options else [], "prices": [str(eth)], **options})

    assert "\n" not in str(caught.value)
