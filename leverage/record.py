"""deployments/<chain id>.json: what stands where, written step by step so that a crash loses nothing."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from leverage.errors import LeverageError

FOLDER = Path(__file__).resolve().parent.parent / "deployments"


class Record:
    """The deployment on one chain: contracts and tokens by name, ABIs by kind, and a step under way."""

    def __init__(self, path: Path, data: dict[str, Any]):
        self.path = path
        self.data = data

    @classmethod
    def new(cls, path: Path, chain_id: int, genesis: str) -> "Record":
        """An empty record; nothing is written before the first `save()`."""
        return cls(path, {"chainId": chain_id, "genesis": genesis, "contracts": {}, "tokens": {}, "abis": {}})

    @classmethod
    def load(cls, path: Path) -> "Record":
        """Read a record from its file."""
        try:
            data = json.loads(path.read_text())
        except json.JSONDecodeError as error:
            raise LeverageError(f"{path}: not valid JSON: {error}") from None
        if not isinstance(data, dict) or not {"chainId", "contracts", "tokens", "abis"} <= data.keys():
            raise LeverageError(f"{path}: not a deployment record")
        return cls(path, data)

    def save(self) -> None:
        """Write the file whole or not at all."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        part = self.path.with_suffix(f".{os.getpid()}.part")
        with part.open("w") as file:
            file.write(json.dumps(self.data, indent=1) + "\n")
            file.flush()
            os.fsync(file.fileno())
        part.replace(self.path)

    @property
    def chain_id(self) -> int:
        return int(self.data["chainId"])

    @property
    def contracts(self) -> dict[str, dict[str, Any]]:
        """Name → `kind`, `address` and, of an oracle, its `arguments`."""
        found: dict[str, dict[str, Any]] = self.data["contracts"]
        return found

    @property
    def tokens(self) -> dict[str, dict[str, Any]]:
        """Symbol → addresses of `vault`, `token`, `terms`, `adapter`, `oracle`, `asset`, and more.

        `maintenance` is the part of the notional, WAD, at which the venue liquidates.
        Where it fills later, `queue` is the users' door, and keepers ask `priceService` for `priceId`.
        """
        found: dict[str, dict[str, Any]] = self.data["tokens"]
        return found

    @property
    def abis(self) -> dict[str, list[dict[str, Any]]]:
        """Contract type → ABI, errors of all that it calls included."""
        found: dict[str, list[dict[str, Any]]] = self.data["abis"]
        return found

    def everything(self) -> Iterator[tuple[str, str, str]]:
        """Name, kind and address of all code of ours."""
        for name, entry in self.contracts.items():
            yield name, entry["kind"], entry["address"]
        for symbol, entry in self.tokens.items():
            yield f"{symbol} vault", entry["kind"], entry["vault"]
            yield f"{symbol} adapter", entry["adapterKind"], entry["adapter"]
            if "queue" in entry:
                yield f"{symbol} queue", "RequestQueue", entry["queue"]
            yield f"{symbol} terms", "VaultTerms", entry["terms"]
            yield f"{symbol} token", "LeveragedToken", entry["token"]

    def address(self, name: str) -> str:
        """Where the contract called `name` stands."""
        return str(self.contracts[name]["address"])

    def token(self, symbol: str) -> dict[str, Any]:
        """One token's entry."""
        if symbol not in self.tokens:
            known = ", ".join(sorted(self.tokens)) or "none"
            raise LeverageError(f"no token {symbol!r} on chain {self.chain_id}: known are {known}")
        return self.tokens[symbol]


def path_for(chain_id: int, folder: Path | str | None = None) -> Path:
    """The record's file of a chain."""
    return Path(folder or FOLDER) / f"{chain_id}.json"
