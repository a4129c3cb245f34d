"""Reports of tokens that are nowhere, and what a web server was told."""

import json
from dataclasses import dataclass, field
from functools import cache
from threading import Condition

from leverage import config
from leverage import leverage_math as lm
from leverage.types import DAY, WAD, Order, Policy, Rebalancing, Report, Snapshot, Trigger, Waiting

NOON = 20_000 * DAY + DAY // 2
PRICE = 2_000 * WAD


def report_at(at: float = 3, target: float = 3, order: Order | None = None, **changes: object) -> Report:
    """A report of a token at some leverage. What else is named replaces what is in its snapshot."""
    equity = 10_000 * WAD
    size = lm.size_to_leverage(round(at * WAD), equity, 0, PRICE)
    fields = dict(
        timestamp=NOON, price=PRICE, venue_price=PRICE, size=size, equity=equity, supply=10_000 * WAD,
        nav=WAD, leverage=lm.leverage(size, PRICE, equity), target=round(target * WAD),
        rebalancing=Rebalancing(PRICE, NOON - 3_600, Trigger.NONE, False), paused_until=0, ruined=False,
    )  # fmt: skip
    waiting = None if order is None else Waiting(order, assets=0, shares=0, opened_at=0, cash_short=0)
    snapshot = Snapshot(**{**fields, **changes})
    return Report("0x" + "11" * 20, snapshot, policy_of(target), waiting=waiting)


@cache
def policy_of(target: float) -> Policy:
    return config.load().defaults.policy.policy(round(target * WAD))


@dataclass
class Notes:
    """What was posted to a web server, and the statuses it answers with: the last one for good."""

    url: str = ""
    statuses: list[int] = field(default_factory=lambda: [200])
    posted: list[dict] = field(default_factory=list)
    requests: int = 0
    _changed: Condition = field(default_factory=Condition)

    def take(self, body: bytes) -> int:
        with self._changed:
            status = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
            self.requests += 1
            if status == 200:
                self.posted.append(json.loads(body))
            self._changed.notify_all()
            return status

    def wait(self, requests: int, seconds: float = 20) -> None:
        """Until so many requests have come."""
        with self._changed:
            assert self._changed.wait_for(lambda: self.requests >= requests, seconds), self.posted
