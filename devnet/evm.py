"""A chain in this process: contracts run in revm, a hundred times as fast as over RPC."""

import re
from collections.abc import Iterator
from functools import cache, lru_cache
from typing import Any, NamedTuple

from eth_abi import encode
from eth_utils import to_checksum_address
from pyrevm import EVM, BlockEnv

from devnet.artifacts import Artifact, mock
from devnet.rpc import RevertError
from leverage.abi import canonical, encode_fields, selector

NOBODY = "0x" + "00" * 20
PURSE = 10**30  # Wei that every sender has.
WORD = 32
OUTPUT = re.compile(r"output: (0x[0-9a-f]*)")


class Evm:
    """Its time, seconds, changes by `warp` alone."""

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
        code = bytes.fromhex(artifact.bytecode[2:]) + encode_fields(inputs, arguments)
        return EvmContract(self, artifact, self._run(self._evm.deploy, self._funded(sender), code))

    def send(self, sender: str, to: str, data: bytes, value: int = 0) -> bytes:
        """A transaction; what it returns."""
        return self._run(self._evm.message_call, self._funded(sender), to, data, value)

    def call(self, to: str, data: bytes) -> bytes:
        """What a transaction of nobody's would return."""
        return self._run(self._evm.message_call, NOBODY, to, data, is_static=True)

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
    """The address of a contract that can be spoken to by function name, and answers in words.

    Being a string, it goes wherever an address goes. Overloads are told apart by their number of arguments.
    """

    evm: Evm
    artifact: Artifact

    def __new__(cls, evm: Evm, artifact: Artifact, address: str) -> "EvmContract":
        contract = super().__new__(cls, to_checksum_address(address))
        contract.evm = evm
        contract.artifact = artifact
        return contract

    def send(self, name: str, *arguments: Any, sender: str, value: int = 0) -> tuple[int, ...]:
        """A transaction, `value` in wei; the words that it returns."""
        function = _functions(self.artifact.name)[name, len(arguments)]
        return function.words(self.evm.send(sender, self, function.data(arguments), value))

    def call(self, name: str, *arguments: Any) -> tuple[int, ...]:
        """A view of numbers, addresses and structs of such: its words, the signed ones with their sign."""
        function = _functions(self.artifact.name)[name, len(arguments)]
        return function.words(self.evm.call(self, _question(self.artifact.name, name, arguments)))

    def data(self, name: str, *arguments: Any) -> bytes:
        """Calldata of a call."""
        return _functions(self.artifact.name)[name, len(arguments)].data(arguments)


class _Function(NamedTuple):
    selector: bytes
    inputs: list[str]
    signs: list[bool]

    def data(self, arguments: tuple[Any, ...]) -> bytes:
        return self.selector + encode(self.inputs, arguments)

    def words(self, answer: bytes) -> tuple[int, ...]:
        return tuple(
            int.from_bytes(answer[WORD * i : WORD * (i + 1)], "big", signed=is_signed)
            for i, is_signed in enumerate(self.signs)
        )


@cache
def _functions(name: str) -> dict[tuple[str, int], _Function]:
    """By name and number of arguments: looked up once for all contracts of a kind."""
    return {
        (entry["name"], len(entry["inputs"])): _Function(
            selector(entry), list(map(canonical, entry["inputs"])), list(_signs(entry["outputs"]))
        )
        for entry in mock(name).abi
        if entry["type"] == "function"
    }


@lru_cache(maxsize=4_096)
def _question(contract: str, name: str, arguments: tuple[Any, ...]) -> bytes:
    """Calldata of a view, which is asked again and again."""
    return _functions(contract)[name, len(arguments)].data(arguments)


def _signs(fields: list[dict[str, Any]]) -> Iterator[bool]:
    """Whether each word of an answer has a sign."""
    for field in fields:
        if field["type"] == "tuple":
            yield from _signs(field["components"])
        else:
            yield field["type"].startswith("int")
