"""The keeper: read every token in one call, decide, act, tell. It knows no node, only `read` and `send`.

In the exclusive seconds of a schedule it acts at a moment drawn from a secure source. Each pass draws anew
from the seconds that are left and waits only when the draw falls before the next pass: the moment is uniform
over the window, needs no memory, and is known to nobody, the log included, before it has come.

Where a venue fills later, a commit is followed to its settlement: the keeper looks again as soon as the order
can be filled, takes note of what others have done, and cancels what nobody has filled in time.
"""

import math
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import structlog

from leverage import policy as rules
from leverage.errors import LeverageError, RevertError, unexpected
from leverage.keeper.clock import Clock
from leverage.keeper.economy import DeclinedError, is_urgent
from leverage.keeper.events import (
    Acted,
    Decided,
    Declined,
    Ended,
    Event,
    Failed,
    Listener,
    Looked,
    Passed,
    Scheduled,
    Trouble,
    Waiting,
)
from leverage.keeper.journal import journal
from leverage.keeper.transactions import LookAgainError, UnaffordableError
from leverage.types import Action, Kind, Report, Stage, Trigger

DONE, FAILED, MISCONFIGURED, LOCKED = 0, 1, 2, 3
# Reverts that mean: somebody was faster, an order has just failed, or the trade shrank below the minimum once
# its own cost was counted.
OVERTAKEN = {"NothingDue", "TradeTooSmall", "BatchTooSmall", "RetryTooEarly", "VaultRuined"}
# The same of an order: it is another's, has ended, or can be neither filled nor cancelled in this second.
ORDER_OVERTAKEN = {"OrderPending", "NoOrder", "OrderWaiting"}
ORDER_SECONDS = 35  # How long `once` follows an order: until it can be cancelled, and a little.
COMMIT_SECONDS = 8  # How long more orders are sent before the first is looked at again.
CONFIRM_SECONDS = 60  # How long `once` waits for blocks upon those of its transactions.
FEE_SECONDS = 5  # How soon a price of gas that was too high is asked for again.
SOON = 1

