"""Install the pinned native compiler where it can be downloaded; elsewhere the npm build serves.

The version is the one package.json pins. bin/solc chooses between the two; Ape finds bin/solc through
SOLCX_BINARY_PATH=.solc/front.
"""

import json
import multiprocessing
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VERSION = json.loads((ROOT / "package.json").read_text())["devDependencies"]["solc"]
NATIVE = ROOT / ".solc" / "native"
FRONT = ROOT / ".solc" / "front"
PROBE_SECONDS = 5
DOWNLOAD_SECONDS = 120


def download() -> None:
    import requests
    import solcx
    from solcx import install

    listing = install.BINARY_DOWNLOAD_BASE.format(install._get_os_name(), "list.json")
    requests.head(listing, timeout=PROBE_SECONDS).raise_for_status()
    solcx.install_solc(VERSION, show_progress=False, solcx_binary_path=NATIVE)


def attempt() -> None:
    """Run in a process of its own, which can be ended; its output is not for the reader."""
    with open(os.devnull, "w") as quiet:
        os.dup2(quiet.fileno(), 1)
        os.dup2(quiet.fileno(), 2)
        download()


def reported(solc: Path) -> str:
    try:
        run = subprocess.run([solc, "--version"], capture_output=True, text=True)
    except OSError as error:
        return str(error)
    line = next((line for line in run.stdout.splitlines() if line.startswith("Version: ")), "")
    return line.removeprefix("Version: ") or run.stderr.strip() or "nothing"


def is_pinned(solc: Path) -> bool:
    return reported(solc).startswith(VERSION + "+")


def main() -> None:
    binary = NATIVE / f"solc-v{VERSION}"
    NATIVE.mkdir(parents=True, exist_ok=True)
    FRONT.mkdir(parents=True, exist_ok=True)
    link = FRONT / binary.name
    link.unlink(missing_ok=True)
    link.symlink_to("../../bin/solc")

    if not is_pinned(binary):
        binary.unlink(missing_ok=True)
        process = multiprocessing.get_context("spawn").Process(target=attempt, daemon=True)
        process.start()
        process.join(DOWNLOAD_SECONDS)
        if process.is_alive():
            process.kill()
            process.join()
    if not is_pinned(binary):
        binary.unlink(missing_ok=True)  # Half a download, or made for another machine.

    front = ROOT / "bin" / "solc"
    if not is_pinned(front):
        sys.exit(f"solc: bin/solc reports {reported(front)}, not {VERSION}")
    npm = "npm build (no native binary can be downloaded here; the bytecode is the same)"
    print(f"solc {reported(front)}: {'native binary' if binary.exists() else npm}")


if __name__ == "__main__":
    main()
