"""Write Ape's manifest (.build/__local__.json) from forge's artifacts, so that Ape compiles nothing.

Forge follows imports when a file changes; Ape's own incremental build does not, and keeps stale bytecode.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]


def contract_types(root: Path) -> dict[str, dict[str, Any]]:
    """Every contract under contracts/ in forge's own record: artifacts of removed ones stay in out/."""
    record = json.loads((root / "cache" / "solidity-files-cache.json").read_text())
    types: dict[str, dict[str, Any]] = {}
    for source, entry in sorted(record["files"].items()):
        if not source.startswith("contracts/") or not (root / source).is_file():
            continue
        for name, versions in entry["artifacts"].items():
            built = [(profile, one["path"]) for by in versions.values() for profile, one in by.items()]
            # What several profiles compile is a library that they inline; it is deployed nowhere.
            paths = {path for profile, path in built if profile == "default"} or {path for _, path in built}
            if name in types:
                sys.exit(
                    f"forge2ape: two contracts are called {name}: {types[name]['sourceId']} and {source}"
                )
            if len(paths) != 1:
                sys.exit(f"forge2ape: {name} was compiled in several ways: {sorted(paths)}; run `make clean`")
            types[name] = contract_type(name, source, root / "out" / paths.pop())
    return types


def contract_type(name: str, source: str, file: Path) -> dict[str, Any]:
    artifact = json.loads(file.read_text())
    documentation = artifact["metadata"]["output"]
    return {
        "contractName": name,
        "sourceId": source,
        "abi": artifact["abi"],
        "deploymentBytecode": {"bytecode": artifact["bytecode"]["object"]},
        "runtimeBytecode": {"bytecode": artifact["deployedBytecode"]["object"]},
        "sourcemap": artifact["deployedBytecode"].get("sourceMap") or "",
        "devdoc": documentation.get("devdoc"),
        "userdoc": documentation.get("userdoc"),
    }


def main(root: Path = ROOT) -> None:
    types = contract_types(root)
    sources = {
        path.relative_to(root).as_posix(): {
            "content": path.read_text(),
            "urls": [],
            "references": [],
            "imports": [],
        }
        for path in sorted((root / "contracts").rglob("*.sol"))
    }
    manifest = {
        "manifest": "ethpm/3",
        "name": "leveraged-tokens",
        "version": None,
        "sources": sources,
        "contractTypes": types,
    }
    out = root / ".build" / "__local__.json"
    out.parent.mkdir(exist_ok=True)
    part = out.with_suffix(f".{os.getpid()}")
    part.write_text(json.dumps(manifest))
    part.replace(out)
    print(f"{len(types)} contract types from {len(sources)} sources")


if __name__ == "__main__":
    main()
