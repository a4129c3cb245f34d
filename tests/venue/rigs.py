"""Rigs: an adapter on its venue, an account that plays its vault, and hands to move the world around it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from eth_abi import decode, encode
from eth_utils import keccak

from devnet import Contract, PerpV2, RevertError, Rpc
from devnet.artifacts import mock
from devnet.perp_v2_build import tick_near
from devnet.rpc import Receipt
from devnet.venue import MAKER, WAD, actor

VAULT, OUTSIDER, RECEIVER, PAYER, OWNER = map(actor, ("vault", "outsider", "receiver", "payer", "owner"))
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

# Stages of an order.
NONE, WAITING, FILLED, GONE = range(4)


class Order(NamedTuple):
    stage: int
    size: int
    fillable_from: int
    cancellable_from: int


NO_ORDER = Order(NONE, 0, 0, 0)


class Outcome(NamedTuple):
    before: Position
    fill: Fill
    price: int
    reward: int


OUTCOME = ["((int256,int256),(int256,int256,uint256),uint256,uint256)"]


@contextmanager
def undone(rpc: Rpc) -> Iterator[None]:
    """Take back what happens to a chain."""
    snapshot = rpc("evm_snapshot")
    yield
    assert rpc("evm_revert", snapshot)


class Rig:
    """What every venue's rig can do. `unit` is one whole collateral token, `scale` takes assets to WAD."""

    # What is true of a venue
    max_leverage = 10 * WAD
    fee_rate = WAD // 1000  # Of what a trade that opens a position is worth.
    takes_donations = True  # A stranger can pay into the venue account.
    spares_a_rest = True  # A liquidation leaves the account something.
    closing_costs = True  # What brings longs and shorts nearer may be paid for instead.
    grain = 0  # Wei of cash that its ledger rounds, either way, whenever it writes a position down.

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
            self.give(assets)
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

    def give(self, assets: int) -> None:
        """Collateral for the adapter, as from its vault."""
        self.asset.send("mint", self.adapter, assets, sender=OWNER)

    def donate(self, assets: int) -> None:
        """A stranger pays into the venue account."""
        raise NotImplementedError

    def move(self, price: int) -> None:
        """Index and venue go to a new price."""
        raise NotImplementedError

    def rest(self) -> None:
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


