"""The figures of a report, as people read them: the same columns on a terminal and on a page."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich import box
from rich.table import Table

from leverage.market.times import clock
from leverage.report.cases import Outcome
from leverage.statistics import Summary


@dataclass(frozen=True)
class Column:
    """A figure: what it is called, how it is written, and what it means."""

    name: str
    text: Callable[[Summary], str]
    meaning: str


@dataclass(frozen=True)
class Group:
    """Figures that belong together."""

    title: str
    columns: Sequence[Column]


def percent(value: float) -> str:
    """A fraction as a percentage, with as many digits as matter: not all is lost until it is."""
    digits = 0 if abs(value) >= 10 else 1 if abs(value) >= 0.1 and not -1 < value < -0.99 else 2
    return f"{round(value, digits + 2) + 0.0:+,.{digits}%}"


def worth(value: float) -> str:
    """Nav, to four digits that count."""
    return f"{value:,.4f}" if value >= 1 else f"{value:#.4g}" if value > 0 else "0"


def _count(name: str) -> Callable[[Summary], str]:
    return lambda summary: f"{summary.rebalances[name]:,}"


def _end(summary: Summary) -> str:
    ruined = f", ruined {clock(summary.ruined_at)}" if summary.ruined_at is not None else ""
    return worth(summary.nav) + ruined


RESULT = Group(
    "What became of it",
    (
        Column("nav", _end, "what 1 at the start is worth at the end"),
        Column("asset", lambda s: percent(s.asset), "the asset's return"),
        Column("multiple", lambda s: worth(s.multiple), "worth of a position never rebalanced"),
        Column("drawdown", lambda s: percent(s.drawdown), "the deepest fall from a high, at closes"),
        Column("leverage", lambda s: f"{s.leverage_min:.2f}…{s.leverage_max:.2f}x", "its range, at closes"),
    ),
)
FOLLOWING = Group(
    "How it followed the asset",
    (
        Column("decay", lambda s: percent(s.decay), "nav against the asset's power, with all costs"),
        Column("by theory", lambda s: percent(s.expected_decay), "the same at no cost, from daily variance"),
        Column("volatility", lambda s: f"{s.volatility:.1%}", "of the asset, per year"),
        Column("tracking error", lambda s: f"{s.tracking_error:.3%}", "deviation of the daily differences"),
        Column("mean", lambda s: f"{s.tracking_difference:+.3%}", "mean of the daily differences"),
        Column("correlation", lambda s: f"{s.correlation:+.4f}", "of daily returns"),
        Column("slope", lambda s: f"{s.slope:+.3f}", "of its daily returns on the asset's"),
    ),
)
TRADING = Group(
    "How it was rebalanced",
    (
        Column("rebalances", lambda s: f"{sum(s.rebalances.values()):,}", "in all"),
        Column("emergency", _count("emergency"), "out of danger"),
        Column("band", _count("band"), "back into the band"),
        Column("scheduled", _count("scheduled"), "by the clock"),
        Column("turnover", lambda s: f"{s.turnover:,.1f}", "value traded over equity, per year"),
    ),
)


def _line(name: str) -> Callable[[Summary], str]:
    return lambda summary: percent(summary.attribution[name])


REASONS = Group(
    "Why: the change of nav by cause, of the nav at the start",
    (
        Column("price", _line("price"), "the position times the index's moves"),
        Column("funding", _line("funding"), "paid to the other side of the market, or got from it"),
        Column("venue fee", _line("venue_fee"), "of the rebalances"),
        Column("slippage", _line("slippage"), "fills away from the index"),
        Column("management fee", _line("management_fee"), "the protocol's"),
        Column("sum", lambda s: percent(s.nav - 1), "nav less 1"),
    ),
)
GROUPS = (RESULT, FOLLOWING, TRADING, REASONS)


# What tells several outcomes apart.
COMPARED = [
    column
    for group in GROUPS
    for column in group.columns
    if column.name in ("nav", "decay", "tracking error", "drawdown", "turnover", "rebalances")
]


def tables(outcomes: Sequence[Outcome]) -> list[Table]:
    """A table for each group, with a row per outcome."""
    return [table(group.title, group.columns, outcomes) for group in GROUPS]


def table(title: str, columns: Sequence[Column], outcomes: Sequence[Outcome]) -> Table:
    """These figures, with a row per outcome."""
    drawn = Table(
        title=f"[bold]{title}[/]",
        title_style="",
        title_justify="left",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
    )
    drawn.add_column("token")
    drawn.add_column("policy")
    for column in columns:
        drawn.add_column(column.name, justify="right")
    for outcome in outcomes:
        drawn.add_row(outcome.symbol, outcome.policy, *(column.text(outcome.summary) for column in columns))
    return drawn
