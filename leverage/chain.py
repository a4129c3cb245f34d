"""The door to Ape while the protocol runs: read many vaults at once, simulate, send, and say why not."""

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ape
import click
from ape.cli import ConnectedProviderCommand
from ape.exceptions import ApeException, ConfigError, ProviderError
from ape.logging import logger
from ethpm_types.abi import EventABI

from leverage import abi, prices
from leverage.console import fail
from leverage.errors import LeverageError, RevertError, UnreachableError, error_table, revert
from leverage.keeper import Keeper
from leverage.record import Record, path_for
from leverage.types import (
    KEEPER_ROLE,
    Action,
    Kind,
    Order,
    Policy,
    Rebalancing,
    Report,
    Snapshot,
    Stage,
    Trigger,
    Waiting,
)

READ_GAS = 40_000_000
MOST_GAS = 2**24  # What a transaction may use at most (EIP-7825).
LOCAL_CHAINS = (31337, 1337)
LOG_BLOCKS = 10_000  # What a node is asked for logs of at once, until it says that it is too much.
# The vault's function, and the events of which one tells what came of it.
CALLS = {
    Kind.REBALANCE: ("rebalance", ["Rebalanced"]),
    Kind.CHECK_RUIN: ("checkRuin", ["Ruined"]),
    Kind.COMMIT: ("commit", ["Committed"]),
    Kind.SETTLE: ("settle", ["Settled", "OrderFailed", "Rebalanced"]),
    Kind.COLLECT_CASH: ("collectCash", ["CashCollected"]),
}


@dataclass(frozen=True)
class Event:
    """One event of one of our contracts."""

    name: str
    block: int
    time: int
    transaction: str
    fields: Mapping[str, Any]


