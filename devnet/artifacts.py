"""Compiled contracts: the venues' from their published packages, our mocks from `out/`."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from eth_utils import keccak

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "out"
PACKAGES = tuple(
    ROOT / "node_modules" / package / "artifacts" / "contracts"
    for package in ("@perp/curie-contract", "@perp/perp-oracle-contract", "@uniswap/v3-core")
)
SYNTHETIX = ROOT / "node_modules" / "synthetix" / "publish" / "deployed"
# What Optimism's first compiler made runs nowhere else; the test network has the same in plain EVM code.
SYNTHETIX_NETWORKS = ("mainnet-ovm", "sepolia-ovm")
FIRST_COMPILER = "+ovm+"
PYTH = ROOT / "node_modules" / "@pythnetwork" / "pyth-sdk-solidity"


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
    """One of Perp v2's contracts, exactly as its package ships it."""
    for folder in PACKAGES:
        path = folder / f"{name}.sol" / f"{name}.json"
        if path.exists():
            compiled = json.loads(path.read_text())
            return Artifact(name, compiled["abi"], compiled["bytecode"])
    raise ArtifactError(f"{name} is in none of the venue packages: run `make setup`")


@cache
def synthetix(name: str) -> Artifact:
    """One of Synthetix's contracts, as it was deployed to Optimism; perhaps to be linked."""
    for network in SYNTHETIX_NETWORKS:
        source = synthetix_file("deployment", network)["sources"].get(name)
        if source and FIRST_COMPILER not in source["metadata"]["compiler"]["version"]:
            return Artifact(name, source["abi"], "0x" + source["bytecode"])
    raise ArtifactError(f"{name} is not in the synthetix package: run `make setup`")


@cache
def synthetix_file(name: str, network: str = SYNTHETIX_NETWORKS[0]) -> Any:
    """What the package says about a network: `deployment`, `perpsv2-markets`, `offchain-feeds`."""
    path = SYNTHETIX / network / f"{name}.json"
    if not path.exists():
        raise ArtifactError("the synthetix package is missing: run `make setup`")
    return json.loads(path.read_text())


@cache
def mock_pyth() -> Artifact:
    """Pyth's own stand-in for its price feed."""
    code = PYTH / "build" / "MockPyth_sol_MockPyth.bin"
    if not code.exists():
        raise ArtifactError("the Pyth package is missing: run `make setup`")
    abi = json.loads((PYTH / "abis" / "MockPyth.json").read_text())
    return Artifact("MockPyth", abi, "0x" + code.read_text())


def linked(artifact: Artifact, libraries: Mapping[str, str]) -> Artifact:
    """The same with the addresses of the libraries it calls."""
    bytecode = artifact.bytecode
    for name, address in libraries.items():
        mark = keccak(text=f"{artifact.name}.sol:{name}").hex()[:34]
        bytecode = bytecode.replace(f"__${mark}$__", address[2:])
    return replace(artifact, bytecode=bytecode)
