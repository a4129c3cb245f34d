"""What an operator wants to know of a token: how far it is from its band, from liquidation, and how late."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from leverage import leverage_math as lm
from leverage import policy as rules
from leverage.keeper import decided, events
from leverage.types import WAD, Action, Report, Snapshot, Trigger


@dataclass(frozen=True)
class Feed:
    """A token's index price: when it was updated, and how far from it the venue's may be, WAD."""

    updated_at: int
    max_deviation: int


@dataclass(frozen=True)
class Surroundings:
    """What a pass does not read: the money of accounts in wei, and the feeds by symbol."""

    balances: Mapping[str, int] = field(default_factory=dict)
    feeds: Mapping[str, Feed] = field(default_factory=dict)


@dataclass(frozen=True)
class Measures:
    """One token, read off its report. WAD, seconds; None where it is not known.

    `to_band` and `to_liquidation` are the moves of the index that the token can bear until it leaves its
    band, on whichever side is nearer, and until the venue liquidates it: fractions, 0 when that has happened.
    """

    nav: int
    leverage: int
    target: int
    equity: int
    to_band: int | None
    to_liquidation: int | None
    mark_gap: int
    price_age: int | None
    late: int
    is_out_of_band: bool
    is_ruined: bool


def measured(report: Report, maintenance: int | None, feed: Feed | None, late: int = 0) -> Measures | None:
    """The measures of a report; None where there is no snapshot to take them from.

    `maintenance` is the part of the notional, WAD, at which the venue liquidates.
    """
    s, policy = report.snapshot, report.policy
    if s is None or policy is None:
        return None
    is_held = s.supply > 0 and not s.ruined
    gearing = abs(s.leverage)
    return Measures(
        nav=s.nav,
        leverage=s.leverage,
        target=s.target,
        equity=s.equity,
        to_band=to_band(s, policy.band_min, policy.band_max) if is_held else None,
        to_liquidation=None if maintenance is None or not is_held else to_liquidation(s, maintenance),
        mark_gap=(s.venue_price - s.price) * WAD // s.price,
        price_age=None if feed is None else max(0, s.timestamp - feed.updated_at),
        late=late,
        is_out_of_band=is_held and not policy.band_min <= gearing <= policy.band_max,
        is_ruined=s.ruined,
    )


def to_band(s: Snapshot, band_min: int, band_max: int) -> int | None:
    """The least move of the index that takes leverage out of its band; None when none does."""
    if not band_min <= abs(s.leverage) <= band_max:
        return 0
    sign = 1 if s.target > 0 else -1
    moves = [
        against * lm.move_to(s.leverage, sign * edge)
        for against, edge in ((-sign, band_max), (sign, band_min))
        if _is_reachable(s.leverage, sign * edge)
    ]
    return min(moves, default=None)


def to_liquidation(s: Snapshot, maintenance: int) -> int | None:
    """The move of the index against the position that has it liquidated; None without a position."""
    if s.leverage == 0:
        return None
    if s.equity <= 0:
        return 0
    move = lm.move_to_liquidation(s.leverage, maintenance)
    return max(0, -move if s.leverage > 0 else move)


def _is_reachable(leverage: int, edge: int) -> bool:
    """Whether any move of the index takes leverage to an edge: it leaves 0 never, and no long crosses 1."""
    return leverage != 0 and (leverage < 0 or min(leverage, edge) > WAD or max(leverage, edge) < WAD)


def lateness(action: Action, since: int, report: Report) -> int:
    """Seconds for which an action has been due, `since` being when it was first seen to be.

    A scheduled one is not late while it is the keeper's own, which acts at a random moment.
    """
    late = max(0, report.now - since)
    if action.trigger == Trigger.SCHEDULED and report.policy is not None:
        return min(late, rules.lateness(report.policy, report.now))
    return late


@dataclass
class Sight:
    """A listener that keeps the newest of every token, and since when what is due has been due."""

    is_keeper: bool = True
    maintenance: Mapping[str, int] = field(default_factory=dict)
    surroundings: Surroundings = Surroundings()
    reports: Mapping[str, Report] = field(default_factory=dict)
    due: dict[str, tuple[Action, int]] = field(default_factory=dict)

    def __call__(self, event: events.Event) -> None:
        match event:
            case events.Looked(reports):
                # A new one each time: who reads it in another thread keeps the whole of the one before.
                self.reports = {**self.reports, **reports}
                for token, report in reports.items():
                    self._note(token, report)
            case events.Acted(token) | events.Passed(token):
                self.due.pop(token, None)

    def late(self, token: str) -> int:
        """Seconds for which something has been due for a token."""
        if (due := self.due.get(token)) is None:
            return 0
        return lateness(*due, self.reports[token])

    def measure(self, token: str) -> Measures | None:
        """Of one token as last read."""
        feed = self.surroundings.feeds.get(token)
        return measured(self.reports[token], self.maintenance.get(token), feed, self.late(token))

    def _note(self, token: str, report: Report) -> None:
        action = decided(report, self.is_keeper)
        if action is None:
            self.due.pop(token, None)
            return
        before = self.due.get(token)
        is_same = before is not None and before[0].kind == action.kind
        self.due[token] = (action, before[1] if before and is_same else report.now)
