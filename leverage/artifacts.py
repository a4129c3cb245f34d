"""Our contracts as forge compiled them: ABI, creation code, and whether code on a chain is theirs."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from leverage import abi
from leverage.errors import LeverageError

OUT = Path(__file__).resolve().parent.parent / "out"


@dataclass(frozen=True)
class Artifact:
    """One compiled contract."""

    name: str
    abi: list[dict[str, Any]]
    bytecode: bytes
    runtime: bytes
    immutables: tuple[tuple[int, int], ...]

    def creation(self, arguments: Sequence[Any] = ()) -> bytes:
        """Creation code with the constructor's arguments."""
        inputs: list[dict[str, Any]] = next(
            (entry["inputs"] for entry in self.abi if entry["type"] == "constructor"), []
        )
        return self.bytecode + abi.encode_fields(inputs, arguments)

    def matches(self, code: bytes) -> bool:
        """Whether `code` is this contract's, whatever its immutables hold."""
        return bool(code) and self._masked(code) == self._masked(self.runtime)

    def _masked(self, code: bytes) -> bytes:
        masked = bytearray(code)
        for start, length in self.immutables:
            masked[start : start + length] = bytes(length)
        return bytes(masked)


@cache
def artifact(name: str) -> Artifact:
    """The contract of that name from `out/`."""
    path = OUT / f"{name}.sol" / f"{name}.json"
    try:
        compiled: Mapping[str, Any] = json.loads(path.read_text())
    except FileNotFoundError:
        raise LeverageError(f"{name} is not compiled: run `make build`") from None
    deployed = compiled["deployedBytecode"]
    spots = (spot for spots in deployed.get("immutableReferences", {}).values() for spot in spots)
    return Artifact(
        name,
        compiled["abi"],
        bytes.fromhex(compiled["bytecode"]["object"][2:]),
        bytes.fromhex(deployed["object"][2:]),
        tuple((spot["start"], spot["length"]) for spot in spots),
    )
