"""What keeps deposits out: caps, the pause, the band. Exits know none of them (E-7)."""

import pytest
from market import reverts

from leverage import leverage_math as lm
from leverage.types import DAY, WAD, Caps


@pytest.fixture
def capped(deploy):
    """At most 1,000 in a day and 2,500 in all."""
    return deploy(cap=Caps(daily=1_000 * 10**6, total=2_500 * 10**6))


def margin(market, amount):
    assets = market.units(amount)
    return assets - lm.fee_up(assets, market.terms.fees().mint)


def test_deposit__over_the_daily_cap__reverts(capped, minter):
    capped.deposit(minter, 700)
    left = capped.units(1_000) - margin(capped, 700)
    assert capped.vault.mintedToday() == margin(capped, 700)
    assets = capped.vault.maxDeposit(minter) * 1_002 // 1_000
    wanted = assets - lm.fee_up(assets, capped.terms.fees().mint)

    with reverts(capped.vault.DailyCapExceeded, assets=wanted, left=left):
        capped.vault.deposit(assets, minter, sender=minter)


def test_deposit__split_in_many__meets_the_same_daily_cap(capped, minter, redeemer):
    for who in (minter, redeemer, minter):
        capped.deposit(who, 333)

    left = capped.units(1_000) - 3 * margin(capped, 333)
    assert capped.vault.maxDeposit(minter) == left
    with reverts(capped.vault.DailyCapExceeded, assets=margin(capped, 333), left=left):
        capped.deposit(redeemer, 333)


def test_deposit__on_the_next_utc_day__has_a_new_cap(capped, minter):
    capped.wait_until(DAY - 1)
    capped.deposit(minter, 1_000)
    assert capped.vault.maxDeposit(minter) == capped.units(1_000) - margin(capped, 1_000)

    capped.wait(1)

    assert capped.now % DAY == 0
    assert capped.vault.mintedToday() == 0
    assert capped.vault.maxDeposit(minter) == capped.units(1_000)
    capped.deposit(minter, 1_000)
    assert capped.vault.mintedToday() == margin(capped, 1_000)


def test_redeem__after_a_mint__gives_no_room_back_today(capped, minter):
    capped.deposit(minter, 1_000)

    capped.redeem(minter)

    assert capped.vault.mintedToday() == margin(capped, 1_000)


def test_deposit__over_the_total_cap__reverts(capped, minter):
    for day in range(1, 4):
        capped.wait_until(0, day)
        capped.deposit(minter, 800)
    capped.wait_until(0, 4)
    left = capped.units(2_500) - capped.vault.totalAssets()
    assert capped.vault.maxDeposit(minter) == left > 0

    with reverts(capped.vault.TotalCapExceeded, assets=margin(capped, 800), left=left):
        capped.deposit(minter, 800)
    capped.vault.deposit(left, minter, sender=minter)

    assert capped.vault.totalAssets() <= capped.units(2_500)


def test_total_cap__grown_beyond_by_profit__stops_mints_alone(capped, minter):
    for day in range(1, 4):
        capped.wait_until(0, day)
        capped.deposit(minter, 800)
    capped.price(2_200)

    assert capped.vault.totalAssets() > capped.units(2_500)
    assert capped.vault.maxDeposit(minter) == capped.vault.maxMint(minter) == 0
    with reverts(capped.vault.TotalCapExceeded, assets=margin(capped, 1), left=0):
        capped.deposit(minter, 1)
    capped.redeem(minter)
    assert capped.token.totalSupply() == capped.token.balanceOf(capped.terms.treasury())


def test_max_deposit__and_max_mint__are_accepted_in_full(capped, minter):
    shares, assets = capped.vault.maxMint(minter), capped.vault.maxDeposit(minter)
    assert assets == capped.units(1_000)

    capped.mint(minter, shares / WAD if shares % WAD else shares // WAD)

    assert capped.token.balanceOf(minter) == shares == margin(capped, 1_000) * capped.scale


@pytest.mark.parametrize("stop", ["paused", "stale", "deviating", "ruined"])
def test_max_deposit__while_mints_are_stopped__is_zero(long, guardian, outsider, stop):
    assert long.vault.maxDeposit(outsider) > 0
    if stop == "paused":
        long.terms.pause(DAY, sender=guardian)
    elif stop == "stale":
        long.wait(long.oracle.heartbeat() + 1, fresh=False)
    elif stop == "deviating":
        long.price(2_000, 2_100)
    else:
        long.price(1_200)
        long.vault.checkRuin(sender=outsider)

    assert long.vault.maxDeposit(outsider) == 0
    assert long.vault.maxMint(outsider) == 0


def test_deposit__paused__reverts_until_the_pause_ends(long, guardian, redeemer):
    long.terms.pause(DAY, sender=guardian)
    until = long.now + DAY
    long.fund(redeemer, long.units(100))

    long.wait(DAY - 1)
    with reverts(long.vault.MintsPaused, until=until):
        long.vault.deposit(long.units(50), redeemer, sender=redeemer)
    with reverts(long.vault.MintsPaused, until=until):
        long.vault.mint(WAD, redeemer, sender=redeemer)
    long.wait(1)
    long.vault.deposit(long.units(50), redeemer, sender=redeemer)

    assert long.token.balanceOf(redeemer) > 0


def test_deposit__leverage_above_the_band__reverts_until_it_is_back(either, redeemer):
    either.fund(redeemer, either.units(100))
    either.price(1_770 if either.vault.target() > 0 else 2_140)
    leverage = either.vault.leverage()
    band_max = either.terms.policy().bandMax
    assert abs(leverage) > band_max

    with reverts(either.vault.LeverageTooHigh, leverage=leverage, max=band_max):
        either.vault.deposit(either.units(100), redeemer, sender=redeemer)
    either.vault.rebalance(sender=redeemer)
    either.vault.deposit(either.units(100), redeemer, sender=redeemer)

    assert either.token.balanceOf(redeemer) > 0


def test_deposit__leverage_below_the_band__joins_at_it(long, redeemer):
    long.price(3_200)
    before = long.vault.leverage()
    assert before < long.terms.policy().bandMin

    long.deposit(redeemer, 100)

    assert abs(long.vault.leverage() - before) <= 10**6


def test_deposit__unusable_price__reverts_with_the_reason(long, redeemer):
    long.fund(redeemer, long.units(100))
    heartbeat, updated = long.oracle.heartbeat(), long.now
    long.wait(heartbeat + 1, fresh=False)

    with reverts(long.oracle.PriceStale, updatedAt=updated, age=heartbeat + 1, heartbeat=heartbeat):
        long.vault.deposit(long.units(50), redeemer, sender=redeemer)
    long.feed.set(-1, sender=redeemer)
    with reverts(long.oracle.PriceNotPositive, answer=-1):
        long.vault.mint(WAD, redeemer, sender=redeemer)
