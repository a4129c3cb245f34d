"""The keeper: read every token in one call, decide, act, report. It knows no node, only `read` and `send`.

In the exclusive seconds of a schedule it acts at a moment drawn from a secure source. Each pass draws anew
from the seconds that are left and waits only when the draw falls before the next pass: the moment is uniform
over the window, needs no memory, and is known to nobody, the log included, before it has come.

Where a venue fills later, a commit is followed to its settlement: the keeper looks again as soon as the order
can be filled, takes note of what others have done, and cancels what nobody has filled in time.
"""

import fcntl
import math
import os
import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

import structlog
from rich.markup import escape
from rich.table import Table

from leverage import policy as rules
from leverage.errors import LeverageError, RevertError
from leverage.types import WAD, Action, Kind, Report, Stage, Trigger, Waiting

DONE, FAILED, MISCONFIGURED, LOCKED = 0, 1, 2, 3
# Reverts that mean: somebody was faster, an order has just failed, or the trade shrank below the minimum once
# its own cost was counted.
OVERTAKEN = {"NothingDue", "TradeTooSmall", "BatchTooSmall", "RetryTooEarly", "VaultRuined"}
# The same of an order: it is another's, has ended, or can be neither filled nor cancelled in this second.
ORDER_OVERTAKEN = {"OrderPending", "NoOrder", "OrderWaiting"}
ORDER_SECONDS = 35  # How long `once` follows an order: until it can be cancelled, and a little.
COMMIT_SECONDS = 8  # How long more orders are sent before the first is looked at again.
SOON = 1

Read = Callable[[Sequence[str]], list[Report]]
Send = Callable[[str, Action], Mapping[str, Any] | None]


class LockHeldError(LeverageError):
    """Another keeper is at work with the same account on the same chain."""


@dataclass(frozen=True)
class Clock:
    """Seconds; tests put their own in."""

    now: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep


@dataclass(frozen=True)
class Step:
    """What became of one token in one pass; `again` is in how many seconds it wants to be looked at."""

    symbol: str
    action: Action | None = None
    is_failed: bool = False
    again: float | None = None

    def did(self, kind: Kind) -> bool:
        """Whether this was done."""
        return not self.is_failed and self.action is not None and self.action.kind == kind


@dataclass
class BackOff:
    """When a token that failed may be tried again: 1, 2, 4 … passes later, soon in an emergency.

    An order has seconds to be filled in: there it is 2, 4, 8 … seconds.
    """

    every: int
    longest: int = 600
    in_emergency: int = 60
    _failures: dict[str, int] = field(default_factory=dict)
    _since: dict[str, float] = field(default_factory=dict)

    def left(self, symbol: str, action: Action, now: float) -> float:
        """Seconds for which `symbol` is to be left alone."""
        failures = self._failures.get(symbol, 0)
        if failures == 0:
            return 0
        first = min(self.every, 2 * SOON) if action.kind == Kind.SETTLE else self.every
        longest = self.in_emergency if is_urgent(action) else self.longest
        return max(0, self._since[symbol] + min(first << (failures - 1), longest) - now)

    def note(self, step: Step, now: float) -> None:
        """Remember how a step ended."""
        if step.is_failed:
            self._failures[step.symbol] = min(self._failures.get(step.symbol, 0) + 1, 30)
            self._since[step.symbol] = now
        elif step.action:
            self._failures.pop(step.symbol, None)


