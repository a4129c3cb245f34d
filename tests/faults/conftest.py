"""The keeper on a deployed venue, with a faulty RPC between it and its node."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from faulty import Fault, FaultyRpc
from sites import Site, deployed, site, snapshot_of, venue
from structlog.testing import capture_logs

from leverage import chain
from leverage.keeper import Keeper
from leverage.keeper.transactions import GWEI, Limits, Outbox
from leverage.rpc import Rpc
from leverage.types import Trigger

__all__ = ["deployed", "site", "snapshot_of", "venue"]

SECONDS = 0.5  # How long a node may take to answer here.
QUICK = Limits(max_fee=100 * GWEI, stuck_seconds=0.4, receipt_seconds=2, poll_seconds=0.02)


class Bench:
    """A keeper under test: the real one, its node behind a proxy, on a chain that everybody can watch."""

    def __init__(self, site: Site, link: chain.Chain, proxy: FaultyRpc):
        self.site = site
        self.link = link
        self.proxy = proxy
        # As on a public chain: what waits in the mempool is not seen.
        link.state = "latest"
        self.first = int(site.perp.rpc("eth_blockNumber"), 16) + 1

    def keeper(
        self, index: int = 1, symbols: tuple[str, ...] = ("ETH3L",), limits: Limits = QUICK, **options: Any
    ) -> Keeper:
        """Patient with nothing: what takes seconds elsewhere takes tenths here."""
        worker = self.link.keeper(self.site.account(index), symbols, 1, False, limits, **options)
        worker.draw = lambda left: 0
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

    def triggers(self, symbol: str = "ETH3L") -> list[Trigger]:
        """Why it was rebalanced since the test began, time after time."""
        vault = self.link.vault(symbol)
        head = int(self.site.perp.rpc("eth_blockNumber"), 16)
        logs = self.site.perp.rpc(
            "eth_getLogs",
            {
                "address": vault.address,
                "fromBlock": hex(self.first),
                "toBlock": hex(head),
                "topics": [list(chain.abi.topics(vault.entries, ["Rebalanced"]))],
            },
        )
        return [Trigger(int(log["topics"][1], 16)) for log in logs]

    def sent_by(self, index: int = 1) -> int:
        """Transactions of an account, mined or not."""
        account = self.site.account(index).address
        return int(self.site.perp.rpc("eth_getTransactionCount", account, "pending"), 16)


def outbox_of(worker: Keeper) -> Outbox:
    """What a keeper sends with."""
    return worker.confirm.__self__  # type: ignore[attr-defined]


@pytest.fixture
def bench(
    site: Site,
    deployed: chain.Chain,
    monkeypatch: pytest.MonkeyPatch,  # noqa: F811
) -> Iterator[Bench]:
    """A bench whose keeper asks a proxy, with a time limit of half a second."""
    with FaultyRpc(site.url) as proxy, ExitStack() as stack:
        asked = Rpc(proxy.url, seconds=SECONDS)
        monkeypatch.setattr(chain, "_node", lambda provider: asked)
        stack.callback(lambda: setattr(proxy, "fault", None))
        yield Bench(site, deployed, proxy)


@pytest.fixture
def events() -> Callable[[list[Any]], list[str]]:
    """Names of log lines."""
    return lambda lines: [line["event"] for line in lines]
