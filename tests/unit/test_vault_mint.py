"""Entering: deposit and mint. Whoever enters pays for it (E-2)."""

from decimal import Decimal
from unittest.mock import ANY

import pytest
from market import FEES, FOREVER, only, reverts, wad

from leverage import leverage_math as lm
from leverage.types import WAD

AMOUNTS = ["0.01", "1", "777.777777", "10000", "250000"]


def entry(market, assets):
    """Margin and mint fee of a deposit, in assets, as the formulas have it."""
    fee = lm.fee_up(assets, FEES.mint)
    return assets - fee, fee


def test_deposit__into_an_empty_vault__buys_the_target(vacant, minter):
    vault, assets = vacant.vault, vacant.units(1_000)
    margin, fee = entry(vacant, assets)
    vacant.fund(minter, assets)
    before = vacant.asset.balanceOf(minter)

    tx = vault.deposit(assets, minter, sender=minter)

    snapshot = vault.snapshot()
    assert snapshot.target == vault.target() == 3 * WAD
    assert abs(snapshot.leverage - snapshot.target) < 10
    assert snapshot.nav == WAD
    assert snapshot.supply == vacant.token.balanceOf(minter) == snapshot.equity == margin * vacant.scale
    assert snapshot.size - lm.size_to_leverage(3 * WAD, snapshot.equity, 0, snapshot.price) in (0, 1)
    assert tuple(snapshot.rebalancing) == (snapshot.price, vacant.now, 0, False)
    log = only(tx, vault.Deposit)
    assert (log.sender, log.owner, log.assets, log.shares) == (minter, minter, assets, snapshot.supply)
    assert before - vacant.asset.balanceOf(minter) == assets
    assert vacant.asset.balanceOf(vault) == vault.feesOwed() == fee
    assert vacant.asset.balanceOf(vacant.adapter) == margin


def test_mint__into_an_empty_vault__costs_the_shares_and_the_fee(vacant, minter):
    tx = vacant.mint(minter, 1_000)

    log = only(tx, vacant.vault.Deposit)
    assert log.shares == vacant.token.balanceOf(minter) == wad(1_000)
    assert log.assets == lm.gross_up(vacant.units(1_000), FEES.mint)
    assert vacant.vault.nav() == WAD


@pytest.mark.parametrize("amount", AMOUNTS)
def test_deposit__any_amount__yields_what_the_preview_said(market, redeemer, amount):
    market.price(2_150)
    market.adapter.setFeeRate(wad("0.0007"), sender=redeemer)
    market.adapter.setSlippage(wad("0.0013"), sender=redeemer)
    assets = market.units(amount)
    market.fund(redeemer, assets)
    preview = market.vault.previewDeposit(assets)

    market.vault.deposit(assets, redeemer, sender=redeemer)

    assert market.token.balanceOf(redeemer) == preview > 0


@pytest.mark.parametrize("amount", AMOUNTS)
def test_mint__any_amount__costs_what_the_preview_said(market, redeemer, amount):
    market.price(1_900)
    market.adapter.setFeeRate(wad("0.0007"), sender=redeemer)
    market.adapter.setSlippage(wad("0.0013"), sender=redeemer)
    preview = market.vault.previewMint(wad(amount))
    market.fund(redeemer, preview)
    before = market.asset.balanceOf(redeemer)

    market.vault.mint(wad(amount), redeemer, sender=redeemer)

    assert before - market.asset.balanceOf(redeemer) == preview
    assert market.token.balanceOf(redeemer) == wad(amount)


@pytest.mark.parametrize("index", [1_800, 2_000, 2_100])
def test_deposit__for_free__moves_neither_nav_nor_leverage(either, redeemer, index):
    either.price(index)
    before = either.vault.snapshot()

    either.deposit(redeemer, 5_000)

    after = either.vault.snapshot()
    assert 0 <= after.nav - before.nav <= 10
    assert abs(after.leverage - before.leverage) <= 10**6
    either.lines()


