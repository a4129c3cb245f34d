"""One deployment for scripts, devnet and tests: checked before, recorded step by step, verified after.

Run again it goes on where it stopped, adds what is missing and changes nothing else. A contract's address is
written down before its transaction is sent, so that a crash between the two is made good by looking there.
"""

import time
from collections.abc import Callable, Iterable
from dataclasses import astuple, dataclass, field
from pathlib import Path
from typing import Any

from eth_utils import keccak, to_checksum_address

from leverage import abi, preflight
from leverage.artifacts import Artifact, artifact
from leverage.chain import Chain, Contract, code_at, connected_id, genesis, rpc
from leverage.config import Config, Network
from leverage.preflight import DeployError, Plan, ask_unborn
from leverage.record import Record, path_for
from leverage.types import ADMIN_ROLE, CREATOR_ROLE
from leverage.verify import role_holders, verify

ZERO = "0x" + "00" * 20
MEMPOOL_SECONDS = 120

Say = Callable[[str], None]


def deploy(
    account: Any,
    config: Config,
    symbols: Iterable[str] = (),
    folder: Path | str | None = None,
    say: Say = print,
) -> Chain:
    """Deploy what is missing of `symbols` (default: every token) to the connected chain, and verify them."""
    network = preflight.network_of(config)
    plans = [preflight.plan_of(config, symbol) for symbol in symbols or config.tokens]
    path = path_for(connected_id(), folder)
    chain = Chain.attach(folder) if path.exists() else Chain(Record.new(path, connected_id(), genesis()))
    preflight.check(chain, account, config, plans)

    work = _Work(chain, account, config, network, say)
    work.foundation(plans)
    for plan in plans:
        work.token(plan)
    work.roles()
    for note in verify(chain, config, [plan.symbol for plan in plans], work.created):
        say(f"differs from the configuration: {note}")
    return chain


