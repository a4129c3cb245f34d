"""A day of a wild market, in which something breaks at every other look: nothing is missed or done twice."""

import os
import random
import signal
from dataclasses import replace

import pytest
from benches import LIMITS, fast
from faulty import Gate, deaf_after, down, lagging, limited, resulting, saying
from structlog.testing import capture_logs

from leverage.errors import LeverageError
from leverage.keeper import FAILED, decided
from leverage.keeper.transactions import GWEI
from leverage.types import DAY, WAD, Trigger
from leverage.wallet import Wallet

pytestmark = [pytest.mark.e2e, pytest.mark.venue, pytest.mark.slow]

STEP = 300  # Seconds from one look to the next.
MOVE = 0.01  # Standard deviation of the price from look to look: 12 % in a day.
JUMP = 0.11  # By which it moves in half of the looks in which something breaks: an emergency for one token.
SYMBOLS = ("ETH3L", "ETH3S")
METHODS = [
    "eth_call",
    "eth_getTransactionCount",
    "eth_estimateGas",
    "eth_getBalance",
    "eth_sendRawTransaction",
    "eth_getTransactionReceipt",
]


class Day:
    """The keeper, and what can happen to it. A fault tells whether the chain was there for it all along."""

    def __init__(self, bench, seed):
        self.bench = bench
        self.rpc = bench.site.perp.rpc
        self.dice = random.Random(seed)
        self.limits = replace(LIMITS, receipt_seconds=20)
        self.worker = self._new()

    def _new(self):
        return self.bench.keeper(symbols=SYMBOLS, limits=self.limits)

    def look(self) -> int:
        with capture_logs():
            try:
                return self.worker.once()
            except LeverageError:
                return FAILED

    def through(self, fault) -> int:
        self.bench.fault(fault)
        try:
            return self.look()
        finally:
            self.bench.fault(None)

    # What happens: True when the chain was there for the keeper all the same.

    def nothing(self) -> bool:
        self.look()
        return True

    def node_down(self) -> bool:
        self.through(down)
        return False

    def node_dies_in_between(self) -> bool:
        self.through(deaf_after(self.dice.choice(METHODS), self.dice.random() < 0.5))
        return False

    def node_loses_one_answer_in_four(self) -> bool:
        asked = iter(range(10**6))
        self.through(lambda request, forward: None if next(asked) % 4 == 3 else forward(request))
        return True

    def nonsense(self) -> bool:
        self.through(saying(b"<html>", *self.dice.sample(METHODS, 2)))
        return False

    def wrong_answers(self) -> bool:
        self.through(resulting("0x", self.dice.choice(METHODS)))
        return False

    def wrong_chain(self) -> bool:
        self.through(resulting("0x1", "eth_chainId"))
        return False

    def too_many_requests(self) -> bool:
        self.through(limited(2))
        return True

    def node_late(self) -> bool:
        self.through(lagging(self.dice.randint(1, 3)))
        return False

    def gas_dear(self) -> bool:
        self.rpc("anvil_setNextBlockBaseFeePerGas", hex(3_000 * GWEI))
        self.rpc("evm_mine")
        self.worker.clock = fast()
        self.look()
        self.rpc("anvil_setNextBlockBaseFeePerGas", hex(GWEI))
        self.rpc("evm_mine")
        return False

    def blocks_full(self) -> bool:
        """Nothing is mined while it looks; what it has sent comes later."""
        self.rpc("evm_setAutomine", False)
        self.look()
        self.rpc("evm_setAutomine", True)
        self.rpc("evm_mine")
        return False

    def reorg(self) -> bool:
        self.look()
        self.rpc("anvil_reorg", self.dice.randint(1, 2), [])
        self.look()
        return True

    def rival(self) -> bool:
        self.bench.once(6, SYMBOLS)
        self.look()
        return True

    def killed(self) -> bool:
        """A keeper that was begun is killed on the way; the next one, a new process, knows nothing of it."""
        gate = Gate(self.dice.choice(METHODS), nth=self.dice.randint(1, 2), is_done=self.dice.random() < 0.5)
        self.bench.fault(gate)
        if (child := os.fork()) == 0:
            try:
                self.bench.node = self.bench.connected()
                self._new().once()
            finally:
                os._exit(0)
        while not gate.reached.wait(0.05) and os.waitpid(child, os.WNOHANG) == (0, 0):
            pass
        if gate.reached.is_set():
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
        gate.open()
        self.bench.fault(None)
        self.worker = self._new()
        self.look()
        return True


FAULTS = [
    name for name in vars(Day) if not name.startswith("_") and name not in ("nothing", "look", "through")
]


def test_day__random_faults__misses_no_emergency_and_does_nothing_twice(bench, snapshot_of):
    site, link = bench.site, bench.link
    day = Day(bench, seed=4)
    begun, seen = site.perp.rpc.timestamp(), list[str]()
    price = start = site.perp.index_price("ETH")
    while site.perp.rpc.timestamp() < begun + DAY:
        site.perp.warp(STEP)
        name = day.dice.choice([*FAULTS, *["nothing"] * len(FAULTS)])
        jump = JUMP if name != "nothing" and day.dice.random() < 0.5 else 0
        is_up = price < start if abs(price - start) > start // 3 else day.dice.random() < 0.5
        change = day.dice.gauss(0, MOVE) + (jump if is_up else -jump)
        price = round(price * (1 + change))
        site.perp.move("ETH", price)
        before = {symbol: len(bench.logs(symbol)) for symbol in SYMBOLS}

        was_reachable = getattr(day, name)()

        told = f"{name} after {len(seen)} looks"
        for symbol in SYMBOLS:
            (report,) = link.read_reports([link.vaults()[symbol]])
            due = decided(report, is_keeper=True)
            assert not (was_reachable and due), f"{told}: {due}"
            assert len(bench.logs(symbol)) - before[symbol] <= 1, f"{told}: rebalanced twice"
        seen.append(name)

    assert set(seen) >= set(FAULTS), set(FAULTS) - set(seen)
    triggers = [trigger for symbol in SYMBOLS for trigger in bench.triggers(symbol)]
    assert triggers.count(Trigger.EMERGENCY) + triggers.count(Trigger.BAND) >= 15, triggers
    assert_nothing_lost(site, link, snapshot_of)


def assert_nothing_lost(site, link, snapshot_of):
    """Who held shares all the while gets what they are worth, less the burn fee and the cost of the sale."""
    for symbol in SYMBOLS:
        wallet = Wallet(link, symbol, site.account(4))
        held, nav = wallet.token.call("balanceOf", site.account(4).address), snapshot_of(symbol).nav
        lines, explained = wallet.vault.call("attribution")
        assert WAD + sum(lines.values()) == explained == nav
        trade = wallet.burn("all", WAD // 50, 600)
        worth = held * nav // WAD // 10**12
        assert 0.99 * worth <= trade.assets <= worth
