"""What is checked before a deployment sends anything: roles, feeds and venue, against the chain."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from eth_utils import keccak

from leverage.artifacts import artifact
from leverage.chain import Chain, Contract, code_at, connected_id, is_local, rpc
from leverage.config import Config, ConfigError, Network
from leverage.errors import LeverageError
from leverage.record import Record
from leverage.types import WAD

# Rollups stop: a price from before the stop must not be used after it.
ROLLUPS = (10, 130, 8453, 42161)


class DeployError(LeverageError):
    """Why a deployment was refused, or what does not match after it."""


@dataclass(frozen=True)
class Plan:
    """One token, with its adapter's arguments looked up."""

    symbol: str
    market: str
    adapter: str
    vault: str
    arguments: tuple[str, ...]

    @property
    def is_queued(self) -> bool:
        """Whether the venue fills later, so that the vault has a queue."""
        return self.vault == "QueuedVault"

    @property
    def adapter_code(self) -> bytes:
        """Creation code of the adapter."""
        return artifact(self.adapter).creation(self.arguments)


def network_of(config: Config) -> Network:
    """The connected chain's entry in the configuration."""
    chain_id = connected_id()
    if chain_id not in config.networks:
        known = ", ".join(f"{n} ({network.name})" for n, network in config.networks.items()) or "none"
        raise ConfigError(
            f"chain {chain_id} is not configured: add [networks.{chain_id}]; configured: {known}"
        )
    return config.networks[chain_id]


def plan_of(config: Config, symbol: str) -> Plan:
    """What a token needs on the connected chain."""
    if symbol not in config.tokens:
        raise ConfigError(f"no token {symbol!r} in the configuration: there are {', '.join(config.tokens)}")
    market, chain_id = config.tokens[symbol].market, connected_id()
    venue = config.venues[config.markets[market].venue]
    addresses = venue.chains.get(chain_id, {}) | config.markets[market].chains.get(chain_id, {})
    here = f"markets.{market}.chains.{chain_id}"
    for name in (*venue.arguments, "feed"):
        if name not in addresses:
            raise ConfigError(f"{symbol}: {here}.{name} is missing")
    if chain_id in ROLLUPS and "sequencer_feed" not in addresses:
        raise ConfigError(f"{symbol}: {here}.sequencer_feed is missing, and the chain is a rollup")
    return Plan(
        symbol, market, venue.adapter, venue.vault, tuple(addresses[name] for name in venue.arguments)
    )


def check(chain: Chain, account: Any, config: Config, plans: Iterable[Plan]) -> None:
    """Refuse what would fail later, or be regretted."""
    _check_roles(account, network_of(config))
    _check_record(chain.record, account)
    for plan in plans:
        _check_feed(chain, config, plan)
        _check_venue(chain, config, plan)


def _check_roles(account: Any, network: Network) -> None:
    chain_id = connected_id()
    if not is_local():
        if str(account.alias or "").startswith("TEST::"):
            raise DeployError("everybody knows a test account's key: use one of your own on a public chain")
        if network.admin_delay == 0:
            raise ConfigError(f"networks.{chain_id}.admin_delay = 0: a public chain needs a timelock")
    for role in ("admin", "treasury") if network.multisig else ():
        holder = getattr(network, role)
        if not code_at(holder):
            raise DeployError(
                f"networks.{chain_id}.{role} = {holder} has no code, so it is no multisig:"
                " correct it, or set multisig = false"
            )
    if int(rpc("eth_getBalance", account.address, "latest"), 16) == 0:
        raise DeployError(f"{account.address} has no money for gas on chain {chain_id}")


def _check_record(record: Record, account: Any) -> None:
    begun_by = record.data.get("deployer")
    if begun_by not in (None, account.address) and not record.data.get("finished"):
        raise DeployError(f"{begun_by} began this deployment: go on with that account")
    for name, kind, address in record.everything():
        if not artifact(kind).matches(code_at(address)):
            raise DeployError(
                f"{name} at {address} is not the {kind} compiled here: use the version that deployed it,"
                f" or move {record.path} away to begin anew"
            )


def _check_feed(chain: Chain, config: Config, plan: Plan) -> None:
    market, here = config.markets[plan.market], f"markets.{plan.market}.chains.{connected_id()}"
    addresses = market.chains[connected_id()]
    for name in {"feed", "sequencer_feed"} & addresses.keys():
        _require_code(addresses[name], f"{here}.{name}")
    feed = Contract(chain, addresses["feed"], artifact("IAggregatorV3").abi)
    decimals = feed.call("decimals")
    if decimals != market.feed_decimals:
        raise DeployError(f"{here}.feed has {decimals} decimals, not feed_decimals = {market.feed_decimals}")
    _, answer, _, updated, _ = feed.call("latestRoundData")
    age = chain.time() - updated
    if answer <= 0 or age > market.heartbeat:
        raise DeployError(
            f"{here}.feed answers {answer}, {age} s old; heartbeat = {market.heartbeat}: not usable"
        )


def _check_venue(chain: Chain, config: Config, plan: Plan) -> None:
    for address in plan.arguments:
        _require_code(address, f"{plan.symbol}: an address of the venue")
    try:
        chain.call(None, plan.adapter_code)
    except LeverageError as error:
        raise DeployError(f"{plan.symbol}: {plan.adapter} does not fit this venue: {error}") from None
    most = ask_unborn(chain, plan.adapter_code, "maxLeverage()")
    edge = config.tokens[plan.symbol].policy_struct().band_max
    if edge > most * 8 // 10:
        raise DeployError(
            f"{plan.symbol}: the band reaches {edge / WAD:g}x, the venue allows {most / WAD:g}x with a"
            " fifth of it in reserve: lower the target or the band"
        )


def ask_unborn(chain: Chain, creation: bytes, function: str) -> int:
    """The word that a contract would answer if it were created: it is, inside a simulated call."""
    head = (
        "60{size:02x}38038060{size:02x}5f395f5ff0"  # create what follows these {size} bytes
        "63{selector}60e01b5f52"  # put the question into memory
        "60205f60045f845afa5060205ff3"  # ask it, return a word
    )
    selector = keccak(text=function)[:4].hex()
    size = len(bytes.fromhex(head.format(size=0, selector=selector)))
    return int.from_bytes(
        chain.call(None, bytes.fromhex(head.format(size=size, selector=selector)) + creation)
    )


def _require_code(address: str, what: str) -> None:
    if not code_at(address):
        raise DeployError(f"{what} is {address}, where chain {connected_id()} has no contract")
