"""The keeper on several machines: Silverback's runner and two workers, with a real Redis between them."""

import contextlib
import re
import signal
import time

import pytest
from processes import SECONDS, Running

from leverage.types import WAD

pytestmark = [pytest.mark.e2e, pytest.mark.venue, pytest.mark.slow]


class Cluster:
    """One runner and two workers, each with an account of its own, on the site's chain."""

    def __init__(self, site, link, queue):
        self.site = site
        self.link = link
        self.environment = {**queue, "KEEPER_DEPLOYMENTS": str(site.folder), "KEEPER_SHARDS": "2"}
        self.where = ["keeper", "--network", site.url]
        self.processes = []
        self.first = int(site.perp.rpc("eth_blockNumber"), 16) + 1

    def worker(self, index):
        return self._started("worker", "--account", f"TEST::{index}")

    def runner(self):
        return self._started("run", "--runner", "bots.heads:Heads")

    def _started(self, command, *options):
        self.processes.append(Running("silverback", command, *self.where, *options, env=self.environment))
        return self.processes[-1]

    def until(self, condition):
        """Mine a block twice a second until it is so."""
        end = time.monotonic() + SECONDS
        while not condition():
            assert time.monotonic() < end, "\n".join(process.text[-2_000:] for process in self.processes)
            self.site.perp.rpc("evm_mine")
            time.sleep(0.5)

    def rebalances(self, symbol):
        """Hashes of the transactions that rebalanced a token."""
        head = int(self.site.perp.rpc("eth_blockNumber"), 16)
        found = self.link.events([self.link.vault(symbol)], ["Rebalanced"], self.first, head)
        return [event.transaction for event in found]

    def sent(self, *indices):
        """How many transactions these accounts have ever sent."""
        accounts = [self.site.account(index).address for index in indices]
        return sum(
            int(self.site.perp.rpc("eth_getTransactionCount", account, "latest"), 16) for account in accounts
        )


@pytest.fixture
def cluster(site, deployed, queue):
    return Cluster(site, deployed, queue)


def passes(worker):
    """Parts of the tokens that a worker has passed over, each as often as it has."""
    return re.findall(r"(part_\d_of_2)\S* - \d", worker.text)


def test_cluster__two_workers__share_the_tokens_and_stand_in_for_each_other(site, cluster, snapshot_of):
    with contextlib.ExitStack() as stack:
        first, second = (stack.enter_context(cluster.worker(index)) for index in (5, 6))
        runner = stack.enter_context(cluster.runner())
        before = cluster.sent(5, 6)
        cluster.until(lambda: passes(first) and passes(second))
        site.move("ETH", -12)
        cluster.until(lambda: cluster.rebalances("ETH3L"))
        together = cluster.sent(5, 6) - before

        time.sleep(2)
        first.stop(signal.SIGKILL)
        site.move("ETH", -12)
        cluster.until(lambda: len(cluster.rebalances("ETH3L")) == 2)
        time.sleep(2)
        stopped = runner.stop()
        alone = cluster.sent(5, 6) - before - together

    assert (together, alone, stopped) == (1, 1, 0)
    assert (len(cluster.rebalances("ETH3L")), len(cluster.rebalances("ETH3S"))) == (2, 0)
    assert abs(snapshot_of("ETH3L").leverage - 3 * WAD) <= WAD // 50
    assert {*passes(first), *passes(second)} == {"part_1_of_2", "part_2_of_2"}
    for process in (first, second, runner):
        assert "Traceback" not in process.text and "no attribute 'state'" not in process.text
