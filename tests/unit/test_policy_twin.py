"""RebalancePolicy.sol and policy.py agree on every trigger and every size."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_leverage_math import ARGUMENTS, Harness, search

from devnet.anvil import Anvil
from devnet.artifacts import mock
from devnet.rpc import Contract, Rpc
from leverage import policy as rules
from leverage.types import DAY, WAD, Policy, Rebalancing, Trigger

NOON = 1_700_000_000 // DAY * DAY + DAY // 2

POLICY = st.builds(
    Policy,
    triggers=st.integers(0, 7),
    period=st.sampled_from([3_600, 28_800, 86_400, 604_800, 5_000]),
    offset=st.integers(0, 3_599),
    exclusive=st.integers(0, 3_600),
    cooldown=st.integers(0, 3_600),
    band_min=st.integers(0, 3 * WAD),
    band_max=st.integers(3 * WAD, 8 * WAD),
    emergency_move=st.integers(WAD // 100, WAD // 2),
    drift=st.integers(0, WAD),
    tolerance=st.integers(0, WAD // 2),
    max_slippage=st.integers(0, WAD // 20),
    emergency_slippage=st.integers(WAD // 20, WAD // 5),
    tip_rate=st.integers(0, WAD // 10),
    tip_cap=st.integers(0, 10 * WAD),
    min_notional=st.integers(0, 10_000 * WAD),
    max_notional=st.integers(1, 10**7 * WAD),
)
PRICE = st.integers(WAD // 10**6, 10**5 * WAD)
# Times crowd round the edges of a slot, of the exclusive window and of the cooldown.
TIME = st.one_of(
    st.integers(NOON - DAY, NOON + DAY),
    st.builds(
        lambda day, second: NOON + DAY // 2 + day * DAY + second, st.integers(-2, 2), st.integers(-200, 4_000)
    ),
)
LAST = st.builds(
    Rebalancing,
    price=st.one_of(st.just(0), PRICE),
    time=TIME,
    chunk=st.sampled_from(Trigger),
    buying=st.booleans(),
)
TARGET = st.sampled_from([WAD, 2 * WAD, 3 * WAD, 5 * WAD, -WAD, -2 * WAD, -3 * WAD, -5 * WAD])
LEVERAGE = st.one_of(st.integers(-10 * WAD, 10 * WAD), st.sampled_from([0, 2**127 - 1, 1 - 2**127]))


@pytest.fixture(scope="module")
def harness():
    with Anvil.start() as anvil:
        rpc = Rpc(anvil.url)
        yield Harness(Contract.deploy(rpc, rpc("eth_accounts")[0], mock("LeverageMathHarness")))


CASES = [
    ("due", rules.due, (POLICY, LAST, TARGET, PRICE, LEVERAGE, TIME, st.booleans()), 40),
    ("isUnfinished", rules.is_unfinished, (POLICY, LAST, TARGET, LEVERAGE), 10),
    ("movedAgainst", rules.moved_against, (PRICE, PRICE, TARGET), 10),
    ("slotStart", rules.slot_start, (POLICY, st.one_of(TIME, st.integers(0, 10_000))), 10),
    ("isExclusive", rules.is_exclusive, (POLICY, st.one_of(TIME, st.integers(0, 10_000))), 10),
    ("lateness", rules.lateness, (POLICY, st.one_of(TIME, st.integers(0, 10_000))), 10),
    ("slippage", rules.slippage, (POLICY, LEVERAGE), 10),
    ("chunk", rules.chunk, (POLICY, st.integers(-(10**27), 10**27), PRICE), 10),
]


def test_twin__every_policy_function__has_one(harness):
    assert {name for name, *_ in CASES} == set(harness.functions) - set(ARGUMENTS) - {"batch"}


@pytest.mark.parametrize(("name", "twin", "arguments", "examples"), CASES)
def test_policy__any_state__equals_its_twin(harness, name, twin, arguments, examples):
    @search(examples)
    @given(st.lists(st.tuples(*arguments), min_size=20, max_size=30))
    def agree(cases):
        results = harness(name, cases)
        for case, solidity in zip(cases, results, strict=True):
            assert solidity == twin(*case), case

    agree()


def test_policy__each_trigger__occurs_in_both(harness):
    """The search above would prove little if it never met a trigger: this one names a state for each."""
    policy = Policy(
        triggers=7, period=DAY, offset=120, exclusive=1_800, cooldown=60, band_min=2 * WAD, band_max=4 * WAD,
        emergency_move=WAD // 10, drift=WAD // 20, tolerance=WAD // 50, max_slippage=0, emergency_slippage=0,
        tip_rate=0, tip_cap=0, min_notional=0, max_notional=WAD,
    )  # fmt: skip
    last = Rebalancing(2_000 * WAD, NOON - DAY, Trigger.NONE, False)
    chunk = Rebalancing(2_000 * WAD, NOON - 61, Trigger.BAND, True)
    cases = [
        (policy, last, 3 * WAD, 2_000 * WAD, 3 * WAD, NOON, False),
        (policy, last, 3 * WAD, 1_800 * WAD, 38 * WAD // 10, NOON, False),
        (policy, last, 3 * WAD, 2_000 * WAD, 19 * WAD // 10, NOON, False),
        (policy, last, 3 * WAD, 2_000 * WAD, 31 * WAD // 10, NOON, False),
        (policy, chunk, 3 * WAD, 2_000 * WAD, 29 * WAD // 10, NOON, False),
        (policy, chunk, 3 * WAD, 2_000 * WAD, 29 * WAD // 10, NOON - 2, False),
    ]
    expected = [Trigger.NONE, Trigger.EMERGENCY, Trigger.BAND, Trigger.SCHEDULED, Trigger.BAND, Trigger.NONE]

    assert harness("due", cases) == expected
    assert [rules.due(*case) for case in cases] == expected