@dataclass
class Keeper:
    """One keeper over `tokens`, symbol → vault. `every` is the seconds from one pass to the next."""

    tokens: Mapping[str, str]
    read: Read
    send: Send
    is_keeper: bool
    every: int = 15
    is_dry: bool = False
    clock: Clock = Clock()
    draw: Callable[[int], int] = secrets.randbelow
    log: Any = field(default_factory=lambda: structlog.get_logger("keeper"))

    def once(self) -> int:
        """Look at every token once, do what is due, and follow orders to their end; returns an exit code."""
        back_off = BackOff(self.every)
        steps = self.step_all(back_off)
        last = {step.symbol: step for step in steps}
        acted: set[str] = set()
        committed: set[str] = set()
        deadline = self.clock.now() + ORDER_SECONDS
        while True:
            acted |= {step.symbol for step in steps if step.action is not None and not step.is_failed}
            if new := {step.symbol for step in steps if step.did(Kind.COMMIT)}:
                committed |= new
                deadline = self.clock.now() + ORDER_SECONDS
            # One order per token: what was requested meanwhile is for the next pass.
            ended = {step.symbol for step in steps if step.did(Kind.SETTLE)} & committed
            pending = {s.symbol: s.again for s in steps if s.again is not None and s.symbol not in ended}
            pause = max(SOON, min(pending.values(), default=0))
            if self.is_dry or not pending or self.clock.now() + pause > deadline:
                break
            self.log.info("waiting", tokens=list(pending), seconds=round(pause))
            self.clock.sleep(pause)
            steps = self.step_all(back_off, list(pending))
            last |= {step.symbol: step for step in steps}
        failed = sum(step.is_failed for step in last.values())
        self.log.info("pass", tokens=len(last), acted=len(acted), failed=failed)
        return FAILED if failed else DONE

    def run(self, passes: int | None = None) -> None:
        """Do so again and again until interrupted; what fails is tried less often and holds nobody up."""
        back_off, unreachable = BackOff(self.every), 0
        while passes is None or passes > 0:
            began, steps = self.clock.now(), list[Step]()
            try:
                steps = self.step_all(back_off)
                unreachable = 0
            except LeverageError as error:
                unreachable = min(unreachable + 1, 5)
                self.log.error("unreachable", error=str(error))
            now = self.clock.now()
            moments = [now + step.again for step in steps if step.again is not None]
            self.clock.sleep(max(SOON, min([began + (self.every << unreachable), *moments]) - now))
            passes = None if passes is None else passes - 1

    def step_all(self, back_off: BackOff | None = None, symbols: Sequence[str] = ()) -> list[Step]:
        """Look at every token, or at these, and do what is due: emergencies first, secret moments last."""
        back_off = back_off or BackOff(self.every)
        tokens = {symbol: self.tokens[symbol] for symbol in symbols or self.tokens}
        steps: list[Step] = []
        due: list[tuple[bool, str, Action]] = []
        waiting: list[tuple[float, str]] = []
        for symbol, report in zip(tokens, self.read(list(tokens.values())), strict=True):
            action = self._decide(symbol, report)
            if action is None:
                steps.append(Step(symbol, is_failed=report.snapshot is None, again=seconds_to_fill(report)))
            elif (left := back_off.left(symbol, action, self.clock.now())) > 0:
                again = left if action.kind == Kind.SETTLE else None
                steps.append(Step(symbol, is_failed=True, again=again))
            elif (left := exclusive_seconds(report, action)) == 0:
                due.append((not is_urgent(action), symbol, action))
            elif (moment := self.draw(left)) < self.every or self.is_dry:
                waiting.append((self.clock.now() + moment, symbol))
                self.log.info("scheduled", token=symbol)
            else:
                steps.append(Step(symbol))
                self.log.info("scheduled", token=symbol)

        # An order has seconds to be filled in: what can wait does not come between.
        is_under_way = any(step.again is not None for step in steps)
        latest = self.clock.now() + COMMIT_SECONDS if is_under_way else math.inf
        for _, symbol, action in sorted(due, key=lambda entry: entry[0]):
            if action.kind == Kind.COMMIT and self.clock.now() > latest:
                steps.append(Step(symbol, again=SOON))
                continue
            steps.append(self._act(symbol, action, back_off))
            if steps[-1].did(Kind.COMMIT):
                latest = min(latest, self.clock.now() + COMMIT_SECONDS)
        for at, symbol in sorted(waiting):
            if any(step.again is not None and self.clock.now() + step.again < at for step in steps):
                steps.append(Step(symbol, again=SOON))
            else:
                steps.append(self._act_at(at, symbol, back_off))
        return steps

    def _decide(self, symbol: str, report: Report) -> Action | None:
        if report.snapshot is None:
            self.log.error("unreadable", token=symbol, error=report.failure)
        return decided(report, self.clock.now(), self.is_keeper)

    def _act_at(self, moment: float, symbol: str, back_off: BackOff) -> Step:
        """Wait for the secret moment, then decide again: others may have acted, the price has moved."""
        if not self.is_dry:
            self.clock.sleep(max(0.0, moment - self.clock.now()))
        try:
            (report,) = self.read([self.tokens[symbol]])
        except LeverageError as error:
            report = Report(self.tokens[symbol], failure=str(error))
        action = self._decide(symbol, report)
        if report.snapshot is None:
            return Step(symbol, is_failed=True)
        if action is None:
            return Step(symbol, again=seconds_to_fill(report))
        return self._act(symbol, action, back_off)

    def _act(self, symbol: str, action: Action, back_off: BackOff) -> Step:
        log = self.log.bind(token=symbol)
        wanted = {"trigger": action.trigger.name, "size": action.size_delta}
        if self.is_dry:
            log.info(f"would_{action.kind}", **wanted)
            return Step(symbol, action)
        try:
            event = self.send(self.tokens[symbol], action)
        except LeverageError as error:
            name = error.name if isinstance(error, RevertError) else ""
            if name in OVERTAKEN | ORDER_OVERTAKEN:
                log.info("nothing_to_do", reason=str(error))
                return Step(symbol, again=SOON if name in ORDER_OVERTAKEN else None)
            step = Step(symbol, action, is_failed=True)
            log.error("failed", action=str(action.kind), error=str(error), **wanted)
        else:
            step = Step(symbol, action if event is not None else None)
            if event is not None:
                log.info(str(action.kind), **{"trigger": action.trigger.name, **readable(event)})
        back_off.note(step, self.clock.now())
        return replace(step, again=self._again(step, back_off))

    def _again(self, step: Step, back_off: BackOff) -> float | None:
        """After a commit its order is to be filled, and after a settlement the next requests may wait."""
        if step.action is None:
            return None
        kind = step.action.kind
        if step.is_failed:
            is_order = kind == Kind.SETTLE
            return back_off.left(step.symbol, step.action, self.clock.now()) if is_order else None
        return SOON if kind in (Kind.COMMIT, Kind.SETTLE, Kind.COLLECT_CASH) else None


