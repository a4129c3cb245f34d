"""Rebalances of a queued vault: part of a commit's one order (E-5, E-6)."""

import pytest
from market import NO_FEES, RETRY_DELAY, only, reverts, wad

from leverage import leverage_math as lm
from leverage.types import WAD, Trigger

TARGET = 3 * WAD


def committed(market, who=None):
    return only(market.commit(who), market.vault.Committed)


def test_commit__nothing_waits_and_nothing_is_due__reverts(queued):
    with reverts(queued.vault.NothingDue, leverage=TARGET, target=TARGET):
        queued.commit()


def test_commit__scheduled__is_the_keepers_first_and_then_anyones(queued, keeper, outsider):
    queued.price(2_050)
    queued.wait_until(120, day=1)
    assert queued.vault.due(keeper) == Trigger.SCHEDULED
    with reverts(queued.vault.NothingDue, leverage=queued.vault.leverage(), target=TARGET):
        queued.commit(outsider)
    queued.wait(1_800)

    log = committed(queued, outsider)
    queued.wait(2)
    settled = only(queued.settle(outsider), queued.vault.Rebalanced)

    assert (log.trigger, settled.trigger) == (Trigger.SCHEDULED, Trigger.SCHEDULED)
    assert log.sizeDelta == settled.size > 0
    assert settled.leverageAfter == pytest.approx(TARGET, rel=1e-5)
    assert queued.vault.snapshot().rebalancing.chunk == Trigger.NONE
    with reverts(queued.vault.NothingDue, leverage=queued.vault.leverage(), target=TARGET):
        queued.commit(keeper)


def test_commit__scheduled_and_late__is_tipped_by_the_fund(queued, outsider):
    queued.price(2_050)
    queued.wait_until(120 + 1_800 + 600, day=1)

    log = only(queued.fill(who=outsider), queued.vault.Rebalanced)

    tip = wad("0.6") + wad("0.002")
    assert log.tipShares * queued.vault.nav() // WAD == pytest.approx(tip, rel=1e-3)
    assert log.fee == pytest.approx(tip, rel=1e-9)


def test_commit__above_the_band__reduces_at_once_and_keeps_deposits_waiting(queued, redeemer, outsider):
    queued.request(redeemer, 1_000)
    queued.price(1_750)
    assert queued.vault.leverage() > wad(4)

    log = committed(queued, outsider)
    queued.wait(2)
    queued.settle()

    assert (log.trigger, log.assets) == (Trigger.EMERGENCY, 0)
    assert log.sizeDelta < 0
    assert queued.vault.leverage() == pytest.approx(TARGET, rel=1e-4)
    queued.fill()
    assert queued.queue.maxDeposit(redeemer) == queued.units(1_000)


def test_commit__below_the_band__buys_with_deposits_at_the_leverage_after_it(deploy, minter, redeemer):
    market = deploy(queued=True, fees=NO_FEES, tip_rate=0)
    market.seed(minter, 10_000)
    market.price(2_700)
    snap = market.vault.snapshot()
    market.request(redeemer, 2_000)

    log = committed(market)
    market.wait(2)
    market.settle()

    wanted = lm.size_to_leverage(TARGET, snap.equity, snap.size, snap.price)
    assert log.trigger == Trigger.BAND
    assert log.sizeDelta == wanted + lm.joining(snap.size + wanted, wad(2_000), snap.equity)
    assert market.vault.leverage() == pytest.approx(TARGET, rel=1e-9)
    assert market.vault.nav() == pytest.approx(snap.nav, rel=1e-9)