def test_deposit__that_costs__is_paid_by_the_entrant(either, redeemer):
    either.adapter.setFeeRate(wad("0.001"), sender=redeemer)
    either.adapter.setSlippage(wad("0.002"), sender=redeemer)
    before = either.vault.snapshot()
    assets = either.units(5_000)
    margin, _ = entry(either, assets)
    size = lm.size_to_leverage(before.leverage, margin * either.scale, 0, before.price)
    quote = either.adapter.quote(size)
    expected = lm.size_net_of_cost(
        size, before.price, before.leverage, lm.cost_of(quote.size, quote.cash, before.price)
    )

    tx = either.deposit(redeemer, 5_000)

    after = either.vault.snapshot()
    cost = margin * either.scale - (after.equity - before.equity)
    assert abs(after.size - before.size - expected) <= 1
    # 3x of what the deposit adds, each unit of it at 30 bp: about 90 bp of the margin.
    assert cost * 10_000 // (margin * either.scale) in (89, 90)
    assert only(tx, either.vault.Deposit).shares == lm.to_shares_down(
        margin * either.scale - cost, before.equity, before.supply
    )
    assert 0 <= after.nav - before.nav <= 10
    assert abs(after.leverage - before.leverage) <= 10**6
    assert either.lines()["venueFee"] == either.lines()["slippage"] == 0


def test_deposit__at_a_better_price__leaves_the_gain_to_the_fund(either, redeemer):
    either.adapter.setSlippage(wad("-0.001"), sender=redeemer)
    before = either.vault.snapshot()
    assets = either.units(5_000)
    margin, _ = entry(either, assets)

    tx = either.deposit(redeemer, 5_000)

    after = either.vault.snapshot()
    gain = after.equity - before.equity - margin * either.scale
    assert gain == abs(after.size - before.size) * after.price // WAD // 1_000
    assert only(tx, either.vault.Deposit).shares == lm.to_shares_down(
        margin * either.scale, before.equity, before.supply
    )
    assert after.nav == lm.nav(after.equity, after.supply) > before.nav
    assert either.lines()["slippage"] == lm.div(gain * WAD, after.supply + lm.VIRTUAL)


def test_deposit__for_somebody_else__takes_from_the_caller_alone(long, minter, outsider):
    assets = long.units(100)
    long.fund(minter, assets)
    before = long.asset.balanceOf(minter)

    tx = long.vault.deposit(assets, outsider, sender=minter)

    log = only(tx, long.vault.Deposit)
    assert (log.sender, log.owner) == (minter, outsider)
    assert long.token.balanceOf(outsider) == log.shares
    assert before - long.asset.balanceOf(minter) == assets
    assert long.asset.balanceOf(outsider) == 0


def test_deposit__with_min_shares__holds_to_the_wei(long, redeemer):
    assets = long.units(500)
    long.fund(redeemer, assets)
    shares = long.vault.previewDeposit(assets)

    with reverts(long.vault.TooFewShares, shares=shares, min=shares + 1):
        long.vault.deposit(assets, redeemer, shares + 1, FOREVER, sender=redeemer)
    long.vault.deposit(assets, redeemer, shares, FOREVER, sender=redeemer)

    assert long.token.balanceOf(redeemer) == shares


def test_mint__with_max_assets__holds_to_the_wei(long, redeemer):
    assets = long.vault.previewMint(wad(500))
    long.fund(redeemer, assets)

    with reverts(long.vault.TooManyAssets, assets=assets, max=assets - 1):
        long.vault.mint(wad(500), redeemer, assets - 1, FOREVER, sender=redeemer)
    long.vault.mint(wad(500), redeemer, assets, FOREVER, sender=redeemer)

    assert long.token.balanceOf(redeemer) == wad(500)


def test_enter__after_the_deadline__reverts(long, redeemer):
    late = long.now - 1
    long.fund(redeemer, long.units(1_000))

    with reverts(long.vault.DeadlinePassed, deadline=late, now_=long.now):
        long.vault.deposit(long.units(500), redeemer, 0, late, sender=redeemer)
    with reverts(long.vault.DeadlinePassed, deadline=late, now_=long.now):
        long.vault.mint(wad(500), redeemer, FOREVER, late, sender=redeemer)
    long.vault.deposit(long.units(500), redeemer, 0, long.now, sender=redeemer)

    assert long.token.balanceOf(redeemer) > 0


