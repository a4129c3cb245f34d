"""What an adapter is where orders wait, beyond what every adapter is."""

import random

import pytest
from rigs import (
    FILLED,
    GONE,
    NO_ORDER,
    NOTHING,
    OUTSIDER,
    PAYER,
    PRICE,
    VAULT,
    WAD,
    WAITING,
    DelayedRig,
    Fill,
    Order,
    Position,
    undone,
)

from devnet import RevertError

pytestmark = pytest.mark.venue

ETH = WAD
BOTH = pytest.mark.parametrize("side", [1, -1], ids=["long", "short"])
CHANGES = pytest.mark.parametrize("change", [3 * ETH, -4 * ETH, -10 * ETH], ids=["more", "less", "all"])


@pytest.fixture
def rig(delayed_rig):
    return delayed_rig


def ether(rig: DelayedRig, account: str = PAYER) -> int:
    return int(rig.rpc("eth_getBalance", account, "latest"), 16)


def after(before: Position, fill: Fill) -> Position:
    return Position(before.size + fill.size, before.cash + fill.cash)


# Stages


def test_order__none__is_nothing(rig):
    assert rig.order() == NO_ORDER


@BOTH
@CHANGES
def test_submit__any_order__waits_for_its_time(rig, side, change):
    rig.opened(side * 10 * ETH, 10_000)

    receipt = rig.submit(side * change, 55 * rig.unit, worst=PRICE)

    now = rig.rpc.timestamp()
    times = (now + rig.fillable_after, now + rig.cancellable_after)
    assert rig.order() == Order(WAITING, side * change, *times)
    assert rig.events(receipt, "Submitted") == [(side * change, 55 * rig.unit, PRICE)]


@BOTH
def test_submit__more_than_the_position__asks_for_all_of_it(rig, side):
    rig.opened(side * 10 * ETH, 10_000)

    rig.submit(-side * 25 * ETH)

    assert rig.order().size == -side * 10 * ETH


def test_submit__margin_alone__is_no_order(rig):
    rig.submit(0, 1_000 * rig.unit)

    assert rig.order() == NO_ORDER
    assert rig.position() == (0, 1_000 * WAD)


@BOTH
def test_order__executed_by_a_stranger__is_filled_until_it_is_settled(rig, side):
    rig.submit(side * ETH, 10_000 * rig.unit)
    waiting = rig.order()

    rig.execute_by_stranger()

    assert rig.order() == waiting._replace(stage=FILLED)
    rig.settle()
    assert rig.order() == NO_ORDER


@BOTH
def test_order__cancelled_by_a_stranger__is_gone_until_it_is_settled(rig, side):
    rig.submit(side * ETH, 10_000 * rig.unit)
    waiting = rig.order()

    rig.cancel_by_stranger()

    assert rig.order() == waiting._replace(stage=GONE)
    rig.settle()
    assert rig.order() == NO_ORDER


@pytest.mark.parametrize("stage", [WAITING, FILLED, GONE], ids=["waiting", "filled", "gone"])
@pytest.mark.parametrize("size", [0, ETH], ids=["margin", "order"])
def test_submit__with_an_order__reverts(rig, reverts, stage, size):
    rig.submit(3 * ETH, 10_000 * rig.unit)
    if stage == FILLED:
        rig.execute_by_stranger()
    elif stage == GONE:
        rig.cancel_by_stranger()

    with reverts(rig.adapter, "OrderExists", 3 * ETH):
        rig.submit(size, rig.unit)


@pytest.mark.parametrize("is_proven", [False, True])
def test_settle__without_an_order__reverts(rig, reverts, is_proven):
    rig.opened(ETH, 10_000)

    with reverts(rig.adapter, "NoOrder"):
        rig.settle(rig.proof() if is_proven else ())


