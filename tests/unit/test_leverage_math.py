"""LeverageMath.sol and leverage_math.py agree to the wei, function for function (the twin rule)."""

import inspect
import re
from dataclasses import astuple, is_dataclass
from pathlib import Path

import pytest
from eth_abi import decode, encode
from eth_utils import keccak
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from devnet.anvil import Anvil
from devnet.artifacts import mock
from devnet.rpc import Contract, Rpc
from leverage import leverage_math as lm
from leverage.types import WAD, Sizes

# Wide enough for any market: prices of a millionth to a million million, vaults up to a million million.
SIZE = st.integers(-(10**30), 10**30)
PRICE = st.integers(1, 10**30)
MONEY = st.integers(-(10**30), 10**30)
AMOUNT = st.integers(0, 10**30)
EQUITY = st.integers(-(10**13), 10**30)
RATE = st.integers(0, WAD - 1)
LEVERAGE = st.integers(-6 * WAD, 6 * WAD)
MOVE = st.integers(-WAD, 10 * WAD)
SIZES = st.builds(Sizes, SIZE, SIZE, SIZE)

ARGUMENTS = {
    "equity": (MONEY, SIZE, PRICE),
    "notional": (SIZE, PRICE),
    "nav": (EQUITY, AMOUNT),
    "leverage": (SIZE, PRICE, EQUITY),
    "toSharesDown": (AMOUNT, EQUITY, AMOUNT),
    "toNetUp": (AMOUNT, EQUITY, AMOUNT),
    "portionDown": (MONEY, AMOUNT, AMOUNT),
    "sizeToLeverage": (LEVERAGE, MONEY, SIZE, PRICE),
    "costOf": (SIZE, MONEY, PRICE),
    "sizeNetOfCost": (SIZE, PRICE, LEVERAGE, MONEY),
    "capped": (SIZE, PRICE, AMOUNT),
    "excess": (SIZE, PRICE, LEVERAGE, MONEY),
    "secant": (SIZE, MONEY, SIZE, MONEY),
    "carrying": (SIZE, PRICE, LEVERAGE),
    "worstPrice": (PRICE, SIZE, st.integers(0, 2 * WAD)),
    "order": (SIZES,),
    "costShare": (AMOUNT, SIZE, SIZES),
    "gainShare": (AMOUNT, SIZE, SIZES),
    "along": (SIZE, SIZE),
    "unfilled": (SIZE, SIZE),
    "joining": (SIZE, AMOUNT, EQUITY),
    "feeUp": (AMOUNT, RATE),
    "grossUp": (AMOUNT, st.integers(0, 2 * WAD)),
    "managementShares": (AMOUNT, st.integers(0, 10 * WAD)),
    "expMinusOne": (st.integers(0, 10 * WAD),),
    "tip": (st.integers(0, 10**6), RATE, AMOUNT),
    "drifted": (LEVERAGE, MOVE),
    "moveTo": (LEVERAGE, LEVERAGE),
    "moveToLiquidation": (LEVERAGE, RATE),
}
# As much as the types hold: Solidity may revert, but never answers something else.
WORDS = {"uint256": st.integers(0, 2**256 - 1), "int256": st.integers(-(2**255), 2**255 - 1)}
WORDS["(int256,int256,int256)"] = st.builds(Sizes, *[WORDS["int256"]] * 3)
LIBRARY = Path(__file__).resolve().parents[2] / "contracts" / "libraries" / "LeverageMath.sol"
# The series of exp takes a step per power of x: a caller's exponent is small.
BOUNDED = {"expMinusOne", "managementShares"}


def search(examples: int) -> settings:
    """Many cases per example, so that one call serves them all; a failure names its case."""
    return settings(
        max_examples=examples,
        deadline=None,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )


def snake(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)


class Harness:
    """The Solidity side: many calls of one function in one eth_call."""

    def __init__(self, contract: Contract):
        self.contract = contract
        entries = (entry for entry in contract.artifact.abi if entry["type"] == "function")
        self.functions = {entry["name"]: entry for entry in entries}

    def types(self, name: str) -> list[str]:
        return [_canonical(field) for field in self.functions[name]["inputs"]]

    def __call__(self, name: str, cases: list[tuple]) -> list:
        """One result per case, or None where Solidity reverted."""
        types = self.types(name)
        head = keccak(text=f"{name}({','.join(types)})")[:4]
        outputs = [field["type"] for field in self.functions[name]["outputs"]]
        calls = [head + encode(types, [_plain(value) for value in case]) for case in cases]
        oks, results = self.contract.call("batch", calls)
        return [decode(outputs, data)[0] if ok else None for ok, data in zip(oks, results, strict=True)]


def _canonical(field: dict) -> str:
    if not field["type"].startswith("tuple"):
        return field["type"]
    return f"({','.join(_canonical(part) for part in field['components'])}){field['type'][5:]}"


def _plain(value: object) -> object:
    return astuple(value) if is_dataclass(value) else value


@pytest.fixture(scope="module")
def harness():
    with Anvil.start() as anvil:
        rpc = Rpc(anvil.url)
        sender = rpc("eth_accounts")[0]
        yield Harness(Contract.deploy(rpc, sender, mock("LeverageMathHarness")))


def python(name: str, case: tuple) -> int | None:
    try:
        return getattr(lm, snake(name))(*case)
    except (OverflowError, ZeroDivisionError):
        return None


