"""Requests: what may be asked for, by whom, and how it is taken back (ERC-7540)."""

import pytest
from market import PATIENCE, only, reverts, wad, works

from leverage.types import DAY, WAD, Caps

ZERO = "0x" + "00" * 20


def test_request_deposit__any__waits_in_the_batch_that_collects(queued, redeemer):
    tx = queued.request(redeemer, 1_000)

    log = only(tx, queued.queue.DepositRequest)
    assets = queued.units(1_000)
    assert (log.controller, log.owner, log.requestId, log.sender) == (redeemer, redeemer, 2, redeemer)
    assert log.assets == queued.held() - queued.vault.feesOwed() - queued.idle() == assets
    assert queued.asset.balanceOf(redeemer) == 0
    assert queued.queue.pendingDepositRequest(2, redeemer) == assets
    assert queued.queue.claimableDepositRequest(2, redeemer) == queued.queue.maxDeposit(redeemer) == 0
    assert queued.queue.next() == (assets, 0, queued.now, 0)


def test_request_redeem__any__keeps_the_shares_here(queued, minter):
    tx = queued.leave(minter, wad(1_000))

    log = only(tx, queued.queue.RedeemRequest)
    assert (log.controller, log.owner, log.requestId, log.sender) == (minter, minter, 1, minter)
    assert log.shares == queued.token.balanceOf(queued.queue) == wad(1_000)
    assert queued.queue.pendingRedeemRequest(1, minter) == wad(1_000)
    assert queued.queue.claimableRedeemRequest(1, minter) == queued.queue.maxRedeem(minter) == 0
    assert queued.queue.next() == (0, wad(1_000), 0, queued.now)


def test_request__of_the_standards_form__is_carried_on_when_its_order_fails(queued, minter, redeemer):
    queued.fund(redeemer, queued.units(100))
    queued.queue.requestDeposit(queued.units(100), redeemer, redeemer, sender=redeemer)
    queued.queue.requestRedeem(WAD, minter, minter, sender=minter)
    queued.fail()

    assert queued.queue.pendingDepositRequest(2, redeemer) == queued.units(100)
    assert queued.queue.pendingRedeemRequest(1, minter) == WAD


def test_request__twice__is_one_request(queued, minter, redeemer):
    for _ in range(2):
        queued.request(redeemer, 100)
        queued.leave(minter, wad(5))

    assert queued.queue.pendingDepositRequest(2, redeemer) == queued.units(200)
    assert queued.queue.pendingRedeemRequest(1, minter) == wad(10)


def test_request__while_an_order_is_in_flight__joins_the_next_batch(queued, minter, redeemer):
    queued.request(redeemer, 100)
    queued.leave(minter, WAD)
    queued.commit()

    queued.request(redeemer, 50)
    queued.leave(minter, wad(2))

    assert queued.queue.inFlight() == (queued.units(100), WAD)
    assert queued.queue.next() == (0, 0, 0, 0)
    assert queued.queue.pendingDepositRequest(2, redeemer) == queued.units(100)
    assert queued.queue.pendingDepositRequest(3, redeemer) == queued.units(50)
    assert queued.queue.pendingRedeemRequest(2, minter) == wad(2)


def test_request__of_nothing__reverts(queued, minter, redeemer):
    least = queued.vault.roomFor(0).least
    queued.fund(redeemer, least)

    with reverts(queued.queue.RequestTooSmall, assets=least - 1, min=least):
        queued.queue.requestDeposit(least - 1, redeemer, redeemer, sender=redeemer)
    with reverts(queued.queue.RequestTooSmall, assets=0, min=1):
        queued.queue.requestRedeem(0, minter, minter, sender=minter)


def test_request__for_nobody__reverts(queued, minter, redeemer):
    queued.fund(redeemer, queued.units(100))

    with reverts(queued.queue.ZeroController):
        queued.queue.requestDeposit(queued.units(100), ZERO, redeemer, sender=redeemer)
    with reverts(queued.queue.ZeroController):
        queued.queue.requestRedeem(WAD, ZERO, minter, sender=minter)


