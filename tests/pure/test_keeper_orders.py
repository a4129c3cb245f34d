"""The keeper where a venue fills later, without a node: commit, wait, settle, and what comes between."""

from dataclasses import dataclass, field, replace

import pytest
from structlog.testing import capture_logs

from leverage import config, keeper
from leverage import leverage_math as lm
from leverage import policy as rules
from leverage.errors import LeverageError, RevertError
from leverage.keeper import DONE, FAILED, Clock, Keeper
from leverage.types import (
    DAY,
    WAD,
    Action,
    Kind,
    Order,
    Policy,
    Rebalancing,
    Report,
    Snapshot,
    Stage,
    Trigger,
    Waiting,
)

MIDNIGHT = 20_000 * DAY
OPEN = MIDNIGHT + 120
NOON = MIDNIGHT + DAY // 2
PRICE = 2_000 * WAD
POLICY = config.load().tokens["ETH3L"].policy_struct()
NO_ORDER = Order(Stage.NONE, 0, 0, 0)
FIRST, LAST = 2, 31  # Ages at which an order can be filled, and cancelled.


@dataclass
class Vault:
    """A fund at its target on a venue without costs, which fills at the price of the commit."""

    policy: Policy = POLICY
    supply: int = 10_000 * WAD
    size: int = 15 * WAD
    last: Rebalancing = Rebalancing(PRICE, NOON, Trigger.NONE, False)
    order: Order = NO_ORDER
    trigger: Trigger = Trigger.NONE
    deposits: int = 0
    in_flight: int = 0
    failure: str = ""

    def report(self, name: str, price: int, now: int) -> Report:
        if self.failure:
            return Report(name, failure=self.failure, waiting=self.waiting(), time=now)
        equity = self.supply + lm.notional(15 * WAD, price - PRICE)
        snapshot = Snapshot(
            timestamp=now, price=price, venue_price=price, size=self.size, equity=equity, supply=self.supply,
            nav=WAD, leverage=lm.leverage(self.size, price, equity), target=3 * WAD, rebalancing=self.last,
            paused_until=0, ruined=False,
        )  # fmt: skip
        return Report(name, snapshot, self.policy, waiting=self.waiting())

    def waiting(self) -> Waiting:
        return Waiting(self.order, self.deposits, 0, 0, 0)

    def commit(self, price: int, now: int, is_keeper: bool) -> dict:
        if self.order.stage:
            raise RevertError("OrderPending", "OrderPending")
        report = self.report("", price, now)
        action = rules.decide(report.snapshot, self.policy, now, is_keeper, report.waiting)
        if action is None:
            raise RevertError("NothingDue", "NothingDue")
        self.order = Order(Stage.WAITING, action.size_delta, now + FIRST, now + LAST)
        self.trigger, self.in_flight, self.deposits = action.trigger, self.deposits, 0
        return {"trigger": int(action.trigger), "size_delta": action.size_delta}

    def execute(self) -> None:
        """A stranger's doing."""
        self.order = replace(self.order, stage=Stage.FILLED)

    def settle(self, has_proof: bool, price: int, now: int) -> dict:
        if self.order.stage == Stage.NONE:
            raise RevertError("NoOrder", "NoOrder")
        is_ours = self.order.stage == Stage.WAITING and now < self.order.cancellable_from
        if is_ours and not (has_proof and self.order.fillable_from <= now < self.order.cancellable_from - 1):
            raise RevertError("OrderWaiting", "OrderWaiting")
        is_filled = is_ours or self.order.stage == Stage.FILLED
        if is_filled:
            self.size += self.order.size_delta
            if self.trigger:
                self.last = Rebalancing(price, now, Trigger.NONE, self.order.size_delta > 0)
        else:
            self.deposits += self.in_flight
        self.order = NO_ORDER
        return {"emitted": "Settled" if is_filled else "OrderFailed"}


@dataclass
class World:
    """Vaults, a clock that only sleeping moves, and a price service that may be out of order."""

    vaults: dict[str, Vault]
    price: int = PRICE
    now: float = NOON
    is_keeper: bool = True
    service_failure: LeverageError | None = None
    sent: list = field(default_factory=list)
    read_at: list = field(default_factory=list)

    def read(self, names):
        self.read_at.append(self.now)
        return [self.vaults[name].report(name, self.price, int(self.now)) for name in names]

    def send(self, name: str, action: Action):
        self.sent.append((name, action.kind, int(self.now)))
        vault = self.vaults[name]
        if action.kind == Kind.COMMIT:
            return vault.commit(self.price, int(self.now), self.is_keeper)
        if action.proof_from and self.service_failure:
            raise self.service_failure
        return vault.settle(bool(action.proof_from), self.price, int(self.now))

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def keeper(self, **options) -> Keeper:
        options = {"is_keeper": self.is_keeper, "draw": lambda left: 0, **options}
        clock = Clock(lambda: self.now, self.sleep)
        return Keeper({name: name for name in self.vaults}, self.read, self.send, clock=clock, **options)

    def done(self, name: str = "A") -> list[tuple[Kind, int]]:
        """What was sent for a vault, and how many seconds after the beginning."""
        return [(kind, at - NOON) for sent, kind, at in self.sent if sent == name]


