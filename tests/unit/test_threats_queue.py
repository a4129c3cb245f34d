"""THREATS 1 to 7 where orders fill later. The class stands in each test's docstring."""

import random

import pytest
from eth_utils import keccak
from market import NO_FEES, RETRY_DELAY, only, reverts, wad, works

from leverage import leverage_math as lm
from leverage.types import DAY, WAD, Caps


def worth(market, who):
    """Collateral, and shares at nav."""
    return (
        market.asset.balanceOf(who) * market.scale + market.token.balanceOf(who) * market.vault.nav() // WAD
    )


# 1 Share accounting


@pytest.mark.parametrize("gift", ["vault", "queue", "venue"])
def test_threat_inflation_donation__first_entrant_gives_10000__victim_loses_nothing(
    deploy, attacker, redeemer, gift
):
    """Inflation / donation: the first holder makes next to nothing worth a lot (I-13)."""
    market = deploy(queued=True, fees=NO_FEES)
    market.enter(attacker, 4)
    market.fund(attacker, market.units(10_000))
    start = worth(market, attacker)

    if gift == "venue":
        market.asset.approve(market.adapter, market.units(10_000), sender=attacker)
        market.adapter.donate(market.units(10_000), sender=attacker)
    else:
        market.asset.transfer(getattr(market, gift), market.units(10_000), sender=attacker)
        market.gifts = market.units(10_000) if gift == "queue" else 0
    market.enter(redeemer, 10_000)

    assert worth(market, redeemer) >= wad(10_000) - wad("0.02")
    assert worth(market, attacker) <= start


def test_threat_rounding_drift__many_small_requests__never_pay_the_actor(free, minter, attacker):
    """Rounding drift: many tiny entrances and exits leak from the others (I-5)."""
    free.fund(attacker, free.units(50))
    free.price(2_011)
    random.seed(5)
    start, rest = worth(free, attacker), worth(free, minter)

    for _ in range(3):
        free.request(attacker, f"{random.uniform(4, 9):.6f}")
        free.leave(minter, random.randint(4 * WAD, 5 * WAD))
        free.fill()
        free.claim(attacker)
        free.claim(minter)
        free.exit(attacker)

    assert worth(free, attacker) <= start
    assert worth(free, minter) >= rest - 6 * free.scale


def test_threat_zero_supply__all_left_and_donated__the_next_holder_starts_again(
    free, minter, attacker, redeemer
):
    """Zero supply / zero nav: division by zero, infinite rate, unbacked shares after a full exit."""
    free.exit(minter)
    assert free.token.totalSupply() == free.size() == 0
    free.fund(attacker, free.units(500))
    free.asset.approve(free.adapter, free.units(500), sender=attacker)
    free.adapter.donate(free.units(500), sender=attacker)
    assert free.vault.nav() == WAD

    free.enter(redeemer, 1_000)

    assert free.token.totalSupply() == wad(1_000)
    assert worth(free, redeemer) > wad(1_490)


def test_threat_last_redeemer_trapped__everybody_leaves_in_turn__none_is_left_behind(
    free, minter, redeemer, outsider
):
    """Last redeemer trapped: a venue's fees leave a remainder that nobody can take out."""
    free.adapter.setFeeRate(wad("0.0007"), sender=outsider)
    for who, amount in ((redeemer, "333.333333"), (outsider, "5000")):
        free.enter(who, amount)
    free.price(1_933)

    for who in (minter, redeemer, outsider):
        free.exit(who)
        assert free.token.balanceOf(who) == 0

    assert free.token.totalSupply() == free.size() == 0
    assert 0 <= free.vault.equity() < 10 * free.scale


def test_threat_decimals__18_of_collateral__give_the_same_shares(world, minter, redeemer):
    """Decimals and wrong index: 6 and 18 decimals of collateral in one scenario."""
    found = []
    for decimals in (6, 18):
        market = world.queued[3, decimals]
        market.price(2_010)
        shares = market.enter(redeemer, 1_000)
        market.price(1_990)
        found.append((shares, market.exit(minter, wad(100)) * market.scale))
        market.audit(world.roles)

    for six, eighteen in zip(*found, strict=True):
        assert abs(six - eighteen) <= 10**13


