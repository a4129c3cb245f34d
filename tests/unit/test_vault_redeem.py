"""Leaving: redeem and withdraw. Who leaves takes a part of everything, and asks no oracle (E-2, I-11)."""

import pytest
from market import FEES, FOREVER, only, reverts, wad, works

from leverage import leverage_math as lm
from leverage.types import DAY, WAD

SHARES = ["0.000003", "1", "777.777777777777777777", "10000"]
ASSETS = ["0.01", "1", "777.777777", "9000"]


def net(market, amount):
    """What a leaver gets of an amount of collateral, after the burn fee."""
    paid = market.units(amount)
    return paid - lm.fee_up(paid, FEES.burn)


def test_redeem__part_of_the_fund__pays_that_part_of_everything(market, minter):
    """10,000 at 2,000 is 15 ETH; at 2,200 the fund has 13,000, and 4,000 of 10,000 shares are 5,200 of it."""
    market.price(2_200)
    entrance = market.vault.feesOwed()

    tx = market.redeem(minter, wad(4_000))

    log = only(tx, market.vault.Withdraw)
    assert (log.sender, log.receiver, log.owner) == (minter, minter, minter)
    assert (log.assets, log.shares) == (market.asset.balanceOf(minter), wad(4_000))
    assert market.near(log.assets, net(market, 5_200))
    assert market.asset.balanceOf(market.vault) == market.vault.feesOwed()
    assert market.near(market.vault.feesOwed() - entrance, market.units("5.2"))
    assert market.token.balanceOf(minter) == market.token.totalSupply() == wad(6_000)
    assert abs(market.size() - wad(9)) <= 1
    assert market.near(market.vault.totalAssets(), market.units(7_800))


@pytest.mark.parametrize("shares", SHARES)
def test_redeem__any_amount__pays_what_the_preview_said(market, minter, shares):
    market.price(1_950, 1_960)
    market.adapter.setFeeRate(wad("0.0007"), sender=minter)
    market.adapter.setSlippage(wad("0.0013"), sender=minter)
    preview = market.vault.previewRedeem(wad(shares))

    market.redeem(minter, wad(shares))

    assert market.asset.balanceOf(minter) == preview > 0


@pytest.mark.parametrize("amount", ASSETS)
def test_withdraw__any_amount__burns_what_the_preview_said(market, minter, redeemer, amount):
    market.adapter.setFeeRate(wad("0.0007"), sender=minter)
    market.adapter.setSlippage(wad("0.0013"), sender=minter)
    assets = market.units(amount)
    preview = market.vault.previewWithdraw(assets)
    before = market.token.balanceOf(minter)

    tx = market.vault.withdraw(assets, redeemer, minter, sender=minter)

    log = only(tx, market.vault.Withdraw)
    assert (log.receiver, log.owner, log.assets, log.shares) == (redeemer, minter, assets, preview)
    assert before - market.token.balanceOf(minter) == preview
    assert market.asset.balanceOf(redeemer) == assets


@pytest.mark.parametrize("index", [1_800, 2_000, 2_100])
def test_redeem__for_free__moves_neither_nav_nor_leverage(either, minter, redeemer, index):
    either.deposit(redeemer, 5_000)
    either.price(index)
    either.vault.accrue(sender=minter)
    before = either.vault.snapshot()

    either.redeem(minter)

    after = either.vault.snapshot()
    # V weighs more among fewer shares, and a unit of collateral stays behind; a part of equity only goes up.
    assert abs(after.nav - before.nav) <= (lm.VIRTUAL + either.scale) * WAD // after.supply
    assert abs(after.leverage - before.leverage) <= 5 * either.scale * WAD // after.equity
    assert after.equity * WAD // after.supply >= before.equity * WAD // before.supply
    either.lines()


def test_redeem__that_costs__is_paid_by_the_leaver(either, minter, redeemer):
    either.deposit(redeemer, 5_000)
    either.adapter.setFeeRate(wad("0.001"), sender=minter)
    either.adapter.setSlippage(wad("0.002"), sender=minter)
    before, cash = either.vault.snapshot(), either.cash()
    shares = either.token.balanceOf(minter)
    fill = either.adapter.quote(-lm.portion_down(before.size, shares, before.supply))
    proceeds = (lm.portion_down(cash, shares, before.supply) + fill.cash) // either.scale

    either.redeem(minter)

    after = either.vault.snapshot()
    assert either.asset.balanceOf(minter) == proceeds - lm.fee_up(proceeds, FEES.burn)
    # 3x of 10,000, each unit of it at 30 bp.
    assert wad(10_000) - proceeds * either.scale in range(wad("89.9"), wad("90.1"))
    assert after.equity * WAD // after.supply >= before.equity * WAD // before.supply
    assert abs(after.leverage - before.leverage) <= 5 * either.scale * WAD // after.equity


