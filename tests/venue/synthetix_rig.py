"""The rig of Synthetix Perps V2."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from eth_abi import decode, encode
from eth_utils import keccak
from rigs import OUTSIDER, OWNER, VAULT, DelayedRig, undone

from devnet import Contract, RevertError, Synthetix
from devnet.artifacts import mock
from devnet.rpc import Receipt
from devnet.synthetix_build import STALE_AFTER
from devnet.venue import WAD

MARKET = "ETH"


class Modified(NamedTuple):
    margin: int
    size: int
    traded: int
    last_price: int
    funding_index: int
    fee: int
    skew: int


MODIFIED = ["uint256", "int256", "int256", "uint256", "uint256", "uint256", "int256"]


class SynthetixRig(DelayedRig):
    max_leverage = 55 * WAD
    fee_rate = 6 * WAD // 10_000
    takes_donations = False
    spares_a_rest = False
    closing_costs = False
    grain = 2  # Paying in and sending the order are an entry each.

    @classmethod
    def build(cls, venue: Synthetix) -> "SynthetixRig":
        """Without funding, which would run between an order and its fill."""
        venue.set_max_funding_velocity(MARKET, 0)
        market = venue.markets[MARKET].market
        rig = cls(
            Contract.deploy(venue.rpc, OWNER, mock("SynthetixPerpsV2Adapter"), market),
            venue.settlement_token,
        )
        rig.venue, rig.market = venue, market
        return rig

    @classmethod
    @contextmanager
    def bound(cls, venue: Synthetix) -> Iterator["SynthetixRig"]:
        """The same for VAULT. What happens to the venue is undone."""
        with undone(venue.rpc):
            rig = cls.build(venue)
            rig.adapter.send("bind", sender=VAULT)
            yield rig

    def give(self, assets: int) -> None:
        self.venue.fund(self.adapter, assets)

    def donate(self, assets: int) -> None:
        """As near as a stranger comes to it: what lies in the adapter is nobody's margin."""
        self.venue.fund(OUTSIDER, assets)
        self.asset.send("transfer", self.adapter, assets, sender=OUTSIDER)

    def move(self, price: int) -> None:
        self.venue.move(MARKET, price)

    def liquidate(self) -> None:
        """Move the price against the position, little by little, until the venue lets it be liquidated."""
        while not self.market.call("canLiquidate", self.adapter):
            against = -1 if self.position().size > 0 else 1
            self.move(self.price() * (100 + against) // 100)
        self.venue.liquidate(self.adapter, MARKET)

    def wait(self, seconds: int) -> None:
        self.venue.warp(seconds)

    def proof(self, price: int | None = None) -> list[bytes]:
        return self.venue.price_update(MARKET, price)

    def execute(self, price: int | None = None) -> None:
        self.venue.execute(self.adapter, MARKET, price=price, keeper=OUTSIDER)

    def cancel(self) -> None:
        self.venue.cancel(self.adapter, MARKET, keeper=OUTSIDER)

    def is_beyond_limit(self, revert: RevertError) -> bool:
        return str(revert) == "Price impact exceeded"

    def drift(self) -> None:
        self.run_funding()
        self.venue.warp(5)

    def run_funding(self) -> None:
        """Have the skew pay, at the pace of Optimism's market."""
        self.venue.set_max_funding_velocity(MARKET, 9 * WAD)

    def modified(self, receipt: Receipt) -> Modified:
        """What the venue said of the account's last entry in a transaction."""
        topic = "0x" + keccak(text=f"PositionModified(uint256,address,{','.join(MODIFIED)})").hex()
        account = "0x" + encode(["address"], [self.adapter]).hex()
        entries = [
            log for log in receipt["logs"] if log["topics"][0] == topic and log["topics"][2] == account
        ]
        return Modified(*decode(MODIFIED, bytes.fromhex(entries[-1]["data"][2:])))

    def spoil_price(self) -> None:
        aggregator, now = self.venue.markets[MARKET].aggregator, self.rpc.timestamp()
        answer = aggregator.call("latestRoundData")[1]
        aggregator.send("setRound", answer, now, now - STALE_AFTER - 1, sender=OWNER)
