"""Synthetix Perps V2 on a devnet: a handle that moves prices, plays the keeper and others, and funds traders.

Units: prices, sizes and sUSD in WAD; seconds.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from eth_abi import encode

from devnet.artifacts import mock, mock_pyth, synthetix
from devnet.rpc import Contract, Receipt, RevertError, Rpc
from devnet.synthetix_build import (
    KEEPER,
    MARKETS,
    PYTH_FEE,
    PYTH_VALID_TIME,
    TAKER,
    MarketSpec,
    deploy_core,
    deploy_market,
    key,
    market_artifact,
)
from devnet.venue import MAKER, OWNER, WAD, Venue

WHALE = 10**9 * WAD  # sUSD that a played trader deposits when its margin runs low.
FIRST_TRADE = 10_000 * WAD  # Notional of the two positions that a market is born with.
ANY_PRICE = 2**128 - 1
PYTH_DECIMALS = 8
PYTH_PRICE = "(int64,uint64,int32,uint256)"
SUSPENSION = 1  # Any reason but zero.
TOO_LARGE_TO_LIQUIDATE = ("price impact of liquidation exceeded", "instantaneous P/D exceeded")


@dataclass(frozen=True)
class Market:
    name: str
    market: Contract
    aggregator: Contract
    key: bytes
    asset: bytes
    feed_id: bytes


class Position(NamedTuple):
    id: int
    last_funding_index: int
    margin: int
    last_price: int
    size: int


class Order(NamedTuple):
    is_offchain: bool
    size: int
    worst_price: int
    target_round: int
    commit_deposit: int
    keeper_deposit: int
    executable_at: int
    submitted_at: int
    tracking_code: bytes


class Synthetix(Venue):
    """A Perps V2 deployment on an Anvil, own or forked. Make it with `build`, `connect` or `load`."""

    landmark = "market"
    decimals = 18
    unit = WAD

    def __init__(self, rpc: Rpc, markets: dict[str, str]):
        def named(name: str, kind: str | None = None) -> Contract:
            return Contract(rpc, synthetix(kind or name), self.resolver.call("getAddress", key(name)))

        self.rpc = rpc
        proxies = {name: Contract(rpc, market_artifact(), address) for name, address in markets.items()}
        parts = next(iter(proxies.values())).call("getAllTargets")
        resolver = Contract(rpc, synthetix("PerpsV2Market"), parts[0]).call("resolver")
        self.resolver = Contract(rpc, synthetix("AddressResolver"), resolver)
        self.perps_settings = named("PerpsV2MarketSettings")
        self.exchange_rate = named("PerpsV2ExchangeRate")
        self.exchange_rates = named("ExchangeRates")
        self.futures_market_manager = named("FuturesMarketManager")
        self.system_status = named("SystemStatus")
        self.circuit_breaker = named("CircuitBreaker")
        self.issuer = named("Issuer")
        synth = named("SynthsUSD", "MultiCollateralSynth")
        self.settlement_token = Contract(rpc, synthetix("ProxyERC20"), synth.call("proxy"))
        self.pyth = Contract(rpc, mock_pyth(), self.exchange_rate.call("offchainOracle"))
        self.markets: dict[str, Market] = {}
        for name, proxy in proxies.items():
            asset = proxy.call("baseAsset")
            aggregator = Contract(rpc, mock("MockAggregator"), self.exchange_rates.call("aggregators", asset))
            feed_id = self.exchange_rate.call("offchainPriceFeedId", asset)
            self.markets[name] = Market(name, proxy, aggregator, proxy.call("marketKey"), asset, feed_id)

    @classmethod
    def build(cls, url: str, *, markets: Iterable[str | MarketSpec] = ("ETH", "BTC")) -> "Synthetix":
        """Deploy the venue, ready to trade, with two small opposite positions in each market."""
        rpc = Rpc(url)
        specs = [MARKETS[market] if isinstance(market, str) else market for market in markets]
        core = deploy_core(rpc)
        venue = cls(rpc, {spec.name: deploy_market(core, spec) for spec in specs})
        for spec in specs:
            size = FIRST_TRADE * WAD // spec.price
            for trader, signed in ((MAKER, size), (TAKER, -size)):
                venue.deposit(trader, spec.name, WHALE)
                venue.submit(trader, spec.name, signed)
        venue.warp(max(map(venue.delay, venue.markets)))
        for spec in specs:
            for trader in (MAKER, TAKER):
                venue.execute(trader, spec.name)
        return venue

    @classmethod
    def connect(cls, url: str, addresses: dict[str, Any], *, own_aggregator: bool = False) -> "Synthetix":
        """Attach to a venue by `to_dict()`'s answer; each market's `market` is enough.

        `own_aggregator` lays our settable price feed over each market's real one, and puts Pyth's mock in the
        place of the real Pyth, on forks of public chains.
        """
        markets = {name: market["market"] for name, market in addresses["markets"].items()}
        venue = cls(Rpc(url), markets)
        if own_aggregator:
            venue.take_over_pyth()
            for name in venue.markets:
                venue.take_over_aggregator(name)
        return venue

    @classmethod
    def load(cls, url: str, path: Path | str) -> "Synthetix":
        """Put a dumped venue onto the fresh Anvil at `url`, with prices that are fresh by its clock."""
        venue = super().load(url, path)
        venue.freshen()
        return venue

    def to_dict(self) -> dict[str, Any]:
        """All addresses, ready for JSON."""
        shared = (
            "resolver perps_settings exchange_rate exchange_rates futures_market_manager system_status "
            "circuit_breaker issuer pyth settlement_token"
        ).split()
        return {
            **{name: str(getattr(self, name)) for name in shared},
            "decimals": self.decimals,
            "markets": {
                name: {
                    "market": str(market.market),
                    "aggregator": str(market.aggregator),
                    "feed_id": "0x" + market.feed_id.hex(),
                }
                for name, market in self.markets.items()
            },
        }

    # Prices

    def index_price(self, market: str) -> int:
        """What the oracle on chain says now, however old."""
        aggregator = self.markets[market].aggregator
        return aggregator.call("latestRoundData")[1] * 10 ** (18 - aggregator.call("decimals"))

    def asset_price(self, market: str) -> int:
        """What the venue values positions at: the index price, or nothing if it calls that invalid."""
        return _valid(self.markets[market].market.call("assetPrice"))

    def fill_price(self, market: str, size: int) -> int:
        """What an order would pay at the index price, before its fee."""
        return _valid(self.markets[market].market.call("fillPrice", size))

    def set_price(self, market: str, price: int) -> None:
        """Move the oracle on chain. Pyth's price comes with each execution."""
        aggregator = self.markets[market].aggregator
        aggregator.send("set", price // 10 ** (18 - aggregator.call("decimals")), sender=OWNER)

    def move(self, market: str, price: int) -> int:
        """Move the oracle, and let the venue accept a jump; return the seconds that took, which is none."""
        self.set_price(market, price)
        aggregator = self.markets[market].aggregator
        if self.circuit_breaker.call("isInvalid", aggregator, price):
            self._own(self.circuit_breaker, "resetLastValue", [aggregator], [price])
        return 0

    def freshen(self) -> None:
        """Let all oracles repeat their prices, so that none is stale."""
        for market in self.markets.values():
            market.aggregator.send("set", market.aggregator.call("latestRoundData")[1], sender=OWNER)

    def price_update(
        self, market: str, price: int | None = None, publish_time: int | None = None
    ) -> list[bytes]:
        """Pyth's word for a price, to go with an execution: by default the index price, now.

        Pyth keeps the latest price that it was told, so two different ones never share a second by default.
        """
        feed = self.markets[market]
        price = self.index_price(market) if price is None else price
        if publish_time is None:
            publish_time = self.rpc.timestamp()
            told, told_at = self._told(market)
            if told != price and told_at >= publish_time:
                publish_time = told_at + 1
        quote = (price // 10 ** (18 - PYTH_DECIMALS), 0, -PYTH_DECIMALS, publish_time)
        return [encode([f"(bytes32,{PYTH_PRICE},{PYTH_PRICE})"], [(feed.feed_id, quote, quote)])]

    # Traders

    def fund(self, account: str, amount: int) -> None:
        """Give an account sUSD, and ether for gas."""
        self._give_pocket_money(account)
        bridge = self.resolver.call("getAddress", key("SynthetixBridgeToBase"))
        self.issuer.send("issueSynthsWithoutDebt", key("sUSD"), account, amount, sender=bridge)

    def deposit(self, trader: str, market: str, amount: int) -> None:
        """Fund a trader's margin in a market."""
        self.fund(trader, amount)
        self.markets[market].market.send("transferMargin", amount, sender=trader)

    def submit(self, trader: str, market: str, size: int, worst_price: int | None = None) -> Receipt:
        """Place an order to buy (positive) or sell a size, by default at any price."""
        if worst_price is None:
            worst_price = ANY_PRICE if size > 0 else 0
        return self.markets[market].market.send(
            "submitOffchainDelayedOrder", size, worst_price, sender=trader
        )

    def execute(
        self,
        account: str,
        market: str,
        *,
        price: int | None = None,
        publish_time: int | None = None,
        keeper: str = KEEPER,
    ) -> Receipt:
        """Execute an account's order as a keeper; by default at the index price, now."""
        update = self.price_update(market, price, publish_time)
        return self.markets[market].market.send(
            "executeOffchainDelayedOrder", account, update, sender=keeper, value=PYTH_FEE
        )

    def delay(self, market: str) -> int:
        """Seconds from an order to its execution, at least."""
        return self.perps_settings.call("offchainDelayedOrderMinAge", self.markets[market].key) + 1

    def cancel(self, account: str, market: str, keeper: str = KEEPER) -> Receipt:
        """Take back an account's order that nobody has executed in time."""
        return self.markets[market].market.send("cancelOffchainDelayedOrder", account, sender=keeper)

    def trade(self, trader: str, market: str, size: int) -> Receipt:
        """Order, wait, and execute at the index price; return the receipt of the execution."""
        self.submit(trader, market, size)
        self.warp(self.delay(market))
        return self.execute(trader, market)

    def set_skew(self, market: str, skew: int) -> None:
        """Let others trade until longs less shorts are `skew`; that takes the time of a trade."""
        size = skew - self.markets[market].market.call("marketSkew")
        if size == 0:
            return
        margin, _ = self.markets[market].market.call("remainingMargin", MAKER)
        if margin < WHALE // 2:
            self.deposit(MAKER, market, WHALE)
        self.trade(MAKER, market, size)

    def position(self, account: str, market: str) -> Position:
        """What the venue has written down since the account's last action."""
        return Position(*self.markets[market].market.call("positions", account))

    def order(self, account: str, market: str) -> Order | None:
        """An account's order that waits for a keeper."""
        order = Order(*self.markets[market].market.call("delayedOrders", account))
        return order if order.size else None

    def liquidate(self, account: str, market: str) -> Receipt:
        """Flag and liquidate a position as a keeper, and return the receipt of the liquidation."""
        perp = self.markets[market].market
        if not perp.call("isFlagged", account):
            perp.send("flagPosition", account, sender=KEEPER)
        try:
            return perp.send("liquidatePosition", account, sender=KEEPER)
        except RevertError as revert:
            if str(revert) not in TOO_LARGE_TO_LIQUIDATE:
                raise
            self._own(self.futures_market_manager, "addEndorsedAddresses", [KEEPER])
            return perp.send("forceLiquidatePosition", account, sender=KEEPER)

    def warp(self, seconds: int, *, fresh: bool = True) -> None:
        """Let time pass and mine a block; then the oracles repeat their prices, unless they may go stale."""
        self.rpc.warp(seconds)
        if fresh:
            self.freshen()

    # The venue's owner

    def set_keeper_fee(self, amount: int) -> None:
        """Change what an order pays to who executes it."""
        self._own(self.perps_settings, "setMinKeeperFee", amount)

    def set_max_funding_velocity(self, market: str, velocity: int) -> None:
        """Change how much the funding rate per day grows per day, at a skew of the whole scale."""
        self.set_parameter(market, "maxFundingVelocity", velocity)

    def set_skew_scale(self, market: str, scale: int) -> None:
        """Change the skew that would double the price."""
        self.set_parameter(market, "skewScale", scale)

    def set_parameter(self, market: str, name: str, value: int | bytes) -> None:
        """Change one of a market's parameters, by its name at the venue."""
        setter = f"set{name[0].upper()}{name[1:]}"
        self._own(self.perps_settings, setter, self.markets[market].key, value)

    def pause_market(self, market: str) -> None:
        """Stop all actions in a market, withdrawals too, until it is resumed."""
        self._switch("suspendFuturesMarket", self.markets[market].key, SUSPENSION)

    def resume_market(self, market: str) -> None:
        """Let a market go on."""
        self._switch("resumeFuturesMarket", self.markets[market].key)

    def take_over_pyth(self) -> None:
        """Put Pyth's mock in the place of the real Pyth."""
        self.pyth = Contract.deploy(self.rpc, OWNER, mock_pyth(), PYTH_VALID_TIME, PYTH_FEE)
        self._own(self.exchange_rate, "setOffchainOracle", self.pyth)

    # Internals

    def _told(self, market: str) -> tuple[int, int]:
        """What Pyth was told last, and of when."""
        try:
            return self.exchange_rate.call("resolveAndGetLatestPrice", self.markets[market].asset)
        except RevertError:
            return 0, 0

    def _switch(self, function: str, *args: object) -> None:
        owner = self.system_status.call("owner")
        self._own(self.system_status, "updateAccessControl", key("Futures"), owner, True, True)
        self._own(self.system_status, function, *args)


def _valid(answer: tuple[int, bool]) -> int:
    value, is_invalid = answer
    if is_invalid:
        raise ValueError("the venue calls its price invalid")
    return value
