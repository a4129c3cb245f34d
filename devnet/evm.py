"""A chain in this process: contracts run in revm, a hundred times as fast as over RPC, and alone in the world."""

import re
from collections.abc import Sequence
from typing import Any

from eth_abi import encode
from eth_utils import to_checksum_address
from pyrevm import EVM, BlockEnv

from devnet.artifacts import Artifact
from devnet.rpc import RevertError
from leverage.abi import canonical, selector

NOBODY = "0x" + "00" * 20
PURSE = 10**30  # Wei that every sender has.
OUTPUT = re.compile(r"output: (0x[0-9a-f]*)")


class Evm:
    """Blocks have a number and a time, seconds; both change by `warp` alone."""

    def __init__(self, timestamp: int):
        self._evm = EVM(spec_id="CANCUN")
        self._senders: set[str] = set()
        self._number = 0
        self.timestamp = timestamp
        self.warp(0)

    def warp(self, seconds: int) -> int:
        """A new block; its time."""
        self._number += 1
        self.timestamp += seconds
        self._evm.set_block_env(BlockEnv(number=self._number, timestamp=self.timestamp))
        return self.timestamp

    def deploy(self, artifact: Artifact, sender: str, *arguments: Any) -> "EvmContract":
        inputs = next((e["inputs"] for e in artifact.abi if e["type"] == "constructor"), [])
        code = bytes.fromhex(artifact.bytecode[2:]) + encode(
            [canonical(field) for field in inputs], arguments
        )
        return EvmContract(self, artifact, self._run(self._evm.deploy, self._funded(sender), code))

    def send(self, sender: str, to: str, data: bytes, value: int = 0) -> bytes:
        """A transaction; what it returns."""
        return self._run(self._evm.message_call, self._funded(sender), to, data, value)

    def call(self, to: str, data: bytes, sender: str = NOBODY) -> bytes:
        """The same without changing anything."""
        return self._run(self._evm.message_call, sender, to, data, is_static=True)

    def _funded(self, sender: str) -> str:
        if sender not in self._senders:
            self._evm.set_balance(sender, PURSE)
            self._senders.add(sender)
        return sender

    def _run(self, function: Any, *arguments: Any, **options: Any) -> Any:
        try:
            return function(*arguments, **options)
        except RuntimeError as error:
            output = OUTPUT.search(str(error))
            if output is None:
                raise
            raise RevertError("reverted", output[1]) from None


class EvmContract(str):
    """The address of a contract that can be spoken to by function name.

    Being a string, it goes wherever an address goes. Overloads are told apart by their number of arguments.
    """

    evm: Evm
    artifact: Artifact

    def __new__(cls, evm: Evm, artifact: Artifact, address: str) -> "EvmContract":
        contract = super().__new__(cls, to_checksum_address(address))
        contract.evm = evm
        contract.artifact = artifact
        contract._functions = {
            (entry["name"], len(entry["inputs"])): (
                selector(entry), [canonical(field) for field in entry["inputs"]], list(_signs(entry["outputs"]))
            )
            for entry in artifact.abi
            if entry["type"] == "function"
        }  # fmt: skip
        return contract

    _functions: dict[tuple[str, int], tuple[bytes, list[str], list[bool]]]

    def send(self, name: str, *arguments: Any, sender: str, value: int = 0) -> tuple[int, ...]:
        """A transaction; the words that it returns."""
        return self._words(name, arguments, self.evm.send(sender, self, self.data(name, *arguments), value))

    def call(self, name: str, *arguments: Any) -> tuple[int, ...]:
        """Evaluate a view of numbers, structs of numbers and addresses: its words, the signed ones with sign."""
        return self._words(name, arguments, self.evm.call(self, self.data(name, *arguments)))

    def data(self, name: str, *arguments: Any) -> bytes:
        head, inputs, _ = self._functions[name, len(arguments)]
        if all(kind == "uint256" or kind == "int256" for kind in inputs):
            return head + b"".join((number % 2**256).to_bytes(32, "big") for number in arguments)
        return head + encode(inputs, arguments)

    def _words(self, name: str, arguments: Sequence[Any], answer: bytes) -> tuple[int, ...]:
        signs = self._functions[name, len(arguments)][2]
        return tuple(
            int.from_bytes(answer[32 * i : 32 * i + 32], "big", signed=is_signed)
            for i, is_signed in enumerate(signs)
        )


def _signs(fields: list[dict[str, Any]]) -> Any:
    """Whether each word of an answer has a sign."""
    for field in fields:
        if field["type"] == "tuple":
            yield from _signs(field["components"])
        else:
            yield field["type"].startswith("int")
