"""A web server that takes notes, and the protocol on a fork: see tests/sites.py."""

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
from sites import deployed, site, snapshot_of, venue
from standins import Notes

__all__ = ["deployed", "site", "snapshot_of", "venue"]


@pytest.fixture
def notes() -> Iterator[Notes]:
    taken = Notes()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:  # noqa: N802
            assert self.headers["Content-Type"] == "application/json"
            status = taken.take(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    taken.url = f"http://127.0.0.1:{server.server_address[1]}/a-secret"
    yield taken
    server.shutdown()
    server.server_close()