def test_threat_minimum_size__dust__is_refused_or_waits_for_company(queued, minter, attacker, redeemer):
    """Minimum-size mint closes position: a dust order crosses a minimum."""
    queued.token.transfer(attacker, 1, sender=minter)
    queued.leave(attacker)

    with reverts(queued.vault.BatchTooSmall, notional=3, min=wad(10)):
        queued.commit()
    queued.request(redeemer, 100)
    queued.fill()

    assert queued.queue.maxRedeem(attacker) == 1


def test_threat_cap_bypass__requests_in_any_state__meet_one_cap(deploy, minter, redeemer, attacker):
    """Cap bypass: a cap that is checked per call and not in total."""
    market = deploy(queued=True, cap=Caps(daily=2_000 * 10**6, total=10**13))
    market.seed(minter, 1_000)
    market.request(redeemer, 300)
    market.commit()
    market.request(redeemer, 300)
    market.wait(2)
    market.settle()

    left = market.queue.room()
    market.fund(attacker, market.units(1_000))
    with reverts(market.queue.DailyCapExceeded, assets=left + 1, left=left):
        market.queue.requestDeposit(left + 1, attacker, attacker, sender=attacker)
    market.queue.requestDeposit(left, attacker, attacker, sender=attacker)
    market.fill()

    assert market.vault.mintedToday() <= market.units(2_000)


# 2 Oracle and nav


@pytest.mark.parametrize("bad", ["negative", "late", "off"])
def test_threat_stale_price__or_one_that_is_none__keeps_deposits_waiting_and_no_exit(
    queued, minter, redeemer, bad
):
    """Stale price, sequencer down, two price sources: who enters waits, who leaves does not."""
    queued.request(redeemer, 500)
    queued.leave(minter, wad(1_000))
    if bad == "negative":
        queued.feed.set(-5, sender=queued.owner)
    elif bad == "late":
        queued.wait(3_601, fresh=False)
    else:
        queued.price(2_000, 2_100)

    log = only(queued.commit(), queued.vault.Committed)
    queued.wait(2, fresh=False)
    queued.settle(index=2_000)

    assert (log.assets, log.shares) == (0, wad(1_000))
    assert queued.queue.maxRedeem(minter) == wad(1_000)
    assert queued.queue.pendingDepositRequest(2, redeemer) == queued.units(500)


def test_threat_arbitrage_between_updates__the_index_lags__pays_the_arbitrageur_nothing(
    free, minter, attacker
):
    """Mint/redeem arbitrage between oracle updates: a request gets the price of a later fill (E-3)."""
    free.request(attacker, 5_000)
    free.commit()
    free.wait(2)
    free.price(2_018)
    free.settle()
    free.claim(attacker)
    assert worth(free, attacker) <= wad(5_000)

    before = free.vault.nav()
    free.leave(attacker)
    free.commit()
    free.wait(2)
    free.price(2_004)
    free.settle()
    free.claim(attacker)

    assert free.vault.nav() < before
    assert worth(free, attacker) < wad(5_000) * free.vault.nav() // before + 10**12


def test_threat_stepwise_nav__margin_on_its_way__is_counted_once(free, minter, redeemer):
    """Spot vs mark confusion / stepwise nav: funds in transit valued 0 or twice."""
    seen = [free.vault.nav()]
    for act in (
        lambda: free.request(redeemer, 5_000),
        free.commit,
        lambda: free.leave(minter, wad(500)),
        lambda: free.wait(2),
        lambda: free.adapter.execute(wad(2_000), sender=free.owner),
        free.note,
        lambda: free.claim(redeemer),
        free.fill,
        lambda: free.claim(minter),
    ):
        act()
        seen.append(free.vault.nav())

    assert max(seen) - min(seen) <= 10**7
    assert free.vault.equity() == pytest.approx(wad(14_500), abs=2 * 10**12)


def test_threat_close_out_haircut__half_leave_at_a_cost__bear_it_alone(free, minter, redeemer, outsider):
    """Close-out haircut ignored: who leaves gets what the sale brought, those who stay lose nothing (I-2)."""
    free.token.transfer(redeemer, wad(5_000), sender=minter)
    free.adapter.setFeeRate(wad("0.001"), sender=outsider)
    free.adapter.setSlippage(wad("0.002"), sender=outsider)

    paid = free.exit(redeemer)

    # 15,000 at 10 bp and 20 bp.
    assert paid == pytest.approx(free.units("4955.03"), abs=free.units("0.001"))
    assert WAD <= free.vault.nav() < WAD + 10**9