class DelayedRig(Rig):
    """The same where an order waits: a trade is to submit, to wait, and to execute by settling."""

    # What is true of a venue
    fillable_after = 2  # Seconds.
    cancellable_after = 31
    keeper_deposit = 4 * WAD
    proof_fee = 1  # Wei.
    order_fee = 0

    def adjust(self, size: int, assets: int = 0, worst: int = 0, sender: str = VAULT) -> Fill:
        self.submit(size, assets, worst=worst, sender=sender)
        return self.finish().fill if self.order().stage == WAITING else NOTHING

    def order(self) -> Order:
        return Order(*self.adapter.call("order"))

    def submit(
        self,
        size: int,
        assets: int = 0,
        release: int = 0,
        worst: int = 0,
        *,
        value: int | None = None,
        sender: str = VAULT,
    ) -> Receipt:
        """Send `assets` as a vault would, and an order; what is left of `value` goes to PAYER."""
        if assets:
            self.give(assets)
        value = self.order_fee if value is None else value
        return self.adapter.send("submit", size, assets, release, worst, PAYER, sender=sender, value=value)

    def settle(
        self, proof: Sequence[bytes] = (), *, value: int | None = None, sender: str = VAULT
    ) -> Outcome:
        """Bring the order to its end, and return what the adapter reported."""
        value = (self.proof_fee if proof else 0) if value is None else value
        data = self.adapter.data("settle", proof, PAYER)
        # Time stands still, so that what a call answers is what the transaction does.
        request = {"from": sender, "to": self.adapter, "data": data, "value": hex(value)}
        answer = bytes.fromhex(self.rpc("eth_call", request, "latest")[2:])
        before, fill, price, reward = decode(OUTCOME, answer)[0]
        self.receipt = self.adapter.send("settle", proof, PAYER, sender=sender, value=value)
        self.gas = int(self.receipt["gasUsed"], 16)
        return Outcome(Position(*before), Fill(*fill), price, reward)

    def finish(self, price: int | None = None) -> Outcome:
        """Execute the order as soon as it can be, or take it back once that can be done."""
        self.wait_until(self.order().fillable_from)
        try:
            return self.settle(self.proof(price))
        except RevertError as revert:
            if not self.is_beyond_limit(revert):
                raise
        self.wait_until(self.order().cancellable_from)
        return self.settle()

    def execute_by_stranger(self, price: int | None = None) -> None:
        """The same as far as the venue's own keepers go, and they keep the deposit."""
        self.wait_until(self.order().fillable_from)
        self.execute(price)

    def cancel_by_stranger(self) -> None:
        self.wait_until(self.order().cancellable_from)
        self.cancel()

    def wait_until(self, time: int) -> None:
        if (seconds := time - self.rpc.timestamp()) > 0:
            self.wait(seconds)

    # Each venue's own

    def wait(self, seconds: int) -> None:
        """Let time pass, with prices that stay as they are and stay fresh."""
        self.rpc.warp(seconds)

    def proof(self, price: int | None = None) -> list[bytes]:
        """What shows the venue a price of now, by default its own."""
        raise NotImplementedError

    def execute(self, price: int | None = None) -> None:
        """A stranger executes the order at a price of now, by default the venue's own."""
        raise NotImplementedError

    def cancel(self) -> None:
        """A stranger cancels the order."""
        raise NotImplementedError

    def is_beyond_limit(self, revert: RevertError) -> bool:
        """Whether an execution failed for its price, so that the order waits on instead of being gone."""
        return False

    def drift(self) -> None:
        """Let funding change the account's cash, within ten seconds."""
        raise NotImplementedError

    def spoil_price(self) -> None:
        """Leave the venue without a price that it could use."""
        raise NotImplementedError


class MockDelayedRig(DelayedRig):
    proof_fee = 3
    order_fee = 2

    @classmethod
    def build(cls, rpc: Rpc, decimals: int) -> "MockDelayedRig":
        asset = Contract.deploy(rpc, OWNER, mock("MockERC20"), "Dollar", "USD", decimals)
        rig = cls(Contract.deploy(rpc, OWNER, mock("MockDelayedVenue"), asset), asset)
        rig.turn("setFeeRate", cls.fee_rate)
        rig.turn("setSlippage", WAD // 2000)
        rig.turn("setKeeperDeposit", cls.keeper_deposit)
        rig.turn("setCharges", cls.proof_fee, cls.order_fee)
        return rig

    def turn(self, knob: str, *values: object) -> None:
        """One of the mock's knobs."""
        self.adapter.send(knob, *values, sender=OWNER)

    def donate(self, assets: int) -> None:
        self.asset.send("mint", OUTSIDER, assets, sender=OWNER)
        self.asset.send("approve", self.adapter, assets, sender=OUTSIDER)
        self.adapter.send("donate", assets, sender=OUTSIDER)

    def move(self, price: int) -> None:
        self.turn("setPrice", price)

    def liquidate(self) -> None:
        self.turn("liquidatePart", WAD // 2, WAD // 40)

    def proof(self, price: int | None = None) -> list[bytes]:
        return [encode(["uint256"], [self.price() if price is None else price])]

    def execute(self, price: int | None = None) -> None:
        self.adapter.send("execute", self.price() if price is None else price, sender=OUTSIDER)

    def cancel(self) -> None:
        self.adapter.send("cancel", sender=OUTSIDER)

    def drift(self) -> None:
        self.turn("fund", -123_456_789)

    def spoil_price(self) -> None:
        self.turn("setPrice", 0)


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

    def rest(self) -> None:
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
