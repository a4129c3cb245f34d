"""Long histories of an instant vault on the real Perp v2, beside a twin that is told fills and funding."""

import random

from bench.rig import KEEPER, TREASURY, UNCAPPED, Rig, default_fees, default_policy
from bench.twin.comparison import Outcome
from bench.twin.player import Action
from bench.twin.real import MARKET, STRANGER, USERS, RealPair, RealPlayer, events, signed
from devnet.rpc import Receipt
from leverage.twin.instant import InstantVault
from leverage.twin.recorded import RecordedFills
from leverage.twin.venue import Fill, Position
from leverage.types import WAD

TARGETS = (3, -3, 2)
STEPS = 100
PRICE_WINDOW = 30  # Seconds after which the venue lets the price move again.


class PerpV2Pair(RealPair):
    twin: InstantVault
    twin_venue: RecordedFills
    # A withdrawal drops what is below a base unit of collateral.
    grain = 10**12

    def build(self) -> None:
        adapter, target = self.fund.adapter, self.vault.call("target")
        self.twin_venue = RecordedFills(
            self.chain,
            self.twin_asset,
            adapter.call("maxLeverage"),
            lambda: adapter.call("price", block=self.block),
            adapter,
        )
        self.twin_venue.ask_quote = lambda size: Fill(*adapter.call("quote", size, block=self.block))
        self.twin = InstantVault(
            self.chain, self.twin_venue, self.twin_asset, self.twin_oracle, target, default_policy(target),
            default_fees(), UNCAPPED, TREASURY, self.vault,
        )  # fmt: skip

    @property
    def spender(self) -> str:
        return self.vault

    def record(self, receipt: Receipt, before: Position) -> None:
        fills = events(receipt, self.fund.adapter, "Adjusted")
        self.twin_venue.record(Fill(signed(size), signed(cash), fee) for size, cash, fee in fills)

    def refuse(self, error: Outcome) -> None:
        match error.error:
            case "PartialFill":
                # All that such a fill is asked for is its size, which the error tells.
                self.twin_venue.record([Fill(error.values[0])])
            case "NothingFilled":
                self.twin_venue.record([])
            case "WithdrawalShort":
                self.twin_venue.record(None, free=error.values[0])
            case _:
                self.twin_venue.record(None)


class PerpV2Player(RealPlayer):
    must = ("deposit", "mint", "redeem", "withdraw", "rebalance", "set_fees", "accrue")

    @property
    def actions(self) -> dict[Action, int]:
        return {
            self.enter: 20, self.leave: 16, self.move: 14, self.cross: 16, self.rebalance: 6, self.wait: 10,
            self.push: 6, self.keep_house: 8, self.charge: 4,
        }  # fmt: skip

    def enter(self) -> None:
        draw, pair, user = self.draw, self.pair, self.draw.choice(USERS)
        amount = draw.randint(1, 20_000)
        if draw.random() < 0.5:
            pair.do("deposit", amount * pair.unit + draw.randint(0, 99), user, sender=user)
        else:
            pair.do("mint", amount * WAD + draw.randint(0, 99), user, sender=user)

    def leave(self) -> None:
        draw, pair, user = self.draw, self.pair, self.holder()
        shares, part = pair.twin.token.balance_of(user), draw.choice([1, 2, 3, 10])
        if draw.random() < 0.5:
            pair.do("redeem", shares // part, user, user, sender=user)
        else:
            worth = shares * pair.twin.mark.nav // WAD // pair.twin.scale
            pair.do("withdraw", worth // part, user, user, sender=user)

    def leave_all(self) -> None:
        for user in USERS:
            self.pair.do("redeem", self.pair.twin.token.balance_of(user), user, user, sender=user)

    def rebalance(self) -> None:
        self.pair.do("rebalance", sender=self.draw.choice([KEEPER, STRANGER]))

    def push(self) -> None:
        """A stranger takes the pool off the index."""
        perp = self.pair.rig.perp
        perp.warp(PRICE_WINDOW)
        perp.push_pool(MARKET, perp.pool_price(MARKET) * self.draw.choice([996, 1_004]) // 1_000)


def play(rig: Rig, target: int) -> PerpV2Pair:
    """A history of a new vault, undone on the chain; `target` in units. What happened is in `done`."""
    with rig.undone():
        pair = PerpV2Pair(rig, rig.fund(MARKET, target * WAD))
        pair.step(lambda: pair.do("deposit", 10_000 * pair.unit, USERS[0], sender=USERS[0]))
        PerpV2Player(random.Random(target), pair).play(STEPS)
        return pair
