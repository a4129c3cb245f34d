"""THREATS 2: oracle and nav. The class stands in each test's docstring."""

from decimal import Decimal

import pytest
from market import NO_FEES, only, reverts, wad

from leverage import leverage_math as lm
from leverage.types import DAY, WAD, Trigger

HOUR = 3_600


def guarded(market, who):
    """Everything that must not work without a good price."""
    vault = market.vault
    return {
        "deposit": lambda: vault.deposit(market.units(1), who, sender=who),
        "mint": lambda: vault.mint(WAD, who, sender=who),
        "rebalance": lambda: vault.rebalance(sender=who),
        "accrue": lambda: vault.accrue(sender=who),
        "nav": vault.nav,
        "snapshot": vault.snapshot,
        "totalAssets": vault.totalAssets,
        "previewDeposit": lambda: vault.previewDeposit(market.units(1)),
    }


@pytest.mark.parametrize("bad", ["old", "zero", "negative", "future"])
def test_threat_stale_price__or_one_that_is_none__stops_all_but_the_exit(long, minter, redeemer, bad):
    """Stale price: no age test, answer <= 0, a timestamp from the future."""
    long.fund(redeemer, long.units(10))
    oracle, updated, heartbeat = long.oracle, long.now, long.oracle.heartbeat()
    if bad == "old":
        long.wait(heartbeat + 1, fresh=False)
        expected = (oracle.PriceStale, {"updatedAt": updated, "age": heartbeat + 1, "heartbeat": heartbeat})
    elif bad == "future":
        long.feed.setRound(2_000 * 10**8, updated, updated + 1, sender=redeemer)
        expected = (oracle.PriceFromFuture, {"updatedAt": updated + 1, "now_": updated})
    else:
        answer = {"zero": 0, "negative": -(2_000 * 10**8)}[bad]
        long.feed.set(answer, sender=redeemer)
        expected = (oracle.PriceNotPositive, {"answer": answer})

    for act in guarded(long, redeemer).values():
        with reverts(expected[0], **expected[1]):
            act()
    long.redeem(minter)

    assert long.token.balanceOf(minter) == 0


def test_threat_stale_price__as_old_as_the_heartbeat__is_still_good(long, redeemer):
    """Stale price, the other side of the edge."""
    long.wait(long.oracle.heartbeat(), fresh=False)

    assert long.vault.leverage() == pytest.approx(3 * WAD, abs=10)
    long.deposit(redeemer, 1)


def test_threat_sequencer_down__or_back_too_lately__stops_all_but_the_exit(
    deploy, project, minter, redeemer, owner
):
    """Sequencer down / grace: a rollup restarts with old prices."""
    uptime = project.MockAggregator.deploy(0, 0, sender=owner)
    start = uptime.latestRoundData()[2]
    uptime.setRound(0, start - DAY, start - DAY, sender=owner)
    market = deploy(uptime=uptime)
    market.mint(minter, 100)
    market.fund(redeemer, market.units(10))

    uptime.setRound(1, market.now, market.now, sender=owner)
    for act in guarded(market, redeemer).values():
        with reverts(market.oracle.SequencerDown, since=market.now):
            act()
    back = market.now + 60
    market.wait(60)
    uptime.setRound(0, back, back, sender=owner)
    market.wait(HOUR)
    for act in guarded(market, redeemer).values():
        with reverts(market.oracle.SequencerGracePeriod, since=back, gracePeriod=HOUR):
            act()
    market.redeem(minter, wad(50))
    market.wait(1)
    market.deposit(redeemer, 1)

    assert market.token.balanceOf(redeemer) > 0


