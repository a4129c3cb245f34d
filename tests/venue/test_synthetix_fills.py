"""Fills at Synthetix: told the same whoever executes, and whenever they are settled."""

import pytest
from rigs import FILLED, GONE, NONE, NOTHING, OUTSIDER, PRICE, WAD, WAITING, Position, undone
from synthetix_rig import MARKET, SynthetixRig

from devnet.synthetix_build import TAKER

pytestmark = pytest.mark.venue

ETH = WAD
DAY = 86_400
BOTH = pytest.mark.parametrize("side", [1, -1], ids=["long", "short"])
CHANGES = pytest.mark.parametrize(
    "change", [3 * ETH + 7, -4 * ETH - 7, -10 * ETH], ids=["more", "less", "all"]
)
SKEWS = pytest.mark.parametrize("skew", [0, 10_000 * ETH, -10_000 * ETH])


@pytest.fixture
def rig(synthetix):
    with SynthetixRig.bound(synthetix) as rig:
        yield rig


def with_funding(rig: SynthetixRig, side: int, skew: int = 5_000 * ETH) -> Position:
    """A position of 10 ETH in a market where funding runs."""
    rig.venue.set_skew(MARKET, skew)
    rig.run_funding()
    rig.opened(side * 10 * ETH, 10_000)
    rig.wait(DAY // 2)
    return rig.position()


def trade_by_others(rig: SynthetixRig, size: int) -> None:
    rig.venue.deposit(TAKER, MARKET, 10**7 * WAD)
    rig.venue.trade(TAKER, MARKET, size)


# What the venue wrote


@BOTH
@CHANGES
@SKEWS
def test_settle__by_us__tells_the_venues_own_figures(rig, side, change, skew):
    with_funding(rig, side, skew)
    rig.submit(side * change)
    rig.wait(5)
    price = PRICE * 1_013 // 1_000

    outcome = rig.settle(rig.proof(price))

    entry = rig.modified(rig.receipt)
    assert outcome.price == price
    assert abs(outcome.fill.fee - entry.fee) <= 1
    assert rig.venue.position(rig.adapter, MARKET).margin == entry.margin
    assert rig.position() == (
        outcome.before.size + outcome.fill.size,
        outcome.before.cash + outcome.fill.cash,
    )


@BOTH
@CHANGES
@SKEWS
@pytest.mark.parametrize("is_ours", [True, False], ids=["ours", "theirs"])
def test_settle__funding_runs__account_before_is_what_was_seen_in_that_second(
    rig, side, change, skew, is_ours
):
    before = with_funding(rig, side, skew)
    rig.submit(side * change)
    rig.wait(17)
    # Funding is paid at the price of the fill.
    rig.move(PRICE * 987 // 1_000)
    seen = rig.position()

    if is_ours:
        outcome = rig.settle(rig.proof())
    else:
        rig.execute()
        outcome = rig.settle()

    assert seen.cash != before.cash
    assert outcome.before == seen
    assert outcome.price == PRICE * 987 // 1_000


# Settled later


@BOTH
@CHANGES
@SKEWS
def test_settle__a_day_later__tells_what_it_would_have_told_at_once(rig, side, change, skew):
    with_funding(rig, side, skew)
    rig.submit(side * change)
    rig.execute_by_stranger(PRICE * 1_013 // 1_000)
    with undone(rig.rpc):
        at_once = rig.settle()

    rig.move(PRICE * 11 // 10)
    trade_by_others(rig, -300 * ETH)
    rig.wait(DAY)

    assert rig.position() == at_once.before
    assert rig.order().stage == FILLED
    assert rig.settle() == at_once
    assert rig.position().size == at_once.before.size + at_once.fill.size


@BOTH
@CHANGES
@SKEWS
def test_settle__executed_by_a_stranger__is_ours_but_for_the_deposit(rig, side, change, skew):
    with_funding(rig, side, skew)
    rig.submit(side * change)
    rig.wait(3)
    price = 2_012_345_678_90 * 10**10
    with undone(rig.rpc):
        ours = rig.settle(rig.proof(price))

    rig.execute(price)
    theirs = rig.settle()

    assert theirs.before == ours.before
    assert theirs.fill.cash == ours.fill.cash - 4 * WAD
    # To a wei of the price.
    assert abs(theirs.price - ours.price) <= 1
    assert abs(theirs.fill.fee - 4 * WAD - ours.fill.fee) <= 10


# Others trade while the order waits


@BOTH
@CHANGES
@pytest.mark.parametrize("moved", [300 * ETH, -300 * ETH])
def test_settle__by_us_when_others_traded_meanwhile__is_exact(rig, side, change, moved):
    with_funding(rig, side)
    rig.submit(side * change)
    trade_by_others(rig, moved)
    rig.wait(5)
    seen, quoted = rig.position(), rig.quote(side * change)

    outcome = rig.settle(rig.proof())

    assert outcome.before == seen
    assert outcome.fill.size == quoted.size
    assert abs(outcome.fill.cash - quoted.cash) <= 2
    assert abs(outcome.fill.fee - rig.modified(rig.receipt).fee) <= 1
    assert outcome.price == PRICE


@BOTH
@CHANGES
@pytest.mark.parametrize("moved", [300 * ETH, -300 * ETH])
def test_settle__by_a_stranger_when_others_traded_meanwhile__tells_the_price_by_the_skew_that_was(
    rig, side, change, moved
):
    with_funding(rig, side)
    rig.submit(side * change)
    trade_by_others(rig, moved)
    rig.wait(5)
    with undone(rig.rpc):
        ours = rig.settle(rig.proof())

    rig.execute()
    theirs = rig.settle()

    # 300 of a million: 3 bp off, and no cash is lost or found.
    assert theirs.price == pytest.approx(PRICE * (10**6 + moved // ETH) // 10**6, rel=5e-6)
    told = theirs.before.cash + theirs.fill.cash
    assert told == ours.before.cash + ours.fill.cash - 4 * WAD
    if change == -10 * ETH:
        # Funding of some of the order's seconds is told as a part of the fill.
        assert theirs.before.cash == pytest.approx(ours.before.cash, abs=WAD // 10)
        assert theirs.fill.fee == pytest.approx(ours.fill.fee + 4 * WAD, abs=WAD // 10)
        assert rig.position() == (0, told)
    else:
        assert theirs.before == ours.before
        assert theirs.fill == (side * change, ours.fill.cash - 4 * WAD, ours.fill.fee + 4 * WAD)


@BOTH
@pytest.mark.parametrize("size", [1, 10, 10**6])
@pytest.mark.parametrize("is_ours", [True, False], ids=["ours", "theirs"])
def test_settle__dust__is_told_and_blocks_nothing(rig, side, size, is_ours):
    def end():
        if is_ours:
            return rig.finish()
        rig.execute_by_stranger()
        return rig.settle()

    rig.submit(side * size, 10_000 * WAD)
    opened = end()
    rig.move(PRICE * 101 // 100)
    rig.submit(-side * size)
    closed = end()

    assert (opened.fill.size, closed.fill.size) == (side * size, -side * size)
    assert opened.price == PRICE
    assert closed.price == pytest.approx(PRICE * 101 // 100, rel=1e-3)
    assert rig.position().size == 0
    assert rig.withdraw(rig.position().cash) > 9_990 * WAD


@BOTH
def test_settle__fee_of_nothing_and_rounding__is_never_below_nothing(rig, side):
    rig.opened(side * 7_654_321_987_654_321_987, 10_000)
    for step in range(1, 9):
        rig.submit(-side * 10)
        rig.move(PRICE - side * step * 1_234_567_891 * 10**10)

        assert rig.finish().fill.fee in (0, 1)


# Liquidation


def falling(rig: SynthetixRig, change: int) -> None:
    """A long of 45 ETH with an order that waits, at a price at which it can be liquidated."""
    rig.opened(45 * ETH, 10_000)
    rig.submit(change)
    rig.move(1_790 * WAD)


def test_position__flagged_while_the_order_waits__has_lost_order_and_deposit(rig, reverts):
    falling(rig, -5 * ETH)
    waiting = rig.position()

    rig.market.send("flagPosition", rig.adapter, sender=OUTSIDER)

    left = (45 * ETH, waiting.cash - 4 * WAD)
    assert rig.order().stage == GONE
    assert rig.position() == left
    assert rig.settle() == (left, NOTHING, 0, 0)
    for act in (lambda: rig.submit(-ETH), lambda: rig.submit(0, WAD)):
        with reverts(None, "Position flagged"):
            act()
    with reverts(rig.adapter, "WithdrawalShort", 0, WAD):
        rig.withdraw(WAD)


@pytest.mark.parametrize("change", [-5 * ETH, -45 * ETH, ETH // 100], ids=["less", "all", "more"])
def test_position__liquidated_while_the_order_waits__is_nothing(rig, change):
    falling(rig, change)

    rig.liquidate()

    assert rig.order().stage == GONE
    assert rig.position() == (0, 0)
    assert rig.settle() == ((0, 0), NOTHING, 0, 0)
    assert rig.order().stage == NONE
    assert rig.position() == (0, 0)


def test_position__liquidated_after_the_fill__is_nothing(rig):
    rig.opened(45 * ETH, 10_000)
    rig.submit(ETH)
    rig.execute_by_stranger()
    rig.move(1_790 * WAD)

    rig.liquidate()

    assert rig.position() == (0, 0)
    assert rig.settle() == ((0, 0), NOTHING, 0, 0)


def test_position__first_order_liquidated_after_the_fill__is_nothing(rig):
    rig.submit(45 * ETH, 10_000 * WAD)
    rig.execute_by_stranger()
    rig.move(1_790 * WAD)

    rig.liquidate()

    assert rig.position() == (0, 0)
    assert rig.settle() == ((0, 0), NOTHING, 0, 0)


def test_submit__after_a_liquidation__starts_again(rig):
    falling(rig, -5 * ETH)
    rig.liquidate()
    rig.settle()

    rig.submit(-ETH, 10_000 * WAD)

    assert rig.order().stage == WAITING
    assert rig.finish().fill.size == -ETH


@BOTH
def test_liquidate__no_order__is_nothing(rig, side):
    rig.opened(side * 45 * ETH, 10_000)

    rig.liquidate()

    assert rig.position() == (0, 0)


# Funding


@BOTH
@SKEWS
def test_position__a_day_of_funding__is_the_venues_remaining_margin(rig, side, skew):
    before = with_funding(rig, side, skew)

    rig.wait(DAY)

    after = rig.position()
    margin, _ = rig.market.call("remainingMargin", rig.adapter)
    funding, _ = rig.market.call("accruedFunding", rig.adapter)
    assert abs(after.equity(PRICE) - margin) <= 1
    assert (after.cash > before.cash) == (funding > 0) == (side * (skew or side) < 0)
    assert rig.adjust(-side * 10 * ETH).size == -side * 10 * ETH
    assert rig.position().cash == rig.withdraw(rig.position().cash)
