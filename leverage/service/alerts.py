"""Alerts: what is wrong now, and one message when that begins, one when it ends, and few in between.

What each means and what to do about it is in docs/operations.md.
"""

import json
import queue
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from threading import Event, Thread
from typing import Any
from urllib.parse import urlsplit

from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential_jitter
from urllib3 import PoolManager, Timeout
from urllib3.exceptions import HTTPError

from leverage.errors import LeverageError
from leverage.service.measures import Sight
from leverage.types import WAD, Kind, Report

HOUR = 3_600
DAY = 86_400
ETHER = 10**18
NAMED = 10  # Tokens that one message names; it counts the others.
MOST_WAITING = 100  # Messages that wait for the webhook; what comes then is lost.


class Alert(StrEnum):
    """What can be wrong."""

    OUT_OF_BAND = "leverage out of band"
    PRICE_STALE = "price stale"
    UNREADABLE = "unreadable"
    MARK_FAR = "mark far from index"
    ORDER_STUCK = "order stuck"
    LATE = "late"
    RUINED = "ruined"
    BALANCE_LOW = "balance low"
    UNREACHABLE = "chain unreachable"
    UNWELL = "keeper unwell"


@dataclass(frozen=True)
class Limits:
    """When something is wrong. `blocks` is for how many in a row an alert has to last to be told, and to be
    gone to be taken back; `balance` in wei; `mark_gap` the part of what the oracle allows, WAD; seconds.
    """

    blocks: int = 10
    balance: int = ETHER // 20
    mark_gap: int = WAD // 2
    order_seconds: int = 60
    late_seconds: int = 900


Key = tuple[Alert, str]  # And the token, or the account.


def found(sight: Sight, limits: Limits) -> dict[Key, str]:
    """What is wrong with the tokens and the accounts as last seen, and how much."""
    wrong: dict[Key, str] = {}
    for token, report in sight.reports.items():
        wrong |= {(alert, token): text for alert, text in _of(token, report, sight, limits).items()}
    for account, balance in sight.surroundings.balances.items():
        if balance < limits.balance:
            text = f"{balance / ETHER:.6f} left, below {limits.balance / ETHER:g}"
            wrong[Alert.BALANCE_LOW, account] = text
    return wrong


def _of(token: str, report: Report, sight: Sight, limits: Limits) -> dict[Alert, str]:
    """What is wrong with one token."""
    wrong = {}
    due, late = sight.due.get(token), sight.late(token)
    if due and due[0].kind == Kind.SETTLE and late > limits.order_seconds:
        wrong[Alert.ORDER_STUCK] = f"its order could have ended {late} s ago"
    elif due and late > limits.late_seconds:
        wrong[Alert.LATE] = f"{due[0].kind} has been due for {late} s"
    s, policy, measures = report.snapshot, report.policy, sight.measure(token)
    if s is None or policy is None or measures is None:
        alert = Alert.PRICE_STALE if report.failure.startswith("PriceStale") else Alert.UNREADABLE
        return wrong | {alert: report.failure}
    if measures.is_ruined:
        return wrong | {Alert.RUINED: "what is left can be claimed"}
    if measures.is_out_of_band:
        band = f"{policy.band_min / WAD:g}x to {policy.band_max / WAD:g}x"
        wrong[Alert.OUT_OF_BAND] = f"{s.leverage / WAD:.2f}x, the band is {band}"
    feed = sight.surroundings.feeds.get(token)
    if feed and abs(measures.mark_gap) > feed.max_deviation * limits.mark_gap // WAD:
        allowed = feed.max_deviation * 100 / WAD
        wrong[Alert.MARK_FAR] = f"{measures.mark_gap * 100 / WAD:+.2f} %, the oracle allows {allowed:g} %"
    return wrong


@dataclass(frozen=True)
class Message:
    """Of one alert, that it begins, lasts or has ended, for all tokens or accounts of which it is true."""

    alert: Alert
    state: str
    texts: Mapping[str, str]
    where: str

    @property
    def text(self) -> str:
        """In one line."""
        parts = [": ".join(filter(None, pair)) for pair in list(self.texts.items())[:NAMED]]
        more = len(self.texts) - len(parts)
        said = "; ".join(filter(None, parts)) + (f"; and {more} more" if more else "")
        return f"[{self.where}] {self.alert} {self.state}" + (f": {said}" if said else "")

    def body(self) -> dict[str, Any]:
        """As JSON; `text` is what chats show."""
        return {
            "text": self.text,
            "alert": self.alert,
            "state": self.state,
            "of": [name for name in self.texts if name],
        }


