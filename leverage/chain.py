"""The door to Ape while the protocol runs: read many vaults at once, simulate, send, and say why not."""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import ape
import click
from ape.cli import ConnectedProviderCommand
from ape.exceptions import AccountsError, ApeException, ConfigError, NetworkMismatchError, ProviderError
from ape.logging import logger
from eth_abi.exceptions import DecodingError

from leverage import abi, prices
from leverage.console import fail
from leverage.errors import Errors, LeverageError, RevertError, UnreachableError, error_table, revert
from leverage.keeper import Keeper
from leverage.keeper.economy import Economy
from leverage.keeper.transactions import DEFAULT, Call, Limits, Outbox, Receipt
from leverage.keeper.watch import Watch
from leverage.record import Record, path_for
from leverage.rpc import Rpc, octets, result_of
from leverage.rpc import number as number_of
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
LEAST_GAS = 2_000_000  # What a keeper's account must be able to pay when it begins: about two rebalances.
CONNECT_SECONDS = 60
CONFIRM_SECONDS = 300  # How long a person's transaction is watched until it is final.
LOCAL_CHAINS = (31337, 1337)
LOCKS = Path(__file__).resolve().parent.parent / "build"
LOG_BLOCKS = 10_000  # What a node is asked for logs of at once, until it says that it is too much.
NODES: MutableMapping[Any, Rpc | None] = WeakKeyDictionary()  # By Ape's connection to them.
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
        self._errors: tuple[int, Errors] = (0, {})
        self._symbols: dict[str, str] = {}

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
        return octets(rpc("eth_call", request, self.state, errors=self.errors()), "an answer")

    @cached_property
    def state(self) -> str:
        """The state that is read. A local chain stands still between transactions: there the next block's
        time is the one that counts."""
        return self._block or ("pending" if is_local() else "latest")

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
        try:
            return number_of(block["number"], "a block"), number_of(block["timestamp"], "a time")
        except (KeyError, TypeError):
            raise UnreachableError("the node sent a block that is none") from None

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
                try:
                    entry = known[log["address"].lower()][log["topics"][0]]
                    block, hash_ = number_of(log["blockNumber"], "a block"), str(log["transactionHash"])
                    fields = abi.event_fields(entry, log)
                except (KeyError, TypeError, IndexError, ValueError, DecodingError):
                    raise UnreachableError("the node sent logs that nobody asked for") from None
                if block not in times:
                    stamp = log.get("blockTimestamp")  # Not every node tells.
                    times[block] = number_of(stamp, "a time") if stamp else self.block(block)[1]
                yield Event(entry["name"], block, times[block], hash_, fields)
            tell(upto)
            first = upto + 1

    def errors(self) -> Errors:
        """The custom errors of all recorded ABIs."""
        if self._errors[0] != len(self.record.abis):
            self._errors = len(self.record.abis), error_table(self.record.abis.values())
        return self._errors[1]

    def contract(self, kind: str, address: str) -> "Contract":
        """A contract of a recorded kind."""
        return Contract(self, address, self.record.require("abis", kind))

    def named(self, name: str) -> "Contract":
        """A contract of the record by its name."""
        entry = self.record.require("contracts", name)
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
        if any(report.snapshot is None for report in reports):
            now = self.time()
            reports = [replace(report, time=now) for report in reports]
        return reports

    def _read_batch(self, vaults: Sequence[str], gas: int) -> list[Report] | None:
        """Reports, or None when the batch needs more gas than a call may use."""
        try:
            raw = self.named("Lens").call("reports", list(vaults), gas=gas)
        except UnreachableError:
            raise
        except LeverageError as error:
            return None if len(vaults) > 1 else [Report(vaults[0], failure=str(error))]
        if [r["vault"].lower() for r in raw] != [vault.lower() for vault in vaults]:
            raise UnreachableError("the node answered for other vaults than those asked for")
        # A snapshot that ran out of gas inside the lens leaves neither values nor a reason.
        if len(vaults) > 1 and any(not r["failure"] and not r["snapshot"]["timestamp"] for r in raw):
            return None
        try:
            return [self._report(entry) for entry in raw]
        except ValueError:
            raise UnreachableError("the node answered with values that there are not") from None

    def _report(self, raw: dict[str, Any]) -> Report:
        vault = raw["vault"]
        waiting = self._waiting(vault, raw["waiting"]) if raw["is_queued"] else None
        if raw["failure"] or not raw["snapshot"]["timestamp"]:
            failure = str(revert(raw["failure"], self.errors()))
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

    def keeper(
        self,
        account: Any,
        symbols: Sequence[str],
        every: int,
        is_dry: bool,
        limits: Limits = DEFAULT,
        relay: Rpc | None = None,
        max_loss: int | None = None,
    ) -> Keeper:
        """A keeper of these tokens (default: all) that signs with `account`; a dry one needs none.

        It sends through `relay`, another node, and takes no loss beyond `max_loss`, collateral in WAD, but in
        an emergency. What it could not work with is refused at once.
        """
        vaults = self.vaults(symbols)
        self._require_listed(vaults)
        if max_loss is not None and "ETH oracle" not in self.record.contracts:
            raise LeverageError("--max-loss needs the price of ether, and no token of market ETH is recorded")
        economy = Economy(max_loss, lambda: int(self.named("ETH oracle").call("price")))
        # Only a public chain's time is that of clocks.
        date = None if is_local() else time.time
        watch = Watch(rpc, self.record.chain_id, relay, date)
        watch.require_chains()

        def read(asked: Sequence[str]) -> list[Report]:
            reports = self.read_reports(asked)
            economy.note(reports)
            return reports

        def send(vault: str, action: Action) -> dict[str, Any] | None:
            return self.act(vault, action, outbox, lambda cost: economy.check(vault, action, cost))

        has_role = account is not None and self.has_role(KEEPER_ROLE, account.address)
        keeper = Keeper(vaults, read, send, has_role, every, is_dry, watch=watch.look)
        if not is_dry:
            outbox = self.outbox(unlocked(account), limits, relay, is_alone=True)
            outbox.require_funds(LEAST_GAS)
            outbox.tell, keeper.confirm = keeper.tell, outbox.confirm
        return keeper

    def _require_listed(self, vaults: Mapping[str, str]) -> None:
        """Refuse a record that is not whole, or tells of other vaults than the chain's factory."""
        factory = self.named("VaultFactory")
        self.named("Lens").call("reports", [])
        for kind in {self.record.token(symbol)["kind"] for symbol in vaults}:
            self.record.require("abis", kind)
        listed = {vault.lower() for vault in factory.call("vaults", 0, factory.call("count"))}
        for symbol, vault in vaults.items():
            if vault.lower() not in listed:
                raise LeverageError(
                    f"{self.record.path}: the vault {vault} of {symbol} is none of the factory's"
                    f" {factory.address}: restore the file, or run `ape run deploy`"
                )

    def vaults(self, symbols: Sequence[str] = ()) -> dict[str, str]:
        """Symbol → vault of these tokens (default: all)."""
        return {symbol: self.record.token(symbol)["vault"] for symbol in symbols or self.record.tokens}

    # Writing

    def outbox(
        self, account: Any, limits: Limits = DEFAULT, relay: Rpc | None = None, is_alone: bool = False
    ) -> Outbox:
        """What sends for `account`; `is_alone` when nobody else does."""
        ask = partial(rpc, errors=self.errors())
        send = partial(relay, errors=self.errors()) if relay else None
        chain_id = self.record.chain_id
        return Outbox(
            account.address, chain_id, ask, signer(account), send, limits, is_alone, block=self.state
        )

    def act(
        self,
        vault: str,
        action: Action,
        outbox: Outbox,
        check: Callable[[int], None] = lambda cost: None,
    ) -> dict[str, Any] | None:
        """Have an action mined; the fields of its event, or None when there was nothing to do.

        What the chain would not do now is refused in words, and so is what `check` does not let pass.
        """
        symbol = self._symbol_of(vault) or ""
        contract, (function, events) = self.vault(symbol), CALLS[action.kind]
        arguments = [self.proof(symbol, action)] if action.kind == Kind.SETTLE else []
        try:
            done, value = _with_value(contract, function, arguments, outbox.account)
        except RevertError as error:
            if action.kind != Kind.COMMIT:
                raise
            # The venue may take no more of those who enter; those who leave need not wait for that.
            try:
                function = "commitExits"
                done, value = _with_value(contract, function, arguments, outbox.account)
            except RevertError:
                raise error from None
        if not done and action.kind in (Kind.CHECK_RUIN, Kind.COLLECT_CASH):
            return None
        data = contract.data(function, *arguments)
        receipt = outbox.send(Call(contract.address, data, value, symbol), check)
        if receipt.is_reverted:
            # Whoever was faster has changed the state, and the state tells in which way.
            self.call(contract.address, data, sender=outbox.account, value=value)
            raise reverted(receipt)
        found = ((event, contract.event(receipt, event)) for event in events)
        emitted, fields = next((pair for pair in found if pair[1]), ("", {}))
        return {"transaction": receipt.transaction, "emitted": emitted, **fields}

    def proof(self, symbol: str, action: Action) -> list[bytes]:
        """The signed price that goes with an action, from the token's price service."""
        if not action.proof_from:
            return []
        entry = self.record.token(symbol)
        if "priceService" not in entry:
            raise LeverageError(f"no price service is recorded for {symbol}: others must execute its orders")
        return self.prices(entry["priceService"], entry["priceId"], action.proof_from)

    def _symbol_of(self, vault: str) -> str | None:
        if len(self._symbols) != len(self.record.tokens):
            self._symbols = {entry["vault"]: symbol for symbol, entry in self.record.tokens.items()}
        return self._symbols.get(vault)

    def send(self, account: Any, to: str | None, data: bytes, value: int = 0) -> Receipt:
        """Mine a transaction and return its receipt; what would revert is refused before it costs gas.

        It waits for as many blocks upon the transaction's as Ape's settings want on this network.
        """
        self.call(to, data, sender=account.address, value=value)
        wanted = 0 if is_local() else ape.networks.provider.network.required_confirmations
        outbox = self.outbox(account, replace(DEFAULT, confirmations=wanted))
        receipt = outbox.send(Call(to, data, value))
        if receipt.is_reverted:
            raise reverted(receipt)
        if outbox.confirm(CONFIRM_SECONDS):
            raise LeverageError(f"the chain has undone {receipt.transaction}: look, and try again")
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
        try:
            return abi.result(entry, raw)
        except (DecodingError, ValueError, OverflowError):
            raise UnreachableError(
                f"{name}: no such answer was expected; the node is out of order, or {self.address} not ours"
            ) from None

    def data(self, name: str, *arguments: Any) -> bytes:
        """Calldata of a function."""
        return abi.calldata(abi.find(self.entries, "function", name, len(arguments)), arguments)

    def send(self, account: Any, name: str, *arguments: Any, value: int = 0) -> Receipt:
        """Mine a call from `account` and return its receipt."""
        return self.chain.send(account, self.address, self.data(name, *arguments), value)

    def event(self, receipt: Receipt, name: str) -> dict[str, Any]:
        """Fields of this contract's event in a receipt; empty when it was not emitted."""
        known = abi.topics(self.entries, [name])
        for log in receipt.logs:
            if log["address"].lower() == self.address.lower() and log["topics"][0] in known:
                return abi.event_fields(known[log["topics"][0]], log)
        return {}


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
        quiet()
        try:
            with time_limit(CONNECT_SECONDS) as self._lift:
                return self._connected(ctx)
        except LeverageError as error:
            fail(error)
        except ConfigError as error:
            fail(f"{error}: set it in the environment, see ape-config.yaml", self.misconfigured)
        except NetworkMismatchError as error:
            fail(error, self.misconfigured)
        except ProviderError:
            network = getattr(ctx.params.get("network"), "network", None)
            fail(f"no node answers for network {getattr(network, 'choice', network)}: is it running?")
        except ApeException as error:
            fail(error)
        except KeyboardInterrupt:
            sys.exit(130)

    def _connected(self, ctx: click.Context) -> Any:
        self._has_begun = False
        try:
            return super().invoke(ctx)
        except OSError:
            if self._has_begun:
                raise
        # Whenever Ape has connected it writes a file, which nobody here needs and a full disk forbids.
        return super().invoke(ctx)

    def _invoke(self, ctx: click.Context, *args: Any, **kwargs: Any) -> Any:
        """Connected: what follows has time limits of its own."""
        self._has_begun = True
        self._lift()
        return super()._invoke(ctx, *args, **kwargs)


