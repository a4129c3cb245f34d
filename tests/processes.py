"""A command of ours in a process of its own, and the lines of JSON that it logs."""

import ctypes
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from threading import Condition, Thread
from typing import Any

BIN = Path(sys.executable).parent
SECONDS = 120  # For whatever happens, on a machine with much else to do.


PR_SET_PDEATHSIG = 1


def end_with_us() -> None:
    """In a child: be killed when these tests end, however they end, where Linux can do that."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Running:
    """A process whose output is read while it runs."""

    def __init__(self, program: str, *args: str, env: Mapping[str, str] | None = None):
        self.lines: list[dict[str, Any]] = []
        self.text = ""
        self._changed = Condition()
        self._ended = False
        self.process = subprocess.Popen(
            [str(BIN / program), *args],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            preexec_fn=end_with_us,
            env={**os.environ, "PYTHONUNBUFFERED": "1", **(env or {})},
        )
        Thread(target=self._read, daemon=True).start()

    def wait_for(self, wanted: str | Callable[[dict[str, Any]], bool], count: int = 1) -> dict[str, Any]:
        """The line of an event, or one that is as wanted; the last of so many."""
        is_wanted = wanted if callable(wanted) else lambda line: line.get("event") == wanted

        def found() -> list[dict[str, Any]]:
            return [line for line in self.lines if is_wanted(line)]

        with self._changed:
            self._changed.wait_for(lambda: len(found()) >= count or self._ended, SECONDS)
            assert len(found()) >= count, f"{wanted} did not come: {self.text[-3_000:]}"
            return found()[count - 1]

    def events(self, *names: str) -> list[dict[str, Any]]:
        """Lines of these events so far."""
        return [line for line in self.lines if line.get("event") in names]

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Signal it and wait for its end; its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        code = self.process.wait(SECONDS)
        with self._changed:
            self._changed.wait_for(lambda: self._ended, SECONDS)
        return code

    def __enter__(self) -> "Running":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop(signal.SIGKILL)

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._changed:
                self.text += line
                if line.startswith("{"):
                    self.lines.append(json.loads(line))
                self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()