def test_request__more_than_one_has__reverts(queued, minter, redeemer):
    held = queued.token.balanceOf(minter)

    with reverts(queued.token.ERC20InsufficientBalance, sender=minter, balance=held, needed=held + 1):
        queued.leave(minter, held + 1)
    assert not works(
        lambda: queued.queue.requestDeposit(queued.units(100), redeemer, redeemer, sender=redeemer)
    )


# Room


def test_request__more_than_the_day_has_left__reverts(deploy, minter, redeemer, outsider):
    market = deploy(queued=True, cap=Caps(daily=2_000 * 10**6, total=10**13))
    market.seed(minter, 1_000)
    market.request(outsider, 400)
    market.fund(redeemer, market.units(1_000))
    left = market.units(600)
    assert market.queue.room() == left

    with reverts(market.queue.DailyCapExceeded, assets=left + 1, left=left):
        market.queue.requestDeposit(left + 1, redeemer, redeemer, sender=redeemer)
    market.request(redeemer, 600)

    assert market.queue.room() == 0


def test_request__the_next_day__has_room_again(deploy, minter, redeemer):
    market = deploy(queued=True, cap=Caps(daily=1_200 * 10**6, total=10**13))
    market.seed(minter, 1_000)
    assert market.near(market.queue.room(), market.units(200))

    market.wait(DAY)
    market.request(redeemer, 1_200)

    assert market.queue.pendingDepositRequest(2, redeemer) == market.units(1_200)
    assert market.queue.room() == 0


def test_request__more_than_the_total_has_left__reverts(deploy, minter, redeemer):
    market = deploy(queued=True, cap=Caps(daily=10**13, total=2_000 * 10**6))
    market.seed(minter, 1_000)
    market.fund(redeemer, market.units(2_000))
    left = market.queue.room()
    assert market.near(left, market.units(1_000))

    with reverts(market.queue.TotalCapExceeded, assets=left + 1, left=left):
        market.queue.requestDeposit(left + 1, redeemer, redeemer, sender=redeemer)
    market.queue.requestDeposit(left, redeemer, redeemer, sender=redeemer)

    assert market.queue.room() == 0


def test_room__while_deposits_are_stopped__reverts_with_the_reason(queued, guardian, outsider):
    queued.terms.pause(3_600, sender=guardian)

    with reverts(queued.vault.MintsPaused, until=queued.terms.pausedUntil()):
        queued.queue.room()
    queued.terms.resume(sender=guardian)
    queued.adapter.liquidate(0, sender=outsider)
    queued.vault.checkRuin(sender=outsider)
    with reverts(queued.vault.VaultRuined):
        queued.queue.room()


def test_request__in_a_pause__waits_within_the_known_room_and_is_refused_after_a_settlement(
    queued, guardian, minter, redeemer, outsider
):
    """What the queue was told at the last settlement holds until the next: deposits wait, exits do not."""
    queued.request(outsider, 100)
    queued.terms.pause(3_600, sender=guardian)

    queued.request(redeemer, 100)
    queued.leave(minter, wad(100))
    queued.fill()

    assert queued.queue.maxRedeem(minter) == wad(100)
    assert queued.queue.pendingDepositRequest(2, redeemer) == queued.units(100)
    queued.fund(outsider, queued.units(100))
    with reverts(queued.vault.MintsPaused, until=queued.terms.pausedUntil()):
        queued.queue.requestDeposit(queued.units(100), outsider, outsider, sender=outsider)
    queued.queue.cancelDepositRequest(2, redeemer, redeemer, sender=redeemer)
    assert queued.asset.balanceOf(redeemer) == queued.units(100)


