"""Settlement: everybody at the fill, to the unit, and who bears what (E-2, E-3, E-9)."""

import pytest
from market import FEES, only, wad

from leverage import leverage_math as lm
from leverage.types import WAD, Trigger


def test_settle__a_deposit__gets_shares_at_the_fill(queued, redeemer, outsider):
    queued.request(redeemer, 1_000)
    tx = queued.commit(outsider)
    log = only(tx, queued.vault.Committed)
    assert (log.caller, log.trigger, log.shares) == (outsider, Trigger.NONE, 0)
    assert (log.assets, log.price) == (queued.units(1_000), wad(2_000))
    assert log.sizeDelta == lm.joining(wad(15), wad(999), queued.vault.equity())
    queued.wait(2)
    queued.price(2_010)
    snap = queued.vault.snapshot()

    tx = queued.settle(outsider)

    log = only(tx, queued.vault.Settled)
    tips = wad("0.002")
    minted = lm.to_shares_down(wad(999) - tips, snap.equity, snap.supply)
    assert (log.caller, log.price, log.assetsPaid) == (outsider, wad(2_010), 0)
    assert log.sharesMinted == queued.queue.maxMint(redeemer) == minted
    assert (
        log.tipShares == queued.token.balanceOf(outsider) == lm.to_shares_down(tips, snap.equity, snap.supply)
    )
    assert queued.vault.nav() == pytest.approx(snap.nav, rel=1e-12)
    assert queued.vault.mintedToday() == queued.units(10_999)


def test_settle__a_redemption__gets_its_part_at_the_fill(free, minter, outsider):
    free.leave(minter, wad(2_500))
    log = only(free.commit(), free.vault.Committed)
    assert (log.assets, log.shares, log.sizeDelta) == (0, wad(2_500), -wad("3.75"))
    free.wait(2)
    free.price(1_990)
    snap = free.vault.snapshot()

    log = only(free.settle(outsider), free.vault.Settled)

    paid = lm.portion_down(snap.equity, wad(2_500), snap.supply) // free.scale
    assert (log.size, log.assetsPaid, log.sharesMinted) == (-wad("3.75"), paid, 0)
    assert free.queue.maxWithdraw(minter) == paid
    assert free.token.totalSupply() == wad(7_500)
    assert free.vault.nav() >= snap.nav


def test_settle__both_sides_with_a_cost__bear_it_by_size_where_they_trade_with_the_order(
    free, minter, redeemer, outsider
):
    """3,000 in against 1,000 out: entrants' size is the order's, and bears all; leavers crossed inside."""
    free.adapter.setFeeRate(wad("0.001"), sender=outsider)
    free.request(redeemer, 3_000)
    free.leave(minter, wad(1_000))
    free.commit()
    free.wait(2)
    snap = free.vault.snapshot()

    log = only(free.settle(), free.vault.Settled)

    # The net order of 6,000 less what the entrants' cost takes from their part.
    cost = wad(3_000) - log.sharesMinted * (snap.equity + 10**12) // (snap.supply + 10**12)
    assert cost == pytest.approx(lm.fee_up(log.size * 2_000, wad("0.001")), abs=10**7)
    assert log.size == pytest.approx(wad("2.991"), abs=wad("0.001"))
    assert log.assetsPaid == free.units(1_000)
    assert WAD <= free.vault.nav() < WAD + 10**10


def test_settle__two_kinds_cross_exactly__only_a_wei_is_traded(free, minter, redeemer, outsider):
    free.adapter.setFeeRate(wad("0.01"), sender=outsider)
    free.request(redeemer, 1_000)
    free.leave(minter, wad(1_000))

    log = only(free.fill(), free.vault.Settled)

    assert abs(log.size) == 1
    assert log.sharesMinted == pytest.approx(wad(1_000), abs=10**7)
    assert free.near(log.assetsPaid, free.units(1_000))