def test_threat_oracle_gap_halt__a_hundred_hours_without_a_price__need_one_fresh_price(
    queued, minter, redeemer
):
    """Oracle-gap halt: missed rounds stop the market."""
    queued.leave(minter, wad(100))
    for _ in range(4):
        queued.wait(DAY, fresh=False)
    queued.feed.set(queued.feed.latestAnswer(), sender=queued.owner)

    tx = queued.fill()

    assert tx.gas_used < 700_000
    assert queued.queue.maxRedeem(minter) == wad(100)


@pytest.mark.parametrize(
    "door", ["nav()", "snapshot()", "accrue()", "commit()", "collectCash()", "collectFees()", "checkRuin()"]
)
def test_threat_reentrancy__in_the_middle_of_an_order__the_door_is_shut(queued, redeemer, outsider, door):
    """Read-only reentrancy, order re-entrancy: a venue that calls back in `submit` and in `settle`."""
    queued.request(redeemer, 100)
    queued.adapter.setHook(queued.vault, keccak(text=door)[:4], sender=outsider)
    assert not works(queued.commit)
    queued.adapter.setHook("0x" + "00" * 20, b"", sender=outsider)
    queued.commit()
    queued.wait(2)
    queued.adapter.setHook(queued.vault, keccak(text=door)[:4], sender=outsider)

    assert not works(queued.settle)

    queued.adapter.setHook("0x" + "00" * 20, b"", sender=outsider)
    queued.settle()
    assert queued.queue.maxDeposit(redeemer) == queued.units(100)


# 3 Rebalance and MEV


def test_threat_sandwich__venue_pushed_before_the_fill__the_order_fails_and_nobody_pays(
    free, redeemer, attacker
):
    """Rebalance sandwich: the acceptable price is taken from the index, not from the venue."""
    free.request(redeemer, 1_000)
    free.commit()
    free.wait(2)
    free.adapter.setSlippage(wad("0.011"), sender=attacker)

    tx = free.settle(attacker)

    assert only(tx, free.vault.OrderFailed).caller == attacker
    assert (free.vault.nav(), free.size()) == (WAD, wad(15))
    assert free.queue.pendingDepositRequest(2, redeemer) == free.units(1_000)


def test_threat_reward_farming__committing_and_settling_ones_own__earns_nothing(deploy, minter, attacker):
    """Reward farming, keeper reward unit: a tip is at most 1 % of what comes and goes."""
    free = deploy(queued=True, fees=NO_FEES, triggers=0)
    free.seed(minter, 10_000)
    free.fund(attacker, free.units(100))
    start, nav = worth(free, attacker), free.vault.nav()
    free.request(attacker, 100)
    free.wait(3_000)

    tx = free.fill(who=attacker)
    tip = only(tx, free.vault.Settled).tipShares
    free.claim(attacker)

    assert 0 < tip <= wad("2")
    assert worth(free, attacker) <= start
    assert abs(free.vault.nav() - nav) < 10**9


def test_threat_revert_loop__venue_fails_again_and_again__works_at_once_when_it_is_back(queued, minter):
    """Revert loop / no retry: a failed step halts for ever."""
    queued.leave(minter, wad(100))
    queued.adapter.fail("down", "", sender=queued.owner)
    for _ in range(3):
        with reverts(queued.adapter.VenueFailed, reason="down"):
            queued.commit()
        queued.wait(600)
    queued.adapter.fail("", "", sender=queued.owner)

    queued.fill()

    assert queued.queue.maxRedeem(minter) == wad(100)


# 4 Venue, async orders, callbacks


def test_threat_pending_order__never_executed__blocks_neither_requests_nor_claims(
    queued, minter, redeemer, outsider
):
    """Pending order blocks everything: one stuck order and all reverts (I-6)."""
    queued.enter(redeemer, 100)
    queued.request(redeemer, 100)
    queued.commit()
    queued.adapter.setFrozen(True, sender=outsider)
    queued.wait(DAY)
    assert not works(queued.note)

    queued.leave(minter, wad(100))
    queued.request(outsider, 100)
    queued.queue.cancelDepositRequest(4, outsider, outsider, sender=outsider)
    with reverts(queued.vault.OrderPending, since=queued.now - DAY):
        queued.commit()

    queued.adapter.setFrozen(False, sender=outsider)
    queued.note(outsider)
    # It is older than an hour: refunded.
    queued.queue.cancelDepositRequest(3, redeemer, redeemer, sender=redeemer)
    queued.wait(RETRY_DELAY)
    queued.fill()
    assert queued.queue.maxRedeem(minter) == wad(100)


