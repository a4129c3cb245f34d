"""Runs the parts beside each other, each in its own process with its own chain, and writes the figures."""

import json
import os
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "build" / "bench.json"
# The longest first.
PARTS = (
    "stale_oracle",
    "queued_stale_oracle",
    "lens",
    "gas",
    "neutrality",
    "queued_gas",
    "queued_neutrality",
    "queued_blocked",
)
AT_ONCE = 2

Say = Callable[[str, str], None]


class BenchError(Exception):
    """A part ended without figures."""


def run(names: Sequence[str], say: Say, out: Path = OUT) -> dict[str, Any]:
    """Measure these parts and write their figures. `say(name, text)` is told what each part is doing."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        results = list(pool.map(lambda name: measure(name, say), names))
    figures: dict[str, Any] = {"perp_v2": {}, "synthetix": {}, "seconds": {}}
    for name, (measured, seconds) in zip(names, results, strict=True):
        figures[venue_of(name)] |= measured
        figures["seconds"][name] = round(seconds, 1)
    out.parent.mkdir(exist_ok=True)
    out.write_text(json.dumps(figures, indent=1) + "\n")
    return figures


def venue_of(name: str) -> str:
    """The venue that a part measures on."""
    return "synthetix" if name.startswith("queued_") else "perp_v2"


def measure(name: str, say: Say) -> tuple[dict[str, Any], float]:
    """One part in its own process: its figures and the seconds that took."""
    began = time.monotonic()
    command = [sys.executable, "-m", "bench", name]
    # Other lines are what the libraries below had to say.
    others: deque[str] = deque(maxlen=5)
    figures = None
    with subprocess.Popen(
        command, cwd=ROOT, env=os.environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if not line.startswith("{"):
                others.append(line.rstrip())
                continue
            told = json.loads(line)
            if "doing" in told:
                say(name, told["doing"])
            figures = told.get("figures", figures)
    if process.returncode or figures is None:
        raise BenchError(f"{name}: " + " | ".join(filter(None, others)))
    say(name, "done")
    return figures, time.monotonic() - began
