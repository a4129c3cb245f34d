"""Random histories of a queued vault on an ideal venue that fills later, beside its twin."""

import random
from collections.abc import Iterable, Iterator

from bench.twin.comparison import Side, View, outcome
from bench.twin.pair import KEEPER, STRANGER, TREASURY, USERS, Pair, Setting
from bench.twin.player import Action, Player
from leverage import leverage_math as lm
from leverage.twin.delayed import OrderVenue
from leverage.twin.queue import RequestQueue
from leverage.twin.queued import RETRY_DELAY, QueuedVault
from leverage.types import WAD, Fees, Stage

PROOF_FEE = 1  # Wei.


class QueuedPair(Pair):
    twin: QueuedVault

    def build(self) -> None:
        s = self.setting
        self.venue = self.new("MockDelayedVenue", self.asset)
        self.send(self.venue, "setMaxLeverage", s.venue_max)
        self.send(self.venue, "setPrice", s.price)
        self.queue = self.new("RequestQueue", self.asset)
        self.vault = self.new("QueuedVault", self.config(), self.queue)
        chain, asset, oracle = self.chain, self.twin_asset, self.twin_oracle
        self.twin_venue = OrderVenue(chain, asset, s.price, max_leverage=s.venue_max, address=self.venue)
        self.twin_queue = RequestQueue(chain, asset, self.queue)
        self.twin = QueuedVault(
            chain, self.twin_venue, asset, oracle, self.twin_queue, s.target, s.policy, s.fees, s.caps,
            TREASURY, self.vault,
        )  # fmt: skip

    def spenders(self) -> Iterable[str]:
        return (self.queue,)

    @property
    def of_queue(self) -> Side:
        return self.queue, self.twin_queue

    def views(self) -> Iterator[View]:
        yield from self.common_views()
        yield self.view("cash_short")
        yield self.view("order", on=(self.venue, self.twin_venue))
        for name in ("next", "in_flight", "room"):
            yield self.view(name, on=self.of_queue)
        for user in USERS:
            for name in ("max_deposit", "max_mint", "max_redeem", "max_withdraw"):
                yield self.view(name, user, on=self.of_queue)
        yield from self.views_of_requests(self.steps % 2 == 0, USERS[self.steps // 2 % len(USERS)])

    def views_of_requests(self, is_deposit: bool, user: str) -> Iterator[View]:
        """One user's requests on one side of the queue: another one's after each step."""
        kind = "deposit" if is_deposit else "redeem"
        side = self.twin_queue.deposits if is_deposit else self.twin_queue.redemptions
        for number in (0, side.tail - 1, side.tail):
            for state in ("pending", "claimable", "refundable"):
                yield self.view(f"{state}_{kind}_request", number, user, on=self.of_queue)

    def settle(self, proof: int | None, sender: str) -> None:
        """Execute the order at the index price of a proof, or only note its end; counted by what it was."""
        proofs = [] if proof is None else [proof.to_bytes(32, "big")]
        value = PROOF_FEE if proofs else 0
        flight = self.twin.flight
        on_chain = outcome(lambda: self.vault.send("settle", proofs, sender=sender, value=value))
        result = self.agree("settle", on_chain, outcome(lambda: self.twin.settle(proof, sender)))
        if result.error:
            return
        is_filled = result.values != (0,)
        self.done["filled" if is_filled else "lapsed"] += 1
        if is_filled:
            self.done["rebalanced"] += flight.trigger > 0
            self.done["settled deposits"] += flight.has_deposits
            self.done["settled redemptions"] += flight.has_redemptions


class QueuedPlayer(Player):
    pair: QueuedPair
    must = (
        "request_deposit", "request_redeem", "cancelled", "claimed", "filled", "lapsed", "rebalanced",
        "settled deposits", "settled redemptions", "set_fees",
    )  # fmt: skip

    def actions(self) -> dict[Action, int]:
        stage = self.pair.twin_venue.order.stage
        some = {
            self.request: 24, self.leave: 20, self.cancel: 7, self.claim: 16, self.appoint: 1, self.donate: 2,
            self.collect: 3, self.housekeep: 6, self.turn_knobs: 4, self.move: 10, self.fund: 5,
        }  # fmt: skip
        if stage == Stage.NONE:
            return {**some, self.commit: 16, self.cross: 12, self.wait: 6, self.govern: 10, self.swap: 5}
        is_waiting = stage == Stage.WAITING
        return {**some, self.commit: 2, self.finish: 36, self.execute: 6 * is_waiting, self.pass_seconds: 4}

    # People

    def request(self) -> None:
        draw, pair = self.draw, self.pair
        owner = draw.choice(USERS)
        controller = owner if draw.random() < 0.85 else draw.choice(USERS)
        assets = self.amount() * pair.unit + draw.randint(0, 99)
        is_refunded = draw.random() < 0.4
        pair.do("request_deposit", assets, controller, owner, is_refunded, sender=owner, on=pair.of_queue)

    def leave(self) -> None:
        draw, pair = self.draw, self.pair
        owner = self.holder()
        controller = owner if draw.random() < 0.85 else draw.choice(USERS)
        shares = pair.twin.token.balance_of(owner)
        wanted = shares // draw.choice([1, 1, 2, 3, 10, 1_000])
        if draw.random() < 0.1:
            # More than there is, or what is worth nothing.
            wanted = draw.choice([shares + 1, 1])
        is_refunded = draw.random() < 0.4
        pair.do("request_redeem", wanted, controller, owner, is_refunded, sender=owner, on=pair.of_queue)

    def leave_all(self) -> None:
        pair, is_free = self.pair, self.draw.random() < 0.5
        if is_free:
            # Or the fee's shares stay behind.
            pair.by_timelock("set_fees", Fees(0, 0, 0))
            pair.move(pair.index)
            pair.do("accrue")
        for user in (*USERS, TREASURY, KEEPER, STRANGER):
            if shares := pair.twin.token.balance_of(user):
                pair.do("request_redeem", shares, user, user, False, sender=user, on=pair.of_queue)
        if pair.twin_venue.order.stage == Stage.NONE:
            pair.warp(RETRY_DELAY)
            if not pair.do("commit_exits", sender=STRANGER).error:
                pair.warp(2)
                pair.settle(self.near_index(), STRANGER)

    def swap(self) -> None:
        """Somebody brings what he takes, so that all cross inside: to the wei where decimals allow it."""
        pair, owner = self.pair, self.holder()
        pair.move(pair.index)
        fund, shares = pair.twin.snapshot(), pair.twin.token.balance_of(owner) // 3
        if fund.size == 0 or fund.equity <= 0 or shares == 0:
            return
        leaving = abs(lm.portion_down(fund.size, shares, fund.supply))
        brought = lm.ceil_div(leaving * fund.equity, abs(fund.size) * pair.twin.scale)
        assets = lm.gross_up(brought, pair.twin.terms.fees.mint)
        pair.do("request_redeem", shares, owner, owner, False, sender=owner, on=pair.of_queue)
        pair.do("request_deposit", assets, owner, owner, False, sender=owner, on=pair.of_queue)
        self.commit()

    def cancel(self) -> None:
        """A request that waits, a refund, or one of somebody else's."""
        draw, pair, queue = self.draw, self.pair, self.pair.twin_queue
        kind, side = draw.choice([("deposit", queue.deposits), ("redeem", queue.redemptions)])
        number = draw.choice([0, side.tail, side.tail, max(1, side.tail - 1), max(1, side.tail - 2)])
        user = draw.choice(USERS)
        sender = user if draw.random() < 0.9 else draw.choice(USERS)
        name, receiver = f"cancel_{kind}_request", draw.choice(USERS)
        done = pair.do(name, number, receiver, user, sender=sender, on=pair.of_queue)
        pair.done["cancelled"] += not done.error

    def claim(self) -> None:
        """By what was requested or by what came of it; all, a part, now and then more than there is."""
        draw, pair, queue = self.draw, self.pair, self.pair.twin_queue
        claimants = [user for user in USERS if queue.max_deposit(user) or queue.max_redeem(user)]
        user = draw.choice(claimants or USERS)
        most_by = {
            "deposit": queue.max_deposit, "mint": queue.max_mint,
            "redeem": queue.max_redeem, "withdraw": queue.max_withdraw,
        }  # fmt: skip
        name = draw.choice([name for name, most in most_by.items() if most(user)] or list(most_by))
        most = most_by[name](user)
        amount = most + 1 if draw.random() < 0.05 else most // draw.choice([1, 1, 1, 2, 7])
        sender = user if draw.random() < 0.9 else draw.choice(USERS)
        done = pair.do(name, amount, draw.choice(USERS), user, sender=sender, on=pair.of_queue)
        pair.done["claimed"] += not done.error

    def appoint(self) -> None:
        user, operator = self.draw.sample(USERS, 2)
        is_approved = self.draw.random() < 0.7
        self.pair.do("set_operator", operator, is_approved, sender=user, on=self.pair.of_queue)

    # Orders

    def commit(self) -> None:
        """At once, or after so long that it earns a tip."""
        if self.draw.random() < 0.2:
            self.pair.warp(self.draw.choice([600, 7_200]))
            self.pair.move(self.pair.index)
        name = "commit" if self.draw.random() < 0.85 else "commit_exits"
        self.pair.do(name, sender=self.somebody())

    def rebalance(self) -> None:
        self.commit()

    def collect(self) -> None:
        self.pair.do("collect_cash", sender=self.somebody())

    def pass_seconds(self) -> None:
        self.pair.warp(self.draw.choice([1, 2, 10, 31, 130]))

    def finish(self) -> None:
        """Bring the order to its end as keepers do; now and then too early, too late, without a price, or
        where the venue fills next to nothing of it."""
        draw, pair = self.draw, self.pair
        match draw.choices(["fill", "sliver", "lapse", "any"], [70, 10, 12, 8])[0]:
            case "fill":
                pair.warp(draw.randint(2, 20))
                pair.settle(self.near_index(), self.somebody())
            case "sliver":
                pair.turn("fill_ratio", WAD // draw.randint(30, 1_000))
                pair.warp(draw.randint(2, 20))
                pair.settle(self.near_index(), self.somebody())
                pair.turn("fill_ratio", WAD)
            case "lapse":
                pair.warp(31)
                pair.settle(None, self.somebody())
            case "any":
                pair.settle(self.near_index() if draw.random() < 0.3 else None, self.somebody())

    def execute(self) -> None:
        """A stranger fills the order at the venue, or cancels it there."""
        self.pair.warp(self.draw.choice([1, 2, 10, 31]))
        self.pair.at_venue("execute", self.near_index())
        if self.draw.random() < 0.25:
            self.pair.at_venue("cancel")

    # The market

    def near_index(self) -> int:
        return self.pair.index * self.draw.randint(9_950, 10_050) // 10_000

    def turn_knobs(self) -> None:
        super().turn_knobs()
        draw, pair = self.draw, self.pair
        pair.turn("keeper_deposit", draw.choice([0, draw.randint(0, 5 * WAD)]))
        pair.turn("margin_moves_with_orders", draw.random() < 0.3)


def play(seed: int) -> QueuedPair:
    """A history of its own; what happened in it is counted in `done`."""
    draw = random.Random(seed)
    pair = QueuedPair(Setting.drawn(draw))
    user = USERS[0]
    pair.do("request_deposit", 10_000 * pair.unit, user, user, False, sender=user, on=pair.of_queue)
    pair.do("commit", sender=user)
    pair.compare()
    QueuedPlayer(draw, pair).play()
    return pair
