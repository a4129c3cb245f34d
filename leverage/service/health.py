"""Whether the keeper is well, and the two pages that tell: /health and /metrics."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

from prometheus_client import CONTENT_TYPE_LATEST

from leverage.errors import LeverageError
from leverage.keeper import events

PATIENCE = 60
REQUEST_SECONDS = 10


@dataclass
class Health:
    """A listener that knows when a block was last read and when a pass last got on.

    `patience` is in seconds: the longest that may take, on a chain whose blocks come faster than that.
    """

    patience: float = PATIENCE
    now: Callable[[], float] = time.monotonic
    block: int | None = None
    error: str = ""
    _answered: float = field(init=False)
    _risen: float = field(init=False)
    _passed: float = field(init=False)
    _has_passed: bool = False

    def __post_init__(self) -> None:
        self._answered = self._risen = self._passed = self.now()

    def __call__(self, event: events.Event) -> None:
        # A pass with much to do takes long, but gets on.
        if isinstance(event, events.Acted | events.Passed | events.Mined):
            self._passed = self.now()

    def saw(self, block: int) -> None:
        """The node told its newest block."""
        self._answered = self.now()
        if block != self.block:
            self.block, self._risen = block, self._answered

    def failed(self, error: str) -> None:
        """The node did not tell its newest block, or a pass broke off."""
        self.error = error

    def end_pass(self) -> None:
        """A pass has ended."""
        self.error, self._passed, self._has_passed = "", self.now(), True

    def unreachable(self) -> str:
        """Why no blocks are read; empty while they are."""
        now = self.now()
        if now - self._answered > self.patience:
            return _since(now - self._answered, "the node has not answered", self.error)
        if now - self._risen > self.patience:
            return _since(now - self._risen, f"there has been no block after {self.block}")
        return ""

    def stalled(self) -> str:
        """Why no pass ends; empty while they do."""
        waited = self.now() - self._passed
        return _since(waited, "no pass has ended", self.error) if waited > self.patience else ""

    def problem(self) -> str:
        """Why the keeper is not well; empty while it is."""
        if not self._has_passed:
            return "no pass has ended yet" + (f": {self.error}" if self.error else "")
        return self.unreachable() or self.stalled()


def _since(seconds: float, what: str, why: str = "") -> str:
    return f"{what} for {seconds:.0f} s" + (f": {why}" if why else "")


class Pages:
    """A small web server in a thread of its own."""

    def __init__(self, host: str, port: int, problem: Callable[[], str], metrics: Callable[[], bytes]):
        """Bind at once; port 0 takes a free one."""

        class Handler(BaseHTTPRequestHandler):
            timeout = REQUEST_SECONDS

            def do_GET(self) -> None:  # noqa: N802
                path = self.path.partition("?")[0]
                if path == "/metrics":
                    self._answer(HTTPStatus.OK, CONTENT_TYPE_LATEST, metrics())
                elif path == "/health":
                    found = problem()
                    status = HTTPStatus.SERVICE_UNAVAILABLE if found else HTTPStatus.OK
                    self._answer(status, "text/plain; charset=utf-8", f"{found or 'ok'}\n".encode())
                else:
                    self._answer(HTTPStatus.NOT_FOUND, "text/plain", b"/health or /metrics\n")

            def _answer(self, status: HTTPStatus, kind: str, body: bytes) -> None:
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                """Who asks is not worth a line."""

        try:
            self._server = ThreadingHTTPServer((host, port), Handler)
        except (OSError, OverflowError) as error:
            raise LeverageError(
                f"--metrics-host {host} --metrics-port {port}: {error}; choose another, or 0 for any port"
            ) from None
        self._server.daemon_threads = True
        self.port: int = self._server.server_address[1]
        self._thread = Thread(target=self._server.serve_forever, name="pages", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Answer no more."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
