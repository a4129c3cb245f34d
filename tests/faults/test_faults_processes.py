"""Keepers as processes: killed at every step, several at once, with a wrong clock, with a full disk."""

import json
import os
import resource
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from benches import LIMITS, Process
from faulty import Gate

from leverage import chain
from leverage.keeper import DONE, MISCONFIGURED, LockHeldError, lock
from leverage.types import Trigger

pytestmark = [pytest.mark.e2e, pytest.mark.venue]

EMERGENCY = [Trigger.EMERGENCY]
APE = str(Path(sys.executable).parent / "ape")


@pytest.fixture
def rpc(bench):
    """The node itself, which mines at once again when the test is over."""
    rpc = bench.site.perp.rpc
    yield rpc
    rpc("evm_setIntervalMining", 0)
    rpc("evm_setAutomine", True)


def spent(rpc, bench, index):
    """Gas of an account's transactions that reverted, and the number of all."""
    me = bench.site.account(index).address.lower()
    head, gas, sent = int(rpc("eth_blockNumber"), 16), [], 0
    for number in range(bench.first, head + 1):
        for tx in rpc("eth_getBlockByNumber", hex(number), True)["transactions"]:
            if tx["from"] == me:
                sent += 1
                receipt = rpc("eth_getTransactionReceipt", tx["hash"])
                gas += [int(receipt["gasUsed"], 16)] if receipt["status"] == "0x0" else []
    return gas, sent


# Killed

STEPS = {
    "before it has read": Gate("eth_call"),
    "when it has decided": Gate("eth_call", nth=3),
    "when it has simulated": Gate("eth_estimateGas", is_done=True),
    "before it sends": Gate("eth_sendRawTransaction"),
    "when it has sent": Gate("eth_sendRawTransaction", is_done=True),
    "before it confirms": Gate("eth_getTransactionReceipt"),
    "while it confirms": Gate("eth_blockNumber"),
}


@pytest.mark.parametrize("step", STEPS)
def test_killed__at_any_step__the_next_does_what_is_left_and_only_once(bench, step):
    bench.crash()
    gate = STEPS[step]
    bench.fault(gate)
    first = Process(bench, limits=replace(LIMITS, confirmations=2))
    assert gate.reached.wait(30)
    first.kill()
    gate.open()
    bench.fault(None)
    was_sent = bench.sent_by()

    assert Process(bench).end() == DONE

    assert bench.triggers() == EMERGENCY and bench.sent_by() == 1
    assert was_sent == (step in list(STEPS)[4:])


def test_killed__with_its_transaction_in_the_mempool__the_next_waits_for_that(bench, rpc):
    bench.crash()
    rpc("evm_setAutomine", False)
    gate = Gate("eth_sendRawTransaction", is_done=True)
    bench.fault(gate)
    first = Process(bench)
    assert gate.reached.wait(30)
    first.kill()
    gate.open()
    bench.fault(None)
    assert bench.sent_by() == 1 and bench.triggers() == []
    rpc("evm_setIntervalMining", 1)

    assert Process(bench).end() == DONE

    assert bench.triggers() == EMERGENCY and bench.sent_by() == 1
    assert bench.proxy.count("eth_sendRawTransaction") == 1


# Several at once