def test_commit__leavers_with_a_rebalance__close_their_part_and_are_spared_the_rest(deploy, minter, redeemer):
    market = deploy(queued=True, fees=NO_FEES, tip_rate=0)
    market.seed(minter, 10_000)
    market.price(2_050)
    market.wait_until(120 + 1_800, day=1)
    snap = market.vault.snapshot()
    market.leave(minter, wad(4_000))

    log = committed(market)
    market.wait(2)
    market.settle()

    wanted = lm.size_to_leverage(TARGET, snap.equity, snap.size, snap.price)
    assert log.sizeDelta == pytest.approx(-wad(6) + wanted * 6 // 10, abs=2)
    assert market.vault.leverage() == pytest.approx(TARGET, rel=1e-9)
    assert market.queue.maxRedeem(minter) == wad(4_000)


def test_commit__more_than_a_chunk__goes_in_several(deploy, minter, outsider):
    market = deploy(queued=True, max_notional=wad(4_000))
    market.seed(minter, 10_000)
    market.price(1_780)

    sizes = []
    for _ in range(4):
        log = only(market.fill(who=outsider), market.vault.Rebalanced)
        sizes.append(lm.notional(log.size, wad(1_780)))
        if market.vault.snapshot().rebalancing.chunk == Trigger.NONE:
            break
        market.wait(60)

    assert sizes[0] == pytest.approx(-wad(4_000), abs=10**6)
    assert 1 < len(sizes) < 4
    assert market.vault.leverage() == pytest.approx(TARGET, abs=wad("0.02"))


def test_commit__paused__lets_a_rebalance_lower_leverage_only(queued, guardian, keeper):
    queued.terms.pause(7 * 86_400, sender=guardian)
    queued.price(2_050)
    queued.wait_until(120, day=1)
    with reverts(queued.vault.NothingDue, leverage=queued.vault.leverage(), target=TARGET):
        queued.commit(keeper)

    queued.price(1_950)
    log = committed(queued, keeper)

    assert log.trigger == Trigger.SCHEDULED
    assert log.sizeDelta < 0


def test_commit__the_venue_is_off__lets_a_rebalance_lower_leverage_only(queued, keeper):
    queued.price(2_060, 2_110)
    queued.wait_until(120, day=1)
    with reverts(queued.vault.NothingDue, leverage=queued.vault.leverage(), target=TARGET):
        queued.commit(keeper)

    queued.price(1_950, 2_000)
    log = committed(queued, keeper)

    assert log.sizeDelta < 0


def test_commit__a_rebalance_fills_too_far_off__leavers_go_without_it(queued, minter, keeper, outsider):
    """PriceBeyondLimit: 2 % are too far for a rebalance, and not for who leaves."""
    queued.price(2_050)
    queued.wait_until(120, day=1)
    queued.adapter.setSlippage(wad("0.02"), sender=outsider)
    worst = lm.worst_price(wad(2_050), 1, wad("0.01"))
    with reverts(queued.vault.PriceBeyondLimit, price=wad(2_091), worst=worst):
        queued.commit(keeper)
    queued.leave(minter, wad(1_000))

    log = committed(queued, keeper)

    assert (log.trigger, log.shares) == (Trigger.NONE, wad(1_000))


def test_fail__of_a_rebalance_alone__is_tried_again_at_once(queued, keeper):
    queued.price(2_050)
    queued.wait_until(120, day=1)
    queued.fail(keeper)

    queued.fill(who=keeper)

    assert queued.vault.leverage() == pytest.approx(TARGET, rel=1e-5)


def test_fail__of_users_and_a_rebalance__the_rebalance_may_go_at_once(queued, minter, keeper):
    queued.leave(minter, wad(100))
    queued.price(2_050)
    queued.wait_until(120, day=1)
    queued.fail(keeper)

    log = committed(queued, keeper)

    assert log.trigger == Trigger.SCHEDULED


def test_commit_exits__deposits_and_a_rise_of_leverage__stay_behind(queued, minter, redeemer, keeper):
    queued.request(redeemer, 500)
    queued.leave(minter, wad(100))
    queued.price(2_050)
    queued.wait_until(120, day=1)

    log = only(queued.vault.commitExits(sender=keeper), queued.vault.Committed)

    assert (log.trigger, log.assets, log.shares) == (Trigger.NONE, 0, wad(100))
    assert queued.queue.next()[0] == queued.units(500)


def test_commit_exits__nobody_leaves__reverts(queued, redeemer):
    queued.request(redeemer, 500)

    with reverts(queued.vault.NothingDue, leverage=TARGET, target=TARGET):
        queued.vault.commitExits(sender=redeemer)


def test_rebalance__its_cost__is_the_stayers_alone(deploy, minter, redeemer, outsider):
    """Entrants trade with it and bear their part by size, leavers against it and bear nothing (E-3)."""
    market = deploy(queued=True, fees=NO_FEES, tip_rate=0)
    market.seed(minter, 10_000)
    market.adapter.setFeeRate(wad("0.001"), sender=outsider)
    market.price(2_050)
    market.wait_until(120 + 1_800, day=1)
    nav = market.vault.nav()
    market.request(redeemer, 1_000)
    market.leave(minter, wad(500))

    log = only(market.fill(), market.vault.Rebalanced)

    assert market.queue.maxWithdraw(minter) == pytest.approx(500 * nav // market.scale, abs=1)
    entrants = 1_000 * WAD - market.queue.maxMint(redeemer) * nav // WAD
    fund = (nav - market.vault.nav()) * market.token.totalSupply() // WAD
    cost = lm.fee_up(lm.notional(market.size() - wad(15), wad(2_050)), wad("0.001"))
    assert entrants + fund == pytest.approx(cost, rel=1e-3)
    assert log.fee == pytest.approx(fund, rel=1e-2)
    market.lines()


def test_retry__after_two_minutes__is_open(queued, redeemer):
    queued.request(redeemer, 100)
    queued.fail()
    queued.wait(RETRY_DELAY - 1)
    with reverts(queued.vault.RetryTooEarly, **{"from": queued.now + 1}):
        queued.commit()
    queued.wait(1)

    assert committed(queued).assets == queued.units(100)
