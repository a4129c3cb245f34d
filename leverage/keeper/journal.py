"""The keeper's log: a line per event, for people on a terminal, JSON for everybody else.

A log that cannot be written, because the disk is full or its reader has gone, holds nobody up: its lines are
counted, and the first that can be written again tells how many are missing.
"""

import os
from collections.abc import Mapping
from typing import Any, TextIO

import structlog

from leverage.keeper import events
from leverage.keeper.events import Event, Listener
from leverage.types import Trigger


class Patient:
    """A stream that counts what it could not write, and raises nothing."""

    def __init__(self, stream: TextIO):
        self._stream = stream
        self.lost = 0

    def write(self, text: str) -> int:
        """Write at once; what cannot be written is lost."""
        note = f'{{"event": "log_lost", "lines": {self.lost}}}\n' if self.lost else ""
        try:
            self._put(note + text)
        except (OSError, ValueError):
            self.lost += text.count("\n")
        else:
            self.lost = 0
        return len(text)

    def flush(self) -> None:
        """Nothing is kept back."""

    def _put(self, text: str) -> None:
        """Past the stream's own buffer, which would keep what fails and fail with it again."""
        try:
            file = self._stream.fileno()
        except (OSError, ValueError):
            self._stream.write(text)
            return
        data = text.encode()
        while data:
            data = data[os.write(file, data) :]


def log_to(stream: TextIO) -> None:
    """Log lines for people on a terminal, JSON for everybody else."""
    last = structlog.dev.ConsoleRenderer() if stream.isatty() else structlog.processors.JSONRenderer()
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            last,
        ],
        logger_factory=structlog.WriteLoggerFactory(Patient(stream)),  # type: ignore[arg-type]
    )


def journal(log: Any) -> Listener:
    """What is worth a line."""

    def tell(event: Event) -> None:
        match event:
            case events.Decided(token, action, is_dry=True):
                wanted = {"trigger": action.trigger.name, "size": action.size_delta}
                log.info(f"would_{action.kind}", token=token, **wanted)
            case events.Scheduled(token):
                log.info("scheduled", token=token)
            case events.Sent():
                log.info("sent", **vars(event))
            case events.Mined(is_reverted=True):
                log.warning("reverted", **vars(event))
            case events.Acted(token, action, fields):
                log.info(
                    str(action.kind), token=token, **{"trigger": action.trigger.name, **readable(fields)}
                )
            case events.Passed(token, reason=reason):
                log.info("nothing_to_do", token=token, reason=reason)
            case events.Declined(token, reason=reason):
                log.info("declined", token=token, reason=reason)
            case events.Failed(token, error, action):
                if action is None:
                    log.error("unreadable", token=token, error=error)
                else:
                    wanted = {"trigger": action.trigger.name, "size": action.size_delta}
                    log.error("failed", token=token, action=str(action.kind), error=error, **wanted)
            case events.Vanished():
                log.warning("vanished", **vars(event))
            case events.Waiting(tokens, seconds):
                log.info("waiting", tokens=list(tokens), seconds=round(seconds))
            case events.Trouble(what, error):
                log.error(what, error=error)
            case events.Ended():
                log.info("pass", **vars(event))

    return tell


def readable(fields: Mapping[str, Any]) -> dict[str, Any]:
    """An event's fields under their own names, its trigger by name."""
    shown = dict(fields)
    if "trigger" in shown:
        shown["trigger"] = Trigger(shown["trigger"]).name
    return shown