Read = Callable[[Sequence[str]], list[Report]]
Send = Callable[[str, Action], Mapping[str, Any] | None]


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
    """One keeper over `tokens`, symbol → vault. `every` is the seconds from one pass to the next.

    `watch` says what is wrong with the node, and raises when nothing it says may be believed. `confirm` looks
    after what was mined, for so many seconds, and names the tokens whose transaction the chain has undone.
    When it `is_stopping`, nothing new is begun.
    """

    tokens: Mapping[str, str]
    read: Read
    send: Send
    is_keeper: bool
    every: int = 15
    is_dry: bool = False
    clock: Clock = Clock()
    draw: Callable[[int], int] = secrets.randbelow
    log: Any = field(default_factory=lambda: structlog.get_logger("keeper"))
    watch: Callable[[], Sequence[str]] = tuple
    confirm: Callable[[float], set[str]] = lambda seconds: set()
    is_stopping: Callable[[], bool] = lambda: False
    listeners: list[Listener] = field(default_factory=list)
    _due: dict[str, float] = field(default_factory=dict)

    def once(self) -> int:
        """Look at every token once, do what is due, and follow orders to their end; returns an exit code."""
        back_off = BackOff(self.every)
        is_troubled = self.check()
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
            pending: dict[str, float] = {
                s.symbol: s.again for s in steps if s.again is not None and s.symbol not in ended
            }
            pause = max(SOON, min(pending.values(), default=0))
            if self.is_dry or (pending and self.clock.now() + pause > deadline):
                break
            if pending:
                self.tell(Waiting(list(pending), pause))
                self.clock.sleep(pause)
            else:
                pending = dict.fromkeys(self.confirm(CONFIRM_SECONDS), SOON)
                if not pending:
                    break
            steps = self.step_all(back_off, list(pending))
            last |= {step.symbol: step for step in steps}
        failed = sum(step.is_failed for step in last.values())
        self.tell(Ended(len(last), len(acted), failed))
        return FAILED if failed or is_troubled else DONE

    def run(self, passes: int | None = None) -> None:
        """Do so again and again until interrupted; what fails is tried less often and holds nobody up."""
        back_off, unreachable = BackOff(self.every), 0
        while passes is None or passes > 0:
            began, steps = self.clock.now(), list[Step]()
            try:
                self.check()
                self.confirm(0)
                steps = self.step_all(back_off)
                unreachable = 0
            except LeverageError as error:
                unreachable = min(unreachable + 1, 5)
                self.tell(Trouble("unreachable", str(error)))
            except Exception as error:
                self.tell(Trouble("unexpected", unexpected(error)))
            now = self.clock.now()
            moments = [now + step.again for step in steps if step.again is not None]
            self.clock.sleep(max(SOON, min([began + (self.every << unreachable), *moments]) - now))
            passes = None if passes is None else passes - 1

    def step_all(self, back_off: BackOff | None = None, symbols: Sequence[str] = ()) -> list[Step]:
        """Look at every token, or at these, and do what is due: emergencies first, secret moments last."""
        back_off = back_off or BackOff(self.every)
        steps: list[Step] = []
        due: list[tuple[bool, str, Action]] = []
        waiting: list[tuple[float, str]] = []
        for symbol, report in self._look(symbols or list(self.tokens)).items():
            action = self._decide(symbol, report)
            if action is None:
                steps.append(Step(symbol, is_failed=report.snapshot is None, again=seconds_to_fill(report)))
            elif (left := back_off.left(symbol, action, self.clock.now())) > 0:
                again = left if action.kind == Kind.SETTLE else None
                steps.append(Step(symbol, is_failed=True, again=again))
            elif (left := exclusive_seconds(report, action)) == 0:
                due.append((not is_urgent(action), symbol, action))
            else:
                self.tell(Scheduled(symbol))
                if (moment := self.draw(left)) < self.every or self.is_dry:
                    waiting.append((self.clock.now() + moment, symbol))
                else:
                    steps.append(Step(symbol))

        # An order has seconds to be filled in: what can wait does not come between.
        is_under_way = any(step.again is not None for step in steps)
        latest = self.clock.now() + COMMIT_SECONDS if is_under_way else math.inf
        for _, symbol, action in sorted(due, key=lambda entry: entry[0]):
            if self.is_stopping():
                return steps
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

    def tell(self, event: Event) -> None:
        """Log an event, and let every listener hear it: none of them can stop what goes on."""
        for listener in (journal(self.log), *self.listeners):
            try:
                listener(event)
            except Exception as error:
                self.log.error("listener", error=unexpected(error))

    def check(self) -> bool:
        """Whether something is wrong with the node, though not so much that nothing can be done."""
        troubles = self.watch()
        for text in troubles:
            self.tell(Trouble("node", text))
        return bool(troubles)

    def _look(self, symbols: Sequence[str]) -> dict[str, Report]:
        began = self.clock.now()
        found = self.read([self.tokens[symbol] for symbol in symbols])
        reports = dict(zip(symbols, found, strict=True))
        self.tell(Looked(reports, self.clock.now() - began))
        return reports

    def _decide(self, symbol: str, report: Report) -> Action | None:
        if report.snapshot is None:
            self.tell(Failed(symbol, report.failure))
        action = decided(report, self.is_keeper)
        if action is None:
            self._due.pop(symbol, None)
        elif exclusive_seconds(report, action) == 0:
            self._due.setdefault(symbol, self.clock.now() - seconds_late(report, action))
        return action

    def _act_at(self, moment: float, symbol: str, back_off: BackOff) -> Step:
        """Wait for the secret moment, then decide again: others may have acted, the price has moved."""
        if not self.is_dry:
            self.clock.sleep(max(0.0, moment - self.clock.now()))
        if self.is_stopping():
            return Step(symbol)
        try:
            report = self._look([symbol])[symbol]
        except LeverageError as error:
            report = Report(self.tokens[symbol], failure=str(error))
        action = self._decide(symbol, report)
        if report.snapshot is None:
            return Step(symbol, is_failed=True)
        if action is None:
            return Step(symbol, again=seconds_to_fill(report))
        return self._act(symbol, action, back_off)

    def _act(self, symbol: str, action: Action, back_off: BackOff) -> Step:
        self.tell(Decided(symbol, action, self.is_dry))
        if self.is_dry:
            return Step(symbol, action)
        try:
            fields = self.send(self.tokens[symbol], action)
        except LeverageError as error:
            name = error.name if isinstance(error, RevertError) else ""
            if name in OVERTAKEN | ORDER_OVERTAKEN or isinstance(error, LookAgainError):
                self.tell(Passed(symbol, action, str(error)))
                return Step(symbol, again=None if name in OVERTAKEN else SOON)
            if isinstance(error, DeclinedError):
                self.tell(Declined(symbol, action, str(error)))
                return Step(symbol)
            self.tell(Failed(symbol, str(error), action))
            step = Step(symbol, action, is_failed=True)
            if isinstance(error, UnaffordableError):
                return replace(step, again=FEE_SECONDS)
        else:
            step = Step(symbol, action if fields is not None else None)
            late = self.clock.now() - self._due.pop(symbol, self.clock.now())
            if fields is not None:
                self.tell(Acted(symbol, action, fields, late))
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


def decided(report: Report, is_keeper: bool) -> Action | None:
    """What the policy says to a report, at the chain's time."""
    return rules.decide(report.snapshot, report.policy, report.now, is_keeper, report.waiting)


def seconds_to_fill(report: Report) -> float | None:
    """Seconds until the order that waits at the venue can be filled; None when there is none."""
    if report.waiting is None or report.waiting.order.stage != Stage.WAITING:
        return None
    return max(0, report.waiting.order.fillable_from - report.now)


def exclusive_seconds(report: Report, action: Action) -> int:
    """Seconds left of the keeper's own part of a schedule; 0 when there is something that anyone may do."""
    snapshot, policy = report.snapshot, report.policy
    if snapshot is None or policy is None or action.trigger != Trigger.SCHEDULED:
        return 0
    if rules.decide(snapshot, policy, snapshot.timestamp, False, report.waiting):
        return 0
    end = rules.slot_start(policy, snapshot.timestamp) + policy.exclusive
    return max(0, end - snapshot.timestamp)


def seconds_late(report: Report, action: Action) -> int:
    """For how long a schedule has been everybody's; when another trigger began, the chain does not tell."""
    if report.policy is None or action.trigger != Trigger.SCHEDULED:
        return 0
    return rules.lateness(report.policy, report.now)
