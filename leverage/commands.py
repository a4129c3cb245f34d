"""What commands that replay tokens share. Light, because Ape imports every script to list its commands."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import click
from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    SpinnerColumn,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
)

from leverage.console import fail
from leverage.errors import LeverageError

Command = TypeVar("Command", bound=Callable[..., Any])

BAD_INPUT = 2
WIDTH = 110  # Columns of the widest table, where there is no terminal.

OPTIONS = (
    click.argument("symbols", nargs=-1, metavar="[SYMBOL]..."),
    click.option(
        "--target", "targets", multiple=True, metavar="LEVERAGE", help="A token of its own, such as -2."
    ),
    click.option("--market", default="ETH", show_default=True, help="The market of each --target."),
    click.option(
        "--prices", multiple=True, required=True, metavar="[MARKET=]FILE", help="Bars: CSV or parquet."
    ),
    click.option("--funding", multiple=True, metavar="[MARKET=]FILE", help="Funding rates: CSV or parquet."),
    click.option("--from", "start", metavar="TIME", help="ISO 8601, in UTC, or unix seconds."),
    click.option("--to", "end", metavar="TIME", help="The same."),
    click.option("--interval", metavar="LENGTH", help="Make longer bars of those in the file, such as 1h."),
    click.option(
        "--reaction",
        type=click.Choice(["extremes", "closes"]),
        default="extremes",
        show_default=True,
        help="Whether what happens inside a bar is seen, the adverse extreme first.",
    ),
    click.option(
        "--set", "settings", multiple=True, metavar="KEY=VALUE", help="Over the policy: drift=0.02."
    ),
    click.option("--capital", default=1_000_000.0, show_default=True, help="Equity at the start."),
    click.option(
        "--fee", default=0.001, show_default=True, help="The venue's, as a fraction of what is traded."
    ),
    click.option(
        "--impact", default=0.0, show_default=True, help="Fraction by which a trade of a million fills worse."
    ),
    click.option(
        "--skew", default=0.0, show_default=True, help="Premium of the venue's price over the index."
    ),
    click.option(
        "--config", "files", multiple=True, type=Path, help="Configuration; a later file overrides."
    ),
)


def replaying(command: Command) -> Command:
    """The options of a command that replays tokens over market data."""
    for option in reversed(OPTIONS):
        command = option(command)
    return command


@contextmanager
def working(description: str) -> Iterator[Callable[..., None]]:
    """A bar that says what is being done, on the error stream; what fails ends in one line and code 2.

    It gives the function that moves the bar: `description=`, `total=`, `completed=` or `advance=`.
    """
    from leverage.backtest import InputError

    columns = SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TaskProgressColumn()
    try:
        with Progress(
            *columns, TimeElapsedColumn(), console=Console(stderr=True), transient=True
        ) as progress:
            task = progress.add_task(description, total=None)
            yield lambda **change: progress.update(task, **change)
    except (LeverageError, InputError) as error:
        fail(error, BAD_INPUT)
    except OSError as error:
        fail(f"{error.filename}: {error.strerror}", BAD_INPUT)
    except KeyboardInterrupt:
        raise SystemExit(130) from None


def console() -> Console:
    """For tables: as wide as the terminal, or wide enough."""
    found = Console()
    if not found.is_terminal:
        found.width = WIDTH
    return found
