"""What a pass tells to whoever listens: what was read, decided, sent, mined, confirmed, and what failed.

`token` is a symbol. A listener is called in the pass itself, so it must be quick. What it raises is logged,
and harms nothing.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from leverage.types import Action, Report


@dataclass(frozen=True)
class Looked:
    """These tokens were read; it took `seconds`."""

    reports: Mapping[str, Report]
    seconds: float


@dataclass(frozen=True)
class Decided:
    """This is due. Next it is done, unless the keeper is dry or its moment is still secret."""

    token: str
    action: Action
    is_dry: bool = False


@dataclass(frozen=True)
class Scheduled:
    """This is due for the keeper alone, at a moment that nobody is told."""

    token: str


@dataclass(frozen=True)
class Sent:
    """A transaction went out; `attempt` counts those with this nonce. Fees in wei per unit of gas."""

    token: str
    transaction: str
    nonce: int
    gas: int
    max_fee: int
    tip: int
    attempt: int = 1


@dataclass(frozen=True)
class Mined:
    """A transaction is in a block. `cost` in wei is what the account paid for it, also where it reverted."""

    token: str
    transaction: str
    block: int
    gas_used: int
    cost: int
    is_reverted: bool = False


@dataclass(frozen=True)
class Acted:
    """It is done: the fields of the vault's event, and how many seconds after it was first seen due."""

    token: str
    action: Action
    fields: Mapping[str, Any]
    lateness: float


@dataclass(frozen=True)
class Passed:
    """Somebody was faster, or what was due is due no more."""

    token: str
    action: Action
    reason: str


@dataclass(frozen=True)
class Declined:
    """It would cost more than it may."""

    token: str
    action: Action
    reason: str


@dataclass(frozen=True)
class Failed:
    """A token could not be read (no action), or what was due could not be done."""

    token: str
    error: str
    action: Action | None = None


@dataclass(frozen=True)
class Confirmed:
    """The block of a transaction is deep enough in the chain."""

    token: str
    transaction: str
    block: int


@dataclass(frozen=True)
class Vanished:
    """A reorganisation of the chain has taken a transaction back: what is due is decided anew."""

    token: str
    transaction: str
    block: int


@dataclass(frozen=True)
class Waiting:
    """The pass waits for orders of these tokens, or to be affordable."""

    tokens: Sequence[str]
    seconds: float


@dataclass(frozen=True)
class Trouble:
    """The node, or what lies between, is not as it should be."""

    what: str
    error: str


@dataclass(frozen=True)
class Ended:
    """A whole pass, in numbers of tokens."""

    tokens: int
    acted: int
    failed: int


Event = (
    Looked
    | Decided
    | Scheduled
    | Sent
    | Mined
    | Acted
    | Passed
    | Declined
    | Failed
    | Confirmed
    | Vanished
    | Waiting
    | Trouble
    | Ended
)
Listener = Callable[[Event], None]
