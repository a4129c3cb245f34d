"""Cash in transit and ruin: what the venue holds back, and what it never returns (E-8, I-1)."""

from market import RETRY_DELAY, only, reverts, wad


def test_collect_cash__the_venue_pays_in_part__takes_what_there_is(free, minter, outsider):
    # 15,000 that are left need 10,000 at 1.5: nothing is free; at 1.6 it is 625.
    free.adapter.setMaxLeverage(wad("1.6"), sender=outsider)
    free.leave(minter, wad(5_000))
    free.fill()
    assert free.near(free.vault.cashShort(), free.units(4_375))
    assert free.queue.maxRedeem(minter) == 0
    assert free.queue.pendingRedeemRequest(1, minter) == wad(5_000)

    free.adapter.setMaxLeverage(wad(10), sender=outsider)
    log = only(free.vault.collectCash(sender=outsider), free.vault.CashCollected)

    assert free.near(log.assets, free.units(4_375))
    assert log.cashShort == free.vault.cashShort() == 0
    assert free.queue.maxRedeem(minter) == wad(5_000)


def test_cash_short__deposits_of_the_next_batch__pay_it(free, minter, redeemer, outsider):
    free.adapter.fail("", "held back", sender=outsider)
    free.leave(minter, wad(5_000))
    free.fill()
    assert free.vault.cashShort() > 0

    free.request(redeemer, 6_000)
    free.fill()

    assert free.vault.cashShort() == 0
    assert free.queue.maxRedeem(minter) == wad(5_000)
    free.claim(minter)
    free.claim(redeemer)
    assert free.near(free.asset.balanceOf(minter), free.units(5_000))


def test_cash_short__deposits_that_wait__can_be_taken_back(free, minter, redeemer, outsider):
    free.adapter.fail("", "held back", sender=outsider)
    free.leave(minter, wad(5_000))
    free.fill()
    free.request(redeemer, 100)

    free.queue.cancelDepositRequest(2, redeemer, redeemer, sender=redeemer)

    assert free.asset.balanceOf(redeemer) == free.units(100)


def test_fail__a_deposits_margin_is_held_back__it_waits_and_then_its_owner_has_it(free, redeemer, outsider):
    free.adapter.fail("", "held back", sender=outsider)
    free.request(redeemer, 5_000, refunded=True)
    free.fail()
    assert free.vault.cashShort() == 0
    with reverts(free.queue.RequestInFlight, requestId=2):
        free.queue.cancelDepositRequest(2, redeemer, redeemer, sender=redeemer)

    free.adapter.fail("", "", sender=outsider)
    free.vault.collectCash(sender=outsider)

    assert free.queue.refundableDepositRequest(2, redeemer) == free.units(5_000)
    free.queue.cancelDepositRequest(2, redeemer, redeemer, sender=redeemer)
    assert free.asset.balanceOf(redeemer) == free.units(5_000)


def test_fail__a_deposits_margin_is_held_back__leavers_go_meanwhile(free, minter, redeemer, outsider):
    free.adapter.fail("", "held back", sender=outsider)
    free.request(redeemer, 5_000)
    free.fail()
    free.wait(RETRY_DELAY)
    free.leave(minter, wad(1_000))
    free.fill()

    free.adapter.fail("", "", sender=outsider)
    free.vault.collectCash(sender=outsider)

    assert free.queue.maxRedeem(minter) == wad(1_000)
    assert free.queue.next()[0] == free.units(5_000)


def test_settle__a_small_batch__moves_no_margin(free, minter, redeemer):
    """A tenth of equity lies in the queue as cash: deposits fill it, leavers are paid out of it."""
    before = free.cash()
    free.request(redeemer, 500)
    free.commit()
    assert free.adapter.position().cash == before
    free.wait(2)
    free.settle()
    assert free.idle() == free.units(500)

    free.leave(minter, wad(400))
    free.fill()

    assert free.near(free.idle(), free.units(100))
    assert free.vault.cashShort() == 0


# Ruin


def test_ruin__liquidated__the_rest_is_paid_in_proportion(free, minter, redeemer, outsider):
    free.token.transfer(redeemer, wad(2_500), sender=minter)
    free.adapter.liquidate(wad(400), sender=outsider)
    free.vault.checkRuin(sender=outsider)

    for who in (redeemer, minter):
        free.leave(who)
        free.commit()
        free.claim(who)

    assert free.near(free.asset.balanceOf(redeemer), free.units(100))
    assert free.near(free.asset.balanceOf(minter), free.units(300))
    assert free.token.totalSupply() == 0


def test_ruin__in_flight__the_deposits_margin_is_lost_and_nobody_elses(free, minter, redeemer, outsider):
    """A deposit whose margin was at the venue when all was lost: who waited beside it keeps his."""
    free.request(redeemer, 5_000)
    free.commit()
    free.request(outsider, 700)
    free.adapter.liquidate(0, sender=outsider)

    free.note()

    assert free.vault.isRuined()
    assert free.queue.refundableDepositRequest(2, redeemer) == 0
    free.queue.cancelDepositRequest(3, outsider, outsider, sender=outsider)
    assert free.asset.balanceOf(outsider) == free.units(700)


def test_ruin__in_flight_and_half_is_left__the_deposit_gets_it_first(free, minter, redeemer, outsider):
    free.request(redeemer, 5_000)
    free.commit()
    free.adapter.liquidate(wad(2_000), sender=outsider)

    free.note()
    free.queue.cancelDepositRequest(2, redeemer, redeemer, sender=redeemer)

    assert free.asset.balanceOf(redeemer) == free.units(2_000)
    assert free.vault.equity() <= 0


def test_ruin__by_price__leavers_get_what_closing_leaves(free, minter, outsider):
    """Below zero the venue takes no order but its own liquidation; what is left above it is the leavers'."""
    free.price(1_300)
    free.vault.checkRuin(sender=outsider)
    free.leave(minter)
    with reverts(free.adapter.MarginShort, margin=free.vault.equity(), min=0):
        free.commit()

    free.price(1_500)
    free.fill()

    assert free.vault.isRuined()
    assert free.near(free.queue.maxWithdraw(minter), free.units(2_500))


def test_ruin__recorded__closes_deposits_and_leaves_claims_open(free, minter, redeemer, outsider):
    free.request(redeemer, 1_000)
    free.leave(minter, wad(1_000))
    free.fill()
    free.adapter.liquidate(0, sender=outsider)
    log = only(free.vault.checkRuin(sender=outsider), free.vault.Ruined)
    assert log.size == 0

    free.claim(minter)
    free.claim(redeemer)

    assert free.near(free.asset.balanceOf(minter), free.units(1_000))
    assert free.token.balanceOf(redeemer) > 0
    with reverts(free.vault.VaultRuined):
        free.request(redeemer, 100)
