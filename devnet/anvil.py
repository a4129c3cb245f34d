"""A local chain in its own process."""

import json
import os
import shutil
import socket
import subprocess
import time
import weakref
import zlib
from collections.abc import Sequence
from pathlib import Path

from devnet.artifacts import ROOT
from devnet.rpc import Rpc, RpcError

BINARY = ROOT / "node_modules" / "@foundry-rs" / "anvil-linux-amd64" / "bin" / "anvil"
LOGS = ROOT / "build"
GZIP = 16 + zlib.MAX_WBITS


class AnvilError(Exception):
    """Anvil is missing, did not start, or stopped."""


class Anvil:
    """A running Anvil. Use it with `with`, or call `stop()`; it also stops with this Python process."""

    def __init__(self, process: subprocess.Popen[bytes], url: str, log: Path):
        self.url = url
        self.log = log
        self._process = process
        self._stop = weakref.finalize(self, _terminate, process, log)

    @classmethod
    def start(
        cls,
        port: int | None = None,
        *,
        host: str = "127.0.0.1",
        chain_id: int | None = None,
        fork_url: str | None = None,
        fork_block: int | None = None,
        load_state: Path | str | None = None,
        block_time: int | None = None,
        base_fee: int = 0,
        frozen_clock: bool = False,
        lean: bool = False,
        extra: Sequence[str] = (),
    ) -> "Anvil":
        """Start a chain and wait until it answers.

        `port` None takes a free one. `chain_id` None is 31337, or the forked chain's. `block_time` in seconds
        mines by the clock instead of at each transaction. `base_fee` in wei. With `frozen_clock` time passes
        only by `warp`, so that long simulations do not depend on the speed of the machine. A `lean` chain
        forgets its past blocks; a lean fork of the chain that holds the venue is the fastest for long runs.
        """
        if port is None:
            port = _free_port(host)
        elif _is_taken(host, port):
            # Anvil would end, and what answers there instead would be taken for it.
            raise AnvilError(f"port {port} is taken")
        options = ["--host", host, "--port", str(port), "--no-request-size-limit"]
        options += ["--base-fee", str(base_fee), "--gas-price", str(base_fee)]
        if fork_url is not None:
            # A cache on disk would mix up local chains, which share their id and their block numbers.
            options += ["--fork-url", fork_url, "--no-storage-caching"]
        elif chain_id is None:
            chain_id = 31337
        if chain_id is not None:
            options += ["--chain-id", str(chain_id)]
        if fork_block is not None:
            options += ["--fork-block-number", str(fork_block)]
        if lean:
            # From Prague on, a system contract stores each block's hash, and every block hashes all storage.
            options += ["--prune-history", "--hardfork", "cancun"]
        if load_state is not None:
            options += ["--load-state", str(load_state)]
        if block_time is not None:
            options += ["--block-time", str(block_time)]

        LOGS.mkdir(exist_ok=True)
        log = LOGS / f"anvil-{port}.log"
        # Past states go to disk by and by: into a place that goes with the chain.
        options += ["--cache-path", str(_states(log))]
        with log.open("w") as sink:
            process = subprocess.Popen(
                [_binary(), *options, *extra], stdin=subprocess.DEVNULL, stdout=sink, stderr=subprocess.STDOUT
            )
        anvil = cls(process, f"http://{host}:{port}", log)
        anvil._wait(seconds=60 if fork_url else 20)
        if frozen_clock:
            Rpc(anvil.url)("anvil_setBlockTimestampInterval", 0)
        return anvil

    def stop(self) -> None:
        """End the process. Calling it twice does no harm."""
        self._stop()

    def dump_state(self, path: Path | str) -> None:
        """Write the whole chain to a file that `start(load_state=path)` reads."""
        packed = bytes.fromhex(Rpc(self.url)("anvil_dumpState")[2:])
        Path(path).write_bytes(zlib.decompress(packed, GZIP))

    def __enter__(self) -> "Anvil":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _wait(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise AnvilError(f"Anvil ended with code {self._process.returncode}:\n{self._last_words()}")
            try:
                Rpc(self.url)("eth_chainId")
                return
            except (OSError, RpcError, json.JSONDecodeError):
                time.sleep(0.01)
        self.stop()
        raise AnvilError(f"Anvil did not answer within {seconds:.0f} s:\n{self._last_words()}")

    def _last_words(self) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-10:])


def _binary() -> str:
    if BINARY.exists() and os.access(BINARY, os.X_OK):
        return str(BINARY)
    found = shutil.which("anvil")
    if found is None:
        raise AnvilError("no anvil in node_modules or on the PATH: run `make setup`")
    return found


def _free_port(host: str) -> int:
    with socket.socket() as probe:
        probe.bind((host, 0))
        return probe.getsockname()[1]


def _is_taken(host: str, port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((host, port)) == 0


def _states(log: Path) -> Path:
    return log.with_suffix(".states")


def _terminate(process: subprocess.Popen[bytes], log: Path) -> None:
    if process.poll() is None:
        # Only the log of a chain that ended by itself tells anything.
        log.unlink(missing_ok=True)
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    shutil.rmtree(_states(log), ignore_errors=True)