def decided(report: Report, time: float, is_keeper: bool) -> Action | None:
    """What the policy says to a report; `time` is for one without a snapshot, which has none of its own."""
    now = int(time) if report.snapshot is None else report.snapshot.timestamp
    return rules.decide(report.snapshot, report.policy, now, is_keeper, report.waiting)


def is_urgent(action: Action) -> bool:
    """Whether waiting costs holders."""
    return action.trigger == Trigger.EMERGENCY or action.kind in (Kind.CHECK_RUIN, Kind.SETTLE)


def seconds_to_fill(report: Report) -> float | None:
    """Seconds until the order that waits at the venue can be filled; None when there is none."""
    if report.snapshot is None or report.waiting is None or report.waiting.order.stage != Stage.WAITING:
        return None
    return max(0, report.waiting.order.fillable_from - report.snapshot.timestamp)


def exclusive_seconds(report: Report, action: Action) -> int:
    """Seconds left of the keeper's own part of a schedule; 0 when there is something that anyone may do."""
    snapshot, policy = report.snapshot, report.policy
    if snapshot is None or policy is None or action.trigger != Trigger.SCHEDULED:
        return 0
    if rules.decide(snapshot, policy, snapshot.timestamp, False, report.waiting):
        return 0
    end = rules.slot_start(policy, snapshot.timestamp) + policy.exclusive
    return max(0, end - snapshot.timestamp)


def readable(event: Mapping[str, Any]) -> dict[str, Any]:
    """An event's fields under their own names, its trigger by name."""
    shown = dict(event)
    if "trigger" in shown:
        shown["trigger"] = Trigger(shown["trigger"]).name
    return shown


def status(reports: Mapping[str, Report]) -> Table:
    """Nav, leverage and what is due, symbol by symbol."""
    table = Table("token", "price", "nav", "leverage", "equity", "due", "last (UTC)", caption="")
    for column in table.columns:
        column.no_wrap = True
    for symbol, report in reports.items():
        s, policy = report.snapshot, report.policy
        for note in (report.failure, requests(report.waiting)):
            table.caption = f"{table.caption}\n{symbol}: {escape(note)}".strip() if note else table.caption
        if s is None or policy is None:
            table.add_row(symbol, "unreadable")
            continue
        action = decided(report, 0, is_keeper=True)
        due = "-" if action is None else action.trigger.name if action.trigger else str(action.kind)
        last = datetime.fromtimestamp(s.rebalancing.time, UTC)
        table.add_row(
            symbol,
            f"{s.price / WAD:,.2f}",
            f"{s.nav / WAD:.4f}",
            f"{s.leverage / WAD:.2f}x of {s.target / WAD:g}x",
            f"{s.equity / WAD:,.0f}",
            "ruined" if s.ruined else due,
            f"{last:%m-%d %H:%M}" if s.rebalancing.time else "-",
        )
    return table


def requests(waiting: Waiting | None) -> str:
    """What waits for the next order, and where the present one is."""
    if waiting is None:
        return ""
    parts = [f"{waiting.assets / 10**waiting.decimals:,.0f} in"] if waiting.assets else []
    parts += [f"{waiting.shares / WAD:,.2f} out"] if waiting.shares else []
    parts += [f"order {waiting.order.stage.name.lower()}"] if waiting.order.stage else []
    return ", ".join(parts)


def log_to(stream: TextIO) -> None:
    """Log lines for people on a terminal, JSON for everybody else."""
    last = structlog.dev.ConsoleRenderer() if stream.isatty() else structlog.processors.JSONRenderer()
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            last,
        ],
        logger_factory=structlog.PrintLoggerFactory(stream),
    )


@contextmanager
def lock(path: Path) -> Iterator[None]:
    """Hold a file; the system frees it when the process ends, however it ends."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.seek(0)
            raise LockHeldError(
                f"another keeper holds {path} (process {file.read().strip() or 'unknown'})"
            ) from None
        file.seek(0)
        file.truncate()
        file.write(str(os.getpid()))
        file.flush()
        yield