def asked(**changes) -> Vault:
    """A vault in which somebody has just asked for 1,000 worth of shares."""
    return Vault(deposits=1_000 * WAD, **changes)


@pytest.fixture
def world():
    return World({"A": asked()})


COMMIT, SETTLE = Kind.COMMIT, Kind.SETTLE


# One pass


def test_once__request_waits__is_committed_and_settled_in_one_pass(world):
    with capture_logs() as lines:
        code = world.keeper(every=300).once()

    assert code == DONE
    assert world.done() == [(COMMIT, 0), (SETTLE, 2)]
    assert [line["event"] for line in lines] == ["commit", "waiting", "waiting", "settle", "pass"]
    assert lines[-1].items() >= {"tokens": 1, "acted": 1, "failed": 0}.items()
    assert world.vaults["A"].size == 165 * WAD // 10


def test_once__again__does_nothing(world):
    world.keeper().once()
    sent = list(world.sent)

    assert world.keeper().once() == DONE
    assert world.sent == sent


def test_once__order_left_by_another_pass__is_settled_before_the_next_goes_out(world):
    vault = world.vaults["A"]
    vault.order = Order(Stage.FILLED, 0, 0, 0)

    assert world.keeper().once() == DONE

    assert [kind for kind, _ in world.done()] == [SETTLE, COMMIT, SETTLE]


def test_once__requests_never_end__takes_one_order_per_token(world):
    vault = world.vaults["A"]

    def settle(*args):
        vault.deposits = 1_000 * WAD
        return Vault.settle(vault, *args)

    vault.settle = settle
    assert world.keeper().once() == DONE

    assert [kind for kind, _ in world.done()] == [COMMIT, SETTLE]


def test_once__price_service_is_down__cancels_in_the_same_pass(world):
    world.service_failure = LeverageError("price service here did not answer")

    with capture_logs() as lines:
        code = world.keeper(every=300).once()

    assert code == DONE
    assert world.done() == [(COMMIT, 0), *((SETTLE, second) for second in (2, 4, 8, 16, 32))]
    assert world.vaults["A"].deposits == 1_000 * WAD and world.vaults["A"].order == NO_ORDER
    assert "price service here did not answer" in str(lines)


def test_once__order_can_neither_be_filled_nor_cancelled__fails_and_leaves_it(world):
    """A venue that is suspended: the next pass tries again."""

    def frozen(*args):
        raise RevertError("reverted: market suspended")

    world.vaults["A"].settle = frozen

    assert world.keeper(every=300).once() == FAILED
    assert world.now - NOON <= keeper.ORDER_SECONDS
    assert world.vaults["A"].order.stage == Stage.WAITING


def test_once__dry_run__says_what_it_would_do_and_waits_for_nothing(world):
    with capture_logs() as lines:
        assert world.keeper(is_dry=True).once() == DONE

    assert (world.sent, world.now) == ([], NOON)
    assert [line["event"] for line in lines] == ["would_commit", "pass"]


def test_once__commit_refused__does_not_hold_up_the_others():
    world = World({"A": asked(), "B": asked()})
    world.vaults["A"].commit = lambda *args: (_ for _ in ()).throw(RevertError("no", "PriceBeyondLimit"))

    assert world.keeper().once() == FAILED
    assert [kind for kind, _ in world.done("B")] == [COMMIT, SETTLE]


@pytest.mark.parametrize("name", ["NothingDue", "BatchTooSmall"])
def test_once__batch_shrank_or_went_with_another__is_no_failure(world, name):
    world.vaults["A"].commit = lambda *args: (_ for _ in ()).throw(RevertError(name, name))

    assert world.keeper().once() == DONE


def test_once__many_tokens_and_slow_blocks__settles_the_first_before_the_last_is_sent():
    """Three seconds for each transaction: in one go the orders would be too old to be filled."""
    world = World({name: asked() for name in "ABCDEFGHIJKL"})
    send = world.send
    worker = world.keeper()
    worker.send = lambda name, action: (world.sleep(3), send(name, action))[1]

    assert worker.once() == DONE

    for name in world.vaults:
        (first, sent), (second, settled) = world.done(name)
        assert (first, second) == (COMMIT, SETTLE) and settled - sent <= 20


# Others are at work, too


def test_once__somebody_else_committed_first__settles_that_order(world):
    vault = world.vaults["A"]

    def overtaken(*args):
        vault.commit = lambda *later: Vault.commit(vault, *later)
        vault.commit(*args)
        return vault.commit(*args)

    vault.commit = overtaken
    with capture_logs() as lines:
        assert world.keeper().once() == DONE

    assert [kind for kind, _ in world.done()] == [COMMIT, SETTLE]
    assert lines[0]["event"] == "nothing_to_do" and vault.order == NO_ORDER


