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
    "model_twin",
    "lens",
    "gas",
    "neutrality",
    "queued_gas",
    "queued_neutrality",
    "queued_blocked",
    "model_engine",
    "keeper_scan",
    "keeper_service",
)
# What measures seconds has the machine to itself, when the others are done.
ALONE = {"model_engine", "keeper_scan", "keeper_service"}
AT_ONCE = 2

Say = Callable[[str, str], None]


class BenchError(Exception):
    """A part ended without figures."""


def run(names: Sequence[str], say: Say, out: Path = OUT) -> dict[str, Any]:
    """Measure these parts and write their figures. `say(name, text)` is told what each part is doing."""
    results = {}
    for at_once, chosen in ((AT_ONCE, set(names) - ALONE), (1, ALONE & set(names))):
        ordered = [name for name in names if name in chosen]
        with ThreadPoolExecutor(at_once) as pool:
            results |= zip(ordered, pool.map(lambda name: measure(name, say), ordered), strict=True)
    figures: dict[str, Any] = {"perp_v2": {}, "synthetix": {}, "model": {}, "keeper": {}, "seconds": {}}
    for name in names:
        measured, seconds = results[name]
        figures[subject(name)] |= measured
        figures["seconds"][name] = round(seconds, 1)
    out.parent.mkdir(exist_ok=True)
    out.write_text(json.dumps(figures, indent=1) + "\n")
    return figures


def subject(name: str) -> str:
    """What a part measures: a venue, the model, or the keeper."""
    for prefix, key in (("queued_", "synthetix"), ("model_", "model"), ("keeper_", "keeper")):
        if name.startswith(prefix):
            return key
    return "perp_v2"


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
