"""A keeper under test, whose node is behind a proxy."""

import os
import signal
import time
import traceback
from typing import Any

from faulty import Fault, FaultyRpc
from sites import Site
from structlog.testing import capture_logs

from leverage import chain
from leverage.keeper import Clock, Keeper
from leverage.keeper.transactions import GWEI, Limits, Outbox
from leverage.rpc import Rpc
from leverage.types import Trigger

LIMITS = Limits(max_fee=100 * GWEI, stuck_seconds=10, receipt_seconds=60, poll_seconds=1)


class Bench:
    """A keeper under test: the real one, its node behind a proxy, on a chain that everybody can watch."""

    def __init__(self, site: Site, link: chain.Chain, proxy: FaultyRpc):
        self.site = site
        self.link = link
        self.proxy = proxy
        # As on a public chain: what waits in the mempool is not seen.
        link.state = "latest"
        self.first = int(site.perp.rpc("eth_blockNumber"), 16) + 1
        self.node = self.connected()

    def connected(self) -> Rpc:
        """A connection of one's own through the proxy."""
        return Rpc(self.proxy.url, pause=0.01)

    def keeper(
        self, index: int = 1, symbols: tuple[str, ...] = ("ETH3L",), limits: Limits = LIMITS, **options: Any
    ) -> Keeper:
        """It waits for transactions by a clock of its own, on which a second takes hundredths of one."""
        worker = self.link.keeper(self.site.account(index), symbols, 1, False, limits, **options)
        worker.draw = lambda left: 0
        outbox_of(worker).clock = fast()
        return worker

    def once(self, *args: Any, **options: Any) -> tuple[int, list[Any]]:
        """A pass; its exit code and log."""
        worker = self.keeper(*args, **options)
        with capture_logs() as lines:
            return worker.once(), lines

    def fault(self, fault: Fault | None) -> None:
        self.proxy.fault = fault

    def crash(self) -> None:
        """The long is due for an emergency."""
        self.site.move("ETH", -12)

    def logs(self, symbol: str = "ETH3L") -> list[dict[str, Any]]:
        """Of its rebalances since the test began."""
        vault, rpc = self.link.vault(symbol), self.site.perp.rpc
        wanted = {
            "address": vault.address,
            "fromBlock": hex(self.first),
            "toBlock": rpc("eth_blockNumber"),
            "topics": [list(chain.abi.topics(vault.entries, ["Rebalanced"]))],
        }
        return list(rpc("eth_getLogs", wanted))

    def triggers(self, symbol: str = "ETH3L") -> list[Trigger]:
        """Why it was rebalanced since the test began, time after time."""
        return [Trigger(int(log["topics"][1], 16)) for log in self.logs(symbol)]

    def sent_by(self, index: int = 1) -> int:
        """Transactions of an account, mined or not."""
        account = self.site.account(index).address
        return int(self.site.perp.rpc("eth_getTransactionCount", account, "pending"), 16)


def fast() -> Clock:
    """Time that passes only when somebody sleeps, and then in a rush."""
    passed = [0.0]

    def sleep(seconds: float) -> None:
        passed[0] += seconds
        time.sleep(min(seconds, 0.02))

    return Clock(lambda: passed[0], sleep)


def outbox_of(worker: Keeper) -> Outbox:
    """What a keeper sends with."""
    return worker.confirm.__self__  # type: ignore[attr-defined]


class Process:
    """A pass of a keeper in a process of its own, which shares nothing with this one but the chain."""

    def __init__(self, bench: Bench, index: int = 1, url: str | None = None, limits: Limits = LIMITS):
        self.pid = os.fork()
        if self.pid:
            return
        code = 99
        try:
            bench.node = Rpc(url or bench.proxy.url)
            worker = bench.keeper(index, limits=limits)
            outbox_of(worker).clock = Clock()
            code = worker.once()
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)

    def end(self) -> int:
        """Its exit code."""
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        assert self.end() == -signal.SIGKILL
