"""THREATS 1: share accounting. The class stands in each test's docstring."""

import random

import pytest
from market import FEES, NO_FEES, reverts, wad

from leverage import leverage_math as lm
from leverage.types import DAY, WAD, Caps

GRAIN = 10_000  # Wei: a few wei of size at 2,000.


def wealth(market, *who):
    """Collateral and the redeemable worth of shares."""
    return sum(
        market.asset.balanceOf(account) + market.vault.previewRedeem(market.token.balanceOf(account))
        for account in who
    )


@pytest.mark.parametrize("decimals", [6, 18])
@pytest.mark.parametrize("gift", ["vault", "adapter", "venue"])
def test_threat_inflation_donation__first_minter_gives_10000__victim_loses_nothing(
    deploy, attacker, redeemer, decimals, gift
):
    """Inflation / donation: the first minter holds next to nothing and makes it worth a lot, so that the next
    minter's shares round to zero."""
    market = deploy(decimals=decimals, fees=NO_FEES)
    market.fund(attacker, market.units(20_000))
    market.vault.deposit(10 ** (decimals - 6), attacker, sender=attacker)
    start = market.units(20_000)

    if gift == "venue":
        market.asset.approve(market.adapter, market.units(10_000), sender=attacker)
        market.adapter.donate(market.units(10_000), sender=attacker)
    else:
        market.asset.transfer(getattr(market, gift), market.units(10_000), sender=attacker)
    market.deposit(redeemer, 10_000)
    victim = market.vault.previewRedeem(market.token.balanceOf(redeemer))

    assert victim >= market.units(10_000) - market.units("0.02")
    # What the attacker can take back of his gift is what the virtual millionth and the victim leave of it.
    assert wealth(market, attacker) < start - market.units(3_000)


def test_threat_donation_to_venue_account__before_each_action__blocks_and_enriches_nobody(
    long, attacker, minter, redeemer, keeper
):
    """Donation to venue account: margin sent straight to the venue passes a cap, blocks a rebalance."""
    long.fund(attacker, long.units(3))
    long.asset.approve(long.adapter, long.units(3), sender=attacker)
    long.asset.approve(long.vault, 0, sender=attacker)
    nav, held = long.vault.nav(), long.vault.totalAssets()

    long.adapter.donate(1, sender=attacker)
    long.deposit(redeemer, 1_000)
    long.adapter.donate(long.units(1), sender=attacker)
    long.redeem(redeemer)
    long.price(2_100)
    long.adapter.donate(1, sender=attacker)
    long.wait_until(120, day=1)
    long.vault.rebalance(sender=keeper)

    assert long.vault.equity() > 0
    assert long.vault.nav() > nav
    assert long.vault.totalAssets() > held
    assert long.vault.mintedToday() == 0
    long.lines()


def test_threat_donation_to_venue_account__counts_against_the_total_cap(deploy, attacker, minter):
    """Donation to venue account: a gift is equity like any other, and makes no room under the cap."""
    market = deploy(cap=Caps(daily=10**12, total=1_000 * 10**6))
    market.mint(minter, 900)
    market.fund(attacker, market.units(200))
    market.asset.approve(market.adapter, market.units(200), sender=attacker)

    market.adapter.donate(market.units(200), sender=attacker)

    assert market.vault.maxDeposit(minter) == 0
    market.redeem(minter)


@pytest.mark.parametrize("decimals", [6, 18])
def test_threat_rounding_drift__many_wei_sized_operations__never_pay_the_actor(
    deploy, minter, attacker, decimals
):
    """Rounding drift: many tiny mints and burns leak from the others."""
    market = deploy(decimals=decimals, fees=NO_FEES)
    market.mint(minter, 100)
    market.price(2_099)
    market.fund(attacker, market.units(1_000))
    random.seed(7)
    rest, start = wealth(market, minter), wealth(market, attacker)

    for _ in range(8):
        market.vault.deposit(random.randint(3_000, 10_000), attacker, sender=attacker)
        market.vault.redeem(market.token.balanceOf(attacker), attacker, attacker, sender=attacker)

    assert wealth(market, attacker) <= start
    # V, the millionth of a share, at nav 1.15: not more than a ten-millionth of a unit in all.
    assert wealth(market, minter) >= rest - 1 - market.units(1) // 10**7


def test_threat_zero_supply__all_burnt_and_donated__next_mint_starts_again(
    market, minter, attacker, redeemer
):
    """Zero supply / zero nav: division by zero, infinite rate, unbacked shares after a full burn."""
    market.redeem(minter)
    market.fund(attacker, market.units(500))
    market.asset.approve(market.adapter, market.units(500), sender=attacker)
    market.adapter.donate(market.units(500), sender=attacker)
    assert (market.vault.nav(), market.vault.leverage()) == (WAD, 0)
    assert market.vault.convertToShares(market.units(7)) == wad(7)

    market.deposit(redeemer, 1_000)

    claim = market.vault.previewRedeem(market.token.balanceOf(redeemer))
    assert claim > market.units(1_490)
    assert market.vault.nav() == lm.nav(market.vault.equity(), market.token.totalSupply())