@pytest.mark.parametrize("side", ["in", "out"])
def test_settle__a_fill_better_than_the_index__is_the_leavers_and_the_funds(
    free, minter, redeemer, outsider, side
):
    """E-2: what an entrance gains stays with the fund, what a leaver's sale gains is his."""
    free.adapter.setSlippage(-wad("0.004"), sender=outsider)
    if side == "in":
        free.request(redeemer, 1_000)
    else:
        free.leave(minter, wad(1_000))

    log = only(free.fill(), free.vault.Settled)

    if side == "in":
        # 3,000 at 40 bp, for 10,000 shares and the 1,000 new ones.
        assert log.sharesMinted == pytest.approx(wad(1_000), abs=10**7)
        assert free.vault.nav() - WAD == pytest.approx(wad(12) // 11_000, rel=1e-6)
    else:
        assert free.near(log.assetsPaid, free.units(1_012))
        assert WAD <= free.vault.nav() < WAD + 10**10


def test_settle__everybody_leaves__gets_all_there_is(free, minter, outsider):
    free.adapter.setFeeRate(wad("0.001"), sender=outsider)
    free.leave(minter)

    log = only(free.fill(), free.vault.Settled)

    assert free.near(log.assetsPaid, free.units(9_970))
    assert free.token.totalSupply() == free.size() == 0
    assert free.vault.equity() < free.scale


def test_settle__the_first_deposit__is_at_target_and_one_for_one(deploy, minter):
    market = deploy(-3, queued=True)
    market.request(minter, 1_000)

    log = only(market.fill(), market.vault.Settled)

    tips = wad("0.002")
    assert log.sharesMinted == wad(999) - tips
    assert market.vault.leverage() == pytest.approx(-3 * WAD, rel=1e-5)
    assert market.vault.snapshot().rebalancing.price == wad(2_000)


def test_settle__entrants_and_leavers__keep_leverage_and_nav(free, minter, redeemer):
    """I-2, I-4: away from target, at any mixture of the two."""
    free.price(2_050)
    before = free.vault.snapshot()

    for brought, left in ((700, 0), (0, 300), (200, 900), (900, 200)):
        if brought:
            free.request(redeemer, brought)
        if left:
            free.leave(minter, wad(left))
        free.fill()

    after = free.vault.snapshot()
    assert before.nav <= after.nav < before.nav + 10**10
    assert after.leverage == pytest.approx(before.leverage, rel=1e-9)


# The ledger


def test_ledger__after_any_settlement__closes_and_has_each_line_where_it_belongs(
    queued, minter, redeemer, outsider, keeper
):
    """I-10: price, funding, a management fee; users' costs in no line, a rebalance's in theirs."""
    queued.adapter.setFeeRate(wad("0.001"), sender=outsider)
    queued.adapter.setSlippage(wad("0.002"), sender=outsider)
    queued.request(redeemer, 1_000)
    queued.fill()
    lines = queued.lines()
    assert lines["price"] == lines["funding"] == 0
    assert abs(lines["venueFee"]) < 10**6 and abs(lines["slippage"]) < 10**6
    assert lines["managementFee"] < 0

    queued.price(2_020)
    queued.adapter.fund(wad(11), sender=outsider)
    queued.leave(minter, wad(1_000))
    queued.fill()
    lines = queued.lines()
    assert lines["price"] == pytest.approx(wad("0.03"), rel=1e-3)
    assert lines["funding"] == pytest.approx(wad("0.001"), rel=1e-3)
    assert abs(lines["venueFee"]) < 10**6 and abs(lines["slippage"]) < 10**6

    queued.price(2_150)
    queued.wait_until(120, day=1)
    log = only(queued.fill(who=keeper), queued.vault.Rebalanced)
    lines = queued.lines()
    supply = queued.token.totalSupply()
    assert lines["venueFee"] == pytest.approx(-log.fee * WAD // supply, rel=1e-6)
    assert lines["slippage"] == pytest.approx(-log.slippage * WAD // supply, rel=1e-6)
    assert abs(lines["rounding"]) < 10**10


def test_ledger__the_same_in_any_order_of_telling__closes(queued, minter, redeemer, outsider):
    """A stranger's execution, an accrual while it is filled, a late note."""
    queued.request(redeemer, 2_000)
    queued.leave(minter, wad(500))
    queued.commit()
    queued.wait(5)
    queued.adapter.execute(wad(2_010), sender=outsider)
    queued.vault.accrue(sender=outsider)
    queued.lines()
    queued.wait(30)
    queued.price(2_030)

    queued.note()

    queued.lines()


# Tips


def test_tip__commit_late_and_settle_by_another__is_shared_by_both(queued, redeemer, outsider, attacker):
    queued.request(redeemer, 1_000)
    queued.wait(3_000)
    queued.commit(outsider)
    queued.wait(10)

    log = only(queued.settle(attacker), queued.vault.Settled)

    first, second = queued.token.balanceOf(outsider), queued.token.balanceOf(attacker)
    assert first + second == log.tipShares
    assert first == pytest.approx(wad(3), rel=1e-3)
    assert second == pytest.approx(wad("0.01"), rel=1e-3)
    assert queued.queue.maxMint(redeemer) == pytest.approx(wad("995.99"), rel=1e-4)


def test_tip__of_long_waits__is_a_hundredth_at_most(queued, redeemer, outsider):
    queued.request(redeemer, 50)
    for _ in range(2):
        queued.wait(3_500)

    queued.fill(who=outsider)

    # Half a unit for the commit, and 0.002 for two seconds until the fill.
    assert queued.token.balanceOf(outsider) == pytest.approx(wad("0.502"), rel=1e-3)


def test_tip__the_venues_reward__replaces_the_late_one(queued, redeemer, outsider):
    """Who executes through the vault gets what a stranger would have got at the venue."""
    queued.adapter.setKeeperDeposit(wad(2), sender=outsider)
    queued.request(redeemer, 1_000)

    queued.fill(who=outsider)

    assert queued.token.balanceOf(outsider) == pytest.approx(wad(2), rel=1e-3)
    assert queued.queue.maxMint(redeemer) == pytest.approx(wad(997), rel=1e-4)


def test_tip__no_order_no_users__is_none(queued, keeper):
    queued.price(2_150)
    queued.wait_until(120, day=1)

    tx = queued.fill(who=keeper)

    log = only(tx, queued.vault.Rebalanced)
    # Two seconds until the fill, and none for a schedule in its exclusive time.
    assert log.tipShares == pytest.approx(wad("0.002") * WAD // queued.vault.nav(), rel=1e-2)


# Fees


def test_fees__of_both_sides__are_owed_and_never_equity(queued, minter, redeemer):
    before = queued.vault.feesOwed()
    queued.request(redeemer, 1_000)
    queued.leave(minter, wad(1_000))

    log = only(queued.fill(), queued.vault.Settled)

    fees = lm.fee_up(queued.units(1_000), FEES.mint) + lm.fee_up(log.assetsPaid, FEES.burn)
    assert queued.vault.feesOwed() - before == fees
    assert queued.queue.maxWithdraw(minter) == log.assetsPaid - lm.fee_up(log.assetsPaid, FEES.burn)
