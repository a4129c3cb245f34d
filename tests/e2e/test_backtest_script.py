"""The commands that replay tokens, as a user types them: what they say, and what each mistake costs."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from leverage.market import Bars, Funding, download
from scripts.backtest import cli as backtest
from scripts.download import cli as download_cli
from scripts.sweep import cli as sweep

APE = str(Path(sys.executable).parent / "ape")
ROOT = Path(__file__).resolve().parents[2]
START, HOUR, DAY = 1_577_836_800, 3_600, 86_400  # 2020-01-01 00:00 UTC.


def run(command, *args):
    return CliRunner(mix_stderr=False).invoke(command, [str(arg) for arg in args])


def done(result):
    assert result.exit_code == 0, result.stderr
    return result.stdout


def refused(result, said):
    """It ended with code 2 and one line that says so."""
    assert result.exit_code == 2, result.output
    lines = [line for line in result.stderr.splitlines() if line.startswith("Error:")]
    assert len(lines) == 1, result.stderr
    assert re.search(said, lines[0]), lines[0]
    assert "Traceback" not in result.output + result.stderr
    assert result.stdout == ""


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Sixty days of hourly prices for ETH and BTC, and funding."""
    folder = tmp_path_factory.mktemp("data")
    for seed, name in enumerate(("eth.csv.gz", "btc.parquet")):
        close = 2_000 * np.exp(np.cumsum(np.random.default_rng(seed).normal(0, 0.008, 60 * 24)))
        opened = np.concatenate(([2_000], close[:-1]))
        high, low = np.maximum(opened, close) * 1.001, np.minimum(opened, close) * 0.999
        time = START + HOUR * np.arange(len(close))
        keep = np.arange(len(close)) % 100 != 7
        Bars.of(time[keep], opened[keep], high[keep], low[keep], close[keep]).write(folder / name)
    Funding.of(START + 8 * HOUR * np.arange(180), np.full(180, 1e-4)).write(folder / "funding.csv")
    return folder


# Backtest


def test_backtest__tokens_and_policies__are_told_in_tables(data):
    prices, funding = ("--prices", data / "eth.csv.gz"), ("--funding", data / "funding.csv")

    text = done(run(backtest, "ETH3L", "ETH3S", *prices, *funding, "--policy", "ours", "--policy", "bybit"))

    assert text.startswith("ETH from 2020-01-01 00:00 to 2020-03-01 00:00 UTC\n")
    for title in ("What became of it", "How it followed the asset", "Why: the change of nav by cause"):
        assert title in text
    rows = re.findall(r"^ (ETH3[LS])\s+(ours|bybit)\s+[\d.,e-]+ ", text, re.M)
    assert rows[:4] == [("ETH3L", "ours"), ("ETH3S", "ours"), ("ETH3L", "bybit"), ("ETH3S", "bybit")]
    told = " ".join(text.split())
    assert "1,440 bars of 1h, 15 of them missing (1.04%), filled with the close before; gaps: 15," in told
    assert "179 payments every 8h; longs paid +10.95% of the notional per year" in told


def test_backtest__json__is_for_programs(data):
    told = json.loads(
        done(run(backtest, "ETH3L", "--target", "-2", "--prices", data / "eth.csv.gz", "--json"))
    )

    assert [(case["token"], case["target"]) for case in told["cases"]] == [("ETH3L", 3), ("-2x", -2)]
    for case in told["cases"]:
        assert sum(case["attribution"].values()) == pytest.approx(case["nav"] - 1, abs=1e-9)
        assert (case["start"], case["end"]) == (START, START + 60 * DAY)


def test_backtest__costs__take_from_nav(data):
    plain = ("--set", "fees.management_per_day=0", "--set", "tip_rate=0", "--json")

    def nav(*options):
        args = ("ETH3L", "--prices", data / "eth.csv.gz", *plain, *options)
        return json.loads(done(run(backtest, *args)))["cases"][0]

    free, dear = nav("--fee", "0"), nav("--fee", "0.002", "--impact", "0.001")

    for line in ("venue_fee", "slippage", "management_fee", "funding"):
        assert free["attribution"][line] == pytest.approx(0, abs=1e-12)
    assert dear["attribution"]["venue_fee"] < 0 and dear["attribution"]["slippage"] < 0
    assert dear["nav"] < free["nav"]


def test_backtest__html__is_a_page(data, tmp_path):
    page = tmp_path / "new" / "report.html"

    text = done(run(backtest, "ETH3L", "--prices", data / "eth.csv.gz", "--html", page))

    assert f"{page}: plots of all of it" in text
    assert page.read_text().count("<svg") == 6


