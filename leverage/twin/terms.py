"""Twin of VaultTerms.sol and PolicyBounds.sol: what may change about one vault.

Who may change it, and after what delay, is the Authority's business: a change counts from the second in which
it is executed here.
"""

from dataclasses import asdict, dataclass

from leverage import leverage_math as lm
from leverage import policy as rules
from leverage.twin.ground import Chain, Contract, require, transaction
from leverage.types import DAY, WAD, Caps, Fees, Policy, Rebalancing, Trigger

MAX_PAUSE = 7 * DAY
# The band's upper edge keeps a fifth of the venue's largest leverage in reserve.
VENUE_RESERVE = 8 * WAD // 10
HOUR = 3_600
UINT128_MAX = 2**128 - 1


@dataclass(frozen=True)
class Rates:
    """Mint and burn fee, WAD fractions; the integral of the management rate up to now, WAD; who gets it."""

    mint_fee: int
    burn_fee: int
    management_integral: int
    treasury: str


@dataclass(frozen=True)
class Ruling:
    """What the policy says to a caller now."""

    trigger: Trigger
    policy: Policy
    slippage: int
    lateness: int
    paused_until: int


@dataclass(frozen=True)
class Limits:
    """The band's upper edge, the caps in assets, and until when mints are stopped."""

    band_max: int
    daily: int
    total: int
    paused_until: int


@dataclass(frozen=True)
class Room:
    """How much more may come in, in assets: today, and before the total cap; the least, and the pause's
    end."""

    today: int
    before_cap: int
    least: int
    paused_until: int


class VaultTerms(Contract):
    def __init__(
        self,
        chain: Chain,
        gearing: int,
        venue_max: int,
        treasury: str,
        policy: Policy,
        fees: Fees,
        caps: Caps,
        address: str = "terms",
    ):
        """`gearing` is |target|, `venue_max` the venue's largest leverage, WAD."""
        super().__init__(chain, address)
        self.gearing = gearing
        self.venue_max = venue_max
        self.keepers: set[str] = set()
        self.paused_until = 0
        self.is_pause_armed = True
        self.integral = 0
        self.since = chain.now
        self.fees = Fees(0, 0, 0)
        self.set_policy(policy)
        self.set_fees(fees)
        self.set_caps(caps)
        self.set_treasury(treasury)

    # Views

    def rates(self) -> Rates:
        return Rates(self.fees.mint, self.fees.burn, self._integral_at(), self.treasury)

    def rule(self, last: Rebalancing, target: int, price: int, leverage: int, caller: str) -> Ruling:
        now, policy = self.chain.now, self.policy
        trigger = rules.due(policy, last, target, price, leverage, now, caller in self.keepers)
        is_late = last.time < rules.slot_start(policy, now)
        return Ruling(
            trigger=trigger,
            policy=policy,
            slippage=rules.slippage(policy, leverage),
            lateness=rules.lateness(policy, now) if is_late else 0,
            paused_until=self.paused_until,
        )

    def room(self, minted: int, held: int, scale: int) -> Room:
        least = max(1, lm.ceil_div(self.policy.min_notional * WAD, self.gearing * scale))
        today, before_cap = max(0, self.caps.daily - minted), max(0, self.caps.total - held)
        return Room(today, before_cap, least, self.paused_until)

    def limits(self) -> Limits:
        return Limits(self.policy.band_max, self.caps.daily, self.caps.total, self.paused_until)

    # Guardian

    @transaction
    def pause(self, duration: int) -> None:
        require(self.is_pause_armed, "PauseNotArmed")
        require(duration <= MAX_PAUSE, "PauseTooLong", duration, MAX_PAUSE)
        self.is_pause_armed = False
        self.paused_until = self.chain.now + duration

    def resume(self) -> None:
        self.paused_until = 0

    # Timelock

    def rearm_pause(self) -> None:
        self.is_pause_armed = True

    @transaction
    def set_policy(self, new_policy: Policy) -> None:
        check_policy(new_policy, self.gearing, self.venue_max)
        self.policy = new_policy

    @transaction
    def set_fees(self, new_fees: Fees) -> None:
        check_fees(new_fees)
        self.integral = self._integral_at()
        self.since = self.chain.now
        self.fees = new_fees

    def set_caps(self, new_caps: Caps) -> None:
        self.caps = new_caps

    def set_treasury(self, new_treasury: str) -> None:
        self.treasury = new_treasury

    # Internals

    def _integral_at(self) -> int:
        return self.integral + self.fees.management_per_day * (self.chain.now - self.since) // DAY


def check_policy(p: Policy, gearing: int, venue_max: int) -> None:
    """E-5, E-6: what not even the timelock can set."""
    bounds = {
        "triggers": (0, 7),
        "period": (HOUR, 7 * DAY),
        "offset": (0, p.period - 1),
        "exclusive": (0, min(2 * HOUR, p.period - 1)),
        "cooldown": (0, HOUR),
        "band_min": (0, gearing - 1),
        "band_max": (gearing + 1, venue_max * VENUE_RESERVE // WAD),
        "emergency_move": (WAD // 100, WAD // 2),
        "tolerance": (WAD // 1_000, gearing // 10),
        "drift": (p.tolerance, gearing // 2),
        "max_slippage": (WAD // 2_000, WAD // 20),
        "emergency_slippage": (p.max_slippage, WAD // 5),
        "tip_rate": (0, WAD // 10),
        "tip_cap": (0, 10 * WAD),
        "min_notional": (0, 10_000 * WAD),
        "max_notional": (p.min_notional + 1, UINT128_MAX),
    }
    values = asdict(p)
    for field, (least, most) in bounds.items():
        value = values[field]
        require(least <= value <= most, "PolicyOutOfBounds", field, value, least, most)


def check_fees(f: Fees) -> None:
    """E-4: 100 bp of assets in, 100 bp of assets out, 10 bp of equity per day."""
    bounds = {"mint": WAD // 100, "burn": WAD // 100, "management_per_day": WAD // 1_000}
    for field, most in bounds.items():
        value = getattr(f, field)
        require(value <= most, "FeeOutOfBounds", field, value, most)
