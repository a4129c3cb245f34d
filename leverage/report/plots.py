"""Plots of a case: figures, and as SVG that takes its colours from the page around it."""

import html
import io
import re
import zlib
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import matplotlib
import matplotlib.dates
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter, PercentFormatter

from leverage import statistics
from leverage.report.cases import Case
from leverage.report.tables import percent, worth
from leverage.types import WAD, Trigger

Floats = statistics.Floats
Ints = statistics.Ints

SIZE = (4.2, 2.8)  # Inches of 72 units: on a phone a unit is about a pixel.
MOST = 500  # Points of a line; each stretch keeps its lowest and its highest.
WIDE = 8  # Nav that spans more than this factor is drawn on a log scale.

# Okabe and Ito's colours, which the colour-blind tell apart. On a page each is a variable of this name.
COLOURS = {
    "nav": "#0072b2",
    "ideal": "#d55e00",
    "asset": "#777777",
    "gain": "#009e73",
    "loss": "#cc5566",
    "emergency": "#d55e01",
    "band": "#e69f00",
    "scheduled": "#009e74",
}
INK = "#111112"  # The page's own colour of text.
MARKS = {Trigger.EMERGENCY: "v", Trigger.BAND: "D", Trigger.SCHEDULED: "o"}

STYLE: dict[Any, Any] = {
    "font.size": 9,
    "axes.labelsize": 9,
    "legend.fontsize": 8.5,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "grid.color": INK,
    "grid.alpha": 0.15,
    "grid.linewidth": 0.6,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "lines.linewidth": 1.3,
    "legend.frameon": False,
    "svg.fonttype": "none",
    "svg.hashsalt": "leverage",
}


