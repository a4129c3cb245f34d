"""Signed prices for venues that fill later, from a price service with the interface of Pyth's Hermes.

A service that wants a key gets the one in the environment's PYTH_API_KEY.
"""

import json
import os
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode, urlsplit
from urllib.request import Request, urlopen

from leverage.errors import LeverageError

# The proof for the price `id`, of the second `since` or later, that the service at `url` gives.
Source = Callable[[str, str, int], list[bytes]]

SECONDS = 5.0
TRIES = 6
KEY = "PYTH_API_KEY"


class PriceServiceError(LeverageError):
    """The price service has no proof. The text names its host, never its URL, which may carry a key."""


def fetch(url: str, price_id: str, since: int, sleep: Callable[[float], None] = time.sleep) -> list[bytes]:
    """The latest signed price, of the second `since` or later: some seconds are waited for it.

    `$VARIABLES` in the URL are taken from the environment.
    """
    base = os.path.expandvars(url).rstrip("/")
    host = urlsplit(base).hostname
    query = urlencode({"ids[]": price_id, "encoding": "hex", "parsed": "true"})
    published = 0
    for _ in range(TRIES):
        published, proof = parse(_get(f"{base}/v2/updates/price/latest?{query}", host), price_id, host)
        if published >= since:
            return proof
        sleep(0.5)
    raise PriceServiceError(
        f"price service {host}: its latest price is of {published}, not of {since} or later"
    )


def parse(answer: Any, price_id: str, host: str | None) -> tuple[int, list[bytes]]:
    """When a price was published, and the signed update that holds it."""
    try:
        prices: Mapping[str, Any] = {entry["id"]: entry["price"] for entry in answer["parsed"]}
        proof = [bytes.fromhex(update.removeprefix("0x")) for update in answer["binary"]["data"]]
        return int(prices[price_id.removeprefix("0x").lower()]["publish_time"]), proof
    except (KeyError, TypeError, ValueError, AttributeError):
        raise PriceServiceError(f"price service {host}: no price {price_id} in its answer") from None


def _get(url: str, host: str | None) -> Any:
    headers = {"User-Agent": "leveraged-tokens"}  # Who has no name is turned away by some.
    if key := os.environ.get(KEY):
        headers["Authorization"] = f"Bearer {key}"
    try:
        with urlopen(Request(url, headers=headers), timeout=SECONDS) as answer:
            return json.load(answer)
    except HTTPError as error:
        advice = f": is {KEY} set?" if error.code in (401, 403) else ""
        raise PriceServiceError(
            f"price service {host} answered {error.code} {error.reason}{advice}"
        ) from None
    except (OSError, ValueError) as error:
        raise PriceServiceError(f"price service {host} did not answer ({type(error).__name__})") from None
