"""The table of all tokens."""

import re
from dataclasses import replace
from io import StringIO

import pytest
from rich.console import Console
from standins import NOON, report_at

from leverage.keeper import events
from leverage.service.measures import Sight
from leverage.service.status import requests, status
from leverage.types import WAD, Order, Report, Stage, Waiting

NONE = Order(Stage.NONE, 0, 0, 0)
WAITING = Order(Stage.WAITING, WAD, NOON + 2, NOON + 31)


def shown(reports, **looks):
    """The rows of the table as a terminal of 80 columns shows them."""
    sight = Sight(**looks)
    sight(events.Looked(reports, 0.1))
    console = Console(file=StringIO(), width=80, color_system=None)
    console.print(status(sight))
    return [re.split(r"\s{2,}", line.strip()) for line in console.file.getvalue().splitlines()[1:]]


def test_status__tokens__tell_distances_and_what_is_due():
    rows = shown({"ETH3L": report_at(), "ETH3S": report_at(-6, -3)}, maintenance={"ETH3L": WAD // 16})

    assert rows[:2] == [
        ["ETH3L", "2,000.00", "1.0000", "3.00x of 3x", "11.1 %", "28.9 %", "10,000", "-"],
        ["ETH3S", "2,000.00", "1.0000", "-6.00x of -3x", "0.0 %", "-", "10,000", "EMERGENCY"],
    ]


def test_status__seen_twice__tells_how_late():
    due = report_at(4.5)
    sight = Sight()
    for seconds in (0, 42):
        later = replace(due, snapshot=replace(due.snapshot, timestamp=NOON + seconds))
        sight(events.Looked({"ETH3L": later}, 0.1))

    assert list(status(sight).columns[-1].cells) == ["EMERGENCY 42 s"]


def test_status__ruined_and_unreadable__are_named():
    ruined, unreadable, *_ = shown(
        {"A": report_at(ruined=True), "B": Report("0x", failure="PriceStale [age 7]")}
    )

    assert ruined[-1] == "ruined"
    assert unreadable[:2] == ["B", "unreadable"]


def test_status__queued_and_instant__tells_what_waits_below():
    sight = Sight()
    sight(
        events.Looked(
            {"A": report_at(order=WAITING), "B": report_at(), "C": Report("0x", failure="[odd]")}, 0
        )
    )

    assert status(sight).caption == "A: order waiting\nC: \\[odd]"


@pytest.mark.parametrize(
    ("waiting", "text"),
    [
        (None, ""),
        (Waiting(NONE, 0, 0, 0, 0), ""),
        (Waiting(NONE, 1_000 * 10**6, 0, 0, 0, decimals=6), "1,000 in"),
        (Waiting(WAITING, 0, WAD // 2, 0, 0), "0.50 out, order waiting"),
    ],
)
def test_requests__what_waits__is_told_in_words(waiting, text):
    assert requests(waiting) == text
