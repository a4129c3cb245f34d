"""deployments/<chain id>.json: what stands where, written step by step so that a crash loses nothing."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from leverage.errors import LeverageError

# Parts of a record, and what every entry of them has.
PARTS: dict[str, set[str]] = {
    "abis": set(),
    "contracts": {"kind", "address"},
    "tokens": {"kind", "vault", "token", "terms", "adapter", "oracle", "market", "asset", "assetDecimals"},
}
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
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            raise LeverageError(f"{path}: not valid JSON: {error}") from None
        except OSError as error:
            raise LeverageError(f"{path} cannot be read: {error.strerror}") from None
        if not isinstance(data, dict) or not isinstance(data.get("chainId"), int):
            raise LeverageError(f"{path}: not a deployment record")
        for part, needed in PARTS.items():
            if not isinstance(data.get(part), dict):
                raise LeverageError(f"{path}: not a deployment record")
            for name, entry in data[part].items() if needed else ():
                if missing := sorted(needed - entry.keys() if isinstance(entry, dict) else needed):
                    raise LeverageError(f"{path}: {part}.{name}.{missing[0]} is missing: restore the file")
        return cls(path, data)

    def require(self, part: str, name: str) -> Any:
        """An entry that there has to be."""
        if name not in self.data[part]:
            raise LeverageError(f"{self.path}: {part}.{name} is missing: restore the file")
        return self.data[part][name]

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
