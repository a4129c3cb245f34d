"""Orders at a venue that fills later, and a keeper that is killed, late, or not alone: every request ends."""

from dataclasses import replace

import pytest
from benches import Process
from faulty import Gate
from structlog.testing import capture_logs

from leverage.keeper import DONE
from leverage.prices import PriceServiceError
from leverage.types import WAD, Action, Kind, Stage

pytestmark = [pytest.mark.e2e, pytest.mark.venue]


@pytest.fixture
def venue():
    return "synthetix"


@pytest.fixture
def queue(bench):
    """Somebody asks to mint for 1,000, and goes away."""
    link, holder = bench.link, bench.site.fund(5)
    entry = link.record.token("ETH3L")
    queue = link.contract("RequestQueue", entry["queue"])
    asset = link.contract("LeveragedToken", entry["asset"])
    asset.send(holder, "approve", queue.address, 1_000 * WAD)
    queue.send(holder, "requestDeposit", 1_000 * WAD, holder.address, holder.address)
    return queue


@pytest.fixture
def passes(bench):
    """Passes of a keeper whose waiting lets the chain's time pass."""

    def run(index=1, times=1):
        worker = replace(bench.keeper(index), clock=bench.site.clock)
        with capture_logs() as lines:
            codes = [worker.once() for _ in range(times)]
        return codes[-1], [line["event"] for line in lines]

    return run


def order(bench):
    (report,) = bench.link.read_reports([bench.link.vaults()["ETH3L"]])
    return report.waiting.order


def claimable(bench, queue):
    return queue.call("maxDeposit", bench.site.account(5).address)


def refundable(bench, queue):
    return queue.call("refundableDepositRequest", 1, bench.site.account(5).address)


@pytest.mark.parametrize("is_done", [False, True], ids=["before it is sent", "when it is sent"])
def test_killed__at_the_commit__the_next_brings_it_to_its_end(bench, queue, passes, is_done):
    gate = Gate("eth_sendRawTransaction", is_done=is_done)
    bench.fault(gate)
    first = Process(bench)
    assert gate.reached.wait(60)
    first.kill()
    gate.open()
    bench.fault(None)
    assert (order(bench).stage == Stage.WAITING) == is_done

    code, events = passes()

    assert code == DONE
    assert events.count("commit") == (not is_done) and events.count("settle") == 1
    assert claimable(bench, queue) == 1_000 * WAD


def test_killed__with_an_order_at_the_venue_for_an_hour__the_next_ends_it_and_the_request(
    bench, queue, passes
):
    vault, sender = bench.link.vaults()["ETH3L"], bench.link.outbox(bench.site.account(6))
    bench.link.act(vault, Action(Kind.COMMIT), sender)
    bench.site.perp.warp(3_600)

    _, events = passes()

    assert order(bench).stage == Stage.NONE and events.count("settle") == 1
    bench.site.perp.warp(180)
    code, _ = passes()
    assert code == DONE and claimable(bench, queue) + refundable(bench, queue) == 1_000 * WAD


def test_order__never_executed__is_cancelled_and_the_request_ends_when_it_can(bench, queue, passes):
    """No signed price is to be had, and nobody else executes."""
    honest = bench.link.prices

    def none(*_):
        raise PriceServiceError("price service here did not answer")

    bench.link.prices = none
    code, events = passes()
    assert order(bench).stage == Stage.NONE and events.count("commit") == 1
    assert claimable(bench, queue) == 0
    bench.link.prices = honest
    bench.site.perp.warp(180)

    code, _ = passes()

    assert code == DONE and claimable(bench, queue) == 1_000 * WAD


def test_at_once__two_keepers__one_commits_and_one_settles(bench, queue, passes):
    """The second looks while the first one's order is under way."""
    worker = replace(bench.keeper(), clock=bench.site.clock)
    seen = []
    worker.clock = replace(
        worker.clock, sleep=lambda seconds: (bench.site.clock.sleep(seconds), seen.append(passes(6)))
    )
    with capture_logs() as lines:
        code = worker.once()

    events = [line["event"] for line in lines] + [event for _, theirs in seen for event in theirs]
    assert code == DONE and {code for code, _ in seen} == {DONE}
    assert (events.count("commit"), events.count("settle"), events.count("reverted")) == (1, 1, 0)
    assert claimable(bench, queue) == 1_000 * WAD
