"""Whether an action is worth its gas. Emergencies, ruin and orders under way are, whatever they cost."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from leverage import leverage_math as lm
from leverage import policy as rules
from leverage.errors import LeverageError
from leverage.twin.queued import USER_TIP_SHARE
from leverage.twin.vault import TIP_SHARE
from leverage.types import WAD, Action, Kind, Report, Trigger


class DeclinedError(LeverageError):
    """An action would lose more than the keeper's owner allows."""


@dataclass
class Economy:
    """Holds every action against `max_loss`, in units of collateral, WAD; None lets all of them pass.

    `ether_price` is in the same units. The tip is estimated from the latest report; what it will be, the
    vault decides in the block that mines the action.
    """

    max_loss: int | None
    ether_price: Callable[[], int]
    _reports: dict[str, Report] = field(default_factory=dict)

    def note(self, reports: Sequence[Report]) -> None:
        """Remember the state that is decided on."""
        self._reports |= {report.vault: report for report in reports}

    def check(self, vault: str, action: Action, cost: int) -> None:
        """Raise `DeclinedError` when `cost`, in wei, is too much for what the action earns."""
        if self.max_loss is None or is_urgent(action):
            return
        spent = cost * self.ether_price() // WAD
        earned = tip(self._reports[vault], action) if vault in self._reports else 0
        if spent - earned > self.max_loss:
            raise DeclinedError(
                f"gas for {spent / WAD:.4g} against a tip of {earned / WAD:.4g}: a loss beyond"
                f" the {self.max_loss / WAD:g} of --max-loss"
            )


def is_urgent(action: Action) -> bool:
    """Whether waiting costs holders."""
    return action.trigger == Trigger.EMERGENCY or action.kind in (Kind.CHECK_RUIN, Kind.SETTLE)


def tip(report: Report, action: Action) -> int:
    """What an action would earn now, WAD: for the time that people, or a schedule, have waited (E-5)."""
    snapshot, policy, waiting = report.snapshot, report.policy, report.waiting
    if snapshot is None or policy is None or action.kind not in (Kind.REBALANCE, Kind.COMMIT):
        return 0
    is_late = action.trigger == Trigger.SCHEDULED
    late = rules.lateness(policy, report.now) if is_late else 0
    most = max(0, snapshot.equity) // TIP_SHARE if action.trigger else 0
    if waiting and waiting.opened_at:
        late = max(late, report.now - waiting.opened_at)
        leaving = snapshot.nav * waiting.shares // WAD
        most += (waiting.assets * 10 ** (18 - waiting.decimals) + leaving) // USER_TIP_SHARE
    return min(lm.tip(late, policy.tip_rate, policy.tip_cap), most)
