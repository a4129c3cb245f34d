"""When nothing is left, or the venue took the position (E-8)."""

import pytest
from market import FEES, only, reverts, wad

from leverage import leverage_math as lm
from leverage.types import DAY, WAD, Trigger

# Equity after a gap of 40 %, to what a wei of size is worth.
GAP = pytest.approx(wad(-2_000), abs=2_000)


@pytest.fixture(params=[(3, 1_200), (-3, 2_800)], ids=["long at -40 %", "short at +40 %"])
def gapped(world, request):
    """The index gapped by 40 % against 3x: equity is -2,000."""
    target, index = request.param
    market = world.markets[target, 6]
    market.price(index)
    assert market.vault.equity() == GAP
    return market


def test_views__after_the_gap__clamp_on_purpose(gapped):
    snapshot = gapped.vault.snapshot()

    sign = 1 if snapshot.target > 0 else -1
    assert (snapshot.nav, snapshot.equity, snapshot.ruined) == (0, GAP, False)
    assert snapshot.leverage == sign * lm.INFINITE_LEVERAGE
    assert gapped.vault.totalAssets() == gapped.vault.convertToAssets(WAD) == 0
    assert gapped.vault.maxDeposit(gapped.owner) == gapped.vault.maxMint(gapped.owner) == 0
    assert gapped.lines()["price"] == -WAD


def test_mint__after_the_gap__is_refused(gapped, redeemer):
    gapped.fund(redeemer, gapped.units(100))

    with reverts(gapped.vault.Underwater, equity=GAP):
        gapped.vault.deposit(gapped.units(100), redeemer, sender=redeemer)
    with reverts(gapped.vault.Underwater, equity=GAP):
        gapped.vault.mint(WAD, redeemer, sender=redeemer)


def test_rebalance__after_the_gap__is_refused(gapped, outsider):
    assert gapped.vault.due(outsider) == Trigger.EMERGENCY

    with reverts(gapped.vault.Underwater, equity=GAP):
        gapped.vault.rebalance(sender=outsider)


def test_check_ruin__after_the_gap__records_it_without_reverting(gapped, outsider):
    tx = gapped.vault.checkRuin(sender=outsider)

    log = only(tx, gapped.vault.Ruined)
    assert (log.equity, log.size) == (GAP, gapped.size())
    assert gapped.vault.isRuined()
    assert gapped.vault.snapshot().ruined
    assert gapped.vault.due(outsider) == Trigger.NONE
    assert gapped.vault.checkRuin(sender=outsider).decode_logs(gapped.vault.Ruined) == []


def test_check_ruin__of_a_healthy_vault__changes_nothing(long, vacant, outsider):
    for market in (long, vacant):
        tx = market.vault.checkRuin(sender=outsider)
        assert tx.decode_logs(market.vault.Ruined) == []
        assert not market.vault.isRuined()


@pytest.mark.parametrize(("index", "is_ruined"), [("1333.33333334", False), ("1333.33333333", True)])
def test_check_ruin__at_the_edge__asks_for_equity_above_zero(long, outsider, index, is_ruined):
    long.price(index)

    long.vault.checkRuin(sender=outsider)

    assert long.vault.isRuined() == is_ruined


def test_check_ruin__without_a_price__says_so(gapped, outsider):
    updated, heartbeat = gapped.now, gapped.oracle.heartbeat()
    gapped.wait(heartbeat + 1, fresh=False)

    with reverts(gapped.oracle.PriceStale, updatedAt=updated, age=heartbeat + 1, heartbeat=heartbeat):
        gapped.vault.checkRuin(sender=outsider)


def test_ruined__for_good__opens_no_door_but_the_exit(gapped, minter, redeemer, outsider):
    gapped.vault.checkRuin(sender=outsider)
    gapped.price(2_000)
    gapped.fund(redeemer, gapped.units(100))

    with reverts(gapped.vault.VaultRuined):
        gapped.vault.deposit(gapped.units(100), redeemer, sender=redeemer)
    with reverts(gapped.vault.VaultRuined):
        gapped.vault.mint(WAD, redeemer, sender=redeemer)
    with reverts(gapped.vault.VaultRuined):
        gapped.vault.rebalance(sender=outsider)
    gapped.redeem(minter)
    with reverts(gapped.vault.VaultRuined):
        gapped.vault.deposit(gapped.units(100), redeemer, sender=redeemer)


def test_redeem__nothing_left_and_recorded__pays_zero_without_reverting(gapped, minter, outsider):
    gapped.vault.checkRuin(sender=outsider)
    assert gapped.vault.previewRedeem(wad(4_000)) == gapped.vault.maxWithdraw(minter) == 0

    tx = gapped.redeem(minter, wad(4_000))

    log = only(tx, gapped.vault.Withdraw)
    assert (log.assets, log.shares) == (0, wad(4_000))
    assert gapped.token.balanceOf(minter) == gapped.token.totalSupply() == wad(6_000)
    gapped.redeem(minter)
    assert gapped.token.totalSupply() == gapped.asset.balanceOf(minter) == 0


