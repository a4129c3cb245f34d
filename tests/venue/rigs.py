"""Rigs: an adapter on its venue, an account that plays its vault, and hands to move the world around it."""

from typing import NamedTuple

from eth_abi import decode
from eth_utils import keccak

from devnet import Contract, PerpV2, RevertError, Rpc
from devnet.artifacts import mock
from devnet.perp_v2_build import MAKER, WAD, actor, tick_near
from devnet.rpc import Receipt

VAULT, OUTSIDER, RECEIVER, OWNER = map(actor, ("vault", "outsider", "receiver", "owner"))
PRICE = 2_000 * WAD  # Where every venue starts.


class Position(NamedTuple):
    size: int
    cash: int

    def equity(self, price: int) -> int:
        return self.cash + self.size * price // WAD


class Fill(NamedTuple):
    size: int
    cash: int
    fee: int


NOTHING = Fill(0, 0, 0)


class Rig:
    """What every venue's rig can do. `unit` is one whole collateral token, `scale` takes assets to WAD."""

    def __init__(self, adapter: Contract, asset: Contract):
        self.adapter = adapter
        self.asset = asset
        self.rpc = adapter.rpc
        self.unit = 10 ** asset.call("decimals")
        self.scale = WAD // self.unit

    def position(self) -> Position:
        return Position(*self.adapter.call("position"))

    def price(self) -> int:
        return self.adapter.call("price")

    def quote(self, size: int) -> Fill:
        return Fill(*self.adapter.call("quote", size))

    def adjust(self, size: int, assets: int = 0, worst: int = 0, sender: str = VAULT) -> Fill:
        """Send `assets` as a vault would, trade, and return what the adapter reported."""
        if assets:
            self.asset.send("mint", self.adapter, assets, sender=OWNER)
        receipt = self.adapter.send("adjust", size, assets, worst, sender=sender)
        self.gas = int(receipt["gasUsed"], 16)
        fills = self.events(receipt, "Adjusted")
        return Fill(*fills[0]) if fills else NOTHING

    def withdraw(self, assets: int, sender: str = VAULT) -> int:
        """Withdraw to RECEIVER and return what arrived there."""
        before = self.asset.call("balanceOf", RECEIVER)
        receipt = self.adapter.send("withdraw", assets, RECEIVER, sender=sender)
        self.gas = int(receipt["gasUsed"], 16)
        return self.asset.call("balanceOf", RECEIVER) - before

    def opened(self, size: int, assets: int) -> Fill:
        """A position of whole tokens: `size` in WAD, `assets` in whole collateral tokens."""
        return self.adjust(size, assets * self.unit)

    def leverage(self) -> float:
        position, price = self.position(), self.price()
        return position.size * price / WAD / position.equity(price)

    def releverage(self, target: int) -> int:
        """Trade to `target` times equity, at the venue's price; the equity after that."""
        position, price = self.position(), self.price()
        wanted = target * position.equity(price) * WAD // price - position.size
        filled = self.adjust(wanted)
        assert filled.size == wanted
        return self.position().equity(price)

    def leave(self, part: int) -> int:
        """Redeem a WAD part of the account as a vault does; what was paid."""
        before = self.position()
        closed = abs(before.size) * part // WAD
        fill = self.adjust(-closed if before.size > 0 else closed)
        return self.withdraw((before.cash * part // WAD + fill.cash) // self.scale)

    def events(self, receipt: Receipt, name: str) -> list[tuple]:
        """Arguments of the adapter's own events of a name."""
        types = self._types("event", name)
        topic = "0x" + keccak(text=f"{name}({','.join(types)})").hex()
        words = (
            "".join(word[2:] for word in (*log["topics"][1:], log["data"]))
            for log in receipt["logs"]
            if log["topics"][0] == topic and log["address"] == self.adapter.lower()
        )
        return [decode(types, bytes.fromhex(data)) for data in words]

    def error(self, revert: RevertError, name: str) -> tuple:
        """Arguments of a custom error, which must be of this name."""
        types = self._types("error", name)
        data = bytes.fromhex(revert.data[2:])
        assert data[:4] == keccak(text=f"{name}({','.join(types)})")[:4], revert
        return decode(types, data[4:])

    def _types(self, kind: str, name: str) -> list[str]:
        abi = self.adapter.artifact.abi
        entry = next(entry for entry in abi if entry["type"] == kind and entry["name"] == name)
        return [field["type"] for field in entry["inputs"]]

    # Each venue's own

    def donate(self, assets: int) -> None:
        """A stranger pays into the venue account."""
        raise NotImplementedError

    def move(self, price: int) -> None:
        """Index and venue go to a new price."""
        raise NotImplementedError

    def settle(self) -> None:
        """Let so much time pass that the venue fills whole orders again."""

    def liquidate(self) -> None:
        """Have the venue take a part of the position away."""
        raise NotImplementedError


class MockRig(Rig):
    @classmethod
    def build(cls, rpc: Rpc, decimals: int) -> "MockRig":
        asset = Contract.deploy(rpc, OWNER, mock("MockERC20"), "Dollar", "USD", decimals)
        adapter = Contract.deploy(rpc, OWNER, mock("MockAdapter"), asset)
        adapter.send("setFeeRate", WAD // 1000, sender=OWNER)
        adapter.send("setSlippage", WAD // 2000, sender=OWNER)
        return cls(adapter, asset)

    def donate(self, assets: int) -> None:
        self.asset.send("mint", OUTSIDER, assets, sender=OWNER)
        self.asset.send("approve", self.adapter, assets, sender=OUTSIDER)
        self.adapter.send("donate", assets, sender=OUTSIDER)

    def move(self, price: int) -> None:
        self.adapter.send("setPrice", price, sender=OWNER)

    def liquidate(self) -> None:
        self.adapter.send("liquidatePart", WAD // 2, WAD // 40, sender=OWNER)


class PerpV2Rig(Rig):
    def __init__(self, perp: PerpV2, market: str = "ETH"):
        self.perp = perp
        self.market = market
        self.base_token = perp.markets[market].base_token
        self.pool = perp.markets[market].pool
        adapter = Contract.deploy(
            perp.rpc, OWNER, mock("PerpV2Adapter"), perp.clearing_house, self.base_token
        )
        super().__init__(adapter, perp.settlement_token)

    def tick(self) -> int:
        return self.pool.call("slot0")[1]

    def margin(self) -> float:
        """Realised margin of the debt. The venue asks 0.1 for more of it and to withdraw, 0.0625 for less."""
        position = self.position()
        notional = self.perp.account_balance.call("getTakerOpenNotional", self.adapter, self.base_token)
        debt = -notional if position.size > 0 else -position.size * self.price() // WAD
        return (position.cash - notional) / debt

    def make(self, low: int, high: int, quote: int) -> None:
        """Have a maker quote between two prices in dollars, about `quote` whole dollars on each side."""
        amounts = (quote * WAD * WAD // PRICE, quote * WAD)
        order = (self.base_token, *amounts, tick_near(low), tick_near(high), 0, 0, False, 2**256 - 1)
        self.perp.clearing_house.send("addLiquidity", order, sender=MAKER)

    def donate(self, assets: int) -> None:
        self.perp.fund(OUTSIDER, assets)
        self.asset.send("approve", self.perp.vault, assets, sender=OUTSIDER)
        self.perp.vault.send("depositFor", self.adapter, self.asset, assets, sender=OUTSIDER)

    def move(self, price: int) -> None:
        self.perp.move(self.market, price)

    def settle(self) -> None:
        self.perp.arbitrage(self.market)
        self.perp.warp(16)

    def liquidate(self) -> None:
        """Move the price against the position, little by little, until the venue lets it be liquidated."""
        while True:
            against = -1 if self.position().size > 0 else 1
            self.perp.move(self.market, self.perp.index_price(self.market) * (100 + against) // 100)
            self.perp.warp(900)
            try:
                self.perp.liquidate(self.adapter, self.market)
            except RevertError as revert:
                assert str(revert) == "CH_EAV", revert
            else:
                return
