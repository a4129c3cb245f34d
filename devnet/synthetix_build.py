"""Deploys Synthetix Perps V2 from what was published for Optimism, in the one order that works."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cache
from itertools import chain
from typing import Any

from devnet.artifacts import Artifact, linked, mock, mock_pyth, synthetix, synthetix_file
from devnet.rpc import Contract, Rpc, selector
from devnet.venue import OWNER, WAD, actor

ZERO_ADDRESS = "0x" + "00" * 20
AGGREGATOR_DECIMALS = 8
PYTH_VALID_TIME = 60  # Seconds; the venue asks for what is fresher.
PYTH_FEE = 1  # Wei per update.
STALE_AFTER = 4200  # Seconds, of the index.
PRICE_JUMP = 3 * WAD  # A price so many times higher or lower than the last one is refused.
MIN_MARGIN = 40 * WAD
KEEPER_FEE = 4 * WAD
MAX_KEEPER_FEE = 100 * WAD
LIQUIDATION_FEE_RATIO = WAD // 5000
KEEPER_LIQUIDATION_FEE = 2 * WAD

KEEPER, TAKER, BRIDGE = map(actor, ("keeper", "taker", "bridge"))

LIBRARIES = ("SafeDecimalMath", "SystemSettingsLib", "ExchangeSettlementLib")
# Asked for by name, and never called by a perps market.
ABSENT = (
    "Synthetix TradingRewards DelegateApprovals EtherWrapper WrapperFactory SynthetixDebtShare "
    "FeePoolEternalStorage RewardEscrowV2 RewardsDistribution ext:AggregatorIssuedSynths "
    "ext:AggregatorDebtRatio Liquidator LiquidatorRewards SynthRedeemer DynamicSynthRedeemer"
).split()
VIEWS = "PerpsV2MarketViews"
EXECUTION = "PerpsV2MarketDelayedExecution"
MUTATING = ("PerpsV2Market", "PerpsV2MarketLiquidate", "PerpsV2MarketDelayedIntent", EXECUTION)
# What a market's parts have for their owner and for each other, and its proxy does not pass on.
PLUMBING = (
    "owner nominatedOwner nominateNewOwner acceptOwnership resolver rebuildCache isResolverCached "
    "resolverAddressesRequired marketState proxy setProxy messageSender setMessageSender"
).split()
# Market parameters that are whole numbers; the others are in WAD.
WHOLE = (
    "nextPriceConfirmWindow delayedOrderConfirmWindow minDelayTimeDelta maxDelayTimeDelta "
    "offchainDelayedOrderMinAge offchainDelayedOrderMaxAge"
).split()


def key(text: str) -> bytes:
    """A name as the venue writes it."""
    return text.encode().ljust(32, b"\0")


@dataclass(frozen=True)
class MarketSpec:
    """What a market starts with: a price in WAD, and Optimism's parameters but for those given."""

    name: str
    price: int
    parameters: Mapping[str, int] = field(default_factory=dict)

    @property
    def published(self) -> Mapping[str, str]:
        """The market as the package describes it."""
        markets = synthetix_file("perpsv2-markets")
        return next(market for market in markets if market["marketKey"] == f"s{self.name}PERP")

    @property
    def key(self) -> bytes:
        return key(self.published["marketKey"])

    @property
    def asset(self) -> bytes:
        return key(self.published["asset"])

    @property
    def feed_id(self) -> bytes:
        """Pyth's name for the asset."""
        feeds = synthetix_file("offchain-feeds")
        found = next(feed["feedId"] for feed in feeds if feed["asset"] == self.published["asset"])
        return bytes.fromhex(found[2:])


MARKETS = {spec.name: spec for spec in (MarketSpec("ETH", 2_000 * WAD), MarketSpec("BTC", 40_000 * WAD))}


@dataclass(frozen=True)
class Core:
    """What all markets share."""

    rpc: Rpc
    resolver: Contract
    exchange_rates: Contract
    exchange_rate: Contract
    settings: Contract
    manager: Contract
    libraries: Mapping[str, str]


