"""What attacks on the queue and its vault have found. Each test says in its docstring what went wrong."""

from decimal import Decimal

import pytest
from market import NO_FEES, RETRY_DELAY, reverts, wad

from leverage import leverage_math as lm
from leverage.types import DAY, WAD, Caps


@pytest.fixture
def held_back(queued, outsider):
    """The venue takes orders, and pays nothing out."""
    queued.adapter.fail("", "held back", sender=outsider)
    return queued


# Requests and batches


def test_refund__of_who_left_a_failed_batch__is_not_taken_from_those_who_stayed(queued, redeemer, outsider):
    """Of a batch that failed and was refunded an hour later, who had left it before drew the others' part."""
    queued.request(redeemer, 100, refunded=True)
    queued.request(outsider, 100)
    queued.fail()
    queued.wait(3_600)
    queued.fail()

    for who in (redeemer, outsider):
        assert queued.queue.refundableDepositRequest(2, who) == queued.units(100)
        queued.queue.cancelDepositRequest(2, who, who, sender=who)

    assert queued.asset.balanceOf(redeemer) == queued.asset.balanceOf(outsider) == queued.units(100)


def test_refund__of_shares_of_who_left__is_not_taken_from_those_who_stayed(queued, minter, redeemer):
    """The same of redemptions."""
    queued.token.transfer(redeemer, wad(100), sender=minter)
    queued.leave(redeemer, refunded=True)
    queued.leave(minter, wad(100))
    queued.fail()
    queued.wait(3_600)
    queued.fail()

    for who in (redeemer, minter):
        queued.queue.cancelRedeemRequest(1, who, who, sender=who)

    assert queued.token.balanceOf(redeemer) == wad(100)
    assert queued.token.balanceOf(minter) == wad(9_900)


def test_commit__after_a_pause_began_in_flight__takes_the_deposits_that_wait(
    queued, minter, redeemer, guardian
):
    """The room that the settlement told was less than what waited: each commit panicked, exits included."""
    queued.leave(minter, wad(1_000))
    queued.commit()
    queued.request(redeemer, 500)
    queued.terms.pause(3_600, sender=guardian)
    queued.wait(2)
    queued.settle()
    queued.wait(3_600)
    queued.leave(minter, wad(1_000))

    queued.fill()

    assert queued.queue.maxRedeem(minter) == wad(2_000)


def test_commit__equity_outgrew_the_cap_in_flight__lets_people_leave(deploy, minter, redeemer, attacker):
    """The same panic, for the price of the least deposit near the total cap, until equity falls again."""
    market = deploy(queued=True, cap=Caps(daily=10**13, total=10_200 * 10**6))
    market.seed(minter, 10_000)
    market.leave(minter, wad(100))
    market.commit()
    market.request(attacker, 100)
    market.wait(2)
    market.price(2_020)
    market.settle()
    market.leave(minter, wad(100))

    market.fill()

    assert market.queue.maxRedeem(minter) == wad(200)


def test_request__beside_a_batch_that_is_carried_on__meets_the_cap(deploy, minter, redeemer, outsider):
    """The room that a settlement told forgot deposits that were carried on and had not gone with it."""
    market = deploy(queued=True, cap=Caps(daily=2_000 * 10**6, total=10**13))
    market.seed(minter, 1_000)
    market.wait(DAY)
    market.request(redeemer, 2_000)
    market.fail()
    market.wait(RETRY_DELAY)
    market.leave(minter, wad(100))
    market.price(2_000, 2_050)
    market.fill(2_000)
    market.fund(outsider, market.units(2_000))

    with reverts(market.queue.DailyCapExceeded, assets=market.units(2_000), left=0):
        market.queue.requestDeposit(market.units(2_000), outsider, outsider, sender=outsider)


def test_redeem__whatever_was_redeemed_before__has_room(deploy, minter):
    """Committed redemptions used up a room that was never given back: 2e13 shares in all."""
    rich = Caps(daily=10**33, total=10**33)
    market = deploy(queued=True, decimals=18, cap=rich, fees=NO_FEES, max_notional=10**36)

    for _ in range(2):
        market.seed(minter, 11 * 10**12)
        market.exit(minter)

    assert market.token.totalSupply() == 0


