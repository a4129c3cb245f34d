"""The tools are the pinned ones, a build is never stale, and nothing private to a machine is committed."""

import json
import os
import re
import shutil
import stat
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PINNED = json.loads((ROOT / "package.json").read_text())["devDependencies"]["solc"]
NATIVE = ROOT / ".solc" / "native" / f"solc-v{PINNED}"
MAX_RUNTIME = 24_576  # EIP-170


def solc(*args, front=ROOT / "bin" / "solc", native="", cache="", stdin="", cwd=None):
    env = {**os.environ, "SOLC_NATIVE": str(native), "SOLC_CACHE": str(cache)}
    return subprocess.run([front, *args], env=env, input=stdin, capture_output=True, text=True, cwd=cwd)


def version_of(run):
    return re.search(r"Version: (\d+\.\d+\.\d+)\+commit", run.stdout).group(1)


@pytest.fixture
def native(tmp_path):
    """A stand-in for a native compiler which reports the version it is told to."""

    def make(version, code=0):
        file = tmp_path / "native-solc"
        file.write_text(f'#!/bin/sh\necho "Version: {version}.Stand.in"\necho "given $*"\nexit {code}\n')
        file.chmod(0o755)
        return file

    return make


@pytest.fixture
def project(tmp_path):
    """The repository's own tools around three small contracts, two of which use a library."""
    copy = tmp_path / "project"
    shutil.copytree(ROOT / "bin", copy / "bin")
    shutil.copytree(ROOT / "tools", copy / "tools")
    for name in ("Makefile", "package.json", "foundry.toml", "ape-config.yaml", "pyproject.toml"):
        shutil.copy(ROOT / name, copy / name)
    for name in ("node_modules", ".venv", ".solc"):
        (copy / name).symlink_to(ROOT / name)
    head = "// SPDX-License-Identifier: MIT\npragma solidity ^0.8.24;\n"
    for name, body in {
        "libraries/Twice": "library Twice { function f(uint256 x) internal pure returns (uint256) "
        "{ return x * 2; } }",
        "Base": 'import {Twice} from "contracts/libraries/Twice.sol";\n'
        "contract Base { function f(uint256 x) public pure returns (uint256) { return Twice.f(x); } }",
        "Child": 'import {Base} from "contracts/Base.sol";\ncontract Child is Base { uint256 public child; }',
        "Alone": "contract Alone { uint256 public alone; }",
    }.items():
        file = copy / "contracts" / f"{name}.sol"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(head + body + "\n")
    return copy


