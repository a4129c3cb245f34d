"""Batches: many requests at the price of one, in whatever order they come, go, fill and fail."""

import pytest
from market import PATIENCE, RETRY_DELAY, reverts, wad

from leverage.types import WAD


def test_commit__nothing_on_one_side__leaves_that_batch_collecting(free, minter, redeemer):
    free.leave(minter, wad(100))
    free.fill()

    free.request(redeemer, 100)
    assert free.queue.pendingDepositRequest(2, redeemer) == free.units(100)
    free.leave(minter, wad(100))
    free.fill()

    assert free.queue.maxDeposit(redeemer) == free.units(100)
    assert free.queue.maxRedeem(minter) == wad(200)


def test_settle__requests_of_two_batches__are_of_their_own_prices(free, redeemer):
    free.request(redeemer, 100)
    free.commit()
    free.request(redeemer, 300)
    free.wait(2)
    free.settle()
    first = free.queue.maxMint(redeemer)
    free.price(2_100)
    free.fill()

    assert first == pytest.approx(wad(100), abs=10**7)
    assert free.queue.maxMint(redeemer) - first == pytest.approx(wad(300) * 100 // 115, rel=1e-9)


# Failures


@pytest.mark.parametrize("refunded", [False, True], ids=["carried on", "refunded"])
def test_fail__as_its_owner_chose__is_refunded_or_carried_on(free, minter, redeemer, refunded):
    free.request(redeemer, 100, refunded=refunded)
    free.leave(minter, wad(100), refunded=refunded)
    free.fail()

    back = (free.queue.refundableDepositRequest(2, redeemer), free.queue.refundableRedeemRequest(1, minter))
    waits = (free.queue.pendingDepositRequest(2, redeemer), free.queue.pendingRedeemRequest(1, minter))
    everything, nothing = (free.units(100), wad(100)), (0, 0)

    assert back == (everything if refunded else nothing)
    assert waits == (nothing if refunded else everything)
    assert free.queue.next()[:2] == waits
    # Either can be taken back now.
    free.queue.cancelDepositRequest(2, redeemer, redeemer, sender=redeemer)
    free.queue.cancelRedeemRequest(1, minter, minter, sender=minter)
    assert free.asset.balanceOf(redeemer) == free.units(100)
    assert free.token.balanceOf(minter) == wad(10_000)


def test_fail__older_than_an_hour__refunds_everybody(free, minter, redeemer):
    """I-6: every request ends by its deadline."""
    free.request(redeemer, 100)
    free.leave(minter, wad(100))
    free.wait(PATIENCE)

    free.fail()

    assert free.queue.refundableDepositRequest(2, redeemer) == free.units(100)
    assert free.queue.refundableRedeemRequest(1, minter) == wad(100)
    assert free.queue.next() == (0, 0, 0, 0)


def test_fail__carried_on__waits_two_minutes_and_is_filled_before_what_came_later(free, redeemer, outsider):
    free.request(redeemer, 100)
    free.commit()
    free.request(outsider, 200)
    free.lapse()
    with reverts(free.vault.RetryTooEarly, **{"from": free.now + RETRY_DELAY}):
        free.commit()
    free.wait(RETRY_DELAY)

    free.fill()
    assert (free.queue.maxDeposit(redeemer), free.queue.maxDeposit(outsider)) == (free.units(100), 0)
    free.fill()

    assert free.queue.maxDeposit(outsider) == free.units(200)


def test_fail__all_of_a_batch_took_it_back__the_next_is_committed(free, redeemer, outsider):
    free.request(redeemer, 100)
    free.commit()
    free.request(outsider, 200)
    free.lapse()
    free.queue.cancelDepositRequest(2, redeemer, redeemer, sender=redeemer)
    free.wait(RETRY_DELAY)

    free.fill()

    assert free.queue.maxDeposit(outsider) == free.units(200)
    assert free.queue.maxDeposit(redeemer) == 0


def test_refund__in_flight_again__can_be_taken_all_the_same(free, redeemer, outsider):
    free.request(redeemer, 100, refunded=True)
    free.request(outsider, 200)
    free.fail()
    free.wait(RETRY_DELAY)
    free.commit()

    free.queue.cancelDepositRequest(2, redeemer, redeemer, sender=redeemer)
    free.wait(2)
    free.settle()

    assert free.asset.balanceOf(redeemer) == free.units(100)
    assert free.queue.maxDeposit(outsider) == free.units(200)


def test_refund__of_an_old_batch__is_kept_under_the_id_0(free, redeemer):
    for _ in range(2):
        free.request(redeemer, 100, refunded=True)
        free.fail()
        free.wait(RETRY_DELAY)
        free.request(redeemer, 50)
        free.fill()

    zero = free.queue.refundableDepositRequest(0, redeemer)
    assert zero > 0
    free.queue.cancelDepositRequest(0, redeemer, redeemer, sender=redeemer)
    assert free.asset.balanceOf(redeemer) == zero
    with reverts(free.queue.NoRequest, requestId=0, controller=redeemer):
        free.queue.cancelDepositRequest(0, redeemer, redeemer, sender=redeemer)


# Partial fills


def test_settle__filled_in_part__settles_that_part_of_everybody_and_returns_the_rest(
    free, minter, redeemer, outsider
):
    free.request(redeemer, 1_000)
    free.request(outsider, 3_000)
    free.leave(minter, wad(400))
    free.commit()
    free.wait(2)
    free.adapter.setFillRatio(WAD * 3 // 4, sender=outsider)
    free.settle()

    assert free.near(free.queue.maxDeposit(redeemer), free.units(750))
    assert free.near(free.queue.refundableDepositRequest(2, redeemer), free.units(250))
    assert free.queue.maxRedeem(minter) == pytest.approx(wad(300), abs=10**3)
    assert free.queue.maxWithdraw(minter) == pytest.approx(free.units(300), abs=2)
    assert free.vault.nav() == pytest.approx(WAD, abs=10**7)
    for who in (redeemer, outsider):
        free.queue.cancelDepositRequest(2, who, who, sender=who)
        free.claim(who)
    free.queue.cancelRedeemRequest(1, minter, minter, sender=minter)
    free.claim(minter)
    assert free.asset.balanceOf(redeemer) == pytest.approx(free.units(250), abs=1)
    assert free.asset.balanceOf(outsider) == pytest.approx(free.units(750), abs=1)
    assert free.token.balanceOf(redeemer) == pytest.approx(wad(750), abs=10**7)
    assert free.token.balanceOf(minter) == pytest.approx(wad(9_700), abs=10**3)


@pytest.mark.parametrize("first", ["claim", "cancel"])
def test_part__claimed_and_taken_back_in_any_order__is_the_whole(free, redeemer, outsider, first):
    free.request(redeemer, 1_000)
    free.commit()
    free.wait(2)
    free.adapter.setFillRatio(WAD // 3, sender=outsider)
    free.settle()
    claimable = free.queue.maxDeposit(redeemer)

    def cancel():
        free.queue.cancelDepositRequest(2, redeemer, redeemer, sender=redeemer)

    if first == "cancel":
        cancel()
        assert free.queue.maxDeposit(redeemer) == claimable
        free.claim(redeemer)
    else:
        free.claim(redeemer)
        cancel()

    assert free.asset.balanceOf(redeemer) == free.units(1_000) - claimable
    assert free.queue.maxDeposit(redeemer) == free.queue.refundableDepositRequest(2, redeemer) == 0
    with reverts(free.queue.NoRequest, requestId=2, controller=redeemer):
        cancel()


def test_settle__nothing_is_filled__fails(free, redeemer, outsider):
    free.request(redeemer, 1_000)
    free.commit()
    free.wait(2)
    free.adapter.setFillRatio(0, sender=outsider)

    free.settle()

    assert free.queue.pendingDepositRequest(2, redeemer) == free.queue.next()[0] == free.units(1_000)


# What many cost


def test_gas__of_many_batches__is_that_of_one(free, redeemer):
    used = []
    for _ in range(4):
        free.request(redeemer, 100)
        commit = free.commit()
        free.wait(2)
        used.append((commit.gas_used, free.settle().gas_used))

    for first, last in zip(used[1], used[-1], strict=True):
        assert abs(last - first) < 1_000
