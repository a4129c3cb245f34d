"""Synthetix Perps V2 on a devnet: orders wait for a keeper, prices may be refused, quotes hold to the wei."""

import json
import time

import pytest
from eth_utils import to_checksum_address

from devnet import Anvil, RevertError, Synthetix, forked, start
from devnet.synthetix_build import KEEPER, MARKETS, MarketSpec
from devnet.venue import WAD, actor

pytestmark = pytest.mark.venue

TRADER, OTHER, OUTSIDER = actor("trader"), actor("other"), actor("outsider")
STALE = 4200  # Seconds.
OFFCHAIN = 2  # The venue's number for orders of this kind.
TAKER_FEE, MAKER_FEE = 6 * WAD // 10_000, WAD // 10**6
SKEW_SCALE = 10**6 * WAD
DAY = 86_400


@pytest.fixture(scope="module")
def chain():
    started = time.perf_counter()
    anvil, venue = start("synthetix", port=None, anvil_options={"frozen_clock": True})
    print(f"two markets built in {time.perf_counter() - started:.1f} s")
    yield anvil, venue
    anvil.stop()


@pytest.fixture
def venue(chain):
    """The venue, as it was built, for each test."""
    _, venue = chain
    snapshot = venue.rpc("evm_snapshot")
    yield venue
    assert venue.rpc("evm_revert", snapshot)


@pytest.fixture
def ordered(venue):
    """The same, when a trader has 10,000 sUSD of margin and waits for 15 ETH."""
    venue.deposit(TRADER, "ETH", 10_000 * WAD)
    venue.submit(TRADER, "ETH", 15 * WAD)
    return venue


@pytest.fixture
def opened(ordered):
    """The same, when the keeper has come."""
    ordered.warp(2)
    ordered.execute(TRADER, "ETH")
    return ordered


def ask(venue: Synthetix, function: str, *args: object, market: str = "ETH"):
    return venue.markets[market].market.call(function, *args)


def margin(venue: Synthetix, account: str = TRADER, market: str = "ETH") -> int:
    """What a trader has in a market by the venue's own price."""
    value, is_invalid = ask(venue, "remainingMargin", account, market=market)
    assert not is_invalid
    return value


def held(venue: Synthetix, account: str = TRADER) -> int:
    return venue.settlement_token.call("balanceOf", account)


# Building


@pytest.mark.parametrize("market, skew_scale, max_size", [("ETH", 10**6, 22_300), ("BTC", 10**5, 756)])
def test_build__defaults__market_has_optimisms_parameters_and_no_skew(venue, market, skew_scale, max_size):
    settings, key = venue.perps_settings, venue.markets[market].key

    assert settings.call("skewScale", key) == skew_scale * WAD
    assert settings.call("maxMarketValue", key) == max_size * WAD
    assert settings.call("takerFeeOffchainDelayedOrder", key) == TAKER_FEE
    assert settings.call("offchainDelayedOrderMaxAge", key) == 30
    assert ask(venue, "marketSkew", market=market) == 0 < ask(venue, "marketSize", market=market)
    assert venue.index_price(market) == venue.asset_price(market) == MARKETS[market].price


def test_build__own_spec__overrides_parameters():
    spec = MarketSpec("SOL", 25 * WAD, {"maxFundingVelocity": 0})
    with Anvil.start() as anvil:
        venue = Synthetix.build(anvil.url, markets=[spec])
        venue.deposit(TRADER, "SOL", 1_000 * WAD)

        venue.trade(TRADER, "SOL", 100 * WAD)

        assert venue.position(TRADER, "SOL").size == 100 * WAD
        assert ask(venue, "currentFundingVelocity", market="SOL") == 0


def test_build__addresses__connect_to_the_same_venue(venue):
    few = {"markets": {name: {"market": str(market.market)} for name, market in venue.markets.items()}}

    twin = Synthetix.connect(venue.rpc.url, few)

    assert twin.to_dict() == venue.to_dict()
    assert twin.web3.eth.get_code(to_checksum_address(twin.settlement_token))


# Prices


