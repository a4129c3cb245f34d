"""Imports point in one direction, the interfaces are exercised, and tests find their roles in conftest."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

# A module or package here knows only the ones before it, and no chain.
PURE = ["types", "leverage_math", "policy", "twin", "backtest"]
# The only modules of the package that know Ape.
DOORS = {"chain", "deploy"}
CHAIN_LIBRARIES = {"ape", "ape_foundry", "ape_node", "ape_ethereum", "web3"}


def sources(folder: str, suffix: str) -> list[Path]:
    return sorted(
        path
        for path in (ROOT / folder).rglob(f"*{suffix}")
        if not any(part.startswith(".") for part in path.relative_to(ROOT).parts)
    )


def names(paths) -> list[str]:
    return [path.relative_to(ROOT).as_posix() for path in paths]


# Python


def imports(path: Path) -> set[str]:
    """Dotted names of all that a module imports, anywhere in it; relative ones made absolute."""
    package = path.relative_to(ROOT).with_suffix("").parts[:-1]
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            module = ".".join(filter(None, [base, node.module]))
            found |= {module} | {f"{module}.{alias.name}" for alias in node.names}
    return found


def top_levels(path: Path) -> set[str]:
    return {name.split(".")[0] for name in imports(path)}


def part(path: Path) -> str:
    """The module or package of leverage/ that a file of it belongs to."""
    return path.relative_to(ROOT / "leverage").with_suffix("").parts[0]


def siblings(path: Path) -> set[str]:
    """Other modules and packages of leverage/ that a file of leverage/ imports."""
    known = {part(p) for p in sources("leverage", ".py")}
    named = {name.split(".")[1] for name in imports(path) if name.startswith("leverage.")}
    return (named & known) - {part(path)}


def test_leverage__pure_modules__know_no_chain_and_only_what_is_below():
    for path in sources("leverage", ".py"):
        if part(path) in PURE:
            below = set(PURE[: PURE.index(part(path))])
            assert top_levels(path) & (CHAIN_LIBRARIES | {"eth_account"}) == set(), path
            assert siblings(path) <= below, path


def test_leverage__ape__is_behind_its_doors():
    knowing = {part(path) for path in sources("leverage", ".py") if "ape" in top_levels(path)}

    assert knowing <= DOORS


def test_leverage__package__can_be_imported_without_a_chain():
    init = ROOT / "leverage" / "__init__.py"
    if init.exists():
        assert siblings(init) & DOORS == set()
        assert top_levels(init) & CHAIN_LIBRARIES == set()


def test_leverage__never_imports_what_uses_it():
    for path in sources("leverage", ".py"):
        assert top_levels(path) & {"scripts", "devnet", "tests"} == set(), path.name


def test_leverage__modules__import_no_circle():
    graph: dict[str, set[str]] = {}
    for path in sources("leverage", ".py"):
        graph.setdefault(part(path), set()).update(siblings(path))
    graph.pop("__init__", None)
    while leaves := {module for module, needs in graph.items() if not needs & graph.keys()}:
        for module in leaves:
            del graph[module]

    assert graph == {}


# Solidity


def uncommented(path: Path) -> str:
    return re.sub(r"//[^\n]*|/\*.*?\*/", "", path.read_text(), flags=re.S)


def solidity_imports(path: Path) -> Iterator[Path]:
    """Files of this repository that a Solidity file imports."""
    for name in re.findall(r'\bimport\b[^;]*?"([^"]+)"\s*(?:as\s+\w+\s*)?;', uncommented(path)):
        target = (path.parent / name if name.startswith(".") else ROOT / name).resolve()
        if target.is_relative_to(ROOT) and target.exists():
            yield target


def reachable(path: Path) -> set[Path]:
    """The same, and what those import in turn."""
    found: set[Path] = set()
    waiting = [path]
    while waiting:
        new = set(solidity_imports(waiting.pop())) - found
        found |= new
        waiting += new
    return found


def is_mock(path: Path) -> bool:
    return path.is_relative_to(ROOT / "contracts" / "mocks")


def is_adapter(path: Path) -> bool:
    return path.is_relative_to(ROOT / "contracts" / "adapters")


def is_vault(path: Path) -> bool:
    return path.is_relative_to(ROOT / "contracts") and not is_mock(path) and path.stem.endswith("Vault")


def test_contracts__never_import_a_mock():
    for path in sources("contracts", ".sol") + sources("interfaces", ".sol"):
        if not is_mock(path):
            assert names(filter(is_mock, reachable(path))) == [], path.name


def test_contracts__adapters_and_vaults__meet_at_the_interface_only():
    for path in sources("contracts", ".sol"):
        if is_adapter(path):
            assert names(filter(is_vault, reachable(path))) == [], path.name
        if is_vault(path):
            assert names(filter(is_adapter, reachable(path))) == [], path.name


def test_interfaces__import_interfaces_only():
    for path in sources("interfaces", ".sol"):
        outside = [p for p in solidity_imports(path) if p.is_relative_to(ROOT / "contracts")]
        assert names(outside) == [], path.name


# The interfaces and their tests


def declared(kind: str) -> dict[str, str]:
    """Custom errors or events of our own interfaces, and where they are declared."""
    return {
        name: path.name
        for path in sources("interfaces", ".sol")
        if "external" not in path.parts
        for name in re.findall(rf"\b{kind}\s+(\w+)\s*\(", uncommented(path))
    }


def words_of_the_tests() -> set[str]:
    files = sources("tests", ".py") + sources("forge", ".sol")
    return {word for path in files if path != Path(__file__) for word in re.findall(r"\w+", path.read_text())}


def test_interfaces__every_error__is_named_in_a_test():
    words = words_of_the_tests()

    assert {name: where for name, where in declared("error").items() if name not in words} == {}


def test_interfaces__every_event__is_named_in_a_test():
    words = words_of_the_tests()

    assert {name: where for name, where in declared("event").items() if name not in words} == {}


# Tests


def test_tests__only_conftest__indexes_accounts():
    found = []
    for path in sources("tests", ".py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Subscript):
                name = getattr(node.value, "id", None) or getattr(node.value, "attr", None)
                if name in ("accounts", "test_accounts") and path.name != "conftest.py":
                    found.append(f"{path.relative_to(ROOT)}:{node.lineno}")

    assert found == []


def test_tests__file_names__are_unique_and_in_no_package():
    stems = [path.stem for path in sources("tests", ".py") if path.stem != "conftest"]

    assert "__init__" not in stems
    assert sorted(stems) == sorted(set(stems))


def test_rules__have_something_to_rule():
    modules = {part(path) for path in sources("leverage", ".py")}
    contracts = sources("contracts", ".sol")

    assert modules >= {*PURE, *DOORS, "keeper"}
    assert any("ape" in top_levels(path) for path in sources("leverage", ".py"))
    assert {path.stem for path in contracts} >= {"LeveragedToken", "LeveragedVault", "LeverageMath"}
    assert len(list(filter(is_adapter, contracts))) >= 1
    assert len(list(filter(is_vault, contracts))) >= 2
    assert len(list(filter(is_mock, contracts))) >= 2
    assert sum(len(list(solidity_imports(path))) for path in contracts) >= 20
    assert len(declared("error")) >= 25
    assert len(declared("event")) >= 12
    assert len(sources("tests", ".py")) >= 10
