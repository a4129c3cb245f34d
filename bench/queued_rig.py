"""Queued vaults on a local Synthetix Perps V2: funds, and a batch from the requests to the claims.

Units as in devnet: WAD and seconds; sUSD has 18 decimals, so assets are WAD, too.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import astuple, dataclass, replace
from typing import Any

from bench.rig import (
    DAY,
    FREE,
    GENESIS,
    TREASURY,
    UNCAPPED,
    Fund,
    Rig,
    default_policy,
    gas_of,
)
from devnet import Contract, Synthetix, start
from devnet.artifacts import mock
from devnet.venue import WAD, actor
from leverage.types import Fees, Policy

MARKET = "ETH"
RUNNER = actor("runner")  # Whoever commits and settles.
FILL_DELAY = 2  # Seconds from an order to the first price that fills it.
PYTH_FEE = 1  # Wei.
MIN_NOTIONAL = 300 * WAD  # As config/markets.toml has it for this venue.


@dataclass(frozen=True)
class QueuedFund(Fund):
    """A fund whose users come and go through a queue."""

    queue: Contract


@dataclass(frozen=True)
class Spent:
    """Gas of an order's two transactions."""

    commit: int
    settle: int

    @property
    def both(self) -> int:
        return self.commit + self.settle


class QueuedRig(Rig):
    """The venue, and the protocol on it."""

    perp: Synthetix

    @classmethod
    @contextmanager
    def started(cls, *, lean: bool = False, **build: Any) -> Iterator["QueuedRig"]:
        """A rig for one `with` block. A `lean` one keeps no past blocks and counts gas as Cancun did."""
        options = {"frozen_clock": True, "lean": lean, "extra": ("--timestamp", str(GENESIS))}
        anvil, venue = start("synthetix", port=None, anvil_options=options, markets=(MARKET,), **build)
        with anvil:
            yield cls(anvil, venue)

    def queued_fund(self, target: int, *, fees: Fees = FREE, policy: Policy | None = None) -> QueuedFund:
        """A vault with its adapter and its queue."""
        market = self.perp.markets[MARKET]
        oracle = self.oracle(MARKET)
        adapter = self.deploy("SynthetixPerpsV2Adapter", market.market)
        queue = self.deploy("RequestQueue", self.perp.settlement_token)
        policy = policy or replace(default_policy(target), min_notional=MIN_NOTIONAL)
        config = (
            f"{MARKET} {target / WAD:g}x",
            f"{MARKET}{target / WAD:g}",
            target,
            adapter,
            oracle,
            self.authority,
            TREASURY,
            astuple(policy),
            astuple(fees),
            astuple(UNCAPPED),
        )
        vault = self.deploy("QueuedVault", config, queue)
        token = Contract(self.rpc, mock("LeveragedToken"), vault.call("token"))
        return QueuedFund(MARKET, vault, token, adapter, oracle, queue)

    # One batch

    def request_deposit(self, fund: QueuedFund, account: str, assets: int) -> int:
        return gas_of(fund.queue.send("requestDeposit", assets, account, account, sender=account))

    def request_redeem(self, fund: QueuedFund, account: str, shares: int) -> int:
        return gas_of(fund.queue.send("requestRedeem", shares, account, account, sender=account))

    def claim(self, fund: QueuedFund, account: str) -> int:
        """Claim whatever there is; the gas of it."""
        gas = 0
        for most, take in (("maxDeposit", "deposit"), ("maxRedeem", "redeem")):
            if amount := fund.queue.call(most, account):
                # A redemption takes the controller, too.
                whom = (account, account) if take == "redeem" else (account,)
                gas += gas_of(fund.queue.send(take, amount, *whom, sender=account))
        return gas

    def run_order(self, fund: QueuedFund, price: int | None = None) -> Spent:
        """Commit, wait, and settle with a price of Pyth's, by default the index price."""
        commit = gas_of(fund.vault.send("commit", sender=RUNNER))
        return Spent(commit, self.settle(fund, price))

    def settle(self, fund: QueuedFund, price: int | None = None) -> int:
        self.perp.warp(FILL_DELAY, fresh=False)
        data = fund.vault.data("settle", self.perp.price_update(MARKET, price))
        return gas_of(self.rpc.send(RUNNER, fund.vault, data, value=PYTH_FEE))

    def enter(self, fund: QueuedFund, account: str, assets: int) -> None:
        """In, on one's own."""
        self.give(account, assets, fund.queue)
        self.request_deposit(fund, account, assets)
        self.run_order(fund)
        self.claim(fund, account)

    def wait_for(self, second: int) -> None:
        """Until that second of the next day, with prices kept fresh."""
        self.perp.warp(DAY - self.rpc.timestamp() % DAY + second)
