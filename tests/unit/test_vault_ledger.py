"""Why nav is what it is: each line driven alone to its exact value, the sum always closed (E-9, I-10)."""

import random

import pytest
from market import FEES, LINES, NO_FEES, only, wad

from leverage import leverage_math as lm
from leverage.types import DAY, WAD

SHARES = 10_000 * WAD


@pytest.fixture(params=[3, -3], ids=["long", "short"])
def alone(deploy, minter, request):
    """A vault without fees, of 10,000 shares at nav 1: a line moves only when a test moves it."""
    market = deploy(request.param, fees=NO_FEES, max_slippage=wad("0.05"))
    market.mint(minter, 10_000)
    assert set(market.lines().values()) == {0}
    return market


def per_share(value, supply=SHARES):
    return lm.div(value * WAD, supply + lm.VIRTUAL)


def moved(market, **expected):
    """The ledger now has these lines, rounding of a few wei, and nothing else."""
    lines = market.lines()
    rounding = lines.pop("rounding")
    assert lines == {**dict.fromkeys(LINES[:-1], 0), **expected}
    assert abs(rounding) <= 2
    return rounding


@pytest.mark.parametrize("index", [1_890, 2_111])
def test_line__price__is_size_times_the_move(alone, index, outsider):
    size = alone.size()

    alone.price(index)

    moved(alone, price=per_share(size * (index - 2_000)))
    alone.vault.accrue(sender=outsider)
    moved(alone, price=per_share(size * (index - 2_000)))


@pytest.mark.parametrize("amount", ["12.5", "-40"])
def test_line__funding__is_what_the_venue_paid(alone, amount, outsider):
    alone.adapter.fund(wad(amount), sender=outsider)

    moved(alone, funding=per_share(wad(amount)))
    alone.vault.accrue(sender=outsider)
    moved(alone, funding=per_share(wad(amount)))


def test_line__funding__holds_gifts_to_the_venue_account(alone, outsider):
    alone.asset.mint(outsider, alone.units(77), sender=outsider)
    alone.asset.approve(alone.adapter, alone.units(77), sender=outsider)

    alone.adapter.donate(alone.units(77), sender=outsider)

    moved(alone, funding=per_share(wad(77)))


def test_line__venue_fee__is_the_fee_of_rebalances(alone, keeper):
    alone.price(2_060)
    alone.wait_until(120, day=1)
    price = per_share(alone.size() * 60)
    alone.adapter.setFeeRate(wad("0.001"), sender=keeper)

    log = only(alone.vault.rebalance(sender=keeper), alone.vault.Rebalanced)

    assert log.fee > 0
    assert log.slippage in (0, 1)
    moved(alone, price=price, venueFee=-per_share(log.fee))


