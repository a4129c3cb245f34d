"""How commands talk: one line per error, a spinner or a bar while they work."""

import functools
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, NoReturn, TypeVar

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from leverage.errors import LeverageError

Command = TypeVar("Command", bound=Callable[..., Any])
console = Console()


def say(text: object) -> None:
    """Print a line as it is: unwrapped and uncoloured, so that addresses can be copied. Tables are drawn."""
    console.print(text, soft_wrap=isinstance(text, str), highlight=False, markup=not isinstance(text, str))


@contextmanager
def progress() -> Iterator[Callable[[str, int, int], None]]:
    """A bar on the error stream of a terminal; it is told what is done, how far that is, and of how much."""
    errors = Console(stderr=True)
    columns = TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn()
    with Progress(*columns, console=errors, transient=True, disable=not errors.is_terminal) as bar:
        task = bar.add_task("", total=None)
        yield lambda what, done, of: bar.update(task, description=what, completed=done, total=of or None)


def one_line_errors(command: Command) -> Command:
    """A command whose failures a person can act on end in one line and code 1, without a traceback."""

    @functools.wraps(command)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        try:
            return command(*args, **kwargs)
        except LeverageError as error:
            fail(error)
        except KeyboardInterrupt:
            sys.exit(130)

    return wrapped  # type: ignore[return-value]


def fail(error: object, code: int = 1) -> NoReturn:
    """End with one line on the error stream."""
    with suppress(OSError):
        click.echo(f"Error: {' '.join(str(error).split())}", err=True)
    leave(code)


def leave(code: int) -> NoReturn:
    """End. What the streams cannot write, as on a full disk, is dropped: it would change the exit code."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    sys.exit(code)
