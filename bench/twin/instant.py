"""Random histories of an instant vault on an ideal venue, beside its twin."""

import random
from collections.abc import Iterable, Iterator

from bench.twin.comparison import View
from bench.twin.pair import TREASURY, USERS, Pair, Setting
from bench.twin.player import Action, Player
from leverage.twin.instant import InstantVault
from leverage.twin.venue import LinearVenue
from leverage.types import WAD


class InstantPair(Pair):
    twin: InstantVault

    def build(self) -> None:
        s = self.setting
        self.venue = self.new("MockAdapter", self.asset)
        self.send(self.venue, "setMaxLeverage", s.venue_max)
        self.send(self.venue, "setPrice", s.price)
        self.twin_venue = LinearVenue(
            self.chain, self.twin_asset, s.price, max_leverage=s.venue_max, address=self.venue
        )
        self.vault = self.new("InstantVault", self.config())
        self.twin = InstantVault(
            self.chain, self.twin_venue, self.twin_asset, self.twin_oracle, s.target, s.policy, s.fees,
            s.caps, TREASURY, self.vault,
        )  # fmt: skip

    def spenders(self) -> Iterable[str]:
        return (self.vault,)

    def views(self) -> Iterator[View]:
        yield from self.common_views()
        holder = max(USERS, key=self.twin.token.balance_of)
        yield self.view("room")
        yield self.view("total_assets")
        yield self.view("convert_to_shares", 1_000 * self.unit)
        yield self.view("convert_to_assets", 1_000 * WAD)
        yield self.view("preview_deposit", 1_000 * self.unit)
        yield self.view("preview_mint", 1_000 * WAD)
        yield self.view("preview_withdraw", 100 * self.unit)
        yield self.view("preview_redeem", self.twin.token.balance_of(holder))


class InstantPlayer(Player):
    pair: InstantPair
    must = ("deposit", "mint", "redeem", "withdraw", "rebalance", "set_fees")

    def actions(self) -> dict[Action, int]:
        return {
            self.enter: 20, self.leave: 14, self.move: 14, self.cross: 16, self.rebalance: 6, self.wait: 8,
            self.fund: 6, self.turn_knobs: 4, self.donate: 2, self.housekeep: 6, self.govern: 6,
        }  # fmt: skip

    def enter(self) -> None:
        draw, pair = self.draw, self.pair
        user, amount = draw.choice(USERS), self.amount()
        if draw.random() < 0.5:
            pair.do("deposit", amount * pair.unit + draw.randint(0, 99), user, sender=user)
        else:
            pair.do("mint", amount * WAD + draw.randint(0, 99), draw.choice(USERS), sender=user)

    def leave(self) -> None:
        draw, pair = self.draw, self.pair
        user, part = self.holder(), draw.choice([1, 2, 3, 10, 1_000])
        shares = pair.twin.token.balance_of(user)
        if draw.random() < 0.6:
            # Now and then more than there is.
            wanted = shares + 1 if draw.random() < 0.05 else shares // part
            pair.do("redeem", wanted, draw.choice(USERS), user, sender=user)
        else:
            worth = shares * pair.twin.mark.nav // WAD // pair.twin.scale
            pair.do("withdraw", worth // part, draw.choice(USERS), user, sender=user)

    def leave_all(self) -> None:
        for user in USERS:
            self.pair.do("redeem", self.pair.twin.token.balance_of(user), user, user, sender=user)

    def rebalance(self) -> None:
        self.pair.do("rebalance", sender=self.somebody())


def play(seed: int) -> InstantPair:
    """A history of its own; what happened in it is counted in `done`."""
    draw = random.Random(seed)
    pair = InstantPair(Setting.drawn(draw))
    pair.do("deposit", 10_000 * pair.unit, USERS[0], sender=USERS[0])
    pair.compare()
    InstantPlayer(draw, pair).play()
    return pair
