"""Why nav changed, for the reader: tables for a terminal, and the same as JSON."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from rich import box
from rich.table import Table

from leverage.explain import LINES, Life, Story, causes, predict
from leverage.market.times import clock
from leverage.twin.vault import Attribution
from leverage.types import WAD

NAMES = {line: line.replace("_", " ") for line in LINES}


def tables(story: Story) -> Iterator[Table | str]:
    """Each life's lines beside the model's, their sum, what made the difference, and the rebalances."""
    if not story.lives:
        yield f"{story.symbol}: nobody has held it from {clock(story.since)} to {clock(story.until)}"
    for life in story.lives:
        predicted = predict(life, story.target, story.charged)
        yield _lines(story, life, predicted)
        yield f"nav now - nav then = {_exact(life.change)} = the sum of the lines, exact to the wei"
        for line, why in causes(life, story.target, predicted).items():
            yield f"{NAMES[line]} differs: {why}"
        if life.is_over:
            yield "then everybody left, and the ledger begins anew at 1"
        if life.rebalances:
            yield _rebalances(life)
    yield from story.notes


def to_dict(story: Story) -> dict[str, Any]:
    """The same for a program: what is WAD on chain is an integer in text."""
    return {
        "symbol": story.symbol,
        "target": str(story.target),
        "since": story.since,
        "until": story.until,
        "lives": [_life(story, life) for life in story.lives],
        "notes": list(story.notes),
    }


def _life(story: Story, life: Life) -> dict[str, Any]:
    predicted = predict(life, story.target, story.charged)
    found, expected, why = asdict(life.lines), asdict(predicted), causes(life, story.target, predicted)
    if not life.is_funding_known:
        expected["funding"] = None
    return {
        "then": _moment(life.then),
        "now": _moment(life.now),
        "change": str(life.change),
        "sum": str(life.lines.total),
        "is_over": life.is_over,
        "lines": {
            line: {
                "found": str(found[line]),
                "predicted": None if expected[line] is None else str(expected[line]),
                "cause": why.get(line),
            }
            for line in LINES
        },
        "rebalances": [
            {
                "time": entry.time,
                "block": entry.block,
                "trigger": rebalance.trigger.name,
                **{
                    name: str(value)
                    for name, value in asdict(rebalance).items()
                    if name != "trigger" and value is not None
                },
            }
            for entry, rebalance in life.rebalances
        ],
    }


def _moment(entry: Any) -> dict[str, Any]:
    return {"block": entry.block, "time": entry.time, "price": str(entry.price), "nav": str(entry.nav)}


def _lines(story: Story, life: Life, predicted: Attribution) -> Table:
    then, now = life.then, life.now
    table = _table(
        f"{story.symbol} from {clock(then.time)} to {clock(now.time)}",
        ("nav", "of nav then", "predicted", "difference"),
        f"nav {then.nav / WAD:.6f} to {now.nav / WAD:.6f}, {_share(life.change, then.nav)}; index"
        f" {then.price / WAD:,.2f} to {now.price / WAD:,.2f}, {_share(now.price - then.price, then.price)}",
    )
    found, expected = asdict(life.lines), asdict(predicted)
    for line in LINES:
        is_known = line != "funding" or life.is_funding_known
        table.add_row(
            NAMES[line],
            _nav(found[line]),
            _share(found[line], then.nav),
            _nav(expected[line]) if is_known else "unknown",
            _nav(found[line] - expected[line]) if is_known else "",
        )
    table.add_section()
    off = life.change - predicted.total
    table.add_row("sum", _nav(life.change), _share(life.change, then.nav), _nav(predicted.total), _nav(off))
    return table


def _rebalances(life: Life) -> Table:
    table = _table("Rebalances", ("trigger", "index", "leverage", "size", "fee", "slippage"), "")
    for entry, r in life.rebalances:
        table.add_row(
            clock(entry.time),
            r.trigger.name.lower(),
            f"{r.price / WAD:,.2f}",
            f"{r.leverage_before / WAD:.3f}x to {r.leverage_after / WAD:.3f}x",
            f"{r.size / WAD:+,.4f}",
            f"{r.fee / WAD:,.2f}",
            f"{r.slippage / WAD:,.2f}",
        )
    return table


def _table(title: str, columns: Sequence[str], caption: str) -> Table:
    table = Table(
        title=f"[bold]{title}[/]",
        title_style="",
        title_justify="left",
        caption=caption,
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
    )
    table.add_column("")
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True)
    return table


def _nav(value: int) -> str:
    return f"{value / WAD:+.9f}" if value else "0"


def _exact(value: int) -> str:
    sign, value = "-" if value < 0 else "", abs(value)
    return f"{sign}{value // WAD}.{value % WAD:018d}"


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:+.3f} %" if whole else "-"