def test_threat_zero_nav__nothing_left__mint_reverts_and_burn_pays_zero(long, minter, redeemer, outsider):
    """Zero supply / zero nav: shares against nothing must neither be bought nor trap their holders."""
    long.fund(redeemer, long.units(10))
    long.price(1_300)
    equity = long.vault.equity()
    assert equity < 0 == long.vault.nav()

    with reverts(long.vault.Underwater, equity=equity):
        long.vault.deposit(long.units(10), redeemer, sender=redeemer)
    long.vault.checkRuin(sender=outsider)
    long.redeem(minter)

    assert long.token.totalSupply() == long.asset.balanceOf(minter) == 0


@pytest.mark.parametrize("assets", [1, 2, 3, 10])
def test_threat_minimum_size_mint__dust__is_whole_or_reverts(long, redeemer, assets):
    """Minimum-size mint closes position: a dust order crosses a minimum. Here it buys shares or reverts."""
    long.fund(redeemer, 10)
    before = long.vault.snapshot()

    if assets == 1:
        with reverts(long.vault.CostExceedsDeposit, cost=0, assets=0):
            long.vault.deposit(assets, redeemer, sender=redeemer)
        assert long.vault.snapshot() == before
    else:
        long.vault.deposit(assets, redeemer, sender=redeemer)
        assert 0 < long.token.balanceOf(redeemer) <= (assets - 1) * long.scale
        assert long.vault.snapshot().size > before.size


def test_threat_last_redeemer_trapped__everybody_leaves_in_turn__none_is_left_behind(
    market, minter, redeemer, outsider, attacker, treasury
):
    """Last redeemer trapped: a venue's minimum or its fees leave a remainder that nobody can take out."""
    holders = [minter, redeemer, outsider, attacker]
    market.adapter.setFeeRate(wad("0.0007"), sender=minter)
    for holder, amount in zip(holders[1:], ("0.01", "333.333333", "5000"), strict=True):
        market.deposit(holder, amount)
    market.wait(DAY)
    market.price(1_933)
    market.vault.accrue(sender=minter)

    for holder in [*holders, treasury]:
        market.redeem(holder)
        assert market.token.balanceOf(holder) == 0

    assert market.token.totalSupply() == market.size() == 0
    assert 0 <= market.cash() <= 5 * market.scale + GRAIN


@pytest.mark.parametrize("decimals", [6, 8, 18])
@pytest.mark.parametrize("feed_decimals", [8, 18])
def test_threat_decimals__any_collateral_and_feed__give_the_same_nav(
    deploy, minter, redeemer, keeper, decimals, feed_decimals
):
    """Decimals and wrong index: 6, 8 and 18 decimals of collateral, 8 and 18 of the feed, in one scenario."""
    market = deploy(decimals=decimals, feed_decimals=feed_decimals)
    market.adapter.setFeeRate(wad("0.0005"), sender=keeper)
    market.mint(minter, 1_000)

    market.price(2_100)
    market.deposit(redeemer, 250)
    market.wait_until(120, day=1)
    market.vault.rebalance(sender=keeper)
    market.price(2_050)
    market.redeem(minter, wad(400))

    # 15 % up; from 2.74x back to 3x at 5 bp; 2.38 % down at 3x; half a day of fees.
    found = market.vault.snapshot()
    assert abs(found.nav - wad("1.0676645328")) < 10**10
    assert abs(found.leverage - lm.drifted(3 * WAD, -(WAD // 42))) < 10**11
    paid = market.asset.balanceOf(minter) * market.scale
    assert abs(paid - wad("425.96597")) < 10**13


def test_threat_cap_bypass__deposits_in_any_split__meet_one_cap(deploy, minter, redeemer, attacker):
    """Cap bypass: a cap that is checked per call and not in total."""
    market = deploy(cap=Caps(daily=100 * 10**6, total=10**12))
    random.seed(3)

    for who in (minter, redeemer, attacker) * 3:
        amount = random.randint(10, 40)
        margin = market.units(amount) - lm.fee_up(market.units(amount), FEES.mint)
        left = market.units(100) - market.vault.mintedToday()
        if margin <= left:
            market.deposit(who, amount)
        else:
            with reverts(market.vault.DailyCapExceeded, assets=margin, left=left):
                market.deposit(who, amount)

    assert market.vault.mintedToday() <= market.units(100)
    assert market.vault.totalAssets() <= market.units(100)


@pytest.mark.parametrize("way", ["in", "out"])
def test_threat_fee_avoidance__split_in_ten__is_never_cheaper(market, minter, redeemer, chain, way):
    """Fee avoidance by splitting or rounding (THREATS 6, I-9)."""
    market.adapter.setFeeRate(wad("0.0007"), sender=minter)
    market.fund(redeemer, market.units(100))

    results = []
    for parts in (1, 10):
        start = chain.snapshot()
        for _ in range(parts):
            if way == "in":
                market.vault.deposit(market.units(100) // parts, redeemer, sender=redeemer)
            else:
                market.redeem(minter, wad(100) // parts)
        results.append(market.token.balanceOf(redeemer) if way == "in" else market.asset.balanceOf(minter))
        chain.restore(start)

    whole, split = results
    assert 0 <= whole - split <= 20 * (market.scale + GRAIN)
