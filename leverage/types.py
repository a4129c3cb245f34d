"""Words of the protocol in Python: the structs of ILeveragedVault.sol and IVaultTerms.sol, frozen, of int.

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


class Kind(StrEnum):
    """The vault function that an action calls."""

    REBALANCE = "rebalance"
    CHECK_RUIN = "check_ruin"


@dataclass(frozen=True)
class Action:
    """What to do now. `size_delta` in base units, buy > 0, before the correction for its own cost."""

    kind: Kind
    trigger: Trigger = Trigger.NONE
    size_delta: int = 0


@dataclass(frozen=True)
class Report:
    """One vault as read: its snapshot and policy, or the reason why they could not be read."""

    vault: str
    snapshot: Snapshot | None = None
    policy: Policy | None = None
    failure: str = ""
