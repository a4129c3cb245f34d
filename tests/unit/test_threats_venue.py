"""THREATS 4 and 5, for a venue that fills at once: trust in the venue, liquidation, insolvency."""

from unittest.mock import ANY

import pytest
from market import FEES, FOREVER, NO_FEES, only, reverts, wad, works

from leverage import leverage_math as lm
from leverage.types import WAD, Trigger


def test_threat_callback_spoofing__anybody_at_the_adapter__is_turned_away(long, attacker, minter, owner):
    """Callback spoofing / direct execution: only the vault of an adapter moves its account."""
    for caller in (attacker, minter, owner):
        with reverts(long.adapter.OnlyVault, caller=caller, vault=long.vault):
            long.adapter.adjust(WAD, 0, 0, sender=caller)
        with reverts(long.adapter.OnlyVault, caller=caller, vault=long.vault):
            long.adapter.withdraw(1, caller, sender=caller)
        with reverts(long.adapter.AlreadyBound, vault=long.vault):
            long.adapter.bind(sender=caller)


def test_threat_liquidation_unhandled__in_part_between_two_actions__is_booked_and_borne_by_all(
    long, minter, redeemer, outsider
):
    """ADL / liquidation callback unhandled: the venue changes the position, and nobody is told."""
    long.token.transfer(redeemer, wad(5_000), sender=minter)
    long.adapter.liquidatePart(WAD // 3, wad("0.03"), sender=outsider)

    long.redeem(minter)
    long.redeem(redeemer)

    # A third of 30,000 at 3 % is 300.
    paid = long.units(4_850)
    for holder in (minter, redeemer):
        assert long.near(long.asset.balanceOf(holder), paid - lm.fee_up(paid, FEES.burn))


@pytest.mark.parametrize("margin", ["4", "3.2", "2.99"])
def test_threat_collateral_check__near_the_venues_minimum__pays_in_full_or_reverts(deploy, minter, margin):
    """Collateral check zeroes withdrawal: a minimum margin pays 0 for burnt shares."""
    market = deploy(venue_max=6)
    market.mint(minter, 1_000)
    market.adapter.setMaxLeverage(wad(margin), sender=minter)
    least = market.vault.previewRedeem(wad(500))

    if wad(margin) > 3 * WAD:
        market.vault.redeem(wad(500), minter, minter, least, FOREVER, sender=minter)
        assert market.asset.balanceOf(minter) == least
    else:
        with reverts(market.adapter.MarginShort, leverage=ANY, maxLeverage=wad(margin)):
            market.redeem(minter, wad(500))
        assert market.token.balanceOf(minter) == wad(1_000)
        market.redeem(minter)
        assert market.near(market.asset.balanceOf(minter), market.units(999))


def test_threat_venue_paused__nothing_can_be_closed__shares_keep_their_claim(long, minter, redeemer, keeper):
    """Venue paused or frozen: neither redemption nor de-levering while it lasts; nothing is lost."""
    long.adapter.fail("paused", "paused", sender=keeper)
    long.price(1_750)
    before = long.vault.snapshot()

    with reverts(long.adapter.VenueFailed, reason="paused"):
        long.redeem(minter)
    with reverts(long.adapter.VenueFailed, reason="paused"):
        long.vault.withdraw(long.units(1), minter, minter, sender=minter)
    with reverts(long.adapter.VenueFailed, reason="paused"):
        long.vault.rebalance(sender=keeper)

    assert long.vault.snapshot() == before
    long.token.transfer(redeemer, wad(1), sender=minter)
    long.adapter.fail("", "", sender=keeper)
    long.vault.rebalance(sender=keeper)
    long.redeem(minter)
    assert long.token.balanceOf(minter) == 0


def test_threat_blacklisted_recipient__one_user_is_blocked__others_are_paid(
    deploy, project, owner, minter, redeemer
):
    """Blacklisted recipient, blacklisted vault (THREATS 4 and 7): each exit is a transaction of its own, and
    may go to another receiver."""
    asset = project.MockOddERC20.deploy(6, sender=owner)
    market = deploy(asset=asset)
    for who in (minter, redeemer):
        market.mint(who, 100)
    asset.setBlocked(minter, True, sender=owner)

    with reverts(asset.Blocked, account=minter):
        market.redeem(minter)
    market.redeem(redeemer)
    market.vault.redeem(wad(100), owner, minter, sender=minter)

    assert market.near(asset.balanceOf(redeemer), market.units("99.9"))
    assert market.near(asset.balanceOf(owner), market.units("99.9"))


@pytest.mark.parametrize(("target", "index"), [(3, 1_200), (-3, 2_800)])
def test_threat_negative_equity__clamped_while_shares_remain__the_next_mint_owns_nothing(
    world, redeemer, minter, outsider, target, index
):
    """Negative equity clamps to 0 while supply stays: the next mint would own everything."""
    market = world.markets[target, 6]
    market.fund(redeemer, market.units(1_000))
    market.price(index)

    for record in (False, True):
        if record:
            market.vault.checkRuin(sender=outsider)
        assert market.vault.maxDeposit(redeemer) == market.vault.maxMint(redeemer) == 0
        assert not works(lambda: market.vault.deposit(market.units(1_000), redeemer, sender=redeemer))
    market.redeem(minter, wad(4_000))

    assert market.token.balanceOf(redeemer) == market.asset.balanceOf(minter) == 0


def test_threat_liquidation_by_churn__deposits_and_exits__never_shorten_the_distance(
    either, minter, attacker
):
    """Liquidation by depositor churn: margin is walked down by going in and out (I-4)."""
    either.adapter.setFeeRate(wad("0.0006"), sender=attacker)
    either.price(1_850 if either.vault.target() > 0 else 2_120)
    start = abs(either.vault.leverage())

    for amount in (500, 20_000, 1_000):
        either.deposit(attacker, amount)
        assert abs(either.vault.leverage()) <= start + 10**6
        either.redeem(attacker)
        assert abs(either.vault.leverage()) <= start + 10**6

    assert abs(either.vault.leverage()) <= start + 10**6


def test_threat_escape_before_loss__half_leave_at_minus_20_percent__both_halves_get_the_same(
    deploy, minter, redeemer
):
    """Escape before loss: who leaves first skips a negative profit that has not been realised."""
    market = deploy(3, fees=NO_FEES, triggers=0)
    for who in (minter, redeemer):
        market.mint(who, 1_000)
    market.price(1_600)

    market.redeem(minter)
    market.redeem(redeemer)

    for who in (minter, redeemer):
        assert market.near(market.asset.balanceOf(who), market.units(400))


def test_threat_pnl_asymmetry__venue_pays_60_percent_of_profit__nav_has_what_was_received(
    long, minter, keeper, outsider
):
    """PnL asymmetry / bad debt: the counterparty cannot pay. 15 ETH up 200 is 3,000, of which 1,800 come."""
    long.price(2_200)
    nav = long.vault.nav()

    long.adapter.payProfit(wad("0.6"), sender=outsider)

    assert nav - long.vault.nav() == pytest.approx(wad("0.12"), abs=10**8)
    assert long.lines()["funding"] == pytest.approx(-wad("0.12"), abs=10**8)
    long.wait_until(120, day=1)
    long.vault.rebalance(sender=keeper)
    long.redeem(minter)
    assert long.asset.balanceOf(minter) <= long.units(11_800)


def test_threat_transfer_while_liquidatable__tokens_move_always__as_documented(
    long, minter, redeemer, outsider
):
    """Transfer while liquidatable: a buyer may get a dead token. Transfers are never restricted."""
    for index in (2_000, 1_400, 1_200):
        long.price(index)
        long.token.transfer(redeemer, WAD, sender=minter)
    long.vault.checkRuin(sender=outsider)
    long.token.transfer(redeemer, WAD, sender=minter)

    assert long.token.balanceOf(redeemer) == wad(4)
    assert long.vault.nav() == 0
    assert long.vault.snapshot().ruined


@pytest.mark.parametrize("left", ["0", "800", "-50"])
def test_threat_mint_after_liquidation__position_gone__is_refused(long, redeemer, outsider, left):
    """Mint after liquidation: no collateral, or some, and shares that claim it."""
    long.fund(redeemer, long.units(100))
    long.adapter.liquidate(wad(left), sender=outsider)

    for _ in range(2):
        with reverts(long.vault.VaultRuined):
            long.vault.deposit(long.units(100), redeemer, sender=redeemer)
        long.vault.checkRuin(sender=outsider)

    assert long.token.balanceOf(redeemer) == long.vault.maxDeposit(redeemer) == 0


@pytest.mark.parametrize("fee", ["0.001", "0.01", "0.03"])
def test_threat_fee_reduces_margin__delevering_at_a_high_fee__ends_healthier(long, outsider, fee):
    """Reward or order fee reduces margin into liquidation: fees and tips left out of the margin maths."""
    long.adapter.setFeeRate(wad(fee), sender=outsider)
    long.price(1_500)
    before = long.vault.leverage()
    assert before == pytest.approx(9 * WAD, abs=10**3)

    log = only(long.vault.rebalance(sender=outsider), long.vault.Rebalanced)

    assert log.trigger == Trigger.EMERGENCY
    assert log.leverageAfter == pytest.approx(3 * WAD, abs=10**6)
    assert log.fee * 1_000 // abs(log.size) in range(int(1_400_000 * float(fee)), int(1_600_000 * float(fee)))


def test_threat_shared_account__two_vaults_of_one_treasury__do_not_touch_each_other(
    world, minter, outsider, chain
):
    """Venue blacklists the vault because of one user: each has an account of its own."""
    long, short = world.markets[3, 6], world.markets[-3, 6]
    before = short.vault.snapshot()

    long.adapter.fail("banned", "banned", sender=outsider)
    long.adapter.liquidate(0, sender=outsider)
    long.vault.checkRuin(sender=outsider)

    assert short.vault.snapshot() == before
    short.redeem(minter, wad(1_000))
    assert short.asset.balanceOf(minter) > 0
