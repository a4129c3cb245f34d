"""The devnet keeps its word: prices follow, limits bite, money comes back, forks leave upstream alone."""

import pytest
from eth_utils import to_checksum_address

from devnet import Anvil, PerpV2, RevertError, start
from devnet.perp_v2_build import ATTACKER, MARKETS, WAD, actor

pytestmark = pytest.mark.venue

TRADER = actor("trader")
MILLION = 10**6  # The venue counts ratios in millionths.
Q96 = 2**96


@pytest.fixture(scope="module")
def chain():
    anvil, perp = start(port=None, anvil_options={"frozen_clock": True})
    yield anvil, perp
    anvil.stop()


@pytest.fixture
def perp(chain):
    """The venue, as it was built, for each test."""
    _, perp = chain
    snapshot = perp.rpc("evm_snapshot")
    yield perp
    assert perp.rpc("evm_revert", snapshot)


@pytest.fixture
def fork(chain):
    """The same venue on a fork, reached by played accounts only."""
    upstream, perp = chain
    with Anvil.start(fork_url=upstream.url, frozen_clock=True, lean=True) as anvil:
        yield PerpV2.connect(anvil.url, perp.to_dict())


def withdrawn(perp: PerpV2, trader: str = TRADER) -> int:
    """Withdraw what a flat trader has at the venue, and return what it then holds."""
    perp.vault.send("withdrawAll", perp.settlement_token, sender=trader)
    return perp.settlement_token.call("balanceOf", trader)


def size_of(perp: PerpV2, market: str = "ETH", trader: str = TRADER) -> int:
    return perp.account_balance.call("getTakerPositionSize", trader, perp.markets[market].base_token)


def tick_of(perp: PerpV2, market: str = "ETH") -> int:
    return perp.markets[market].pool.call("slot0")[1]


# Building


@pytest.mark.parametrize("market", ["ETH", "BTC"])
def test_build__defaults__pool_and_mark_are_at_the_index(perp, market):
    assert perp.index_price(market) == MARKETS[market].price
    assert perp.pool_price(market) == pytest.approx(MARKETS[market].price, rel=1e-15)
    assert perp.mark_price(market) == pytest.approx(MARKETS[market].price, rel=1e-4)


def test_build__addresses__connect_to_the_same_venue(perp):
    twin = PerpV2.connect(perp.rpc.url, perp.to_dict())

    assert twin.to_dict() == perp.to_dict()
    assert twin.web3.eth.get_code(to_checksum_address(twin.clearing_house))


def test_build__18_decimals__deposits_and_trades():
    with Anvil.start() as anvil:
        perp = PerpV2.build(anvil.url, decimals=18, markets=["ETH"])
        perp.deposit(TRADER, 10_000 * WAD)

        perp.open_position(TRADER, "ETH", 15 * WAD)

        assert perp.unit == WAD
        assert perp.vault.call("getBalance", TRADER) == 10_000 * WAD
        assert size_of(perp) == 15 * WAD


def test_build__not_realistic__mark_follows_the_pool_at_once():
    with Anvil.start() as anvil:
        perp = PerpV2.build(anvil.url, markets=["ETH"], realistic=False)

        perp.move("ETH", 1_900 * WAD)

        assert perp.mark_price("ETH") == pytest.approx(1_900 * WAD, rel=1e-4)


# Prices


@pytest.mark.parametrize("percent", [110, 90, 70, 140, 60])
def test_move__up_or_down__pool_stops_at_the_index(perp, percent):
    price = 2_000 * WAD * percent // 100

    seconds = perp.move("ETH", price)

    assert perp.index_price("ETH") == price
    assert perp.pool_price("ETH") == pytest.approx(price, rel=1e-15)
    assert (seconds == 0) == (percent == 110)  # A tenth upwards fits into one window of 1000 ticks.


def test_move__several_markets__share_a_second(perp):
    perp.warp(60)
    before = perp.rpc.timestamp()

    perp.move("ETH", 2_020 * WAD)
    perp.move("BTC", 39_600 * WAD)

    assert perp.rpc.timestamp() == before
    assert (perp.index_price("ETH"), perp.index_price("BTC")) == (2_020 * WAD, 39_600 * WAD)


