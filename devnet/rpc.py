"""A light JSON-RPC client and contract handle, several times as fast as web3.py."""

import http.client
import itertools
import json
from collections.abc import Sequence
from functools import cached_property
from typing import Any
from urllib.parse import urlsplit

from eth_abi import decode, encode
from eth_utils import keccak, to_checksum_address

from devnet.artifacts import Artifact

Receipt = dict[str, Any]

TX_GAS = 25_000_000  # Given with each transaction: it saves the estimate, and is below the block limit.
GAS_MONEY = 10**24  # Wei that a played account gets when it has next to nothing.


class RpcError(Exception):
    """The node answered with an error."""

    def __init__(self, message: str, data: Any = None):
        super().__init__(message)
        self.data = data


class RevertError(RpcError):
    """A call or a mined transaction reverted; the text is the reason, such as `CH_NEFCI`."""


class Rpc:
    """One keep-alive connection to a node. Not for use by several threads."""

    def __init__(self, url: str, timeout: float = 120):
        self.url = url
        parts = urlsplit(url)
        connection = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self._connection = connection(parts.hostname or "127.0.0.1", parts.port, timeout=timeout)
        self._path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._ids = itertools.count(1)
        self._played: set[str] = set()

    def __call__(self, method: str, *params: Any) -> Any:
        result = self._result(self._post(self._request(method, params)))
        if method == "evm_revert":
            # Anvil may not have forgotten what it mined last, and would mine it on the restored chain again.
            self("anvil_dropAllTransactions")
        return result

    def close(self) -> None:
        self._connection.close()

    # Transactions

    def send(self, sender: str, to: str | None, data: str = "0x", value: int = 0) -> Receipt:
        """Mine a transaction from any account, own or played, and return its receipt."""
        transaction: dict[str, Any] = {"from": sender, "data": data, "gas": hex(TX_GAS), "value": hex(value)}
        if to is not None:
            transaction["to"] = to
        if sender not in self._played:
            self._play(sender)
        try:
            receipt = self("eth_sendTransactionSync", transaction)
        except RevertError:
            raise
        except RpcError:
            # A reverted snapshot takes gas money away, a new process forgets whom it plays.
            self._play(sender)
            receipt = self("eth_sendTransactionSync", transaction)
        if int(receipt["status"], 16) != 1:
            # The failed block changed nothing, so a call on top of it fails in the same way and says why.
            self("eth_call", transaction, "latest")
            raise RevertError("reverted", receipt)
        return receipt

    def _play(self, sender: str) -> None:
        self("anvil_impersonateAccount", sender)
        if int(self("eth_getBalance", sender, "latest"), 16) < GAS_MONEY // 10**6:
            self("anvil_setBalance", sender, hex(GAS_MONEY))
        self._played.add(sender)

    # Time

    def timestamp(self) -> int:
        """Seconds: time of the latest block."""
        return int(self("eth_getBlockByNumber", "latest", False)["timestamp"], 16)

    def warp(self, seconds: int) -> int:
        """Mine a block `seconds` after the latest one and return its time."""
        later = self.timestamp() + seconds
        self("evm_setNextBlockTimestamp", hex(later))
        self("evm_mine")
        return later

    # Wire

    def _request(self, method: str, params: Sequence[Any]) -> dict[str, Any]:
        return {"jsonrpc": "2.0", "id": next(self._ids), "method": method, "params": list(params)}

    def _post(self, payload: Any) -> Any:
        body = json.dumps(payload)
        headers = {"Content-Type": "application/json"}
        try:
            self._connection.request("POST", self._path, body, headers)
            answer = self._connection.getresponse().read()
        except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError):
            self._connection.close()
            self._connection.request("POST", self._path, body, headers)
            answer = self._connection.getresponse().read()
        return json.loads(answer)

    def _result(self, answer: dict[str, Any]) -> Any:
        if "error" not in answer:
            return answer["result"]
        message, data = answer["error"].get("message", "unknown error"), answer["error"].get("data")
        if "revert" in message.lower() or answer["error"].get("code") == 3:
            raise RevertError(message.removeprefix("execution reverted: "), data)
        raise RpcError(message, data)


class Contract(str):
    """The address of a contract that can be spoken to by function name.

    Being a string, it goes wherever an address goes. Overloads are told apart by their number of arguments.
    """

    rpc: Rpc
    artifact: Artifact

    def __new__(cls, rpc: Rpc, artifact: Artifact, address: str) -> "Contract":
        contract = super().__new__(cls, to_checksum_address(address))
        contract.rpc = rpc
        contract.artifact = artifact
        return contract

    @classmethod
    def deploy(cls, rpc: Rpc, sender: str, artifact: Artifact, *args: Any) -> "Contract":
        constructors = [entry["inputs"] for entry in artifact.abi if entry["type"] == "constructor"]
        data = artifact.bytecode + encode(_types(constructors[0] if constructors else []), args).hex()
        return cls(rpc, artifact, rpc.send(sender, None, data)["contractAddress"])

    def call(self, name: str, *args: Any, sender: str | None = None, block: str = "latest") -> Any:
        """Evaluate a function without changing anything: one value, or a tuple of several."""
        request = {"to": self, "data": self.data(name, *args)}
        if sender is not None:
            request["from"] = sender
        answer = bytes.fromhex(self.rpc("eth_call", request, block)[2:])
        values = decode(_types(self._functions[name, len(args)]["outputs"]), answer)
        return values[0] if len(values) == 1 else values

    def send(self, name: str, *args: Any, sender: str, value: int = 0) -> Receipt:
        """Mine a call from `sender` and return its receipt; `value` in wei."""
        return self.rpc.send(sender, self, self.data(name, *args), value)

    def data(self, name: str, *args: Any) -> str:
        """Calldata of a call, in hex."""
        function = self._functions[name, len(args)]
        return "0x" + (selector(function) + encode(_types(function["inputs"]), args)).hex()

    @cached_property
    def _functions(self) -> dict[tuple[str, int], dict[str, Any]]:
        functions = (entry for entry in self.artifact.abi if entry["type"] == "function")
        return {(entry["name"], len(entry["inputs"])): entry for entry in functions}


def selector(function: dict[str, Any]) -> bytes:
    """The four bytes that call a function, given as its ABI's entry."""
    return keccak(text=f"{function['name']}({','.join(_types(function['inputs']))})")[:4]


def _types(fields: list[dict[str, Any]]) -> list[str]:
    return [
        f"({','.join(_types(field['components']))}){field['type'][5:]}"
        if field["type"].startswith("tuple")
        else field["type"]
        for field in fields
    ]