def build(project):
    """What `make build` does, without the set-up; returns the runtime bytecode of each contract."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    command = ["make", "-o", ".solc/.stamp", "build"]
    run = subprocess.run(command, cwd=project, env=env, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
    types = json.loads((project / ".build" / "__local__.json").read_text())["contractTypes"]
    return {name: entry["runtimeBytecode"]["bytecode"] for name, entry in types.items()}


def committed():
    """Every text file that is, or is about to be, committed."""
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listing, cwd=ROOT, capture_output=True, check=True).stdout.decode().split("\0")
    for name in filter(None, names):
        file = ROOT / name
        if not file.is_file():
            continue
        try:
            yield name, file.read_text()
        except UnicodeDecodeError:
            continue


# The compiler


def test_solc__npm_build__is_the_pinned_version():
    assert version_of(solc("--version", native="")) == PINNED


def test_solc__as_installed__is_the_pinned_version_and_native_where_there_is_one():
    run = subprocess.run([ROOT / "bin" / "solc", "--version"], capture_output=True, text=True, check=True)

    assert version_of(run) == PINNED
    assert ("Emscripten" in run.stdout) == (not NATIVE.exists())


def test_solc__found_by_ape__is_the_front():
    found = Path(ROOT / ".solc" / "front" / f"solc-v{PINNED}")

    assert found.resolve() == ROOT / "bin" / "solc"
    assert version_of(solc("--version", front=found)) == PINNED


def test_solc__native_of_the_pinned_version__is_used(native):
    binary = native(f"{PINNED}+commit.0badc0de")

    assert f"Version: {PINNED}+commit.0badc0de" in solc("--version", native=binary).stdout
    assert "given --standard-json" in solc("--standard-json", native=binary).stdout


@pytest.mark.parametrize("version", ["0.8.36+commit.0badc0de", f"{PINNED}0+commit.0badc0de", "nonsense"])
def test_solc__native_of_another_version__is_refused(native, version):
    run = solc("--version", native=native(version))

    assert "Emscripten" in run.stdout
    assert version_of(run) == PINNED
    assert "refused" in run.stderr


def test_solc__native_that_fails__fails(native):
    assert solc("--standard-json", native=native(f"{PINNED}+commit.0badc0de", code=3)).returncode == 3


def test_solc__npm_build_of_another_version__is_refused(tmp_path):
    (tmp_path / "bin").mkdir()
    shutil.copy(ROOT / "bin" / "solc", tmp_path / "bin" / "solc")
    (tmp_path / "node_modules").symlink_to(ROOT / "node_modules")
    (tmp_path / "package.json").write_text('{"devDependencies": {"solc": "0.8.36"}}')

    run = solc("--version", front=tmp_path / "bin" / "solc")

    assert run.returncode != 0
    assert "0.8.36" in run.stderr


def test_solc__imported_file_changed__is_not_answered_from_the_cache(tmp_path):
    source = 'pragma solidity ^0.8.24; import {N} from "n.sol"; contract C { uint256 public c = N; }'
    request = json.dumps(
        {
            "language": "Solidity",
            "sources": {"c.sol": {"content": source}},
            "settings": {"outputSelection": {"*": {"*": ["evm.bytecode.object"]}}},
        }
    )

    def compiled(n):
        (tmp_path / "n.sol").write_text(f"pragma solidity ^0.8.24; uint256 constant N = {n};")
        run = solc("--standard-json", cache=tmp_path / "cache", stdin=request, cwd=tmp_path)
        return json.loads(run.stdout)["contracts"]["c.sol"]["C"]["evm"]["bytecode"]["object"]

    first, second, again = compiled(1), compiled(2), compiled(2)

    assert first != second
    assert second == again
    assert len(list((tmp_path / "cache").glob("*.json"))) == 1


@pytest.mark.parametrize(
    ("version", "kept"), [(f"{PINNED}+commit.0badc0de", True), ("0.8.36+commit.0badc0de", False)]
)
def test_setup__native__is_kept_only_in_the_pinned_version(project, native, version, kept):
    (project / ".solc").unlink()
    binary = project / ".solc" / "native" / f"solc-v{PINNED}"
    binary.parent.mkdir(parents=True)
    shutil.copy(native(version), binary)

    offline = {**os.environ, "HTTPS_PROXY": "http://127.0.0.1:9"}

    run = subprocess.run(
        [sys.executable, "tools/solc.py"], cwd=project, env=offline, capture_output=True, text=True
    )

    assert run.returncode == 0, run.stderr
    assert run.stdout.split(": ")[1].startswith("native binary" if kept else "npm build")
    assert binary.exists() == kept


def test_settings__forge_and_ape__say_the_same():
    import yaml

    forge = tomllib.loads((ROOT / "foundry.toml").read_text())["profile"]["default"]
    ape = yaml.safe_load((ROOT / "ape-config.yaml").read_text())["solidity"]
    lock = json.loads((ROOT / "package-lock.json").read_text())["packages"]

    assert forge["solc"] == "./bin/solc"
    assert ape["version"] == PINNED == lock["node_modules/solc"]["version"]
    assert (ape["optimize"], ape["optimization_runs"]) == (forge["optimizer"], forge["optimizer_runs"])
    assert ape["evm_version"] == forge["evm_version"] == "cancun"


# The build


def test_build__library_edited__changes_every_dependent_and_nothing_else(project):
    before = build(project)
    library = project / "contracts" / "libraries" / "Twice.sol"
    library.write_text(library.read_text().replace("x * 2", "x * 3"))

    after = build(project)

    assert {name for name in after if after[name] != before[name]} == {"Twice", "Base", "Child"}


def test_build__contract_renamed__leaves_no_trace_of_the_old_name(project):
    build(project)
    file = project / "contracts" / "Alone.sol"
    file.write_text(file.read_text().replace("contract Alone", "contract Renamed"))

    assert set(build(project)) == {"Twice", "Base", "Child", "Renamed"}


def test_build__handed_to_ape__is_not_compiled_again(project, tmp_path):
    built = build(project)
    code = "from ape import project; print(project.Child.contract_type.runtime_bytecode.bytecode)"
    env = {
        **os.environ,
        "SOLCX_BINARY_PATH": str(tmp_path / "no-compiler"),
        "APE_DATA_FOLDER": str(tmp_path / "ape"),
    }

    run = subprocess.run(
        [sys.executable, "-c", code],
        cwd=project,
        env=env,
        capture_output=True,
        text=True,
    )

    assert run.stdout.split() == [built["Child"]], run.stdout + run.stderr


def test_build__every_contract__fits_in_a_block():
    types = json.loads((ROOT / ".build" / "__local__.json").read_text())["contractTypes"]
    sizes = {name: (len(entry["runtimeBytecode"]["bytecode"]) - 2) // 2 for name, entry in types.items()}

    assert len(sizes) >= 12
    assert {name: size for name, size in sizes.items() if size > MAX_RUNTIME} == {}


# What is committed


def test_committed__no_registry_host():
    hosts = r"registry[.]npmjs|registry[.]yarnpkg|pypi[.]org|pythonhosted[.]org|deb[.]debian"
    options = r"--(?:extra-)?index[-]url|--find[-]links|^registry\s*=|\"resolved\"[:]"
    pattern = re.compile(f"{hosts}|{options}", re.M)

    assert [(name, hit) for name, text in committed() for hit in pattern.findall(text)] == []


def test_committed__no_path_of_a_machine():
    places = ["/(?:home|Users|root|work|opt|mnt|private)", re.escape(str(ROOT)), re.escape(str(Path.home()))]
    pattern = re.compile(rf"(?<![\w.$}}~/-])(?:{'|'.join(places)})/\w+")

    assert [(name, hit) for name, text in committed() for hit in pattern.findall(text)] == []


def test_committed__every_locked_package__has_a_hash():
    packages = json.loads((ROOT / "package-lock.json").read_text())["packages"]
    unhashed = [name for name, entry in packages.items() if name and not entry.get("integrity")]

    assert len(packages) > 10
    assert unhashed == []
    for lock, least in (("requirements.boot.lock", 1), ("requirements.lock", 50)):
        entries = (ROOT / lock).read_text().replace("\\\n", " ").splitlines()
        assert len(entries) >= least
        assert [
            e for e in entries if not re.match(r"[\w.-]+(\[[\w,-]+\])?==\S+ .*--hash=sha256:[0-9a-f]{64}", e)
        ] == []


def test_committed__every_direct_requirement__is_locked():
    locked = set(re.findall(r"^([\w.-]+)==", (ROOT / "requirements.lock").read_text(), re.M))
    asked = set(re.findall(r"^([\w-]+)", (ROOT / "requirements.in").read_text(), re.M))

    assert asked
    assert asked - locked == set()


def test_committed__scripts_that_are_run__are_executable():
    for name in ("bin/solc", ".ci/run"):
        assert (ROOT / name).stat().st_mode & stat.S_IXUSR, name
