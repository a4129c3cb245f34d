"""The outside world on a local Anvil: a chain, and the real venues on it. Product code never imports this."""

from typing import Any

from devnet.anvil import Anvil, AnvilError
from devnet.perp_v2 import Market, PerpV2
from devnet.perp_v2_build import MarketSpec
from devnet.rpc import Contract, RevertError, Rpc, RpcError

VENUES = {"perp_v2": PerpV2}

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
    "start",
]


def start(
    venue: str = "perp_v2",
    port: int | None = 8545,
    *,
    anvil_options: dict[str, Any] | None = None,
    **build: Any,
) -> tuple[Anvil, PerpV2]:
    """Start a chain with a venue on it; `port` None takes a free one. Stop it with the chain's `stop()`."""
    anvil = Anvil.start(port, **(anvil_options or {}))
    try:
        return anvil, VENUES[venue].build(anvil.url, **build)
    except BaseException:
        anvil.stop()
        raise