@pytest.mark.parametrize("target", [3, -3])
@pytest.mark.parametrize("lag", ["0.0199", "-0.0199"])
def test_threat_arbitrage_between_updates__the_index_lags__pays_the_arbitrageur_nothing(
    deploy, minter, attacker, target, lag
):
    """Mint/redeem arbitrage between oracle updates: the venue shows the price that the index will have."""
    market = deploy(target, fees=NO_FEES)
    market.mint(minter, 1_000)
    true = Decimal(2_000) * (1 + Decimal(lag))
    stake = market.units(5_000)
    market.fund(attacker, stake)
    before = market.asset.balanceOf(attacker)
    market.price(2_000, true)

    market.vault.deposit(stake, attacker, sender=attacker)
    market.price(true)
    market.redeem(attacker)

    assert market.asset.balanceOf(attacker) <= before
    size, cash, supply = market.size(), market.cash(), market.token.totalSupply()
    # The others have what they would have had alone.
    alone = 1_000 * (1 + target * Decimal(lag))
    assert Decimal(lm.equity(cash, size, wad(true))) / WAD >= alone - Decimal("0.000001")
    assert supply == wad(1_000)


@pytest.mark.parametrize("target", [3, -3])
def test_threat_arbitrage_between_updates__leaving_before_an_update__takes_nothing(
    deploy, minter, attacker, target
):
    """Mint/redeem arbitrage, the way out: a leaver sees a loss that the index does not show yet."""
    market = deploy(target, fees=NO_FEES)
    market.mint(minter, 1_000)
    market.mint(attacker, 1_000)
    true = 2_000 * (1 - Decimal("0.05") * target / 3)
    market.price(2_000, true)

    market.redeem(attacker)
    market.price(true)
    market.redeem(minter)

    assert market.near(market.asset.balanceOf(attacker), market.units(850))
    assert market.near(market.asset.balanceOf(minter), market.units(850))