def test_set_price__both_markets__move_apart(venue):
    venue.set_price("ETH", 2_100 * WAD)

    assert venue.index_price("ETH") == venue.asset_price("ETH") == 2_100 * WAD
    assert venue.index_price("BTC") == MARKETS["BTC"].price


@pytest.mark.parametrize("price", [5_999, 667])
def test_set_price__less_than_threefold__is_accepted(opened, price):
    opened.set_price("ETH", price * WAD)

    assert opened.asset_price("ETH") == price * WAD


@pytest.mark.parametrize("price", [6_000, 666])
def test_set_price__threefold_jump__is_refused_until_it_is_moved(venue, price):
    venue.set_price("ETH", price * WAD)

    with pytest.raises(ValueError, match="invalid"):
        venue.asset_price("ETH")
    with pytest.raises(RevertError, match="^Invalid price$"):
        venue.deposit(TRADER, "ETH", 10_000 * WAD)

    assert venue.move("ETH", price * WAD) == 0
    venue.deposit(TRADER, "ETH", 10_000 * WAD)
    assert venue.asset_price("ETH") == price * WAD


def test_warp__beyond_the_stale_period__price_stays_fresh(opened):
    opened.warp(STALE + 1)

    assert not ask(opened, "remainingMargin", TRADER)[1]


def test_warp__not_fresh__price_is_invalid_after_the_stale_period(opened):
    opened.warp(STALE, fresh=False)
    assert not ask(opened, "remainingMargin", TRADER)[1]

    opened.warp(1, fresh=False)

    assert ask(opened, "remainingMargin", TRADER) == (
        pytest.approx(margin_before := 9_977 * WAD, rel=1e-3),
        True,
    )
    with pytest.raises(RevertError, match="^Invalid price$"):
        opened.submit(TRADER, "ETH", WAD)
    opened.freshen()
    assert margin(opened) == pytest.approx(margin_before, rel=1e-3)


# Orders


def test_submit__3x_long__takes_the_keepers_deposit_and_waits(ordered):
    order = ordered.order(TRADER, "ETH")

    assert margin(ordered) == 9_996 * WAD
    assert (order.size, order.keeper_deposit, order.is_offchain) == (15 * WAD, 4 * WAD, True)
    assert order.submitted_at == ordered.rpc.timestamp()
    assert ordered.position(TRADER, "ETH").size == 0


