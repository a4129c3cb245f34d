"""What the venues have in common: played accounts, and the life of a handle."""

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from eth_utils import keccak, to_checksum_address

from devnet.artifacts import mock
from devnet.rpc import Contract, Rpc

if TYPE_CHECKING:
    from web3 import Web3

WAD = 10**18
POCKET_MONEY = 100 * WAD  # Wei that a funded account has at least.


def actor(name: str) -> str:
    """The address of a played account. Nobody has its key: the chain lets us act as it."""
    return to_checksum_address(keccak(text=f"devnet {name}")[-20:])


OWNER, MAKER = actor("owner"), actor("maker")


class Venue(ABC):
    """A venue on an Anvil, own or forked. Make it with `build`, `connect` or `load`."""

    landmark: str  # What each of its markets has in `to_dict()`, and no other venue's.
    rpc: Rpc
    settlement_token: Contract
    decimals: int
    unit: int
    markets: Mapping[str, Any]

    @classmethod
    @abstractmethod
    def build(cls, url: str, *args: Any, **choices: Any) -> Self:
        """Deploy the venue, ready to trade."""

    @classmethod
    @abstractmethod
    def connect(cls, url: str, addresses: dict[str, Any], *, own_aggregator: bool = False) -> Self:
        """Attach to a venue by `to_dict()`'s answer.

        `own_aggregator` lays our settable price feed over each market's real one, on forks of public chains.
        """

    @abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """All addresses, ready for JSON."""

    @classmethod
    def is_at(cls, addresses: dict[str, Any]) -> bool:
        """Whether these are addresses of such a venue."""
        return all(cls.landmark in market for market in addresses["markets"].values())

    @classmethod
    def load(cls, url: str, path: Path | str) -> Self:
        """Put a dumped venue onto the fresh Anvil at `url`."""
        dump = json.loads(Path(path).read_text())
        rpc = Rpc(url)
        now = rpc.timestamp()
        rpc("anvil_loadState", dump["state"])
        # A state changes the chain's blocks, and not its clock.
        rpc("evm_setNextBlockTimestamp", hex(max(dump["timestamp"], now) + 1))
        rpc("evm_mine")
        return cls.connect(url, dump["venue"])

    def dump(self, path: Path | str) -> None:
        """Write the chain and the venue's addresses to one file for `load`."""
        state = {
            "venue": self.to_dict(),
            "timestamp": self.rpc.timestamp(),
            "state": self.rpc("anvil_dumpState"),
        }
        Path(path).write_text(json.dumps(state))

    @cached_property
    def web3(self) -> "Web3":
        """A web3.py handle of the same chain."""
        from web3 import Web3

        return Web3(Web3.HTTPProvider(self.rpc.url))

    def take_over_aggregator(self, market: str) -> None:
        """Lay our settable price feed over the market's real one, with the same answer."""
        aggregator = self.markets[market].aggregator
        decimals, answer = aggregator.call("decimals"), aggregator.call("latestRoundData")[1]
        twin = Contract.deploy(self.rpc, OWNER, mock("MockAggregator"), decimals, answer)
        self.rpc("anvil_setCode", aggregator, self.rpc("eth_getCode", twin, "latest"))
        aggregator.send("set", answer, sender=OWNER)

    def _give_pocket_money(self, account: str) -> None:
        ether = int(self.rpc("eth_getBalance", account, "latest"), 16)
        self.rpc("anvil_setBalance", account, hex(max(ether, POCKET_MONEY)))

    def _own(self, contract: Contract, function: str, *args: object) -> None:
        contract.send(function, *args, sender=contract.call("owner"))