@contextmanager
def time_limit(seconds: float) -> Iterator[Callable[[], None]]:
    """Raise `UnreachableError` in the block when it takes longer; yields what lifts the limit.

    Ape waits for half an hour for a node that accepts a connection and says nothing.
    """

    def expire(*_: object) -> None:
        raise UnreachableError(f"the node did not answer within {seconds:g} s")

    def lift() -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)

    before = signal.signal(signal.SIGALRM, expire)
    # Again and again, should somebody swallow it.
    signal.setitimer(signal.ITIMER_REAL, seconds, 1)
    try:
        yield lift
    finally:
        lift()
        signal.signal(signal.SIGALRM, before)


@contextmanager
def connected_to(url: str) -> Iterator[None]:
    """Connect Ape to a node by its URL for one `with` block."""
    with ape.networks.parse_network_choice(url):
        yield


def test_account(index: int) -> Any:
    """One of the accounts of local chains, whose keys everybody knows."""
    return ape.accounts.test_accounts[index]


def unlocked(account: Any, passphrase_file: Path | None = None) -> Any:
    """An account that signs without asking. Its passphrase is in a file, in the environment, or asked for."""
    if account is None:
        raise LeverageError("which account? pass --account with one of `ape accounts list`")
    if not hasattr(account, "set_autosign") or not account.locked:
        return account
    variable = f"APE_ACCOUNTS_{account.alias}_PASSPHRASE"
    passphrase = _passphrase(passphrase_file) if passphrase_file else os.environ.get(variable)
    if not passphrase and not sys.stdin.isatty():
        raise LeverageError(
            f"account {account.alias} is locked: set {variable}, or name a file with --passphrase-file"
        )
    try:
        account.set_autosign(True, passphrase=passphrase)
    except AccountsError:
        raise LeverageError(f"account {account.alias}: the passphrase does not open it") from None
    except (OSError, ValueError, KeyError, TypeError):
        raise LeverageError(f"account {account.alias}: its key file is damaged; import it again") from None
    return account


