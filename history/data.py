"""The market data that history is told from: read where it lies, never copied."""

import os
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from leverage.errors import LeverageError
from leverage.market import Bars, Funding

ROOT = Path(__file__).resolve().parent.parent
VARIABLE = "MARKET_DATA"
FOLDER = Path(os.environ.get(VARIABLE) or ROOT.parent / "shared" / "data")


class NoDataError(LeverageError):
    """The market data are not on this machine."""


def path(name: str) -> Path:
    """The file of that name, without its endings."""
    found = FOLDER / f"{name}.csv.gz"
    if not found.exists():
        raise NoDataError(f"no market data: looked for {found}; name their folder in {VARIABLE}")
    return found


@cache
def bars(name: str) -> Bars:
    """Prices, gaps filled."""
    return Bars.read(path(name))


@cache
def funding(name: str) -> Funding:
    """Funding of a perpetual."""
    return Funding.read(path(name))


def second(text: str) -> int:
    """Unix seconds of a UTC time such as 2020-03-12 00:02."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())