def test_run__stranger_executes_first__settles_without_a_proof(world):
    world.service_failure = LeverageError("no price")
    vault, worker = world.vaults["A"], world.keeper()
    sleep = worker.clock.sleep
    worker.clock = Clock(worker.clock.now, lambda s: (sleep(s), vault.order.stage and vault.execute()))

    worker.run(passes=3)

    assert world.done() == [(COMMIT, 0), (SETTLE, 1)]
    assert vault.size == 165 * WAD // 10


def test_run__stranger_settles_first__has_nothing_to_do(world):
    vault = world.vaults["A"]

    def overtaken(*args):
        Vault.settle(vault, *args)
        return Vault.settle(vault, *args)

    vault.settle = overtaken
    with capture_logs() as lines:
        world.keeper().run(passes=5)

    assert [line["event"] for line in lines] == ["commit", "nothing_to_do"]


# Running


def test_run__order_pending__is_looked_at_when_it_can_be_filled(world):
    """Not a whole pass later; and then the passes have their length again."""
    world.keeper(every=15).run(passes=6)

    assert world.done() == [(COMMIT, 0), (SETTLE, 2)]
    assert [at - NOON for at in world.read_at] == [0, 1, 2, 3, 18, 33]


def test_run__nothing_fills_it__cancels_and_tries_again(world):
    world.service_failure = LeverageError("no price")
    worker = world.keeper(every=15)

    worker.run(passes=12)
    world.service_failure = None
    worker.run(passes=12)

    kinds = [kind for kind, _ in world.done()]
    assert kinds.count(COMMIT) >= 2 and world.done()[5] == (SETTLE, 32) and world.done()[6][0] == COMMIT
    assert world.vaults["A"].size == 165 * WAD // 10


def test_run__in_the_last_second__waits_until_it_can_be_cancelled(world):
    vault = world.vaults["A"]
    vault.order = Order(Stage.WAITING, WAD, NOON - 28, NOON + 1)

    world.keeper().run(passes=2)

    assert world.done()[:2] == [(SETTLE, 0), (SETTLE, 1)]
    assert vault.order.stage == Stage.NONE or vault.order.fillable_from > NOON


def test_run__one_order_fails_on__others_keep_their_pace():
    world = World({"A": asked(), "B": Vault()})
    world.vaults["A"].settle = lambda *args: (_ for _ in ()).throw(RevertError("suspended"))

    world.keeper(every=15).run(passes=30)

    gaps = [b - a for (_, a), (_, b) in zip(world.done(), world.done()[1:], strict=False)]
    assert gaps[:6] == [2, 2, 4, 8, 16, 32] and set(gaps[6:]) == {60}


def test_run__price_unusable__still_ends_the_order(world):
    worker = world.keeper()
    worker.run(passes=1)
    world.vaults["A"].failure = "PriceStale (age 9000)"
    with capture_logs() as lines:
        worker.run(passes=3)

    assert world.done()[-1][0] == SETTLE and world.vaults["A"].order == NO_ORDER
    assert {"event": "unreadable", "token": "A"}.items() <= lines[0].items()


# The schedule


def drifted(**changes) -> World:
    """In the keeper's own half an hour, with leverage beyond the drift."""
    vault = Vault(last=Rebalancing(PRICE, MIDNIGHT - 3_600, Trigger.NONE, False), **changes)
    return World({"A": vault}, price=PRICE * 102 // 100, now=OPEN)


def test_moment__schedule_alone__is_secret_here_too():
    world = drifted()

    world.keeper(draw=lambda left: 7).run(passes=4)

    ((_, kind, at), *_) = world.sent
    assert (kind, at) == (COMMIT, OPEN + 7)
    assert world.vaults["A"].last.time == OPEN + 9


def test_moment__an_order_is_under_way__comes_after_it():
    """Half an hour is left for the schedule, half a minute for the order."""
    world = drifted()
    world.vaults["B"] = asked(last=Rebalancing(PRICE * 102 // 100, OPEN + 1, Trigger.NONE, False))

    assert world.keeper(every=300, draw=lambda left: 250).once() == DONE

    kinds = [(name, kind, at - OPEN) for name, kind, at in world.sent]
    assert kinds[:2] == [("B", COMMIT, 0), ("B", SETTLE, 2)]
    assert [(name, kind) for name, kind, _ in kinds[2:]] == [("A", COMMIT), ("A", SETTLE)]
    assert kinds[2][2] >= 250


def test_moment__people_wait__is_theirs():
    """Anyone may commit for them at once, so there is no moment to keep."""
    world = drifted(deposits=1_000 * WAD)

    world.keeper(draw=lambda left: pytest.fail("drawn")).step_all()

    assert world.sent == [("A", COMMIT, OPEN)]
    assert world.vaults["A"].trigger == Trigger.SCHEDULED
