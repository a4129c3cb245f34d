"""The outside world on a local Anvil: a chain, and the real venues on it. Product code never imports this."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from devnet.anvil import Anvil, AnvilError
from devnet.perp_v2 import Market, PerpV2
from devnet.perp_v2_build import MarketSpec
from devnet.rpc import Contract, RevertError, Rpc, RpcError
from devnet.synthetix import Synthetix
from devnet.venue import Venue

# Some hundreds of past states stay in memory: those that Anvil writes to disk lose their contracts' code.
PAST = ("--max-persisted-states", "0")
VENUES: dict[str, type[Venue]] = {"perp_v2": PerpV2, "synthetix": Synthetix}

__all__ = [
    "Anvil",
    "AnvilError",
    "Contract",
    "Market",
    "MarketSpec",
    "PerpV2",
    "RevertError",
    "Rpc",
    "RpcError",
    "Synthetix",
    "Venue",
    "forked",
    "start",
]


def start(
    venue: str = "perp_v2",
    port: int | None = 8545,
    *,
    anvil_options: dict[str, Any] | None = None,
    **build: Any,
) -> tuple[Anvil, Venue]:
    """Start a chain with a venue on it; `port` None takes a free one. Stop it with the chain's `stop()`."""
    anvil = Anvil.start(port, **(anvil_options or {}))
    try:
        return anvil, VENUES[venue].build(anvil.url, **build)
    except BaseException:
        anvil.stop()
        raise


@contextmanager
def forked(venue: str = "perp_v2", *, frozen_clock: bool = True, **build: Any) -> Iterator[Venue]:
    """A venue on a fork, as an operator would rehearse: yields its handle, whose `rpc.url` is the fork's.

    What is forked is the chain behind FORK_RPC_URL, with the venue's addresses from the JSON file that
    FORK_VENUE names (as `to_dict()`; see the venue's `connect` for those that are enough). Without
    them, when they are another venue's, or when `build` asks for a venue of its own kind, it is a fresh
    Anvil that holds one so built.
    """
    url = os.environ.get("FORK_RPC_URL")
    if url and not build:
        book = os.environ.get("FORK_VENUE")
        if not book:
            raise AnvilError("FORK_RPC_URL is set: set FORK_VENUE to a JSON file with the venue's addresses")
        addresses = json.loads(Path(book).read_text())
        if VENUES[venue].is_at(addresses):
            with Anvil.start(fork_url=url, frozen_clock=frozen_clock) as fork:
                yield VENUES[venue].connect(fork.url, addresses, own_aggregator=True)
            return
    upstream, original = start(venue, port=None, **build)
    with upstream, Anvil.start(fork_url=upstream.url, frozen_clock=frozen_clock, extra=PAST) as fork:
        yield VENUES[venue].connect(fork.url, original.to_dict())