def test_twin__every_function__has_one(harness):
    public = {
        name
        for name, function in inspect.getmembers(lm, inspect.isfunction)
        if not name.startswith("_") and function.__module__ == lm.__name__
    }

    assert set(ARGUMENTS) == set(re.findall(r"\bfunction (\w+)", LIBRARY.read_text())) - {"abs"}
    assert set(ARGUMENTS) <= set(harness.functions)
    assert {snake(name) for name in ARGUMENTS} == public - {"div", "ceil_div"}


@pytest.mark.parametrize("name", ARGUMENTS)
def test_formula__realistic_numbers__equals_its_twin(harness, name):
    @search(8)
    @given(st.lists(st.tuples(*ARGUMENTS[name]), min_size=30, max_size=50))
    def agree(cases):
        for case, solidity in zip(cases, harness(name, cases), strict=True):
            assert solidity == python(name, case), case

    agree()


@pytest.mark.parametrize("name", sorted(set(ARGUMENTS) - BOUNDED))
def test_formula__any_word__reverts_or_equals_its_twin(harness, name):
    @search(4)
    @given(st.lists(st.tuples(*(WORDS[t] for t in harness.types(name))), min_size=30, max_size=50))
    def never_wraps(cases):
        for case, solidity in zip(cases, harness(name, cases), strict=True):
            assert solidity is None or solidity == python(name, case), case

    never_wraps()


def test_formula__edges__equals_its_twin(harness):
    edges = {
        "nav": [(0, 0), (5, 0), (0, 5), (-1, 5), (10**30, 1)],
        "leverage": [(0, 1, -1), (1, 1, 0), (-1, 1, 0), (-1, 1, -1), (1, WAD, 1)],
        "toSharesDown": [(1, -1, 1), (1, -(10**12), 1), (1, -(10**12) - 1, 1), (7, 0, 0), (7, -9, 0)],
        "toNetUp": [(1, -1, 1), (1, -(10**12) - 1, 1), (7, 0, 0)],
        "portionDown": [(-1, 1, 3), (1, 1, 3), (-3, 1, 3), (-4, 2, 3), (1, 1, 0)],
        "sizeNetOfCost": [
            (0, WAD, WAD, 5),
            (WAD, WAD, -3 * WAD, WAD),
            (WAD, WAD, -WAD, WAD),
            (0, 1, 1, -WAD),
        ],
        "worstPrice": [(WAD, -1, WAD), (WAD, -1, WAD + 1), (WAD, 0, 5), (WAD, 1, 5)],
        "costShare": [
            (10, 1, Sizes(1, -1, 0)),
            (10, 3, Sizes(3, -1, 4)),
            (10, -1, Sizes(3, -1, 4)),
            (10, 0, Sizes(0, 0, 0)),
            (10, -3, Sizes(-3, 2, -4)),
        ],
        "gainShare": [(10, 3, Sizes(3, -1, 4)), (10, -1, Sizes(3, -1, 4)), (10, 1, Sizes(1, -1, 0))],
        "along": [(0, 0), (0, 1), (1, 0), (-1, 0), (-1, -1), (1, -1)],
        "unfilled": [(0, 3), (1, 3), (3, 3), (4, 3), (-1, -3), (0, 0)],
        "joining": [(-5, 1, 3), (5, 1, -3), (5, 0, 1), (5, 1, 0)],
        "grossUp": [(1, WAD), (1, WAD - 1), (1, WAD + 1), (0, 0)],
        "expMinusOne": [(0,), (1,), (WAD,), (10**9,), (2 * 10**9,)],
        "drifted": [(3 * WAD, -WAD // 3), (3 * WAD, -WAD // 3 - 1), (-3 * WAD, WAD // 3 + 1), (0, 5)],
        "moveTo": [(3 * WAD, WAD), (0, WAD), (3 * WAD, 3 * WAD)],
        "moveToLiquidation": [(0, 5), (WAD, WAD)],
    }
    for name, cases in edges.items():
        assert harness(name, cases) == [python(name, case) for case in cases], name


@given(SIZES, AMOUNT)
def test_cost_share__all_parties__bear_the_cost_and_no_more_than_rounding_beyond(sizes, cost):
    """E-3: who crosses inside pays nothing, and an order of nothing costs nobody anything."""
    parts = (sizes.enter, sizes.leave, sizes.rebalance)
    whole = lm.order(sizes)
    shares = [lm.cost_share(cost, part, sizes) for part in parts]
    gains = [lm.gain_share(cost, part, sizes) for part in parts]

    payers = [part for part in parts if part * whole > 0]
    assert sum(shares) == 0 if not payers else cost <= sum(shares) < cost + len(payers)
    assert sum(gains) == 0 if not payers else cost - len(payers) < sum(gains) <= cost
    assert all(share == 0 for share, part in zip(shares, parts, strict=True) if part * whole <= 0)


@given(st.integers(0, 10**24), st.integers(1, 10**24), AMOUNT)
def test_unfilled__any_fill__returns_no_less_than_was_left(filled, whole, amount):
    left = lm.unfilled(filled, whole)

    assert 0 <= left <= WAD
    assert (left == 0) == (filled >= whole)
    assert left * whole >= max(0, whole - filled) * WAD


@given(st.integers(-(10**24), 10**24), AMOUNT, st.integers(1, 10**27))
def test_joining__any_deposit__carries_the_leverage_of_the_fund(size, net, equity):
    joined = lm.joining(size, net, equity)

    assert abs(joined) <= abs(size) * net // equity
    assert abs(joined * equity - size * net) < equity
