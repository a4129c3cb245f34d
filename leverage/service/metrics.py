"""Prometheus metrics of a keeper. What concerns a token is read off its newest report when somebody asks.

Floats, for screens alone: leverage and nav in units, moves and gaps as fractions, money in ether, seconds.
"""

import re
import time
from collections.abc import Callable, Iterator

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from leverage.keeper import events
from leverage.service.measures import Measures, Sight
from leverage.types import WAD

ETHER = 10**18
LATENESS = (1, 2, 5, 15, 60, 300, 900, 3_600)  # Seconds.

# Name, what it is, and how it is read off the measures, which may not know it.
OF_TOKENS: list[tuple[str, str, Callable[[Measures], float | None]]] = [
    ("keeper_nav", "Equity per share.", lambda m: m.nav / WAD),
    ("keeper_leverage", "Signed leverage.", lambda m: _unless_infinite(m.leverage)),
    ("keeper_target", "Target leverage.", lambda m: m.target / WAD),
    ("keeper_equity", "Equity, in units of collateral.", lambda m: m.equity / WAD),
    (
        "keeper_to_band",
        "Move of the index that takes leverage out of its band; 0 when it is out.",
        lambda m: _in_units(m.to_band),
    ),
    (
        "keeper_to_liquidation",
        "Move of the index against the position at which the venue liquidates it.",
        lambda m: _in_units(m.to_liquidation),
    ),
    ("keeper_mark_gap", "The venue's price over the index, less one.", lambda m: m.mark_gap / WAD),
    ("keeper_price_age_seconds", "Age of the index price.", lambda m: m.price_age),
    ("keeper_late_seconds", "Seconds for which something has been due.", lambda m: m.late),
    ("keeper_ruined", "1 when the vault is ruined.", lambda m: float(m.is_ruined)),
]


class Metrics:
    """A listener that counts, with a registry of its own."""

    def __init__(self, sight: Sight, problem: Callable[[], str] = lambda: ""):
        self.registry = CollectorRegistry()
        registry = self.registry
        self.actions = Counter("keeper_actions", "What was done.", ["token", "action"], registry=registry)
        self.errors = Counter("keeper_errors", "What failed.", ["token", "kind"], registry=registry)
        self.reverts = Counter(
            "keeper_reverts", "Transactions mined and reverted.", ["token"], registry=registry
        )
        self.vanished = Counter(
            "keeper_vanished", "Transactions that a reorganisation took back.", registry=registry
        )
        self.gas = Counter("keeper_gas_spent_ether", "Paid for gas.", ["token"], registry=registry)
        self.tips = Counter("keeper_tips_earned_shares", "Tips, in shares.", ["token"], registry=registry)
        self.lateness = Histogram(
            "keeper_lateness_seconds", "From due to done.", ["token"], buckets=LATENESS, registry=registry
        )
        self.passes = Histogram("keeper_pass_seconds", "How long a pass took.", registry=registry)
        self.last_pass = Gauge(
            "keeper_last_pass_timestamp_seconds", "When a pass last ended.", registry=registry
        )
        self.block = Gauge("keeper_block", "Number of the newest block read.", registry=registry)
        self.alerts = Gauge("keeper_alerts", "Tokens for which an alert lasts.", ["alert"], registry=registry)
        healthy = Gauge("keeper_healthy", "1 while blocks are read and passes end.", registry=registry)
        healthy.set_function(lambda: float(not problem()))
        self.registry.register(_Tokens(sight))

    def __call__(self, event: events.Event) -> None:
        match event:
            case events.Mined(token, cost=cost, is_reverted=is_reverted):
                self.gas.labels(token).inc(cost / ETHER)
                if is_reverted:
                    self.reverts.labels(token).inc()
            case events.Acted(token, action, fields, lateness):
                self.actions.labels(token, str(action.kind)).inc()
                self.tips.labels(token).inc(fields.get("tipShares", 0) / WAD)
                self.lateness.labels(token).observe(max(0.0, lateness))
            case events.Failed(token, error):
                self.errors.labels(token, kind_of(error)).inc()
            case events.Trouble(what):
                self.errors.labels("", what).inc()
            case events.Vanished():
                self.vanished.inc()

    def end_pass(self, block: int, seconds: float) -> None:
        """A pass over this block has ended."""
        self.passes.observe(seconds)
        self.last_pass.set(time.time())
        self.block.set(block)

    def text(self) -> bytes:
        """All of them, as Prometheus reads them."""
        return generate_latest(self.registry)


class _Tokens(Collector):
    """Gauges of every token, made when they are asked for: a pass spends nothing on them."""

    def __init__(self, sight: Sight):
        self._sight = sight

    def collect(self) -> Iterator[GaugeMetricFamily]:
        reports = self._sight.reports
        measures = {token: self._sight.measure(token) for token in reports}
        readable = GaugeMetricFamily("keeper_readable", "1 when a token could be read.", labels=["token"])
        for token, found in measures.items():
            readable.add_metric([token], float(found is not None))
        yield readable
        for name, what, read in OF_TOKENS:
            family = GaugeMetricFamily(name, what, labels=["token"])
            for token, found in measures.items():
                value = None if found is None else read(found)
                if value is not None:
                    family.add_metric([token], value)
            yield family
        balances = GaugeMetricFamily("keeper_balance_ether", "Money for gas.", labels=["account"])
        for account, balance in self._sight.surroundings.balances.items():
            balances.add_metric([account], balance / ETHER)
        yield balances

    def describe(self) -> Iterator[GaugeMetricFamily]:
        """Nothing to read yet when the registry wants to know the names."""
        return iter(())


def kind_of(error: str) -> str:
    """A short word for an error: the name of the contract's, if it is one."""
    found = re.match(r"([A-Z]\w+)(?= \(|:|$)", error)
    return found[1] if found else "other"


def _in_units(value: int | None) -> float | None:
    return None if value is None else value / WAD


def _unless_infinite(leverage: int) -> float:
    return float("inf") * (1 if leverage > 0 else -1) if abs(leverage) > 10**9 * WAD else leverage / WAD