def test_threat_forced_liquidation__redeeming_at_a_stale_price__leaves_the_distance(either, minter, redeemer):
    """Forced liquidation by redeeming at a stale price: the leaver takes margin that the rest needs."""
    either.deposit(redeemer, 1_000)
    target = either.vault.target()
    true = 1_800 if target > 0 else 2_200
    either.price(2_000, true)
    expected = lm.drifted(target, (true - 2_000) * WAD // 2_000)

    either.redeem(minter)
    either.price(true)

    assert either.vault.leverage() == pytest.approx(expected, abs=10**10)


def test_threat_two_price_sources__one_transaction__uses_one_price(long, redeemer, keeper):
    """Two price sources: leverage from one, nav from another. The venue's price is only compared."""
    long.price(2_100, 2_110)

    snapshot = long.vault.snapshot()
    log = only(long.deposit(redeemer, 100), long.vault.Booked)

    assert (snapshot.price, snapshot.venuePrice) == (wad(2_100), wad(2_110))
    assert snapshot.equity == lm.equity(long_cash(snapshot), snapshot.size, wad(2_100))
    assert snapshot.nav == lm.nav(snapshot.equity, snapshot.supply)
    assert snapshot.leverage == lm.leverage(snapshot.size, wad(2_100), snapshot.equity)
    assert log.price == long.vault.mark().price == wad(2_100)


def long_cash(snapshot):
    return snapshot.equity - snapshot.size * snapshot.price // WAD


def test_threat_stepwise_nav__margin_on_its_way__is_counted_once(long, redeemer, treasury):
    """Spot vs mark confusion / stepwise nav: money in transit is worth nothing, or twice."""
    nav = long.vault.nav()

    long.deposit(redeemer, 1_000)
    assert long.vault.nav() == pytest.approx(nav, abs=10)
    long.vault.collectFees(sender=redeemer)
    assert long.vault.nav() == pytest.approx(nav, abs=10)
    long.asset.transfer(long.vault, long.units(1), sender=treasury)
    assert long.vault.nav() == pytest.approx(nav, abs=10)


@pytest.mark.parametrize("target", [3, -3])
def test_threat_unsettled_funding__thirty_days__is_in_nav_before_it_is_paid(deploy, minter, outsider, target):
    """Unsettled funding omitted: nav is overstated until somebody closes."""
    market = deploy(target, fees=NO_FEES)
    market.mint(minter, 1_000)

    for _ in range(5):
        market.wait(6 * DAY)
        market.adapter.fund(wad("-4.2"), sender=outsider)
    nav = market.vault.nav()
    market.redeem(minter)

    assert nav == pytest.approx(wad("0.979"), abs=10**10)
    assert market.near(market.asset.balanceOf(minter), market.units(979))


@pytest.mark.parametrize("part", [10, 2, 1])
def test_threat_close_out_haircut__realised_against_nav__is_the_quoted_cost(long, minter, part):
    """Close-out haircut ignored: nav is what closing leaves before its cost, and the quote says the cost."""
    long.adapter.setFeeRate(wad("0.001"), sender=minter)
    long.adapter.setSlippage(wad("0.004"), sender=minter)
    shares = wad(10_000) // part
    quote = long.adapter.quote(-long.size() // part)
    cost = lm.cost_of(quote.size, quote.cash, wad(2_000))
    claim = long.vault.convertToAssets(shares) * long.scale

    long.redeem(minter, shares)

    paid = long.asset.balanceOf(minter) * 1_000 // 999 * long.scale
    assert claim - paid == pytest.approx(cost, abs=3 * long.scale)


def test_threat_oracle_gap_halt__a_hundred_missed_updates__need_one_fresh_price(long, minter, keeper):
    """Oracle-gap halt, and gas / iteration limit (THREATS 7): 500 idle days, then one step in bounded gas."""
    long.price(2_100)
    long.wait(500 * DAY, fresh=False)
    updated = long.now - 500 * DAY
    with reverts(long.oracle.PriceStale, updatedAt=updated, age=500 * DAY, heartbeat=HOUR):
        long.vault.accrue(sender=keeper)

    long.price(2_200)
    tx = long.vault.rebalance(sender=keeper)

    assert tx.gas_used < 1_000_000
    assert only(tx, long.vault.Rebalanced).trigger == Trigger.SCHEDULED
    assert long.vault.leverage() == pytest.approx(3 * WAD, abs=10)
    long.lines()


GUARDED = {
    "nav()", "equity()", "leverage()", "snapshot()", "attribution()", "due(address)", "totalAssets()",
    "room()",
    "convertToShares(uint256)", "convertToAssets(uint256)", "previewDeposit(uint256)", "previewMint(uint256)",
    "previewWithdraw(uint256)", "previewRedeem(uint256)", "accrue()", "checkRuin()", "collectFees()",
    "rebalance()", "deposit(uint256,address)", "mint(uint256,address)",
    "withdraw(uint256,address,address)", "redeem(uint256,address,address)",
    "deposit(uint256,address,uint256,uint256)", "mint(uint256,address,uint256,uint256)",
    "withdraw(uint256,address,address,uint256,uint256)", "redeem(uint256,address,address,uint256,uint256)",
}  # fmt: skip


def test_threat_read_only_reentrancy__in_the_middle_of_a_trade__every_door_is_shut(long, redeemer, outsider):
    """Read-only reentrancy, and order re-entrancy (THREATS 4): the venue calls back between two states."""
    from eth_abi import encode
    from eth_utils import keccak

    functions = {method.selector: method for method in long.vault.contract_type.methods}
    assert set(functions) >= GUARDED
    long.fund(redeemer, long.units(2))

    for name in sorted(GUARDED):
        types = [entry.type for entry in functions[name].inputs]
        values = [outsider.address if kind == "address" else 2**255 for kind in types]
        long.adapter.setHook(long.vault, keccak(text=name)[:4] + encode(types, values), sender=redeemer)
        with reverts(long.vault.ReentrancyGuardReentrantCall):
            long.vault.deposit.call(long.units(1), redeemer, sender=redeemer)


def test_threat_read_only_reentrancy__what_answers_meanwhile__holds_no_value(long, redeemer):
    """Read-only reentrancy: the views that stay open neither price a share nor promise anything."""
    open_views = {
        method.selector for method in long.vault.contract_type.view_methods if method.selector not in GUARDED
    }

    assert open_views == {
        "adapter()", "asset()", "feesOwed()", "isRuined()", "mark()", "maxDeposit(address)",
        "maxMint(address)",
        "maxRedeem(address)", "maxWithdraw(address)", "mintedToday()", "oracle()", "share()",
        "supportsInterface(bytes4)", "target()", "terms()", "token()",
    }  # fmt: skip
