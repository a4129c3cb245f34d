"""THREATS 6: fees. The class stands in each test's docstring."""

import pytest
from market import FEES, FOREVER, only, reverts, wad

from leverage import leverage_math as lm
from leverage.types import DAY, WAD, Fees

MONTH = 30 * DAY


def test_threat_accrual_skipped__any_pattern_of_calls__charges_the_integral(
    long, minter, redeemer, keeper, treasury
):
    """Accrual skipped / back-charged: a timestamp not advanced, or advanced without a charge (I-7)."""
    fee_at = {}
    long.price(2_100)
    acts = {
        3: lambda: long.deposit(redeemer, 10),
        7: lambda: long.redeem(minter, wad(5)),
        8: lambda: long.vault.rebalance(sender=keeper),
        15: lambda: long.vault.checkRuin(sender=keeper),
        21: lambda: long.vault.collectFees(sender=keeper),
        30: lambda: long.vault.accrue(sender=keeper),
    }
    supply, last = long.token.totalSupply(), 0
    for day, act in acts.items():
        long.wait_until(DAY // 2, day=day)
        supply_before = long.vault.snapshot().supply
        fee_at[day] = lm.management_shares(supply, FEES.management_per_day * (day - last))
        assert supply_before == pytest.approx(supply + fee_at[day], abs=10**6)
        act()
        supply, last = long.vault.snapshot().supply, day

    assert long.token.balanceOf(treasury) == pytest.approx(sum(fee_at.values()), abs=10**7)


def test_threat_accrual_skipped__empty_for_a_month__the_next_holder_is_not_charged(long, minter, treasury):
    """Accrual skipped / back-charged: time in which nobody held a share."""
    long.redeem(minter)
    long.wait(MONTH)

    long.mint(minter, 100)

    assert long.token.balanceOf(treasury) == 0
    assert long.token.totalSupply() == wad(100)


def test_threat_fee_starts_at_rate_change__thirty_days_at_the_old_rate__keep_it(
    long, timelocked, minter, treasury
):
    """Fee starts at rate change: the new rate is applied to the past. Here through the real timelock."""
    long.wait(28 * DAY)
    timelocked(long.terms.setFees, (0, 0, WAD // 1_000))
    long.price(2_000)

    long.vault.accrue(sender=minter)

    expected = lm.management_shares(wad(10_000), FEES.management_per_day * 30)
    assert long.token.balanceOf(treasury) == pytest.approx(expected, abs=10**6)


def test_threat_fee_avoidance__transferring_or_leaving_early__pays_for_the_time_held(
    long, minter, redeemer, treasury
):
    """Fee avoidance by timing or transfer: the fee is dilution by time, so whoever holds, pays."""
    long.wait(MONTH)
    long.token.transfer(redeemer, wad(10_000), sender=minter)

    long.redeem(redeemer)

    fee = lm.management_shares(wad(10_000), FEES.management_per_day * 30)
    paid = long.units(10_000) * wad(10_000) // (wad(10_000) + fee)
    assert long.near(long.asset.balanceOf(redeemer), paid - lm.fee_up(paid, FEES.burn))
    assert long.token.balanceOf(treasury) == fee


def test_threat_fee_from_idle_balance__nothing_idle__all_operations_work(
    long, minter, redeemer, keeper, treasury
):
    """Fee charged from idle balance: no cash, so everything reverts. Ours is dilution, and asks for none."""
    long.vault.collectFees(sender=keeper)
    assert long.asset.balanceOf(long.vault) == 0
    long.price(2_100)
    long.wait_until(120, day=30)

    long.vault.rebalance(sender=keeper)
    long.vault.accrue(sender=keeper)
    long.deposit(redeemer, 100)
    long.vault.collectFees(sender=keeper)
    long.redeem(minter)
    long.redeem(redeemer)
    long.redeem(treasury)

    assert long.token.totalSupply() == 0


@pytest.mark.parametrize("target", [5, -5])
def test_threat_fee_times_leverage__largest_of_both__leaves_an_exit(deploy, minter, long, target, owner):
    """Fee x leverage exceeds 100 %: underflow. Here the setter refuses more, and an exit remains."""
    highest = Fees(WAD // 100, WAD // 100, WAD // 1_000)
    market = deploy(target, fees=highest, venue_max=20)
    market.deposit(minter, 1_000)
    market.adapter.setFeeRate(wad("0.05"), sender=owner)

    market.redeem(minter)

    # 5x of the position at 5 % is a quarter of the stake.
    assert market.near(market.asset.balanceOf(minter), market.units(990) * 75 // 100 * 99 // 100)
    with reverts(
        market.terms.FeeOutOfBounds,
        field=b"mint".ljust(32, b"\0"),
        value=WAD // 100 + 1,
        max=WAD // 100,
    ):
        market.terms.setFees((WAD // 100 + 1, 0, 0), sender=owner)


@pytest.mark.parametrize("cost", ["0", "0.003"])
def test_threat_min_out_before_fee__whatever_was_asked_for__arrives(market, minter, redeemer, cost):
    """Min-out before fee: the limit is compared before the fee is taken, and the user gets less."""
    market.adapter.setFeeRate(wad(cost), sender=minter)
    least = market.vault.previewRedeem(wad(100))
    market.vault.redeem(wad(100), minter, minter, least, FOREVER, sender=minter)
    assert market.asset.balanceOf(minter) >= least

    assets = market.units(100)
    market.fund(redeemer, assets)
    shares = market.vault.previewDeposit(assets)
    market.vault.deposit(assets, redeemer, shares, FOREVER, sender=redeemer)
    assert market.token.balanceOf(redeemer) >= shares

    before = market.asset.balanceOf(minter)
    market.vault.withdraw(assets, minter, minter, wad(200), FOREVER, sender=minter)
    assert market.asset.balanceOf(minter) - before == assets


def test_threat_fee_recipient_reverts__treasury_is_blocked_everywhere__nothing_else_stops(
    deploy, project, owner, minter, redeemer, keeper
):
    """Fee recipient reverts: a push payment to a treasury that refuses stops every user."""
    asset = project.MockOddERC20.deploy(6, sender=owner)
    market = deploy(asset=asset, receiver=asset)
    market.mint(minter, 1_000)
    market.fund(redeemer, market.units(100))
    asset.setBlocked(asset, True, sender=owner)
    market.price(2_100)
    market.wait_until(120, day=3)

    market.vault.rebalance(sender=keeper)
    market.vault.accrue(sender=keeper)
    market.vault.deposit(market.units(100), redeemer, sender=redeemer)
    market.redeem(minter)
    with reverts(asset.Blocked, account=asset):
        market.vault.collectFees(sender=keeper)

    owed = market.vault.feesOwed()
    assert market.token.balanceOf(asset) > 0
    market.terms.setTreasury(keeper, sender=owner)
    assert only(market.vault.collectFees(sender=keeper), market.vault.FeesCollected).assets == owed
    assert asset.balanceOf(keeper) == owed > 0


@pytest.mark.parametrize("seed", range(3))
def test_threat_net_gross_mismatch__random_inputs__preview_is_execution(market, minter, redeemer, seed):
    """Net/gross mismatch: the preview computes its fee on another base than the execution (I-8)."""
    import random

    random.seed(seed)
    market.price(random.randint(1_850, 2_300))
    market.adapter.setFeeRate(random.randint(0, WAD // 500), sender=minter)
    market.adapter.setSlippage(random.randint(-WAD // 500, WAD // 500), sender=minter)
    assets, shares = random.randint(market.units(1), market.units(9_000)), random.randint(WAD, wad(2_000))
    market.fund(redeemer, 3 * assets + market.units(50_000))

    expected = market.vault.previewDeposit(assets)
    assert (
        only(market.vault.deposit(assets, redeemer, sender=redeemer), market.vault.Deposit).shares == expected
    )
    expected = market.vault.previewMint(shares)
    assert only(market.vault.mint(shares, redeemer, sender=redeemer), market.vault.Deposit).assets == expected
    expected = market.vault.previewRedeem(shares)
    assert only(market.redeem(minter, shares), market.vault.Withdraw).assets == expected
    assets = random.randint(market.units(1), market.vault.maxWithdraw(minter) // 2)
    expected = market.vault.previewWithdraw(assets)
    tx = market.vault.withdraw(assets, minter, minter, sender=minter)
    assert only(tx, market.vault.Withdraw).shares == expected