def test_threat_cancel_incomplete__after_it__all_is_as_before_the_order(free, minter, redeemer, outsider):
    """Cancel incomplete: it misses a field of the state."""
    free.request(redeemer, 5_000)
    free.leave(minter, wad(1_000))

    def state():
        return free.vault.equity(), free.size(), free.idle(), *free.queue.next(), free.held(), free.cash()

    before = state()
    free.fail(outsider)

    assert state() == before
    free.wait(RETRY_DELAY)
    free.fill()
    assert free.queue.maxDeposit(redeemer) == free.units(5_000)


def test_threat_callback_spoofing__anybody_at_the_adapter__is_turned_away(queued, attacker):
    """Callback spoofing / direct execution: only the vault moves its account."""
    for door, arguments in (
        (queued.adapter.submit, (WAD, 0, 0, 0, attacker)),
        (queued.adapter.settle, ([], attacker)),
        (queued.adapter.withdraw, (1, attacker)),
    ):
        with reverts(queued.adapter.OnlyVault, caller=attacker, vault=queued.vault):
            door(*arguments, sender=attacker)


def test_threat_direct_execution__by_a_stranger__is_settled_at_the_same_price(
    free, redeemer, attacker, outsider
):
    """Direct execution: whoever executes at the venue, the fill's price holds, however late it is told."""
    free.request(redeemer, 1_000)
    free.commit()
    free.wait(2)
    expected = lm.to_shares_down(wad(1_000), free.vault.equity(), free.vault.snapshot().supply)

    free.adapter.execute(wad(2_000), sender=attacker)
    free.price(2_060)
    free.note(outsider)

    assert free.queue.maxMint(redeemer) == expected


def test_threat_liquidation_unhandled__between_order_and_fill__ends_all_requests(
    queued, minter, redeemer, outsider
):
    """ADL / liquidation callback unhandled: funds stuck, wrong status."""
    queued.request(redeemer, 500)
    queued.leave(minter, wad(4_000))
    queued.commit()
    queued.adapter.liquidate(wad(2_000), sender=outsider)

    tx = queued.note(outsider)

    assert only(tx, queued.vault.OrderFailed).size == 0
    assert only(tx, queued.vault.Ruined).size == 0
    queued.queue.cancelDepositRequest(2, redeemer, redeemer, sender=redeemer)
    assert queued.asset.balanceOf(redeemer) == queued.units(500)
    queued.wait(RETRY_DELAY)
    queued.fill()
    assert queued.queue.maxRedeem(minter) == wad(4_000)
    assert queued.queue.maxWithdraw(minter) > 0


def test_threat_free_look__after_the_price_moved__no_request_is_taken_back(queued, minter, redeemer):
    """Free look by withholding execution: unprofitable requests are cancelled."""
    queued.request(redeemer, 100)
    queued.leave(minter, WAD)
    queued.commit()
    queued.wait(2)
    queued.price(1_900)

    with reverts(queued.queue.RequestInFlight, requestId=2):
        queued.queue.cancelDepositRequest(2, redeemer, redeemer, sender=redeemer)
    with reverts(queued.queue.RequestInFlight, requestId=1):
        queued.queue.cancelRedeemRequest(1, minter, minter, sender=minter)


def test_threat_pending_order_leverage__two_batches__keep_the_leverage(queued, redeemer, outsider):
    """Pending-order leverage: two orders each within the limit, jointly above it."""
    queued.request(redeemer, 9_000)
    queued.commit()
    queued.request(outsider, 9_000)
    with reverts(queued.vault.OrderPending, since=queued.now):
        queued.commit()
    queued.wait(2)
    queued.settle()
    queued.fill()

    assert queued.vault.leverage() == pytest.approx(3 * WAD, abs=10**12)


