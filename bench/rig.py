"""The protocol on a local Perp v2: vaults side by side, actors, and a clock that moves only when told to.

Units as in devnet: WAD and seconds; `assets` in the settlement token's own decimals.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from functools import cache
from typing import Any

from devnet import Anvil, Contract, PerpV2, Rpc, start
from devnet.artifacts import mock
from devnet.perp_v2_build import ARBITRAGEUR, WAD, actor
from leverage import abi, config
from leverage.types import Caps, Fees, Policy

DAY = 86_400
HOUR = 3_600
HEARTBEAT = 3_900
MAX_UINT = 2**256 - 1
GENESIS = 1_767_225_600  # A midnight: the same figures whenever they are measured.

ADMIN, TREASURY, KEEPER, HOLDER, USER = map(actor, ("admin", "treasury", "keeper", "holder", "user"))
NO_SEQUENCER = "0x" + "00" * 20
FREE = Fees(0, 0, 0)
UNCAPPED = Caps(2**128 - 1, 2**128 - 1)


@cache
def settings() -> config.Config:
    """The repository's own configuration: what is measured are its defaults."""
    return config.load()


def default_fees() -> Fees:
    return Fees(**settings().defaults.fees.model_dump())


def default_policy(target: int) -> Policy:
    return settings().defaults.policy.policy(target)


def default_deviation(market: str) -> int:
    return settings().markets[market].max_deviation


@dataclass(frozen=True)
class Fund:
    """A vault and the contracts around it."""

    market: str
    vault: Contract
    token: Contract
    adapter: Contract
    oracle: Contract

    def state(self) -> "FundState":
        """Size, cash and supply now, from the contracts' own views."""
        size, cash = self.adapter.call("position")
        return FundState(size, cash, self.token.call("totalSupply"))


@dataclass(frozen=True)
class FundState:
    size: int
    cash: int
    supply: int

    def equity(self, price: int) -> int:
        return self.cash + self.size * price // WAD

    def nav(self, price: int) -> float:
        """Equity per share; a float, for comparisons in basis points."""
        return self.equity(price) / self.supply

    def leverage(self, price: int) -> float:
        return self.size * price / WAD / self.equity(price)


class Rig:
    """A venue on its own chain, and what is deployed on it."""

    def __init__(self, anvil: Anvil, perp: PerpV2):
        self.anvil = anvil
        self.perp = perp
        self.rpc: Rpc = perp.rpc
        self.authority = self.deploy("Authority", ADMIN)

    @classmethod
    @contextmanager
    def started(cls, *, extra: tuple[str, ...] = (), lean: bool = False, **build: Any) -> Iterator["Rig"]:
        """A rig for one `with` block. A `lean` one keeps no past blocks and counts gas as Cancun did."""
        options = {
            "frozen_clock": True,
            "lean": lean,
            "extra": ("--timestamp", str(GENESIS), *extra),
        }
        anvil, perp = start(port=None, anvil_options=options, **build)
        with anvil:
            yield cls(anvil, perp)

    def deploy(self, name: str, *args: Any, sender: str = ADMIN) -> Contract:
        return Contract.deploy(self.rpc, sender, mock(name), *args)

    def oracle(self, market: str, max_deviation: int | None = None) -> Contract:
        """An oracle on the feed that the venue's index reads, too."""
        deviation = default_deviation(market) if max_deviation is None else max_deviation
        feed = self.perp.markets[market].aggregator
        return self.deploy("ChainlinkOracle", feed, HEARTBEAT, deviation, NO_SEQUENCER, 0)

    def fund(
        self, market: str, target: int, *, oracle: Contract | None = None, fees: Fees | None = None
    ) -> Fund:
        """A vault with its adapter; fees are the configuration's unless given."""
        oracle = oracle or self.oracle(market)
        base_token = self.perp.markets[market].base_token
        adapter = self.deploy("PerpV2Adapter", self.perp.clearing_house, base_token)
        vault = self.deploy("InstantVault", vault_arguments(self, market, target, adapter, oracle, fees))
        token = Contract(self.rpc, mock("LeveragedToken"), vault.call("token"))
        return Fund(market, vault, token, adapter, oracle)

    def give(self, account: str, assets: int, *spenders: str) -> None:
        """Fund an account and let contracts pull from it."""
        self.perp.fund(account, assets)
        for spender in spenders:
            self.perp.settlement_token.send("approve", spender, MAX_UINT, sender=account)

    @contextmanager
    def undone(self) -> Iterator[None]:
        """Whatever happens inside has not happened afterwards."""
        snapshot = self.rpc("evm_snapshot")
        try:
            yield
        finally:
            if not self.rpc("evm_revert", snapshot):
                raise RuntimeError("the chain could not be set back")
            # NOTE: Anvil clears its pool just after it mines: a revert in between leaves a transaction there.
            self.rpc("anvil_dropAllTransactions")

    def next_block(self, seconds: int) -> None:
        """Put the next transaction that long after the last block, to the second."""
        self.rpc("evm_setNextBlockTimestamp", hex(self.rpc.timestamp() + seconds))

    def refresh(self, *markets: str) -> None:
        """Report the same prices anew, as a feed does at its heartbeat, and settle the venue's funding."""
        for market in markets:
            self.perp.settle_funding(ARBITRAGEUR)
            self.perp.set_price(market, self.perp.index_price(market))

    def live(self, seconds: int, *markets: str) -> None:
        """Let time pass as on a venue in use: the feed reports and funding settles every hour."""
        while seconds > 0:
            step = min(HOUR, seconds)
            self.perp.warp(step)
            self.refresh(*markets)
            seconds -= step


def vault_arguments(
    rig: Rig, market: str, target: int, adapter: str, oracle: str, fees: Fees | None = None
) -> tuple[Any, ...]:
    """What a vault's constructor takes: the configuration's defaults, and no caps."""
    return (
        f"{market} {target / WAD:g}x",
        f"{market}{target / WAD:g}",
        target,
        adapter,
        oracle,
        rig.authority,
        TREASURY,
        astuple(default_policy(target)),
        astuple(default_fees() if fees is None else fees),
        astuple(UNCAPPED),
    )


def creation(name: str, *arguments: Any) -> str:
    """Creation code of a contract of ours with its arguments, in hex."""
    entry = next(entry for entry in mock(name).abi if entry["type"] == "constructor")
    return mock(name).bytecode + abi.encode_fields(entry["inputs"], arguments).hex()


def gas_of(receipt: dict[str, Any]) -> int:
    return int(receipt["gasUsed"], 16)