def _passphrase(path: Path) -> str:
    try:
        if path.stat().st_mode & 0o077:
            raise LeverageError(f"{path} can be read by others: run `chmod 600 {path}`")
        text = path.read_text().strip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise LeverageError(f"{path} cannot be read: {getattr(error, 'strerror', 'not text')}") from None
    if not text:
        raise LeverageError(f"{path} is empty: write the passphrase into it")
    return text


def signer(account: Any) -> Callable[[Mapping[str, Any]], bytes]:
    """What signs a transaction's fields with an account of Ape's."""

    def sign(fields: Mapping[str, Any]) -> bytes:
        known = {name: value for name, value in fields.items() if value is not None}
        transaction = ape.networks.ethereum.create_transaction(type=2, sender=account.address, **known)
        with in_words():
            signed = account.sign_transaction(transaction)
        if signed is None:
            raise LeverageError("not signed, and not sent")
        return bytes(signed.serialize_transaction())

    return sign


def reverted(receipt: Receipt) -> RevertError:
    """What to say of a transaction that failed in its block, and would not fail now."""
    return RevertError(f"transaction {receipt.transaction} was mined and reverted; try again")


def quiet() -> None:
    """Let Ape speak of trouble only."""
    logger.set_level("ERROR")


def lock_path(account: Any) -> Path:
    """The file that keeps two keepers from using one account on one chain at once, from any folder."""
    return LOCKS / f"keeper-{connected_id()}-{genesis()[2:10]}-{account.address}.lock"


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


