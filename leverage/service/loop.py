"""The service: a pass at every block, until told to stop. It keeps nothing that the chain does not know."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from leverage.errors import LeverageError, UnreachableError, unexpected
from leverage.keeper import DONE, BackOff, Keeper
from leverage.keeper.clock import Clock
from leverage.keeper.events import Trouble
from leverage.service.alerts import Alarms, Alert, Key, Limits, found
from leverage.service.health import Health
from leverage.service.measures import Sight, Surroundings
from leverage.service.metrics import Metrics

POLL = 0.2  # Seconds from one question for the newest block to the next.
LONGEST = 15.0  # Seconds that a node which does not answer is left alone at most.
IDLE = 15.0  # Seconds without a block after which a pass is made all the same.
MEMORY = 0.2  # Weight of the newest block in the mean time between blocks.


@dataclass
class Stop:
    """Asked for by a signal: who sleeps wakes up, who acts ends what is in flight."""

    _event: threading.Event = field(default_factory=threading.Event)

    def ask(self) -> None:
        """Have it stopped."""
        self._event.set()

    def is_asked(self) -> bool:
        """Whether it was."""
        return self._event.is_set()

    def sleep(self, seconds: float) -> None:
        """Sleep, unless it has been asked for, or until it is."""
        self._event.wait(seconds)

    @contextmanager
    def on_signals(self) -> Iterator[None]:
        """SIGTERM and SIGINT ask for it; the second of them ends the process at once."""

        def ask(number: int, frame: object) -> None:
            signal.signal(number, signal.SIG_DFL)
            self.ask()

        before = {number: signal.signal(number, ask) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


@dataclass
class Service:
    """A keeper that looks whenever there is a new block, or earlier when an order wants it to.

    `head` is the number of the newest block; `look_around` reads what a pass does not.
    """

    keeper: Keeper
    head: Callable[[], int]
    look_around: Callable[[], Surroundings] = Surroundings
    alarms: Alarms | None = None
    limits: Limits = Limits()
    sight: Sight = field(default_factory=Sight)
    health: Health = field(default_factory=Health)
    stop: Stop = field(default_factory=Stop)
    poll: float = POLL
    metrics: Metrics = field(init=False)

    def __post_init__(self) -> None:
        keeper = self.keeper
        self.sight.is_keeper = keeper.is_keeper
        self.metrics = Metrics(self.sight, self.health.problem)
        keeper.listeners += [self.sight, self.metrics, self.health]
        keeper.clock = Clock(keeper.clock.now, self.stop.sleep)
        keeper.is_stopping = self.stop.is_asked
        self._back_off = BackOff(keeper.every)
        self._block: int | None = None
        self._risen = 0.0
        self._interval: float | None = None
        self._look_again = 0.0
        self._failures = 0
        self._wrong: dict[Key, str] = {}

    def run(self) -> int:
        """Serve until stopped; returns an exit code."""
        while not self.stop.is_asked():
            self.stop.sleep(self.turn())
        return DONE

    def turn(self) -> float:
        """Ask for the newest block, and pass if it is one; in how many seconds to do so again."""
        now = self.keeper.clock.now
        try:
            block = self.head()
            self.health.saw(block)
            if block != self._block or now() >= self._look_again:
                self._pass(block)
            self._failures = 0
        except Exception as error:
            self._failures += 1
            self.health.failed(_text(error))
            self.keeper.tell(Trouble(_kind(error), _text(error)))
        self._alert()
        return min(LONGEST, self.poll * (1 << min(self._failures, 10)))

    def _pass(self, block: int) -> None:
        keeper = self.keeper
        began = keeper.clock.now()
        keeper.every = self._back_off.every = self._paced(block, began)
        keeper.check()
        keeper.confirm(0)
        steps = keeper.step_all(self._back_off)
        ended = keeper.clock.now()
        again = [step.again for step in steps if step.again is not None]
        self._look_again = ended + min([IDLE, *again])
        # Only now: a pass that broke off is made again at once.
        self._block = block
        self.metrics.end_pass(block, ended - began)
        self.health.end_pass()
        # What only people want to know comes last, so that it keeps nothing from being done.
        self.sight.surroundings = self.look_around()
        self._wrong = found(self.sight, self.limits)

    def _paced(self, block: int, now: float) -> int:
        """Seconds from one pass to the next: the mean between blocks, but at least one."""
        if self._block is not None and block > self._block:
            seconds = (now - self._risen) / (block - self._block)
            mean = seconds if self._interval is None else self._interval
            self._interval = mean + MEMORY * (seconds - mean)
        if block != self._block:
            self._risen = now
        return max(1, round(self._interval or self.keeper.every))

    def _alert(self) -> None:
        if self.alarms is None:
            return
        wrong = dict(self._wrong)
        if problem := self.health.unreachable():
            wrong[Alert.UNREACHABLE, ""] = problem
        elif problem := self.health.stalled():
            wrong[Alert.UNWELL, ""] = problem
        self.alarms.update(wrong, self._block or 0, self.keeper.clock.now())
        for alert, tokens in self.alarms.lasting().items():
            self.metrics.alerts.labels(str(alert)).set(tokens)


def _kind(error: Exception) -> str:
    """A word for the log and the metrics."""
    if isinstance(error, UnreachableError):
        return "unreachable"
    return "refused" if isinstance(error, LeverageError) else "bug"


def _text(error: Exception) -> str:
    """Our own errors in their words; of others the place, since their words may tell a secret."""
    return str(error) if isinstance(error, LeverageError) else unexpected(error)
