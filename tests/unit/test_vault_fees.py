"""What is charged, when, and to whom (E-4)."""

from dataclasses import astuple

import pytest
from market import FEES, NO_FEES, only, reverts, wad

from leverage import leverage_math as lm
from leverage.types import DAY, WAD, Fees

MONTH = 30 * DAY


def test_round_trip__at_a_constant_price__costs_the_golden_fee(market, redeemer):
    """0.1 % in and 0.1 % out: 1 - 0.999^2 = 0.1999 %."""
    market.deposit(redeemer, 10_000)

    market.redeem(redeemer)

    lost = market.units(10_000) - market.asset.balanceOf(redeemer)
    assert lost >= market.units("19.99")
    assert market.near(lost, market.units("19.99"))


def test_collect_fees__by_anybody__pays_the_treasury(long, minter, treasury, outsider):
    long.redeem(minter, wad(1_000))
    owed = long.vault.feesOwed()
    assert owed == long.asset.balanceOf(long.vault) > 0
    nav = long.vault.nav()

    tx = long.vault.collectFees(sender=outsider)

    log = only(tx, long.vault.FeesCollected)
    assert (log.treasury, log.assets) == (treasury, owed)
    assert long.asset.balanceOf(treasury) == owed
    assert long.vault.feesOwed() == long.asset.balanceOf(long.vault) == 0
    assert long.vault.nav() == nav
    assert only(long.vault.collectFees(sender=outsider), long.vault.FeesCollected).assets == 0


def test_accrue__after_a_month__dilutes_by_the_integral(long, treasury, outsider):
    long.wait(MONTH)
    expected = lm.management_shares(wad(10_000), FEES.management_per_day * 30)

    tx = long.vault.accrue(sender=outsider)

    log = only(tx, long.vault.Accrued)
    assert (log.feeShares, log.supply) == (expected, wad(10_000) + expected)
    assert long.token.balanceOf(treasury) == expected
    # 1 bp a day for 30 days, compounded: exp(-0.003) of what the holders had.
    assert abs(long.vault.nav() - wad("0.997004495503372762")) < 10**9
    assert long.vault.equity() == wad(10_000)


def test_views__before_the_accrual__show_what_it_will_bring(long, outsider):
    long.wait(MONTH)
    before = long.vault.snapshot()

    long.vault.accrue(sender=outsider)

    assert long.vault.snapshot() == before
    assert before.supply == long.token.totalSupply()


def test_accrue__often_or_once__charges_the_same(long, chain, treasury, outsider):
    start = chain.snapshot()
    long.wait(MONTH)
    long.vault.accrue(sender=outsider)
    once = long.token.balanceOf(treasury)
    chain.restore(start)

    for part in (1, 86_399, 3 * DAY, 7 * DAY + 7, MONTH - 11 * DAY - 7):
        long.wait(part)
        long.vault.accrue(sender=outsider)

    assert abs(long.token.balanceOf(treasury) - once) < 10**7


def test_set_fees__after_a_month__does_not_reach_back(deploy, minter, owner, treasury):
    market = deploy()
    market.mint(minter, 10_000)
    market.wait(MONTH)

    market.terms.setFees(astuple(Fees(0, 0, WAD // 1_000)), sender=owner)
    owed = market.vault.snapshot().supply - wad(10_000)
    market.wait(MONTH)
    market.vault.accrue(sender=owner)

    assert owed == lm.management_shares(wad(10_000), FEES.management_per_day * 30)
    both = FEES.management_per_day * 30 + WAD // 1_000 * 30
    assert market.token.balanceOf(treasury) == lm.management_shares(wad(10_000), both)


def test_set_fees__to_nothing__keeps_what_was_earned(deploy, minter, owner, treasury):
    market = deploy()
    market.mint(minter, 10_000)
    market.wait(MONTH)
    market.terms.setFees(astuple(NO_FEES), sender=owner)

    market.wait(MONTH)
    market.vault.accrue(sender=owner)

    assert market.token.balanceOf(treasury) == lm.management_shares(wad(10_000), FEES.management_per_day * 30)


def test_accrue__with_nobody_in_the_vault__charges_nobody(vacant, minter, treasury, outsider):
    vacant.wait(MONTH)

    vacant.vault.accrue(sender=outsider)
    vacant.mint(minter, 100)

    assert vacant.token.balanceOf(treasury) == 0
    assert vacant.token.totalSupply() == wad(100)
    assert vacant.vault.nav() == WAD


@pytest.mark.parametrize("where", ["mint", "redeem", "rebalance"])
def test_management_fee__through_any_door__is_the_same(long, minter, keeper, treasury, where):
    long.price(2_100)
    long.wait_until(120, day=30)
    elapsed = 30 * DAY - DAY // 2 + 120
    fee = lm.management_shares(wad(10_000), FEES.management_per_day * elapsed // DAY)

    if where == "mint":
        long.deposit(minter, 10)
    elif where == "redeem":
        long.redeem(minter, wad(10))
    else:
        long.vault.rebalance(sender=keeper)

    assert long.token.balanceOf(treasury) == fee


def test_treasury__changed__receives_from_then_on(deploy, minter, owner, treasury, outsider):
    market = deploy()
    market.mint(minter, 1_000)
    market.wait(DAY)
    market.vault.accrue(sender=owner)
    first = market.token.balanceOf(treasury)

    market.terms.setTreasury(outsider, sender=owner)
    market.wait(DAY)
    market.vault.accrue(sender=owner)
    market.vault.collectFees(sender=owner)

    assert market.token.balanceOf(treasury) == first > 0
    assert market.token.balanceOf(outsider) > 0
    assert market.asset.balanceOf(outsider) > 0 == market.asset.balanceOf(treasury)


def test_fees__of_zero__leave_the_round_trip_whole(deploy, minter):
    market = deploy(fees=NO_FEES)
    market.deposit(minter, 1_000)
    market.wait(MONTH)

    market.redeem(minter)

    assert market.asset.balanceOf(minter) == market.units(1_000)
    assert market.vault.feesOwed() == 0


@pytest.mark.parametrize("target", [5, -5])
def test_fees__at_their_hard_caps__never_block_an_exit(deploy, minter, target):
    """A fee on assets is not multiplied by leverage: five times 1 % is still 1 %."""
    market = deploy(target, fees=Fees(WAD // 100, WAD // 100, WAD // 1_000), venue_max=20)
    market.deposit(minter, 1_000)
    market.wait(365 * DAY)

    market.redeem(minter)

    kept = lm.exp_minus_one(WAD // 1_000 * 365) + WAD
    expected = market.units(1_000) * 99 // 100 * 99 // 100 * WAD // kept
    assert abs(market.asset.balanceOf(minter) - expected) <= 2


def test_fees__above_their_hard_caps__cannot_be_created(deploy, long):
    with reverts(
        long.terms.FeeOutOfBounds, field=b"burn".ljust(32, b"\0"), value=WAD // 100 + 1, max=WAD // 100
    ):
        deploy(fees=Fees(0, WAD // 100 + 1, 0))
