"""Compiled contracts: the venue's from its published packages, our mocks from `out/`."""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "out"
PACKAGES = tuple(
    ROOT / "node_modules" / package / "artifacts" / "contracts"
    for package in ("@perp/curie-contract", "@perp/perp-oracle-contract", "@uniswap/v3-core")
)


class ArtifactError(Exception):
    """A compiled contract is not where the build or the package manager puts it."""


@dataclass(frozen=True)
class Artifact:
    name: str
    abi: list[dict[str, Any]]
    bytecode: str


@cache
def mock(name: str) -> Artifact:
    """One of our own contracts, compiled by forge."""
    path = OUT / f"{name}.sol" / f"{name}.json"
    if not path.exists():
        raise ArtifactError(f"{name} is not compiled: run `make build`")
    compiled = json.loads(path.read_text())
    return Artifact(name, compiled["abi"], compiled["bytecode"]["object"])


@cache
def published(name: str) -> Artifact:
    """One of the venue's contracts, exactly as its package ships it."""
    for folder in PACKAGES:
        path = folder / f"{name}.sol" / f"{name}.json"
        if path.exists():
            compiled = json.loads(path.read_text())
            return Artifact(name, compiled["abi"], compiled["bytecode"])
    raise ArtifactError(f"{name} is in none of the venue packages: run `make setup`")