def test_set_price__twice_at_once__second_price_counts(perp):
    perp.set_price("ETH", 2_001 * WAD)
    perp.set_price("ETH", 2_002 * WAD)

    assert perp.index_price("ETH") == 2_002 * WAD
    assert perp.pool_price("ETH") == pytest.approx(2_000 * WAD, rel=1e-15)


def test_arbitrage__beyond_the_tick_limit__takes_a_window_per_step(perp):
    perp.set_max_ticks("ETH", 250)
    perp.set_price("ETH", 1_700 * WAD)
    first_tick = tick_of(perp)

    seconds = perp.arbitrage("ETH")

    steps = (first_tick - tick_of(perp)) / 250
    assert 15 * (steps - 1) <= seconds <= 15 * (steps + 1)


def test_arbitrage__pool_one_rounding_away__does_nothing(perp):
    perp.deposit(TRADER, 10_000 * perp.unit)
    perp.open_position(TRADER, "ETH", 15 * WAD)
    perp.close_position(TRADER, "ETH")

    assert perp.arbitrage("ETH") == 0
    assert perp.pool_price("ETH") == pytest.approx(perp.index_price("ETH"), rel=1e-15)


def test_set_price__stale_or_negative_round__venue_keeps_the_last_price(perp):
    aggregator = perp.markets["ETH"].aggregator
    now = perp.rpc.timestamp()

    aggregator.send("setRound", -1, now, now, sender=TRADER)

    assert aggregator.call("latestRoundData") == (2, -1, now, now, 2)
    assert aggregator.call("getRoundData", 1)[1] == 2_000 * 10**8
    assert perp.index_price("ETH") == 2_000 * WAD


def test_push_pool__beyond_the_tick_limit__reverts(perp):
    perp.set_max_ticks("ETH", 250)

    with pytest.raises(RevertError, match="^EX_OPLAS$"):
        perp.push_pool("ETH", 1_940 * WAD)


def test_push_pool__within_the_limits__leaves_the_index(perp):
    perp.push_pool("ETH", 1_960 * WAD)

    assert perp.pool_price("ETH") == pytest.approx(1_960 * WAD, rel=1e-15)
    assert perp.index_price("ETH") == 2_000 * WAD


# Traders


