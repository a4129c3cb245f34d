"""What a play says at its end: tables for people, `demo.json` for programs."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from demo.prices import clock
from demo.story import LINES, Flow, Rebalance, Settlement, Story, Track
from leverage.errors import LeverageError
from leverage.types import WAD, Trigger

TRIGGERS = (Trigger.EMERGENCY, Trigger.BAND, Trigger.SCHEDULED)
PLAIN = ("time", "seconds", "requests", "is_strangers")  # In events.
NOTE = (
    "Numbers of the chain are decimal strings: WAD (1e18), but holders in base units of the collateral."
    " Times are seconds. `ideal_nav` is the target multiple, reset at the token's own rebalances, without any"
    " cost; `daily_nav` is the same, reset once a day at the schedule's time. A rebalance is two points of"
    " `path` at one time. `others_in` and `others_out` are what a holder's coming and going gave all others."
)

NOTE_ON_BATCHES = (
    " A settlement is an order that was filled: `requests`, with their `assets` and `shares`, are what it"
    " settled, `asked` is the size of all its parts, `size` that of the one order, `gain` what it gave each"
    " share that stayed, at the fill's index price. `cancelled`: when orders ended without a fill."
    " `on_the_way`: the largest difference of the same sum after each scene, positions open."
)


class ReportError(LeverageError):
    """A sum that must close and does not."""


# For programs


def to_dict(story: Story) -> dict[str, Any]:
    """The whole story, ready for JSON."""
    return {
        "note": f"{NOTE}{NOTE_ON_BATCHES}" if is_queued(story) else NOTE,
        "venue": story.venue,
        "source": story.source,
        "period": story.period,
        **({"asset": story.asset} if is_queued(story) else {}),
        "decimals": story.decimals,
        "tokens": [_token(track) for track in story.tracks.values()],
        "totals": {
            "rebalances": {trigger.name: _count(story, trigger) for trigger in TRIGGERS},
            "keeper_passes": story.passes,
            "keeper_failures": story.failures,
            "transactions": story.transactions,
            "seconds": round(story.seconds, 1),
        },
        "conservation": _conservation(story),
    }


def write(story: Story, path: Path) -> None:
    """Write `to_dict` as JSON, a line for each point."""
    path.write_text(_lines(to_dict(story)) + "\n")


def _token(track: Track) -> dict[str, Any]:
    return {
        "symbol": track.symbol,
        "name": track.name,
        "market": track.market,
        "target": str(track.target),
        "band": [str(edge) for edge in track.band],
        "columns": ["time", "price", "nav", "leverage", "ideal_nav", "daily_nav"],
        "path": [
            [p.time, *map(str, (p.price, p.nav, p.leverage, p.ideal_nav, p.daily_nav))] for p in track.path
        ],
        "rebalances": [_event(event) for event in track.rebalances],
        **_orders(track),
        "attribution": {
            **{line: str(track.attribution[line]) for line in LINES},
            "sum": str(sum(track.attribution.values())),
            "nav_change": str(track.nav_change),
        },
        "holders": {
            name: {
                key: value if key in ("came", "left") else str(value)
                for key, value in vars(flow).items()
                if value is not None
            }
            for name, flow in track.holders.items()
        },
    }


def _orders(track: Track) -> dict[str, Any]:
    """What became of orders, where venues fill later."""
    if not track.settlements:
        return {}
    return {"settlements": [_event(event) for event in track.settlements], "cancelled": track.cancelled}


def _event(event: Rebalance | Settlement) -> dict[str, Any]:
    return {
        name: event.trigger.name if name == "trigger" else value if name in PLAIN else str(value)
        for name, value in vars(event).items()
    }


def _conservation(story: Story) -> dict[str, Any]:
    books = story.books
    amounts = {
        "put_in": books.put_in,
        "got_out": books.got_out,
        "fees": books.fees,
        "left_behind": books.left_behind,
        **books.others,
        **({} if books.on_the_way is None else {"on_the_way": books.on_the_way}),
        "allowed": books.allowed,
    }
    return {
        **{name: str(value) for name, value in amounts.items()},
        "difference": str(books.difference),
        "holds": holds(story),
    }


def _lines(value: Any, indent: int = 0) -> str:
    """JSON with short lists and small tables on one line each."""
    if not isinstance(value, dict | list) or not any(isinstance(part, dict | list) for part in _parts(value)):
        return json.dumps(value, ensure_ascii=False)
    pad = " " * (indent + 1)
    if isinstance(value, list):
        body = [pad + _lines(part, indent + 1) for part in value]
        return "[\n" + ",\n".join(body) + "\n" + " " * indent + "]"
    body = [f"{pad}{json.dumps(key)}: {_lines(part, indent + 1)}" for key, part in value.items()]
    return "{\n" + ",\n".join(body) + "\n" + " " * indent + "}"


def _parts(value: Any) -> Iterable[Any]:
    return value.values() if isinstance(value, dict) else value


def is_queued(story: Story) -> bool:
    """Whether holders came and went in batches."""
    return any(track.settlements for track in story.tracks.values())


# Checks


def holds(story: Story) -> bool:
    """Whether everything that was put in is accounted for."""
    books = story.books
    return max(abs(books.difference), abs(books.on_the_way or 0)) < books.allowed


def check(story: Story) -> None:
    """Refuse a story whose sums do not close."""
    for track in story.tracks.values():
        if sum(track.attribution.values()) != track.nav_change:
            raise ReportError(f"{track.symbol}: the lines of the ledger do not add up to the change of nav")
    if not holds(story):
        raise ReportError(f"{story.books.difference / WAD:,.6f} of the collateral is not accounted for")


# For people


def show(story: Story, console: Console) -> None:
    """Print the tables."""
    people = (_batches, _shareholders) if is_queued(story) else (_holders,)
    for table in (_results, _reasons, *people, _flows):
        console.print(table(story), "")


def _results(story: Story) -> Table:
    table = _table(
        "What became of a token",
        "ideal: the target multiple, reset at the same rebalances, no costs; daily: reset once a day instead",
        ("token", "left"),
        ("nav", "right"),
        ("ideal", "right"),
        ("nav - ideal", "right"),
        ("daily", "right"),
        ("leverage", "right"),
        ("rebalances", "left"),
    )
    for track in story.tracks.values():
        first, last = track.path[0], track.path[-1]
        table.add_row(
            track.symbol,
            f"{first.nav / WAD:.4f} → {last.nav / WAD:.4f}",
            f"{last.ideal_nav / WAD:.4f}",
            f"{track.tracking * 1e4:+.1f} bp",
            f"{last.daily_nav / WAD:.4f}",
            "{:.2f}x … {:.2f}x".format(*(leverage / WAD for leverage in track.leverages)),
            ", ".join(f"{n} {t.name.lower()}" for t in TRIGGERS if (n := track.count(t))) or "none",
        )
    return table


def _reasons(story: Story) -> Table:
    closed = all(sum(track.attribution.values()) == track.nav_change for track in story.tracks.values())
    table = _table(
        "Why: the change of nav in bp, by the ledger on the chain",
        "the lines of each row add up to nav - 1, to the wei"
        if closed
        else "[red]THE LINES DO NOT ADD UP[/]",
        ("token", "left"),
        *((line.replace("_", " "), "right") for line in LINES[:-1]),
        ("rounding", "right"),
        ("sum = nav - 1", "right"),
    )
    for track in story.tracks.values():
        *lines, rounding = (track.attribution[line] for line in LINES)
        table.add_row(track.symbol, *map(_bp, lines), f"{rounding:+,d} wei", _bp(track.nav_change))
    return table


def _holders(story: Story) -> Table:
    unit = 10**story.decimals
    names = list(dict.fromkeys(name for track in story.tracks.values() for name in track.holders))
    flows = [flow for track in story.tracks.values() for flow in track.holders.values()]
    gains = [(gain or 0) / WAD for flow in flows for gain in (flow.others_in, flow.others_out)]
    table = _table(
        f"Who put in and got out, {story.asset}",
        f"each coming or going gave all the others {min(gains):+.7f} to {max(gains):+.7f}",
        ("token", "left"),
        *((f"{name} holder", "right") for name in names),
    )
    for track in story.tracks.values():
        cells = [track.holders.get(name) for name in names]
        table.add_row(
            track.symbol,
            *(f"{f.put_in / unit:,.0f} → {f.got_out / unit:,.2f}" if f else "·" for f in cells),
        )
    return table


def _batches(story: Story) -> Table:
    settlements = [s for track in story.tracks.values() for s in track.settlements]
    gains = [s.gain * 10_000 / WAD for s in settlements if not s.trigger]
    moves = [abs(s.leverage_after - s.leverage_before) / WAD for s in settlements if _is_neutral(s)]
    table = _table(
        "What became of the requests: one order for all of a batch",
        "strangers': executed by others than the keeper."
        f" A settlement moved leverage by {max(moves, default=0):.4f}x at most,\nand nav of all others"
        f" by {min(gains, default=0):+.5f} to {max(gains, default=0):+.5f} bp, better fills included",
        ("token", "left"),
        ("requests", "right"),
        ("orders", "right"),
        ("strangers'", "right"),
        ("cancelled", "right"),
        ("size asked → ordered", "right"),
        ("most that left", "left"),
    )
    for track in story.tracks.values():
        batches = track.settlements
        asked, traded = sum(s.asked for s in batches), sum(abs(s.size) for s in batches)
        table.add_row(
            track.symbol,
            f"{sum(s.requests for s in batches)}",
            f"{len(batches)}",
            f"{sum(s.is_strangers for s in batches)}",
            f"{len(track.cancelled)}",
            f"{asked / WAD:,.2f} → {traded / WAD:,.2f} {track.market}",
            _exodus(batches),
        )
    return table


def _exodus(batches: list[Settlement]) -> str:
    """The largest part that left while others stayed, and what that did to leverage."""
    largest = max(filter(_is_neutral, batches), key=lambda s: s.part_out, default=None)
    if largest is None or largest.shares == 0:
        return "·"
    before, after = (leverage / WAD for leverage in (largest.leverage_before, largest.leverage_after))
    return f"{largest.part_out:.1%}: {before:.3f}x → {after:.3f}x"


def _is_neutral(settled: Settlement) -> bool:
    """Whether somebody stays, and comings and goings were all there was."""
    return not settled.trigger and bool(settled.leverage_before and settled.leverage_after)


def _shareholders(story: Story) -> Table:
    unit = 10**story.decimals
    table = _table(
        f"Who put in and got out, {story.asset}",
        "fees of 0.1 % in and out, and parts of the orders' costs, are in it",
        ("token", "left"),
        ("holder", "left"),
        ("came (UTC)", "left"),
        ("left", "left"),
        ("put in", "right"),
        ("got out", "right"),
        ("", "right"),
    )
    for track in story.tracks.values():
        groups: dict[str, list[Flow]] = {}
        for name, flow in track.holders.items():
            groups.setdefault(name.split()[0], []).append(flow)
        for name, flows in groups.items():
            put_in, got_out = sum(f.put_in for f in flows), sum(f.got_out for f in flows)
            table.add_row(
                track.symbol,
                name if len(flows) == 1 else f"{len(flows)} {name}s",
                clock(min(f.came for f in flows)),
                clock(max(f.left for f in flows)),
                f"{put_in / unit:,.0f}",
                f"{got_out / unit:,.2f}",
                f"{got_out / put_in - 1:+.2%}",
            )
    return table


def _flows(story: Story) -> Table:
    books = story.books
    verdict = "all of it is accounted for" if holds(story) else "[red]THE SUM DOES NOT CLOSE[/]"
    if books.on_the_way is not None:
        verdict += f",\nand with positions open, after each scene, to {abs(books.on_the_way)} wei"
    table = _table("Where it went", verdict, ("", "left"), (story.asset, "right"), show_header=False)
    rows = {
        "put in by holders": books.put_in,
        "got out by holders": books.got_out,
        "fees of the protocol": books.fees,
        **{label: books.others[name] for name, label in books.labels.items()},
        "left behind by rounding": books.left_behind,
        "rounded away by the venue": books.difference,
    }
    for number, (name, value) in enumerate(rows.items()):
        table.add_row(name, f"{value / WAD:,.6f} {story.asset}", end_section=number == 0)
    return table


def _count(story: Story, trigger: Trigger) -> int:
    return sum(track.count(trigger) for track in story.tracks.values())


def _table(title: str, caption: str, *columns: tuple[str, str], show_header: bool = True) -> Table:
    table = Table(
        title=f"[bold]{title}[/]",
        title_style="",
        title_justify="left",
        caption=caption or None,
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        show_header=show_header,
    )
    for name, side in columns:
        table.add_column(name, justify=side, no_wrap=True)
    return table


def _bp(value: int) -> str:
    return f"{value * 10_000 / WAD:+.2f}"