def thinned(values: Floats, most: int = MOST) -> Ints:
    """Rows of about `most` values that look like all of them: the extremes of each stretch, and the ends."""
    count = len(values)
    if count <= most:
        return np.arange(count)
    rows = {0, count - 1}
    for first, last in pairwise(np.linspace(0, count, most // 2 + 1).astype(int)):
        rows |= {first + int(np.argmin(values[first:last])), first + int(np.argmax(values[first:last]))}
    return np.array(sorted(rows))


# Figures


def nav(case: Case) -> Figure:
    """Nav, the multiple of the asset's return, and the asset."""
    result, target = case.result, case.token.target
    figure, axes = _figure()
    lines = {
        "asset": ("asset", result.price / result.price[0], 0.9, "-"),
        f"1 {'+' if target > 0 else '−'} {abs(target):g} × its return": (
            "ideal",
            statistics.multiple(result.price, target),
            1.1,
            (0, (4, 2)),
        ),
        "nav": ("nav", result.nav, 1.6, "-"),
    }
    for name, (colour, values, width, style) in lines.items():
        rows = thinned(values)
        axes.plot(
            _dates(result.time[rows]), values[rows], color=COLOURS[colour], lw=width, ls=style, label=name
        )
    shown = np.concatenate([values for _, values, *_ in lines.values()])
    positive = shown[shown > 0]
    if positive.max() > WIDE * positive.min():
        _logarithmic(axes)
        axes.set_ylim(bottom=min(result.nav[result.nav > 0].min(), result.price.min() / result.price[0]) / 2)
    axes.set_ylabel("start = 1")
    return _dated(figure, axes)


def leverage(case: Case) -> Figure:
    """Leverage at closes, its band and its target, and what each rebalance found."""
    result, policy, target = case.result, case.token.policy, abs(case.token.target)
    figure, axes = _figure()
    values = np.abs(result.leverage)
    rows = thinned(values)
    axes.axhspan(policy.band_min / WAD, policy.band_max / WAD, color=COLOURS["nav"], alpha=0.08, lw=0)
    axes.axhline(target, color=INK, lw=0.7, alpha=0.5)
    axes.plot(_dates(result.time[rows]), values[rows], color=COLOURS["nav"], lw=0.9, label="leverage")
    found = np.abs(result.trades["leverage_before"])
    for trigger, mark in MARKS.items():
        own = np.flatnonzero(result.trades["trigger"] == trigger)
        if not len(own):
            continue
        rows = own[thinned(found[own], MOST // 4)]
        axes.plot(
            _dates(result.trades["time"][rows]),
            found[rows],
            mark,
            color=COLOURS[trigger.name.lower()],
            ms=3.5,
            mew=0,
            alpha=0.8,
            label=f"{trigger.name.lower()} ({len(own):,})",
        )
    seen = np.concatenate((values, found, [target]))
    axes.set_ylim(max(0, seen.min() * 0.92), seen.max() * 1.05)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}x"))
    return _dated(figure, axes)


def attribution(case: Case) -> Figure:
    """From 1 to nav, cause by cause."""
    figure, axes = _figure()
    lines = {name.replace("_", " "): value for name, value in case.summary.attribution.items()}
    names, level = ["start", *lines, "end"], 1.0
    ends = [1.0]
    axes.barh(0, 1, color=COLOURS["asset"])
    for place, change in enumerate(lines.values(), 1):
        axes.barh(place, change, left=level, color=COLOURS["gain" if change >= 0 else "loss"])
        axes.plot([level] * 2, [place - 1.4, place + 0.4], color=INK, lw=0.6, alpha=0.5)
        ends.append(max(level, level + change))
        level += change
    axes.plot([level] * 2, [len(names) - 2.4, len(names) - 0.6], color=INK, lw=0.6, alpha=0.5)
    axes.barh(len(names) - 1, level, color=COLOURS["nav"])
    texts = ["1", *map(percent, lines.values()), worth(level)]
    for place, (end, text) in enumerate(zip([*ends, level], texts, strict=True)):
        axes.annotate(text, (end, place), (3, 0), textcoords="offset points", va="center", fontsize=8.5)
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    axes.margins(x=0.16)
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.set_xlabel("nav")
    return figure


def drawdown(case: Case) -> Figure:
    """What is lost of the highest nav so far."""
    figure, axes = _figure()
    values = statistics.drawdown(case.result.nav)
    rows = thinned(values)
    dates = _dates(case.result.time[rows])
    axes.fill_between(dates, values[rows], 0, color=COLOURS["loss"], alpha=0.25, lw=0)
    axes.plot(dates, values[rows], color=COLOURS["loss"], lw=1)
    axes.yaxis.set_major_formatter(PercentFormatter(1, 0))
    axes.set_ylim(min(values.min() * 1.05, -0.01), 0)
    return _dated(figure, axes, has_legend=False)


def decay(case: Case) -> Figure:
    """Nav over the asset's power against realised variance, with the curve of theory."""
    result, target = case.result, case.token.target
    rows = statistics.samples(result.time, case.token.policy.offset)
    variance = statistics.variances(result.price[rows])
    values = statistics.decay(result.nav, result.price, target)[rows]
    figure, axes = _figure()
    curve = np.linspace(0, variance[-1], 60)
    theory = [statistics.expected_decay(target, point) for point in curve]
    formula = f"exp(-{target * (target - 1) / 2:g} σ²t), no costs"
    axes.plot(curve, theory, color=COLOURS["ideal"], ls=(0, (4, 2)), label=formula)
    kept = thinned(values)
    axes.plot(variance[kept], values[kept], color=COLOURS["nav"], label="measured")
    axes.set_xlabel("realised variance of the asset, σ²t")
    axes.set_ylabel("nav / asset to the power")
    if min(theory[-1], values[-1]) * WIDE < 1:
        _logarithmic(axes)
    else:
        axes.set_ylim(bottom=0)
    axes.xaxis.set_major_locator(MaxNLocator(6))
    return _legend(figure, axes)


def tracking(case: Case) -> Figure:
    """Nav's daily return less the multiple of the asset's."""
    result, token = case.result, case.token
    daily = statistics.tracking(result.time, result.nav, result.price, token.target, token.policy.offset)
    figure, axes = _figure()
    rows = thinned(daily.difference, MOST)
    dates = _dates(daily.time[rows])
    # One line that goes up and down from zero, instead of a bar for each day.
    axes.plot(
        np.repeat(dates, 3),
        np.column_stack((np.zeros(len(rows)), daily.difference[rows], np.zeros(len(rows)))).ravel(),
        color=COLOURS["nav"],
        lw=0.9,
    )
    axes.axhline(0, color=INK, lw=0.6, alpha=0.5)
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    return _dated(figure, axes, has_legend=False)


# Plots by name, with what they show.
PLOTS: dict[str, tuple[Callable[[Case], Figure], str]] = {
    "nav": (nav, "Nav against the asset's return times the leverage"),
    "leverage": (leverage, "Leverage at closes, and where rebalances found it"),
    "attribution": (attribution, "Why nav is what it is"),
    "drawdown": (drawdown, "Fall from the highest nav"),
    "decay": (decay, "Decay against realised variance"),
    "tracking": (tracking, "Daily return less the multiple of the asset's"),
}


def draw(name: str, case: Case) -> str:
    """A plot as an SVG element."""
    with matplotlib.rc_context(STYLE):
        plot, what = PLOTS[name]
        figure = plot(case)
        return svg(figure, f"{what}: {case.name}")


def svg(figure: Figure, label: str) -> str:
    """A figure as an SVG element for a page: as wide as there is room, in the page's font and colours."""
    file = io.StringIO()
    figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    label, text = html.escape(label), file.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->", "", text, flags=re.S)
    text = re.sub(r' (?:width|height)="[\d.]+pt"', "", text, count=2)
    text = re.sub(r'font-family: [^;"]*; ?', "", text)
    # Names are unique within a plot only.
    own = f"plot-{zlib.crc32(label.encode()):08x}"
    text = re.sub(r'( id="|href="#|url\(#)', rf"\g<1>{own}-", text)
    text = text.replace(INK, "currentColor")
    for name, colour in COLOURS.items():
        text = text.replace(colour, f"var(--{name}, {colour})")
    return text.replace("<svg", f'<svg role="img" aria-label="{label}"', 1)


def _figure() -> tuple[Figure, Axes]:
    figure = Figure(SIZE, layout="constrained")
    return figure, figure.add_subplot()


def _dated(figure: Figure, axes: Axes, has_legend: bool = True) -> Figure:
    dates: Any = matplotlib.dates
    locator = dates.AutoDateLocator(minticks=3, maxticks=7)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(dates.ConciseDateFormatter(locator, show_offset=False))
    return _legend(figure, axes) if has_legend else figure


def _legend(figure: Figure, axes: Axes) -> Figure:
    axes.margins(x=0.01)
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, borderaxespad=0, handlelength=1.4)
    return figure


def _logarithmic(axes: Axes) -> None:
    """On a log scale, with plain numbers."""
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())


def _dates(time: Ints) -> npt.NDArray[np.datetime64]:
    return np.asarray(time).astype("datetime64[s]")
