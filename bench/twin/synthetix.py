"""Long histories of a queued vault on the real Synthetix Perps V2, beside a twin that is told its fills."""

import random
from collections.abc import Iterator
from dataclasses import replace

from bench.queued_rig import MIN_NOTIONAL, PYTH_FEE, QueuedFund, QueuedRig
from bench.rig import KEEPER, TREASURY, UNCAPPED, default_fees, default_policy
from bench.twin.comparison import Outcome, Side, View
from bench.twin.real import MARKET, STRANGER, USERS, RealPair, RealPlayer, events, heard, signed
from devnet.rpc import Receipt
from leverage import leverage_math as lm
from leverage.twin.delayed import Outcome as Filled
from leverage.twin.queue import RequestQueue
from leverage.twin.queued import RETRY_DELAY, QueuedVault
from leverage.twin.recorded import RecordedOrders
from leverage.twin.venue import Fill, Position
from leverage.types import WAD, Stage

TARGETS = (3, -3)
STEPS = 120


class SynthetixPair(RealPair):
    twin: QueuedVault
    twin_venue: RecordedOrders
    fund: QueuedFund
    rig: QueuedRig
    # The venue rounds a position's value whenever it writes it down: at a fill, and when margin moves.
    grain = 4

    def build(self) -> None:
        adapter, target = self.fund.adapter, self.vault.call("target")
        venue = RecordedOrders(
            self.chain, self.twin_asset, adapter.call("maxLeverage"),
            lambda: heard(lambda: adapter.call("price", block=self.block)), adapter,
        )  # fmt: skip
        venue.ask_quote = lambda size, index: Fill(*adapter.call("quoteAt", size, index, block=self.block))
        self.twin_venue = venue
        self.twin_queue = RequestQueue(self.chain, self.twin_asset, self.fund.queue)
        self.twin = QueuedVault(
            self.chain, venue, self.twin_asset, self.twin_oracle, self.twin_queue, target,
            replace(default_policy(target), min_notional=MIN_NOTIONAL), default_fees(), UNCAPPED, TREASURY,
            self.vault,
        )  # fmt: skip
        # What an order keeps for its keeper.
        self.deposit = self.rig.perp.perps_settings.call("minKeeperFee")

    @property
    def spender(self) -> str:
        return self.fund.queue

    @property
    def of_queue(self) -> Side:
        return self.fund.queue, self.twin_queue

    @property
    def stage(self) -> Stage:
        return Stage(self.fund.adapter.call("order")[0])

    def views(self) -> Iterator[View]:
        yield from super().views()
        yield self.view("cash_short")
        for name in ("next", "in_flight", "room"):
            yield self.view(name, on=self.of_queue)
        for user in USERS:
            for name in ("max_deposit", "max_mint", "max_redeem", "max_withdraw"):
                yield self.view(name, user, on=self.of_queue)

    def record(self, receipt: Receipt, before: Position) -> None:
        adapter, market = self.fund.adapter, self.rig.perp.markets[MARKET].market
        moves = events(receipt, self.asset, "Transfer")
        payouts = [
            amount
            for source, to, amount in moves
            if (source, to) == (int(adapter, 16), int(self.spender, 16))
        ]
        outcome = None
        for size, cash, fee, price in events(receipt, adapter, "Settled"):
            if size == 0:
                continue
            fill = Fill(signed(size), signed(cash), fee)
            for _, _, margin, left, traded, last_price, *_ in events(receipt, market, "PositionModified"):
                if traded:
                    # Ours: the account just before is what the venue wrote down, without the fill.
                    after = margin - lm.div(signed(left) * last_price, WAD)
                    before = Position(signed(left) - fill.size, after - fill.cash)
                    outcome = Filled(before, fill, price, self.deposit)
            outcome = outcome or Filled(before, fill, price)
        self.twin_venue.record(outcome, payouts)

    def refuse(self, error: Outcome) -> None:
        self.twin_venue.record(None, None)

    def settle(self, price: int | None, sender: str) -> None:
        """Execute the order at a price of Pyth's, or take note of its end."""
        is_strangers, trigger = self.stage == Stage.FILLED, self.twin.flight.trigger
        proof = [] if price is None else self.rig.perp.price_update(MARKET, price)
        value = PYTH_FEE if proof else 0
        # Between a stranger's fill and its settlement the adapter tells the account as it was before.
        size = abs(self.twin_venue.position().size) + abs(self.fund.adapter.call("order")[1])
        funding = lm.notional(size, self.index) // 10_000 if is_strangers else 0
        done = self.do("settle", proof, sender=sender, value=value, twin_arguments=(price,), funding=funding)
        if done.error:
            return
        is_filled = self.twin_venue.outcome is not None
        self.done["filled" if is_filled else "lapsed"] += 1
        self.done["strangers"] += is_filled and is_strangers
        self.done["rebalanced"] += is_filled and trigger > 0