def test_redeem__nothing_left_but_not_recorded__burns_nothing(gapped, minter):
    with reverts(gapped.vault.ZeroAmount):
        gapped.redeem(minter)

    assert gapped.token.balanceOf(minter) == wad(10_000)


def test_redeem__recovered_after_the_record__pays_everybody_alike(gapped, minter, redeemer, outsider):
    gapped.token.transfer(redeemer, wad(5_000), sender=minter)
    gapped.vault.checkRuin(sender=outsider)
    # Half of the gap is made up: equity is 10,000 - 3 * 10,000 * 0.2.
    gapped.price(1_600 if gapped.vault.target() > 0 else 2_400)

    for holder in (minter, redeemer):
        gapped.redeem(holder)

    paid = gapped.units(2_000)
    expected = paid - lm.fee_up(paid, FEES.burn)
    assert gapped.near(gapped.asset.balanceOf(minter), expected)
    assert gapped.near(gapped.asset.balanceOf(redeemer), expected)
    assert gapped.token.totalSupply() == gapped.size() == 0


def test_redeem__recovered_before_any_record__is_as_ever(gapped, minter, outsider):
    gapped.price(2_000)
    gapped.vault.checkRuin(sender=outsider)
    assert not gapped.vault.isRuined()

    gapped.redeem(minter)

    assert gapped.asset.balanceOf(minter) == gapped.units("9990")


def test_transfer__ruined__is_free(gapped, minter, redeemer, outsider):
    gapped.vault.checkRuin(sender=outsider)

    gapped.token.transfer(redeemer, wad(3_000), sender=minter)

    assert gapped.token.balanceOf(redeemer) == wad(3_000)


@pytest.mark.parametrize("target", [3, -3])
def test_liquidated__with_a_residual__is_ruin_paid_pro_rata(world, minter, redeemer, outsider, target):
    market = world.markets[target, 6]
    market.token.transfer(redeemer, wad(2_500), sender=minter)
    size = market.size()
    market.adapter.liquidate(wad(800), sender=outsider)

    with reverts(market.vault.PositionGone, size=0, expected=size):
        market.vault.room()
    tx = market.vault.checkRuin(sender=outsider)

    log = only(tx, market.vault.Ruined)
    assert (log.equity, log.size) == (wad(800), 0)
    for holder, share in ((redeemer, 200), (minter, 600)):
        market.redeem(holder)
        paid = market.units(share)
        assert market.asset.balanceOf(holder) == paid - lm.fee_up(paid, FEES.burn)
    assert market.token.totalSupply() == market.cash() == 0


def test_liquidated__to_nothing__pays_zero(long, minter, outsider):
    long.adapter.liquidate(0, sender=outsider)
    long.vault.checkRuin(sender=outsider)

    long.redeem(minter)

    assert long.token.totalSupply() == long.asset.balanceOf(minter) == 0


@pytest.mark.parametrize("feed", ["fresh", "stale"])
def test_check_ruin__liquidated__needs_no_price(long, outsider, feed):
    long.adapter.liquidate(wad(800), sender=outsider)
    if feed == "stale":
        long.wait(DAY, fresh=False)

    long.vault.checkRuin(sender=outsider)

    assert long.vault.isRuined()


@pytest.mark.parametrize("first", ["nobody", "accrue", "redeem"])
def test_liquidated__whoever_comes_next__cannot_make_it_forgotten(long, minter, redeemer, outsider, first):
    """800 without a position looks like a fund below its band: nobody may mint into it or lever it up."""
    long.fund(redeemer, long.units(100))
    long.adapter.liquidate(wad(800), sender=outsider)

    if first == "accrue":
        assert only(long.vault.accrue(sender=outsider), long.vault.Ruined).equity == wad(800)
    elif first == "redeem":
        assert only(long.redeem(minter, wad(1_000)), long.vault.Ruined).size == 0
    for _ in range(2):
        with reverts(long.vault.VaultRuined):
            long.vault.rebalance(sender=outsider)
        with reverts(long.vault.VaultRuined):
            long.vault.deposit(long.units(50), redeemer, sender=redeemer)
        long.vault.checkRuin(sender=outsider)

    assert long.vault.isRuined()


def test_liquidated__in_part__is_a_loss_and_goes_on(long, keeper, redeemer):
    """The venue takes half and keeps 5 % of it: 750. 7.5 ETH on 9,250 is 1.62x, below the band."""
    long.adapter.liquidatePart(WAD // 2, wad("0.05"), sender=keeper)
    assert long.vault.equity() == wad(9_250)
    long.vault.checkRuin(sender=keeper)
    assert not long.vault.isRuined()

    tx = long.vault.rebalance(sender=keeper)

    assert only(tx, long.vault.Rebalanced).trigger == Trigger.BAND
    assert abs(long.vault.leverage() - 3 * WAD) <= 10
    assert long.lines()["slippage"] == lm.div(wad(-750) * WAD, wad(10_000) + lm.VIRTUAL)