def test_request__token_keeps_a_cut__reverts(deploy, project, owner, minter):
    asset = project.MockOddERC20.deploy(6, sender=owner)
    market = deploy(asset=asset, queued=True)
    market.fund(minter, market.units(100))
    asset.setCut(WAD // 100, sender=owner)

    with reverts(market.queue.TransferShort, got=market.units(99), wanted=market.units(100)):
        market.queue.requestDeposit(market.units(100), minter, minter, sender=minter)


# Cancelling


def test_cancel_deposit__that_waits__returns_it(queued, redeemer, outsider):
    queued.request(redeemer, 100)

    tx = queued.queue.cancelDepositRequest(2, outsider, redeemer, sender=redeemer)

    log = only(tx, queued.queue.DepositRequestCancelled)
    assert (log.controller, log.receiver, log.requestId, log.sender) == (redeemer, outsider, 2, redeemer)
    assert log.assets == queued.asset.balanceOf(outsider) == queued.units(100)
    assert queued.queue.pendingDepositRequest(2, redeemer) == queued.queue.next()[0] == 0


def test_cancel_redeem__that_waits__returns_the_shares(queued, minter, outsider):
    queued.leave(minter, wad(100))

    tx = queued.queue.cancelRedeemRequest(1, outsider, minter, sender=minter)

    log = only(tx, queued.queue.RedeemRequestCancelled)
    assert (log.controller, log.receiver, log.requestId, log.sender) == (minter, outsider, 1, minter)
    assert log.shares == queued.token.balanceOf(outsider) == wad(100)
    assert queued.token.balanceOf(queued.queue) == 0


def test_cancel__in_flight__reverts(queued, minter, redeemer):
    queued.request(redeemer, 100)
    queued.leave(minter, WAD)
    queued.commit()

    with reverts(queued.queue.RequestInFlight, requestId=2):
        queued.queue.cancelDepositRequest(2, redeemer, redeemer, sender=redeemer)
    with reverts(queued.queue.RequestInFlight, requestId=1):
        queued.queue.cancelRedeemRequest(1, minter, minter, sender=minter)


def test_cancel__settled__reverts(queued, minter, redeemer):
    queued.request(redeemer, 100)
    queued.leave(minter, WAD)
    queued.fill()

    with reverts(queued.queue.RequestSettled, requestId=2):
        queued.queue.cancelDepositRequest(2, redeemer, redeemer, sender=redeemer)
    with reverts(queued.queue.RequestSettled, requestId=1):
        queued.queue.cancelRedeemRequest(1, minter, minter, sender=minter)


@pytest.mark.parametrize("number", [0, 1, 2, 3, 7])
def test_cancel__what_was_never_asked__reverts(queued, outsider, redeemer, number):
    queued.request(redeemer, 100)

    with reverts(queued.queue.NoRequest, requestId=number, controller=outsider):
        queued.queue.cancelDepositRequest(number, outsider, outsider, sender=outsider)
    with reverts(queued.queue.NoRequest, requestId=number, controller=outsider):
        queued.queue.cancelRedeemRequest(number, outsider, outsider, sender=outsider)


def test_cancel__twice__reverts(queued, redeemer):
    queued.request(redeemer, 100)
    queued.queue.cancelDepositRequest(2, redeemer, redeemer, sender=redeemer)

    with reverts(queued.queue.NoRequest, requestId=2, controller=redeemer):
        queued.queue.cancelDepositRequest(2, redeemer, redeemer, sender=redeemer)


def test_cancel__some_of_a_batch__leaves_the_others_in_it(queued, minter, redeemer, outsider):
    queued.request(redeemer, 100)
    queued.request(outsider, 200)

    queued.queue.cancelDepositRequest(2, redeemer, redeemer, sender=redeemer)
    queued.fill()

    assert queued.queue.maxDeposit(outsider) == queued.units(200)
    assert queued.queue.maxDeposit(redeemer) == 0


# Operators


def test_set_operator__on_and_off__is_told(queued, redeemer, outsider):
    for approved in (True, False):
        tx = queued.queue.setOperator(outsider, approved, sender=redeemer)
        log = only(tx, queued.queue.OperatorSet)
        assert (log.controller, log.operator, log.approved) == (redeemer, outsider, approved)
        assert queued.queue.isOperator(redeemer, outsider) is approved
    assert not queued.queue.isOperator(outsider, redeemer)


def test_operator__may_request_cancel_and_claim(queued, minter, outsider, keeper):
    queue = queued.queue
    queued.fund(minter, queued.units(200))
    queue.setOperator(outsider, True, sender=minter)

    tx = queue.requestDeposit(queued.units(100), minter, minter, sender=outsider)
    queue.requestRedeem(wad(100), minter, minter, sender=outsider)
    assert only(tx, queue.DepositRequest).sender == outsider
    queue.cancelDepositRequest(2, minter, minter, sender=outsider)
    queue.cancelRedeemRequest(1, minter, minter, sender=outsider)
    queue.requestDeposit(queued.units(100), minter, minter, sender=outsider)
    queue.requestRedeem(wad(100), minter, minter, sender=outsider)
    queued.fill()
    queue.deposit(queue.maxDeposit(minter), keeper, minter, sender=outsider)
    queue.redeem(queue.maxRedeem(minter), keeper, minter, sender=outsider)

    assert queued.token.balanceOf(keeper) > 0
    assert queued.asset.balanceOf(keeper) > 0


def test_stranger__may_neither_request_with_others_funds_nor_cancel_nor_claim(queued, minter, attacker):
    queue = queued.queue
    queued.request(minter, 100)
    queued.leave(minter, wad(100))
    refused = {"caller": attacker, "controller": minter}

    with reverts(queue.NotOperator, **refused):
        queue.requestDeposit(queued.units(1), attacker, minter, sender=attacker)
    with reverts(queued.token.ERC20InsufficientAllowance, spender=attacker, allowance=0, needed=1):
        queue.requestRedeem(1, attacker, minter, sender=attacker)
    with reverts(queue.NotOperator, **refused):
        queue.cancelDepositRequest(2, attacker, minter, sender=attacker)
    with reverts(queue.NotOperator, **refused):
        queue.cancelRedeemRequest(1, attacker, minter, sender=attacker)
    queued.fill()
    for claim in (queue.deposit, queue.mint, queue.redeem, queue.withdraw):
        with reverts(queue.NotOperator, **refused):
            claim(1, attacker, minter, sender=attacker)


def test_request_redeem__with_an_allowance__spends_it(queued, minter, outsider):
    queued.token.approve(outsider, wad(5), sender=minter)

    queued.queue.requestRedeem(wad(5), outsider, minter, sender=outsider)

    assert queued.token.allowance(minter, outsider) == 0
    assert queued.queue.pendingRedeemRequest(1, outsider) == wad(5)
    with reverts(queued.token.ERC20InsufficientAllowance, spender=outsider, allowance=0, needed=1):
        queued.queue.requestRedeem(1, outsider, minter, sender=outsider)


def test_request__for_another_controller__is_his(queued, minter, redeemer, outsider):
    queued.request(redeemer, 100, controller=outsider)
    queued.fill()

    assert queued.queue.maxDeposit(redeemer) == 0
    assert queued.queue.maxDeposit(outsider) == queued.units(100)


def test_request__waits_longer_than_patience__is_not_refunded_without_a_failure(queued, redeemer):
    queued.request(redeemer, 100)
    queued.wait(3_000)
    queued.wait(PATIENCE)

    queued.fill()

    assert queued.queue.maxDeposit(redeemer) == queued.units(100)


# The vault's doors


def test_vaults_doors__anybody_else__reverts(queued, attacker, owner):
    queue = queued.queue
    for caller in (attacker, owner):
        for door, arguments in (
            (queue.commit, (True, True, 1, caller)),
            (queue.settle, (True, 1, 1, 0, 1, 1)),
            (queue.fail, (True,)),
            (queue.refund, (1,)),
            (queue.writeOff, (1,)),
            (queue.close, ()),
            (queue.pay, (caller, 1)),
        ):
            with reverts(queue.OnlyVault, caller=caller, vault=queued.vault):
                door(*arguments, sender=caller)
        with reverts(queue.AlreadyBound, vault=queued.vault):
            queue.bind(queued.token, sender=caller)


def test_deploy__queue_of_another_collateral_or_vault__reverts(project, deploy, world, queued, owner):
    from dataclasses import astuple

    from market import FEES, caps, policy

    adapter = project.MockDelayedVenue.deploy(world.assets[6], sender=owner)
    adapter.setMaxLeverage(wad(10), sender=owner)
    config = (
        "A", "A", 3 * WAD, adapter, queued.oracle, world.direct, world.direct,
        astuple(policy(3 * WAD)), astuple(FEES), astuple(caps(6)),
    )  # fmt: skip
    other = project.RequestQueue.deploy(world.assets[18], sender=owner)

    with reverts(queued.vault.WrongAsset, asset=world.assets[18], expected=world.assets[6]):
        project.QueuedVault.deploy(config, other, sender=owner)
    with reverts(queued.queue.AlreadyBound, vault=queued.vault):
        project.QueuedVault.deploy(config, queued.queue, sender=owner)
