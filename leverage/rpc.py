"""JSON-RPC over HTTP: a time limit, retries, and every failure in words that never show the node's URL."""

import itertools
import json
import os
import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential_jitter
from urllib3 import PoolManager, Timeout
from urllib3.exceptions import HTTPError

from leverage.errors import Errors, LeverageError, RevertError, UnreachableError, revert

SECONDS = 10.0
TRIES = 3
PAUSE = 0.2  # Seconds before the second try; twice as long before the third.
TOO_MANY = (429, -32005)  # What HTTP and EIP-1474 say to who asks too often.


class Rpc:
    """One node. Its URL may carry a key: what is said names the node by `name` alone."""

    def __init__(
        self,
        url: str,
        name: str = "the node",
        *,
        headers: Mapping[str, str] | None = None,
        seconds: float = SECONDS,
        tries: int = TRIES,
        pause: float = PAUSE,
    ):
        self.name = name
        self._url = url
        self._pool = PoolManager(
            timeout=Timeout(connect=seconds, read=seconds),
            retries=False,
            headers={"Content-Type": "application/json", **(headers or {})},
        )
        self._ids = itertools.count(1)
        self._attempts = Retrying(
            retry=retry_if_exception_type(UnreachableError),
            stop=stop_after_attempt(tries),
            wait=wait_exponential_jitter(multiplier=pause, max=10 * pause, jitter=pause),
            reraise=True,
        )

    @classmethod
    def named_by(cls, url: str, name: str) -> "Rpc":
        """A node by a URL in which `$VARIABLES` stand for what the environment holds, such as a key."""
        for variable in re.findall(r"\$(?:\{(\w+)\}|(\w+))", url):
            if "".join(variable) not in os.environ:
                raise LeverageError(f"{name}: set {''.join(variable)} in the environment")
        expanded = os.path.expandvars(url)
        try:
            parts = urlsplit(expanded)
            is_usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        except ValueError:
            is_usable = False
        if not is_usable:
            raise LeverageError(f"{name}: not a URL that begins with http:// or https://")
        return cls(expanded, name)

    def __call__(self, method: str, *params: Any, errors: Errors | None = None) -> Any:
        """The result of one request. A revert raises `RevertError` in the words of `errors`.

        Nothing, nonsense or a refusal of too many requests raises `UnreachableError`, after some tries.
        """
        return result_of(self._attempts(self._post, method, params), method, errors, self.name)

    def _post(self, method: str, params: Sequence[Any]) -> dict[str, Any]:
        number = next(self._ids)
        body = json.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": list(params)})
        try:
            answer = self._pool.request("POST", self._url, body=body.encode())
            status, data = answer.status, answer.data
        except (HTTPError, OSError) as error:
            raise UnreachableError(f"{self.name} did not answer {method} ({type(error).__name__})") from None
        if status in TOO_MANY:
            raise UnreachableError(f"{self.name} refused {method}: too many requests")
        try:
            found = json.loads(data)
        except ValueError:
            found = None
        if not isinstance(found, dict) or not {"result", "error"} & found.keys() or found.get("id") != number:
            raise UnreachableError(f"{self.name} answered {method} with nonsense (HTTP {status})")
        problem = found.get("error")
        if isinstance(problem, dict) and problem.get("code") in TOO_MANY:
            raise UnreachableError(f"{self.name} refused {method}: too many requests")
        return found


def result_of(
    answer: Mapping[str, Any], method: str, errors: Errors | None = None, name: str = "the node"
) -> Any:
    """What an answer holds; its error raises in words."""
    if answer.get("error") is None:
        return answer.get("result")
    problem = answer["error"] if isinstance(answer["error"], dict) else {"message": str(answer["error"])}
    message, data = str(problem.get("message", "")), problem.get("data")
    data = data.get("data") if isinstance(data, dict) else data
    if isinstance(data, str) and (found := re.search("0x((?:[0-9a-fA-F]{2})*)", data)):
        raise revert(bytes.fromhex(found[1]), errors or {})
    text = (message.splitlines() or [""])[0]
    raise RevertError(text) if "revert" in text.lower() else LeverageError(f"{name} refused {method}: {text}")


def number(value: Any, what: str) -> int:
    """A quantity that a node has sent."""
    try:
        found = int(value, 16)
    except (TypeError, ValueError):
        found = -1
    if not 0 <= found < 2**256:
        raise UnreachableError(f"the node sent {what} that is no number")
    return found


def octets(value: Any, what: str) -> bytes:
    """Data that a node has sent."""
    try:
        return bytes.fromhex(value.removeprefix("0x"))
    except (AttributeError, ValueError):
        raise UnreachableError(f"the node sent {what} that is no data") from None
