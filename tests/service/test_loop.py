"""The service's loop without a node: a pass per block, failures, the alarm, and how it stops."""

import os
import signal
import threading
import time
from dataclasses import dataclass, field, replace

import pytest
from standins import NOON, report_at
from structlog.testing import capture_logs

from leverage.errors import LeverageError, UnreachableError
from leverage.keeper import DONE, Clock, Keeper
from leverage.keeper.transactions import LookAgainError
from leverage.service.alerts import Alarms, Alert, Limits
from leverage.service.health import Health
from leverage.service.loop import LONGEST, POLL, Service
from leverage.service.measures import Surroundings
from leverage.types import WAD, Kind, Order, Stage, Trigger


@dataclass
class World:
    """A chain of one token. Time passes when somebody sleeps, and a block comes every `interval` seconds."""

    now: float = 0.0
    interval: float = 2.0
    at: float = 3.0
    order: Order | None = None
    errors: list[Exception] = field(default_factory=list)
    sent: list[tuple[float, Kind]] = field(default_factory=list)
    reads: list[float] = field(default_factory=list)
    first: int = 100
    is_fixed: bool = False

    def head(self):
        if self.errors:
            raise self.errors.pop(0)
        return self.first + int(self.now // self.interval)

    def read(self, vaults):
        self.reads.append(self.now)
        report = report_at(self.at, order=self.order)
        return [
            replace(report, snapshot=replace(report.snapshot, timestamp=NOON + int(self.now))) for _ in vaults
        ]

    def send(self, vault, action):
        self.sent.append((self.now, action.kind))
        if not self.is_fixed:
            self.at, self.order = 3.0, None
        return {"transaction": "0x1", "emitted": "Rebalanced", "trigger": Trigger.BAND, "tipShares": 0}

    def sleep(self, seconds):
        self.now += seconds


@pytest.fixture
def world():
    return World()


@pytest.fixture
def messages():
    return []


@pytest.fixture
def service(world, messages):
    clock = Clock(lambda: world.now, world.sleep)
    keeper = Keeper({"ETH3L": "0x"}, world.read, world.send, is_keeper=True, clock=clock)
    found = Service(
        keeper, world.head, lambda: Surroundings({"0xa": WAD}), Alarms(messages.append, "chain 10"), Limits(),
        health=Health(60, lambda: world.now),
    )  # fmt: skip
    return found


def serve(service, world, seconds):
    """As `run` does, until so much time has passed; the log's lines."""
    end = world.now + seconds
    with capture_logs() as lines:
        while world.now < end:
            world.sleep(service.turn())
    return lines


# Passes


def test_turn__new_block__is_passed_over_once(service, world):
    serve(service, world, 20)

    assert len(world.reads) == 10
    assert all(0 <= at % 2 <= POLL for at in world.reads)
    assert service.health.block == 109 and service.health.problem() == ""


def test_turn__price_crosses_the_band__is_acted_on_in_the_next_block(service, world):
    serve(service, world, 10)
    world.at = 4.5
    serve(service, world, 10)

    assert [kind for _, kind in world.sent] == [Kind.REBALANCE]
    assert world.sent[0][0] <= 12 + 2 * POLL


def test_turn__blocks_skipped__makes_one_pass(service, world):
    serve(service, world, 2)
    world.first += 50
    before = len(world.reads)

    serve(service, world, 1)

    assert len(world.reads) == before + 1


def test_turn__reorganisation_to_a_lower_block__looks_again(service, world):
    serve(service, world, 2)
    world.first -= 3
    before = len(world.reads)

    serve(service, world, 1)

    assert len(world.reads) == before + 1


def test_turn__order_fillable_between_blocks__does_not_wait_for_one(service, world):
    world.interval = 60
    world.order = Order(Stage.WAITING, WAD, NOON + 5, NOON + 30)

    serve(service, world, 20)

    assert [kind for _, kind in world.sent] == [Kind.SETTLE]
    assert 5 <= world.sent[0][0] <= 6.5


def test_turn__pace_of_the_chain__is_learnt(service, world):
    world.interval = 4

    serve(service, world, 100)

    assert service.keeper.every == 4


# Failures


def test_turn__node_silent__is_asked_less_often_and_served_when_it_is_back(service, world):
    serve(service, world, 2)
    world.errors = [UnreachableError("the node did not answer")] * 9
    before = len(world.reads)

    lines = serve(service, world, 100)

    assert [line["event"] for line in lines] == ["unreachable"] * 9
    assert world.errors == [] and len(world.reads) > before
    assert (
        world.reads[before] - world.reads[before - 1] <= sum(min(LONGEST, POLL * 2**n) for n in range(10)) + 3
    )
    assert service.health.problem() == ""


def test_turn__pass_breaks_off__is_made_again_for_the_same_block(service, world):
    world.interval = 1_000
    honest, failures = service.keeper.read, [UnreachableError("the node did not answer eth_call")] * 2

    def read(vaults):
        if failures:
            raise failures.pop()
        return honest(vaults)

    service.keeper.read = read
    lines = serve(service, world, 10)

    assert [line["event"] for line in lines] == ["unreachable", "unreachable"]
    assert len(world.reads) == 1


def test_turn__bug_in_a_pass__is_survived_and_told_without_its_words(service, world):
    def read(vaults):
        raise RuntimeError("https://node.example/a-secret")

    service.keeper.read = read
    lines = serve(service, world, 200)

    assert {line["event"] for line in lines} == {"bug"}
    assert all(line["error"].startswith("unexpected RuntimeError at test_loop.py:") for line in lines)
    assert service.health.problem().startswith("no pass has ended yet: unexpected RuntimeError at ")
    assert service.health.stalled().startswith("no pass has ended for ")


def test_turn__what_surrounds_unreadable__keeps_nothing_from_being_done(service, world):
    def look_around():
        raise UnreachableError("the node did not answer eth_getBalance")

    service.look_around = look_around
    world.at = 4.5
    serve(service, world, 1)

    assert [kind for _, kind in world.sent] == [Kind.REBALANCE]


def test_turn__token_fails__is_tried_less_and_less(service, world):
    tries = []

    def send(vault, action):
        tries.append(world.now)
        raise LeverageError("the venue is closed")

    service.keeper.send = send
    world.at = 4.05
    serve(service, world, 130)

    gaps = [b - a for a, b in zip(tries, tries[1:], strict=False)]
    assert 4 <= len(tries) <= 8 and all(
        later >= sooner - 0.5 for sooner, later in zip(gaps, gaps[1:], strict=False)
    )


def test_turn__nonce_taken_by_an_earlier_transaction__is_no_failure(service, world):
    answers = [LookAgainError("its nonce is used")]
    honest = service.keeper.send

    def send(vault, action):
        if answers:
            raise answers.pop()
        return honest(vault, action)

    service.keeper.send = send
    world.at = 4.5
    lines = serve(service, world, 4)

    assert [line["event"] for line in lines] == ["nothing_to_do", "rebalance"]


# Alarms


def told(messages):
    return [(message.alert, message.state) for message in messages]


def test_alarm__out_of_band_for_ten_blocks__begins_and_ends(service, world, messages):
    world.at, world.is_fixed = 4.5, True
    serve(service, world, 19)
    before = told(messages)
    serve(service, world, 4)
    begun = told(messages)
    world.at = 3.0
    serve(service, world, 24)

    assert before == [] and begun == [(Alert.OUT_OF_BAND, "begins")]
    assert told(messages) == [(Alert.OUT_OF_BAND, "begins"), (Alert.OUT_OF_BAND, "has ended")]
    assert messages[0].text == "[chain 10] leverage out of band begins: ETH3L: 4.50x, the band is 2x to 4x"


def test_alarm__node_silent_for_a_minute__is_unreachable(service, world, messages):
    serve(service, world, 2)
    world.errors = [UnreachableError("the node did not answer")] * 12

    serve(service, world, 300)

    assert told(messages) == [(Alert.UNREACHABLE, "begins"), (Alert.UNREACHABLE, "has ended")]
    assert "the node has not answered for" in messages[0].text


def test_alarm__chain_stands_still__is_unreachable_too(service, world, messages):
    world.interval = 10_000

    serve(service, world, 90)

    assert told(messages) == [(Alert.UNREACHABLE, "begins")]
    assert "there has been no block after 100" in messages[0].text


def test_alarm__passes_break_off__is_unwell(service, world, messages):
    def read(vaults):
        raise RuntimeError

    service.keeper.read = read
    serve(service, world, 90)

    assert told(messages) == [(Alert.UNWELL, "begins")]


def test_alarm__balance_low__is_told(service, world, messages):
    service.look_around = lambda: Surroundings({"0xa": WAD // 100})

    serve(service, world, 30)

    assert told(messages) == [(Alert.BALANCE_LOW, "begins")]


# Stopping


def test_run__asked_to_stop_while_it_sleeps__stops_at_once(service, world):
    service.keeper.clock = Clock(time.monotonic, service.stop.sleep)
    threading.Timer(0.3, service.stop.ask).start()

    began = time.monotonic()
    code = service.run()

    assert code == DONE
    assert time.monotonic() - began < 10


def test_run__asked_to_stop_in_a_transaction__ends_that_and_begins_no_other(service, world):
    service.keeper.tokens = {"ETH3L": "0x1", "ETH3S": "0x2"}
    world.at, world.is_fixed = 4.5, True
    honest = service.keeper.send

    def send(vault, action):
        service.stop.ask()
        return honest(vault, action)

    service.keeper.send = send
    with capture_logs() as lines:
        code = service.run()

    assert code == DONE
    assert len(world.sent) == 1
    assert [line["event"] for line in lines] == ["rebalance"]


def test_on_signals__sigterm__asks_to_stop_and_is_undone_after(service):
    before = signal.getsignal(signal.SIGTERM)

    with service.stop.on_signals():
        os.kill(os.getpid(), signal.SIGTERM)
        service.stop.sleep(10)
        second = signal.getsignal(signal.SIGTERM)

    assert service.stop.is_asked()
    assert second == signal.SIG_DFL
    assert signal.getsignal(signal.SIGTERM) == before