def test_enter__with_nothing__reverts(long, redeemer):
    with reverts(long.vault.ZeroAmount):
        long.vault.deposit(0, redeemer, sender=redeemer)
    with reverts(long.vault.ZeroAmount):
        long.vault.mint(0, redeemer, sender=redeemer)


def test_deposit__dust_that_the_fee_eats__reverts(long, redeemer):
    long.fund(redeemer, 1)

    with reverts(long.vault.CostExceedsDeposit, cost=0, assets=0):
        long.vault.deposit(1, redeemer, sender=redeemer)


def test_deposit__too_little_for_a_share__reverts(world, redeemer):
    market = world.markets[3, 18]
    market.price(2_400)
    market.fund(redeemer, 2)

    with reverts(market.vault.TooFewShares, shares=0, min=0):
        market.vault.deposit(2, redeemer, sender=redeemer)


def test_deposit__that_costs_more_than_it_brings__reverts(long, redeemer):
    assets = long.units(100)
    long.fund(redeemer, assets)
    brought = entry(long, assets)[0] * long.scale
    long.adapter.lie(0, -brought, 0, sender=redeemer)

    with reverts(long.vault.CostExceedsDeposit, cost=brought, assets=brought):
        long.vault.deposit(assets, redeemer, sender=redeemer)
    long.adapter.lie(0, 1 - brought, 0, sender=redeemer)
    with reverts(long.vault.TooFewShares, shares=1, min=2):
        long.vault.deposit(assets, redeemer, 2, FOREVER, sender=redeemer)


def test_deposit__without_balance_or_allowance__reverts(long, outsider):
    assets = long.units(100)
    margin, _ = entry(long, assets)

    with reverts(long.asset.ERC20InsufficientAllowance, spender=long.vault, allowance=0, needed=margin):
        long.vault.deposit(assets, outsider, sender=outsider)
    long.asset.approve(long.vault, FOREVER, sender=outsider)
    with reverts(long.asset.ERC20InsufficientBalance, sender=outsider, balance=0, needed=margin):
        long.vault.deposit(assets, outsider, sender=outsider)


def test_deposit__partly_filled__reverts(long, redeemer):
    long.fund(redeemer, long.units(100))
    long.adapter.setFillRatio(WAD // 2, sender=redeemer)

    half, whole = (pytest.approx(wad(size), abs=2) for size in ("0.074925", "0.14985"))
    with reverts(long.vault.PartialFill, filled=half, wanted=whole):
        long.vault.deposit(long.units(100), redeemer, sender=redeemer)


@pytest.mark.parametrize("move", ["0.0199", "0.0201"])
def test_deposit__venue_away_from_the_index__needs_it_within_the_tolerance(either, redeemer, move):
    venue = Decimal(2_000) * (1 + Decimal(move))
    either.price(2_000, venue)
    either.fund(redeemer, either.units(100))
    assert either.oracle.maxDeviation() == wad("0.02")

    if Decimal(move) < Decimal("0.02"):
        either.deposit(redeemer, 100)
        assert either.token.balanceOf(redeemer) > 0
    else:
        with reverts(
            either.oracle.PriceDeviates, price=wad(2_000), venuePrice=wad(venue), maxDeviation=wad("0.02")
        ):
            either.vault.deposit(either.units(100), redeemer, sender=redeemer)


def test_deposit__filled_beyond_the_tolerance__reverts(either, redeemer):
    """The venue's price was near before, and is not at the fill (E-2)."""
    either.adapter.setSlippage(wad("0.0201"), sender=redeemer)
    either.fund(redeemer, either.units(100))

    with reverts(either.vault.PartialFill, filled=0, wanted=ANY):
        either.vault.deposit(either.units(100), redeemer, sender=redeemer)
