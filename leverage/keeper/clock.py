"""The machine's own time: for waiting alone. What is due, only the chain's time decides."""

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Clock:
    """Seconds from no moment in particular, which setting the machine's date does not touch."""

    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
