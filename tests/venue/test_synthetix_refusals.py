"""What stops at Synthetix when its price is invalid, its market is suspended, or its margin is held back."""

import pytest
from rigs import FILLED, GONE, NOTHING, PRICE, RECEIVER, WAD, WAITING
from synthetix_rig import MARKET, SynthetixRig

pytestmark = pytest.mark.venue

ETH = WAD
BOTH = pytest.mark.parametrize("side", [1, -1], ids=["long", "short"])


@pytest.fixture
def rig(synthetix):
    with SynthetixRig.bound(synthetix) as rig:
        yield rig


# Prices that cannot be used


def go_stale(rig):
    rig.venue.warp(4_201, fresh=False)


def jump_up(rig):
    rig.venue.set_price(MARKET, 3 * PRICE)


def jump_down(rig):
    rig.venue.set_price(MARKET, PRICE * 333 // 1_000)


INVALID = pytest.mark.parametrize("spoil", [go_stale, jump_up, jump_down])


@INVALID
@BOTH
def test_position__price_invalid__reverts_and_never_reads_nothing(rig, reverts, side, spoil):
    rig.opened(side * ETH, 10_000)
    before = rig.position()

    spoil(rig)

    for view, args in (("position", ()), ("price", ()), ("quote", (ETH,))):
        with reverts(rig.adapter, "VenuePriceInvalid"):
            rig.adapter.call(view, *args)
    for act in (rig.submit, lambda amount: rig.submit(0, amount), rig.withdraw):
        for amount in (ETH, 20_000 * WAD):
            with reverts(rig.adapter, "VenuePriceInvalid"):
                act(amount)
    rig.move(PRICE)
    rig.venue.freshen()
    assert rig.position() == before


def test_position__almost_stale__is_told(rig):
    rig.opened(ETH, 10_000)
    before = rig.position()

    rig.venue.warp(4_200, fresh=False)

    assert rig.position() == before


@INVALID
def test_position__nothing_held__needs_no_price(rig, spoil):
    rig.opened(0, 10_000)
    rig.submit(ETH)

    spoil(rig)

    assert rig.position() == (0, 10_000 * WAD)


def test_settle__price_invalid__neither_executes_nor_cancels(rig, reverts):
    rig.opened(ETH, 10_000)
    rig.submit(ETH)
    rig.wait(2)
    rig.spoil_price()

    with reverts(rig.adapter, "VenuePriceInvalid"):
        rig.settle(rig.proof())
    rig.venue.warp(29, fresh=False)
    with reverts(rig.adapter, "VenuePriceInvalid"):
        rig.settle()

    rig.venue.freshen()
    assert rig.settle() == (rig.position(), NOTHING, 0, 0)


def test_settle__filled_before_the_price_became_invalid__needs_no_price(rig):
    rig.opened(ETH, 10_000)
    rig.submit(ETH)
    waiting = rig.position()
    rig.execute_by_stranger()

    rig.spoil_price()

    assert rig.position() == waiting
    assert rig.settle().before == waiting


def test_settle__empty_account_cancelled_by_a_stranger_without_a_price__needs_none(rig):
    rig.submit(ETH, 10_000 * WAD)
    rig.wait(31)
    rig.spoil_price()

    rig.cancel()

    assert rig.settle() == ((0, 9_996 * WAD), NOTHING, 0, 0)


# The venue's owner


def test_pause_market__order_waits__everything_but_reading_and_a_strangers_cancellation_stops(rig, reverts):
    rig.opened(ETH, 10_000)
    rig.submit(ETH)
    waiting = rig.position()
    rig.venue.pause_market(MARKET)
    rig.wait(2)

    with reverts(None, "Market suspended"):
        rig.settle(rig.proof())
    rig.wait(29)
    with reverts(None, "Market suspended"):
        rig.settle()
    assert rig.position() == waiting

    rig.cancel()
    assert rig.settle() == ((ETH, waiting.cash - 4 * WAD), NOTHING, 0, 0)
    for act in (lambda: rig.submit(ETH), lambda: rig.withdraw(WAD)):
        with reverts(None, "Market suspended"):
            act()


# Margin


@pytest.mark.parametrize("stage", [WAITING, FILLED, GONE], ids=["waiting", "filled", "gone"])
def test_withdraw__order_not_settled__reverts(rig, reverts, stage):
    rig.opened(ETH, 10_000)
    rig.submit(ETH)
    if stage == FILLED:
        rig.execute_by_stranger()
    elif stage == GONE:
        rig.cancel_by_stranger()

    with reverts(rig.adapter, "WithdrawalShort", 0, 1):
        rig.withdraw(1)


@BOTH
def test_withdraw__more_than_the_venue_makes_accessible__reverts_with_that(rig, reverts, side):
    rig.opened(side * 10 * ETH, 10_000)
    accessible, _ = rig.market.call("accessibleMargin", rig.adapter)

    with reverts(rig.adapter, "WithdrawalShort", accessible, accessible + WAD):
        rig.withdraw(accessible + WAD)

    assert rig.withdraw(accessible) == accessible


def test_withdraw__dollars_lie_in_the_adapter__pays_from_the_margin_alone(rig, reverts):
    rig.opened(0, 10_000)
    rig.donate(777 * WAD)

    with reverts(rig.adapter, "WithdrawalShort", 10_000 * WAD, 10_001 * WAD):
        rig.withdraw(10_001 * WAD)

    assert rig.withdraw(10_000 * WAD) == rig.asset.call("balanceOf", RECEIVER) == 10_000 * WAD
    assert rig.asset.call("balanceOf", rig.adapter) == 777 * WAD
