"""The keeper without a node: whole days, failures, the secret moment, the lock."""

import os
import random
import signal
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass, field, replace

import pytest
from structlog.testing import capture_logs

from leverage import config, keeper
from leverage import leverage_math as lm
from leverage import policy as rules
from leverage.errors import LeverageError, RevertError
from leverage.keeper import DONE, FAILED, ORDER_SECONDS, Clock, Keeper, LockHeldError, events
from leverage.keeper.core import FEE_SECONDS
from leverage.keeper.economy import DeclinedError
from leverage.keeper.transactions import LookAgainError, UnaffordableError
from leverage.types import DAY, WAD, Action, Kind, Policy, Rebalancing, Report, Snapshot, Trigger

MIDNIGHT = 20_000 * DAY
OPEN = MIDNIGHT + 120
START = 2_000 * WAD
POLICY = config.load().tokens["ETH3L"].policy_struct()


@dataclass
class Vault:
    """A fund on a venue without costs."""

    target: int = 3 * WAD
    policy: Policy = POLICY
    supply: int = 10_000 * WAD
    size: int = 0
    cash: int = 10_000 * WAD
    last: Rebalancing = Rebalancing(START, MIDNIGHT - 3_600, Trigger.NONE, False)
    ruined: bool = False
    failure: str = ""

    def __post_init__(self):
        self._trade(lm.size_to_leverage(self.target, self.cash, 0, START), START)

    def _trade(self, size: int, price: int) -> None:
        self.size += size
        self.cash -= lm.notional(size, price)

    def report(self, name: str, price: int, now: int) -> Report:
        if self.failure:
            return Report(name, failure=self.failure, time=now)
        equity = lm.equity(self.cash, self.size, price)
        return Report(
            name,
            Snapshot(
                timestamp=now, price=price, venue_price=price, size=self.size, equity=equity,
                supply=self.supply, nav=lm.nav(equity, self.supply), target=self.target,
                leverage=lm.leverage(self.size, price, equity), rebalancing=self.last,
                paused_until=0, ruined=self.ruined,
            ),
            self.policy,
        )  # fmt: skip

    def rebalance(self, price: int, now: int, is_keeper: bool) -> dict:
        """As the contract: it decides for itself, whoever calls."""
        action = rules.decide(self.report("", price, now).snapshot, self.policy, now, is_keeper)
        if action is None:
            raise RevertError("NothingDue", "NothingDue")
        self._trade(action.size_delta, price)
        reached = lm.leverage(self.size, price, lm.equity(self.cash, self.size, price))
        is_done = abs(reached - self.target) <= self.policy.tolerance
        chunk = Trigger.NONE if is_done else action.trigger
        self.last = Rebalancing(price, now, chunk, action.size_delta > 0)
        return {"trigger": int(action.trigger), "size": action.size_delta, "leverage_after": reached}


@dataclass
class World:
    """Vaults, one price for all of them as a function of time, and a clock that only sleeping moves."""

    vaults: dict[str, Vault]
    price: object = lambda now: START  # noqa: E731
    now: float = MIDNIGHT
    is_keeper: bool = True
    send_failure: LeverageError | None = None
    sent: list = field(default_factory=list)
    reads: int = 0

    def read(self, names):
        self.reads += 1
        return [self.vaults[name].report(name, self.price(self.now), int(self.now)) for name in names]

    def send(self, name: str, action: Action):
        self.sent.append((name, action.trigger, int(self.now)))
        if self.send_failure and name == "A":
            raise self.send_failure
        if action.kind == Kind.CHECK_RUIN:
            self.vaults[name].ruined = True
            return {"equity": -1, "size": 0}
        return self.vaults[name].rebalance(self.price(self.now), int(self.now), self.is_keeper)

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def keeper(self, **options) -> Keeper:
        options = {"is_keeper": self.is_keeper, "draw": random.Random(1).randrange, **options}
        clock = Clock(lambda: self.now, self.sleep)
        return Keeper({name: name for name in self.vaults}, self.read, self.send, clock=clock, **options)

    def triggers(self, name: str = "A") -> list[Trigger]:
        return [trigger for sent, trigger, _ in self.sent if sent == name]


def drifting(now: float) -> int:
    """Two percent above the start: 2.887x for the long, beyond the drift."""
    return START * 102 // 100


# A day


