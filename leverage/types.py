"""Words of the protocol in Python: the structs of its interfaces, frozen, of int.

Units: WAD (1e18) unless said otherwise, `assets` in the collateral's own decimals, time in seconds.
"""

from dataclasses import dataclass
from enum import IntEnum, StrEnum

WAD = 10**18
DAY = 86_400

ADMIN_ROLE = 0
KEEPER_ROLE = 1
GUARDIAN_ROLE = 2
CREATOR_ROLE = 3


class Trigger(IntEnum):
    """Why a rebalance is due (E-5)."""

    NONE = 0
    EMERGENCY = 1
    BAND = 2
    SCHEDULED = 3


@dataclass(frozen=True)
class Policy:
    """When and how much to rebalance (E-5, E-6)."""

    triggers: int
    period: int
    offset: int
    exclusive: int
    cooldown: int
    band_min: int
    band_max: int
    emergency_move: int
    drift: int
    tolerance: int
    max_slippage: int
    emergency_slippage: int
    tip_rate: int
    tip_cap: int
    min_notional: int
    max_notional: int


@dataclass(frozen=True)
class Sizes:
    """What each party adds to the one order of a batch (E-3), base units, buy > 0."""

    enter: int
    leave: int
    rebalance: int


@dataclass(frozen=True)
class Fees:
    """What is charged (E-4): fractions of assets in, of assets out, of equity per day."""

    mint: int
    burn: int
    management_per_day: int


@dataclass(frozen=True)
class Caps:
    """Most that may come in, in assets: per UTC day, and equity in total."""

    daily: int
    total: int


@dataclass(frozen=True)
class Rebalancing:
    """What the policy remembers of the last rebalance."""

    price: int
    time: int
    chunk: Trigger
    buying: bool


@dataclass(frozen=True)
class Snapshot:
    """Everything about a vault at one moment, from one call."""

    timestamp: int
    price: int
    venue_price: int
    size: int
    equity: int
    supply: int
    nav: int
    leverage: int
    target: int
    rebalancing: Rebalancing
    paused_until: int
    ruined: bool


class Stage(IntEnum):
    """Where an order is: at the venue, filled there but not settled here, or gone without a fill."""

    NONE = 0
    WAITING = 1
    FILLED = 2
    GONE = 3


@dataclass(frozen=True)
class Order:
    """The order of a queued vault. From the seconds named it can be filled, and cancelled."""

    stage: Stage
    size_delta: int
    fillable_from: int
    cancellable_from: int


@dataclass(frozen=True)
class Waiting:
    """What a queued vault has in flight, and what waits for its next commit.

    Beside them what it takes to judge them: the decimals of `assets`, and how far the oracle lets the venue's
    price be from the index.
    """

    order: Order
    assets: int
    shares: int
    opened_at: int
    cash_short: int
    is_gone: bool = False
    decimals: int = 18
    max_deviation: int = WAD


class Kind(StrEnum):
    """The vault function that an action calls."""

    REBALANCE = "rebalance"
    CHECK_RUIN = "check_ruin"
    COMMIT = "commit"
    SETTLE = "settle"
    COLLECT_CASH = "collect_cash"


@dataclass(frozen=True)
class Action:
    """What to do now. `size_delta` in base units, buy > 0, before the correction for its own cost.

    Unless it is 0, `proof_from` is the first second of which a signed price may be that has to go with it.
    """

    kind: Kind
    trigger: Trigger = Trigger.NONE
    size_delta: int = 0
    proof_from: int = 0


@dataclass(frozen=True)
class Report:
    """One vault as read: its snapshot and policy, or the reason why they could not be read.

    `waiting` is a queued vault's alone, and readable without a price; `time` is that of the chain where there
    is no snapshot to tell it.
    """

    vault: str
    snapshot: Snapshot | None = None
    policy: Policy | None = None
    failure: str = ""
    waiting: Waiting | None = None
    time: int = 0

    @property
    def now(self) -> int:
        """The chain's time of the reading."""
        return self.time if self.snapshot is None else self.snapshot.timestamp

    @property
    def is_queued(self) -> bool:
        """Whether its venue fills later."""
        return self.waiting is not None
