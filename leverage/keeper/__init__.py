"""The keeper: it brings every token back to its target, on cron, as a service, or on several machines.

`core` is the pass: read, decide, act, tell. `transactions` gets what is to be done onto the chain, once;
`economy` knows what that may cost, `watch` whether the node can be believed. Others listen to `events`.
"""

from leverage.keeper.clock import Clock
from leverage.keeper.core import (
    DONE,
    FAILED,
    LOCKED,
    MISCONFIGURED,
    ORDER_OVERTAKEN,
    ORDER_SECONDS,
    OVERTAKEN,
    SOON,
    BackOff,
    Keeper,
    Step,
    decided,
)
from leverage.keeper.journal import log_to
from leverage.keeper.lock import LockHeldError, lock

__all__ = [
    "DONE",
    "FAILED",
    "LOCKED",
    "MISCONFIGURED",
    "ORDER_OVERTAKEN",
    "ORDER_SECONDS",
    "OVERTAKEN",
    "SOON",
    "BackOff",
    "Clock",
    "Keeper",
    "LockHeldError",
    "Step",
    "decided",
    "lock",
    "log_to",
]