def test_run__a_quiet_day__rebalances_once_inside_its_window():
    world = World({"A": Vault()}, price=drifting, now=MIDNIGHT - 3_600)

    world.keeper().run(passes=DAY // 15)

    ((_, trigger, at),) = world.sent
    assert trigger == Trigger.SCHEDULED
    assert OPEN <= at < OPEN + POLICY.exclusive
    assert world.reads >= DAY // 15


def test_run__two_days__rebalances_once_each():
    def price(now):
        return START * (102 if now < MIDNIGHT + DAY else 105) // 100

    world = World({"A": Vault(), "B": Vault(target=-3 * WAD)}, price=price)

    world.keeper().run(passes=2 * DAY // 15)

    assert [rules.slot_start(POLICY, at) for name, _, at in world.sent if name == "A"] == [OPEN, OPEN + DAY]
    assert Counter(name for name, _, _ in world.sent) == {"A": 2, "B": 2}


def test_run__a_crash_of_a_fifth_within_an_hour__keeps_the_long_alive():
    """Falls for an hour from noon: emergencies at each tenth, leverage never beyond the band."""

    def price(now):
        fallen = min(max(now - MIDNIGHT - DAY // 2, 0), 3_600) / 3_600 * 0.2
        return START * round((1 - fallen) * 10**9) // 10**9

    world = World(
        {"A": Vault(), "B": Vault(target=-3 * WAD, policy=replace(POLICY, band_min=WAD))}, price=price
    )
    keeper_ = world.keeper()
    for _ in range(DAY // 15):
        keeper_.run(passes=1)
        assert abs(world.read(["A"])[0].snapshot.leverage) < POLICY.band_max

    assert world.triggers("A").count(Trigger.EMERGENCY) == 2
    assert Trigger.EMERGENCY not in world.triggers("B")


def test_run__large_trade__goes_in_chunks_with_the_cooldown_between():
    chunked = Vault(policy=replace(POLICY, max_notional=500 * WAD, triggers=rules.BAND))
    world = World({"A": chunked}, price=lambda now: START * 140 // 100, now=MIDNIGHT + 60_000)

    world.keeper().run(passes=400)

    times = [at for _, _, at in world.sent]
    assert len(times) > 5
    assert all(later - earlier >= POLICY.cooldown for earlier, later in zip(times, times[1:], strict=False))
    snapshot = world.read(["A"])[0].snapshot
    assert abs(snapshot.leverage - snapshot.target) <= POLICY.tolerance


def test_run__a_gap_through_ruin__records_it_once():
    world = World({"A": Vault()}, price=lambda now: START * 60 // 100)

    world.keeper().run(passes=5)

    assert world.triggers() == [Trigger.NONE]
    assert world.vaults["A"].ruined


# The secret moment


def moments(is_keeper: bool, every: int, days: int = 300) -> list[int]:
    generator = random.Random(7)
    found = []
    for _ in range(days):
        world = World({"A": Vault()}, price=drifting, now=OPEN - every, is_keeper=is_keeper)
        worker = world.keeper(draw=generator.randrange, every=every)
        while not world.sent:
            worker.run(passes=1)
        found.append(world.sent[0][2] - OPEN)
    return found


@pytest.mark.parametrize("every", [15, 60, 300])
def test_moment__many_days__is_spread_evenly_over_the_window(every):
    found = moments(True, every)

    assert 0 <= min(found) and max(found) < POLICY.exclusive
    sixths = Counter(moment * 6 // POLICY.exclusive for moment in found)
    assert all(25 <= sixths[i] <= 80 for i in range(6)), sixths


def test_moment__without_the_role__is_the_end_of_the_window():
    assert all(moment >= POLICY.exclusive for moment in moments(False, 15, days=3))


def test_moment__default__comes_from_a_secure_source():
    import secrets

    assert Keeper({}, list, dict, True).draw is secrets.randbelow


def test_moment__before_it_comes__is_in_no_log_line():
    world = World({"A": Vault(), "B": Vault()}, price=drifting, now=OPEN)
    drawn = iter([7, 1_234])  # A waits seven seconds, B is not for this pass.
    with capture_logs() as lines:
        seen = []
        worker = world.keeper(draw=lambda left: next(drawn), every=15)
        sleep = worker.clock.sleep
        worker.clock = Clock(worker.clock.now, lambda s: (seen.append(list(lines)), sleep(s)))
        worker.step_all()

    assert world.sent == [("A", Trigger.SCHEDULED, OPEN + 7)]
    told = [{k: v for k, v in line.items() if k != "token"} for line in seen[0]]
    assert told == [{"event": "scheduled", "log_level": "info"}] * 2
    assert "1234" not in str(lines)


def test_moment__somebody_acted_meanwhile__does_nothing():
    world = World({"A": Vault()}, price=drifting, now=OPEN)
    worker = world.keeper(draw=lambda left: 10)
    worker.clock = Clock(lambda: world.now, lambda s: (world.sleep(s), act_first(world)))

    def act_first(world):
        world.vaults["A"].rebalance(drifting(world.now), int(world.now), True)

    assert worker.once() == DONE
    assert world.sent == []


def test_moment__emergency_in_the_window__is_not_waited_for():
    world = World({"A": Vault(), "B": Vault()}, price=lambda now: START * 88 // 100, now=OPEN)

    world.keeper(draw=lambda left: pytest.fail("drawn")).step_all()

    assert [at for _, _, at in world.sent] == [OPEN, OPEN]


# Failures


def test_once__one_unreadable_token__fails_but_serves_the_others():
    world = World(
        {"A": Vault(failure="PriceStale (age 9000)"), "B": Vault()}, price=lambda now: START * 88 // 100
    )

    with capture_logs() as lines:
        code = world.keeper().once()

    assert code == FAILED
    assert world.triggers("B") == [Trigger.EMERGENCY]
    assert {"event": "unreadable", "token": "A", "error": "PriceStale (age 9000)"}.items() <= lines[0].items()


def test_once__nothing_due__is_done():
    world = World({"A": Vault()}, now=OPEN)

    assert world.keeper().once() == DONE
    assert world.sent == []


def test_once__acted__logs_the_fields_of_the_event():
    world = World({"A": Vault()}, price=lambda now: START * 88 // 100)

    with capture_logs() as lines:
        assert world.keeper().once() == DONE

    line = next(line for line in lines if line["event"] == "rebalance")
    assert line["trigger"] == "EMERGENCY"
    assert {"token", "size", "leverage_after"} <= line.keys()


def test_once__dry_run__says_what_it_would_do():
    world = World({"A": Vault(), "B": Vault()}, price=drifting, now=OPEN)
    world.vaults["B"].policy = replace(POLICY, exclusive=0)

    with capture_logs() as lines:
        assert world.keeper(is_dry=True).once() == DONE

    assert world.sent == [] and world.now == OPEN
    assert [line["token"] for line in lines if line["event"] == "would_rebalance"] == ["B", "A"]


@pytest.mark.parametrize("name", ["NothingDue", "TradeTooSmall", "VaultRuined"])
def test_once__overtaken__is_no_failure(name):
    world = World({"A": Vault()}, price=lambda now: START * 88 // 100, send_failure=RevertError("gone", name))

    assert world.keeper().once() == DONE


def test_run__send_keeps_failing__doubles_the_wait_for_this_token_only():
    world = World({"A": Vault(), "B": Vault()}, price=lambda now: START * 140 // 100, now=MIDNIGHT + 60_000)
    world.send_failure = RevertError("reverted: EX_OPLAS")

    world.keeper(every=10).run(passes=200)

    times = [at for name, _, at in world.sent if name == "A"]
    gaps = [later - earlier for earlier, later in zip(times, times[1:], strict=False)]
    assert gaps == [10, 20, 40, 80, 160, 320, 600, 600]
    assert world.triggers("B") == [Trigger.BAND]


def test_run__emergency_keeps_failing__is_tried_every_minute():
    world = World({"A": Vault()}, price=lambda now: START * 88 // 100, send_failure=RevertError("no"))

    world.keeper(every=10).run(passes=60)

    times = [at for _, _, at in world.sent]
    assert [later - earlier for earlier, later in zip(times, times[1:], strict=False)][:5] == [
        10,
        20,
        40,
        60,
        60,
    ]


def test_run__recovers__starts_again_without_a_wait():
    world = World({"A": Vault()}, price=lambda now: START * 140 // 100, now=MIDNIGHT + 60_000)
    world.send_failure = RevertError("no")
    worker, back_off = world.keeper(every=10), keeper.BackOff(10)
    for _ in range(4):
        worker.step_all(back_off)
        world.sleep(10)
    world.send_failure = None
    world.sleep(600)
    worker.step_all(back_off)

    assert back_off.left("A", Action(Kind.REBALANCE, Trigger.BAND), world.now) == 0
    assert world.vaults["A"].last.price == START * 140 // 100


def test_run__node_gone__waits_longer_and_goes_on():
    world = World({"A": Vault()}, now=OPEN + 5_000)
    answers = iter([LeverageError("the node did not answer")] * 3)
    honest = world.read

    def read(names):
        for error in answers:
            raise error
        return honest(names)

    world.read = read
    with capture_logs() as lines:
        world.keeper(every=10).run(passes=5)

    assert [line["event"] for line in lines] == ["unreachable"] * 3
    assert world.now == OPEN + 5_000 + 20 + 40 + 80 + 10 + 10


# Transactions


def crashed() -> World:
    return World({"A": Vault()}, price=lambda now: START * 88 // 100, now=OPEN)


def failing(world, *errors):
    """A keeper whose first sends fail like this."""
    left = iter(errors)
    honest = world.send

    def send(name, action):
        for error in left:
            raise error
        return honest(name, action)

    world.send = send
    return world.keeper(every=300)


def test_once__gas_too_dear__waits_until_it_is_not():
    world = crashed()
    worker = failing(world, *[UnaffordableError("dear")] * 3)

    assert worker.once() == DONE
    assert world.triggers() == [Trigger.EMERGENCY]
    assert world.now - OPEN == 3 * FEE_SECONDS


def test_once__gas_stays_too_dear__fails_in_time():
    world = crashed()

    assert failing(world, *[UnaffordableError("dear")] * 100).once() == FAILED
    assert world.sent == [] and world.now - OPEN <= ORDER_SECONDS


def test_once__own_transaction_was_still_on_its_way__looks_again_and_is_done():
    world = crashed()
    worker = failing(world, LookAgainError("just mined"))
    send = worker.send
    worker.send = lambda name, action: (
        world.vaults["A"].rebalance(world.price(0), OPEN, True),
        send(name, action),
    )

    assert worker.once() == DONE
    assert world.reads == 2 and world.sent == []


def test_once__not_worth_its_gas__is_declined_without_a_failure():
    world = crashed()
    worker, heard = failing(world, DeclinedError("dear"), DeclinedError("dear")), []
    worker.listeners.append(heard.append)

    assert worker.once() == DONE and worker.once() == DONE
    assert [type(event) for event in heard].count(events.Declined) == 2


def test_once__chain_has_undone_it__looks_again_at_this_token_alone():
    world = World({"A": Vault(), "B": Vault()}, price=lambda now: START * 88 // 100, now=OPEN)
    worker = world.keeper()
    undone = iter([{"A"}])

    def confirm(seconds):
        for tokens in undone:
            world.vaults["A"] = Vault()
            return tokens
        return set()

    worker.confirm = confirm

    assert worker.once() == DONE
    assert [name for name, _, _ in world.sent] == ["A", "B", "A"]


def test_once__node_is_late__does_it_and_says_that_something_is_wrong():
    world = crashed()
    worker = world.keeper(watch=lambda: ["the node's latest block is 901 s old"])

    with capture_logs() as lines:
        assert worker.once() == FAILED

    assert world.triggers() == [Trigger.EMERGENCY]
    assert lines[0]["event"] == "node" and "901 s old" in lines[0]["error"]


def test_once__asked_to_stop__begins_nothing_new():
    world = World({"A": Vault(), "B": Vault()}, price=lambda now: START * 88 // 100, now=OPEN)

    world.keeper(is_stopping=lambda: bool(world.sent)).step_all()

    assert [name for name, _, _ in world.sent] == ["A"]


def test_run__something_nobody_foresaw__is_told_and_the_next_pass_goes_on():
    world = crashed()
    worker = world.keeper()
    read, errors = worker.read, iter([KeyError("secret")])

    def broken(names):
        for error in errors:
            raise error
        return read(names)

    worker.read = broken
    with capture_logs() as lines:
        worker.run(passes=2)

    assert world.triggers() == [Trigger.EMERGENCY]
    assert "unexpected KeyError at test_keeper_days.py" in lines[0]["error"] and "secret" not in str(lines)


def test_acted__late__is_told_by_how_much():
    """Counted from when it was first seen, and for a schedule from when it was everybody's."""
    world = crashed()
    worker, heard = failing(world, RevertError("no")), []
    worker.listeners.append(heard.append)
    worker.every = 10
    worker.run(passes=2)
    late = World({"A": Vault()}, price=drifting, now=OPEN + POLICY.exclusive + 500)
    other = late.keeper()
    other.listeners.append(heard.append)
    other.once()

    assert [event.lateness for event in heard if isinstance(event, events.Acted)] == [10, 500]


# The lock


def test_lock__held_by_another__is_refused_with_its_process(tmp_path):
    path = tmp_path / "keeper.lock"
    with keeper.lock(path), pytest.raises(LockHeldError, match=f"process {os.getpid()}"), keeper.lock(path):
        pytest.fail("two keepers")

    with keeper.lock(path):
        assert path.read_text() == str(os.getpid())


def test_lock__left_by_a_killed_process__is_free(tmp_path):
    path = tmp_path / "keeper.lock"
    code = "import sys, time; from pathlib import Path; from leverage.keeper.lock import lock\n"
    code += "with lock(Path(sys.argv[1])): print('held', flush=True); time.sleep(60)"
    process = subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline() == "held\n"
        with pytest.raises(LockHeldError), keeper.lock(path):
            pytest.fail("two keepers")
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()

    with keeper.lock(path):
        pass
