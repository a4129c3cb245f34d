"""The downloader: pages of recorded answers become bars and payments; what fails is tried again."""

import json
from pathlib import Path

import ccxt
import pytest

from leverage.market import DataError, download

RECORDED = json.loads((Path(__file__).parent / "recorded" / "ccxt.json").read_text())
START, HOUR = 1_704_067_200, 3_600  # 2024-01-01 00:00 UTC.
ETH, PERP = "ETH/USDT", "ETH/USDT:USDT"


class Exchange:
    """Answers like one of ccxt's, from the recording: at most `page` rows from the time asked for."""

    id = "binance"
    timeframes = {"1m": "1m", "1h": "1h"}
    has = {"fetchOHLCV": True, "fetchFundingRateHistory": True}

    def __init__(self, page=2, now=START + 100 * HOUR, failures=(), is_from_since=True):
        self.page, self.now, self.failures, self.is_from_since = page, now, list(failures), is_from_since
        self.asked = []

    def parse_timeframe(self, timeframe):
        return {"1m": 60, "1h": HOUR}[timeframe]

    def seconds(self):
        return self.now

    def fetch_ohlcv(self, symbol, timeframe, since, limit):
        assert (symbol, timeframe, limit) == (ETH, "1h", download.PAGE)
        rows = RECORDED["ohlcv"]
        if not self.is_from_since:  # Some give only what was traded in as many bars as were asked for.
            rows = [row for row in rows if row[0] < since + self.page * HOUR * 1_000]
        return self._answer(since, rows, lambda row: row[0])

    def fetch_funding_rate_history(self, symbol, since, limit):
        assert (symbol, limit) == (PERP, download.FUNDING_PAGE)
        return self._answer(since, RECORDED["funding"], lambda row: row["timestamp"])

    def _answer(self, since, rows, time):
        self.asked.append(since)
        if self.failures and (failure := self.failures.pop(0)):
            raise failure
        return [row for row in rows if time(row) >= since][: self.page]


@pytest.fixture(autouse=True)
def slept(monkeypatch):
    """Seconds that were waited, without waiting."""
    seconds = []
    monkeypatch.setattr(download.time, "sleep", seconds.append)
    return seconds


@pytest.mark.parametrize("page", [1, 2, 3, 7, 500])
def test_bars__pages_of_any_length__are_every_row_once(page):
    told = []

    bars = download.bars(Exchange(page), ETH, "1h", START, START + 8 * HOUR, told.append)

    there = ~bars.is_filled
    assert (bars.time[there] * 1_000).tolist() == [row[0] for row in RECORDED["ohlcv"]]
    for place, name in enumerate(("open", "high", "low", "close"), 1):
        assert getattr(bars, name)[there].tolist() == [row[place] for row in RECORDED["ohlcv"]]
    assert bars.gaps() == (1, 1, 1, START + 3 * HOUR)
    assert told == sorted(told) and told[-1] == START + 7 * HOUR


