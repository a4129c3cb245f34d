"""What a rebalance trades, at what price, and what its caller is paid (E-5, E-6)."""

from decimal import Decimal

import pytest
from market import only, policy, reverts, wad

from leverage import leverage_math as lm
from leverage import policy as rules
from leverage.types import DAY, WAD, Trigger

OPEN = 120
LATE = OPEN + 1_800


@pytest.fixture
def golden(deploy, minter):
    """The article's fund: 10,000 at 200 a piece, 150 ETH. Cheap to chunk: `deploy` arguments may be given."""

    def build(shares=10_000, **changes):
        market = deploy(price=200, **changes)
        market.mint(minter, shares)
        return market

    return build


def planned(market):
    """The trade that a rebalance makes now, by the formulas."""
    s = market.vault.snapshot()
    size = lm.size_to_leverage(s.target, s.equity, s.size, s.price)
    fill = market.adapter.quote(size)
    return lm.size_net_of_cost(size, s.price, s.target, lm.cost_of(fill.size, fill.cash, s.price))


def test_rebalance__five_percent_up__buys_the_golden_amount(golden, keeper):
    """200 to 210: 2.7391x, 31,500 on 11,500; buy 3,000 = 14.2857 ETH."""
    market = golden()
    market.price(210)
    market.wait_until(OPEN, day=1)
    before = market.vault.snapshot()
    assert abs(before.size - wad(150)) <= 1
    assert abs(before.equity - wad(11_500)) <= 10

    tx = market.vault.rebalance(sender=keeper)

    log = only(tx, market.vault.Rebalanced)
    bought = log.size
    assert abs(bought - 3_000 * WAD * WAD // wad(210)) <= 1
    assert (log.trigger, log.caller, log.price) == (Trigger.SCHEDULED, keeper, wad(210))
    assert log.leverageBefore == before.leverage
    assert abs(before.leverage - 31_500 * WAD // 11_500) <= 1
    assert 3 * WAD - log.leverageAfter in range(10)
    # The venue's rounding up of what a buyer pays: nothing else.
    assert (log.fee, log.slippage, log.tipShares) == (0, market_rounding(market, bought), 0)
    after = market.vault.snapshot()
    assert after.size == before.size + bought
    assert tuple(after.rebalancing) == (wad(210), market.now, Trigger.NONE, True)
    assert market.vault.leverage() == log.leverageAfter


def market_rounding(market, size):
    return lm.cost_of(size, market.adapter.quote(size).cash, market.vault.snapshot().price)


@pytest.mark.parametrize(
    ("target", "index", "direction"),
    [(3, 1_950, -1), (3, 2_100, 1), (-3, 2_100, 1), (-3, 1_950, -1)],
    ids=["long falls: sells", "long rises: buys", "short rises: buys", "short falls: sells"],
)
def test_rebalance__article_004_direction__follows_the_move_for_long_and_short(
    world, keeper, target, index, direction
):
    """Article 004 has a long sell its gains, and grow when the index falls. It is the other way round: both
    buy after a rise and sell after a fall, and a short's size shrinks when the price rises."""
    market = world.markets[target, 6]
    held = market.size()
    market.price(index)
    market.wait_until(OPEN, day=1)

    tx = market.vault.rebalance(sender=keeper)

    size = only(tx, market.vault.Rebalanced).size
    assert size * direction > 0
    assert market.size() == held + size
    if target < 0 and direction > 0:
        assert abs(market.size()) < abs(held)
    # L(L-1)r of the nav before the move: 6r for +3x, 12r for -3x.
    gearing = target * (target - 1)
    traded = Decimal(size) * index / WAD / 10_000
    assert abs(traded - gearing * (Decimal(index) / 2_000 - 1)) < Decimal("1e-12")


@pytest.mark.parametrize("index", ["1700", "1755.5", "1900", "2100", "2600", "3500"])
@pytest.mark.parametrize("target", [3, -3])
def test_rebalance__at_a_cost__reaches_the_target_and_not_past_it(world, keeper, target, index):
    market = world.markets[target, 6]
    index = Decimal(index) if target > 0 else Decimal(4_000_000) / Decimal(index)
    market.price(index.quantize(Decimal("1e-8")))
    market.adapter.setFeeRate(wad("0.001"), sender=keeper)
    market.adapter.setSlippage(wad("0.003"), sender=keeper)
    market.wait_until(OPEN, day=1)
    before, trade = market.vault.leverage(), planned(market)

    tx = market.vault.rebalance(sender=keeper)

    log = only(tx, market.vault.Rebalanced)
    left = log.leverageAfter - target * WAD
    assert log.size == trade
    assert abs(left) <= 10**6
    assert left * (before - target * WAD) >= 0 or abs(left) <= 10
    assert log.fee == market.adapter.quote(trade).fee or log.fee > 0
    assert log.slippage > 0


def test_rebalance__late__pays_a_tip_that_grows_to_its_cap(deploy, chain, minter, outsider):
    market = deploy()
    market.mint(minter, 100_000)
    market.price(2_100)
    p = market.terms.policy()
    first = 1 + 86_400 // DAY

    tips = []
    for late in (0, 1, 1_234, 5_000, 80_000):
        snapshot = chain.snapshot()
        market.wait_until(LATE + late, day=first)
        before = market.token.balanceOf(outsider)
        log = only(market.vault.rebalance(sender=outsider), market.vault.Rebalanced)
        after = market.vault.snapshot()
        value = min(lm.tip(late, p.tipRate, p.tipCap), after.equity // 10_000)
        expected = lm.to_shares_down(value, after.equity, after.supply - log.tipShares)
        assert log.tipShares == market.token.balanceOf(outsider) - before == expected
        tips.append(value)
        chain.restore(snapshot)

    assert tips == [0, wad("0.001"), wad("1.234"), wad(5), wad(5)]


def test_rebalance__late_for_a_small_fund__tips_one_bp_of_equity_at_most(long, outsider):
    long.price(2_100)
    long.wait_until(LATE + 20_000, day=1)
    assert lm.tip(20_000, long.terms.policy().tipRate, long.terms.policy().tipCap) == wad(5)

    tx = long.vault.rebalance(sender=outsider)

    after = long.vault.snapshot()
    tip = only(tx, long.vault.Rebalanced).tipShares
    assert tip == lm.to_shares_down(after.equity // 10_000, after.equity, after.supply - tip)
    with reverts(long.vault.NothingDue, leverage=after.leverage, target=3 * WAD):
        long.vault.rebalance(sender=outsider)


def test_rebalance__band_or_emergency__pays_no_tip(long, outsider):
    long.wait_until(LATE + 20_000, day=1)
    for index in (1_750, 2_700):
        long.price(index)
        tx = long.vault.rebalance(sender=outsider)
        assert only(tx, long.vault.Rebalanced).tipShares == 0

    assert long.token.balanceOf(outsider) == 0


def test_rebalance__larger_than_a_chunk__comes_in_chunks_after_a_cooldown(golden, keeper, outsider):
    """3,000 to buy, 1,000 at a time."""
    market = golden(max_notional=wad(1_000))
    market.price(210)
    market.wait_until(OPEN, day=1)
    cooldown = market.terms.policy().cooldown

    first = only(market.vault.rebalance(sender=keeper), market.vault.Rebalanced)
    assert first.size == wad(1_000) * WAD // wad(210)
    assert tuple(market.vault.snapshot().rebalancing)[2:] == (Trigger.SCHEDULED, True)
    market.wait(cooldown - 1)
    assert market.vault.due(keeper) == Trigger.NONE
    logs = [first]
    market.wait(1)
    while market.vault.due(outsider):
        logs.append(only(market.vault.rebalance(sender=outsider), market.vault.Rebalanced))
        market.wait(cooldown)

    assert [log.trigger for log in logs] == [Trigger.SCHEDULED] * 3
    assert [log.tipShares for log in logs] == [0] * 3
    assert abs(market.vault.leverage() - 3 * WAD) <= market.terms.policy().tolerance
    assert market.vault.snapshot().rebalancing.chunk == Trigger.NONE


def test_rebalance__chunked_emergency__does_not_wait_while_above_the_band(golden, outsider):
    market = golden(max_notional=wad(1_000))
    market.price(172)
    cooldown = market.terms.policy().cooldown

    levels = [market.vault.leverage()]
    while market.vault.due(outsider) == Trigger.EMERGENCY:
        market.vault.rebalance(sender=outsider)
        levels.append(market.vault.leverage())

    assert levels == sorted(levels, reverse=True)
    assert levels[-1] <= market.terms.policy().bandMax < levels[-2]
    assert len(levels) > 3
    assert market.vault.due(outsider) == Trigger.NONE
    market.wait(cooldown)
    assert market.vault.due(outsider) == Trigger.EMERGENCY


def test_rebalance__partly_filled__leaves_the_rest_due(golden, keeper):
    market = golden()
    market.adapter.setFillRatio(WAD // 2, sender=keeper)
    market.price(210)
    market.wait_until(OPEN, day=1)

    tx = market.vault.rebalance(sender=keeper)

    log = only(tx, market.vault.Rebalanced)
    assert abs(log.size - 3_000 * WAD * WAD // wad(210) // 2) <= 2
    assert market.vault.due(keeper) == Trigger.NONE
    market.wait(market.terms.policy().cooldown)
    assert market.vault.due(keeper) == Trigger.SCHEDULED


@pytest.mark.parametrize(
    ("index", "bound"),
    [(1_900, "0.01"), (1_700, "0.016363636363636363"), (1_500, "0.05"), (1_450, "0.040229885057471264")],
    ids=["in the band", "4.64x", "9x", "12.4x"],
)
def test_rebalance__worse_than_the_bound__fills_nothing(deploy, minter, keeper, index, bound):
    """1 % in the band of 4x, 5 % at twice that, a line between; never more than half of what is left."""
    market = deploy(venue_max=20)
    market.mint(minter, 10_000)
    market.price(index)
    market.wait_until(OPEN, day=1)
    limit = rules.slippage(policy(3 * WAD), market.vault.leverage())
    assert limit == pytest.approx(wad(bound), abs=10)

    market.adapter.setSlippage(limit + limit // 100, sender=keeper)
    with reverts(market.vault.NothingFilled, wanted=planned(market)):
        market.vault.rebalance(sender=keeper)
    market.adapter.setSlippage(limit - limit // 100, sender=keeper)
    trade = planned(market)

    assert only(market.vault.rebalance(sender=keeper), market.vault.Rebalanced).size == trade


def test_rebalance__smaller_than_worth_it__reverts(golden, keeper):
    """A fund of 100 at +1 % is at 2.9417x: 6 to buy, and 10 is the least."""
    market = golden(100)
    market.price(202)
    market.wait_until(OPEN, day=1)
    assert market.vault.due(keeper) == Trigger.SCHEDULED
    least = market.terms.policy().minNotional
    traded = lm.notional(planned(market), wad(202))
    assert wad(6) - traded in range(1_000)

    with reverts(market.vault.TradeTooSmall, notional=traded, min=least):
        market.vault.rebalance(sender=keeper)


def test_rebalance__emergency_smaller_than_worth_it__trades(golden, outsider):
    """A dust fund that nobody may rebalance would be ruined by a third, and the vault with it, for all."""
    market = golden(1)
    market.price(175)
    assert market.vault.due(outsider) == Trigger.EMERGENCY
    assert abs(lm.notional(planned(market), wad(175))) < market.terms.policy().minNotional

    market.vault.rebalance(sender=outsider)

    assert abs(market.vault.leverage() - market.vault.target()) <= market.terms.policy().tolerance


@pytest.mark.parametrize(("index", "raises"), [(2_700, True), (1_750, False)])
def test_rebalance__paused__may_lower_but_not_raise(long, guardian, outsider, index, raises):
    long.terms.pause(DAY, sender=guardian)
    long.price(index)
    until = long.terms.pausedUntil()

    if raises:
        assert long.vault.due(outsider) == Trigger.BAND
        with reverts(long.vault.MintsPaused, until=until):
            long.vault.rebalance(sender=outsider)
        long.wait(DAY)
    long.vault.rebalance(sender=outsider)

    assert abs(long.vault.leverage() - 3 * WAD) <= long.terms.policy().tolerance


@pytest.mark.parametrize(("index", "venue", "raises"), [(2_700, 2_760, True), (1_500, 1_450, False)])
def test_rebalance__venue_away_from_the_index__may_lower_but_not_raise(long, outsider, index, venue, raises):
    long.price(index, venue)

    if raises:
        with reverts(
            long.oracle.PriceDeviates, price=wad(index), venuePrice=wad(venue), maxDeviation=wad("0.02")
        ):
            long.vault.rebalance(sender=outsider)
        long.price(index)
    long.vault.rebalance(sender=outsider)

    assert abs(long.vault.leverage() - 3 * WAD) <= 10**6
