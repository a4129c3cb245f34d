"""Measure gas, neutrality, the search around a lagging oracle, the lens and the model."""

import time
from collections.abc import Mapping
from typing import Any

import click
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from bench.limits import Row, rows
from bench.run import OUT, PARTS, BenchError, run

WIDTH = 110


@click.command()
@click.option("--only", type=click.Choice(PARTS), multiple=True, help="Measure this part alone; repeatable.")
def cli(only: tuple[str, ...]) -> None:
    """Measure, write build/bench.json, and hold the figures to their limits."""
    console = Console()
    if not console.is_terminal:
        console.width = WIDTH
    names, began = only or PARTS, time.monotonic()
    columns = SpinnerColumn(), TextColumn("{task.fields[name]:<20}{task.description}"), TimeElapsedColumn()
    try:
        with Progress(*columns, console=console, transient=True) as progress:
            tasks = {name: progress.add_task("waiting", name=name, total=None) for name in names}
            figures = run(names, lambda name, text: progress.update(tasks[name], description=text))
    except BenchError as error:
        raise click.ClickException(str(error)) from None

    for action, parts in figures["perp_v2"].get("gas", {}).get("breakdown", {}).items():
        console.print(breakdown(action, parts))
    verdicts = rows(figures)
    console.print(table(verdicts))
    spent = ", ".join(f"{name} {seconds:.0f} s" for name, seconds in figures["seconds"].items())
    console.print(
        f"{spent}; {time.monotonic() - began:.0f} s in all. Written to {OUT.name}.", highlight=False
    )
    if failed := [row.name for row in verdicts if not row.ok]:
        raise click.ClickException(f"outside its limit: {', '.join(failed)}")


def table(verdicts: list[Row]) -> Table:
    drawn = Table("figure", "measured", "limit", "ok", title="Figures")
    for row in verdicts:
        drawn.add_row(row.name, row.value, row.limit, "[green]yes[/]" if row.ok else "[red]NO[/]")
    return drawn


def breakdown(action: str, parts: Mapping[str, Any]) -> Table:
    """Gas by part, ours and the lean vault's."""
    drawn = Table("part", title=f"Gas of a {action}, +3x")
    for title in ("ours", "lean", "more"):
        drawn.add_column(title, justify="right")
    for part, gas in parts.items():
        drawn.add_row(part, f"{gas['ours']:,}", f"{gas['lean']:,}", f"{gas['ours'] - gas['lean']:+,}")
    return drawn
