"""What a chain does to those who send: reorgs, dear gas, a mempool; and what stands in the way behind it."""

from dataclasses import replace

import ape
import pytest
from benches import LIMITS, outbox_of
from structlog.testing import capture_logs

from leverage import chain
from leverage.errors import LeverageError
from leverage.keeper import DONE, FAILED, Clock
from leverage.keeper.core import FEE_SECONDS
from leverage.keeper.transactions import GWEI, Outbox
from leverage.types import DAY, WAD, Trigger

pytestmark = [pytest.mark.e2e, pytest.mark.venue]

EMERGENCY = [Trigger.EMERGENCY]
HASTY = replace(LIMITS, receipt_seconds=1)  # Sends, and leaves.


def said(lines, event):
    return [line for line in lines if line["event"] == event]


@pytest.fixture
def rpc(bench):
    """The node itself, which mines at once again when the test is over."""
    yield bench.site.perp.rpc
    bench.site.perp.rpc("evm_setAutomine", True)


def base_fee(rpc, gwei):
    """From the next block on."""
    rpc("anvil_setNextBlockBaseFeePerGas", hex(gwei * GWEI))
    rpc("evm_mine")


def while_it_waits(worker, *acts):
    """These happen one after another when it waits for its transaction; after them, a block each time."""
    outbox, left = outbox_of(worker), iter(acts)
    clock, rpc = outbox.clock, outbox.rpc

    def sleep(seconds):
        next(left, lambda: rpc("evm_mine"))()
        clock.sleep(seconds)

    outbox.clock = Clock(clock.now, sleep)


def while_it_confirms(worker, *acts):
    """The same once it is mined."""
    outbox, left = outbox_of(worker), list(acts)
    clock, rpc = outbox.clock, outbox.rpc

    def confirm(seconds):
        def sleep(seconds):
            (left.pop(0) if left else lambda: rpc("evm_mine"))()
            clock.sleep(seconds)

        outbox.clock = Clock(clock.now, sleep)
        try:
            return outbox.confirm(seconds)
        finally:
            outbox.clock = clock

    worker.confirm = confirm


# Reorgs


@pytest.mark.parametrize("depth", [1, 2, 3, 4, 5])
def test_reorg__after_a_send__what_was_undone_is_decided_anew_and_done_once(bench, rpc, depth):
    bench.crash()
    worker = bench.keeper(limits=replace(LIMITS, confirmations=6))
    mine = [lambda: rpc("evm_mine")] * (depth - 1)
    while_it_confirms(worker, *mine, lambda: rpc("anvil_reorg", depth, []))

    with capture_logs() as lines:
        code = worker.once()

    assert code == DONE
    assert len(said(lines, "vanished")) == 1
    assert bench.triggers() == EMERGENCY
    assert [line["nonce"] for line in said(lines, "sent")] == [0, 0] and bench.sent_by() == 1


def test_reorg__price_is_another_in_the_new_blocks__nothing_is_sent_again(bench, rpc):
    price = bench.site.perp.index_price("ETH")
    bench.crash()
    worker = bench.keeper(limits=replace(LIMITS, confirmations=3))

    def undo():
        rpc("anvil_reorg", 1, [])
        bench.site.perp.move("ETH", price)

    while_it_confirms(worker, undo)
    with capture_logs() as lines:
        assert worker.once() == DONE

    assert len(said(lines, "vanished")) == 1
    assert bench.triggers() == [] and bench.sent_by() == 0


def test_reorg__it_is_mined_again_in_another_block__is_left_alone(bench, rpc):
    bench.crash()
    worker = bench.keeper(limits=replace(LIMITS, confirmations=3))
    raws = []
    bench.fault(lambda request, forward: (keep(raws, request), forward(request))[1])

    def again():
        rpc("anvil_reorg", 1, [])
        rpc("eth_sendRawTransaction", raws[0])

    while_it_confirms(worker, again)
    with capture_logs() as lines:
        assert worker.once() == DONE

    assert said(lines, "vanished") == [] and len(said(lines, "sent")) == 1
    assert bench.triggers() == EMERGENCY and bench.sent_by() == 1


def test_reorg__of_a_holders_transaction__is_told(bench, rpc, monkeypatch):
    confirm = Outbox.confirm

    def undone(outbox, seconds):
        rpc("anvil_reorg", 1, [])
        return confirm(outbox, 0)

    monkeypatch.setattr(chain, "is_local", lambda: False)
    monkeypatch.setattr(Outbox, "confirm", undone)
    monkeypatch.setattr(type(ape.networks.provider.network), "required_confirmations", 2)
    token = bench.link.contract("LeveragedToken", bench.link.record.token("ETH3L")["asset"])

    with pytest.raises(LeverageError, match="the chain has undone 0x.*: look, and try again"):
        token.send(bench.site.fund(5), "approve", bench.site.account(6).address, 1)


def keep(raws, request):
    if request["method"] == "eth_sendRawTransaction":
        raws.append(request["params"][0])


# Dear gas