def test_line__venue_fee__holds_tips(alone, outsider):
    alone.price(2_060)
    alone.wait_until(120 + 1_800 + 600, day=1)
    price = per_share(alone.size() * 60)
    nav = alone.vault.nav()

    log = only(alone.vault.rebalance(sender=outsider), alone.vault.Rebalanced)

    equity = alone.vault.equity()
    tip = lm.nav(equity, SHARES) - lm.nav(equity, SHARES + log.tipShares)
    assert log.tipShares > 0
    moved(alone, price=price, venueFee=-tip)
    # 600 seconds at 0.001 each, spread over 10,000 shares.
    assert abs(nav - alone.vault.nav() - wad("0.6") // 10_000) < 10**12


@pytest.mark.parametrize("slippage", ["0.004", "-0.004"])
def test_line__slippage__is_the_fill_against_the_index(alone, keeper, slippage):
    alone.price(2_060)
    alone.wait_until(120, day=1)
    price = per_share(alone.size() * 60)
    alone.adapter.setSlippage(wad(slippage), sender=keeper)

    log = only(alone.vault.rebalance(sender=keeper), alone.vault.Rebalanced)

    worth = abs(log.size) * 2_060 * wad(slippage) // WAD
    assert abs(log.slippage - worth) <= 2_100
    moved(alone, price=price, slippage=-per_share(log.slippage))


def test_line__slippage__holds_better_fills_of_entrants(alone, redeemer):
    alone.adapter.setSlippage(wad("-0.01"), sender=redeemer)
    size = alone.size()

    alone.deposit(redeemer, 1_000)

    gain = alone.vault.equity() - wad(11_000)
    assert abs(gain - abs(alone.size() - size) * 20) <= 2_000
    lines = alone.lines()
    assert lines["slippage"] == per_share(gain, alone.token.totalSupply())
    assert {lines[name] for name in LINES[:3]} == {0}


def test_line__slippage__holds_liquidations(alone, outsider):
    """The venue takes half of the position at its price, less 2 % of what it took."""
    lost = abs(alone.size()) // 2 * 2_000 * 2 // 100

    alone.adapter.liquidatePart(WAD // 2, wad("0.02"), sender=outsider)

    moved(alone, slippage=-per_share(lost))
    alone.vault.accrue(sender=outsider)
    moved(alone, slippage=-per_share(lost))


@pytest.mark.parametrize("target", [3, -3])
def test_line__management_fee__is_the_dilution(world, outsider, target):
    market = world.markets[target, 6]
    nav = market.vault.nav()

    market.wait(30 * DAY)

    shares = lm.management_shares(SHARES, FEES.management_per_day * 30)
    moved(market, managementFee=lm.nav(SHARES, SHARES + shares) - nav)
    market.vault.accrue(sender=outsider)
    moved(market, managementFee=lm.nav(SHARES, SHARES + shares) - nav)


def test_line__rounding__is_what_division_left(market, redeemer):
    """The others gain what an entrant's rounded-down shares leave: less than a wei per share."""
    market.price(2_093)
    market.deposit(redeemer, "33.333333")

    lines = market.lines()

    assert lines["price"] == per_share(wad(15 * 93))
    assert abs(lines["rounding"]) <= 2
    assert {lines[name] for name in LINES[1:-1]} == {0}


def test_book__each_time__tells_nav_price_and_lines(long, outsider):
    long.price(2_100)

    tx = long.vault.accrue(sender=outsider)

    log = only(tx, long.vault.Booked)
    lines, nav = long.vault.attribution()
    assert (log.nav, log.price, tuple(log.attribution)) == (nav, wad(2_100), tuple(lines))
    assert tuple(long.vault.mark()) == (nav, wad(2_100), long.size(), long.cash())


def test_ledger__of_a_vault_that_emptied__begins_anew(long, minter, redeemer):
    long.price(2_100)
    long.redeem(minter)
    assert set(long.lines().values()) == {0}

    long.mint(redeemer, 50)

    assert {abs(line) for line in long.lines().values()} <= {0, 1}
    assert abs(long.vault.nav() - WAD) <= 1


def test_ledger__whatever_happens__closes_to_zero_wei(either, minter, redeemer, keeper, outsider):
    """Thirty random steps of everybody; lines() asserts the closure after each."""
    random.seed(20_300_101)
    price, day = 2_000, 1
    either.adapter.setFeeRate(wad("0.0006"), sender=keeper)

    def drift():
        nonlocal price
        price = round(price * random.uniform(0.97, 1.03), 2)
        either.price(price)

    def rebalance():
        nonlocal day
        either.wait_until(120, day)
        day += 1
        if either.vault.due(keeper):
            either.vault.rebalance(sender=keeper)

    steps = [
        drift,
        drift,
        rebalance,
        lambda: either.deposit(redeemer, random.randint(1, 5_000)),
        lambda: either.redeem(minter, random.randint(1, 100) * WAD),
        lambda: either.adapter.fund(random.randint(-5 * WAD, 5 * WAD), sender=outsider),
        lambda: either.adapter.setSlippage(random.randint(-WAD // 200, WAD // 200), sender=outsider),
        lambda: either.vault.accrue(sender=outsider),
    ]
    for _ in range(30):
        random.choice(steps)()
        either.lines()
