"""Tokens that were really traded, beside what the model makes of their rules."""

from dataclasses import replace
from decimal import Decimal
from typing import NamedTuple

import numpy as np

from history import data
from leverage import backtest, presets, statistics
from leverage.backtest import Costs, Reaction, Token
from leverage.market import Bars, Funding
from leverage.statistics import Floats, Ints
from leverage.types import DAY, WAD, Fees

# FTX's fees: 3 bp of assets a day (its help pages), and 2 bp of each trade, a large account's there.
FTX_PER_DAY = 3 * WAD // 10_000
FTX_TRADES = 0.0002
# Before this day the site's prices of ETHBULL and ETHBEAR stand still for five days.
SOUND_FROM = "2020-04-11"
WEEK = 7 * DAY


class Product(NamedTuple):
    """A real token's days beside the model's. Worths are those at the end, 1 at the start."""

    name: str
    target: int
    time: Ints  # Midnights.
    real: Floats
    model: Floats
    asset: Floats
    ideal: float  # The model without fees and funding.
    with_fees: float  # The model with fees alone.

    @property
    def correlation(self) -> float:
        """Of daily returns, the token's and the model's."""
        return statistics.correlation(statistics.returns(self.real), statistics.returns(self.model))

    @property
    def weekly(self) -> float:
        """The same of weeks."""
        return statistics.correlation(statistics.returns(self.real[::7]), statistics.returns(self.model[::7]))

    @property
    def asset_correlation(self) -> float:
        """Of the token's daily returns and L times the asset's: no model of the asset can beat it by far."""
        multiple = self.target * statistics.returns(self.asset)
        return statistics.correlation(statistics.returns(self.real), multiple)

    @property
    def gap(self) -> float:
        """What the real token fell short of the ideal, a log return."""
        return float(np.log(self.worth / self.ideal))

    @property
    def explained(self) -> float:
        """What of that fees and funding say, a log return."""
        return float(np.log(self.modelled / self.ideal))

    @property
    def residual(self) -> float:
        """What is left, a log return per day."""
        return (self.gap - self.explained) / (len(self.time) - 1)

    @property
    def echo(self) -> float:
        """Correlation of a day's residual with the next one's: -0.5 where it is all noise of the quotes."""
        left = np.diff(np.log(self.real) - np.log(self.model))
        return statistics.correlation(left[1:], left[:-1])

    @property
    def worth(self) -> float:
        return float(self.real[-1] / self.real[0])

    @property
    def modelled(self) -> float:
        return float(self.model[-1] / self.model[0])


def ftx(name: str, target: int) -> Product:
    """A token of FTX at each midnight of 2020, beside the perpetual's hours under its rules."""
    listed = Bars.read(data.path(name))
    real = listed.window(max(listed.start, data.second(SOUND_FROM)))
    hours = data.bars("eth_perp_binance_1h").window(real.start - 3_600, real.end - DAY)
    funding = data.funding("funding_eth_binance_8h").window(hours.start, hours.end)
    policy = presets.policy("ftx", Decimal(target), ["min_notional=0", "max_notional=1000000000"])
    policy = replace(policy, exclusive=0, cooldown=0)
    fees, costs = Fees(0, 0, FTX_PER_DAY), Costs(fee=FTX_TRADES)

    def replayed(fees: Fees, costs: Costs, funding: Funding | None) -> tuple[Floats, Floats]:
        result = backtest.run(hours, Token(target, policy, fees, costs), funding, Reaction.CLOSES)
        rows = np.searchsorted(result.time, real.time)
        return result.nav[rows], result.price[rows]

    model, asset = replayed(fees, costs, funding)
    ideal, with_fees = replayed(Fees(0, 0, 0), Costs(), None)[0], replayed(fees, costs, None)[0]
    return Product(
        name.removesuffix("_daily").upper(), target, real.time, real.open, model, asset,
        float(ideal[-1] / ideal[0]), float(with_fees[-1] / with_fees[0]),
    )  # fmt: skip


def all_of_ftx() -> list[Product]:
    return [ftx("ethbull_daily", 3), ftx("ethbear_daily", -3), ftx("ethhedge_daily", -1)]


class Wandering(NamedTuple):
    """The leverage that a token really had: slope of its returns on the asset's, over each week."""

    time: Ints  # When each week ended.
    leverage: Floats

    def at(self, percentile: float) -> float:
        return float(np.percentile(self.leverage, percentile))


def ethup() -> Wandering:
    """Binance's ETHUP, which promised 1.25x to 4x, in bars of four hours."""
    token = Bars.read(data.path("ethup_binance_4h"))
    hours = data.bars("eth_usd_1h")
    rows = np.searchsorted(hours.time, token.time + token.interval) - 1
    both = np.array([token.close, hours.close[rows]])
    step = WEEK // token.interval
    weeks = range(0, len(token) - step, step)
    slopes = [statistics.slope(*map(statistics.returns, both[:, at : at + step + 1])) for at in weeks]
    return Wandering(token.time[[at + step for at in weeks]], np.array(slopes))