def test_settle__too_early__reverts(rig, reverts):
    rig.submit(ETH, 10_000 * rig.unit)
    order = rig.order()
    rig.wait_until(order.fillable_from - 1)

    with reverts(rig.adapter, "OrderWaiting", rig.rpc.timestamp(), *order[2:]):
        rig.settle(rig.proof())


def test_settle__in_time_without_a_proof__reverts(rig, reverts):
    rig.submit(ETH, 10_000 * rig.unit)
    order = rig.order()
    rig.wait_until(order.fillable_from)

    with reverts(rig.adapter, "OrderWaiting", rig.rpc.timestamp(), *order[2:]):
        rig.settle()


@pytest.mark.parametrize("is_proven", [False, True])
def test_settle__too_late_to_fill_and_too_early_to_cancel__reverts(rig, reverts, is_proven):
    rig.submit(ETH, 10_000 * rig.unit)
    order = rig.order()
    rig.wait_until(order.cancellable_from - 1)

    with reverts(rig.adapter, "OrderWaiting", rig.rpc.timestamp(), *order[2:]):
        rig.settle(rig.proof() if is_proven else ())


def test_submit__stranger__reverts(rig, reverts):
    with reverts(rig.adapter, "OnlyVault", OUTSIDER, VAULT):
        rig.submit(ETH, 10_000 * rig.unit, sender=OUTSIDER)


@pytest.mark.parametrize("stage", [WAITING, FILLED, GONE], ids=["waiting", "filled", "gone"])
def test_settle__stranger__reverts(rig, reverts, stage):
    rig.submit(ETH, 10_000 * rig.unit)
    if stage == WAITING:
        rig.wait_until(rig.order().fillable_from)
    elif stage == FILLED:
        rig.execute_by_stranger()
    else:
        rig.cancel_by_stranger()

    with reverts(rig.adapter, "OnlyVault", OUTSIDER, VAULT):
        rig.settle(rig.proof(), value=0, sender=OUTSIDER)


# In transit


@BOTH
@CHANGES
def test_position__while_an_order_waits__counts_all_that_is_in_transit(rig, side, change):
    rig.opened(side * 10 * ETH, 10_000)
    before = rig.position()

    rig.submit(side * change, 55 * rig.unit + 1)

    expected = (before.size, before.cash + (55 * rig.unit + 1) * rig.scale)
    assert rig.position() == expected
    for time in rig.order()[2:]:
        rig.wait_until(time)
        assert rig.position() == expected


