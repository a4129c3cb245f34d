"""The parts of the bench by name: each is given a way to say what it is doing, and returns its figures."""

from collections.abc import Callable
from typing import Any

from bench import (
    engine,
    gas,
    keeper_scan,
    keeper_service,
    lens,
    neutrality,
    queued,
    queued_attack,
    stale_oracle,
)
from bench.twin import run as twin

Part = Callable[[Callable[[str], None]], dict[str, Any]]

PARTS: dict[str, Part] = {
    "stale_oracle": stale_oracle.run,
    "gas": lambda report: {"gas": gas.run(report)},
    "neutrality": neutrality.run,
    "lens": lens.run,
    "queued_stale_oracle": queued_attack.run,
    "queued_gas": queued.gas,
    "queued_neutrality": queued.neutrality,
    "queued_blocked": queued.blocked,
    "model_engine": engine.run,
    "model_twin": twin.run,
    "keeper_scan": keeper_scan.run,
    "keeper_service": keeper_service.run,
}
