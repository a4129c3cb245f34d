"""Orders at Synthetix: their window, their deposit, and what the venue and Pyth refuse."""

import pytest
from rigs import GONE, NONE, NOTHING, OUTSIDER, PAYER, PRICE, VAULT, WAD, WAITING, undone
from synthetix_rig import MARKET, SynthetixRig

from devnet import RevertError

pytestmark = pytest.mark.venue

ETH = WAD
BOTH = pytest.mark.parametrize("side", [1, -1], ids=["long", "short"])
STALE_PRICE = "0x19abf40e"  # Pyth's error.


@pytest.fixture
def rig(synthetix):
    with SynthetixRig.bound(synthetix) as rig:
        yield rig


def dollars(rig: SynthetixRig, account: str) -> int:
    return rig.asset.call("balanceOf", account)


# The window


@pytest.mark.parametrize("age", [0, 1, 30])
def test_settle__outside_the_window__reverts(rig, reverts, age):
    rig.submit(ETH, 10_000 * WAD)
    now = rig.rpc.timestamp()
    rig.wait(age)

    with reverts(rig.adapter, "OrderWaiting", now + age, now + 2, now + 31):
        rig.settle(rig.proof())


@pytest.mark.parametrize("age", [2, 29])
def test_settle__at_an_end_of_the_window__executes(rig, age):
    rig.submit(ETH, 10_000 * WAD)
    rig.wait(age)

    outcome = rig.settle(rig.proof())

    assert outcome.fill.size == ETH
    assert rig.order().stage == NONE


@pytest.mark.parametrize("age", [31, 100_000])
def test_settle__after_the_window__cancels_even_with_a_proof(rig, age):
    rig.submit(ETH, 10_000 * WAD)
    rig.wait(age)

    outcome = rig.settle(rig.proof())

    assert outcome == ((0, 10_000 * WAD), NOTHING, 0, 0)
    assert rig.venue.order(rig.adapter, MARKET) is None


def test_order__venue_changes_the_window__follows(rig, reverts):
    rig.venue.set_parameter(MARKET, "offchainDelayedOrderMinAge", 5)
    rig.venue.set_parameter(MARKET, "offchainDelayedOrderMaxAge", 60)
    rig.submit(ETH, 10_000 * WAD)
    now = rig.rpc.timestamp()

    assert rig.order() == (WAITING, ETH, now + 6, now + 61)
    for age in (5, 60):
        with undone(rig.rpc):
            rig.wait(age)
            with reverts(rig.adapter, "OrderWaiting", now + age, now + 6, now + 61):
                rig.settle(rig.proof())
    for age, size in ((6, ETH), (59, ETH), (61, 0)):
        with undone(rig.rpc):
            rig.wait(age)
            assert rig.settle(rig.proof()).fill.size == size


# The keeper's deposit


def test_settle__by_us__gets_the_deposit_back(rig):
    rig.submit(ETH, 10_000 * WAD)
    margin = rig.venue.position(rig.adapter, MARKET).margin

    outcome = rig.finish()

    assert margin == 9_996 * WAD
    assert outcome.reward == 4 * WAD
    assert rig.position() == (ETH, 10_000 * WAD + outcome.fill.cash)


def test_settle__executed_by_a_stranger__has_paid_the_deposit(rig):
    quoted = rig.quote(ETH)
    rig.submit(ETH, 10_000 * WAD)

    rig.execute_by_stranger()

    outcome = rig.settle()
    assert dollars(rig, OUTSIDER) == 4 * WAD
    assert outcome.reward == 0
    assert outcome.before.cash == 10_000 * WAD
    assert outcome.fill == (ETH, quoted.cash - 4 * WAD, quoted.fee + 4 * WAD)
    assert rig.position() == (ETH, 10_000 * WAD + outcome.fill.cash)


def test_settle__deposit_changed_meanwhile__tells_the_one_that_was_paid(rig):
    rig.submit(ETH, 10_000 * WAD)
    rig.venue.set_keeper_fee(9 * WAD)

    assert rig.position() == (0, 10_000 * WAD)
    with undone(rig.rpc):
        assert rig.finish().reward == 4 * WAD
    rig.execute_by_stranger()
    assert rig.settle().before.cash == 10_000 * WAD
    assert dollars(rig, OUTSIDER) == 4 * WAD


def test_settle__cancelled_by_a_stranger__has_lost_the_deposit(rig):
    rig.submit(ETH, 10_000 * WAD)

    rig.cancel_by_stranger()

    assert rig.order().stage == GONE
    assert rig.settle() == ((0, 9_996 * WAD), NOTHING, 0, 0)
    assert dollars(rig, OUTSIDER) == 4 * WAD


# The least margin


