"""Deploys Perpetual Protocol v2 from its published bytecode, in the one order that works."""

from dataclasses import dataclass
from math import isqrt, log

from devnet.artifacts import mock, published
from devnet.rpc import Contract, Rpc
from devnet.venue import MAKER, OWNER, WAD, actor

MAX_UINT256 = 2**256 - 1
POOL_FEE = 3000  # The Uniswap tier, of 1e6. Traders pay the exchange fee instead.
TICK_SPACING = 60
OBSERVATIONS = 700  # Trades in distinct seconds within half an hour, before the venue reverts with `OLD`.
FEED_TIMEOUT = 2400  # Seconds.
TWAP_INTERVAL = 900  # Seconds, of the index; also the venue's premium interval.
MARK_INTERVAL = 1800  # Seconds of pool history that the venue's mark price reads.
INSTANT_MARK_INTERVAL = 1  # Seconds. Below 10 the venue reads the spot price.


ARBITRAGEUR, ATTACKER, LIQUIDATOR = map(actor, ("arbitrageur", "attacker", "liquidator"))


@dataclass(frozen=True)
class MarketSpec:
    """What a market starts with. Prices, money and ratios in WAD."""

    name: str
    price: int
    depth: int = 65_000_000 * WAD  # Quote money of the makers on each side of the price.
    span: int = 8  # Makers quote from price / span to price * span.
    exchange_fee: int = WAD // 1000
    insurance_fee: int = WAD // 10  # The insurance fund's part of the exchange fee.
    max_ticks: int = 1000  # Ticks that the price may move within 15 s; 1 is 0.01 %.


MARKETS = {spec.name: spec for spec in (MarketSpec("ETH", 2_000 * WAD), MarketSpec("BTC", 40_000 * WAD))}


