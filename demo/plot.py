"""One picture of a play: each token's nav against the ideal multiple, and its leverage inside its band."""

from datetime import UTC, datetime
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.dates as mdates
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from demo.report import is_queued
from demo.story import Story, Track
from leverage.types import WAD, Trigger

# Okabe and Ito's colours, which the colour-blind tell apart; shapes say the same again.
BLUE, ORANGE, GREEN, RED, SKY = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#56B4E9"
GREY, LIGHT = "#777777", "#E3EEF5"
MARKS = {
    Trigger.EMERGENCY: ("v", RED),
    Trigger.BAND: ("D", ORANGE),
    Trigger.SCHEDULED: ("o", GREEN),
}
IDEAL = {"color": "black", "lw": 0.9, "ls": (0, (4, 2))}
DAILY = {"color": ORANGE, "lw": 1.2, "ls": (0, (1, 1.5))}
VISIT = {"color": GREY, "lw": 0.8, "ls": (0, (1, 2))}
SETTLED = {"color": "black", "marker": "|", "ls": "", "ms": 13, "mew": 1.4, "zorder": 4}
CANCELLED = {"color": RED, "marker": "x", "ls": "", "ms": 7, "mew": 1.8, "zorder": 4}
COLUMNS = 3
STYLE = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#E6E6E6",
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
}


def draw(story: Story, path: Path) -> None:
    """Draw the picture into a PNG file."""
    with plt.rc_context(STYLE):
        figure = _figure(story)
        figure.savefig(path, dpi=110)
        plt.close(figure)


def _figure(story: Story) -> Figure:
    tracks = list(story.tracks.values())
    bands = -(-len(tracks) // COLUMNS)
    figure = plt.figure(figsize=(5.2 * COLUMNS, 1.3 + 4.9 * bands))
    height = figure.get_figheight()
    outer = figure.add_gridspec(
        bands,
        COLUMNS,
        left=0.05,
        right=0.985,
        top=1 - 1.05 / height,
        bottom=1.25 / height,
        hspace=0.24,
        wspace=0.17,
    )
    for number, track in enumerate(tracks):
        cell = outer[number // COLUMNS, number % COLUMNS].subgridspec(2, 1, height_ratios=(3, 2), hspace=0.08)
        above = figure.add_subplot(cell[0])
        below = figure.add_subplot(cell[1], sharex=above)
        _draw_nav(above, track, story.asset)
        _draw_leverage(below, track)
    title = f"Leveraged tokens on {story.venue}, {story.period}"
    figure.suptitle(title, x=0.05, ha="left", y=1 - 0.2 / height, fontsize=14, weight="bold")
    figure.text(0.05, 1 - 0.58 / height, story.source, fontsize=9.5, color=GREY, va="top")
    for handles, y in ((_lines(is_queued(story)), 0.36), (_marks(), 0.08)):
        figure.legend(
            handles=handles, loc="lower left", bbox_to_anchor=(0.045, y / height), ncols=9, frameon=False
        )
    return figure


def _draw_nav(axes: Axes, track: Track, asset: str) -> None:
    times = _times(track)
    start = track.path[0]
    axes.plot(times, [p.price / start.price for p in track.path], color=GREY, lw=0.9)
    axes.plot(times, [p.daily_nav / WAD for p in track.path], **DAILY)
    axes.plot(times, [p.nav / WAD for p in track.path], color=SKY, lw=3.2)
    axes.plot(times, [p.ideal_nav / WAD for p in track.path], **IDEAL)
    axes.set_title(f"{track.symbol}: {track.name}", loc="left", weight="bold", fontsize=10.5)
    axes.set_title(f"{track.tracking * 1e4:+.1f} bp against the ideal", loc="right", fontsize=9)
    axes.set_ylabel(f"nav, {asset} per token")
    axes.tick_params(labelbottom=False)
    _draw_visits(axes, track)


def _draw_leverage(axes: Axes, track: Track) -> None:
    sign = 1 if track.target > 0 else -1
    low, high = (sign * edge / WAD for edge in track.band)
    axes.axhspan(low, high, color=LIGHT, lw=0)
    axes.axhline(track.target / WAD, color=GREY, lw=0.8)
    axes.plot(_times(track), [p.leverage / WAD for p in track.path], color=BLUE, lw=1.3)
    for event in track.rebalances:
        marker, colour = MARKS[event.trigger]
        axes.plot(
            _time(event.time),
            event.leverage_before / WAD,
            marker,
            color=colour,
            ms=7,
            mec="white",
            mew=0.8,
            zorder=5,
        )
    for settled in track.settlements:
        if settled.leverage_before and settled.leverage_after:
            axes.plot(_time(settled.time), settled.leverage_after / WAD, **SETTLED)
    for time in track.cancelled:
        axes.plot(_time(time), track.target / WAD, **CANCELLED)
    axes.set_ylabel("leverage, x")
    axes.margins(x=0.01, y=0.12)
    axes.xaxis.set_major_locator(mdates.AutoDateLocator(maxticks=7))
    axes.xaxis.set_major_formatter(mdates.DateFormatter("%H:%M", tz=UTC))
    axes.set_xlabel("time, UTC")


def _draw_visits(axes: Axes, track: Track) -> None:
    """The comings and goings in between, which must not show in nav."""
    first, last = track.path[0].time, track.path[-1].time
    for flow in track.holders.values():
        for time in (flow.came, flow.left):
            if first < time < last:
                axes.axvline(_time(time), **VISIT)


def _lines(with_orders: bool) -> list[Line2D]:
    orders = []
    if with_orders:
        settled = Line2D([], [], **SETTLED, label="a batch settles while others stay")
        orders = [settled, Line2D([], [], **CANCELLED, label="an order is cancelled")]
    return [
        Line2D([], [], color=SKY, lw=3.2, label="nav"),
        Line2D([], [], **IDEAL, label="ideal: the target multiple, reset at the same rebalances, no costs"),
        Line2D([], [], **DAILY, label="ideal, reset once a day"),
        Line2D([], [], color=GREY, lw=0.9, label="price of the asset, start = 1"),
        *orders,
    ]


def _marks() -> list[Line2D | Patch]:
    return [
        Line2D([], [], color=BLUE, lw=1.3, label="leverage"),
        Patch(color=LIGHT, label="its band"),
        Line2D([], [], color=GREY, lw=0.8, label="its target"),
        *(
            Line2D(
                [],
                [],
                color=colour,
                marker=marker,
                ls="",
                ms=7,
                mec="white",
                label=f"rebalance: {trigger.name}",
            )
            for trigger, (marker, colour) in MARKS.items()
        ),
        Line2D([], [], **VISIT, label="a holder comes or goes"),
    ]


def _times(track: Track) -> list[datetime]:
    return [_time(point.time) for point in track.path]


def _time(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
