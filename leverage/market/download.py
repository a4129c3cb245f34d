"""Bars and funding rates from an exchange, through ccxt, page by page. Times are unix seconds."""

import difflib
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import ccxt
import numpy as np
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential

from leverage.market import times
from leverage.market.bars import Bars
from leverage.market.errors import DataError
from leverage.market.funding import Funding

PAGE = 500  # Bars; the most that all but a few exchanges give at once.
FUNDING_PAGE = 100
TRIES = 6

T = TypeVar("T")
Tell = Callable[[int], None]
log = logging.getLogger(__name__)


def connect(name: str) -> Any:
    """The exchange of that name, which waits between requests as long as its rules want."""
    if name not in ccxt.exchanges:
        near = difflib.get_close_matches(name.lower(), ccxt.exchanges, 3) or ("binance", "bybit", "kraken")
        raise DataError(f"no exchange {name!r}: ccxt has {', '.join(near)} and {len(ccxt.exchanges)} in all")
    return getattr(ccxt, name)({"enableRateLimit": True})


def bars(
    exchange: Any, symbol: str, interval: str, start: int, end: int, tell: Tell = lambda _: None
) -> Bars:
    """Bars that open from `start` on and have closed by `end`; `tell` hears how far it has come."""
    _require(exchange, "fetchOHLCV", "bars")
    if interval not in (exchange.timeframes or {}):
        raise DataError(
            f"{exchange.id} has no bars of {interval!r}: choose of {', '.join(exchange.timeframes)}"
        )
    step = int(exchange.parse_timeframe(interval))
    last = min(end, int(exchange.seconds())) - step
    rows = [row for page in _bar_pages(exchange, symbol, interval, start, last, step, tell) for row in page]
    if len(rows) < 2:
        raise DataError(
            f"{exchange.id} has {len(rows)} bars of {symbol} from {times.clock(start)} to {times.clock(end)}:"
            " choose a longer time"
        )
    opened, high, low, close = np.array([row[1:5] for row in rows], float).T
    time = np.array([row[0] // 1_000 for row in rows])
    return Bars.of(time, opened, high, low, close, _place(exchange, symbol))


def funding(exchange: Any, symbol: str, start: int, end: int, tell: Tell = lambda _: None) -> Funding:
    """Payments after `start`, up to `end`; `tell` hears how far it has come."""
    _require(exchange, "fetchFundingRateHistory", "funding rates")
    rows = [row for page in _funding_pages(exchange, symbol, start, end, tell) for row in page]
    if len(rows) < 2:
        raise DataError(
            f"{exchange.id} has {len(rows)} funding rates of {symbol} from {times.clock(start)}"
            f" to {times.clock(end)}: choose a longer time, and a perpetual such as ETH/USDT:USDT"
        )
    time = np.array([row["timestamp"] // 1_000 for row in rows])
    return Funding.of(time, np.array([row["fundingRate"] for row in rows], float), _place(exchange, symbol))


def _bar_pages(
    exchange: Any, symbol: str, interval: str, start: int, last: int, step: int, tell: Tell
) -> Iterator[Sequence[Any]]:
    """Pages of [milliseconds, open, high, low, close, volume], each going on where the one before ended."""
    while start <= last:
        page = _ask(exchange, exchange.fetch_ohlcv, symbol, interval, start * 1_000, PAGE)
        found = [row for row in page if start <= row[0] // 1_000 <= last]
        # Nothing was traded for as long as a page is, or trading had not begun.
        start = max((row[0] // 1_000 for row in page), default=0) + step if found else start + PAGE * step
        tell(min(start, last))
        yield found


def _funding_pages(exchange: Any, symbol: str, start: int, end: int, tell: Tell) -> Iterator[Sequence[Any]]:
    """Pages of {timestamp, fundingRate, ...}, each going on where the one before ended."""
    since = (start + 1) * 1_000
    while True:
        page = _ask(exchange, exchange.fetch_funding_rate_history, symbol, since, FUNDING_PAGE)
        found = [row for row in page if row["timestamp"] >= since and row["timestamp"] // 1_000 <= end]
        if not found:
            return
        since = found[-1]["timestamp"] + 1
        tell(since // 1_000)
        yield found


def _ask(exchange: Any, request: Callable[..., T], *arguments: Any) -> T:
    """An answer, asked for again when the network or the exchange fails for the moment."""
    retrying = Retrying(
        retry=retry_if_exception_type(ccxt.NetworkError),
        wait=wait_exponential(max=30),
        stop=stop_after_attempt(TRIES),
        sleep=lambda seconds: time.sleep(seconds),
        before_sleep=lambda state: log.warning(
            "%s: %s; trying again", exchange.id, _reason(state.outcome.exception() if state.outcome else None)
        ),
        reraise=True,
    )
    try:
        return retrying(request, *arguments)
    except ccxt.NetworkError as error:
        raise DataError(f"{exchange.id} did not answer in {TRIES} tries: {_reason(error)}") from None
    except ccxt.BaseError as error:
        raise DataError(f"{exchange.id} refused: {_reason(error)}") from None


def _reason(error: BaseException | None) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"


def _require(exchange: Any, method: str, what: str) -> None:
    if not exchange.has.get(method):
        raise DataError(f"{exchange.id} does not give {what} of the past: choose another exchange")


def _place(exchange: Any, symbol: str) -> Callable[[int], str]:
    return lambda row: f"{exchange.id} {symbol}, row {row}"