def test_threat_execution_fee__too_little_or_too_much__reverts_or_comes_back(queued, redeemer, outsider):
    """Execution-fee shortfall or refund lost."""
    queued.adapter.setCharges(5, 7, sender=outsider)
    queued.request(redeemer, 100)
    before = queued.adapter.balance

    with reverts(queued.adapter.WrongFee, sent=6, needed=7):
        queued.commit(outsider, value=6)
    queued.commit(outsider, value=1_000)
    queued.wait(2)
    with reverts(queued.adapter.WrongFee, sent=4, needed=5):
        queued.vault.settle([wad(2_000).to_bytes(32, "big")], sender=outsider, value=4)
    queued.vault.settle([wad(2_000).to_bytes(32, "big")], sender=outsider, value=1_000)

    assert queued.vault.balance == 0
    assert queued.adapter.balance - before == 12


def test_threat_collateral_check__the_venue_pays_nothing__no_share_is_burnt_for_nothing(
    queued, minter, outsider
):
    """Collateral check zeroes withdrawal: a payout that is not there is pending, not zero."""
    queued.adapter.fail("", "held back", sender=outsider)
    queued.leave(minter, wad(5_000))
    queued.fill()
    assert queued.queue.maxRedeem(minter) == queued.queue.maxWithdraw(minter) == 0
    assert queued.queue.pendingRedeemRequest(1, minter) == wad(5_000)
    short = queued.vault.cashShort()

    queued.adapter.fail("", "", sender=outsider)
    log = only(queued.vault.collectCash(sender=outsider), queued.vault.CashCollected)

    assert (log.assets, log.cashShort) == (short, 0)
    queued.claim(minter)
    assert queued.asset.balanceOf(minter) == pytest.approx(queued.units(4_995), abs=queued.units("0.01"))