def test_open_position__3x_long_closed_again__costs_the_two_fees(perp):
    perp.deposit(TRADER, 10_000 * perp.unit)
    _, paid = perp.preview_position(TRADER, "ETH", 15 * WAD)

    perp.open_position(TRADER, "ETH", 15 * WAD)
    notional = -perp.account_balance.call("getTakerOpenNotional", TRADER, perp.markets["ETH"].base_token)
    perp.close_position(TRADER, "ETH")

    assert notional == paid
    cost = 10_000 * perp.unit - withdrawn(perp)
    assert cost == pytest.approx(2 * 30_000 * perp.unit // 1000, rel=0.01)


def test_open_position__3x_long_and_10_percent_rise__earns_30_percent(perp):
    perp.deposit(TRADER, 10_000 * perp.unit)
    perp.open_position(TRADER, "ETH", 15 * WAD)

    perp.move("ETH", 2_200 * WAD)
    perp.close_position(TRADER, "ETH")

    fees_and_impact = 13_000 * perp.unit - withdrawn(perp)
    assert 60 * perp.unit < fees_and_impact < 100 * perp.unit


def test_set_fee_discount__full__round_trip_is_free(perp):
    perp.deposit(TRADER, 10_000 * perp.unit)
    perp.set_fee_discount(TRADER)

    perp.open_position(TRADER, "ETH", 15 * WAD)
    perp.close_position(TRADER, "ETH")

    assert withdrawn(perp) == pytest.approx(10_000 * perp.unit, abs=2)


def test_liquidate__9x_long_after_a_fall__takes_a_part(perp):
    perp.deposit(TRADER, 10_000 * perp.unit)
    perp.open_position(TRADER, "ETH", 45 * WAD)
    perp.move("ETH", 1_870 * WAD)
    perp.warp(1800)

    perp.liquidate(TRADER, "ETH")

    assert 0 <= size_of(perp) < 45 * WAD


def test_pause_market__open_position__reverts(perp):
    perp.deposit(TRADER, 10_000 * perp.unit)
    perp.pause_market("ETH")

    with pytest.raises(RevertError, match="^CH_MNO$"):
        perp.open_position(TRADER, "ETH", WAD)


def test_settle_funding__pool_above_the_index_for_a_day__long_pays(perp):
    perp.deposit(TRADER, 10_000 * perp.unit)
    perp.open_position(TRADER, "ETH", 15 * WAD)
    perp.push_pool("ETH", 2_060 * WAD)
    perp.warp(900)
    perp.settle_funding(ATTACKER)
    perp.warp(86_400)

    perp.settle_funding(TRADER)

    paid, _, _ = perp.account_balance.call("getPnlAndPendingFee", TRADER)
    assert -paid == pytest.approx(15 * 60 * WAD, rel=0.02)


# Quotes: the pool's integer arithmetic, so that others may rely on it


def ceil_div(numerator: int, denominator: int) -> int:
    return -(-numerator // denominator)


def quote_within_range(sqrt_price: int, liquidity: int, size: int, fee: int) -> int:
    """What a buy of `size` pays or a sale receives, fee included; the fee in millionths."""
    scaled = liquidity * Q96
    next_price = ceil_div(scaled * sqrt_price, scaled - size * sqrt_price)
    if size > 0:
        paid = ceil_div(liquidity * (next_price - sqrt_price), Q96)
        return paid + ceil_div(paid * fee, MILLION - fee)
    received = liquidity * (sqrt_price - next_price) // Q96
    return received - ceil_div(received * fee, MILLION)


@pytest.mark.parametrize("fee", [0, 333, 1000])
def test_preview_position__dust_to_1000_eth__matches_the_formula_to_the_wei(perp, fee):
    perp.move("ETH", 187_654_321 * 10**13)
    perp.warp(15)  # The move has used the price window up.
    perp.set_exchange_fee("ETH", fee * WAD // MILLION)
    perp.deposit(TRADER, 10**9 * perp.unit)
    pool = perp.markets["ETH"].pool
    sqrt_price, liquidity = pool.call("slot0")[0], pool.call("liquidity")

    for digits in range(22):
        for size in (10**digits, 123_456_789 * 10**digits // 10**8 + 1):
            for signed in (size, -size):
                base, quote = perp.preview_position(TRADER, "ETH", signed)
                assert base == size
                assert quote == quote_within_range(sqrt_price, liquidity, signed, fee)


# Forks and files


def test_connect__fork__moves_without_touching_upstream(perp, fork):
    before = perp.pool_price("ETH"), perp.rpc("eth_blockNumber")
    fork.deposit(TRADER, 10_000 * fork.unit)
    fork.open_position(TRADER, "ETH", 15 * WAD)

    fork.move("ETH", 1_700 * WAD)
    fork.set_exchange_fee("ETH", WAD // 500)
    fork.close_position(TRADER, "ETH")

    assert fork.index_price("ETH") == 1_700 * WAD
    assert size_of(fork) == 0
    assert (perp.pool_price("ETH"), perp.rpc("eth_blockNumber")) == before


def test_take_over_aggregator__foreign_code__can_be_set(fork):
    aggregator = fork.markets["ETH"].aggregator
    before = aggregator.call("latestRoundData")[1]

    fork.take_over_aggregator("ETH")
    taken = aggregator.call("latestRoundData")[1]
    fork.move("ETH", 2_100 * WAD)

    assert taken == before
    assert fork.pool_price("ETH") == pytest.approx(2_100 * WAD, rel=1e-15)


def test_load__dumped_venue__goes_on_where_it_stood(perp, tmp_path):
    perp.move("ETH", 2_100 * WAD)
    perp.dump(tmp_path / "venue.json")

    with Anvil.start() as anvil:
        twin = PerpV2.load(anvil.url, tmp_path / "venue.json")
        assert twin.pool_price("ETH") == perp.pool_price("ETH")
        assert 0 <= twin.rpc.timestamp() - perp.rpc.timestamp() < 60
        twin.move("ETH", 2_000 * WAD)

    assert perp.index_price("ETH") == 2_100 * WAD


def test_dump_state__started_again__keeps_the_chain(chain, perp, tmp_path):
    upstream, _ = chain
    perp.move("ETH", 2_100 * WAD)
    upstream.dump_state(tmp_path / "state.json")

    with Anvil.start(load_state=tmp_path / "state.json") as anvil:
        twin = PerpV2.connect(anvil.url, perp.to_dict())
        assert twin.index_price("ETH") == 2_100 * WAD