def test_stuck__base_fee_has_risen__is_replaced_and_done_once(bench, rpc):
    bench.crash()
    base_fee(rpc, 10)
    rpc("evm_setAutomine", False)
    worker = bench.keeper()
    while_it_waits(worker, *[lambda: base_fee(rpc, 40)] * 20)

    with capture_logs() as lines:
        assert worker.once() == DONE

    first, *_, last = said(lines, "sent")
    assert first["max_fee"] < 40 * GWEI < last["max_fee"] <= 100 * GWEI
    assert {line["nonce"] for line in said(lines, "sent")} == {0}
    assert bench.triggers() == EMERGENCY and bench.sent_by() == 1


def test_base_fee__twenty_times_as_high__waits_says_so_and_does_it_when_it_can(bench, rpc):
    bench.crash()
    base_fee(rpc, 6)
    base_fee(rpc, 120)
    worker = bench.keeper()
    now = worker.clock.now
    waited = []

    def sleep(seconds):
        """A block in which nobody does anything makes gas an eighth cheaper."""
        waited.append(seconds)
        rpc("evm_mine")

    worker.clock = Clock(now, sleep)
    with capture_logs() as lines:
        code = worker.once()

    assert code == DONE
    refusals = [line["error"] for line in said(lines, "failed")]
    assert refusals and all("gwei, more than the 100 of --max-fee: it waits" in text for text in refusals)
    assert waited and set(waited) == {FEE_SECONDS}
    assert bench.triggers() == EMERGENCY


def test_base_fee__stays_too_high__fails_and_sends_nothing(bench, rpc):
    bench.crash()
    base_fee(rpc, 120)
    worker = bench.keeper()
    passed = iter(range(0, 10_000, FEE_SECONDS))
    worker.clock = Clock(lambda: next(passed), lambda seconds: base_fee(rpc, 120))

    assert worker.once() == FAILED
    assert bench.sent_by() == 0


def test_max_loss__schedule_without_a_tip__is_declined_and_an_emergency_is_not(bench, rpc):
    bench.site.move("ETH", 4)
    bench.site.until(130)
    base_fee(rpc, 20)

    code, lines = bench.once(max_loss=WAD)

    assert code == DONE and bench.triggers() == []
    (line,) = said(lines, "declined")
    assert "against a tip of 0: a loss beyond the 1 of --max-loss" in line["reason"]
    bench.site.move("ETH", -16)
    base_fee(rpc, 20)
    code, lines = bench.once(max_loss=WAD)
    assert code == DONE and bench.triggers() == EMERGENCY


# A mempool


def test_inherited__of_a_keeper_that_was_killed__is_waited_for_and_nothing_is_sent(bench, rpc):
    """Its transaction waits: whoever starts now sees its nonce, and not what it will do."""
    bench.crash()
    rpc("evm_setAutomine", False)
    code, _ = bench.once(limits=HASTY)
    assert code == FAILED and bench.sent_by() == 1
    worker = bench.keeper()
    while_it_waits(worker)

    with capture_logs() as lines:
        assert worker.once() == DONE

    assert said(lines, "sent") == []
    assert bench.triggers() == EMERGENCY and bench.sent_by() == 1


def test_inherited__never_mined__is_replaced_and_done_once(bench, rpc):
    bench.crash()
    rpc("evm_setAutomine", False)
    bench.once(limits=HASTY)
    worker = bench.keeper()
    while_it_waits(worker, *[lambda: None] * 15)

    assert worker.once() == DONE

    assert bench.triggers() == EMERGENCY and bench.sent_by() == 1


def test_mempool__somebody_has_sent_it__nothing_is_sent_and_the_pass_ends_well(bench, rpc):
    bench.crash()
    rpc("evm_setAutomine", False)
    bench.once(6, limits=HASTY)
    worker = bench.keeper()
    worker.clock = Clock(worker.clock.now, lambda seconds: rpc("evm_mine"))

    with capture_logs() as lines:
        assert worker.once() == DONE

    assert "somebody's transaction does it already" in said(lines, "nothing_to_do")[0]["reason"]
    assert bench.triggers() == EMERGENCY and bench.sent_by() == 0


# Behind the chain


def test_oracle__stale__fails_in_words_and_is_served_when_it_is_fresh(bench):
    bench.site.perp.warp(2 * DAY + 1)

    code, lines = bench.once()

    assert code == FAILED and bench.sent_by() == 0
    assert "PriceStale" in said(lines, "unreadable")[0]["error"]
    bench.crash()
    code, _ = bench.once()
    assert code == DONE and len(bench.triggers()) == 1


def test_venue__blocked__fails_in_words_and_costs_no_gas(bench, rpc):
    bench.crash()
    bench.site.perp.pause_market("ETH")

    code, lines = bench.once(symbols=("ETH3L", "ETH3S"))

    assert code == FAILED and bench.sent_by() == 0
    assert [line["token"] for line in said(lines, "failed")] == ["ETH3L"]
    assert said(lines, "failed")[0]["error"]