def rpc(method: str, *params: Any, errors: Errors | None = None) -> Any:
    """One JSON-RPC request; its error raises in words, never with the node's URL, which may carry a key."""
    provider = ape.networks.provider
    if node := _node(provider):
        return node(method, *params, errors=errors)
    try:
        answer = provider.web3.provider.make_request(method, list(params))
    except Exception as error:
        raise UnreachableError(f"the node did not answer {method} ({type(error).__name__})") from None
    return result_of(answer, method, errors)


def _node(provider: Any) -> Rpc | None:
    """Our own way to the node that Ape is connected to, if that is by HTTP: Ape's has no time limit."""
    connection = provider.web3
    if connection not in NODES:
        # NOTE: Asked for its URL, a provider reads all of Ape's settings anew: that takes milliseconds.
        url, network = str(provider.http_uri), provider.network
        headers = ape.networks.get_request_headers(network.ecosystem.name, network.name, provider.name)
        own = Rpc(url, headers={name: str(value) for name, value in headers.items()})
        NODES[connection] = own if url.startswith("http") else None
    return NODES[connection]


@contextmanager
def in_words() -> Iterator[None]:
    """Ape's exceptions as one line."""
    try:
        yield
    except ApeException as error:
        raise LeverageError((str(error).splitlines() or [type(error).__name__])[0]) from error
