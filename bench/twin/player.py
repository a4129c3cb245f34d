"""Draws what happens next to a vault and its twin: what all vaults have in common."""

import random
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import replace

from bench.twin.pair import KEEPER, STRANGER, TREASURY, USERS, Pair, drawn_caps, drawn_fees, drawn_policy
from leverage import leverage_math as lm
from leverage.types import DAY, WAD

# A history is so long, and goes on until everything has happened that must; then come the steps of its end.
STEPS, MOST_STEPS, LAST_STEPS = 40, 600, 20

Action = Callable[[], object]


class Player(ABC):
    """`must` is what makes a history worth its name, as the pair counts it."""

    must: Iterable[str]

    def __init__(self, draw: random.Random, pair: Pair):
        self.draw = draw
        self.pair = pair

    def play(self) -> None:
        """A history, both sides compared after each step."""
        pair = self.pair
        while pair.steps < STEPS or (pair.steps < MOST_STEPS and not pair.has_done(self.must)):
            self.step(self.actions())
        for _ in range(LAST_STEPS):
            self.step({**self.actions(), self.lose: 10, self.leave_all: 10})

    def step(self, actions: dict[Action, int]) -> None:
        """One of these, and both sides compared."""
        self.draw.choices(list(actions), list(actions.values()))[0]()
        self.pair.steps += 1
        self.pair.compare()

    @abstractmethod
    def actions(self) -> dict[Action, int]:
        """What may happen, and how often."""

    @abstractmethod
    def rebalance(self) -> None:
        """Somebody tries to."""

    @abstractmethod
    def leave_all(self) -> None:
        """Everybody leaves with everything."""

    # The market

    def move(self) -> None:
        draw, pair = self.draw, self.pair
        most = 100 * WAD // abs(pair.setting.target)
        index = pair.index * (1_000 + draw.randint(-most, most)) // 1_000
        is_apart = draw.random() < 0.15
        pair.move(index, index * draw.randint(970, 1_030) // 1_000 if is_apart else None)

    def cross(self) -> None:
        """Leverage goes beyond one of the band's edges, and somebody rebalances."""
        draw, pair = self.draw, self.pair
        # With the same price anew, should the feed have been late.
        pair.move(pair.index)
        fund, policy = pair.twin.snapshot(), pair.twin.terms.policy
        if fund.size == 0 or fund.equity <= 0:
            return
        edge = policy.band_min * 99 // 100 if draw.random() < 0.5 else policy.band_max * 101 // 100
        if abs(fund.leverage - WAD) < WAD // 10:
            # A long of 1x has as much as it holds, whatever the price: money must come or go.
            pair.at_venue("fund", lm.notional(fund.size, pair.index) * WAD // edge - fund.equity)
        else:
            way = lm.move_to(fund.leverage, edge if fund.leverage > 0 else -edge)
            pair.move(pair.index + lm.notional(pair.index, max(-WAD // 2, min(WAD, way))))
        self.rebalance()

    def wait(self) -> None:
        draw, pair = self.draw, self.pair
        pair.warp(draw.choice([1, 60, 3_600, DAY, 3 * DAY]))
        # Now and then the feed is late.
        if draw.random() < 0.7:
            pair.move(pair.index)

    def fund(self) -> None:
        pair = self.pair
        most = max(1, abs(lm.notional(pair.twin_venue.position().size, pair.index)) // 500)
        pair.at_venue("fund", self.draw.randint(-most, most))

    def turn_knobs(self) -> None:
        draw, pair = self.draw, self.pair
        pair.turn("fee_rate", draw.choice([0, draw.randint(0, WAD // 500)]))
        pair.turn("slippage", draw.choice([0, draw.randint(0, WAD // 300), -draw.randint(0, WAD // 1_000)]))
        # Mostly all of an order, else a part of it, little, or nothing.
        part = draw.choice([draw.randint(0, WAD), draw.randint(0, WAD // 30), 0])
        pair.turn("fill_ratio", WAD if draw.random() < 0.85 else part)

    def lose(self) -> None:
        """The venue or the market takes the position away."""
        draw, pair = self.draw, self.pair
        position = pair.twin_venue.position()
        equity = lm.equity(position.cash, position.size, pair.index)
        kind = draw.choice(["liquidate", "part", "crash"])
        if kind == "liquidate":
            pair.at_venue("liquidate", draw.choice([0, equity // 2, equity // 10, -WAD]))
        elif kind == "part":
            pair.at_venue("liquidate_part", draw.randint(1, WAD), WAD // 40)
        else:
            against = -1 if position.size > 0 else 1
            pair.move(pair.index * (100 + against * draw.randint(5, 99)) // 100)
        if draw.random() < 0.5:
            pair.do("check_ruin")

    # People

    def amount(self) -> int:
        """Of what somebody brings, in whole units: nothing, little, much."""
        draw = self.draw
        ranges = [(0, 10), (1, 1_000), (1_000, 20_000), (1_000, 200_000)]
        return draw.randint(*draw.choices(ranges, [1, 3, 4, 2])[0])

    def holder(self) -> str:
        """Somebody with shares, if there is one."""
        held = self.pair.twin.token.balance_of
        return self.draw.choice([user for user in USERS if held(user)] or USERS)

    def somebody(self) -> str:
        return self.draw.choice([KEEPER, STRANGER])

    def donate(self) -> None:
        user, assets = self.draw.choice(USERS), self.draw.randint(1, 100) * self.pair.unit
        self.pair.send(self.pair.asset, "approve", self.pair.venue, assets, sender=user)
        self.pair.at_venue("donate", assets, sender=user)

    def housekeep(self) -> None:
        self.pair.do(self.draw.choice(["accrue", "check_ruin", "collect_fees"]))

    def govern(self) -> None:
        """Now and then beyond what bytecode allows."""
        draw, pair = self.draw, self.pair
        is_allowed = draw.random() < 0.8
        kinds = {"fees": 6, "caps": 2, "policy": 2, "pause": 1, "resume": 1, "rearm": 1, "treasury": 1}
        match draw.choices(list(kinds), list(kinds.values()))[0]:
            case "fees":
                fees = drawn_fees(draw)
                pair.by_timelock("set_fees", fees if is_allowed else replace(fees, burn=WAD // 99))
            case "caps":
                pair.by_timelock("set_caps", drawn_caps(draw, pair.unit))
            case "policy":
                policy = drawn_policy(draw, abs(pair.setting.target))
                pair.by_timelock("set_policy", policy if is_allowed else replace(policy, drift=0))
            case "pause":
                pair.with_terms("pause", draw.choice([60, DAY, 8 * DAY]))
            case "resume":
                pair.with_terms("resume")
            case "rearm":
                pair.by_timelock("rearm_pause")
            case "treasury":
                pair.by_timelock("set_treasury", draw.choice([TREASURY, USERS[0]]))
        pair.move(pair.index)
