"""How fast the keeper is with many tokens: to read and decide, and to rebalance many that are due at once."""

import time
from collections.abc import Callable
from typing import Any

import structlog

from bench.lens import BLOCK_GAS, PLAN, connected, create, gas_of
from bench.rig import Rig
from devnet.perp_v2_build import WAD
from leverage.keeper import Keeper
from leverage.keeper.events import Acted

COUNTS = (10, 100, 1_000, 10_000)  # The last are the thousand, ten times over.
REPEATS = 3
DUE = 100
BLOCK_SECONDS = 1
MOST_SECONDS = 60
CRASH = 88  # Percent of its price that ETH falls to.

Say = Callable[[str], None]


def run(report: Say) -> dict[str, Any]:
    """Create a thousand tokens; look at ten to ten thousand; let a hundred be due at once."""
    with Rig.started(markets=("ETH", "BTC"), lean=True, extra=("--gas-limit", str(BLOCK_GAS))) as rig:
        lens = rig.deploy("Lens")
        vaults = create(rig, PLAN, report)
        with connected(rig, lens) as link:
            scans = {count: scan(rig, link, lens, vaults, count, report) for count in COUNTS}
            return {
                "scan_1000_s": scans[1_000]["seconds"],
                "scan": {str(count): figures for count, figures in scans.items()},
                **rebalances(rig, link, vaults, report),
            }


def scan(rig: Rig, link: Any, lens: Any, vaults: list[str], count: int, report: Say) -> dict[str, Any]:
    """The median of some passes that find nothing to do; the gas of the largest call."""
    report(f"looking at {count} tokens")
    tokens = {f"T{i}": vaults[i % len(vaults)] for i in range(count)}
    keeper = Keeper(tokens, link.read_reports, send=_never, is_keeper=True, log=silent())
    taken = []
    for _ in range(REPEATS):
        link.batches.clear()
        began = time.monotonic()
        steps = keeper.step_all()
        taken.append(time.monotonic() - began)
    if len(steps) != count or any(step.is_failed or step.action for step in steps):
        raise RuntimeError(f"{len(steps)} steps for {count} tokens, or something was due")
    gas = max(gas_of(rig, lens, batch) for batch in link.batches[:1])
    seconds = sorted(taken)[REPEATS // 2]
    return {"seconds": round(seconds, 3), "calls": len(link.batches), "gas_max": gas}


def rebalances(rig: Rig, link: Any, vaults: list[str], report: Say) -> dict[str, Any]:
    """Rebalances in a minute, with a block every second, when a crash makes a hundred tokens due at once."""
    from leverage.chain import test_account

    longs = [
        vault
        for vault, (market, target) in zip(vaults, PLAN, strict=True)
        if market == "ETH" and target > WAD
    ]
    tokens = {f"T{i}": vault for i, vault in enumerate(longs[:DUE])}
    for symbol, vault in tokens.items():
        link.record.tokens[symbol] = {"vault": vault, "kind": "InstantVault", "market": "ETH"}
    outbox = link.outbox(test_account(1), is_alone=True)
    done: list[Acted] = []
    keeper = Keeper(
        tokens, link.read_reports, lambda vault, action: link.act(vault, action, outbox), True, log=silent()
    )
    keeper.listeners.append(lambda event: done.append(event) if isinstance(event, Acted) else None)

    rig.perp.move("ETH", rig.perp.index_price("ETH") * CRASH // 100)
    rig.rpc("anvil_setBlockTimestampInterval", BLOCK_SECONDS)
    rig.rpc("evm_setAutomine", False)
    rig.rpc("evm_setIntervalMining", BLOCK_SECONDS)
    report(f"rebalancing {DUE} tokens")
    began = time.monotonic()
    keeper.is_stopping = lambda: time.monotonic() - began > MOST_SECONDS
    keeper.step_all()
    seconds = time.monotonic() - began
    return {"rebalances_per_min": round(len(done) * 60 / seconds, 1), "due_at_once": len(tokens)}


def silent() -> Any:
    """A log that nobody reads."""
    return structlog.wrap_logger(None, processors=[_drop])


def _drop(*_: Any) -> Any:
    raise structlog.DropEvent


def _never(vault: str, action: Any) -> None:
    raise RuntimeError(f"{action} was due")
