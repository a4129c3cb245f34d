"""Periods of the data, and tokens that are replayed over them."""

from dataclasses import dataclass

from history import data
from leverage import backtest, presets
from leverage.backtest import Costs, Reaction, Result, Token
from leverage.market import Bars, Funding
from leverage.types import DAY, WAD, Fees, Policy

# What every policy is charged, so that policies alone make the difference: 6 bp of what is traded, 5 bp more
# for a trade of a million, our management fee, and the funding of the largest perpetual.
COSTS = Costs(fee=0.0006, impact=5e-10)
FEES = Fees(mint=0, burn=0, management_per_day=WAD // 10_000)
# The tokens of config/markets.toml whose rules stand for a leverage.
SYMBOLS = {3: "ETH3L", -3: "ETH3S"}


@dataclass(frozen=True)
class Period:
    """A stretch of a market: file of its prices, window, and file of its funding."""

    name: str
    prices: str
    start: str | None = None
    end: str | None = None
    funding: str | None = None

    @property
    def bars(self) -> Bars:
        """The bars that open in the window, that of its end included."""
        whole = data.bars(self.prices)
        start = None if self.start is None else data.second(self.start)
        end = None if self.end is None else data.second(self.end) + whole.interval
        return whole.window(start, end)

    @property
    def paid(self) -> Funding | None:
        """Its funding payments, as far as they are known."""
        bars = self.bars
        return None if self.funding is None else data.funding(self.funding).window(bars.start, bars.end)

    def replay(self, token: Token, reaction: Reaction = Reaction.EXTREMES) -> Result:
        """A token's life in it."""
        return backtest.run(self.bars, token, self.paid, reaction)


def rules_only(triggers: int, offset: int = 180) -> Policy:
    """Triggers and nothing else: no costs to avoid, no limits, no least trade.

    A price "at 00:02" is the close of the minute that is stamped so, which is known at 00:03.
    """
    return Policy(
        triggers=triggers, period=DAY, offset=offset, exclusive=0, cooldown=0,
        band_min=0, band_max=10**6 * WAD, emergency_move=WAD // 10, drift=0, tolerance=WAD // 10**6,
        max_slippage=WAD // 10, emergency_slippage=WAD // 10, tip_rate=0, tip_cap=0,
        min_notional=0, max_notional=10**15 * WAD,
    )  # fmt: skip


def token(preset: str, target: int, *settings: str) -> Token:
    """A token under a preset's rules, at the costs that all are charged."""
    (table,) = presets.tokens([SYMBOLS[target]], preset=preset, settings=settings).values()
    return Token(target, table.policy_struct(), FEES, COSTS)
