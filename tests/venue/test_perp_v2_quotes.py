"""Quotes of Perp v2 are its fills to the wei: across ticks and words, at any fee."""

import random

import pytest
from eth_abi import decode
from eth_utils import keccak
from rigs import WAD, PerpV2Rig

pytestmark = pytest.mark.venue

ETH = WAD
BOTH = pytest.mark.parametrize("side", [1, -1], ids=["long", "short"])


@pytest.fixture
def rig(perp_rig):
    return perp_rig


@BOTH
@pytest.mark.parametrize("seed", range(8))
def test_quote__across_ticks__equals_the_fill_to_the_wei(rig, side, seed):
    rng = random.Random(seed)
    for _ in range(4):
        width = rng.choice([20, 40, 90, 200])
        rig.make(2_000 - width, 2_000 + rng.choice([20, 40, 90, 200]), rng.choice([10_000, 1_000_000]))
    rig.opened(-side * 100 * ETH, 100_000_000)
    size = side * int(ETH * 10 ** rng.uniform(1.5, 3.4))
    start = rig.tick()
    quoted = rig.quote(size)

    filled = rig.adjust(size)

    assert filled == quoted
    assert abs(rig.tick() - start) > 1


@BOTH
@pytest.mark.parametrize("price", [2_155, 2_175], ids=["below the edge", "above the edge"])
def test_quote__across_an_edge_of_the_bitmap__equals_the_fill_to_the_wei(rig, side, price):
    rig.move(price * WAD)
    rig.perp.warp(16)
    rig.opened(0, 100_000_000)
    quoted = rig.quote(side * 600 * ETH)

    filled = rig.adjust(side * 600 * ETH)

    assert filled == quoted


@BOTH
@pytest.mark.parametrize("fee", [0, 333, 50_000])
def test_quote__another_fee__equals_the_fill_to_the_wei(rig, side, fee):
    rig.perp.set_exchange_fee("ETH", fee * WAD // 10**6)
    quoted = rig.quote(side * 7_654321 * 10**12)

    filled = rig.adjust(side * 7_654321 * 10**12, 100_000 * rig.unit)

    assert filled == quoted


def test_quote__discounted_trader__pays_the_discounted_fee(rig):
    full = rig.quote(ETH)
    rig.perp.set_fee_discount(rig.adapter, WAD * 6 // 10)
    quoted = rig.quote(ETH)

    filled = rig.adjust(ETH, 10_000 * rig.unit)

    assert filled == quoted
    assert filled.fee == pytest.approx(full.fee * 4 // 10, rel=1e-3)


@BOTH
@pytest.mark.parametrize("size", [10**9, 12_345678901234567890, 800 * ETH])
def test_adjust__fee__is_the_venues_own_figure(rig, side, size):
    fill = rig.adjust(side * size, 10_000_000 * rig.unit)

    assert abs(fill.fee - fee_in_the_venues_event(rig)) <= 1


def fee_in_the_venues_event(rig: PerpV2Rig) -> int:
    block = rig.rpc("eth_getBlockByNumber", "latest", True)
    logs = rig.rpc("eth_getTransactionReceipt", block["transactions"][0]["hash"])["logs"]
    fields = ["int256", "int256", "uint256", "int256", "int256", "uint256"]
    event = (
        "0x"
        + keccak(text="PositionChanged(address,address,int256,int256,uint256,int256,int256,uint256)").hex()
    )
    data = next(log["data"] for log in logs if log["topics"][0] == event)
    return decode(fields, bytes.fromhex(data[2:]))[2]


@BOTH
def test_quote__more_than_the_pool_holds__reverts(rig, reverts, side):
    with reverts(rig.adapter, "QuoteTooLarge", side * 10**6 * ETH):
        rig.quote(side * 10**6 * ETH)


@BOTH
def test_quote__absurd__reverts(rig, reverts, side):
    with reverts(rig.adapter, "QuoteTooLarge", side * 2**200):
        rig.quote(side * 2**200)
