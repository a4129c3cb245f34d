"""How a keeper reads a thousand tokens: the calls it takes, their gas, and the seconds."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.limits import CALL_GAS, TOKENS
from bench.rig import ADMIN, HOLDER, Rig, creation, vault_arguments
from devnet import Contract
from devnet.artifacts import mock
from devnet.perp_v2_build import WAD
from devnet.rpc import TX_GAS

MARKETS = ("ETH", "BTC")
TARGETS = tuple(multiple * WAD for multiple in (2, 3, -1, -2, -3))
PLAN = [(MARKETS[i % len(MARKETS)], TARGETS[i // len(MARKETS) % len(TARGETS)]) for i in range(TOKENS)]
STAKE = 1_000  # Of collateral, in each.
BATCH = 100  # Transactions per block while creating: the chain hashes all its accounts for each block.
BLOCK_GAS = 5_000_000_000


def run(report: Callable[[str], None] = print) -> dict[str, Any]:
    """Create the tokens, each with a holder, and read them all as the keeper does."""
    with Rig.started(markets=MARKETS, lean=True, extra=("--gas-limit", str(BLOCK_GAS))) as rig:
        began = time.monotonic()
        lens = rig.deploy("Lens")
        vaults = create(rig, PLAN, report)
        created = time.monotonic() - began

        report("reading through the lens")
        with connected(rig, lens) as link:
            began = time.monotonic()
            reports = link.read_reports(vaults, gas=CALL_GAS)
            seconds = time.monotonic() - began
        bad = [r.failure for r in reports if r.snapshot is None or not r.snapshot.supply]
        if len(reports) != TOKENS or bad:
            raise RuntimeError(f"{len(reports)} reports, of which {len(bad)} are empty: {bad[:1]}")
        gas = [gas_of(rig, lens, batch) for batch in link.batches]
        return {
            "lens": {
                "tokens": len(reports),
                "calls": len(gas),
                "seconds": round(seconds, 2),
                "gas_max": max(gas),
                "gas_per_token": sum(gas) // TOKENS,
                "seconds_to_create": round(created, 1),
            }
        }


def create(rig: Rig, plan: Sequence[tuple[str, int]], report: Callable[[str], None]) -> list[str]:
    """Vaults of these markets and targets, each with a holder."""
    oracles = {market: rig.oracle(market) for market in MARKETS}
    rig.give(HOLDER, 2 * len(plan) * STAKE * rig.perp.unit)
    vaults: list[str] = []
    for start in range(0, len(plan), BATCH):
        report(f"tokens: {start} of {len(plan)}")
        vaults += _created(rig, oracles, plan[start : start + BATCH])
    rig.rpc("evm_setAutomine", True)
    return vaults


def _created(rig: Rig, oracles: dict[str, Contract], plan: Sequence[tuple[str, int]]) -> list[str]:
    """Vaults with their adapters, each with a holder, in four blocks."""
    perp = rig.perp
    adapters = _mined(
        rig,
        ADMIN,
        [
            (None, creation("PerpV2Adapter", perp.clearing_house, perp.markets[market].base_token))
            for market, _ in plan
        ],
    )
    vaults = _mined(
        rig,
        ADMIN,
        [
            (None, creation("InstantVault", vault_arguments(rig, market, target, adapter, oracles[market])))
            for (market, target), adapter in zip(plan, adapters, strict=True)
        ],
    )
    assets = STAKE * perp.unit
    asset = perp.settlement_token
    _mined(rig, HOLDER, [(asset, asset.data("approve", vault, assets)) for vault in vaults])
    deposit = Contract(rig.rpc, mock("InstantVault"), vaults[0]).data("deposit", assets, HOLDER)
    _mined(rig, HOLDER, [(vault, deposit) for vault in vaults])
    return vaults


def _mined(rig: Rig, sender: str, transactions: Sequence[tuple[str | None, str]]) -> list[Any]:
    """Mine calls and creations in one block; the addresses of what was created."""
    rig.rpc("anvil_impersonateAccount", sender)
    rig.rpc("evm_setAutomine", False)
    hashes = []
    for to, data in transactions:
        request = {"from": sender, "data": data, "gas": hex(TX_GAS)} | ({"to": to} if to else {})
        hashes.append(rig.rpc("eth_sendTransaction", request))
    rig.rpc("evm_mine")
    receipts = [rig.rpc("eth_getTransactionReceipt", sent) for sent in hashes]
    if any(int(receipt["status"], 16) != 1 for receipt in receipts):
        raise RuntimeError("a transaction reverted")
    return [receipt["contractAddress"] for receipt in receipts]


@contextmanager
def connected(rig: Rig, lens: str) -> Iterator[Any]:
    """The keeper's own link to this chain; its `batches` are the vaults of the calls that went through."""
    import ape

    from leverage.chain import Chain
    from leverage.record import Record

    class Noting(Chain):
        batches: list[list[str]]

        def _read_batch(self, vaults: Sequence[str], gas: int) -> Any:
            answer = super()._read_batch(vaults, gas)
            if answer is not None:
                self.batches.append(list(vaults))
            return answer

    record = Record.new(Path("unwritten"), 31337, "")
    record.contracts["Lens"] = {"kind": "Lens", "address": lens}
    for name in ("Lens", "InstantVault", "PerpV2Adapter", "ChainlinkOracle"):
        record.abis[name] = mock(name).abi
    link = Noting(record)
    link.batches = []
    with ape.networks.parse_network_choice(f"ethereum:local:{rig.anvil.url}"):
        yield link


def gas_of(rig: Rig, lens: Any, vaults: Sequence[str]) -> int:
    """Gas of one call for these vaults."""
    call = {"to": lens, "data": lens.data("reports", list(vaults)), "gas": hex(CALL_GAS)}
    tracer = {"tracer": "callTracer", "tracerConfig": {"onlyTopCall": True}}
    trace = rig.rpc("debug_traceCall", call, "latest", tracer)
    if trace.get("error"):
        raise RuntimeError(f"the lens failed: {trace['error']}")
    return int(trace["gasUsed"], 16)