@BOTH
@CHANGES
def test_position__executed_by_a_stranger__tells_the_account_before_the_fill(rig, side, change):
    rig.opened(side * 10 * ETH, 10_000)
    rig.submit(side * change, 55 * rig.unit)
    before = rig.position()

    rig.execute_by_stranger(PRICE * 101 // 100)
    rig.drift()
    rig.move(PRICE * 103 // 100)

    assert rig.position() == before
    outcome = rig.settle()
    assert outcome.before == before
    assert outcome.fill.size == side * change
    assert outcome.price == pytest.approx(PRICE * 101 // 100, rel=1e-15)
    # What came after the fill is in the account, and in nothing that was told.
    assert rig.position().size == before.size + side * change
    if rig.position().size:
        assert rig.position().cash != before.cash + outcome.fill.cash


@BOTH
def test_withdraw__while_an_order_waits__reverts_and_moves_nothing(rig, side):
    rig.opened(side * ETH, 10_000)
    rig.submit(side * ETH)
    before = rig.position()

    with pytest.raises(RevertError) as caught:
        rig.withdraw(100 * rig.unit)

    got, wanted = rig.error(caught.value, "WithdrawalShort")
    assert got < wanted == 100 * rig.unit
    assert rig.position() == before
    rig.finish()
    assert rig.withdraw(100 * rig.unit) == 100 * rig.unit


@pytest.mark.parametrize("stage", [WAITING, FILLED, GONE], ids=["waiting", "filled", "gone"])
def test_donate__with_an_order__blocks_nothing_and_is_no_fill(rig, stage):
    rig.opened(10 * ETH, 10_000)
    rig.submit(-4 * ETH)
    if stage == FILLED:
        rig.execute_by_stranger()
    elif stage == GONE:
        rig.cancel_by_stranger()
    before = rig.position()

    rig.donate(777 * rig.unit)

    given = 777 * WAD if rig.takes_donations else 0
    outcome = rig.finish() if stage == WAITING else rig.settle()
    assert outcome.before == (10 * ETH, before.cash + (0 if stage == FILLED else given))
    assert rig.position() == after(Position(10 * ETH, before.cash + given), outcome.fill)


# Fills


@BOTH
@CHANGES
def test_settle__with_a_proof__changes_the_account_by_the_fill_alone(rig, side, change):
    rig.opened(side * 10 * ETH, 10_000)
    rig.submit(side * change)
    waiting = rig.position()

    outcome = rig.finish()

    assert outcome.before == waiting
    assert outcome.fill.size == side * change
    assert outcome.price == PRICE
    assert outcome.reward == rig.keeper_deposit
    assert rig.position() == after(waiting, outcome.fill)
    assert rig.events(rig.receipt, "Settled") == [(*outcome.fill, outcome.price)]


@BOTH
@CHANGES
@pytest.mark.parametrize("percent", [97, 103])
def test_settle__proof_of_another_price__fills_at_that_price(rig, side, change, percent):
    price = PRICE * percent // 100
    rig.opened(side * 10 * ETH, 10_000)
    rig.submit(side * change)

    outcome = rig.finish(price)

    assert outcome.price == price
    assert -(outcome.fill.cash + outcome.fill.fee) / outcome.fill.size == pytest.approx(price / WAD, rel=1e-3)


@BOTH
def test_settle__after_a_drift__tells_the_account_of_the_fill(rig, side):
    rig.opened(side * 10 * ETH, 10_000)
    rig.submit(side * ETH)
    waiting = rig.position()
    rig.drift()

    outcome = rig.finish()

    assert outcome.before.size == waiting.size
    assert outcome.before.cash != waiting.cash
    assert rig.position() == after(outcome.before, outcome.fill)


@BOTH
@CHANGES
@pytest.mark.parametrize("percent", [99, 102])
def test_settle__executed_by_a_stranger__is_the_same_but_for_the_keeper_deposit(rig, side, change, percent):
    price = PRICE * percent // 100
    rig.opened(side * 10 * ETH, 10_000)
    rig.submit(side * change)
    with undone(rig.rpc):
        ours = rig.finish(price)

    rig.execute_by_stranger(price)
    theirs = rig.settle()

    kept = rig.keeper_deposit
    assert theirs.before == ours.before
    assert theirs.fill[:2] == (ours.fill.size, ours.fill.cash - kept)
    # A venue may have forgotten the price, which then follows from the cash.
    assert theirs.fill.fee == pytest.approx(ours.fill.fee + kept, abs=1_000)
    assert theirs.price == pytest.approx(ours.price, rel=1e-15)
    assert (ours.reward, theirs.reward) == (kept, 0)
    assert rig.position() == after(theirs.before, theirs.fill)


@BOTH
@CHANGES
def test_quote__price_moved_while_the_order_waits__equals_the_fill_to_the_wei(rig, side, change):
    rig.opened(side * 10 * ETH, 10_000)
    rig.submit(side * change)

    rig.move(PRICE * (100 + 2 * side) // 100)

    quoted = rig.quote(side * change)
    assert rig.finish().fill == quoted


@BOTH
def test_settle__late_proof_of_what_is_filled__takes_note_of_the_fill(rig, side):
    rig.submit(side * ETH, 10_000 * rig.unit)
    rig.execute_by_stranger()

    outcome = rig.settle(rig.proof(PRICE * 102 // 100))

    assert outcome.price == PRICE
    assert outcome.fill.size == side * ETH


# Price limits


@BOTH
@CHANGES
@pytest.mark.parametrize("slack", [1, -1], ids=["within", "beyond"])
def test_submit__worst_price__is_of_the_average_before_fees(rig, side, change, slack):
    rig.opened(side * 10 * ETH, 10_000)
    size = side * change
    quoted = rig.quote(size)
    dealt = -(quoted.cash + quoted.fee) * WAD // size
    worst = dealt + (slack if size > 0 else -slack) * dealt // 10**9
    rig.submit(size, 55 * rig.unit, worst=worst)
    waiting = rig.position()

    outcome = rig.finish()

    assert outcome.fill == (quoted if slack > 0 else NOTHING)
    assert outcome.before == waiting
    assert rig.position() == after(waiting, outcome.fill)


@BOTH
@pytest.mark.parametrize("move", [2, -2])
def test_submit__price_moves_past_the_worst__fills_nothing_and_restores_the_account(rig, side, move):
    rig.opened(side * 10 * ETH, 10_000)
    before = rig.position()
    size = move * ETH
    rig.submit(size, 55 * rig.unit, worst=PRICE * (1_000 + 5 * move) // 1_000)

    rig.move(PRICE * (100 + move) // 100)

    outcome = rig.finish()
    restored = (before.size, before.cash + 55 * WAD)
    assert outcome == (restored, NOTHING, 0, 0)
    assert rig.position() == restored
    assert rig.order() == NO_ORDER
    assert rig.events(rig.receipt, "Settled") == [(*NOTHING, 0)]


# Cancellation


@BOTH
@CHANGES
@pytest.mark.parametrize("is_proven", [False, True])
def test_settle__nobody_came__cancels_and_restores_the_account(rig, side, change, is_proven):
    rig.opened(side * 10 * ETH, 10_000)
    before, quoted = rig.position(), rig.quote(side * change)
    rig.submit(side * change, 55 * rig.unit)
    rig.wait_until(rig.order().cancellable_from)

    outcome = rig.settle(rig.proof() if is_proven else ())

    restored = (before.size, before.cash + 55 * WAD)
    assert outcome == (restored, NOTHING, 0, 0)
    assert rig.position() == restored
    assert rig.order() == NO_ORDER
    assert rig.quote(side * change) == quoted
    assert rig.events(rig.receipt, "Settled") == [(*NOTHING, 0)]
    assert rig.withdraw(55 * rig.unit) == 55 * rig.unit
    assert rig.position() == before
    assert rig.adjust(side * change) == quoted


@BOTH
def test_settle__cancelled_by_a_stranger__has_lost_the_keeper_deposit(rig, side):
    rig.opened(side * 10 * ETH, 10_000)
    before = rig.position()
    rig.submit(-side * ETH, 55 * rig.unit)

    rig.cancel_by_stranger()

    left = (before.size, before.cash + 55 * WAD - rig.keeper_deposit)
    assert rig.position() == left
    assert rig.settle() == (left, NOTHING, 0, 0)
    assert rig.position() == left
    assert rig.adjust(-side * ETH).size == -side * ETH


def test_submit__after_a_cancellation__waits_its_own_time(rig, reverts):
    rig.submit(ETH, 10_000 * rig.unit)
    rig.wait_until(rig.order().cancellable_from)
    rig.settle()

    rig.submit(ETH)

    now = rig.rpc.timestamp()
    with reverts(rig.adapter, "OrderWaiting", now, now + rig.fillable_after, now + rig.cancellable_after):
        rig.settle()


# What the venue does not take


def test_submit__less_than_the_margin_it_needs__reverts(rig):
    rig.opened(0, 3)

    with pytest.raises(RevertError) as caught:
        rig.submit(ETH // 1_000)

    margin, least = rig.error(caught.value, "MarginShort")
    assert margin < least
    assert rig.withdraw(3 * rig.unit) == 3 * rig.unit


def test_price__of_no_use__reverts(rig, reverts):
    rig.opened(ETH, 10_000)

    rig.spoil_price()

    for read in (rig.price, lambda: rig.quote(ETH)):
        with reverts(rig.adapter, "VenuePriceInvalid"):
            read()
    with pytest.raises(RevertError):
        rig.submit(ETH)


# Value


@pytest.mark.parametrize("size", [0, ETH], ids=["margin", "order"])
def test_submit__more_value_than_it_costs__pays_back_the_rest(rig, size):
    rig.opened(0, 10_000)
    before = ether(rig)

    rig.submit(size, value=1_000_000)

    assert ether(rig) - before == 1_000_000 - (rig.order_fee if size else 0)


def test_settle__more_value_than_it_costs__pays_back_the_rest(rig):
    rig.submit(ETH, 10_000 * rig.unit)
    rig.wait_until(rig.order().fillable_from)
    before = ether(rig)

    outcome = rig.settle(rig.proof(), value=1_000_000)

    assert outcome.fill.size == ETH
    assert ether(rig) - before == 1_000_000 - rig.proof_fee


def test_settle__less_value_than_it_costs__reverts(rig, reverts):
    rig.submit(ETH, 10_000 * rig.unit)
    rig.wait_until(rig.order().fillable_from)

    with reverts(rig.adapter, "WrongFee", rig.proof_fee - 1, rig.proof_fee):
        rig.settle(rig.proof(), value=rig.proof_fee - 1)


@pytest.mark.parametrize("by", ["executed", "cancelled", "nobody"])
def test_settle__nothing_to_execute__pays_back_all_value(rig, by):
    rig.submit(ETH, 10_000 * rig.unit)
    if by == "executed":
        rig.execute_by_stranger()
    elif by == "cancelled":
        rig.cancel_by_stranger()
    else:
        rig.wait_until(rig.order().cancellable_from)
    before = ether(rig)

    rig.settle(rig.proof(), value=1_000_000)

    assert ether(rig) - before == 1_000_000


# All together


@pytest.mark.parametrize("seed", range(4))
def test_settle__any_sequence_of_orders__fills_explain_the_position_to_the_wei(rig, seed):
    rng = random.Random(seed)
    rig.opened(0, 100_000)
    expected = rig.position()
    for _ in range(12):
        price = rig.price()
        if rng.random() < 0.3:
            free = expected.equity(price) - abs(expected.size) * price // WAD // 4
            paid = rig.withdraw(max(free, 0) * rng.randint(0, 50) // 100 // rig.scale)
            left = rig.position()
            kept = expected.cash - paid * rig.scale - left.cash
            assert -rig.grain <= kept < rig.scale + rig.grain
            expected = left
        limit = 2 * expected.equity(price) * WAD // price
        assets = rng.choice([0, rng.randint(1, 1_000 * rig.unit)])
        rig.submit(rng.randint(-limit, limit) - expected.size, assets)
        cash = expected.cash + assets * rig.scale
        assert rig.position() == (expected.size, pytest.approx(cash, abs=rig.grain))
        expected = rig.position()

        rig.move(price * rng.randint(98, 102) // 100)
        end = rng.choice(["ours", "ours", "stranger", "stranger", "cancelled", "cancelled by a stranger"])
        if end == "ours":
            outcome = rig.finish()
        elif end == "stranger":
            rig.execute_by_stranger()
            assert rig.position() == expected
            outcome = rig.settle()
        elif end == "cancelled":
            rig.wait_until(rig.order().cancellable_from)
            outcome = rig.settle()
        else:
            rig.cancel_by_stranger()
            expected = Position(expected.size, expected.cash - rig.keeper_deposit)
            outcome = rig.settle()
        is_cancelled = end.startswith("cancelled")
        assert (outcome.fill.size == 0) == is_cancelled
        # To give the deposit back is to write the position down.
        cash = pytest.approx(expected.cash, abs=rig.grain) if is_cancelled else expected.cash
        assert outcome.before == (expected.size, cash)
        expected = after(outcome.before, outcome.fill)
        assert rig.position() == expected


# The ideal venue alone: partial fills


@BOTH
@CHANGES
def test_fill__in_part__is_all_there_will_be(mock_rig, side, change):
    mock_rig.opened(side * 10 * ETH, 10_000)
    mock_rig.submit(side * change)
    waiting = mock_rig.position()
    mock_rig.turn("setFillRatio", WAD * 4 // 10)
    quoted = mock_rig.quote(side * change)

    outcome = mock_rig.finish()

    assert outcome.fill == quoted
    assert outcome.fill.size == side * change * 4 // 10
    assert mock_rig.position() == after(waiting, outcome.fill)
    assert mock_rig.order() == NO_ORDER


@pytest.mark.parametrize("is_ours", [True, False])
def test_fill__refused__leaves_the_account_as_it_was(mock_rig, is_ours):
    mock_rig.opened(10 * ETH, 10_000)
    before = mock_rig.position()
    mock_rig.turn("setFillRatio", 0)
    mock_rig.submit(ETH)

    if is_ours:
        outcome = mock_rig.finish()
    else:
        mock_rig.execute_by_stranger()
        assert mock_rig.order().stage == GONE
        outcome = mock_rig.settle()

    left = Position(before.size, before.cash - (0 if is_ours else mock_rig.keeper_deposit))
    assert outcome == (left, NOTHING, 0, 0)
    assert mock_rig.position() == left


def test_fill__margin_gone_meanwhile__is_refused(mock_rig):
    mock_rig.opened(10 * ETH, 10_000)
    mock_rig.submit(30 * ETH)

    mock_rig.turn("setMaxLeverage", 5 * WAD)

    assert mock_rig.finish().fill == NOTHING
    assert mock_rig.position().size == 10 * ETH


# The ideal venue alone: forced sizes


@BOTH
def test_fill__position_forced_down_meanwhile__closes_what_is_left(mock_rig, side):
    mock_rig.opened(side * 10 * ETH, 10_000)
    mock_rig.submit(-side * 8 * ETH)
    mock_rig.liquidate()
    forced = mock_rig.position()

    outcome = mock_rig.finish()

    assert forced.size == side * 5 * ETH
    assert outcome.before == forced
    assert outcome.fill.size == -side * 5 * ETH
    assert mock_rig.position() == after(forced, outcome.fill)


@BOTH
def test_fill__position_forced_down_meanwhile__raises_what_is_left(mock_rig, side):
    mock_rig.opened(side * 10 * ETH, 10_000)
    mock_rig.submit(side * 8 * ETH)
    mock_rig.liquidate()
    forced = mock_rig.position()

    outcome = mock_rig.finish()

    assert outcome.before == forced
    assert mock_rig.position() == after(forced, outcome.fill)
    assert mock_rig.position().size == side * 13 * ETH


@BOTH
def test_fill__position_forced_to_nothing_meanwhile__is_refused_and_turns_nothing_round(mock_rig, side):
    mock_rig.opened(side * 10 * ETH, 10_000)
    mock_rig.submit(-side * 8 * ETH)
    mock_rig.turn("liquidatePart", WAD, WAD // 40)
    forced = mock_rig.position()

    outcome = mock_rig.finish()

    assert outcome == (forced, NOTHING, 0, 0)
    assert mock_rig.position() == forced == (0, forced.cash)


@BOTH
def test_position__forced_down_after_the_fill__tells_so_once_settled(mock_rig, side):
    mock_rig.opened(side * 10 * ETH, 10_000)
    mock_rig.submit(-side * 2 * ETH)
    waiting = mock_rig.position()
    mock_rig.execute_by_stranger()

    mock_rig.liquidate()

    assert mock_rig.position() == waiting
    assert mock_rig.settle().before == waiting
    assert mock_rig.position().size == side * 4 * ETH


@BOTH
def test_liquidate__while_an_order_waits__takes_it_along(mock_rig, side):
    mock_rig.opened(side * 10 * ETH, 10_000)
    mock_rig.submit(side * ETH)

    mock_rig.turn("liquidate", 7 * WAD)

    assert mock_rig.order().stage == GONE
    assert mock_rig.position() == (0, 7 * WAD)
    assert mock_rig.settle() == ((0, 7 * WAD), NOTHING, 0, 0)
    assert mock_rig.withdraw(7 * mock_rig.unit) == 7 * mock_rig.unit


def test_liquidate__after_the_fill__leaves_what_it_leaves(mock_rig):
    mock_rig.opened(10 * ETH, 10_000)
    mock_rig.submit(ETH)
    waiting = mock_rig.position()
    mock_rig.execute_by_stranger()

    mock_rig.turn("liquidate", 0)

    outcome = mock_rig.settle()
    assert outcome.before == waiting
    assert outcome.fill.size == ETH
    assert mock_rig.position() == (0, 0)


# The ideal venue alone: neither executable nor cancellable


def test_settle__venue_frozen__reverts_until_it_thaws(mock_rig, reverts):
    mock_rig.opened(10 * ETH, 10_000)
    mock_rig.submit(-ETH)
    before = mock_rig.position()
    mock_rig.turn("setFrozen", True)

    mock_rig.wait_until(mock_rig.order().fillable_from)
    for attempt in (mock_rig.execute, lambda: mock_rig.settle(mock_rig.proof())):
        with reverts(mock_rig.adapter, "VenueFailed", "frozen"):
            attempt()
    mock_rig.wait_until(mock_rig.order().cancellable_from)
    for attempt in (mock_rig.cancel, mock_rig.settle):
        with reverts(mock_rig.adapter, "VenueFailed", "frozen"):
            attempt()

    assert mock_rig.order().stage == WAITING
    assert mock_rig.position() == before
    mock_rig.turn("setFrozen", False)
    assert mock_rig.settle() == (before, NOTHING, 0, 0)


def test_settle__executable_and_cancellable__executes_with_a_proof_alone(mock_rig):
    mock_rig.turn("setTimes", 0, 300, 300)
    mock_rig.submit(ETH, 10_000 * mock_rig.unit)
    mock_rig.wait_until(mock_rig.order().cancellable_from)

    with undone(mock_rig.rpc):
        assert mock_rig.settle().fill == NOTHING
    assert mock_rig.settle(mock_rig.proof()).fill.size == ETH


@pytest.mark.parametrize("age", [1, 30])
def test_execute__by_a_stranger_out_of_time__reverts(mock_rig, reverts, age):
    mock_rig.submit(ETH, 10_000 * mock_rig.unit)
    mock_rig.wait(age)

    with reverts(mock_rig.adapter, "OrderWaiting", mock_rig.rpc.timestamp(), *mock_rig.order()[2:]):
        mock_rig.execute()
    with reverts(mock_rig.adapter, "OrderWaiting", mock_rig.rpc.timestamp(), *mock_rig.order()[2:]):
        mock_rig.cancel()


# The ideal venue alone: margin that moves inside orders


@pytest.fixture
def strict_rig(mock_rig):
    """Holds back the margin of 10 ETH."""
    mock_rig.turn("setMarginMovesWithOrders", True)
    mock_rig.opened(10 * ETH, 10_000)
    return mock_rig


def test_withdraw__not_released__reverts(strict_rig, reverts):
    with reverts(strict_rig.adapter, "WithdrawalShort", 0, 1):
        strict_rig.withdraw(1)


@pytest.mark.parametrize("size", [-ETH, ETH])
def test_withdraw__released_by_an_order__pays_that_and_no_more(strict_rig, reverts, size):
    strict_rig.submit(size, release=100 * strict_rig.unit)
    strict_rig.finish()
    before = strict_rig.position()

    with reverts(strict_rig.adapter, "WithdrawalShort", 100 * strict_rig.unit, 100 * strict_rig.unit + 1):
        strict_rig.withdraw(100 * strict_rig.unit + 1)

    assert strict_rig.withdraw(100 * strict_rig.unit) == 100 * strict_rig.unit
    assert strict_rig.position() == (before.size, before.cash - 100 * WAD)


def test_withdraw__more_released_than_the_position_can_spare__pays_nothing(strict_rig, reverts):
    strict_rig.submit(-ETH, release=9_000 * strict_rig.unit)

    assert strict_rig.finish().fill.size == -ETH

    with reverts(strict_rig.adapter, "WithdrawalShort", 0, 1):
        strict_rig.withdraw(1)


def test_withdraw__order_cancelled__pays_what_went_with_it_and_releases_nothing(strict_rig, reverts):
    strict_rig.submit(-ETH, 55 * strict_rig.unit, 100 * strict_rig.unit)
    strict_rig.cancel_by_stranger()
    strict_rig.settle()

    with reverts(strict_rig.adapter, "WithdrawalShort", 55 * strict_rig.unit, 56 * strict_rig.unit):
        strict_rig.withdraw(56 * strict_rig.unit)

    assert strict_rig.withdraw(55 * strict_rig.unit) == 55 * strict_rig.unit


def test_withdraw__margin_released_without_an_order__pays_it(strict_rig):
    strict_rig.submit(0, release=100 * strict_rig.unit)

    assert strict_rig.order() == NO_ORDER
    assert strict_rig.withdraw(100 * strict_rig.unit) == 100 * strict_rig.unit


def test_withdraw__position_closed__pays_all(strict_rig):
    strict_rig.adjust(-10 * ETH)

    free = strict_rig.position().cash // strict_rig.scale

    assert strict_rig.withdraw(free) == free


# The ideal venue alone: failures, lies, and calls back


def test_submit__venue_fails__reverts_with_its_reason(mock_rig, reverts):
    mock_rig.turn("fail", "paused", "empty")

    with reverts(mock_rig.adapter, "VenueFailed", "paused"):
        mock_rig.submit(ETH, mock_rig.unit)
    with reverts(mock_rig.adapter, "VenueFailed", "empty"):
        mock_rig.withdraw(0)


def test_settle__lie__is_in_what_is_told_and_not_in_the_account(mock_rig):
    mock_rig.opened(10 * ETH, 10_000)
    mock_rig.submit(ETH)
    waiting, quoted = mock_rig.position(), mock_rig.quote(ETH)

    mock_rig.turn("lie", 1, 2, 3, 4)

    outcome = mock_rig.finish()
    assert outcome.fill == (quoted.size + 1, quoted.cash + 2, quoted.fee + 3)
    assert outcome.price == 4
    assert mock_rig.position() == after(waiting, quoted)


def test_submit__less_value_than_it_costs__reverts(mock_rig, reverts):
    with reverts(mock_rig.adapter, "WrongFee", mock_rig.order_fee - 1, mock_rig.order_fee):
        mock_rig.submit(ETH, 10_000 * mock_rig.unit, value=mock_rig.order_fee - 1)


@pytest.mark.parametrize("call", ["submit", "settle"])
def test_hook__calls_back__sees_what_a_stranger_sees(mock_rig, reverts, call):
    if call == "settle":
        mock_rig.submit(ETH, 10_000 * mock_rig.unit)
        mock_rig.wait_until(mock_rig.order().fillable_from)
    mock_rig.turn(
        "setHook", mock_rig.adapter, bytes.fromhex(mock_rig.adapter.data("withdraw", 0, OUTSIDER)[2:])
    )

    with reverts(mock_rig.adapter, "OnlyVault", mock_rig.adapter.lower(), VAULT):
        mock_rig.submit(ETH) if call == "submit" else mock_rig.settle(mock_rig.proof())
