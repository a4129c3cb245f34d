"""An RPC between a keeper and its node that misbehaves as it is told."""

import json
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from urllib3 import PoolManager

Request = dict[str, Any]
Forward = Callable[[Request], Any]
# What is answered: JSON, raw bytes with a status, or nothing at all (None).
Fault = Callable[[Request, Forward], Any]

# Where a request says of which block's state it speaks.
BLOCK_AT = {
    "eth_call": 1,
    "eth_estimateGas": 1,
    "eth_getBalance": 1,
    "eth_getTransactionCount": 1,
    "eth_getBlockByNumber": 0,
    "eth_getCode": 1,
}


class FaultyRpc:
    """Forwards to the node at `upstream`, or does what `fault` says. `asked` is every method asked for."""

    def __init__(self, upstream: str):
        self.fault: Fault | None = None
        self.asked: list[str] = []
        pool = PoolManager(retries=False)

        def forward(request: Request) -> Any:
            answer = pool.request(
                "POST", upstream, json=request, headers={"Content-Type": "application/json"}
            )
            return json.loads(answer.data)

        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:  # noqa: N802
                request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                proxy.asked.append(request["method"])
                try:
                    answer = proxy.fault(request, forward) if proxy.fault else forward(request)
                    self._answer(answer)
                except (BrokenPipeError, ConnectionResetError):
                    self.close_connection = True

            def _answer(self, answer: Any) -> None:
                if answer is None:
                    self.close_connection = True
                    return
                status, body = answer if isinstance(answer, tuple) else (200, json.dumps(answer).encode())
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def __enter__(self) -> "FaultyRpc":
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def count(self, method: str) -> int:
        """How often a method was asked for."""
        return self.asked.count(method)


def down(request: Request, forward: Forward) -> Any:
    """The connection is closed without a word."""
    return None


def slow(seconds: float) -> Fault:
    """Everything takes so long."""

    def fault(request: Request, forward: Forward) -> Any:
        time.sleep(seconds)
        return forward(request)

    return fault


def saying(body: bytes, *methods: str, status: int = 200) -> Fault:
    """These methods, or all, get these bytes for an answer."""

    def fault(request: Request, forward: Forward) -> Any:
        return (status, body) if not methods or request["method"] in methods else forward(request)

    return fault


def resulting(result: Any, *methods: str) -> Fault:
    """These methods, or all, get this result."""

    def fault(request: Request, forward: Forward) -> Any:
        if methods and request["method"] not in methods:
            return forward(request)
        return {"jsonrpc": "2.0", "id": request["id"], "result": result}

    return fault


def limited(times: int) -> Fault:
    """So many requests are refused as too many; then it answers."""
    left = iter(range(times))

    def fault(request: Request, forward: Forward) -> Any:
        return (429, b"slow down") if next(left, None) is not None else forward(request)

    return fault


def lagging(blocks: int) -> Fault:
    """Serves the chain as it was so many blocks ago, and takes transactions."""

    def fault(request: Request, forward: Forward) -> Any:
        head = int(forward({**request, "method": "eth_blockNumber", "params": []})["result"], 16) - blocks
        if request["method"] == "eth_blockNumber":
            return {"jsonrpc": "2.0", "id": request["id"], "result": hex(head)}
        if (place := BLOCK_AT.get(request["method"])) is not None:
            params = list(request["params"])
            if params[place : place + 1] in (["latest"], ["pending"], []):
                params[place:] = [hex(head), *params[place + 1 :]]
            request = {**request, "params": params}
        return forward(request)

    return fault


def deaf_after(method: str, is_done: bool = True) -> Fault:
    """A request of this method is carried out, or not, and never answered; nor is anything after it."""
    gone = threading.Event()

    def fault(request: Request, forward: Forward) -> Any:
        if gone.is_set():
            return None
        if request["method"] == method:
            gone.set()
            if is_done:
                forward(request)
            return None
        return forward(request)

    return fault


class Gate:
    """Holds the n-th request of a method, before or after it is carried out, until it is let go."""

    def __init__(self, method: str, nth: int = 1, is_done: bool = False):
        self.reached = threading.Event()
        self._open = threading.Event()
        self._method, self._is_done, self._left = method, is_done, nth

    def __call__(self, request: Request, forward: Forward) -> Any:
        self._left -= request["method"] == self._method
        if request["method"] != self._method or self._left > 0 or self.reached.is_set():
            return forward(request)
        answer = forward(request) if self._is_done else None
        self.reached.set()
        self._open.wait(300)
        return answer

    def open(self) -> None:
        """Answer at last, or close the connection."""
        self._open.set()
