"""The door to Ape while the protocol runs: read many vaults at once, simulate, send, and say why not."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import ape
from ape.exceptions import ApeException
from ethpm_types.abi import EventABI

from leverage import abi
from leverage.errors import LeverageError, RevertError, error_table, revert
from leverage.record import Record, path_for
from leverage.types import KEEPER_ROLE, Action, Kind, Policy, Rebalancing, Report, Snapshot, Trigger

READ_GAS = 40_000_000
LOCAL_CHAINS = (31337, 1337)
CALLS = {Kind.REBALANCE: "rebalance", Kind.CHECK_RUIN: "checkRuin"}


class Chain:
    """The chain that Ape is connected to, with the protocol's record on it."""

    def __init__(self, record: Record):
        self.record = record
        self._batch = 64

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

    @cached_property
    def errors(self) -> Mapping[bytes, Mapping[str, Any]]:
        """Every custom error of the protocol, by selector."""
        return error_table(self.record.abis.values())

    def call(
        self, to: str | None, data: bytes, sender: str | None = None, gas: int | None = None, **overrides: Any
    ) -> bytes:
        """Evaluate a call, or creation code where `to` is None; a revert raises `RevertError` in words."""
        request: dict[str, Any] = {"data": "0x" + data.hex()}
        request |= {"to": to} if to else {}
        request |= {"from": sender} if sender else {}
        request |= {"gas": hex(gas)} if gas else {}
        # A local chain stands still between transactions: the next block's time is the one that counts.
        block = "pending" if connected_id() in LOCAL_CHAINS else "latest"
        extra = [overrides] if overrides else []
        return bytes.fromhex(rpc("eth_call", request, block, *extra, errors=self.errors)[2:])

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

    def is_keeper(self, account: str) -> bool:
        """Whether `account` may act in the exclusive seconds of a schedule."""
        return self.has_role(KEEPER_ROLE, account)

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
        except LeverageError as error:
            if len(vaults) > 1:
                return None
            return [Report(vaults[0], failure=str(error))]
        # A snapshot that ran out of gas inside the lens leaves neither values nor a reason.
        if len(vaults) > 1 and any(not r["failure"] and not r["snapshot"]["timestamp"] for r in raw):
            return None
        return [self._report(entry) for entry in raw]

    def _report(self, raw: dict[str, Any]) -> Report:
        if raw["failure"] or not raw["snapshot"]["timestamp"]:
            return Report(raw["vault"], failure=str(revert(raw["failure"], self.errors)))
        last = raw["snapshot"].pop("rebalancing")
        rebalancing = Rebalancing(**{**last, "chunk": Trigger(last["chunk"])})
        return Report(
            raw["vault"], Snapshot(**raw["snapshot"], rebalancing=rebalancing), Policy(**raw["policy"])
        )

    # Writing

    def simulate(self, vault: str, action: Action, sender: str) -> bool:
        """Whether the chain would do it now; refuses in words what it would revert."""
        done = self._vault_at(vault).call(CALLS[action.kind], sender=sender)
        return bool(done) if action.kind == Kind.CHECK_RUIN else True

    def act(self, vault: str, action: Action, account: Any) -> dict[str, Any] | None:
        """Send an action; the fields of its event, or None when there was nothing to do."""
        if not self.simulate(vault, action, account.address):
            return None
        contract = self._vault_at(vault)
        receipt = contract.send(account, CALLS[action.kind])
        event = "Rebalanced" if action.kind == Kind.REBALANCE else "Ruined"
        return {"transaction": receipt.txn_hash, **contract.event(receipt, event)}

    def _vault_at(self, vault: str) -> "Contract":
        symbol = next(s for s, entry in self.record.tokens.items() if entry["vault"] == vault)
        return self.vault(symbol)

    def send(self, account: Any, to: str | None, data: bytes) -> Any:
        """Mine a transaction and return its receipt; what would revert is refused before it costs gas."""
        self.call(to, data, sender=account.address)
        request = {"from": account.address, "data": "0x" + data.hex()} | ({"to": to} if to else {})
        estimate = int(rpc("eth_estimateGas", request, errors=self.errors), 16)
        # The block that mines it has another time than the estimate: fees accrue, the venue settles funding.
        fields = {"sender": account.address, "data": data, "gas_limit": estimate * 13 // 10}
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

    def call(self, name: str, *arguments: Any, sender: str | None = None, gas: int | None = None) -> Any:
        """Evaluate a function without changing anything."""
        entry = abi.find(self.entries, "function", name, len(arguments))
        raw = self.chain.call(self.address, abi.calldata(entry, arguments), sender, gas)
        if not raw and entry["outputs"]:
            raise LeverageError(f"{name}: there is no contract at {self.address}")
        return abi.result(entry, raw)

    def data(self, name: str, *arguments: Any) -> bytes:
        """Calldata of a function."""
        return abi.calldata(abi.find(self.entries, "function", name, len(arguments)), arguments)

    def send(self, account: Any, name: str, *arguments: Any) -> Any:
        """Mine a call from `account` and return its receipt."""
        return self.chain.send(account, self.address, self.data(name, *arguments))

    def event(self, receipt: Any, name: str) -> dict[str, Any]:
        """Fields of this contract's event in a receipt; empty when it was not emitted."""
        entry = EventABI.model_validate(abi.find(self.entries, "event", name))
        logs = [log for log in receipt.decode_logs(entry) if log.contract_address == self.address]
        return dict(logs[0].event_arguments) if logs else {}


def connected_id() -> int:
    """Id of the chain that Ape is connected to."""
    with in_words():
        return int(ape.networks.provider.chain_id)


def genesis() -> str:
    """Hash of the first block, which tells chains with the same id apart."""
    block = rpc("eth_getBlockByNumber", "0x0", False)
    return str(block["hash"]) if block else ""


def code_at(address: str) -> bytes:
    """Runtime code, empty where there is no contract."""
    return bytes.fromhex(rpc("eth_getCode", address, "latest")[2:])


def rpc(method: str, *params: Any, errors: Mapping[bytes, Mapping[str, Any]] | None = None) -> Any:
    """One JSON-RPC request; its error raises in words, never with the node's URL, which may carry a key."""
    try:
        answer = ape.networks.provider.web3.provider.make_request(method, list(params))
    except Exception as error:
        raise LeverageError(f"the node did not answer {method} ({type(error).__name__})") from None
    if "error" not in answer:
        return answer["result"]
    problem = answer["error"] if isinstance(answer["error"], dict) else {"message": str(answer["error"])}
    message, data = str(problem.get("message", "")), problem.get("data")
    data = data.get("data") if isinstance(data, dict) else data
    if isinstance(data, str) and "0x" in data:
        raise revert(bytes.fromhex(data[data.index("0x") + 2 :]), errors or {})
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
