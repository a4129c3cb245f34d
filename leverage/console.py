"""How commands talk: one line per error, a spinner while they work."""

import functools
import sys
from collections.abc import Callable
from typing import Any, NoReturn, TypeVar

import click
from rich.console import Console

from leverage.errors import LeverageError

Command = TypeVar("Command", bound=Callable[..., Any])
console = Console()


def say(text: object) -> None:
    """Print a line as it is: unwrapped and uncoloured, so that addresses can be copied. Tables are drawn."""
    console.print(text, soft_wrap=isinstance(text, str), highlight=False, markup=not isinstance(text, str))


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
    click.echo(f"Error: {' '.join(str(error).split())}", err=True)
    sys.exit(code)