def test_execute__3x_long__pays_premium_and_fee(ordered):
    ordered.warp(2)

    ordered.execute(TRADER, "ETH")

    position = ordered.position(TRADER, "ETH")
    assert (position.size, position.last_price) == (15 * WAD, 2_000_015 * WAD // 1000)
    assert position.margin == 9_996 * WAD - 18_000_135 * WAD // 10**6
    assert margin(ordered) == 9_977_774_865 * WAD // 10**6
    assert ordered.order(TRADER, "ETH") is None


def test_execute__by_another__keeper_gets_the_deposit(ordered):
    before = held(ordered, KEEPER)
    ordered.warp(2)

    ordered.execute(TRADER, "ETH")

    assert held(ordered, KEEPER) - before == 4 * WAD


def test_execute__by_the_trader__deposit_comes_back_to_the_margin(ordered):
    before = held(ordered)
    ordered.warp(2)

    ordered.execute(TRADER, "ETH", keeper=TRADER)

    assert held(ordered) == before
    assert margin(ordered) == 9_981_774_865 * WAD // 10**6


@pytest.mark.parametrize("age", [2, 29])
def test_execute__within_the_window__fills_and_cannot_be_cancelled(ordered, age):
    ordered.warp(age)
    with pytest.raises(RevertError, match="^cannot cancel yet$"):
        ordered.cancel(TRADER, "ETH")

    ordered.execute(TRADER, "ETH")

    assert ordered.position(TRADER, "ETH").size == 15 * WAD


@pytest.mark.parametrize("age, reason", [(0, "price not updated"), (1, "executability not reached")])
def test_execute__before_two_seconds__reverts(ordered, age, reason):
    ordered.warp(age)

    with pytest.raises(RevertError, match=f"^{reason}$"):
        ordered.execute(TRADER, "ETH")


def test_execute__thirty_seconds__neither_fills_nor_cancels(ordered):
    ordered.warp(30)

    with pytest.raises(RevertError, match="^order too old, use cancel$"):
        ordered.execute(TRADER, "ETH")
    with pytest.raises(RevertError, match="^cannot cancel yet$"):
        ordered.cancel(TRADER, "ETH", keeper=TRADER)


def test_cancel__by_another_after_the_window__keeps_the_deposit(ordered):
    ordered.warp(31)

    ordered.cancel(TRADER, "ETH", keeper=OUTSIDER)

    assert ordered.order(TRADER, "ETH") is None
    assert held(ordered, OUTSIDER) == 4 * WAD
    assert margin(ordered) == 9_996 * WAD


def test_cancel__by_the_trader_after_the_window__gets_the_deposit_back(ordered):
    ordered.warp(31)

    ordered.cancel(TRADER, "ETH", keeper=TRADER)

    assert margin(ordered) == 10_000 * WAD


@pytest.mark.parametrize("function, args", [("transferMargin", (-1,)), ("withdrawAllMargin", ())])
def test_submit__order_waits__margin_is_locked(ordered, function, args):
    with pytest.raises(RevertError, match="^Pending order exists$"):
        ordered.markets["ETH"].market.send(function, *args, sender=TRADER)
    with pytest.raises(RevertError, match="^previous order exists$"):
        ordered.submit(TRADER, "ETH", WAD)


def test_execute__price_above_the_limit__reverts_and_leaves_the_order(venue):
    venue.deposit(TRADER, "ETH", 10_000 * WAD)
    venue.submit(TRADER, "ETH", 15 * WAD, worst_price=2_000 * WAD)
    venue.warp(2)

    with pytest.raises(RevertError, match="^Price impact exceeded$"):
        venue.execute(TRADER, "ETH")

    assert venue.order(TRADER, "ETH").worst_price == 2_000 * WAD


@pytest.mark.parametrize("percent, is_filled", [(109, True), (110, False), (91, True), (90, False)])
def test_execute__pyth_off_the_index__fills_within_ten_percent(ordered, percent, is_filled):
    ordered.warp(2)
    price = 2_000 * WAD * percent // 100

    if is_filled:
        ordered.execute(TRADER, "ETH", price=price)
        assert ordered.position(TRADER, "ETH").last_price == pytest.approx(price, rel=1e-5)
    else:
        with pytest.raises(RevertError, match="^price divergence too high$"):
            ordered.execute(TRADER, "ETH", price=price)


def test_execute__stale_index__reverts(ordered):
    ordered.warp(29, fresh=False)
    aggregator, now = ordered.markets["ETH"].aggregator, ordered.rpc.timestamp()
    aggregator.send("setRound", 2_000 * 10**8, now, now - STALE - 1, sender=OUTSIDER)

    with pytest.raises(RevertError, match="^Invalid price$"):
        ordered.execute(TRADER, "ETH")


@pytest.mark.parametrize("after, reason", [(0, "price not updated"), (1, "executability not reached")])
def test_execute__price_published_too_early__reverts(ordered, after, reason):
    submitted_at = ordered.rpc.timestamp()
    ordered.warp(20)

    with pytest.raises(RevertError, match=f"^{reason}$"):
        ordered.execute(TRADER, "ETH", publish_time=submitted_at + after)


def test_execute__price_published_within_the_window__fills_at_that_price(ordered):
    submitted_at = ordered.rpc.timestamp()
    ordered.warp(25)

    ordered.execute(TRADER, "ETH", price=2_010 * WAD, publish_time=submitted_at + 2)

    assert ordered.position(TRADER, "ETH").last_price == pytest.approx(2_010 * WAD, rel=1e-5)


def test_execute__two_prices_at_once__each_fills_at_its_own(ordered):
    ordered.deposit(OTHER, "ETH", 10_000 * WAD)
    ordered.submit(OTHER, "ETH", -15 * WAD)
    ordered.warp(2)

    ordered.execute(TRADER, "ETH", price=2_010 * WAD)
    ordered.execute(OTHER, "ETH", price=1_990 * WAD)

    assert ordered.position(TRADER, "ETH").last_price == pytest.approx(2_010 * WAD, rel=1e-4)
    assert ordered.position(OTHER, "ETH").last_price == pytest.approx(1_990 * WAD, rel=1e-4)


@pytest.mark.parametrize("amount, is_filled", [(43_900, False), (44_000, True)])
def test_execute__least_margin__must_cover_the_deposit_too(venue, amount, is_filled):
    venue.deposit(TRADER, "ETH", amount * WAD // 1000)
    venue.submit(TRADER, "ETH", WAD // 100)
    venue.warp(2)

    if is_filled:
        venue.execute(TRADER, "ETH")
    else:
        with pytest.raises(RevertError, match="^Insufficient margin$"):
            venue.execute(TRADER, "ETH")


# Traders


@pytest.mark.parametrize("price, earned", [(2_200, 3_000), (1_900, -1_500)])
def test_trade__3x_long_closed_after_a_move__earns_three_times_the_move(opened, price, earned):
    opened.move("ETH", price * WAD)

    opened.trade(TRADER, "ETH", -15 * WAD)
    opened.markets["ETH"].market.send("withdrawAllMargin", sender=TRADER)

    fees = 10_000 * WAD + earned * WAD - held(opened)
    assert 25 * WAD < fees < 30 * WAD  # Taker's fee once, maker's once, two deposits.
    assert opened.position(TRADER, "ETH") == (0, 0, 0, 0, 0)


@pytest.mark.parametrize("skew", [1_000, -1_000, 0])
def test_set_skew__by_others__moves_the_fill_price(opened, skew):
    opened.set_skew("ETH", skew * WAD)

    assert ask(opened, "marketSkew") == skew * WAD
    assert opened.fill_price("ETH", 2 * WAD) == 2_000 * WAD + (skew + 1) * 2_000 * WAD // 10**6
    assert opened.position(TRADER, "ETH").size == 15 * WAD


def test_set_skew__beyond_the_largest_side__reverts(venue):
    with pytest.raises(RevertError, match="^Max market size exceeded$"):
        venue.set_skew("ETH", 22_301 * WAD)


def test_warp__lone_long__pays_funding_that_grows(opened):
    before = margin(opened)
    opened.warp(DAY)
    first_day = before - margin(opened)
    opened.warp(DAY)

    assert first_day == pytest.approx(2_025 * WAD // 1000, rel=1e-3)
    assert before - margin(opened) == pytest.approx(4 * first_day, rel=1e-3)


def test_set_max_funding_velocity__none__funding_rate_stays(opened):
    opened.set_max_funding_velocity("ETH", 0)
    rate = ask(opened, "currentFundingRate")

    opened.warp(30 * DAY)

    assert ask(opened, "currentFundingRate") == rate


def test_liquidate__9x_long_after_a_fall__takes_all_margin(venue):
    venue.deposit(TRADER, "ETH", 10_000 * WAD)
    venue.trade(TRADER, "ETH", 45 * WAD)
    venue.set_price("ETH", 1_790 * WAD)
    left = margin(venue)

    venue.liquidate(TRADER, "ETH")

    assert left > 400 * WAD
    assert venue.position(TRADER, "ETH") == (0, 0, 0, 0, 0)
    assert margin(venue) == held(venue) == 0


def test_liquidate__healthy_position__reverts(opened):
    with pytest.raises(RevertError, match="^Position cannot be liquidated$"):
        opened.liquidate(TRADER, "ETH")


def test_liquidate__large_position_with_an_order__is_forced(venue):
    venue.deposit(TRADER, "ETH", 200_000 * WAD)
    venue.trade(TRADER, "ETH", 700 * WAD)
    venue.submit(TRADER, "ETH", WAD)
    venue.set_price("ETH", 1_730 * WAD)

    venue.liquidate(TRADER, "ETH")

    assert venue.order(TRADER, "ETH") is None
    assert venue.position(TRADER, "ETH").size == margin(venue) == 0


# The venue's owner


def test_pause_market__until_resumed__stops_its_actions_only(opened):
    opened.pause_market("ETH")

    with pytest.raises(RevertError, match="^Market suspended$"):
        opened.submit(TRADER, "ETH", WAD)
    with pytest.raises(RevertError, match="^Market suspended$"):
        opened.markets["ETH"].market.send("withdrawAllMargin", sender=TRADER)
    assert margin(opened) > 0
    opened.deposit(TRADER, "BTC", 10_000 * WAD)
    opened.resume_market("ETH")
    opened.submit(TRADER, "ETH", WAD)


def test_set_keeper_fee__lower__next_order_deposits_it(venue):
    venue.set_keeper_fee(WAD)
    venue.deposit(TRADER, "ETH", 10_000 * WAD)

    venue.submit(TRADER, "ETH", WAD)

    assert venue.order(TRADER, "ETH").keeper_deposit == WAD
    assert margin(venue) == 9_999 * WAD


def test_set_parameter__skew_scale_and_leverage__are_the_markets(venue):
    venue.set_skew_scale("ETH", 10**5 * WAD)
    venue.set_parameter("ETH", "maxLeverage", 25 * WAD)

    assert venue.fill_price("ETH", 2 * WAD) == 2_000_020 * WAD // 1000
    assert venue.perps_settings.call("maxLeverage", venue.markets["ETH"].key) == 25 * WAD
    assert venue.perps_settings.call("maxLeverage", venue.markets["BTC"].key) == 55 * WAD


# Quotes: the venue's integer arithmetic, so that others may rely on it


def divide(numerator: int, denominator: int) -> int:
    """Towards zero, as Solidity."""
    quotient = abs(numerator) // abs(denominator)
    return quotient if (numerator < 0) == (denominator < 0) else -quotient


def times(a: int, b: int) -> int:
    return divide(a * b, WAD)


def fill_price(price: int, skew: int, size: int) -> int:
    """The mean of the prices at the skew before and after, each off the index by its part of the scale."""
    before, after = (price + times(price, divide(at * WAD, SKEW_SCALE)) for at in (skew, skew + size))
    return (before + after) // 2


def order_fee(price: int, skew: int, size: int) -> int:
    """The maker's ratio for what reduces the skew, the taker's for the rest."""
    notional, after = times(size, price), skew + size
    if skew == 0 or after == 0 or (skew > 0) == (after > 0):
        rate = TAKER_FEE if skew == 0 or (skew > 0) == (size > 0) else MAKER_FEE
        return abs(times(notional, rate))
    taken = abs(divide(after * WAD, size))
    fees = ((taken, TAKER_FEE), (WAD - taken, MAKER_FEE))
    return sum(times(times(abs(notional), part), rate) for part, rate in fees)


@pytest.mark.parametrize("skew", [0, 1234_567_890_123_456_789_012, -987_654_321_098_765_432_109])
def test_order_fee__dust_to_1000_eth__matches_the_formula_to_the_wei(venue, skew):
    price = 1_876_543_210_98 * 10**10
    venue.set_price("ETH", price)
    venue.set_skew("ETH", skew)

    for digits in range(22):
        for size in (10**digits, 123_456_789 * 10**digits // 10**8 + 1):
            for signed in (size, -size):
                paid = fill_price(price, skew, signed)
                assert venue.fill_price("ETH", signed) == paid
                assert ask(venue, "orderFee", signed, OFFCHAIN)[0] == order_fee(paid, skew, signed)


@pytest.mark.parametrize("size", [7_000_000_000_000_000_001, -6_999_999_999_999_999_999, -31 * WAD - 7])
def test_trade__with_a_position__margin_follows_the_formula_to_the_wei(opened, size):
    skew = 1234_567_890_123_456_789_012
    opened.set_skew("ETH", skew)
    opened.warp(DAY + 1)
    opened.set_price("ETH", 2_012_345_678_901 * 10**9)

    first = opened.position(TRADER, "ETH")
    opened.submit(TRADER, "ETH", size)
    waiting = opened.position(TRADER, "ETH")
    opened.set_skew("ETH", skew := skew + 10**19 + 1)
    opened.warp(7)
    opened.execute(TRADER, "ETH", price=2_023_456_789_012 * 10**9)
    last = opened.position(TRADER, "ETH")

    at_submission = fill_price(2_012_345_678_900 * 10**9, skew - 10**19 - 1, size)
    filled_at = fill_price(2_023_456_789_010 * 10**9, skew, size)
    assert (waiting.last_price, last.last_price) == (at_submission, filled_at)
    assert waiting.margin == first.margin + gained(opened, first, waiting) - 4 * WAD
    fee = order_fee(filled_at, skew, size)
    assert last.margin == waiting.margin + gained(opened, waiting, last) - fee
    assert last.size == 15 * WAD + size


def gained(venue: Synthetix, before, after) -> int:
    """What a position gained by price and funding between two entries in the venue's books."""
    funding = ask(venue, "fundingSequence", after.last_funding_index)
    funding -= ask(venue, "fundingSequence", before.last_funding_index)
    return times(before.size, after.last_price - before.last_price) + times(before.size, funding)


# Forks and files


def test_forked__synthetix__trades_without_touching_upstream(chain):
    upstream, original = chain
    before = original.rpc("eth_blockNumber")
    with Anvil.start(fork_url=upstream.url, frozen_clock=True, lean=True) as anvil:
        venue = Synthetix.connect(anvil.url, original.to_dict())
        venue.deposit(TRADER, "ETH", 10_000 * WAD)
        venue.move("ETH", 1_700 * WAD)

        venue.trade(TRADER, "ETH", 15 * WAD)

        assert venue.position(TRADER, "ETH").size == 15 * WAD
    assert (original.asset_price("ETH"), original.rpc("eth_blockNumber")) == (2_000 * WAD, before)


def test_forked__of_a_fresh_venue__yields_its_handle():
    with forked("synthetix", markets=["BTC"]) as venue:
        venue.deposit(TRADER, "BTC", 10_000 * WAD)

        venue.trade(TRADER, "BTC", -WAD)

        assert venue.position(TRADER, "BTC").size == -WAD


@pytest.mark.parametrize("venue_of_the_file", ["synthetix", "perp_v2"])
def test_forked__operators_chain__is_taken_if_it_holds_that_venue(
    chain, venue_of_the_file, tmp_path, monkeypatch
):
    upstream, original = chain
    markets = {
        "synthetix": {"ETH": {"market": str(original.markets["ETH"].market)}},
        "perp_v2": {"ETH": {"base_token": OUTSIDER}},
    }
    (tmp_path / "venue.json").write_text(json.dumps({"markets": markets[venue_of_the_file]}))
    monkeypatch.setenv("FORK_RPC_URL", upstream.url)
    monkeypatch.setenv("FORK_VENUE", str(tmp_path / "venue.json"))

    with forked("synthetix") as venue:
        assert (list(venue.markets) == ["ETH"]) == (venue_of_the_file == "synthetix")
        assert (venue.pyth == original.pyth) == (venue_of_the_file == "perp_v2")
        venue.deposit(TRADER, "ETH", 10_000 * WAD)
        venue.move("ETH", 2_100 * WAD)
        venue.trade(TRADER, "ETH", 15 * WAD)

        assert venue.position(TRADER, "ETH").last_price == pytest.approx(2_100 * WAD, rel=1e-4)


def test_load__dumped_venue__goes_on_where_it_stood(opened, tmp_path):
    opened.dump(tmp_path / "venue.json")

    with Anvil.start() as anvil:
        twin = Synthetix.load(anvil.url, tmp_path / "venue.json")
        assert twin.position(TRADER, "ETH") == opened.position(TRADER, "ETH")
        assert twin.rpc.timestamp() > opened.rpc.timestamp()
        twin.trade(TRADER, "ETH", -15 * WAD)

    assert opened.position(TRADER, "ETH").size == 15 * WAD
