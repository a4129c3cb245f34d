"""The service as operators run it, in a process of its own: how soon it reacts, and what it takes idle."""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Any

from bench.run import ROOT
from devnet import Rpc, start
from leverage import config

SYMBOLS = ("ETH3L", "ETH3S", "BTC3L", "BTC3S")
HOUR = 3_600
BLOCK_SECONDS = 12
HURRY = 0.3  # Seconds for each block of that hour: the service asks for blocks five times a second.
STILL = 20  # Seconds without blocks in which it does nothing but ask.
CROSSINGS = 11
# Thousandths by which the price moves against a token until it is nearly, and then really, acted on.
NEARLY, BEYOND = 96, 102
PATIENCE = 60
STAKE = "10000"

Say = Callable[[str], None]


def run(report: Say) -> dict[str, Any]:
    """Deploy tokens with holders, start the service, let an hour pass, then cross the band some times."""
    report("deploying four tokens")
    with tempfile.TemporaryDirectory() as folder, deployed(Path(folder)) as (perp, link):
        with Service.started(perp.rpc.url, folder) as service:
            report(f"an hour in {HOUR // BLOCK_SECONDS} blocks")
            taken = hour(perp.rpc, service)
            report(f"crossing the band {CROSSINGS} times")
            blocks = [crossing(perp, link, service, n) for n in range(CROSSINGS)]
    return {"react_blocks": statistics.median(blocks), "react_blocks_most": max(blocks), **taken}


@contextmanager
def deployed(folder: Path) -> Iterator[tuple[Any, Any]]:
    """A venue and the protocol as configured, with a holder in each token."""
    from leverage import chain, deploy
    from leverage.wallet import Wallet

    anvil, perp = start(port=None)
    with anvil, chain.connected_to(anvil.url):
        chain.quiet()
        accounts = [chain.test_account(index) for index in range(5)]
        names = ("admin", "keepers", "guardian", "treasury")
        roles: dict[str, Any] = {name: accounts[i].address for i, name in enumerate(names)}
        roles |= {"keepers": [roles["keepers"]], "creator": roles["admin"]}
        tables = config.devnet("perp_v2", perp.to_dict(), chain.connected_id(), roles)
        (folder / "site.toml").write_text(config.to_toml(tables))
        settings = config.load(config.DEFAULT_PATH, folder / "site.toml")
        link = deploy.deploy(accounts[0], settings, SYMBOLS, folder, say=lambda text: None)
        perp.fund(accounts[4].address, 10**6 * perp.unit)
        for symbol in SYMBOLS:
            Wallet(link, symbol, accounts[4]).mint(STAKE, 10**16, HOUR)
        yield perp, link


class Service:
    """The running process."""

    def __init__(self, process: "subprocess.Popen[str]"):
        self.process = process
        assert process.stdout is not None
        for line in process.stdout:
            if '"serving"' in line:
                break
        self.log = [line]
        Thread(target=self.log.extend, args=(process.stdout,), daemon=True).start()

    @classmethod
    @contextmanager
    def started(cls, url: str, folder: str) -> Iterator["Service"]:
        """For one `with` block; it must end cleanly."""
        command = [str(Path(sys.executable).parent / "ape"), "run", "keeper", "run", "--account", "TEST::1"]
        command += ["--network", url, "--deployments", folder, "--metrics-port", "0"]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
            try:
                yield cls(process)
            finally:
                process.terminate()
            if code := process.wait(PATIENCE):
                raise RuntimeError(f"the service ended with code {code}")

    def cpu(self) -> float:
        """Seconds of processor time it has taken."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory(self) -> float:
        """Resident, in MB."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:")) / 1_000


def hour(rpc: Rpc, service: Service) -> dict[str, Any]:
    """What the service takes in an hour: its passes over the hour's blocks, mined in a hurry, and its
    questions between them, measured for some seconds and scaled up. `idle_cpu` is a part of one processor.
    """
    count = HOUR // BLOCK_SECONDS
    _pass_blocks(rpc, 10)
    memory = service.memory()
    still = _cpu_of(service, lambda: time.sleep(STILL))
    hurried = _cpu_of(service, lambda: _pass_blocks(rpc, count))
    questions = still / STILL
    passes = hurried - questions * count * HURRY
    return {
        "idle_cpu": round((passes + questions * HOUR) / HOUR, 4),
        "cpu_ms_per_pass": round(1_000 * passes / count, 1),
        "memory_mb": round(service.memory(), 1),
        "memory_growth_mb": round(service.memory() - memory, 1),
    }


def crossing(perp: Any, link: Any, service: Service, n: int) -> int:
    """Blocks from the one in which a price has crossed, to the one in which that is rebalanced."""
    rpc, sign = perp.rpc, 1 if n % 2 else -1
    symbol = "ETH3S" if n % 2 else "ETH3L"
    vault = link.vault(symbol)
    # The venue's mark price follows within half an hour.
    rpc.warp(HOUR // 2)
    perp.move("ETH", perp.index_price("ETH"))
    time.sleep(1)
    (report,) = link.read_reports([vault.address])
    last = report.snapshot.rebalancing.price
    perp.move("ETH", last * (1_000 + sign * NEARLY) // 1_000)
    before = _number(rpc)
    perp.move("ETH", last * (1_000 + sign * BEYOND) // 1_000)
    crossed = _number(rpc)
    rpc("evm_setAutomine", False)
    rpc("evm_setIntervalMining", 1)
    try:
        end = time.monotonic() + PATIENCE
        while not (found := list(link.events([vault], ["Rebalanced"], before + 1, _number(rpc)))):
            if time.monotonic() > end:
                raise RuntimeError(f"{symbol} was not rebalanced: {service.log[-3:]}")
            time.sleep(0.1)
    finally:
        rpc("evm_setIntervalMining", 0)
        rpc("evm_setAutomine", True)
    return max(0, found[0].block - crossed)


def _pass_blocks(rpc: Rpc, count: int) -> None:
    for _ in range(count):
        began = time.monotonic()
        rpc.warp(BLOCK_SECONDS)
        time.sleep(max(0.0, HURRY - (time.monotonic() - began)))


def _cpu_of(service: Service, what: Callable[[], None]) -> float:
    before = service.cpu()
    what()
    return service.cpu() - before


def _number(rpc: Rpc) -> int:
    return int(rpc("eth_blockNumber"), 16)