def test_bars__next_page__begins_after_the_last_bar():
    exchange = Exchange(page=3)

    download.bars(exchange, ETH, "1h", START, START + 8 * HOUR)

    assert [since // 1_000 for since in exchange.asked] == [START, START + 3 * HOUR, START + 7 * HOUR]


def test_bars__before_trading_began__is_passed_over(monkeypatch):
    monkeypatch.setattr(download, "PAGE", 2)
    exchange = Exchange(page=2, is_from_since=False)

    bars = download.bars(exchange, ETH, "1h", START - 5 * HOUR, START + 8 * HOUR)

    assert bars.start == START and len(bars) == 8


@pytest.mark.parametrize(
    ("start", "end", "now", "opened"),
    [
        (0, 5, 99, [0, 1, 2, 4]),
        (1, 6, 99, [1, 2, 4, 5]),
        (0, 99, 6.5, [0, 1, 2, 4, 5]),  # The bar that opened at six has not closed.
        (0.5, 5.5, 99, [1, 2, 4]),
    ],
)
def test_bars__window__has_whole_bars_alone(start, end, now, opened):
    exchange = Exchange(now=START + int(now * HOUR))

    bars = download.bars(exchange, ETH, "1h", START + int(start * HOUR), START + int(end * HOUR))

    assert bars.time[~bars.is_filled].tolist() == [START + HOUR * hour for hour in opened]


@pytest.mark.parametrize("page", [1, 2, 3, 100])
def test_funding__pages_of_any_length__are_every_payment_once(page):
    told = []

    funding = download.funding(Exchange(page), PERP, START - 1, START + 24 * HOUR, told.append)

    assert funding.time.tolist() == [START + 8 * HOUR * n for n in range(4)]
    assert funding.rate.tolist() == [0.0003823, 0.00020103, -0.0000125, 0.0001]
    assert funding.interval == 8 * HOUR
    assert told == sorted(told)


def test_funding__window__is_after_its_start_up_to_its_end():
    exchange = Exchange(page=100)

    funding = download.funding(exchange, PERP, START + 8 * HOUR, START + 24 * HOUR)

    assert funding.time.tolist() == [START + 16 * HOUR, START + 24 * HOUR]
    assert exchange.asked[0] == (START + 8 * HOUR + 1) * 1_000


def test_bars__exchange_fails_for_the_moment__is_asked_again(slept):
    failures = [None, ccxt.RateLimitExceeded("slow down"), ccxt.RequestTimeout("late"), None]

    bars = download.bars(Exchange(failures=failures), ETH, "1h", START, START + 8 * HOUR)

    assert len(bars) == 8
    assert len(slept) == 2 and 0 < slept[0] < slept[1]


def test_bars__exchange_stays_down__is_one_line(slept):
    exchange = Exchange(failures=[ccxt.ExchangeNotAvailable("binance GET\n https://api 503")] * 99)

    with pytest.raises(DataError, match="binance did not answer in 6 tries: ExchangeNotAvailable: binance"):
        download.bars(exchange, ETH, "1h", START, START + 8 * HOUR)

    assert len(exchange.asked) == download.TRIES == len(slept) + 1


def test_bars__exchange_refuses__is_not_asked_again(slept):
    exchange = Exchange(failures=[ccxt.BadSymbol("binance does not have market symbol ETH/USDT")])

    with pytest.raises(DataError, match="binance refused: BadSymbol: binance does not have market symbol"):
        download.bars(exchange, ETH, "1h", START, START + 8 * HOUR)

    assert slept == []


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda e: download.bars(e, ETH, "7h", START, START + HOUR), "has no bars of '7h': choose of 1m, 1h"),
        (
            lambda e: download.bars(e, ETH, "1h", START, START + HOUR),
            "has 1 bars of ETH/USDT from 2024-01-01 00:00 to 2024-01-01 01:00: choose a longer time",
        ),
        (
            lambda e: download.funding(e, PERP, START, START + 9 * HOUR),
            "has 1 funding rates of .*: choose a longer time, and a perpetual such as ETH/USDT:USDT",
        ),
    ],
)
def test_download__nothing_to_have__is_one_line(call, said):
    with pytest.raises(DataError, match=f"binance {said}"):
        call(Exchange())


@pytest.mark.parametrize("call", [download.bars, download.funding])
def test_download__exchange_without_a_past__is_one_line(call):
    exchange = Exchange()
    exchange.has = {}
    arguments = (ETH, "1h", START, START + HOUR) if call is download.bars else (PERP, START, START + HOUR)

    with pytest.raises(DataError, match="binance does not give (bars|funding rates) of the past: choose"):
        call(exchange, *arguments)


def test_connect__name__is_an_exchange_that_waits():
    exchange = download.connect("binance")

    assert exchange.id == "binance" and exchange.enableRateLimit
    assert exchange.has["fetchOHLCV"] and exchange.has["fetchFundingRateHistory"]


@pytest.mark.parametrize(("name", "near"), [("binanc", "binance"), ("nowhere-at-all", "kraken")])
def test_connect__unknown__says_what_there_is(name, near):
    with pytest.raises(DataError, match=rf"no exchange '{name}': ccxt has .*\b{near}\b.* and \d+ in all"):
        download.connect(name)
