"""Replays without costs, whose figures have been published or worked out by hand."""

from typing import NamedTuple

import numpy as np

from history import data
from history.replay import Period, rules_only
from leverage import backtest
from leverage.backtest import Reaction, Result, Token
from leverage.market import Bars
from leverage.policy import EMERGENCY, SCHEDULED
from leverage.types import DAY, Trigger

AUTUMN = Period(
    "2019-09-24 to 2020-02-06", "eth_usd_1m_2019-09_2020-03", "2019-09-24 00:02", "2020-02-06 00:02"
)
MARCH_12 = Period("2020-03-12", "eth_usd_1m_2019-09_2020-03", "2020-03-12 00:02", "2020-03-13 00:02")
SPRING = "2020-04-11", "2020-12-16"


class Ideal(NamedTuple):
    """A token that is reset daily, with or without the rule of a 10 % move against it."""

    period: str
    target: int
    has_emergency: bool
    asset: float  # Price at the end over that at the start.
    result: Result

    @property
    def nav(self) -> float:
        return float(self.result.nav[-1])

    @property
    def triggers(self) -> int:
        """How often the price moved 10 % against it."""
        return int(np.sum(self.result.trades["trigger"] == Trigger.EMERGENCY))


def ideal(period: Period, target: int, has_emergency: bool) -> Ideal:
    """Replay on the closes of minutes."""
    policy = rules_only(SCHEDULED | (EMERGENCY if has_emergency else 0))
    result = period.replay(Token(target, policy), Reaction.CLOSES)
    return Ideal(period.name, target, has_emergency, float(result.price[-1] / result.price[0]), result)


def autumn() -> list[Ideal]:
    """ETH was nearly where it began, and both tokens had lost."""
    return [ideal(AUTUMN, target, rule) for target in (3, -3) for rule in (False, True)]


def march_12() -> list[Ideal]:
    """The day on which ETH fell by 45 %."""
    return [ideal(MARCH_12, 3, rule) for rule in (False, True)]


def spring() -> list[Ideal]:
    """Reset at 00:00 from 2020-04-11 to 2020-12-16, on Kraken's opens."""
    hours = data.bars("eth_usd_kraken_1h").window(*map(data.second, SPRING))
    last = data.bars("eth_usd_kraken_1h").window(data.second(SPRING[1])).open[:1]
    opens = np.append(hours.open[::24], last)
    # A bar per day that closes at midnight, at the price of that midnight.
    days = Bars.of(np.arange(len(opens)) * DAY + hours.start - DAY, *[opens] * 4)
    found = []
    for target in (3, -3):
        result = backtest.run(days, Token(target, rules_only(SCHEDULED, offset=0)), reaction=Reaction.CLOSES)
        found.append(Ideal(" to ".join(SPRING), target, False, float(opens[-1] / opens[0]), result))
    return found