class SynthetixPlayer(RealPlayer):
    pair: SynthetixPair
    # Orders that strangers have filled among them, and such as nobody did.
    must = (
        "request_deposit", "request_redeem", "deposit", "redeem", "commit", "filled", "strangers", "lapsed",
        "rebalanced", "set_fees",
    )  # fmt: skip

    @property
    def actions(self):
        some = {
            self.request: 20,
            self.leave: 14,
            self.claim: 14,
            self.cancel: 4,
            self.keep_house: 6,
            self.move: 8,
        }
        stage = self.pair.stage
        if stage == Stage.NONE:
            return {**some, self.commit: 20, self.cross: 14, self.wait: 6, self.charge: 4, self.skew: 3}
        return {**some, self.finish: 40, self.execute: 10 * (stage == Stage.WAITING), self.commit: 2}

    # People

    def request(self) -> None:
        draw, pair, user = self.draw, self.pair, self.draw.choice(USERS)
        assets = draw.randint(100, 20_000) * pair.unit + draw.randint(0, 99)
        is_refunded = draw.random() < 0.4
        pair.do("request_deposit", assets, user, user, is_refunded, sender=user, on=pair.of_queue)

    def leave(self) -> None:
        draw, pair, user = self.draw, self.pair, self.holder()
        shares = pair.twin.token.balance_of(user) // draw.choice([1, 2, 3, 10])
        pair.do("request_redeem", shares, user, user, draw.random() < 0.4, sender=user, on=pair.of_queue)

    def claim(self) -> None:
        pair, queue = self.pair, self.pair.twin_queue
        for user in USERS:
            for name, amount in (("deposit", queue.max_deposit(user)), ("redeem", queue.max_redeem(user))):
                if amount:
                    pair.do(name, amount, user, user, sender=user, on=pair.of_queue)

    def cancel(self) -> None:
        draw, pair, queue = self.draw, self.pair, self.pair.twin_queue
        kind, side = draw.choice([("deposit", queue.deposits), ("redeem", queue.redemptions)])
        number = draw.choice([side.tail, max(1, side.tail - 1)])
        user = draw.choice(USERS)
        pair.do(f"cancel_{kind}_request", number, user, user, sender=user, on=pair.of_queue)

    def leave_all(self) -> None:
        pair = self.pair
        for user in USERS:
            shares = pair.twin.token.balance_of(user)
            pair.do("request_redeem", shares, user, user, False, sender=user, on=pair.of_queue)
        pair.warp(RETRY_DELAY)
        self.commit()

    # Orders

    def commit(self) -> None:
        self.pair.do("commit", sender=self.draw.choice([KEEPER, STRANGER]))

    def rebalance(self) -> None:
        self.commit()

    def finish(self) -> None:
        """Execute the order near the index, take note of a stranger's fill, or let the order grow old."""
        pair, perp = self.pair, self.pair.rig.perp
        sender = self.draw.choice([KEEPER, STRANGER])
        if pair.stage == Stage.WAITING and self.draw.random() < 0.85:
            perp.warp(perp.delay(MARKET) + self.draw.randint(0, 10))
            return pair.settle(self.near_index(), sender)
        _, _, _, cancellable_from = pair.fund.adapter.call("order")
        perp.warp(max(1, cancellable_from - pair.rpc.timestamp()))
        pair.settle(None, sender)

    def execute(self) -> None:
        """A stranger fills the order at the venue."""
        perp = self.pair.rig.perp
        perp.warp(perp.delay(MARKET))
        perp.execute(self.pair.fund.adapter, MARKET, price=self.near_index())

    def near_index(self) -> int:
        return self.pair.index * self.draw.randint(9_970, 10_030) // 10_000

    def skew(self) -> None:
        """Others trade, so that funding runs."""
        self.pair.rig.perp.set_skew(MARKET, self.draw.randint(-3_000, 3_000) * WAD)


def play(rig: QueuedRig, target: int) -> SynthetixPair:
    """A history of a new vault, undone on the chain; `target` in units. What happened is in `done`."""
    with rig.undone():
        pair = SynthetixPair(rig, rig.queued_fund(target * WAD, fees=default_fees()))
        player = SynthetixPlayer(random.Random(target), pair)
        pair.step(player.request)
        pair.step(player.commit)
        player.play(STEPS)
        return pair
