"""The keeper: read every token in one call, decide, act, report. It knows no node, only `read` and `send`.

In the exclusive seconds of a schedule it acts at a moment drawn from a secure source. Each pass draws anew
from the seconds that are left and waits only when the draw falls before the next pass: the moment is uniform
over the window, needs no memory, and is known to nobody, the log included, before it has come.
"""

import fcntl
import os
import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

import structlog
from rich.markup import escape
from rich.table import Table

from leverage import policy as rules
from leverage.errors import LeverageError, RevertError
from leverage.types import WAD, Action, Kind, Report, Trigger

DONE, FAILED, MISCONFIGURED, LOCKED = 0, 1, 2, 3
# Reverts that mean: somebody was faster, or the trade shrank below the minimum once its own cost was counted.
OVERTAKEN = {"NothingDue", "TradeTooSmall", "VaultRuined"}

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
    """What became of one token in one pass."""

    symbol: str
    action: Action | None = None
    is_failed: bool = False


@dataclass
class BackOff:
    """When a token that failed may be tried again: 1, 2, 4 … passes later, soon in an emergency."""

    every: int
    longest: int = 600
    in_emergency: int = 60
    _failures: dict[str, int] = field(default_factory=dict)
    _since: dict[str, float] = field(default_factory=dict)

    def holds(self, symbol: str, action: Action, now: float) -> bool:
        """Whether `symbol` is to be left alone for now."""
        failures = self._failures.get(symbol, 0)
        if failures == 0:
            return False
        longest = self.in_emergency if is_urgent(action) else self.longest
        wait = min(self.every << (failures - 1), longest)
        return now < self._since[symbol] + wait

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
        """Look at every token once and do what is due; the result is an exit code."""
        steps = self.step_all()
        failed = sum(step.is_failed for step in steps)
        acted = sum(step.action is not None and not step.is_failed for step in steps)
        self.log.info("pass", tokens=len(steps), acted=acted, failed=failed)
        return FAILED if failed else DONE

    def run(self, passes: int | None = None) -> None:
        """Do so again and again until interrupted; what fails is tried less often and holds nobody up."""
        back_off, unreachable = BackOff(self.every), 0
        while passes is None or passes > 0:
            began = self.clock.now()
            try:
                self.step_all(back_off)
                unreachable = 0
            except LeverageError as error:
                unreachable = min(unreachable + 1, 5)
                self.log.error("unreachable", error=str(error))
            wait = self.every << unreachable
            self.clock.sleep(max(1.0, began + wait - self.clock.now()))
            passes = None if passes is None else passes - 1

    def step_all(self, back_off: BackOff | None = None) -> list[Step]:
        """Look at every token once and do what is due: emergencies first, secret moments last."""
        back_off = back_off or BackOff(self.every)
        steps: list[Step] = []
        due: list[tuple[bool, str, Action]] = []
        waiting: list[tuple[float, str]] = []
        for symbol, report in zip(self.tokens, self.read(list(self.tokens.values())), strict=True):
            action = self._decide(symbol, report)
            if report.snapshot is None:
                steps.append(Step(symbol, is_failed=True))
            elif action is None or back_off.holds(symbol, action, self.clock.now()):
                steps.append(Step(symbol))
            elif (left := exclusive_seconds(report, action)) == 0:
                due.append((not is_urgent(action), symbol, action))
            elif (moment := self.draw(left)) < self.every or self.is_dry:
                waiting.append((self.clock.now() + moment, symbol))
                self.log.info("scheduled", token=symbol)
            else:
                steps.append(Step(symbol))
                self.log.info("scheduled", token=symbol)

        for _, symbol, action in sorted(due, key=lambda entry: entry[0]):
            steps.append(self._act(symbol, action, back_off))
        for at, symbol in sorted(waiting):
            steps.append(self._act_at(at, symbol, back_off))
        return steps

    def _decide(self, symbol: str, report: Report) -> Action | None:
        if report.snapshot is None or report.policy is None:
            self.log.error("unreadable", token=symbol, error=report.failure)
            return None
        return rules.decide(report.snapshot, report.policy, report.snapshot.timestamp, self.is_keeper)

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
        return Step(symbol) if action is None else self._act(symbol, action, back_off)

    def _act(self, symbol: str, action: Action, back_off: BackOff) -> Step:
        log = self.log.bind(token=symbol)
        wanted = {"trigger": action.trigger.name, "size": action.size_delta}
        if self.is_dry:
            log.info(f"would_{action.kind}", **wanted)
            return Step(symbol, action)
        try:
            event = self.send(self.tokens[symbol], action)
        except LeverageError as error:
            if isinstance(error, RevertError) and error.name in OVERTAKEN:
                log.info("nothing_to_do", reason=str(error))
                return Step(symbol)
            step = Step(symbol, action, is_failed=True)
            log.error("failed", action=str(action.kind), error=str(error), **wanted)
        else:
            step = Step(symbol, action if event is not None else None)
            if event is not None:
                log.info(str(action.kind), **{"trigger": action.trigger.name, **readable(event)})
        back_off.note(step, self.clock.now())
        return step


def is_urgent(action: Action) -> bool:
    """Whether waiting costs holders."""
    return action.trigger == Trigger.EMERGENCY or action.kind == Kind.CHECK_RUIN


def exclusive_seconds(report: Report, action: Action) -> int:
    """Seconds left of the keeper's own part of a schedule; 0 when anyone may act, or a chunk is due."""
    snapshot, policy = report.snapshot, report.policy
    if snapshot is None or policy is None or action.trigger != Trigger.SCHEDULED:
        return 0
    if rules.is_unfinished(policy, snapshot.rebalancing, snapshot.target, snapshot.leverage):
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
    table = Table("token", "price", "nav", "leverage", "equity", "due", "last (UTC)")
    for column in table.columns:
        column.no_wrap = True
    for symbol, report in reports.items():
        s, policy = report.snapshot, report.policy
        if s is None or policy is None:
            table.add_row(symbol, "unreadable")
            table.caption = f"{table.caption or ''}\n{symbol}: {escape(report.failure)}".strip()
            continue
        action = rules.decide(s, policy, s.timestamp, is_keeper=True)
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