def test_join__by_a_stranger__leaves_the_controllers_choice(queued, minter, redeemer, attacker):
    """A wei in somebody else's name changed what happens to all of his request when the order fails."""
    queued.token.transfer(redeemer, wad(100), sender=minter)
    queued.token.transfer(attacker, 1, sender=minter)
    queued.leave(redeemer, wad(100), refunded=True)

    queued.leave(attacker, 1, controller=redeemer)
    queued.fail()

    assert queued.queue.refundableRedeemRequest(1, redeemer) >= wad(100)


# Cash in transit


def test_cancel__the_rest_of_a_part_fill__does_not_free_what_is_not_paid_yet(
    held_back, minter, redeemer, outsider
):
    """Taking back what was not filled set the held part free, to be paid out of others' deposits."""
    held_back.leave(minter, wad(4_000))
    held_back.commit()
    held_back.wait(2)
    held_back.adapter.setFillRatio(WAD // 2, sender=outsider)
    held_back.settle()
    assert held_back.vault.cashShort() > 0
    assert held_back.queue.maxRedeem(minter) == 0
    held_back.request(redeemer, 5_000)

    held_back.queue.cancelRedeemRequest(1, minter, minter, sender=minter)

    assert held_back.queue.maxRedeem(minter) == 0


def test_claim__of_what_was_paid__is_not_held_for_a_later_refund(held_back, minter, redeemer, outsider):
    """A payout that lay in the queue was pending again as soon as the venue held a deposit's margin back."""
    held_back.adapter.fail("", "", sender=outsider)
    held_back.leave(minter, wad(1_000))
    held_back.fill()
    assert held_back.queue.maxRedeem(minter) == wad(1_000)

    held_back.adapter.fail("", "held back", sender=outsider)
    held_back.request(redeemer, 100)
    held_back.fail()

    assert held_back.queue.maxRedeem(minter) == wad(1_000)


def test_collect_fees__cash_in_transit__takes_nobody_elses(held_back, minter, redeemer, outsider):
    """The fee of a payout that had not come came out of deposits that wait, which could not be taken back."""
    held_back.vault.collectFees(sender=outsider)
    held_back.request(redeemer, 1_000)
    held_back.leave(minter, wad(4_000))
    held_back.price(2_000, 2_050)
    held_back.fill(2_000)
    assert held_back.vault.cashShort() > 0

    with reverts(held_back.vault.CashInTransit, cashShort=held_back.vault.cashShort()):
        held_back.vault.collectFees(sender=outsider)
    held_back.queue.cancelDepositRequest(2, redeemer, redeemer, sender=redeemer)

    assert held_back.asset.balanceOf(redeemer) == held_back.units(1_000)


def test_commit__a_deposit_whose_margin_is_held_back__takes_nobody_elses(held_back, redeemer, outsider):
    """Its margin went a second time, out of the deposits of the next batch, which could not be taken back."""
    held_back.request(redeemer, 5_000)
    held_back.fail()
    held_back.request(outsider, 5_000)
    held_back.wait(RETRY_DELAY)

    with reverts(held_back.vault.NothingDue, leverage=3 * WAD, target=3 * WAD):
        held_back.commit()
    with reverts(held_back.queue.RequestInFlight, requestId=2):
        held_back.queue.cancelDepositRequest(2, redeemer, redeemer, sender=redeemer)
    held_back.queue.cancelDepositRequest(3, outsider, outsider, sender=outsider)

    assert held_back.asset.balanceOf(outsider) == held_back.units(5_000)
    held_back.adapter.fail("", "", sender=outsider)
    held_back.vault.collectCash(sender=outsider)
    held_back.queue.cancelDepositRequest(2, redeemer, redeemer, sender=redeemer)
    assert held_back.asset.balanceOf(redeemer) == held_back.units(5_000)


def test_refund__that_lies_in_the_queue__is_not_held_for_what_is_lost(queued, minter, redeemer, outsider):
    """Liquidated between fill and settlement: what is short never comes, and every refund waited for it."""
    queued.request(redeemer, 500, refunded=True)
    queued.fail()
    queued.wait(RETRY_DELAY)
    queued.leave(minter, wad(5_000))
    queued.commit()
    queued.wait(2)
    queued.adapter.execute(wad(2_000), sender=outsider)
    queued.adapter.liquidate(wad(3_000), sender=outsider)
    queued.note()
    queued.vault.checkRuin(sender=outsider)

    queued.queue.cancelDepositRequest(2, redeemer, redeemer, sender=redeemer)

    assert queued.asset.balanceOf(redeemer) == queued.units(500)


def test_collect_cash__less_is_left_than_is_owed__pays_that(queued, minter, outsider):
    """The same, of the payout: 3,000 of 5,000 were left at the venue for good, and nobody could leave."""
    queued.leave(minter, wad(5_000))
    queued.commit()
    queued.wait(2)
    queued.adapter.execute(wad(2_000), sender=outsider)
    queued.adapter.liquidate(wad(3_000), sender=outsider)

    queued.note()
    queued.vault.checkRuin(sender=outsider)
    queued.vault.collectCash(sender=outsider)
    queued.claim(minter)

    assert queued.asset.balanceOf(minter) >= queued.units(2_990)


def test_settle__margin_moves_with_orders__what_is_short_is_released_by_a_later_one(
    queued, minter, redeemer, outsider
):
    """Where margin comes with orders alone, a rise beyond the reserve left payouts short for good."""
    queued.adapter.setMarginMovesWithOrders(True, sender=outsider)
    queued.leave(minter, wad(5_000))
    queued.fill(2_100)

    for _ in range(2):
        queued.request(redeemer, 1_000)
        queued.fill()

    assert queued.vault.cashShort() == 0
    assert queued.queue.maxRedeem(minter) == wad(5_000)


def test_cash_short__once_the_queue_has_it__is_over(deploy, minter, redeemer, outsider):
    """Cash that came by a deposit without an order left the mark of what was short for good."""
    market = deploy(-3, queued=True, fees=NO_FEES)
    market.seed(minter, 1_000)
    market.adapter.fail("", "held back", sender=outsider)
    market.leave(minter, wad(1_000) - 1)
    market.fill()
    market.request(redeemer, 5_000)
    market.fill()
    market.adapter.fail("", "", sender=outsider)

    market.vault.collectCash(sender=outsider)

    assert market.vault.cashShort() == 0
    assert market.queue.maxRedeem(minter) == wad(1_000) - 1


def test_write_off__of_a_deposits_margin__takes_no_payout_that_lies_in_the_queue(
    queued, minter, redeemer, outsider
):
    """What a carried deposit had at the venue when all was lost was taken from leavers paid long ago."""
    queued.leave(minter, wad(1_000))
    queued.fill()
    payout = queued.queue.maxWithdraw(minter)
    queued.adapter.fail("", "held back", sender=outsider)
    queued.request(redeemer, 1_000)
    queued.fail()

    queued.adapter.liquidate(0, sender=outsider)
    queued.vault.collectCash(sender=outsider)

    assert queued.queue.maxWithdraw(minter) == payout


def test_write_off__of_a_refund_that_has_not_come__takes_no_later_deposit(queued, minter, redeemer, outsider):
    """Who had left the batch with a refund kept all of the claim, to be paid by whoever came next."""
    queued.adapter.fail("", "held back", sender=outsider)
    queued.request(redeemer, 1_000, refunded=True)
    queued.fail()
    queued.adapter.liquidate(0, sender=outsider)
    queued.vault.collectCash(sender=outsider)
    fees, held = queued.vault.feesOwed(), queued.held()

    assert queued.queue.refundableDepositRequest(2, redeemer) <= held - fees


def test_write_off__of_a_payout__leaves_no_fee_without_cover(queued, minter, outsider):
    """The burn fee of a payout that never came stayed owed."""
    queued.vault.collectFees(sender=outsider)
    queued.leave(minter, wad(5_000))
    queued.commit()
    queued.wait(2)
    queued.adapter.execute(wad(2_000), sender=outsider)
    queued.adapter.liquidate(0, sender=outsider)
    queued.note()
    queued.vault.collectCash(sender=outsider)

    assert queued.queue.maxWithdraw(minter) == 0
    assert queued.vault.feesOwed() <= queued.held()


# Settlement


def test_settle__holders_are_under_water__books_a_large_deposit(queued, redeemer, outsider):
    """Shares for 100,000 beside next to nothing did not fit: the order could never be settled."""
    queued.request(redeemer, 100_000)
    queued.commit()
    queued.wait(2)
    queued.adapter.execute(wad(1_300), sender=outsider)
    queued.price(1_300)

    queued.note()

    assert not queued.in_flight()
    assert queued.queue.maxMint(redeemer) + queued.queue.refundableDepositRequest(2, redeemer) > 0


def test_settle__99_percent_leave_while_a_rebalance_is_due__pay_for_all_that_is_theirs(
    deploy, minter, redeemer, outsider
):
    """The cost of the whole fund's rebalance fell on the one percent that stayed: nav from 0.67 to 0."""
    market = deploy(queued=True, fees=NO_FEES, tip_rate=0)
    market.seed(minter, 10_000)
    market.token.transfer(redeemer, wad(100), sender=minter)
    market.price(1_780)
    market.adapter.setSlippage(wad("0.0099"), sender=outsider)
    nav = market.vault.nav()

    market.leave(minter)
    market.fill()

    # A quarter of four times equity changes hands at 1 %.
    assert market.vault.nav() > nav * 98 // 100
    assert market.queue.maxRedeem(minter) == wad(9_900)


def test_commit__a_deposit_crosses_a_rebalance_exactly__gets_no_price_of_the_past(deploy, minter, attacker):
    """Without an order it was settled at once at the index: 96 of 2,200 for a feed that lags by 1.5 %."""
    market = deploy(queued=True, decimals=18, fees=NO_FEES)
    market.seed(minter, 10_000)
    market.price(1_780, 1_806)
    s = market.vault.snapshot()
    wanted = lm.size_to_leverage(market.vault.target(), s.equity, s.size, s.price)
    brought = -(wanted * s.equity // (s.size + wanted))
    while (s.size + wanted) * brought // s.equity < -wanted:
        brought += 1
    market.request(attacker, Decimal(brought) / WAD)
    assert market.queue.next()[0] == brought

    market.commit(attacker)

    assert market.queue.maxMint(attacker) == 0
    assert market.in_flight()


def test_commit__without_an_order__takes_no_value(deploy, minter, outsider):
    """Value that came with a commit that needed no order stayed in the vault for good."""
    market = deploy(queued=True)
    market.seed(minter, 1000)
    market.adapter.liquidate(wad(300), sender=outsider)
    market.vault.checkRuin(sender=outsider)
    market.leave(minter)

    with reverts(market.adapter.WrongFee, sent=WAD, needed=0):
        market.commit(outsider, value=WAD)

    assert market.vault.balance == 0


# Who holds up whom, who pays whom


@pytest.mark.parametrize("index", [2_000, 3_200])
def test_commit__the_venue_refuses_more__lets_people_leave(queued, minter, attacker, outsider, index):
    """A deposit, or the fund's own due rebalance, that the venue refused kept those in who leave with it."""
    queued.price(index)
    queued.adapter.setMaxLeverage(wad("1.5"), sender=outsider)
    queued.leave(minter, wad(100))
    if index == 2_000:
        queued.request(attacker, 1_000)

    queued.vault.commitExits(sender=outsider)
    queued.adapter.setMaxLeverage(wad(10), sender=outsider)
    queued.wait(2)
    queued.settle()

    assert queued.queue.maxRedeem(minter) == wad(100)


def test_tip__a_wei_that_waited__does_not_eat_a_deposit(deploy, minter, redeemer, attacker):
    """A wei that nobody can commit alone made the next deposit pay for an hour's wait: all of it."""
    market = deploy(queued=True)
    market.seed(minter, 100_000)
    market.token.transfer(attacker, 1, sender=minter)
    market.leave(attacker, 1)
    market.wait(3_000)
    market.wait(2_000)

    market.request(redeemer, 5)
    market.fill(who=attacker)

    assert market.queue.maxMint(redeemer) > wad("4.9")


def test_cancel__by_a_stranger_at_the_venue__costs_one_keeper_deposit_in_two_minutes(
    queued, attacker, outsider
):
    """Of each order that lapsed, the fund lost the keeper's deposit to who cancelled it, without end."""
    queued.adapter.setKeeperDeposit(wad(2), sender=outsider)
    queued.request(attacker, 10)
    equity, orders = queued.vault.equity(), 3
    began = queued.now

    for _ in range(orders):
        queued.commit()
        queued.wait(31)
        queued.adapter.cancel(sender=attacker)
        queued.note()
        with reverts(queued.vault.RetryTooEarly, **{"from": queued.now + RETRY_DELAY}):
            queued.commit()
        queued.wait(RETRY_DELAY)

    assert equity - queued.vault.equity() == orders * wad(2)
    assert queued.now - began >= orders * RETRY_DELAY


def test_request__the_least_that_is_taken__can_be_committed(queued, redeemer):
    """The least request was less than the least batch, by the mint fee."""
    least = queued.vault.roomFor(0).least
    queued.request(redeemer, Decimal(least) / queued.units(1))

    queued.fill()

    assert queued.queue.maxDeposit(redeemer) == least