@pytest.mark.parametrize("accounts", [(1, 6), (1, 6, 7, 8, 9)], ids=["two", "five"])
def test_at_once__accounts_of_their_own__one_rebalances_and_the_others_lose_next_to_nothing(
    bench, rpc, accounts
):
    bench.crash()
    rpc("evm_setAutomine", False)
    rpc("evm_setIntervalMining", 1)

    ends = [process.end() for process in [Process(bench, index, bench.site.url) for index in accounts]]

    assert ends == [DONE] * len(accounts)
    assert bench.triggers() == EMERGENCY
    (log,) = bench.logs()
    winner = int(rpc("eth_getTransactionReceipt", log["transactionHash"])["gasUsed"], 16)
    for index in accounts:
        reverted, sent = spent(rpc, bench, index)
        assert sent <= 1
        assert all(gas < winner * 4 // 10 for gas in reverted)


def test_at_once__one_account_on_several_machines__one_rebalances(bench, rpc):
    """Where no lock can keep them apart, the account's nonce does."""
    bench.crash()
    rpc("evm_setAutomine", False)
    rpc("evm_setIntervalMining", 1)

    ends = [process.end() for process in [Process(bench, 1, bench.site.url) for _ in range(5)]]

    assert ends == [DONE] * 5
    assert bench.triggers() == EMERGENCY
    assert bench.sent_by() <= 2


# The command


@pytest.fixture
def command(bench, tmp_path):
    """`ape run keeper once` as cron has it: its exit code, and what it wrote."""

    def run(*args, stdout=None, date=0, files=None):
        shift = tmp_path / f"date{date}"
        shift.mkdir(exist_ok=True)
        (shift / "sitecustomize.py").write_text(
            f"import time\nreal = time.time\ntime.time = lambda: real() + {date}\n"
        )
        line = [APE, "run", "keeper", "once", "--network", bench.proxy.url, "--token", "ETH3L"]
        line += ["--account", "TEST::1", "--deployments", str(bench.site.folder), *args]
        limit = None if files is None else lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (files, files))
        return subprocess.run(
            line,
            stdout=stdout or subprocess.PIPE,
            stderr=stdout or subprocess.PIPE,
            text=True,
            timeout=300,
            preexec_fn=limit,
            env={**os.environ, "PYTHONPATH": str(shift)},
        )

    return run


@pytest.mark.slow
@pytest.mark.parametrize(
    ("date", "second", "done"),
    [(600, 119, []), (-600, 120 + 1_800, [Trigger.SCHEDULED])],
    ids=["ten minutes fast", "ten minutes slow"],
)
def test_clock__wrong__the_chains_time_decides(bench, command, date, second, done):
    """The schedule opens at 00:02, and it is everybody's half an hour later: by the chain."""
    bench.site.move("ETH", 4)
    bench.site.until(second)

    result = command("--account", "TEST::6", date=date)

    assert (result.returncode, bench.triggers()) == (DONE, done), result.stderr


@pytest.mark.slow
def test_disk__full__is_rebalanced_and_exits_with_done(bench, command):
    """No file can grow by a byte: neither the log nor the lock nor what Ape keeps."""
    bench.crash()
    with open("/dev/full", "w") as full:
        result = command(stdout=full, files=0)

    assert result.returncode == DONE
    assert bench.triggers() == EMERGENCY


@pytest.mark.slow
def test_disk__full_and_something_is_wrong__still_exits_with_its_code(bench, command):
    with open("/dev/full", "w") as full:
        misconfigured = command("--token", "DOGE3L", stdout=full)

    assert misconfigured.returncode == MISCONFIGURED


@pytest.mark.slow
def test_killed__command_that_holds_the_lock__leaves_no_lock(bench, command):
    bench.crash()
    gate = Gate("eth_sendRawTransaction")
    bench.fault(gate)
    line = [APE, "run", "keeper", "once", "--network", bench.proxy.url, "--account", "TEST::1"]
    first = subprocess.Popen([*line, "--deployments", str(bench.site.folder)], stdout=subprocess.PIPE)
    assert gate.reached.wait(120)
    path = chain.lock_path(bench.site.account(1))
    with pytest.raises(LockHeldError, match=f"process {first.pid}"), lock(path):
        pytest.fail("two keepers")
    first.kill()
    assert first.wait() == -signal.SIGKILL
    gate.open()
    bench.fault(None)

    free = command()

    assert free.returncode == DONE and free.stderr == ""
    assert bench.triggers() == EMERGENCY
    assert all(json.loads(text)["event"] for text in free.stdout.splitlines())