class Chain:
    """The chain that Ape is connected to, with the protocol's record on it."""

    def __init__(self, record: Record):
        self.record = record
        self.prices: prices.Source = prices.fetch
        self._batch = 64
        self._block = ""

    @classmethod
    def attach(cls, folder: Path | str | None = None) -> "Chain":
        """The deployment recorded for the connected chain."""
        chain_id = connected_id()
        path = path_for(chain_id, folder)
        if not path.exists():
            raise LeverageError(
                f"nothing is deployed on chain {chain_id}: {path} is missing; run `ape run deploy`"
            )
        record = Record.load(path)
        if record.chain_id != chain_id:
            raise LeverageError(f"{path} belongs to chain {record.chain_id}, not to {chain_id}")
        if record.data.get("genesis") not in (None, "", genesis()):
            raise LeverageError(
                f"{path} belongs to another chain with the same id {chain_id}: remove or rename it"
            )
        return cls(record)

    # Reading

    def call(
        self, to: str | None, data: bytes, sender: str | None = None, gas: int | None = None, value: int = 0
    ) -> bytes:
        """Evaluate a call, or creation code where `to` is None; a revert raises `RevertError` in words."""
        request: dict[str, Any] = {"data": "0x" + data.hex()}
        request |= {"to": to} if to else {}
        request |= {"from": sender} if sender else {}
        request |= {"gas": hex(gas)} if gas else {}
        request |= {"value": hex(value)} if value else {}
        # A local chain stands still between transactions: the next block's time is the one that counts.
        block = self._block or ("pending" if is_local() else "latest")
        return bytes.fromhex(rpc("eth_call", request, block, abis=self.record.abis)[2:])

    def at(self, block: int) -> "Chain":
        """The chain to read from as it was after a block, if the node keeps its state."""
        past = Chain(self.record)
        past._block = hex(block)
        return past

    def block(self, number: int | None = None) -> tuple[int, int]:
        """Number and time of a block, by default the latest."""
        block = rpc("eth_getBlockByNumber", "latest" if number is None else hex(number), False)
        if block is None:
            raise LeverageError(f"the node has no block {number}")
        return int(block["number"], 16), int(block["timestamp"], 16)

    def time(self) -> int:
        """The latest block's time."""
        return self.block()[1]

    def events(
        self,
        contracts: Iterable["Contract"],
        names: Iterable[str],
        first: int,
        last: int,
        tell: Callable[[int], None] = lambda block: None,
    ) -> Iterator[Event]:
        """Events of these names from block `first` to `last`, in order; `tell` hears how far it got.

        A node that does not answer for that many blocks at once is asked for fewer.
        """
        known = {c.address.lower(): abi.topics(c.entries, names) for c in contracts}
        topics = sorted({topic for of_one in known.values() for topic in of_one})
        times: dict[int, int] = {}
        step = LOG_BLOCKS
        while first <= last:
            upto = min(first + step - 1, last)
            wanted = {
                "address": list(known),
                "topics": [topics],
                "fromBlock": hex(first),
                "toBlock": hex(upto),
            }
            try:
                logs = rpc("eth_getLogs", wanted)
            except UnreachableError:
                raise
            except LeverageError as error:
                if step == 1:
                    raise LeverageError(
                        f"the node has no logs of block {first}: {error}; ask one that keeps all (an archive)"
                    ) from None
                step = max(1, min(step, upto - first + 1) // 4)
                continue
            for log in logs:
                entry = known[log["address"].lower()].get(log["topics"][0])
                if entry is None:
                    continue
                block = int(log["blockNumber"], 16)
                if block not in times:
                    stamp = log.get("blockTimestamp")  # Not every node tells.
                    times[block] = int(stamp, 16) if stamp else self.block(block)[1]
                fields = abi.event_fields(entry, log)
                yield Event(entry["name"], block, times[block], log["transactionHash"], fields)
            tell(upto)
            first = upto + 1

    def contract(self, kind: str, address: str) -> "Contract":
        """A contract of a recorded kind."""
        return Contract(self, address, self.record.abis[kind])

    def named(self, name: str) -> "Contract":
        """A contract of the record by its name."""
        entry = self.record.contracts[name]
        return self.contract(entry["kind"], entry["address"])

    def vault(self, symbol: str) -> "Contract":
        """A token's vault."""
        entry = self.record.token(symbol)
        return self.contract(entry["kind"], entry["vault"])

    def has_role(self, role: int, account: str) -> bool:
        """Whether `account` holds a role of the authority."""
        return bool(self.named("Authority").call("hasRole", role, account)[0])

    def read_reports(self, vaults: Sequence[str], gas: int = READ_GAS) -> list[Report]:
        """One report per vault, in as few calls as the node's gas limit lets through."""
        reports: list[Report] = []
        waiting = list(vaults)
        while waiting:
            batch = waiting[: self._batch]
            read = self._read_batch(batch, gas)
            if read is None:
                self._batch = max(1, len(batch) // 2)
                continue
            reports += read
            waiting = waiting[len(batch) :]
        return reports

    def _read_batch(self, vaults: Sequence[str], gas: int) -> list[Report] | None:
        """Reports, or None when the batch needs more gas than a call may use."""
        try:
            raw = self.named("Lens").call("reports", list(vaults), gas=gas)
        except UnreachableError:
            raise
        except LeverageError as error:
            return None if len(vaults) > 1 else [Report(vaults[0], failure=str(error))]
        # A snapshot that ran out of gas inside the lens leaves neither values nor a reason.
        if len(vaults) > 1 and any(not r["failure"] and not r["snapshot"]["timestamp"] for r in raw):
            return None
        return [self._report(entry) for entry in raw]

    def _report(self, raw: dict[str, Any]) -> Report:
        vault = raw["vault"]
        waiting = self._waiting(vault, raw["waiting"]) if raw["is_queued"] else None
        if raw["failure"] or not raw["snapshot"]["timestamp"]:
            failure = str(revert(raw["failure"], error_table(self.record.abis.values())))
            return Report(vault, failure=failure, waiting=waiting)
        last = raw["snapshot"].pop("rebalancing")
        rebalancing = Rebalancing(**{**last, "chunk": Trigger(last["chunk"])})
        snapshot = Snapshot(**raw["snapshot"], rebalancing=rebalancing)
        return Report(vault, snapshot, Policy(**raw["policy"]), waiting=waiting)

    def _waiting(self, vault: str, raw: dict[str, Any]) -> Waiting:
        entry = self.record.token(self._symbol_of(vault) or "")
        _, _, max_deviation, *_ = self.record.contracts[f"{entry['market']} oracle"]["arguments"]
        order = raw.pop("order")
        return Waiting(
            Order(**{**order, "stage": Stage(order["stage"])}),
            **raw,
            decimals=entry["assetDecimals"],
            max_deviation=int(max_deviation),
        )

    def keeper(self, account: Any, symbols: Sequence[str], every: int, is_dry: bool) -> Keeper:
        """A keeper of these tokens (default: all) that signs with `account`; a dry one needs none."""
        if not is_dry:
            account = unlocked(account)

        def send(vault: str, action: Action) -> dict[str, Any] | None:
            return self.act(vault, action, account)

        has_role = account is not None and self.has_role(KEEPER_ROLE, account.address)
        return Keeper(self.vaults(symbols), self.read_reports, send, has_role, every, is_dry)

    def vaults(self, symbols: Sequence[str] = ()) -> dict[str, str]:
        """Symbol → vault of these tokens (default: all)."""
        return {symbol: self.record.token(symbol)["vault"] for symbol in symbols or self.record.tokens}

    # Writing

    def act(self, vault: str, action: Action, account: Any) -> dict[str, Any] | None:
        """Send an action; the fields of its event, or None when there was nothing to do.

        What the chain would not do now is refused in words.
        """
        symbol = self._symbol_of(vault) or ""
        contract, (function, events) = self.vault(symbol), CALLS[action.kind]
        arguments = [self.proof(symbol, action)] if action.kind == Kind.SETTLE else []
        try:
            done, value = _with_value(contract, function, arguments, account.address)
        except RevertError as error:
            if action.kind != Kind.COMMIT:
                raise
            # The venue may take no more of those who enter; those who leave need not wait for that.
            try:
                function = "commitExits"
                done, value = _with_value(contract, function, arguments, account.address)
            except RevertError:
                raise error from None
        if not done and action.kind in (Kind.CHECK_RUIN, Kind.COLLECT_CASH):
            return None
        receipt = contract.send(account, function, *arguments, value=value)
        found = ((event, contract.event(receipt, event)) for event in events)
        emitted, fields = next((pair for pair in found if pair[1]), ("", {}))
        return {"transaction": receipt.txn_hash, "emitted": emitted, **fields}

    def proof(self, symbol: str, action: Action) -> list[bytes]:
        """The signed price that goes with an action, from the token's price service."""
        if not action.proof_from:
            return []
        entry = self.record.token(symbol)
        if "priceService" not in entry:
            raise LeverageError(f"no price service is recorded for {symbol}: others must execute its orders")
        return self.prices(entry["priceService"], entry["priceId"], action.proof_from)

    def _symbol_of(self, vault: str) -> str | None:
        return next((s for s, entry in self.record.tokens.items() if entry["vault"] == vault), None)

    def send(self, account: Any, to: str | None, data: bytes, value: int = 0) -> Any:
        """Mine a transaction and return its receipt; what would revert is refused before it costs gas."""
        self.call(to, data, sender=account.address, value=value)
        request = {"from": account.address, "data": "0x" + data.hex(), "value": hex(value)}
        request |= {"to": to} if to else {}
        estimate = int(rpc("eth_estimateGas", request, abis=self.record.abis), 16)
        # The block that mines it has another time than the estimate: fees accrue, the venue settles funding.
        gas = max(estimate, min(estimate * 13 // 10, MOST_GAS))
        fields = {"sender": account.address, "data": data, "gas_limit": gas, "value": value}
        transaction = ape.networks.ecosystem.create_transaction(**fields, **({"receiver": to} if to else {}))
        with in_words():
            receipt = account.call(transaction)
        if receipt.failed:
            raise RevertError(f"transaction {receipt.txn_hash} was mined and reverted; try again")
        return receipt


class Contract:
    """A contract spoken to by function name; overloads are told apart by their number of arguments."""

    def __init__(self, chain: Chain, address: str, entries: Sequence[abi.Entry]):
        self.chain = chain
        self.address = address
        self.entries = entries

    def call(
        self, name: str, *arguments: Any, sender: str | None = None, gas: int | None = None, value: int = 0
    ) -> Any:
        """Evaluate a function without changing anything."""
        entry = abi.find(self.entries, "function", name, len(arguments))
        raw = self.chain.call(self.address, abi.calldata(entry, arguments), sender, gas, value)
        if not raw and entry["outputs"]:
            raise LeverageError(f"{name}: there is no contract at {self.address}")
        return abi.result(entry, raw)

    def data(self, name: str, *arguments: Any) -> bytes:
        """Calldata of a function."""
        return abi.calldata(abi.find(self.entries, "function", name, len(arguments)), arguments)

    def send(self, account: Any, name: str, *arguments: Any, value: int = 0) -> Any:
        """Mine a call from `account` and return its receipt."""
        return self.chain.send(account, self.address, self.data(name, *arguments), value)

    def event(self, receipt: Any, name: str) -> dict[str, Any]:
        """Fields of this contract's event in a receipt; empty when it was not emitted."""
        entry = EventABI.model_validate(abi.find(self.entries, "event", name))
        logs = [log for log in receipt.decode_logs(entry) if log.contract_address == self.address]
        return dict(logs[0].event_arguments) if logs else {}


def _with_value(contract: Contract, function: str, arguments: list[Any], sender: str) -> tuple[Any, int]:
    """What a call would answer, and the value that the venue wants with it: it names it when it gets none."""
    try:
        return contract.call(function, *arguments, sender=sender), 0
    except RevertError as error:
        if error.name != "WrongFee":
            raise
        value = int(error.fields["needed"])
        return contract.call(function, *arguments, sender=sender, value=value), value


class Command(ConnectedProviderCommand):  # type: ignore[misc]
    """A command on the chain that --network names; what goes wrong is one line, without a traceback."""

    misconfigured = 1  # Exit code when the fault lies in the settings.

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As Ape's, without its list of all networks there are."""
        try:
            return list(super().parse_args(ctx, args))
        except click.BadParameter as error:
            raise click.BadParameter(error.message.split(" Options:")[0], ctx, error.param) from None

    def invoke(self, ctx: click.Context) -> Any:
        """Connect, and run. A node's URL is never shown: it may carry a key."""
        logger.set_level("WARNING")
        try:
            return super().invoke(ctx)
        except LeverageError as error:
            fail(error)
        except ConfigError as error:
            fail(f"{error}: set it in the environment, see ape-config.yaml", self.misconfigured)
        except ProviderError:
            network = getattr(ctx.params.get("network"), "network", None)
            fail(f"no node answers for network {getattr(network, 'choice', network)}: is it running?")
        except ApeException as error:
            fail(error)
        except KeyboardInterrupt:
            sys.exit(130)


@contextmanager
def connected_to(url: str) -> Iterator[None]:
    """Connect Ape to a node by its URL for one `with` block."""
    with ape.networks.parse_network_choice(url):
        yield


def test_account(index: int) -> Any:
    """One of the accounts of local chains, whose keys everybody knows."""
    return ape.accounts.test_accounts[index]


def unlocked(account: Any) -> Any:
    """An account that signs without asking; its passphrase is in the environment, or asked for now."""
    if account is None:
        raise LeverageError("which account? pass --account with one of `ape accounts list`")
    if hasattr(account, "set_autosign"):
        variable = f"APE_ACCOUNTS_{account.alias}_PASSPHRASE"
        if variable not in os.environ and not sys.stdin.isatty():
            raise LeverageError(f"account {account.alias} is locked: set {variable}")
        with in_words():
            account.set_autosign(True)
    return account


def quiet() -> None:
    """Let Ape speak of trouble only."""
    logger.set_level("WARNING")


def lock_path(account: Any) -> Path:
    """The file that keeps two keepers from using one account on one chain at once."""
    who = account.address if account else "nobody"
    return Path("build") / f"keeper-{connected_id()}-{who}.lock"


def connected_id() -> int:
    """Id of the chain that Ape is connected to."""
    with in_words():
        return int(ape.networks.provider.chain_id)


def is_local() -> bool:
    """Whether this is a chain of one's own: a development chain, or a fork that Ape has started."""
    return connected_id() in LOCAL_CHAINS or bool(ape.networks.provider.network.is_dev)


def genesis() -> str:
    """Hash of the first block, which tells chains with the same id apart."""
    block = rpc("eth_getBlockByNumber", "0x0", False)
    return str(block["hash"]) if block else ""


def code_at(address: str) -> bytes:
    """Runtime code, empty where there is no contract."""
    return bytes.fromhex(rpc("eth_getCode", address, "latest")[2:])


def rpc(method: str, *params: Any, abis: Mapping[str, Sequence[abi.Entry]] | None = None) -> Any:
    """One JSON-RPC request; its error raises in words, never with the node's URL, which may carry a key."""
    try:
        answer = ape.networks.provider.web3.provider.make_request(method, list(params))
    except Exception as error:
        raise UnreachableError(f"the node did not answer {method} ({type(error).__name__})") from None
    if "error" not in answer:
        return answer["result"]
    problem = answer["error"] if isinstance(answer["error"], dict) else {"message": str(answer["error"])}
    message, data = str(problem.get("message", "")), problem.get("data")
    data = data.get("data") if isinstance(data, dict) else data
    if isinstance(data, str) and "0x" in data:
        raise revert(bytes.fromhex(data[data.index("0x") + 2 :]), error_table((abis or {}).values()))
    if "revert" in message.lower():
        raise RevertError(message.splitlines()[0])
    raise LeverageError(f"the node refused {method}: {(message.splitlines() or [''])[0]}")


@contextmanager
def in_words() -> Iterator[None]:
    """Ape's exceptions as one line."""
    try:
        yield
    except ApeException as error:
        raise LeverageError((str(error).splitlines() or [type(error).__name__])[0]) from error