def test_threat_small_actions__many_requests__cost_a_settlement_nothing(queued, world, chain, minter):
    """Small actions stall the keeper's queue, spam in the queue, iteration limits (THREATS 4 and 7)."""
    used = []
    for people in (world.roles[5:6], world.roles[:4] + world.roles[5:]):
        start = chain.snapshot()
        for who in people:
            queued.request(who, 350 // len(people))
        queued.leave(minter, wad(50))
        commit = queued.commit()
        queued.wait(2)
        used.append((commit.gas_used, queued.settle().gas_used))
        chain.restore(start)

    for one, many in zip(*used, strict=True):
        assert abs(many - one) < 500


def test_threat_venue_paused__no_order_goes_out__requests_can_be_taken_back(queued, minter, redeemer):
    """Venue paused or frozen: nothing is lost, and nothing is trapped that has not gone out."""
    queued.request(redeemer, 100)
    queued.leave(minter, wad(100))
    queued.adapter.fail("paused", "paused", sender=queued.owner)
    with reverts(queued.adapter.VenueFailed, reason="paused"):
        queued.commit()

    queued.queue.cancelDepositRequest(2, redeemer, redeemer, sender=redeemer)
    queued.queue.cancelRedeemRequest(1, minter, minter, sender=minter)

    assert queued.asset.balanceOf(redeemer) == queued.units(100)
    assert queued.token.balanceOf(minter) == wad(10_000)


def test_threat_malicious_keeper__cancels_early__reverts(queued, redeemer, keeper):
    """Malicious keeper cancels or chooses price: what can be filled cannot be cancelled before its time."""
    queued.request(redeemer, 100)
    queued.commit()
    order = queued.adapter.order()

    for wait in (0, 2, 28):
        queued.wait(wait)
        times = {"fillableFrom": order.fillableFrom, "cancellableFrom": order.cancellableFrom}
        with reverts(queued.adapter.OrderWaiting, now_=queued.now, **times):
            queued.note(keeper)
    queued.wait(1)
    queued.note(keeper)

    assert queued.queue.next()[0] == queued.units(100)


# 5 Liquidation, insolvency


def test_threat_negative_equity__while_shares_remain__nobody_enters(queued, redeemer, outsider):
    """Negative equity clamps to 0 while supply stays: the next entrant would own everything."""
    queued.request(redeemer, 1_000)
    queued.price(1_300)

    with reverts(queued.vault.Underwater, equity=queued.vault.equity()):
        queued.commit()
    queued.vault.checkRuin(sender=outsider)

    queued.fund(outsider, queued.units(100))
    with reverts(queued.vault.VaultRuined):
        queued.queue.requestDeposit(queued.units(100), outsider, outsider, sender=outsider)
    queued.queue.cancelDepositRequest(2, redeemer, redeemer, sender=redeemer)
    assert queued.asset.balanceOf(redeemer) == queued.units(1_000)


def test_threat_liquidation_by_churn__requests_in_and_out__never_raise_leverage(free, minter, attacker):
    """Liquidation by depositor churn: margin is walked down by going in and out (I-4)."""
    free.price(1_900)
    before = free.vault.leverage()

    for _ in range(2):
        free.enter(attacker, 3_000)
        free.exit(minter, wad(500))
        free.exit(attacker)

    assert free.vault.leverage() == pytest.approx(before, rel=1e-9)


def test_threat_losses_socialised__the_price_falls_while_queued__the_leaver_bears_his_part(
    free, minter, redeemer
):
    """Losses socialised to those who stay: a queued redeemer keeps a fixed payout. Not here."""
    free.token.transfer(redeemer, wad(5_000), sender=minter)
    free.leave(redeemer)
    free.price(1_600)

    free.fill()
    free.claim(redeemer)

    assert free.asset.balanceOf(redeemer) == pytest.approx(free.units(2_000), abs=free.units("0.00001"))
    assert free.vault.nav() == pytest.approx(wad("0.4"), abs=10**10)


def test_threat_escape_before_loss__half_leave_at_minus_20_percent__both_halves_get_the_same(
    free, minter, redeemer
):
    """Escape before loss: who leaves first skips a negative profit that has not been realised."""
    free.token.transfer(redeemer, wad(5_000), sender=minter)
    free.price(1_600)

    first, second = free.exit(minter), free.exit(redeemer)

    assert free.near(first, second)
    assert free.near(first, free.units(2_000))


def test_threat_mint_after_liquidation__position_gone__no_deposit_goes_in(queued, redeemer, outsider):
    """Mint after liquidation: no collateral, or some, and shares that claim it."""
    queued.request(redeemer, 100)
    queued.adapter.liquidate(wad(800), sender=outsider)

    with reverts(queued.vault.PositionGone, size=0, expected=wad(15)):
        queued.commit()
    queued.vault.checkRuin(sender=outsider)
    with reverts(queued.vault.NothingDue, leverage=0, target=3 * WAD):
        queued.commit()

    queued.queue.cancelDepositRequest(2, redeemer, redeemer, sender=redeemer)
    assert queued.asset.balanceOf(redeemer) == queued.units(100)


# 6 Fees


def test_threat_accrual_skipped__any_pattern_of_calls__charges_the_integral(
    queued, redeemer, treasury, outsider, chain
):
    """Accrual skipped / back-charged (I-7)."""
    fees = []
    for calls in (0, 2):
        start = chain.snapshot()
        queued.request(redeemer, 1_000)
        queued.commit()
        for _ in range(calls):
            queued.vault.accrue(sender=outsider)
            queued.wait(1)
        queued.wait(2 - calls)
        queued.settle()
        queued.wait(DAY)
        queued.vault.accrue(sender=outsider)
        fees.append(queued.token.balanceOf(treasury))
        chain.restore(start)

    assert fees[0] == pytest.approx(fees[1], abs=10**5)
    assert fees[0] == pytest.approx(wad("1.0999") + wad("0.00005"), rel=1e-3)


def test_threat_fee_avoidance__split_in_four__is_never_cheaper(queued, redeemer, chain):
    """Fee avoidance: timing, splitting or rounding removes the fee (I-9)."""
    queued.fund(redeemer, queued.units(100))
    found = []
    for parts in (1, 4):
        start = chain.snapshot()
        for _ in range(parts):
            queued.request(redeemer, 100 // parts)
        queued.fill()
        found.append(queued.queue.maxMint(redeemer))
        chain.restore(start)

    assert found[1] <= found[0]


def test_threat_fee_recipient_reverts__treasury_is_blocked__nothing_else_stops(
    deploy, project, owner, minter, treasury
):
    """Fee recipient reverts, fee charged from idle balance: fees lie here until somebody collects them."""
    asset = project.MockOddERC20.deploy(6, sender=owner)
    market = deploy(asset=asset, queued=True)
    asset.setBlocked(treasury, True, sender=owner)

    market.enter(minter, 1_000)
    market.exit(minter)

    assert market.vault.feesOwed() > 0
    with reverts(asset.Blocked, account=treasury):
        market.vault.collectFees(sender=owner)


# 7 Exit, queue, DoS, auth, tokens, config


def test_threat_queue_starvation__cash_is_short__who_left_first_is_paid_first(
    queued, minter, redeemer, outsider
):
    """Queue starvation: who leaves later drains the cash of who left before."""
    queued.token.transfer(redeemer, wad(1_000), sender=minter)
    queued.adapter.fail("", "held back", sender=outsider)
    queued.leave(minter, wad(5_000))
    queued.fill()

    queued.leave(redeemer)
    assert not works(queued.commit)

    queued.adapter.fail("", "", sender=outsider)
    queued.vault.collectCash(sender=outsider)
    queued.claim(minter)
    queued.fill()
    queued.claim(redeemer)
    assert queued.asset.balanceOf(minter) > queued.units(4_990)
    assert queued.asset.balanceOf(redeemer) > queued.units(998)


def test_threat_blacklisted_recipient__one_user_is_blocked__others_are_paid(
    deploy, project, owner, minter, redeemer, outsider
):
    """Blacklisted recipient blocks a batch: claims are pulled, each by its own, to any receiver."""
    asset = project.MockOddERC20.deploy(6, sender=owner)
    market = deploy(asset=asset, queued=True)
    for who in (minter, redeemer):
        market.enter(who, 100)
        market.leave(who)
    market.fill()
    asset.setBlocked(minter, True, sender=owner)

    with reverts(asset.Blocked, account=minter):
        market.claim(minter)
    market.claim(redeemer)
    market.queue.redeem(market.queue.maxRedeem(minter), outsider, minter, sender=minter)

    assert min(map(asset.balanceOf, (redeemer, outsider))) > market.units("99.7")


def test_threat_redeem_while_paused__deposits_wait__exits_and_claims_go(queued, guardian, minter, redeemer):
    """Redeem while paused / paused liabilities (I-12)."""
    queued.enter(redeemer, 100)
    queued.request(redeemer, 100)
    queued.terms.pause(3_600, sender=guardian)

    assert queued.exit(minter, wad(1_000)) > 0
    with reverts(queued.vault.NothingDue, leverage=queued.vault.leverage(), target=3 * WAD):
        queued.commit()
    queued.wait(3_600)
    queued.fill()

    assert queued.queue.maxDeposit(redeemer) == queued.units(100)


def test_threat_malicious_adapter__lies_about_its_fill__other_queues_are_untouched(
    queued, free, redeemer, attacker
):
    """Malicious adapter: it harms its own vault at most."""
    before, held = queued.vault.snapshot(), queued.held()
    free.request(redeemer, 1_000)
    free.commit()
    free.wait(2)
    free.adapter.lie(0, wad(10**6), 0, 0, sender=attacker)
    free.settle()
    free.adapter.lie(0, 0, 0, 0, sender=attacker)

    found = queued.vault.snapshot()

    assert (found.equity, found.size, queued.held()) == (before.equity, before.size, held)


def test_threat_odd_tokens__that_return_nothing__go_in_and_out(deploy, project, owner, minter):
    """Fee-on-transfer, rebasing, USDT: a token that returns nothing is credited in full."""
    asset = project.MockOddERC20.deploy(6, sender=owner)
    asset.setSilent(True, sender=owner)
    market = deploy(asset=asset, queued=True, fees=NO_FEES, tip_rate=0)

    market.enter(minter, 1_000)
    paid = market.exit(minter)

    assert market.near(paid, market.units(1_000))


@pytest.mark.parametrize("lie", [(2**150, 0), (0, 2**200), (-(2**150), 0)])
def test_threat_unsafe_casts__absurd_fill__reverts_and_settles_when_it_is_told_right(
    queued, redeemer, outsider, lie
):
    """Unsafe casts: int to uint of absurd profits."""
    queued.request(redeemer, 100)
    queued.commit()
    queued.wait(2)
    queued.adapter.lie(*lie, 0, 0, sender=outsider)
    assert not works(queued.settle)

    queued.adapter.lie(0, 0, 0, 0, sender=outsider)
    queued.settle()

    assert queued.queue.maxDeposit(redeemer) == queued.units(100)
