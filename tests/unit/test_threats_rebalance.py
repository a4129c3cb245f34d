"""THREATS 3: rebalancing and those who wait for it. The class stands in each test's docstring."""

from decimal import Decimal
from unittest.mock import ANY

import pytest
from market import NO_FEES, only, policy, reverts, wad

from leverage import leverage_math as lm
from leverage import policy as rules
from leverage.types import DAY, WAD, Trigger

OPEN = 120
LATE = OPEN + 1_800


@pytest.mark.parametrize("index", [1_900, 1_750, 1_500, 2_700])
@pytest.mark.parametrize("push", ["0.002", "0.0099", "0.03", "0.2"])
def test_threat_rebalance_sandwich__venue_pushed_before_it__loss_is_bounded_by_the_oracle(
    long, keeper, attacker, index, push
):
    """Rebalance sandwich: an acceptable price taken from a fill price that can be moved. Ours: the index."""
    long.price(index)
    long.wait_until(OPEN, day=1)
    equity, before = long.vault.equity(), long.vault.leverage()
    p = long.terms.policy()
    beyond = min(max(0, before - p.bandMax), p.bandMax)
    bound = p.maxSlippage + (p.emergencySlippage - p.maxSlippage) * beyond // p.bandMax
    trade = long.vault.target() - before

    long.adapter.setSlippage(wad(push), sender=attacker)
    if wad(push) > bound:
        with reverts(long.vault.NothingFilled, wanted=ANY):
            long.vault.rebalance(sender=keeper)
        assert long.vault.equity() == equity
    else:
        log = only(long.vault.rebalance(sender=keeper), long.vault.Rebalanced)
        lost = equity - long.vault.equity()
        assert lost == log.slippage + log.fee
        assert lost <= abs(log.size) * index // WAD * bound + 2 * index
        assert (log.size > 0) == (trade > 0)


def test_threat_rebalance_sandwich__venue_price_moved_away__cannot_raise_leverage(long, keeper, attacker):
    """Rebalance sandwich: a pushed venue price is not bought at, however good the fill looks."""
    long.price(2_100, 2_160)
    long.wait_until(OPEN, day=1)

    with reverts(
        long.oracle.PriceDeviates, price=wad(2_100), venuePrice=wad(2_160), maxDeviation=wad("0.02")
    ):
        long.vault.rebalance(sender=keeper)


@pytest.mark.parametrize("percent", ["10.5", "15", "20", "25", "30", "32"])
def test_threat_delever_reverts__from_3x_up_to_60x__always_reduces(deploy, minter, outsider, percent):
    """Delever reverts at high leverage: underflow, or collateral that cannot be taken out."""
    market = deploy(venue_max=12, max_notional=wad(4_000))
    market.mint(minter, 10_000)
    market.price(Decimal(2_000) * (100 - Decimal(percent)) / 100)
    market.adapter.setFeeRate(wad("0.0005"), sender=outsider)

    levels = [market.vault.leverage()]
    for _ in range(12):
        if not market.vault.due(outsider):
            market.wait(market.terms.policy().cooldown)
        if not market.vault.due(outsider):
            break
        market.vault.rebalance(sender=outsider)
        levels.append(market.vault.leverage())

    assert levels == sorted(levels, reverse=True)
    assert 3 * WAD - 10 <= levels[-1] <= 3 * WAD + market.terms.policy().tolerance
    assert market.vault.due(outsider) == Trigger.NONE


@pytest.mark.parametrize(
    ("target", "index", "sign"),
    [(3, 1_750, -1), (3, 2_700, 1), (2, 1_500, -1), (-1, 2_300, 1), (-3, 2_150, 1), (-3, 1_300, -1)],
)
def test_threat_wrong_direction__any_trigger_and_side__trades_with_the_move(
    deploy, minter, outsider, target, index, sign
):
    """Wrong direction: sells after a rise (article 004)."""
    market = deploy(target)
    market.mint(minter, 1_000)
    market.price(index)
    before = abs(market.vault.leverage())

    log = only(market.vault.rebalance(sender=outsider), market.vault.Rebalanced)

    assert log.size * sign > 0
    assert (log.leverageAfter > log.leverageBefore) == (sign > 0)
    assert abs(abs(log.leverageAfter) - abs(target) * WAD) < abs(before - abs(target) * WAD)


def test_threat_overshoot__parked_just_inside_the_band__is_taken_to_target_within_a_day(long, keeper):
    """Overshoot / parked inside threshold: somebody keeps leverage just inside the band."""
    long.price("1801")
    assert long.vault.leverage() < long.terms.policy().bandMax
    assert long.vault.due(keeper) == Trigger.NONE

    long.wait_until(OPEN, day=1)
    long.vault.rebalance(sender=keeper)

    assert abs(long.vault.leverage() - 3 * WAD) <= long.terms.policy().tolerance


