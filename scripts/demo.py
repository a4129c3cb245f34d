"""Play the product's life on a local chain and show what came of it."""

from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from demo import prices, report
from demo.stage import STAGE_ERRORS, check, staged
from demo.venues import PLAYS

WIDTH = 104  # Columns of the widest table.


@click.command()
@click.option("--venue", default="perp_v2", show_default=True, help="Where the vaults trade.")
@click.option("--prices", "file", type=Path, default=prices.SAMPLE, help="CSV: time,<market>,... per row.")
@click.option(
    "--out", type=Path, default=Path("build"), show_default=True, help="For demo.json and demo.png."
)
def cli(venue: str, file: Path, out: Path) -> None:
    """Play holders, prices and a keeper on a local chain; the sample of prices is the fall of FTX."""
    console = Console()
    if not console.is_terminal:
        console.width = WIDTH
    try:
        perform(venue, file, out, console)
    except STAGE_ERRORS as error:
        text = f"{error.filename}: {error.strerror}" if getattr(error, "filename", None) else str(error)
        raise click.ClickException(" ".join(text.split())) from None


def perform(venue: str, file: Path, out: Path, console: Console) -> None:
    """The whole demo, told to a console and written to a folder."""
    # Ape imports every script to list its commands: at the top a keeper on cron would load matplotlib, too.
    from demo import plot

    source = prices.load(file)
    check(venue, source)
    out.mkdir(parents=True, exist_ok=True)
    columns = TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn()
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("building the venue, deploying the protocol", total=None)
        with staged(venue, source) as stage:
            console.print(f"{stage}\n{source.source}\n{source.period}\n", highlight=False)
            bar.update(task, description="playing", total=len(source.rows))

            def say(time: int, text: str) -> None:
                console.print(f"{prices.clock(time)}  {text}", highlight=False)

            story = PLAYS[venue](stage, source, say, lambda: bar.advance(task)).run()

    console.print()
    report.show(story, console)
    report.write(story, out / "demo.json")
    plot.draw(story, out / "demo.png")
    console.print(f"{story.transactions:,} transactions in {story.seconds:.0f} s", highlight=False)
    console.print(f"{out / 'demo.json'}, {out / 'demo.png'}", highlight=False)
    report.check(story)