def sqrt_price_x96(price: int) -> int:
    """The pool's word for a price in WAD."""
    return isqrt((price << 192) // WAD)


def price_of(sqrt_price: int) -> int:
    """The price in WAD of the pool's word for it."""
    return sqrt_price * sqrt_price * WAD >> 192


def tick_near(price: float) -> int:
    """The usable tick next to a price."""
    return round(log(price) / log(1.0001) / TICK_SPACING) * TICK_SPACING


@dataclass(frozen=True)
class Core:
    """What all markets share."""

    rpc: Rpc
    config: Contract
    quote_token: Contract
    factory: Contract
    market_registry: Contract
    exchange: Contract
    clearing_house: Contract
    settlement_token: Contract


def deploy_core(rpc: Rpc, decimals: int, realistic: bool) -> Core:
    """Deploy and wire everything but markets; `decimals` are the settlement token's."""

    def new(name: str) -> Contract:
        return Contract.deploy(rpc, OWNER, published(name))

    def do(contract: Contract, function: str, *args: object) -> None:
        contract.send(function, *args, sender=OWNER)

    usdc = Contract.deploy(rpc, OWNER, mock("MockERC20"), "USD Coin", "USDC", decimals)
    factory = new("UniswapV3Factory")
    quote = new("QuoteToken")
    while int(quote, 16) >> 158 == 0:
        quote = new("QuoteToken")  # Base tokens must have lower addresses: leave them room.
    do(quote, "initialize", "vUSD", "vUSD")

    config, registry, order_book = new("ClearingHouseConfig"), new("MarketRegistry"), new("OrderBook")
    exchange, balance, fund = new("Exchange"), new("AccountBalance"), new("InsuranceFund")
    vault, clearing_house = new("Vault"), new("ClearingHouse")
    do(config, "initialize")
    do(registry, "initialize", factory, quote)
    do(order_book, "initialize", registry)
    do(exchange, "initialize", registry, order_book, config)
    do(balance, "initialize", config, order_book)
    do(fund, "initialize", usdc)
    do(vault, "initialize", fund, config, balance, exchange)
    do(clearing_house, "initialize", config, vault, quote, factory, exchange, balance, fund)

    do(exchange, "setAccountBalance", balance)
    do(exchange, "setClearingHouse", clearing_house)
    do(order_book, "setExchange", exchange)
    do(order_book, "setClearingHouse", clearing_house)
    do(balance, "setVault", vault)
    do(balance, "setClearingHouse", clearing_house)
    do(fund, "setVault", vault)
    do(vault, "setClearingHouse", clearing_house)
    do(registry, "setClearingHouse", clearing_house)
    do(registry, "setFeeManager", OWNER, True)
    do(config, "setSettlementTokenBalanceCap", MAX_UINT256)
    if not realistic:
        do(config, "setMarkPriceMarketTwapInterval", INSTANT_MARK_INTERVAL)
        do(config, "setMarkPricePremiumInterval", INSTANT_MARK_INTERVAL)
    _open_virtual_token(quote, clearing_house)
    return Core(rpc, config, quote, factory, registry, exchange, clearing_house, usdc)


def deploy_market(core: Core, spec: MarketSpec) -> Contract:
    """Deploy one market with its oracle and its empty pool, and return its base token."""
    aggregator = Contract.deploy(core.rpc, OWNER, mock("MockAggregator"), 8, spec.price // 10**10)
    feed_args = (aggregator, FEED_TIMEOUT, TWAP_INTERVAL)
    feed = Contract.deploy(core.rpc, OWNER, published("ChainlinkPriceFeedV3"), *feed_args)
    feed.send("update", sender=OWNER)
    dispatcher = Contract.deploy(core.rpc, OWNER, published("PriceFeedDispatcher"), feed)

    base = Contract.deploy(core.rpc, OWNER, published("BaseToken"))
    while int(base, 16) >= int(core.quote_token, 16):
        base = Contract.deploy(core.rpc, OWNER, published("BaseToken"))
    base.send("initialize", f"v{spec.name}", f"v{spec.name}", dispatcher, sender=OWNER)

    core.factory.send("createPool", base, core.quote_token, POOL_FEE, sender=OWNER)
    pool_address = core.factory.call("getPool", base, core.quote_token, POOL_FEE)
    pool = Contract(core.rpc, published("UniswapV3Pool"), pool_address)
    pool.send("initialize", sqrt_price_x96(spec.price), sender=OWNER)
    pool.send("increaseObservationCardinalityNext", OBSERVATIONS, sender=OWNER)

    _open_virtual_token(base, core.clearing_house)
    for token in (base, core.quote_token):
        token.send("addWhitelist", pool, sender=OWNER)
    core.market_registry.send("addPool", base, POOL_FEE, sender=OWNER)
    core.market_registry.send("setFeeRatio", base, venue_ratio(spec.exchange_fee), sender=OWNER)
    core.market_registry.send("setInsuranceFundFeeRatio", base, venue_ratio(spec.insurance_fee), sender=OWNER)
    core.exchange.send("setMaxTickCrossedWithinBlock", base, spec.max_ticks, sender=OWNER)
    return base


def add_liquidity(clearing_house: Contract, base_token: str, spec: MarketSpec) -> None:
    """Place the maker's one wide order. Needs its collateral, and a pool older than the mark interval."""
    price = spec.price / WAD
    order = (
        base_token,
        spec.depth * WAD // spec.price,
        spec.depth,
        tick_near(price / spec.span),
        tick_near(price * spec.span),
        0,
        0,
        False,
        MAX_UINT256,
    )
    clearing_house.send("addLiquidity", order, sender=MAKER)


def venue_ratio(ratio: int) -> int:
    """A WAD ratio in the venue's millionths; refuses what they cannot hold."""
    millionths, rest = divmod(ratio, 10**12)
    if rest or not 0 <= millionths <= 10**6:
        raise ValueError(f"{ratio} is not a WAD ratio of whole millionths")
    return millionths


def _open_virtual_token(token: Contract, clearing_house: Contract) -> None:
    token.send("mintMaximumTo", clearing_house, sender=OWNER)
    token.send("addWhitelist", clearing_house, sender=OWNER)
