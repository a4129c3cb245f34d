"""The plots of docs/history.md."""

from collections.abc import Mapping
from pathlib import Path

import matplotlib.dates
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, PercentFormatter, ScalarFormatter

from history.policies import Score
from history.products import Product, Wandering
from leverage.backtest import Result
from leverage.report.plots import COLOURS, thinned
from leverage.statistics import Ints

# Okabe and Ito's, as in the reports.
POLICY_COLOURS = {
    "ours": COLOURS["nav"],
    "ftx": COLOURS["ideal"],
    "bybit": COLOURS["gain"],
    "kucoin": COLOURS["band"],
    "tlx": "#cc79a7",
}


def products(found: list[Product], path: Path) -> None:
    """Real tokens, the model of them, and the asset."""
    figure = Figure(figsize=(9, 3.4), layout="constrained")
    for axes, product in zip(figure.subplots(1, len(found)), found, strict=True):
        days = _dates(product.time)
        for values, label, colour, style in (
            (product.asset, "ETH", COLOURS["asset"], "-"),
            (product.model, "model, fees and funding", COLOURS["ideal"], (0, (4, 2))),
            (product.real, product.name, COLOURS["nav"], "-"),
        ):
            axes.plot(days, values / values[0], color=colour, ls=style, lw=1.4, label=label)
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.set_title(f"{product.name}, {product.target:+d}x", fontsize=10)
        _tidy(axes)
        axes.xaxis.set_major_formatter(matplotlib.dates.DateFormatter("%b"))
        axes.legend(frameon=False, fontsize=8)
    _save(figure, path)


def wandering(found: Wandering, path: Path) -> None:
    """Leverage that was really had, week by week."""
    figure = Figure(figsize=(9, 2.8), layout="constrained")
    axes = figure.subplots()
    axes.axhspan(1.25, 4, color=COLOURS["asset"], alpha=0.12, lw=0, label="promised: 1.25x to 4x")
    axes.plot(_dates(found.time), found.leverage, color=COLOURS["nav"], lw=1.4, label="ETHUP, by week")
    axes.set_ylim(0, 4.5)
    axes.set_ylabel("leverage")
    _tidy(axes)
    axes.legend(frameon=False, fontsize=8, ncols=2)
    _save(figure, path)


def crash(found: Mapping[str, tuple[Result, float]], path: Path) -> None:
    """One day under every policy: nav, and leverage."""
    figure = Figure(figsize=(9, 3.4), layout="constrained")
    nav, leverage = figure.subplots(1, 2)
    for name, (result, _) in found.items():
        rows = thinned(result.nav)
        nav.plot(_dates(result.time[rows]), result.nav[rows], color=POLICY_COLOURS[name], lw=1.2, label=name)
        rows = thinned(result.leverage)
        leverage.plot(_dates(result.time[rows]), result.leverage[rows], color=POLICY_COLOURS[name], lw=1.0)
    nav.set_yscale("log")
    nav.yaxis.set_major_formatter(ScalarFormatter())
    nav.set_title("nav", fontsize=10)
    leverage.set_title("leverage", fontsize=10)
    for axes in (nav, leverage):
        _tidy(axes)
        axes.xaxis.set_major_locator(matplotlib.dates.HourLocator(interval=12))
        axes.xaxis.set_major_formatter(matplotlib.dates.DateFormatter("%d %b\n%H:%M"))
    nav.legend(frameon=False, fontsize=8)
    _save(figure, path)


def policies(found: Mapping[tuple[str, int], Score], path: Path) -> None:
    """What tracking costs in turnover, policy by policy."""
    figure = Figure(figsize=(9, 3.2), layout="constrained")
    targets = list(dict.fromkeys(target for _, target in found))
    for axes, target in zip(figure.subplots(1, len(targets)), targets, strict=True):
        for name, colour in POLICY_COLOURS.items():
            score = found[name, target]
            label = f"{name}, up to {score.worst:.1f}x"
            axes.scatter(score.turnover, score.difference, s=45, color=colour, label=label)
        axes.legend(frameon=False, fontsize=8)
        axes.set_title(f"{target:+d}x", fontsize=10)
        axes.set_xlabel("turnover per year, times equity")
        axes.set_ylabel("mean difference per day")
        axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=1))
        axes.margins(x=0.2, y=0.2)
        _tidy(axes)
        axes.xaxis.set_major_formatter(ScalarFormatter())
    _save(figure, path)


def _tidy(axes: Axes) -> None:
    axes.grid(alpha=0.25, lw=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8)


def _dates(time: Ints) -> np.ndarray:
    return time.astype("datetime64[s]")


def _save(figure: Figure, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110, metadata={"Software": None})