def test_redeem__between_bookings__pays_the_price_of_the_fill(long, minter):
    booked = long.vault.mark().price

    long.price(1_900, 1_910)
    tx = long.redeem(minter, wad(5_000))

    # Half of 10,000 - 15 * 90.
    assert long.near(long.paid(tx), net(long, 4_325))
    assert long.vault.mark().price == booked


@pytest.mark.parametrize("feed", ["stale", "negative", "zero", "future", "dead", "deviating"])
def test_leave__whatever_the_feed_says__works(long, minter, chain, feed):
    if feed == "stale":
        long.wait(30 * DAY, fresh=False)
    elif feed == "dead":
        chain.provider.make_request("anvil_setCode", [long.feed.address, "0x"])
    elif feed == "deviating":
        long.price(3_000, 2_000)
    else:
        updated = long.now + 60 * (feed == "future")
        answer = {"negative": -1, "zero": 0}.get(feed, 2_000 * 10**8)
        long.feed.setRound(answer, updated, updated, sender=minter)
    if feed != "deviating":
        assert not works(long.vault.nav)

    long.redeem(minter, wad(4_000))
    long.vault.withdraw(long.units(1_000), minter, minter, sender=minter)

    late = 30 * DAY if feed == "stale" else 0
    fee = lm.management_shares(wad(10_000), FEES.management_per_day * late // DAY)
    paid = wad(4_000) * wad(10_000) // (wad(10_000) + fee) // long.scale
    assert long.near(long.asset.balanceOf(minter), long.units(1_000) + paid - lm.fee_up(paid, FEES.burn))


def test_leave__paused__works(long, guardian, minter):
    long.terms.pause(long.terms.MAX_PAUSE(), sender=guardian)

    long.redeem(minter, wad(4_000))
    long.vault.withdraw(long.units(1_000), minter, minter, sender=minter)

    assert long.near(long.asset.balanceOf(minter), net(long, 4_000) + long.units(1_000))


def test_redeem__all__leaves_an_empty_vault(market, minter, redeemer):
    market.price(2_100)

    market.redeem(minter)

    snapshot = market.vault.snapshot()
    assert (snapshot.supply, snapshot.size) == (0, 0)
    assert 0 <= snapshot.equity <= market.scale + 2 * 2_100
    assert (snapshot.nav, snapshot.leverage) == (WAD, 0)
    assert market.near(market.asset.balanceOf(minter), net(market, 11_500))
    left = market.vault.equity()
    market.mint(redeemer, 100)
    assert abs(market.vault.nav() - WAD - left // 100) <= 5
    assert abs(market.vault.leverage() - 3 * WAD) <= 3 * left // 100 + 60
    assert abs(market.lines()["funding"] - left // 100) <= 5


def test_redeem__with_min_assets__holds_to_the_wei(long, minter):
    assets = long.vault.previewRedeem(WAD)

    with reverts(long.vault.TooFewAssets, assets=assets, min=assets + 1):
        long.vault.redeem(WAD, minter, minter, assets + 1, FOREVER, sender=minter)
    long.vault.redeem(WAD, minter, minter, assets, FOREVER, sender=minter)

    assert long.asset.balanceOf(minter) == assets


def test_withdraw__with_max_shares__holds_to_the_wei(long, minter):
    assets = long.units(500)
    shares = long.vault.previewWithdraw(assets)

    with reverts(long.vault.TooManyShares, shares=shares, max=shares - 1):
        long.vault.withdraw(assets, minter, minter, shares - 1, FOREVER, sender=minter)
    long.vault.withdraw(assets, minter, minter, shares, FOREVER, sender=minter)

    assert long.asset.balanceOf(minter) == assets


def test_leave__after_the_deadline__reverts(long, minter):
    late = long.now - 1

    with reverts(long.vault.DeadlinePassed, deadline=late, now_=long.now):
        long.vault.redeem(WAD, minter, minter, 0, late, sender=minter)
    with reverts(long.vault.DeadlinePassed, deadline=late, now_=long.now):
        long.vault.withdraw(1, minter, minter, FOREVER, late, sender=minter)
    long.vault.redeem(WAD, minter, minter, 0, long.now, sender=minter)

    assert long.near(long.asset.balanceOf(minter), long.units("0.999"))


def test_leave__with_nothing__reverts(long, minter):
    with reverts(long.vault.ZeroAmount):
        long.vault.redeem(0, minter, minter, sender=minter)
    with reverts(long.vault.ZeroAmount):
        long.vault.withdraw(0, minter, minter, sender=minter)
    assert long.vault.previewRedeem(0) == long.vault.previewWithdraw(0) == 0


def test_redeem__dust_worth_no_asset__burns_nothing(long, minter):
    with reverts(long.vault.ZeroAmount):
        long.redeem(minter, 1)

    assert long.token.balanceOf(minter) == wad(10_000)


def test_redeem__more_than_the_balance__reverts(long, minter, redeemer):
    long.deposit(redeemer, 100)
    balance = long.token.balanceOf(redeemer)

    with reverts(long.token.ERC20InsufficientBalance, sender=redeemer, balance=balance, needed=balance + 1):
        long.redeem(redeemer, balance + 1)


def test_withdraw__more_than_the_balance__reverts(long, minter, redeemer):
    long.deposit(redeemer, 100)
    balance = long.token.balanceOf(redeemer)
    worth = lm.portion_down(long.vault.equity(), balance, long.token.totalSupply()) // long.scale
    paid = lm.gross_up(long.units(200), FEES.burn)

    with reverts(long.vault.TooFewAssets, assets=pytest.approx(worth, abs=1), min=paid):
        long.vault.withdraw(long.units(200), redeemer, redeemer, sender=redeemer)


def test_withdraw__more_than_the_fund__reverts(long, minter):
    paid = lm.gross_up(long.units(10_001), FEES.burn)

    with reverts(long.vault.TooFewAssets, assets=long.units(10_000), min=paid):
        long.vault.withdraw(long.units(10_001), minter, minter, sender=minter)


def test_leave__of_an_empty_vault__reverts(vacant, minter):
    with reverts(vacant.token.ERC20InsufficientBalance, sender=minter, balance=0, needed=1):
        vacant.vault.redeem(1, minter, minter, sender=minter)
    with reverts(vacant.vault.TooFewAssets, assets=0, min=lm.gross_up(1, FEES.burn)):
        vacant.vault.withdraw(1, minter, minter, sender=minter)


def test_leave__for_somebody_else__spends_the_allowance(long, minter, redeemer):
    with reverts(long.token.ERC20InsufficientAllowance, spender=redeemer, allowance=0, needed=WAD):
        long.vault.redeem(WAD, redeemer, minter, sender=redeemer)
    long.token.approve(redeemer, wad(3), sender=minter)

    long.vault.redeem(WAD, redeemer, minter, sender=redeemer)
    tx = long.vault.withdraw(long.units(1), redeemer, minter, sender=redeemer)

    log = only(tx, long.vault.Withdraw)
    assert (log.sender, log.receiver, log.owner) == (redeemer, redeemer, minter)
    assert long.near(long.asset.balanceOf(redeemer), long.units("1.999"))
    assert long.token.allowance(minter, redeemer) == wad(2) - log.shares


@pytest.mark.parametrize("cost", ["0", "0.0031"])
def test_withdraw__the_maximum__is_accepted_in_full(market, minter, redeemer, cost):
    market.deposit(redeemer, "3333.333333")
    market.price(2_137)
    market.adapter.setFeeRate(wad(cost), sender=minter)

    for holder in (redeemer, minter):
        assets = market.vault.maxWithdraw(holder)
        assert market.vault.maxRedeem(holder) == market.token.balanceOf(holder)
        before = market.asset.balanceOf(holder)
        market.vault.withdraw(assets, holder, holder, sender=holder)
        assert market.asset.balanceOf(holder) - before == assets > 0


def test_redeem__venue_stopped__burns_nothing_and_works_again(long, minter):
    for adjust, withdraw in (("closed", ""), ("", "frozen")):
        long.adapter.fail(adjust, withdraw, sender=minter)
        with reverts(long.adapter.VenueFailed, reason=adjust or withdraw):
            long.redeem(minter)
    assert long.token.balanceOf(minter) == wad(10_000)

    long.adapter.fail("", "", sender=minter)
    long.redeem(minter)

    assert long.asset.balanceOf(minter) == net(long, 10_000)


def test_redeem__partly_filled__reverts(long, minter):
    long.adapter.setFillRatio(WAD // 2, sender=minter)

    held = long.size()
    with reverts(long.vault.PartialFill, filled=-held // 2 + held % 2, wanted=-held):
        long.redeem(minter)