def test_backtest__two_markets__take_their_own_prices(data):
    prices = ("--prices", f"BTC={data / 'btc.parquet'}", "--prices", f"ETH={data / 'eth.csv.gz'}")

    told = json.loads(done(run(backtest, "ETH3L", "BTC3L", *prices, "--json")))

    eth, btc = told["cases"]
    assert eth["asset"] != btc["asset"]
    assert [note.split(":")[0] for note in told["notes"][:4:2]] == ["ETH prices", "BTC prices"]


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ((), r"which token\? Name one of ETH3L, ETH3S, ETH2L, ETH1S, BTC3L, BTC3S, or give --target"),
        (("DOGE3L",), "'DOGE3L' is not in the configuration: there are ETH3L"),
        (("ETH3L", "--policy", "binance"), "no policy 'binance': there are ours, ftx, bybit, kucoin, tlx"),
        (("ETH3L", "--set", "drift=-1"), r"tokens\.ETH3L\.policy\.drift = -1: must not be negative"),
        (("--target", "7"), r"tokens\.\+7x\.target = 7: must be 1x to 5x, long or short"),
        (("ETH3L", "--from", "soon"), "'soon' is no time: write unix seconds, milliseconds, or ISO 8601"),
        (("ETH3L", "--from", "2021-01-01"), "no bar of 1h from 2021-01-01 00:00: there are bars from 2020"),
        (("ETH3L", "--interval", "45m"), "bars of 1h from .* do not make bars of 45m: choose a multiple"),
        (("ETH3L", "--capital", "0"), "--capital 0: must be above zero"),
        (("ETH3L", "--config", "none.toml"), "none.toml: no such file"),
        (("ETH3L", "--reaction", "none"), "Invalid value for '--reaction'"),
        (("ETH3L", "--funding", "none.csv"), "none.csv: cannot be read: No such file or directory"),
        (("ETH3L", "--html", "/dev/null/page.html"), "/dev/null.*: (Not a directory|File exists)"),
    ],
)
def test_backtest__bad_input__is_one_line(data, args, said):
    refused(run(backtest, *args, "--prices", data / "eth.csv.gz"), said)


def test_backtest__bad_prices__say_where(tmp_path):
    path = tmp_path / "prices.csv"
    path.write_text(f"timestamp,open,high,low,close\n{START},1,2,1,1\n{START + 60},5,6,5.5,5.2\n")

    refused(
        run(backtest, "ETH3L", "--prices", path),
        r"prices\.csv:3: low 5\.5 is above open 5 at 2020-01-01 00:01",
    )


# Sweep


def test_sweep__combinations__are_ranked(data):
    varied = ("--vary", "drift=0.02,0.4", "--vary", "band_favour=0.2:0.4:0.1")
    args = ("ETH3L", "--prices", data / "eth.csv.gz", *varied)

    table = done(run(sweep, *args, "--top", "2"))
    told = json.loads(done(run(sweep, *args, "--json")))

    assert "6 candidates from 2020-01-01 00:00 to 2020-03-01 00:00 UTC, by tracking error" in table
    assert len(told) == 6
    errors = [outcome["tracking_error"] for outcome in told]
    assert errors == sorted(errors) and errors[0] < errors[-1]
    assert all(outcome["policy"].startswith("ours drift=0.02") for outcome in told[:3])
    assert table.count("ETH3L") == 2 and f"{errors[0]:.3%}" in table


@pytest.mark.parametrize(("by", "is_least"), [("nav", False), ("turnover", True), ("drawdown", False)])
def test_sweep__criterion__is_the_order(data, by, is_least):
    args = (
        "ETH3S",
        "--prices",
        data / "eth.csv.gz",
        "--policy",
        "ours",
        "--policy",
        "bybit",
        "--policy",
        "tlx",
    )

    told = json.loads(done(run(sweep, *args, "--by", by, "--json")))

    values = [outcome[by] for outcome in told]
    assert values == sorted(values, reverse=not is_least) and len(set(values)) == 3


def test_sweep__ruined__come_last(tmp_path):
    close = np.array([2_000.0] * 30 + [1_960, 1_300, 1_300, 1_320] + [1_400] * 30)
    path = tmp_path / "fall.csv"
    Bars.of(START + HOUR * np.arange(len(close)), close, close, close, close).write(path)

    told = json.loads(
        done(run(sweep, "--target", "3", "--target", "2", "--prices", path, "--by", "turnover", "--json"))
    )

    assert [(outcome["token"], outcome["ruined_at"] is None) for outcome in told] == [
        ("+2x", True),
        ("+3x", False),
    ]


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("--vary", "drift"), "--vary drift: write KEY=VALUE,VALUE or KEY=LOW:HIGH:STEP"),
        (("--vary", "drfit=0.1,0.2"), r"tokens\.ETH3L\.policy\.drfit: no such key"),
        (("--by", "luck"), "Invalid value for '--by'"),
        (("--vary", "period=1:100000000:1"), "100,000,000 values, 100,000 is the most"),
    ],
)
def test_sweep__bad_input__is_one_line(data, args, said):
    refused(run(sweep, "ETH3L", "--prices", data / "eth.csv.gz", *args), said)