def deploy_core(rpc: Rpc) -> Core:
    """Deploy and wire everything but markets."""
    libraries: dict[str, str] = {}

    def new(name: str, *args: object) -> Contract:
        return Contract.deploy(rpc, OWNER, linked(synthetix(name), libraries), *args)

    def do(contract: Contract, function: str, *args: object) -> None:
        contract.send(function, *args, sender=OWNER)

    for name in LIBRARIES:
        libraries[name] = new(name)
    addresses, resolver = new("AddressResolver", OWNER), new("ReadProxy", OWNER)
    do(resolver, "setTarget", addresses)

    real = {"FlexibleStorage": new("FlexibleStorage", resolver), "SystemStatus": new("SystemStatus", OWNER)}
    for name in (
        "SystemSettings ExchangeRates CircuitBreaker DirectIntegrationManager Exchanger FuturesMarketManager "
        "PerpsV2MarketSettings PerpsV2ExchangeRate Issuer DebtCache"
    ).split():
        real[name] = new(name, OWNER, resolver)
    real["ExchangeState"] = new("ExchangeState", OWNER, real["Exchanger"])

    token, balances = new("ProxyERC20", OWNER), new("TokenState", OWNER, ZERO_ADDRESS)
    synth_args = (token, balances, "Synth sUSD", "sUSD", OWNER, key("sUSD"), 0, resolver)
    real["SynthsUSD"] = new("MultiCollateralSynth", *synth_args)
    do(balances, "setAssociatedContract", real["SynthsUSD"])
    do(token, "setTarget", real["SynthsUSD"])

    fee_pool = new("Proxy", OWNER)
    real["FeePool"] = new("FeePool", fee_pool, OWNER, resolver)
    do(fee_pool, "setTarget", real["FeePool"])

    # It lends nothing here, but is asked whose fees it pays.
    loans = new("CollateralManagerState", OWNER, OWNER)
    loan_limits = (75_000_000 * WAD, WAD // 5, 950662938, 158443823)
    real["CollateralManager"] = new("CollateralManager", loans, OWNER, resolver, *loan_limits)
    do(loans, "setAssociatedContract", real["CollateralManager"])

    # Who bridges sUSD may mint it: our tap.
    known = {**dict.fromkeys(ABSENT, OWNER), **real, "SynthetixBridgeToBase": BRIDGE}
    do(addresses, "importAddresses", [key(name) for name in known], list(known.values()))
    do(addresses, "rebuildCaches", [contract for contract in real.values() if _has_cache(contract.artifact)])

    system = real["SystemSettings"]
    do(system, "setRateStalePeriod", STALE_AFTER)
    do(system, "setPriceDeviationThresholdFactor", PRICE_JUMP)
    do(system, "setWaitingPeriodSecs", 0)
    do(system, "setExchangeDynamicFeeThreshold", WAD // 400)
    do(system, "setExchangeDynamicFeeWeightDecay", WAD * 95 // 100)
    do(system, "setExchangeDynamicFeeRounds", 1)  # One round is none: a volatile price stops no order.
    do(system, "setExchangeMaxDynamicFee", WAD * 15 // 1000)
    do(real["Issuer"], "addSynth", real["SynthsUSD"])
    pyth = Contract.deploy(rpc, OWNER, mock_pyth(), PYTH_VALID_TIME, PYTH_FEE)
    do(real["PerpsV2ExchangeRate"], "setOffchainOracle", pyth)

    settings = real["PerpsV2MarketSettings"]
    do(settings, "setMinInitialMargin", MIN_MARGIN)  # First, for it bounds the fees.
    do(settings, "setMinKeeperFee", KEEPER_FEE)
    do(settings, "setMaxKeeperFee", MAX_KEEPER_FEE)
    do(settings, "setLiquidationFeeRatio", LIQUIDATION_FEE_RATIO)
    do(settings, "setKeeperLiquidationFee", KEEPER_LIQUIDATION_FEE)
    return Core(
        rpc,
        resolver,
        real["ExchangeRates"],
        real["PerpsV2ExchangeRate"],
        settings,
        real["FuturesMarketManager"],
        libraries,
    )


def deploy_market(core: Core, spec: MarketSpec) -> Contract:
    """Deploy one market with its oracles, and return its proxy."""

    def new(name: str, *args: object) -> Contract:
        return Contract.deploy(core.rpc, OWNER, linked(synthetix(name), core.libraries), *args)

    def do(contract: Contract, function: str, *args: object) -> None:
        contract.send(function, *args, sender=OWNER)

    answer = spec.price // 10 ** (18 - AGGREGATOR_DECIMALS)
    aggregator = Contract.deploy(core.rpc, OWNER, mock("MockAggregator"), AGGREGATOR_DECIMALS, answer)
    do(core.exchange_rates, "addAggregator", spec.asset, aggregator)
    do(core.exchange_rate, "setOffchainPriceFeedId", spec.asset, spec.feed_id)

    proxy = new("ProxyPerpsV2", OWNER)
    state = new("PerpsV2MarketState", OWNER, [], spec.asset, spec.key, ZERO_ADDRESS)
    parts = [new(name, proxy, state, OWNER, core.resolver) for name in MUTATING]
    do(state, "addAssociatedContracts", parts)
    do(state, "linkOrInitializeState")
    do(core.exchange_rate, "addAssociatedContracts", [parts[MUTATING.index(EXECUTION)]])
    parts.append(new(VIEWS, state, OWNER, core.resolver))
    for part in parts:
        do(part, "rebuildCache")
        for function in _routed(part.artifact):
            do(proxy, "addRoute", selector(function), part, function["stateMutability"] == "view")

    # The manager looks through the routes, and the settings look the market up at the manager.
    do(core.manager, "addProxiedMarkets", [proxy])
    do(core.settings, "setParameters", spec.key, _parameters(core.settings, spec))
    return proxy


@cache
def market_artifact() -> Artifact:
    """What a market's proxy understands: the functions and events of all its parts."""
    parts = [synthetix(name) for name in (*MUTATING, VIEWS)]
    events = (entry for part in parts for entry in part.abi if entry["type"] == "event")
    functions = chain.from_iterable(_routed(part) for part in parts)
    targets = (entry for entry in synthetix("ProxyPerpsV2").abi if entry.get("name") == "getAllTargets")
    unique = {(entry["type"], entry["name"]): entry for entry in chain(functions, targets, events)}
    return Artifact("PerpsV2Market", list(unique.values()), "0x")


def _parameters(settings: Contract, spec: MarketSpec) -> list[int | bytes]:
    """A market's parameters in the order in which the venue wants them."""

    def value(name: str) -> int | bytes:
        if name in spec.parameters:
            return spec.parameters[name]
        if name == "offchainMarketKey":
            return key(spec.published[name])
        return int(Decimal(spec.published[name]) * (1 if name in WHOLE else WAD))

    setter = next(entry for entry in settings.artifact.abi if entry.get("name") == "setParameters")
    return [value(component["name"]) for component in setter["inputs"][1]["components"]]


def _routed(artifact: Artifact) -> list[dict[str, Any]]:
    functions = (entry for entry in artifact.abi if entry["type"] == "function")
    return [entry for entry in functions if entry["name"] not in PLUMBING]


def _has_cache(artifact: Artifact) -> bool:
    return any(entry.get("name") == "rebuildCache" for entry in artifact.abi)
