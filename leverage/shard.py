"""Which keeper looks after which token when several share the work: rendezvous hashing.

They need not talk. Each part of the work draws a number for each vault from its address; the highest has it.
Another count of parts moves only the vaults that the new part takes, or that the old one leaves.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256

from leverage.errors import LeverageError

VARIABLE = "KEEPER_SHARD"


@dataclass(frozen=True)
class Shard:
    """Part `index` of `count`, counted from 1."""

    index: int = 1
    count: int = 1

    @classmethod
    def parse(cls, text: str) -> "Shard":
        """A part as written: 2/5 is the second of five."""
        found = re.fullmatch(r"([0-9]{1,4})/([0-9]{1,4})", text.strip())
        index, count = map(int, found.groups()) if found else (0, 0)
        if not 1 <= index <= count:
            raise LeverageError(f"{VARIABLE} = {text!r}: write which part of how many, such as 2/5")
        return cls(index, count)

    @classmethod
    def all(cls, count: str) -> list["Shard"]:
        """All of so many parts."""
        if not re.fullmatch(r"[1-9][0-9]{0,3}", count.strip()):
            raise LeverageError(f"KEEPER_SHARDS = {count!r}: write into how many parts, such as 5")
        return [cls(index, int(count)) for index in range(1, int(count) + 1)]

    def has(self, vault: str) -> bool:
        """Whether the vault at this address is in this part."""
        return self.index == max(range(1, self.count + 1), key=lambda index: _weight(index, vault))

    def of(self, tokens: Mapping[str, str]) -> dict[str, str]:
        """The tokens of this part, of symbol → vault."""
        return {symbol: vault for symbol, vault in tokens.items() if self.has(vault)}

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"


def _weight(index: int, vault: str) -> bytes:
    return sha256(f"{index} {vault.lower()}".encode()).digest()
