"""What a path of prices and nav says: variance, decay, drawdown, tracking, correlation. All in plain floats.

Returns are simple ones, p1/p0 - 1, unless they are called log returns. Years have 365 days.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from leverage.types import DAY, Trigger

if TYPE_CHECKING:
    from leverage.backtest import Result, Token

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

HOUR = 3_600
YEAR = 365 * DAY
FEW_DAYS = 14  # Up to which hours are looked at instead of days.


# Variance and decay


def returns(values: Floats) -> Floats:
    """From each value to the next; nothing comes of nothing."""
    before = values[:-1]
    return np.divide(values[1:] - before, before, out=np.zeros(len(before)), where=before != 0)


def variances(price: Floats) -> Floats:
    """Realised variance from the first price up to each: the sum of the squared log returns.

    Andersen, Bollerslev, Diebold and Labys, "Modeling and Forecasting Realized Volatility", Econometrica 71
    (2003).
    """
    return np.concatenate(([0.0], np.cumsum(np.diff(np.log(price)) ** 2)))


def realised_variance(price: Floats) -> float:
    """Realised variance over all the prices."""
    return float(variances(price)[-1])


def volatility(time: Ints, price: Floats, per: int = YEAR) -> float:
    """Realised volatility per `per` seconds, of prices at any times: the root of their variance in it."""
    seconds = float(time[-1] - time[0])
    return float(np.sqrt(realised_variance(price) * per / seconds)) if seconds > 0 else 0.0


def expected_decay(target: float, variance: float) -> float:
    """Nav over the asset's power, exp(-L(L-1)/2 variance), when leverage is always at `target` at no cost.

    With price S and variance sigma^2 t, nav is S^L exp(-L(L-1)/2 sigma^2 t): Avellaneda and Zhang,
    "Path-Dependence of Leveraged ETF Returns", SIAM Journal on Financial Mathematics 1 (2010).
    """
    return float(np.exp(-target * (target - 1) / 2 * variance))


def decay(nav: Floats, price: Floats, target: float) -> Floats:
    """Nav over the asset's power since the start: what the path and the costs have taken, 1 at the start."""
    return np.asarray(nav / nav[0] / (price / price[0]) ** target)


# Nav


def multiple(price: Floats, target: float) -> Floats:
    """1 + L times the asset's return since the start: a position never rebalanced, until it is gone."""
    worth = 1 + target * (price / price[0] - 1)
    return np.where(np.logical_and.accumulate(worth > 0), worth, 0.0)


def drawdown(nav: Floats) -> Floats:
    """What is lost of the highest nav so far, a fraction from 0 to -1."""
    return np.asarray(nav / np.maximum.accumulate(nav) - 1)


# Days


def every(time: Ints, step: int, offset: int = 0) -> Ints:
    """The rows in force at each multiple of `step` seconds after `offset`, from the first row's time on."""
    first = -(-(int(time[0]) - offset) // step) * step + offset
    moments = np.arange(first, int(time[-1]) + 1, step)
    return np.searchsorted(time, moments, "right").astype(np.int64) - 1


class Tracking(NamedTuple):
    """How nav followed the multiple of the asset's daily return."""

    time: Ints  # When each day ended.
    difference: Floats  # Return of nav less L times that of the asset.
    correlation: float  # Of the two returns (Pearson).
    slope: float  # Of nav's return on the asset's: the leverage that was had.

    @property
    def error(self) -> float:
        """The standard deviation of the daily differences: tracking error as funds report it, but by day.

        A year's, as in ESMA's "Guidelines on ETFs and other UCITS issues" (2012/832), is this times the root
        of its days.
        """
        return float(np.std(self.difference, ddof=1)) if len(self.difference) > 1 else 0.0


def tracking(time: Ints, nav: Floats, price: Floats, target: float, offset: int = 0) -> Tracking:
    """Nav against `target` times the asset, by day; days begin `offset` seconds after 00:00 UTC."""
    rows = every(time, DAY, offset)
    ours, theirs = returns(nav[rows]), returns(price[rows])
    return Tracking(time[rows][1:], ours - target * theirs, correlation(ours, theirs), slope(ours, theirs))


def correlation(x: Floats, y: Floats) -> float:
    """Pearson's correlation; 0 where one of them does not vary."""
    dx, dy = (values - values.mean() if len(values) else values for values in (x, y))
    spread = float(np.sqrt((dx @ dx) * (dy @ dy)))
    return float(dx @ dy) / spread if spread > 0 else 0.0


def slope(y: Floats, x: Floats) -> float:
    """Slope of the least-squares line of y on x; 0 where x does not vary."""
    dx = x - x.mean() if len(x) else x
    spread = float(dx @ dx)
    return float(dx @ y) / spread if spread > 0 else 0.0


# One token, one period


@dataclass(frozen=True)
class Summary:
    """A token's time in figures: fractions, times in unix seconds."""

    start: int
    end: int
    nav: float  # Where it began with 1.
    asset: float  # The asset's return.
    multiple: float  # What a position of the same leverage, never rebalanced, would be worth.
    volatility: float  # Of the asset, per year.
    variance: float  # Of the asset, over the whole time.
    decay: float  # Nav over the asset's power, less 1.
    expected_decay: float  # The same by theory, at no cost.
    drawdown: float  # The deepest.
    tracking_error: float  # By day.
    tracking_difference: float  # Mean of the daily differences.
    correlation: float  # Of daily returns.
    slope: float
    turnover: float  # Value traded over equity, per year.
    leverage_min: float
    leverage_max: float
    rebalances: dict[str, int]
    attribution: dict[str, float]  # Sums to nav - 1.
    ruined_at: int | None


def sampling(time: Ints) -> int:
    """Seconds between the prices whose variance is told: a day, or an hour where there are few days."""
    return DAY if time[-1] - time[0] > FEW_DAYS * DAY else HOUR


def samples(time: Ints, offset: int = 0) -> Ints:
    """The rows of these prices, the first and the last included."""
    inner = every(time, sampling(time), offset)
    rows: Ints = np.unique(np.concatenate(([0], inner, [len(time) - 1])))
    return rows


def summarise(result: "Result", token: "Token") -> Summary:
    """A backtest in figures. Days begin when the policy's do."""
    time, nav, price, target = result.time, result.nav, result.price, token.target
    offset = token.policy.offset
    rows = samples(time, offset)
    variance = realised_variance(price[rows])
    daily = tracking(time, nav, price, target, offset)
    counts = {trigger.name.lower(): int(np.sum(result.trades["trigger"] == trigger)) for trigger in Trigger}
    del counts["none"]
    seconds = float(time[-1] - time[0])
    return Summary(
        start=int(time[0]),
        end=int(time[-1]),
        nav=float(nav[-1]),
        asset=float(price[-1] / price[0] - 1),
        multiple=float(multiple(price, target)[-1]),
        volatility=volatility(time[rows], price[rows]),
        variance=variance,
        decay=float(decay(nav, price, target)[-1] - 1),
        expected_decay=expected_decay(target, variance) - 1,
        drawdown=float(drawdown(nav).min()),
        tracking_error=daily.error,
        tracking_difference=float(daily.difference.mean()) if len(daily.difference) else 0.0,
        correlation=daily.correlation,
        slope=daily.slope,
        turnover=result.turnover * YEAR / seconds if seconds else 0.0,
        leverage_min=float(np.abs(result.leverage).min()),
        leverage_max=float(np.abs(result.leverage).max()),
        rebalances=counts,
        attribution={line: float(values[-1]) for line, values in result.attribution.items()},
        ruined_at=result.ruined_at,
    )