# Download


class Exchange:
    """One of ccxt's, with three hours of trading and two payments."""

    id, timeframes, has = "kraken", {"1h": "60"}, {"fetchOHLCV": True, "fetchFundingRateHistory": True}

    def parse_timeframe(self, timeframe):
        return HOUR

    def seconds(self):
        return START + DAY

    def fetch_ohlcv(self, symbol, timeframe, since, limit):
        rows = [[(START + HOUR * n) * 1_000, 10 + n, 12 + n, 9 + n, 11 + n, 5.0] for n in range(3)]
        return [row for row in rows if row[0] >= since]

    def fetch_funding_rate_history(self, symbol, since, limit):
        rows = [{"timestamp": (START + 8 * HOUR * n) * 1_000, "fundingRate": n / 1e4} for n in (1, 2)]
        return [row for row in rows if row["timestamp"] >= since]


@pytest.mark.parametrize("name", ["eth.csv", "eth.csv.gz", "eth.parquet"])
def test_download__bars__are_what_a_backtest_reads(monkeypatch, tmp_path, name):
    monkeypatch.setattr(download, "connect", lambda exchange: Exchange())
    out = tmp_path / name

    text = done(run(download_cli, "kraken", "ETH/USD", out, "--from", "2020-01-01", "--to", "2020-01-02"))

    assert text == f"{out}: 2020-01-01 00:00 to 2020-01-01 03:00, 3 bars of 1h, none missing\n"
    assert Bars.read(out).close.tolist() == [11, 12, 13]


def test_download__funding__is_what_a_backtest_reads(monkeypatch, tmp_path):
    monkeypatch.setattr(download, "connect", lambda exchange: Exchange())
    out = tmp_path / "funding.csv"

    done(
        run(
            download_cli,
            "kraken",
            "ETH/USD:USD",
            out,
            "--from",
            str(START),
            "--to",
            str(START + DAY),
            "--funding",
        )
    )

    assert Funding.read(out).rate.tolist() == [0.0001, 0.0002]


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("binanc", "ETH/USDT", "x.csv", "--from", "2020-01-01"), "no exchange 'binanc': ccxt has binance"),
        (("kraken", "ETH/USDT", "x.xls", "--from", "2020-01-01"), r"x\.xls: the name must end with \.csv"),
        (("kraken", "ETH/USDT", "x.csv", "--from", "then"), "'then' is no time"),
        (("kraken", "ETH/USDT", "x.csv", "--from", "2999-01-01"), "there is no time: swap them"),
        (
            ("kraken", "ETH/USDT", "x.csv", "--from", "0", "--to", "1e99"),
            "'1e99' is no time",
        ),
        (("kraken", "ETH/USDT"), "Missing argument 'OUT'"),
    ],
)
def test_download__bad_input__is_one_line(args, said):
    refused(run(download_cli, *args), said)


def test_download__file_is_there__is_kept(tmp_path):
    out = tmp_path / "x.csv"
    out.write_text("mine")

    refused(
        run(download_cli, "kraken", "ETH/USDT", out, "--from", "2020-01-01"), "is already there: remove it"
    )
    assert out.read_text() == "mine"


# Processes


@pytest.mark.slow
def test_commands__no_node_and_no_network__work(data):
    """As processes that could start no chain: the path has no anvil, and the proxy answers nothing."""
    nothing = {
        "http_proxy": "http://127.0.0.1:9",
        "https_proxy": "http://127.0.0.1:9",
        "PATH": "/usr/bin:/bin",
    }
    environment = {**os.environ, **nothing}
    args = ["ETH3L", "--prices", str(data / "eth.csv.gz"), "--json"]

    for command, count in (("backtest", 1), ("sweep", 1)):
        result = subprocess.run(
            [APE, "run", command, *args],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert result.returncode == 0, result.stderr
        told = json.loads(result.stdout)
        assert len(told["cases"] if command == "backtest" else told) == count


@pytest.mark.slow
def test_scripts__listing__loads_no_engine():
    """Ape imports every script to list its commands, for a keeper on cron, too."""
    code = (
        "import sys, scripts.backtest, scripts.sweep, scripts.download;"
        "heavy = {'numba', 'pyarrow', 'matplotlib', 'ccxt', 'pandas'};"
        "print(sorted(heavy & set(sys.modules)))"
    )

    result = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60
    )

    assert result.stdout == "[]\n", result.stderr