@dataclass
class _Alarm:
    """An alert that has been seen: since which block, or since which it is gone; and what has been told."""

    text: str
    since: int
    gone: int | None = None
    next_at: float | None = None  # When it is told again; None until it has been told.
    pause: int = HOUR


@dataclass
class Alarms:
    """What lasts, and who is told. It begins and ends after `blocks` in a row, so that nothing flickers.

    It is repeated after an hour, then after two, four … up to a day.
    """

    tell: Callable[[Message], None]
    where: str
    blocks: int = Limits.blocks
    _alarms: dict[Key, _Alarm] = field(default_factory=dict)

    def update(self, wrong: Mapping[Key, str], block: int, now: float) -> None:
        """This is wrong as of this block; `now` in seconds."""
        said: dict[tuple[str, Alert], dict[str, str]] = defaultdict(dict)
        for key, text in wrong.items():
            alarm = self._alarms.setdefault(key, _Alarm(text, block))
            alarm.text, alarm.gone = text, None
            if alarm.next_at is None:
                # A reorganisation may take blocks back.
                alarm.since = min(alarm.since, block)
                if block - alarm.since >= self._blocks(key):
                    said["begins", key[0]][key[1]] = text
                    alarm.next_at = now + alarm.pause
            elif now >= alarm.next_at:
                said["lasts", key[0]][key[1]] = text
                alarm.pause = min(2 * alarm.pause, DAY)
                alarm.next_at = now + alarm.pause
        for key in [key for key in self._alarms if key not in wrong]:
            alarm = self._alarms[key]
            alarm.gone = block if alarm.gone is None else min(alarm.gone, block)
            if alarm.next_at is None:
                del self._alarms[key]
            elif block - alarm.gone >= self._blocks(key):
                said["has ended", key[0]][key[1]] = ""
                del self._alarms[key]
        for (state, alert), texts in said.items():
            self.tell(Message(alert, state, texts, self.where))

    def lasting(self) -> dict[Alert, int]:
        """For how many tokens each alert lasts."""
        told = [alert for (alert, _), alarm in self._alarms.items() if alarm.next_at is not None]
        return {alert: told.count(alert) for alert in Alert}

    def _blocks(self, key: Key) -> int:
        # Where no blocks are read, none can be waited for.
        return 0 if key[0] in (Alert.UNREACHABLE, Alert.UNWELL) else self.blocks


class Webhook:
    """Posts messages as JSON from a thread of its own: nobody waits for it, and it fails for nobody.

    The URL is a secret: neither logs nor errors show it.
    """

    def __init__(self, url: str, failed: Callable[[str], None] = lambda why: None, tries: int = 6):
        try:
            parts = urlsplit(url)
            is_usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        except ValueError:
            is_usable = False
        if not is_usable:
            raise LeverageError("--webhook: not a URL that begins with http:// or https://")
        self._url = url
        self._failed = failed
        self._pool = PoolManager(timeout=Timeout(10), retries=False)
        self._closing = Event()
        self._attempts = Retrying(
            retry=retry_if_exception_type(_TryAgainError),
            stop=stop_after_attempt(tries),
            wait=wait_exponential_jitter(1, 60),
            sleep=self._sleep,
            reraise=True,
        )
        self._waiting: queue.Queue[Message | None] = queue.Queue(MOST_WAITING)
        self._thread = Thread(target=self._work, name="webhook", daemon=True)
        self._thread.start()

    def __call__(self, message: Message) -> None:
        """Have it posted."""
        try:
            self._waiting.put_nowait(message)
        except queue.Full:
            self._failed("too many messages wait")

    def close(self, seconds: float = 5) -> None:
        """Post what waits, if that takes no longer."""
        self._closing.set()
        until = time.monotonic() + seconds
        try:
            self._waiting.put(None, timeout=seconds)
        except queue.Full:
            return
        self._thread.join(max(0.0, until - time.monotonic()))

    def _work(self) -> None:
        while (message := self._waiting.get()) is not None:
            try:
                self._attempts(self._post, json.dumps(message.body()).encode())
            except Exception as error:
                self._failed(str(error) if isinstance(error, LeverageError) else type(error).__name__)

    def _sleep(self, seconds: float) -> None:
        self._closing.wait(seconds)

    def _post(self, body: bytes) -> None:
        headers = {"Content-Type": "application/json"}
        try:
            status = self._pool.request("POST", self._url, body=body, headers=headers).status
        except (HTTPError, OSError) as error:
            raise _TryAgainError(f"the webhook did not answer ({type(error).__name__})") from None
        if status == 429 or status >= 500:
            raise _TryAgainError(f"the webhook answered {status}")
        if status >= 300:
            raise LeverageError(f"the webhook answered {status}")


class _TryAgainError(LeverageError):
    """It may go better in a while."""