@pytest.mark.parametrize("target", [3, -3])
def test_threat_initial_margin__drift_after_any_move__is_on_remaining_equity(world, target):
    """Initial vs remaining margin: drift computed on the wrong base."""
    market = world.markets[target, 6]
    for percent in (-30, -15, -5, -1, 1, 5, 15, 30):
        market.price(20 * (100 + percent))

        expected = lm.drifted(target * WAD, percent * WAD // 100)
        assert market.vault.leverage() == pytest.approx(expected, abs=10**6)


def test_threat_reward_farming__repeated_calls__pay_one_tip_per_slot(deploy, minter, attacker):
    """Reward farming: cause or repeat rebalances for the tip; the tip exceeds what was saved."""
    market = deploy(max_notional=wad(5_000))
    market.mint(minter, 100_000)
    market.price(2_100)
    market.wait_until(LATE + 10_000, day=1)
    cap = market.terms.policy().tipCap

    tips = []
    for _ in range(8):
        if market.vault.due(attacker):
            tips.append(only(market.vault.rebalance(sender=attacker), market.vault.Rebalanced).tipShares)
        market.wait(60)

    assert len(tips) > 3
    assert tips[1:] == [0] * (len(tips) - 1)
    worth = tips[0] * market.vault.nav() // WAD
    assert worth <= cap
    assert market.token.balanceOf(attacker) == tips[0] > 0


def test_threat_reward_farming__trading_against_the_fund_for_a_tip__costs_more(
    deploy, minter, keeper, attacker
):
    """Reward farming: mint and redeem cannot move leverage, so nobody makes a rebalance due."""
    market = deploy()
    market.mint(minter, 10_000)
    market.price(2_012)
    market.wait_until(LATE, day=1)
    assert market.vault.due(keeper) == market.vault.due(attacker) == Trigger.NONE

    market.deposit(attacker, 50_000)
    assert market.vault.due(attacker) == Trigger.NONE
    market.redeem(attacker)

    assert market.vault.due(attacker) == Trigger.NONE


def test_threat_keeper_reward_unit__fifty_ages__are_the_curve_of_its_twin(deploy, minter, attacker, chain):
    """Keeper reward unit error, and the unit bug in a decaying fee (THREATS 6): the curve, sampled."""
    market = deploy(fees=NO_FEES, tip_rate=wad("0.0002"), tip_cap=wad(3))
    market.mint(minter, 100_000)
    market.price(2_100)
    p = policy(3 * WAD, tip_rate=wad("0.0002"), tip_cap=wad(3))
    expected = {age: lm.tip(age, p.tip_rate, p.tip_cap) for age in range(0, 20_000, 400)}
    assert list(expected.values()) == sorted(expected.values())

    for age in (0, 400, 7_600, 14_800, 15_200, 19_600):
        start = chain.snapshot()
        market.wait_until(LATE + age, day=1)
        assert rules.lateness(p, market.now) == age
        tip = only(market.vault.rebalance(sender=attacker), market.vault.Rebalanced).tipShares
        assert tip * market.vault.nav() // WAD == pytest.approx(expected[age], rel=1e-4)
        chain.restore(start)

    assert max(expected.values()) == p.tip_cap


def test_threat_revert_loop__venue_fails_for_days__works_at_once_when_it_is_back(
    long, minter, keeper, outsider
):
    """Revert loop / no retry: a failed step halts forever."""
    long.adapter.fail("down", "", sender=outsider)
    long.price(2_100)
    for day in (1, 2, 3):
        long.wait_until(OPEN, day=day)
        with reverts(long.adapter.VenueFailed, reason="down"):
            long.vault.rebalance(sender=keeper)

    long.adapter.fail("", "", sender=outsider)
    long.redeem(minter, wad(100))
    long.vault.rebalance(sender=keeper)

    assert long.vault.leverage() == pytest.approx(3 * WAD, abs=10)


@pytest.mark.parametrize(
    "seconds", [(DAY - 1, DAY, DAY + OPEN - 1), (OPEN, OPEN + 1, DAY - 1), (DAY + OPEN, DAY + OPEN + 60)]
)
def test_threat_window_edge__around_midnight__one_rebalance_per_slot(long, keeper, seconds):
    """Window edge: the daily rebalance happens twice or never between 23:59 and 00:02."""
    long.price(2_100)
    done = 0
    for step, second in enumerate(seconds):
        long.wait_until(second, day=1)
        if long.vault.due(keeper):
            long.vault.rebalance(sender=keeper)
            done += 1
            long.price(2_100 * (100 + 4 * (step + 1)) // 100)

    assert done == 1


def test_threat_stale_chunk_target__price_reverses_between_chunks__drops_the_rest(
    deploy, minter, keeper, outsider
):
    """Stale chunk target: a chunked rebalance goes on after the market turned."""
    market = deploy(max_notional=wad(1_000))
    market.mint(minter, 10_000)
    market.price(2_060)
    market.wait_until(OPEN, day=1)
    market.vault.rebalance(sender=keeper)
    market.wait(60)
    assert market.vault.due(outsider) == Trigger.SCHEDULED

    market.price(1_980)
    assert market.vault.leverage() > 3 * WAD
    assert market.vault.due(outsider) == market.vault.due(keeper) == Trigger.NONE
    with reverts(market.vault.NothingDue, leverage=market.vault.leverage(), target=3 * WAD):
        market.vault.rebalance(sender=outsider)


def test_threat_stale_chunk_target__each_chunk__is_planned_from_the_state_it_meets(
    deploy, minter, keeper, outsider
):
    """Stale chunk target: a move that does part of the work leaves less to trade."""
    market = deploy(max_notional=wad(1_000))
    market.mint(minter, 10_000)
    market.price(2_060)
    market.wait_until(OPEN, day=1)
    market.vault.rebalance(sender=keeper)
    market.wait(60)

    market.price(2_045)
    while market.vault.due(outsider):
        market.vault.rebalance(sender=outsider)
        market.wait(60)

    assert 0 <= 3 * WAD - market.vault.leverage() <= market.terms.policy().tolerance
