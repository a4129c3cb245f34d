"""What an adapter is. A new venue is accepted when its rig passes these tests unchanged."""

import random

import pytest
from rigs import NOTHING, OUTSIDER, PRICE, VAULT, WAD

from devnet import RevertError

pytestmark = pytest.mark.venue

ETH = WAD
SIZES = [10, 10**6, 10**12 + 7, ETH // 1000, ETH, 14_976543210987654321, 100 * ETH, 1_000 * ETH]
BOTH = pytest.mark.parametrize("side", [1, -1], ids=["long", "short"])
ZERO = "0x" + "0" * 40


# Who may


def test_bind__anyone_first__becomes_the_vault(unbound):
    before = unbound.adapter.call("vault")

    receipt = unbound.adapter.send("bind", sender=OUTSIDER)

    assert before == ZERO
    assert unbound.adapter.call("vault") == OUTSIDER.lower()
    assert unbound.events(receipt, "Bound") == [(OUTSIDER.lower(),)]


@pytest.mark.parametrize("caller", [VAULT, OUTSIDER])
def test_bind__second_time__reverts(rig, reverts, caller):
    with reverts(rig.adapter, "AlreadyBound", VAULT):
        rig.adapter.send("bind", sender=caller)


def test_adjust__no_vault_yet__reverts(unbound, reverts):
    with reverts(unbound.adapter, "OnlyVault", VAULT, ZERO):
        unbound.adjust(ETH)


def test_adjust__stranger__reverts(rig, reverts):
    with reverts(rig.adapter, "OnlyVault", OUTSIDER, VAULT):
        rig.adjust(ETH, sender=OUTSIDER)


def test_withdraw__stranger__reverts(rig, reverts):
    rig.opened(0, 1_000)

    with reverts(rig.adapter, "OnlyVault", OUTSIDER, VAULT):
        rig.withdraw(1, sender=OUTSIDER)


# What it is


def test_asset__is_the_collateral(rig):
    assert rig.adapter.call("asset") == rig.asset.lower()


def test_price__is_the_venues(rig):
    assert rig.price() == pytest.approx(PRICE, rel=1e-12)


def test_max_leverage__is_the_venues(rig):
    assert rig.adapter.call("maxLeverage") == rig.max_leverage


def test_position__fresh__is_nothing(rig):
    assert rig.position() == (0, 0)


# Margin


def test_adjust__margin_alone__raises_cash_to_the_wei(rig):
    fill = rig.adjust(0, 1_234_567_891)

    assert fill == NOTHING
    assert rig.position() == (0, 1_234_567_891 * rig.scale)


@BOTH
def test_withdraw__with_a_position__pays_in_full(rig, side):
    rig.opened(side * 10 * ETH, 10_000)
    before = rig.position()

    paid = rig.withdraw(1_234_567 * rig.unit // 1_000)

    assert paid == 1_234_567 * rig.unit // 1_000
    assert rig.position().size == before.size
    # A venue may keep what is less than a unit of its ledger.
    assert 0 <= before.cash - paid * rig.scale - rig.position().cash < rig.scale


@pytest.mark.parametrize("size", [0, 10 * ETH])
def test_withdraw__more_than_there_is__reverts(rig, reverts, size):
    rig.opened(size, 10_000)
    held = rig.position().equity(rig.price()) // rig.scale

    with pytest.raises(RevertError) as caught:
        rig.withdraw(held + 1)

    got, wanted = rig.error(caught.value, "WithdrawalShort")
    assert got <= held
    assert wanted == held + 1


def test_withdraw__all_of_a_flat_account__leaves_nothing(rig):
    rig.opened(0, 10_000)

    rig.withdraw(10_000 * rig.unit)

    assert rig.position() == (0, 0)


def test_donate__by_a_stranger__raises_cash_and_blocks_nothing(rig):
    rig.opened(10 * ETH, 10_000)
    before = rig.position()

    rig.donate(777 * rig.unit + 1)

    given = (777 * rig.unit + 1) * rig.scale if rig.takes_donations else 0
    assert rig.position() == (before.size, before.cash + given)
    assert rig.adjust(ETH, rig.unit).size == ETH
    assert rig.adjust(-11 * ETH).size == -11 * ETH
    assert rig.withdraw(rig.position().cash // rig.scale) * rig.scale > 9_900 * WAD + given


# Trades


@BOTH
@pytest.mark.parametrize("size", SIZES)
def test_quote__opening__equals_the_fill_to_the_wei(rig, side, size):
    rig.opened(0, 10_000_000)
    quoted = rig.quote(side * size)

    filled = rig.adjust(side * size)

    assert filled == quoted
    assert filled.size == side * size
    assert filled.fee > 0
    assert -side * filled.cash > 0


@BOTH
@pytest.mark.parametrize("size", SIZES)
def test_quote__reducing__equals_the_fill_to_the_wei(rig, side, size):
    rig.opened(-side * 1_000 * ETH, 10_000_000)
    quoted = rig.quote(side * size)

    filled = rig.adjust(side * size)

    assert filled == quoted
    assert filled.size == side * size


@BOTH
def test_quote__nothing__is_nothing(rig, side):
    rig.opened(side * ETH, 10_000)

    assert rig.quote(0) == NOTHING


@BOTH
@pytest.mark.parametrize("change", [ETH // 3, 5 * ETH, -ETH // 7, -9 * ETH])
def test_adjust__with_a_position__changes_it_by_the_fill_alone(rig, side, change):
    rig.opened(side * 10 * ETH, 10_000)
    before = rig.position()

    fill = rig.adjust(side * change, 55 * rig.unit)

    assert rig.position() == (before.size + fill.size, before.cash + fill.cash + 55 * WAD)


@BOTH
def test_adjust__any_price__costs_the_fee_and_the_impact(rig, side):
    rig.opened(side * 10 * ETH, 10_000)
    before, price = rig.position(), rig.price()

    fill = rig.adjust(side * ETH)

    cost = before.equity(price) - rig.position().equity(price)
    assert fill.fee == pytest.approx(rig.fee_rate * price // WAD, rel=2e-3)
    assert fill.fee < cost < fill.fee + 2 * WAD


@BOTH
@pytest.mark.parametrize("excess", [1, ETH, 1_000 * ETH])
def test_adjust__more_than_the_position__closes_it_and_stops(rig, side, excess):
    rig.opened(side * 10 * ETH, 10_000)
    quoted = rig.quote(-side * (10 * ETH + excess))

    filled = rig.adjust(-side * (10 * ETH + excess))

    assert filled == quoted
    assert filled.size == -side * 10 * ETH
    assert rig.position().size == 0


@BOTH
def test_adjust__whole_position__leaves_cash_that_can_be_withdrawn_to_the_unit(rig, side):
    rig.opened(side * 14_976543210987654321, 10_000)
    rig.adjust(-side * 5_123456789012345678)

    rig.adjust(-side * 10**30)

    position = rig.position()
    assert position.size == 0
    assert rig.withdraw(position.cash // rig.scale) == position.cash // rig.scale
    assert 0 <= rig.position().cash < rig.scale


@BOTH
def test_adjust__closed_before__opens_again(rig, side):
    rig.opened(side * 10 * ETH, 10_000)
    rig.adjust(-side * 10 * ETH)

    assert rig.adjust(-side * ETH).size == -side * ETH
    assert rig.position().size == -side * ETH


@BOTH
def test_adjust__within_the_worst_price__fills_as_quoted(rig, side):
    quoted = rig.quote(side * 10 * ETH)

    filled = rig.adjust(side * 10 * ETH, 10_000 * rig.unit, PRICE * (100 + side) // 100)

    assert filled == quoted


@BOTH
def test_adjust__price_worse_already__fills_nothing_and_keeps_the_margin(rig, side):
    filled = rig.adjust(side * 10 * ETH, 10_000 * rig.unit, PRICE * (1_000 - side) // 1_000)

    assert filled == NOTHING
    assert rig.position() == (0, 10_000 * WAD)


@BOTH
def test_liquidate__by_the_venue__shows_in_the_position(rig, side):
    rig.opened(side * 40 * ETH, 10_000)

    rig.liquidate()

    position = rig.position()
    assert 0 <= side * position.size < 40 * ETH
    equity = position.equity(rig.price())
    assert 0 <= equity < 10_000 * WAD
    assert (equity > 0) == rig.spares_a_rest
    assert rig.adjust(-position.size).size == -position.size
    assert (rig.withdraw(rig.position().cash // rig.scale) > 0) == rig.spares_a_rest


@BOTH
@pytest.mark.parametrize("move", [-20, 20])
def test_position__price_moved__equity_moves_by_size_times_it(rig, side, move):
    rig.opened(side * 10 * ETH, 10_000)
    before = rig.position()

    rig.move(PRICE * (100 + move) // 100)

    after, price = rig.position(), rig.price()
    assert price == pytest.approx(PRICE * (100 + move) // 100, rel=1e-12)
    assert after.size == before.size
    # Next to nothing but the price has changed: the pool follows within seconds.
    assert after.cash == pytest.approx(before.cash, abs=WAD)
    assert rig.withdraw(10 * rig.unit) == 10 * rig.unit


@BOTH
def test_withdraw__part_after_the_same_part_was_closed__leaves_the_rest_its_share(rig, side):
    rig.opened(side * 10 * ETH, 10_000)
    before, price = rig.position(), rig.price()

    fill = rig.adjust(-side * 25 * ETH // 10)
    paid = rig.withdraw((before.cash // 4 + fill.cash) // rig.scale)

    rest = rig.position()
    assert rest.size == side * 75 * ETH // 10
    assert rest.equity(price) == pytest.approx(before.equity(price) * 3 // 4, abs=3 * rig.scale + 3)
    cost = -fill.cash - fill.size * price // WAD
    assert paid * rig.scale == pytest.approx(before.equity(price) // 4 - cost, abs=3 * rig.scale + 3)
    assert abs(cost) < 20 * WAD
    assert (cost > 0) == rig.closing_costs


@pytest.mark.parametrize("seed", range(4))
def test_adjust__any_order_of_things__keeps_the_books(rig, seed):
    rng = random.Random(seed)
    rig.opened(0, 100_000)
    for _ in range(25):
        before, price = rig.position(), rig.price()
        action = rng.choice(["trade", "trade", "close", "pay in", "pay out", "move"])
        if action == "move":
            rig.move(price * rng.randint(97, 103) // 100)
            assert rig.position().size == before.size
        elif action == "pay out":
            free = before.equity(price) - abs(before.size) * price // WAD // 4
            paid = rig.withdraw(max(free, 0) * rng.randint(0, 90) // 100 // rig.scale)
            kept = before.cash - paid * rig.scale - rig.position().cash
            assert -rig.grain <= kept < rig.scale + rig.grain
        else:
            limit = 2 * before.equity(price) * WAD // price
            size = rng.randint(-limit, limit) - before.size if action == "trade" else 0
            size = -before.size if action == "close" else size
            assets = rng.randint(1, 1_000 * rig.unit) if action == "pay in" else 0
            quoted = rig.quote(size)
            filled = rig.adjust(size, assets)
            assert filled == quoted
            cash = before.cash + filled.cash + assets * rig.scale
            assert rig.position() == (before.size + filled.size, pytest.approx(cash, abs=rig.grain))
        rig.rest()