@dataclass
class _Work:
    """The steps; each looks first whether it is done."""

    chain: Chain
    account: Any
    config: Config
    network: Network
    say: Say
    created: set[str] = field(default_factory=set)

    @property
    def record(self) -> Record:
        return self.chain.record

    def foundation(self, plans: Iterable[Plan]) -> None:
        """Authority, factory and lens; the factory's door belongs to the creator role."""
        self.record.data.setdefault("deployer", self.account.address)
        kinds = {kind for plan in plans for kind in (plan.vault, plan.adapter)}
        kinds |= {"RequestQueue" for plan in plans if plan.is_queued}
        for kind in sorted(kinds | {"VaultTerms", "LeveragedToken", "ChainlinkOracle"}):
            self.record.abis.setdefault(kind, artifact(kind).abi)
        authority = self._contract("Authority", "Authority", (self.record.data["deployer"],))
        factory = self._contract("VaultFactory", "VaultFactory", (authority.address,))
        self._contract("Lens", "Lens", ())
        create = abi.selector(abi.find(factory.entries, "function", "create"))
        if authority.call("getTargetFunctionRole", factory.address, create) != CREATOR_ROLE:
            self._administer("setTargetFunctionRole", factory.address, [create], CREATOR_ROLE)

    def token(self, plan: Plan) -> None:
        """Adapter, queue, vault, terms and token, in one transaction of the factory."""
        if plan.symbol in self.record.tokens:
            return
        factory, key = self.chain.named("VaultFactory"), keccak(text=plan.symbol)
        oracle = self._oracle(plan.market)
        if factory.call("vaultOf", key) == ZERO:
            if not self.chain.has_role(CREATOR_ROLE, self.account.address):
                self._administer("grantRole", CREATOR_ROLE, self.account.address, 0)
            asset = to_checksum_address(ask_unborn(self.chain, plan.adapter_code, "asset()").to_bytes(20))
            adapter = create2_address(factory.address, key, plan.adapter_code)
            arguments: list[Any] = [self._vault_config(plan, adapter, oracle, asset)]
            queue_code = b""
            if plan.is_queued:
                queue_code = artifact("RequestQueue").creation((asset,))
                arguments.append(create2_address(factory.address, key, queue_code))
            vault_code = artifact(plan.vault).creation(arguments)
            factory.send(self.account, "create", key, plan.adapter_code, queue_code, vault_code)
        vault = factory.call("vaultOf", key)
        self.record.tokens[plan.symbol] = self._entry(plan, vault)
        self.record.save()
        self.created.add(plan.symbol)
        self.say(f"{plan.symbol} at {vault}")

    def roles(self) -> None:
        """Everybody gets the configured roles, the admin its delay; the deployer gives up what it held."""
        me, admin = self.account.address, [True, self.network.admin_delay]
        authority = self.chain.named("Authority")
        for role, holder, delay in role_holders(self.network):
            if role != ADMIN_ROLE and not self.chain.has_role(role, holder):
                self._administer("grantRole", role, holder, delay)
        is_deployer = me == self.record.data["deployer"]
        if is_deployer and me != self.network.creator and self.chain.has_role(CREATOR_ROLE, me):
            self._administer("renounceRole", CREATOR_ROLE, me)
        if self._is_admin() and authority.call("hasRole", ADMIN_ROLE, self.network.admin) != admin:
            handover = [
                # A second admin, too, waits in everybody's sight. In force five days from now.
                authority.data("setGrantDelay", ADMIN_ROLE, self.network.admin_delay),
                authority.data("grantRole", ADMIN_ROLE, self.network.admin, self.network.admin_delay),
            ]
            if me != self.network.admin:
                handover.append(authority.data("renounceRole", ADMIN_ROLE, me))
            authority.send(self.account, "multicall", handover)
            self.say(f"{self.network.admin} is admin, with a delay of {self.network.admin_delay} s")
        if not self.record.data.get("finished"):
            self.record.data["finished"] = authority.call("hasRole", ADMIN_ROLE, self.network.admin) == admin
            self.record.save()

    def _oracle(self, market: str) -> str:
        settings = self.config.markets[market]
        addresses = settings.chains[connected_id()]
        sequencer = addresses.get("sequencer_feed", ZERO)
        grace = settings.grace_period if sequencer != ZERO else 0
        arguments = (addresses["feed"], settings.heartbeat, settings.max_deviation, sequencer, grace)
        return self._contract(f"{market} oracle", "ChainlinkOracle", arguments).address

    def _vault_config(self, plan: Plan, adapter: str, oracle: str, asset: str) -> tuple[Any, ...]:
        token = self.config.tokens[plan.symbol]
        decimals = self.chain.contract("LeveragedToken", asset).call("decimals")
        return (
            token.name,
            plan.symbol,
            token.target,
            adapter,
            oracle,
            self.record.address("Authority"),
            self.network.treasury,
            astuple(token.policy_struct()),
            astuple(token.fees_struct()),
            astuple(token.caps.caps(decimals)),
        )

    def _entry(self, plan: Plan, address: str) -> dict[str, Any]:
        vault = self.chain.contract(plan.vault, address)
        parts = {name: vault.call(name) for name in ("token", "terms", "adapter", "oracle")}
        market = self.config.markets[plan.market]
        venue = self.config.venues[market.venue]
        if plan.is_queued:
            service = venue.price_service
            parts["queue"] = vault.call("queue")
            parts |= {"priceService": service, "priceId": market.price_id} if service else {}
        parts |= {"maintenance": str(venue.maintenance)} if venue.maintenance is not None else {}
        parts["asset"] = self.chain.contract(plan.adapter, parts["adapter"]).call("asset")
        asset = self.chain.contract("LeveragedToken", parts["asset"])
        return {
            "name": self.config.tokens[plan.symbol].name,
            "market": plan.market,
            "target": str(vault.call("target")),
            "kind": plan.vault,
            "adapterKind": plan.adapter,
            "vault": address,
            "block": int(rpc("eth_blockNumber"), 16),
            **parts,
            "assetSymbol": asset.call("symbol"),
            "assetDecimals": asset.call("decimals"),
        }

    # Transactions

    def _is_admin(self) -> bool:
        answer = self.chain.named("Authority").call("hasRole", ADMIN_ROLE, self.account.address)
        return bool(answer == [True, 0])

    def _administer(self, function: str, *arguments: Any) -> None:
        authority, words = self.chain.named("Authority"), " ".join(_word(value) for value in arguments)
        if function != "renounceRole" and not self._is_admin():
            raise DeployError(
                f"{self.account.address} is not admin: first let {self.network.admin} call"
                f" {function} {words} on the authority {authority.address}"
            )
        authority.send(self.account, function, *arguments)
        self.say(f"{function} {words}")

    def _contract(self, name: str, kind: str, arguments: tuple[Any, ...]) -> Contract:
        """The contract called `name`, created unless the record, or its unfinished step, has it."""
        compiled, wanted = artifact(kind), [str(argument) for argument in arguments]
        if name not in self.record.contracts:
            self.record.abis[kind] = compiled.abi
            address = self._recovered(name, compiled) or self._created(name, compiled, arguments)
            self.record.contracts[name] = {"kind": kind, "address": address, "arguments": wanted}
            self.record.data.pop("pending", None)
            self.record.save()
            self.say(f"{name} at {address}")
        entry = self.record.contracts[name]
        if entry["arguments"] != wanted:
            raise DeployError(
                f"{name} was deployed with {' '.join(entry['arguments'])}, the configuration now says"
                f" {' '.join(wanted)}: it cannot change; give new tokens a market of their own"
            )
        return self.chain.contract(kind, entry["address"])

    def _created(self, name: str, compiled: Artifact, arguments: tuple[Any, ...]) -> str:
        me = self.account.address
        nonce = transactions_of(me, "pending")
        address = create_address(me, nonce)
        self.record.data["pending"] = {"name": name, "address": address, "nonce": nonce}
        self.record.save()
        receipt = self.chain.send(self.account, None, compiled.creation(arguments))
        if receipt.contract_address != address:
            raise DeployError(
                f"{name} came to {receipt.contract_address}, not to {address}: does somebody else use {me}?"
            )
        return address

    def _recovered(self, name: str, compiled: Artifact) -> str | None:
        """The address of a contract whose transaction went out before a crash; None when it did not."""
        pending = self.record.data.get("pending")
        if not pending or pending["name"] != name:
            return None
        address, deadline = str(pending["address"]), time.monotonic() + MEMPOOL_SECONDS
        while not code_at(address):
            mined, sent = (transactions_of(self.account.address, block) for block in ("latest", "pending"))
            if mined > pending["nonce"] or sent <= pending["nonce"]:
                return None
            if time.monotonic() > deadline:
                raise DeployError(f"{name} was sent but is not mined: run again when {address} has code")
            time.sleep(1)
        if not compiled.matches(code_at(address)):
            raise DeployError(f"{name}: {address} holds other code than ours")
        self.say(f"{name} had been sent before")
        return address


def transactions_of(account: str, block: str) -> int:
    """Transactions sent by an account: its next nonce."""
    return int(rpc("eth_getTransactionCount", account, block), 16)


def create_address(sender: str, nonce: int) -> str:
    """Where `sender`'s transaction with this nonce creates a contract: keccak of the RLP of both."""
    number = nonce.to_bytes((nonce.bit_length() + 7) // 8)
    encoded = number if 0 < nonce < 0x80 else bytes([0x80 + len(number)]) + number
    body = b"\x94" + bytes.fromhex(sender[2:]) + encoded
    return str(to_checksum_address(keccak(bytes([0xC0 + len(body)]) + body)[12:]))


def create2_address(factory: str, salt: bytes, creation: bytes) -> str:
    """Where `factory` creates this code with this salt."""
    packed = b"\xff" + bytes.fromhex(factory[2:]) + salt + keccak(creation)
    return str(to_checksum_address(keccak(packed)[12:]))


def _word(value: Any) -> str:
    if isinstance(value, list):
        return ",".join(_word(item) for item in value)
    return "0x" + value.hex() if isinstance(value, bytes) else str(value)
