"""Perpetual Protocol v2 on a devnet: a handle that moves prices, plays the arbitrageur, and funds traders.

Units: prices, sizes, virtual money and ratios in WAD; settlement amounts in the token's base units; seconds.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from devnet.artifacts import mock, published
from devnet.perp_v2_build import (
    ARBITRAGEUR,
    ATTACKER,
    LIQUIDATOR,
    MARK_INTERVAL,
    MARKETS,
    MAX_UINT256,
    MarketSpec,
    add_liquidity,
    deploy_core,
    deploy_market,
    price_of,
    sqrt_price_x96,
    venue_ratio,
)
from devnet.rpc import Contract, Receipt, RevertError, Rpc
from devnet.venue import MAKER, OWNER, WAD, Venue

Order = tuple[str, bool, bool, int, int, int, int, bytes]

WHALE = 10**12  # Whole settlement tokens that a played trader deposits when its margin ends.
ENDLESS = 10**36  # An exact input that only the price limit stops.
TICK_WINDOW = 15  # Seconds after which the venue measures the allowed price move anew.
NO_REFERRAL = bytes(32)
NOTHING_TO_TRADE = "CH_F0S"  # The price limit is nearer than one wei.
HEALED_BY_TIME = (
    "EX_OPLAS",  # Others have used the price window up.
    "SafeCast: value must be positive",  # The index has just jumped up and back down.
)


@dataclass(frozen=True)
class Market:
    name: str
    base_token: Contract
    pool: Contract
    aggregator: Contract
    price_feed: Contract


class PerpV2(Venue):
    """A Perp v2 deployment on an Anvil, own or forked. Make it with `build`, `connect` or `load`."""

    landmark = "base_token"

    def __init__(self, rpc: Rpc, clearing_house: str, base_tokens: dict[str, str]):
        def at(name: str, address: str) -> Contract:
            return Contract(rpc, published(name), address)

        self.rpc = rpc
        self.clearing_house = at("ClearingHouse", clearing_house)
        self.vault = at("Vault", self.clearing_house.call("getVault"))
        self.exchange = at("Exchange", self.clearing_house.call("getExchange"))
        self.account_balance = at("AccountBalance", self.clearing_house.call("getAccountBalance"))
        self.order_book = at("OrderBook", self.clearing_house.call("getOrderBook"))
        self.config = at("ClearingHouseConfig", self.clearing_house.call("getClearingHouseConfig"))
        self.insurance_fund = at("InsuranceFund", self.clearing_house.call("getInsuranceFund"))
        self.quote_token = at("QuoteToken", self.clearing_house.call("getQuoteToken"))
        self.market_registry = at("MarketRegistry", self.exchange.call("getMarketRegistry"))
        self.settlement_token = Contract(rpc, mock("MockERC20"), self.vault.call("getSettlementToken"))
        self.decimals: int = self.vault.call("decimals")
        self.unit = 10**self.decimals
        self.markets: dict[str, Market] = {}
        for name, address in base_tokens.items():
            base = at("BaseToken", address)
            dispatcher = at("PriceFeedDispatcher", base.call("getPriceFeed"))
            feed = at("ChainlinkPriceFeedV3", dispatcher.call("getChainlinkPriceFeedV3"))
            aggregator = Contract(rpc, mock("MockAggregator"), feed.call("getAggregator"))
            pool = at("UniswapV3Pool", self.market_registry.call("getPool", base))
            self.markets[name] = Market(name, base, pool, aggregator, feed)

    @classmethod
    def build(
        cls,
        url: str,
        *,
        decimals: int = 6,
        markets: Iterable[str | MarketSpec] = ("ETH", "BTC"),
        realistic: bool = True,
    ) -> "PerpV2":
        """Deploy the venue, ready to trade, with pools at their index prices.

        Not `realistic` is a venue whose mark price is the pool's spot price, for tests that want no waiting.
        """
        rpc = Rpc(url)
        specs = [MARKETS[market] if isinstance(market, str) else market for market in markets]
        core = deploy_core(rpc, decimals, realistic)
        perp = cls(rpc, core.clearing_house, {spec.name: deploy_market(core, spec) for spec in specs})
        perp.settlement_token.send("mint", perp.insurance_fund, WHALE * perp.unit, sender=OWNER)
        perp.deposit(MAKER, WHALE * perp.unit)
        perp.warp(MARK_INTERVAL)
        for spec in specs:
            add_liquidity(perp.clearing_house, perp.markets[spec.name].base_token, spec)
            # The first trade starts the venue's funding clock.
            perp.open_position(ATTACKER, spec.name, WAD * 1000 * WAD // spec.price)
            perp.arbitrage(spec.name)
        perp.warp(MARK_INTERVAL)
        return perp

    @classmethod
    def connect(cls, url: str, addresses: dict[str, Any], *, own_aggregator: bool = False) -> "PerpV2":
        """Attach to a venue by `to_dict()`'s answer; `clearing_house` and each `base_token` are enough.

        `own_aggregator` lays our settable price feed over each market's real one, on forks of public chains.
        """
        base_tokens = {name: market["base_token"] for name, market in addresses["markets"].items()}
        perp = cls(Rpc(url), addresses["clearing_house"], base_tokens)
        if own_aggregator:
            for name in perp.markets:
                perp.take_over_aggregator(name)
        return perp

    def to_dict(self) -> dict[str, Any]:
        """All addresses, ready for JSON."""
        shared = (
            "clearing_house vault exchange account_balance order_book config insurance_fund "
            "quote_token market_registry settlement_token"
        ).split()
        fields = ("base_token", "pool", "aggregator", "price_feed")
        return {
            **{name: str(getattr(self, name)) for name in shared},
            "decimals": self.decimals,
            "markets": {
                name: {field: str(getattr(market, field)) for field in fields}
                for name, market in self.markets.items()
            },
        }

    # Prices

    def index_price(self, market: str) -> int:
        """What the oracle says now."""
        return self.markets[market].base_token.call("getIndexPrice", 0)

    def pool_price(self, market: str) -> int:
        """What the next small trade pays before its fee."""
        return price_of(self._sqrt_price(market))

    def mark_price(self, market: str) -> int:
        """What the venue values positions at."""
        return self.account_balance.call("getMarkPrice", self.markets[market].base_token)

    def set_price(self, market: str, price: int) -> None:
        """Move the oracle, and only the oracle. Two prices of one market never share a second."""
        aggregator, feed = self.markets[market].aggregator, self.markets[market].price_feed
        last_set = aggregator.call("latestRoundData")[3]
        if self.rpc.timestamp() <= last_set:
            self.rpc("evm_setNextBlockTimestamp", hex(last_set + 1))
        aggregator.send("set", price // 10 ** (18 - aggregator.call("decimals")), sender=ARBITRAGEUR)
        try:
            feed.send("update", sender=ARBITRAGEUR)
        except RevertError as revert:
            # Somebody's trade in between has already made the venue read the new price.
            if str(revert) != "CPF_NU":
                raise

    def arbitrage(self, market: str) -> int:
        """Trade the pool exactly to the index price and return the seconds that took.

        The venue lets the price move `max_ticks` per 15 s; a longer way goes in steps.
        """
        goal = sqrt_price_x96(self.index_price(market))
        step = self.exchange.call("getMaxTickCrossedWithinBlock", self.markets[market].base_token) - 2
        reach = 1.0001 ** (max(step, 1) / 2)
        start = self.rpc.timestamp()
        while (here := self._sqrt_price(market)) != goal:
            limit = min(goal, int(here * reach)) if goal > here else max(goal, int(here / reach))
            try:
                self._push(ARBITRAGEUR, market, limit)
            except RevertError as revert:
                if str(revert) == NOTHING_TO_TRADE:
                    break
                if str(revert) not in HEALED_BY_TIME:
                    raise
            if self._sqrt_price(market) != goal:
                self.warp(TICK_WINDOW)
        return self.rpc.timestamp() - start

    def move(self, market: str, price: int) -> int:
        """Move the oracle and let the pool follow; return the seconds that took."""
        # Otherwise funding for the time until now would be charged at the new price.
        self.settle_funding(ARBITRAGEUR)
        self.set_price(market, price)
        return self.arbitrage(market)

    def push_pool(self, market: str, price: int) -> None:
        """Move the pool, and only the pool, as an attacker would: in one trade, within the venue's limits."""
        self._push(ATTACKER, market, sqrt_price_x96(price))

    # Traders

    def fund(self, account: str, amount: int) -> None:
        """Give an account settlement tokens, and ether for gas."""
        self._give_pocket_money(account)
        try:
            self.settlement_token.send("mint", account, amount, sender=OWNER)
        except RevertError:
            # The real token of a public chain, which only its issuer mints.
            held = self.settlement_token.call("balanceOf", account)
            self.rpc("anvil_dealERC20", account, self.settlement_token, hex(held + amount))

    def deposit(self, trader: str, amount: int) -> None:
        """Fund a trader's account at the venue."""
        self.fund(trader, amount)
        self.settlement_token.send("approve", self.vault, amount, sender=trader)
        self.vault.send("deposit", self.settlement_token, amount, sender=trader)

    def open_position(self, trader: str, market: str, size: int) -> Receipt:
        """Buy (positive) or sell an exact size, and return the receipt."""
        return self._with_margin(
            trader, "openPosition", self._order(market, size < 0, size < 0, abs(size), 0)
        )

    def preview_position(self, trader: str, market: str, size: int) -> tuple[int, int]:
        """The base and quote that `open_position` would exchange now; the quote includes the fee."""
        order = self._order(market, size < 0, size < 0, abs(size), 0)
        return self.clearing_house.call("openPosition", order, sender=trader)

    def close_position(self, trader: str, market: str) -> Receipt:
        """Close as much of a position as the venue's limits let, and return the receipt."""
        order = (self.markets[market].base_token, 0, 0, MAX_UINT256, NO_REFERRAL)
        return self.clearing_house.send("closePosition", order, sender=trader)

    def settle_funding(self, trader: str) -> None:
        """Charge a trader its funding up to now, which also settles its markets' funding rates."""
        self.clearing_house.send("settleAllFunding", trader, sender=trader)

    def liquidate(self, trader: str, market: str) -> Receipt:
        """Take over as much of a trader's position as the venue allows, and return the receipt."""
        order = (trader, self.markets[market].base_token)
        return self._with_margin(LIQUIDATOR, "liquidate", *order)

    def warp(self, seconds: int) -> None:
        """Let time pass and mine a block."""
        self.rpc.warp(seconds)

    # The venue's owner

    def set_exchange_fee(self, market: str, ratio: int) -> None:
        """Change what traders pay per notional; a WAD ratio of whole millionths."""
        self._own(self.market_registry, "setFeeRatio", self.markets[market].base_token, venue_ratio(ratio))

    def set_fee_discount(self, trader: str, ratio: int = WAD) -> None:
        """Spare a trader a part of the exchange fee; by default all of it."""
        registry = self.market_registry
        self._own(registry, "setFeeManager", registry.call("owner"), True)
        self._own(registry, "setFeeDiscountRatio", trader, venue_ratio(ratio))

    def set_max_ticks(self, market: str, ticks: int) -> None:
        """Change how far the price may move within 15 s: 1 to 1000 ticks of 0.01 %; 0 stops trading."""
        self._own(self.exchange, "setMaxTickCrossedWithinBlock", self.markets[market].base_token, ticks)

    def pause_market(self, market: str) -> None:
        """Stop trading for good; positions keep the index price of this moment."""
        self._own(self.markets[market].base_token, "pause")

    def close_market(self, market: str, price: int) -> None:
        """Settle a paused market at a price; then anybody may call `quitMarket` for a trader."""
        self._own(self.markets[market].base_token, "close", price)

    # Internals

    def _sqrt_price(self, market: str) -> int:
        return self.markets[market].pool.call("slot0")[0]

    def _push(self, trader: str, market: str, sqrt_price: int) -> None:
        falls = sqrt_price < self._sqrt_price(market)
        self._with_margin(trader, "openPosition", self._order(market, falls, True, ENDLESS, sqrt_price))

    def _order(self, market: str, is_sale: bool, is_exact_input: bool, amount: int, limit: int) -> Order:
        base_token = self.markets[market].base_token
        return (base_token, is_sale, is_exact_input, amount, 0, MAX_UINT256, limit, NO_REFERRAL)

    def _with_margin(self, trader: str, function: str, *args: Any) -> Receipt:
        """Call the clearing house, and if a played trader's margin has ended, fill it up and call again."""
        try:
            return self.clearing_house.send(function, *args, sender=trader)
        except RevertError as revert:
            if str(revert) != "CH_NEFCI" or trader not in (ARBITRAGEUR, ATTACKER, LIQUIDATOR):
                raise
        self.deposit(trader, WHALE * self.unit)
        return self.clearing_house.send(function, *args, sender=trader)
