"""Whether a node can be believed: the right chain, at its end, and of one mind with the node that is sent
through.

A node that is late does no harm, since the vaults decide for themselves, but what is due is seen late: that
is said, and the pass goes on. Another chain is refused.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from leverage.errors import LeverageError, UnreachableError
from leverage.keeper.transactions import Rpc
from leverage.rpc import number

LATE = 900  # Seconds by which a block may be older than this machine's clock, which may be wrong itself.
BEHIND = 10  # Blocks that nodes of one chain may be apart.


class WrongChainError(LeverageError):
    """The node serves another chain than the one the keeper is for."""


@dataclass
class Watch:
    """Looks at the node that is read from, and at `relay` if that is another one."""

    rpc: Rpc
    chain_id: int
    relay: Rpc | None = None
    date: Callable[[], float] | None = time.time
    _highest: int = 0

    def require_chains(self) -> None:
        """Refuse nodes of another chain."""
        for rpc, name in ((self.rpc, "the node"), (self.relay, "that of --send-rpc")):
            if rpc and (found := number(rpc("eth_chainId"), "a chain id")) != self.chain_id:
                raise WrongChainError(f"{name} is of chain {found}, not of {self.chain_id}")

    def look(self) -> list[str]:
        """What is wrong, in words. Raises where the node must not be believed at all."""
        self.require_chains()
        head = _block(self.rpc, "latest")
        height, at = number(head["number"], "a block"), number(head["timestamp"], "a time")
        troubles = []
        if self._highest - height > BEHIND:
            troubles.append(f"the node went back from block {self._highest} to {height}")
        self._highest = max(self._highest, height)
        if self.date and (late := round(self.date() - at)) > LATE:
            troubles.append(f"the node's latest block is {late} s old, or this machine's clock is wrong")
        return troubles + (self._compared(height) if self.relay else [])

    def _compared(self, height: int) -> list[str]:
        """The two nodes' views, as far as the one that transactions are sent through has any."""
        assert self.relay is not None
        try:
            there = number(_block(self.relay, "latest")["number"], "a block")
            deep = hex(max(0, min(there, height) - BEHIND))
            ours, theirs = _block(self.rpc, deep)["hash"], _block(self.relay, deep)["hash"]
        except LeverageError:
            return []
        if ours != theirs:
            raise WrongChainError(
                f"the two nodes disagree about block {int(deep, 16)}: one of them is on another chain"
            )
        if abs(there - height) > BEHIND:
            return [f"the node is at block {height}, that of --send-rpc at {there}: one of them is late"]
        return []


def _block(rpc: Rpc, which: str) -> dict[str, Any]:
    block = rpc("eth_getBlockByNumber", which, False)
    if not isinstance(block, dict) or not {"number", "timestamp", "hash"} <= block.keys():
        raise UnreachableError("the node sent a block that is none")
    return block
