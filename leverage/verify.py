"""What is checked after a deployment, and shown: code, wiring, roles, limits, the first nav."""

from collections.abc import Iterable
from dataclasses import astuple
from typing import Any

from eth_utils import keccak
from rich.table import Table

from leverage.artifacts import artifact
from leverage.chain import Chain, code_at
from leverage.config import Config, Network
from leverage.preflight import DeployError, network_of
from leverage.types import ADMIN_ROLE, CREATOR_ROLE, GUARDIAN_ROLE, KEEPER_ROLE, WAD

ROLES = {ADMIN_ROLE: "admin", KEEPER_ROLE: "keeper", GUARDIAN_ROLE: "guardian", CREATOR_ROLE: "creator"}

Fact = tuple[str, Any, Any]


def role_holders(network: Network) -> list[tuple[int, str, int]]:
    """Role, holder and execution delay, as configured."""
    holders = [(ADMIN_ROLE, network.admin, network.admin_delay), (GUARDIAN_ROLE, network.guardian, 0)]
    holders += [(KEEPER_ROLE, keeper, 0) for keeper in network.keepers]
    return holders + ([(CREATOR_ROLE, network.creator, 0)] if network.creator else [])


def verify(chain: Chain, config: Config, symbols: Iterable[str], created: Iterable[str] = ()) -> list[str]:
    """Raise where chain, artifacts and configuration differ; return what the timelock may have changed."""
    network, authority, record = network_of(config), chain.named("Authority"), chain.record
    facts: list[Fact] = [
        (f"{name}: own code", artifact(kind).matches(code_at(address)), True)
        for name, kind, address in record.everything()
    ]
    deployer = record.data["deployer"]
    if deployer != network.admin:
        facts.append(
            (f"deployer {deployer} is admin", authority.call("hasRole", ADMIN_ROLE, deployer)[0], False)
        )
    for role, holder, delay in role_holders(network):
        facts.append((f"{holder} is {ROLES[role]}", authority.call("hasRole", role, holder), [True, delay]))
    notes = []
    for symbol in symbols:
        facts += _wiring(chain, config, symbol)
        changed = _differences(_terms(chain, config, symbol))
        if symbol in created:
            facts += [(change, True, False) for change in changed]
        else:
            notes += changed
    if faults := _differences(facts):
        raise DeployError("; ".join(faults))
    return notes


def _wiring(chain: Chain, config: Config, symbol: str) -> list[Fact]:
    entry, wanted, vault = chain.record.token(symbol), config.tokens[symbol], chain.vault(symbol)
    adapter = chain.contract(entry["adapterKind"], entry["adapter"])
    terms, token = (
        chain.contract("VaultTerms", entry["terms"]),
        chain.contract("LeveragedToken", entry["token"]),
    )
    door = chain.contract("RequestQueue", entry["queue"]) if "queue" in entry else vault
    facts: list[Fact] = [
        ("listed vault", chain.named("VaultFactory").call("vaultOf", keccak(text=symbol)), vault.address),
        *((part, vault.call(part), entry[part]) for part in ("token", "terms", "adapter", "oracle")),
        ("oracle", entry["oracle"], chain.record.address(f"{wanted.market} oracle")),
        ("vault of the adapter", adapter.call("vault"), vault.address),
        ("vault of the token", token.call("vault"), vault.address),
        ("asset of the adapter", adapter.call("asset"), entry["asset"]),
        ("asset of the users' door", door.call("asset"), entry["asset"]),
        ("share of the users' door", door.call("share"), entry["token"]),
        ("users' door of the token", token.call("vault", entry["asset"]), door.address),
        ("authority", terms.call("authority"), chain.record.address("Authority")),
        ("symbol", token.call("symbol"), symbol),
        ("target", vault.call("target"), wanted.target),
        ("decimals", token.call("decimals"), 18),
    ]
    if door is not vault:
        facts += [
            ("queue", vault.call("queue"), door.address),
            ("vault of the queue", door.call("vault"), vault.address),
        ]
    if token.call("totalSupply") == 0:
        facts.append(("first nav", vault.call("nav"), WAD))
    return [(f"{symbol}: {what}", found, expected) for what, found, expected in facts]


def _terms(chain: Chain, config: Config, symbol: str) -> list[Fact]:
    entry, wanted = chain.record.token(symbol), config.tokens[symbol]
    terms = chain.contract("VaultTerms", entry["terms"])
    caps = wanted.caps.caps(entry["assetDecimals"])
    facts: list[Fact] = [("treasury", terms.call("treasury"), network_of(config).treasury)]
    for name, struct in (("policy", wanted.policy_struct()), ("fees", wanted.fees_struct()), ("caps", caps)):
        found, expected = terms.call(name), astuple(struct)
        facts += [(f"{name}.{key}", found[key], value) for key, value in zip(found, expected, strict=True)]
    return [(f"{symbol}: {what}", found, expected) for what, found, expected in facts]


def _differences(facts: Iterable[Fact]) -> list[str]:
    return [f"{what} is {found}, not {expected}" for what, found, expected in facts if found != expected]


# For the reader


def summary(chain: Chain, config: Config, symbols: Iterable[str]) -> list[Table]:
    """Roles, and what each token is and may, as tables."""
    roles = Table("role", "holder", "delay", title=f"Roles on {chain.record.address('Authority')}")
    for role, holder, delay in role_holders(network_of(config)):
        roles.add_row(ROLES[role], holder, f"{delay / 3600:g} h" if delay else "none")
    tokens = Table("token", "band", "fees in/out/day", "cap per day", "cap", "nav", title="Tokens")
    for symbol in symbols:
        entry = chain.record.token(symbol)
        terms, unit = chain.contract("VaultTerms", entry["terms"]), 10 ** entry["assetDecimals"]
        policy, fees, caps = (terms.call(name) for name in ("policy", "fees", "caps"))
        tokens.add_row(
            symbol,
            f"{policy['band_min'] / WAD:g}x-{policy['band_max'] / WAD:g}x",
            " ".join(f"{fee * 10_000 / WAD:g}" for fee in fees.values()) + " bp",
            f"{caps['daily'] // unit:,}",
            f"{caps['total'] // unit:,} {entry['assetSymbol']}",
            f"{chain.vault(symbol).call('nav') / WAD:.4f}",
        )
    return [roles, tokens]
