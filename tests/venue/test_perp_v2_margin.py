"""Perp v2's margin, which ignores profit; its funding, its mark price, and its owner."""

import pytest
from rigs import OUTSIDER, PRICE, WAD, PerpV2Rig

from devnet import Contract
from devnet.perp_v2_build import ARBITRAGEUR

pytestmark = pytest.mark.venue

ETH = WAD
BOTH = pytest.mark.parametrize("side", [1, -1], ids=["long", "short"])


@pytest.fixture
def rig(perp_rig):
    return perp_rig


# Profit is no margin until it is realised


@BOTH
@pytest.mark.parametrize("parts", [[10, 50, 100], [1, 1, 1, 99, 100]])
def test_withdraw__great_profit_never_rebalanced__pays_each_leaver(rig, side, parts):
    rig.opened(side * 15 * ETH, 10_000)
    rig.move(PRICE * 2 if side > 0 else PRICE // 2)
    left, price = rig.position().equity(rig.price()), rig.price()

    for part in parts:
        paid = rig.leave(part * WAD // 100)

        assert paid * rig.scale == pytest.approx(left * part // 100, rel=4e-3)
        left = rig.position().equity(price)

    assert rig.position().size == 0
    assert rig.position().cash < rig.scale


@BOTH
@pytest.mark.parametrize(("target", "worst"), [(2, 0.001), (3, 0.002), (5, 0.006)])
def test_adjust__rally_rebalanced_all_the_way__realises_profit_in_time(rig, side, target, worst):
    rig.opened(0, 100)
    rig.releverage(side * target)
    price, costs = PRICE, []

    for _ in range(24):
        price = price * (100 + side * 5) // 100
        rig.move(price)
        rig.perp.warp(16)
        before = rig.position()
        cost = before.equity(price) - rig.releverage(side * target)
        # A trade in vain, two to realise, and the trade itself.
        if rig.gas > 2_000_000:
            costs.append(cost / before.equity(price))

    assert rig.leverage() == pytest.approx(side * target, rel=2e-2)
    assert 0 < len(costs) < 14
    assert max(costs) < worst
    part = rig.leave(WAD // 4)
    assert rig.leave(WAD) == pytest.approx(3 * part, rel=2e-2)


def eaten(rig: PerpV2Rig, side: int, hours: int) -> None:
    """A position that rebalances left with the least margin, of which funding then took a part."""
    rig.opened(0, 100)
    rig.releverage(side * 3)
    price = PRICE
    while rig.margin() > 0.105:
        price = price * (100 + side) // 100
        rig.move(price)
        rig.perp.warp(16)
        rig.releverage(side * 3)
    rig.perp.push_pool("ETH", price * (100 + side * 2) // 100)
    for _ in range(hours):
        rig.perp.warp(3_600)
        rig.perp.settle_funding(ARBITRAGEUR)
    rig.perp.arbitrage("ETH")


@BOTH
@pytest.mark.parametrize(("hours", "low", "high"), [(24, 0.0625, 0.1), (60, 0.03, 0.0625)])
def test_withdraw__funding_ate_the_margin__realises_profit_and_pays_the_leaver_in_full(
    rig, side, hours, low, high
):
    eaten(rig, side, hours)
    was = rig.margin()
    before = rig.position().equity(rig.price())

    paid = rig.leave(WAD // 100)

    after = rig.position().equity(rig.price())
    assert low < was < high
    assert rig.margin() == pytest.approx(0.15, abs=0.005)
    assert paid * rig.scale == pytest.approx(before // 100, rel=4e-3)
    # The fund bears what it costs to realise, once.
    assert before * 99 // 100 * 0.9965 < after < before * 99 // 100
    assert rig.leave(WAD // 4) * rig.scale == pytest.approx(after // 4, rel=4e-3)
    assert rig.position().equity(rig.price()) == pytest.approx(after * 3 // 4, rel=1e-4)


@BOTH
def test_adjust__entrant_when_funding_ate_the_margin__fills_as_quoted(rig, side):
    eaten(rig, side, 24)
    size = side * ETH // 1_000
    quoted = rig.quote(size)

    filled = rig.adjust(size, size * side * rig.price() // WAD // 3 // rig.scale)

    assert filled == quoted
    assert rig.margin() == pytest.approx(0.15, abs=0.005)


@BOTH
def test_adjust__too_much_without_profit__reverts_with_the_venues_reason(rig, reverts, side):
    rig.opened(side * 40 * ETH, 10_000)

    with reverts(None, "CH_NEFCI"):
        rig.adjust(side * 20 * ETH)


# Value


@BOTH
@pytest.mark.parametrize("premium", [3, -3, 15])
def test_position__a_day_of_funding__costs_the_premium(rig, side, premium):
    rig.opened(side * 10 * ETH, 10_000)
    index = PRICE * 100 // (100 + premium)
    rig.perp.set_price("ETH", index)
    rig.perp.warp(900)
    rig.perp.settle_funding(rig.adapter)
    before = rig.position()

    rig.perp.warp(86_400)

    # The venue caps it at a tenth of the index a day.
    rate = max(-0.1, min(0.1, rig.price() / index - 1))
    pending = rig.position()
    assert pending.cash - before.cash == pytest.approx(-before.size * index / WAD * rate, rel=5e-3)
    rig.perp.settle_funding(rig.adapter)
    assert rig.position() == pending


@BOTH
def test_position__with_profit_realised_and_not__is_the_venues_account_value_at_its_mark(rig, side):
    rig.opened(side * 10 * ETH, 10_000)
    rig.move(PRICE * 110 // 100)
    rig.adjust(-side * 3 * ETH)
    rig.perp.warp(7)

    equity = rig.position().equity(rig.perp.mark_price("ETH"))

    assert abs(equity - rig.perp.clearing_house.call("getAccountValue", rig.adapter)) < rig.scale


def test_position__crash_within_seconds__does_not_trust_the_mark(rig):
    rig.opened(15 * ETH, 10_000)
    for percent in (10, 20, 30):
        rig.move(PRICE * (100 - percent) // 100)

    true = rig.position().equity(rig.price())

    assert true == pytest.approx(10_000 * WAD - 15 * 600 * WAD, rel=0.1)
    assert rig.perp.clearing_house.call("getAccountValue", rig.adapter) > 1.5 * true


def test_withdraw__often__loses_less_than_a_unit_each_time(rig):
    rig.opened(10 * ETH, 10_000)
    rig.adjust(-3 * ETH)
    for _ in range(5):
        before = rig.position().cash

        rig.withdraw(rig.unit + 1)
        rig.adjust(-ETH // 7)
        fill = rig.adjust(ETH // 7)

        assert fill.size == ETH // 7
        assert 0 <= before - rig.position().cash - (rig.unit + 1) * rig.scale < WAD


@BOTH
def test_adjust__less_than_ten_wei__is_no_position_to_the_venue(rig, side):
    rig.opened(0, 10_000)

    filled = rig.adjust(side * 9)

    assert filled.size == 0
    assert rig.position().size == 0
    assert rig.adjust(side).size == side * 10
    assert rig.adjust(-side * 10).size == -side * 10
    assert rig.withdraw(rig.position().cash // rig.scale) >= 10_000 * rig.unit - 1


# The venue's owner


def test_adjust__market_paused__reverts_with_the_venues_reason_and_withdraw_works(rig, reverts):
    rig.opened(10 * ETH, 10_000)
    rig.perp.pause_market("ETH")

    with reverts(None, "CH_MNO"):
        rig.adjust(-ETH)

    assert rig.withdraw(100 * rig.unit) == 100 * rig.unit


def test_withdraw__market_closed_and_settled_by_a_stranger__pays_all(rig):
    rig.opened(10 * ETH, 10_000)
    before = rig.position()
    rig.perp.pause_market("ETH")
    rig.perp.close_market("ETH", 2_100 * WAD)

    rig.perp.clearing_house.send("quitMarket", rig.adapter, rig.base_token, sender=OUTSIDER)

    assert rig.position().size == 0
    assert rig.position().cash == pytest.approx(before.equity(2_100 * WAD), abs=WAD)
    assert rig.withdraw(rig.position().cash // rig.scale) > 10_900 * rig.unit


def test_withdraw__venue_paused__reverts_with_its_reason(rig, reverts):
    rig.opened(10 * ETH, 10_000)
    rig.perp.vault.send("pause", sender=rig.perp.vault.call("owner"))

    with reverts(None, "Pausable: paused"):
        rig.withdraw(rig.unit)


def test_deploy__unknown_base_token__reverts(rig, reverts):
    with reverts(None, "MR_PNE"):
        Contract.deploy(rig.rpc, OUTSIDER, rig.adapter.artifact, rig.perp.clearing_house, OUTSIDER)