@BOTH
def test_submit__first_order_short_of_the_deposit__reverts(rig, reverts, side):
    with reverts(rig.adapter, "MarginShort", 44 * WAD - 1, 44 * WAD):
        rig.submit(side * ETH // 100, 44 * WAD - 1)


@BOTH
def test_submit__first_order_with_the_least_margin__can_be_filled_by_anyone(rig, side):
    rig.submit(side * ETH // 100, 44 * WAD)

    rig.execute_by_stranger()

    assert rig.settle().fill.size == side * ETH // 100


def test_submit__least_margin_changed__follows(rig, reverts):
    rig.venue.set_keeper_fee(WAD)

    with reverts(rig.adapter, "MarginShort", 41 * WAD - 1, 41 * WAD):
        rig.submit(ETH // 100, 41 * WAD - 1)


@BOTH
def test_submit__with_little_margin_left__reduces_but_does_not_increase(rig, reverts, side):
    rig.opened(side * ETH // 100, 44)

    with reverts(None, "Insufficient margin"):
        rig.submit(side * ETH // 1_000)

    assert rig.adjust(-side * ETH).size == -side * ETH // 100


# Price limits


@BOTH
def test_settle__price_beyond_the_limit__reverts_and_leaves_the_order(rig, reverts, side):
    rig.submit(side * ETH, 10_000 * WAD, worst=PRICE * (100 + side) // 100)
    rig.wait(2)

    for attempt in (rig.execute, lambda price: rig.settle(rig.proof(price))):
        with reverts(None, "Price impact exceeded"):
            attempt(PRICE * (100 + 2 * side) // 100)

    assert rig.order().stage == WAITING
    assert rig.settle(rig.proof()).fill.size == side * ETH


@BOTH
def test_submit__no_limit__fills_at_any_price(rig, side):
    rig.submit(side * ETH, 10_000 * WAD)

    outcome = rig.finish(PRICE * (100 + 9 * side) // 100)

    assert outcome.fill.size == side * ETH
    assert outcome.price == PRICE * (100 + 9 * side) // 100


@BOTH
def test_submit__limit_that_the_venue_would_cut_off__reverts(rig, reverts, side):
    with reverts(rig.adapter, "SafeCastOverflowedUintDowncast", 128, 2**128 + PRICE):
        rig.submit(side * ETH, 10_000 * WAD, worst=2**128 + PRICE)


# What Pyth says


@pytest.mark.parametrize("percent", [90, 110])
def test_settle__pyth_far_from_the_index__reverts_with_the_venues_reason(rig, reverts, percent):
    rig.submit(ETH, 10_000 * WAD)
    rig.wait(2)

    with reverts(None, "price divergence too high"):
        rig.settle(rig.proof(PRICE * percent // 100))

    assert rig.order().stage == WAITING


@pytest.mark.parametrize("after, reason", [(0, "price not updated"), (1, "executability not reached")])
def test_settle__price_from_before_the_window__reverts_with_the_venues_reason(rig, reverts, after, reason):
    rig.submit(ETH, 10_000 * WAD)
    published = rig.rpc.timestamp() + after
    rig.wait(20)

    with reverts(None, reason):
        rig.settle(rig.venue.price_update(MARKET, PRICE, published))


def test_settle__price_from_within_the_window__fills_at_it(rig):
    rig.submit(ETH, 10_000 * WAD)
    published = rig.rpc.timestamp() + 2
    rig.move(PRICE * 101 // 100)
    rig.wait(20)

    assert rig.settle(rig.venue.price_update(MARKET, PRICE, published)).price == PRICE


def test_settle__pyth_was_told_a_newer_price__fills_at_that(rig):
    rig.submit(ETH, 10_000 * WAD)
    rig.wait(10)
    older = rig.venue.price_update(MARKET, PRICE, rig.rpc.timestamp() - 5)
    newer = rig.venue.price_update(MARKET, PRICE * 101 // 100)
    rig.venue.pyth.send("updatePriceFeeds", newer, sender=OUTSIDER, value=1)

    outcome = rig.settle(older)

    assert outcome.price == PRICE * 101 // 100
    assert rig.modified(rig.receipt).last_price == pytest.approx(PRICE * 101 // 100, rel=1e-5)


def test_settle__expired_price__reverts_with_pyths_error(rig):
    rig.wait(100)
    rig.submit(ETH, 10_000 * WAD)
    rig.wait(2)

    with pytest.raises(RevertError) as caught:
        rig.settle(rig.venue.price_update(MARKET, PRICE, rig.rpc.timestamp() - 31))

    assert caught.value.data == STALE_PRICE
    assert rig.order().stage == WAITING


def test_settle__two_updates__cost_twice(rig, reverts):
    rig.submit(ETH, 10_000 * WAD)
    rig.wait(2)
    proof = rig.proof() * 2

    with reverts(rig.adapter, "WrongFee", 1, 2):
        rig.settle(proof, value=1)

    assert rig.settle(proof, value=2).fill.size == ETH


def test_settle__payer_takes_no_ether__reverts(rig, reverts):
    rig.submit(ETH, 10_000 * WAD)
    rig.wait(2)

    with reverts(rig.adapter, "FailedCall"):
        rig.adapter.send("settle", rig.proof(), rig.venue.pyth, sender=VAULT, value=2)


def test_receive__ether__reverts(rig):
    with pytest.raises(RevertError):
        rig.rpc.send(PAYER, rig.adapter, value=1)
