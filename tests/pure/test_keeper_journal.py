"""The log: a line per event, none that stops a keeper, and nothing lost without a word."""

import io
import json
import os

import pytest
import structlog
from structlog.testing import capture_logs
from test_keeper_days import OPEN, START, Vault, World

from leverage.keeper import DONE, events
from leverage.keeper.journal import Patient, journal, log_to
from leverage.types import WAD, Action, Kind, Trigger

REBALANCE = Action(Kind.REBALANCE, Trigger.BAND, -WAD)
HASH = "0x" + "ab" * 32


@pytest.fixture
def restored():
    """structlog as it was."""
    yield
    structlog.reset_defaults()


@pytest.mark.parametrize(
    ("event", "line"),
    [
        (
            events.Decided("A", REBALANCE, is_dry=True),
            {"event": "would_rebalance", "token": "A", "trigger": "BAND", "size": -WAD},
        ),
        (events.Decided("A", REBALANCE), None),
        (events.Looked({}, 1.0), None),
        (events.Scheduled("A"), {"event": "scheduled", "token": "A"}),
        (
            events.Sent("A", HASH, 7, 100, 3, 1),
            {
                "event": "sent",
                "token": "A",
                "transaction": HASH,
                "nonce": 7,
                "gas": 100,
                "max_fee": 3,
                "tip": 1,
                "attempt": 1,
            },
        ),
        (events.Mined("A", HASH, 9, 100, 300), None),
        (
            events.Mined("A", HASH, 9, 100, 300, is_reverted=True),
            {
                "event": "reverted",
                "token": "A",
                "transaction": HASH,
                "block": 9,
                "gas_used": 100,
                "cost": 300,
                "is_reverted": True,
            },
        ),
        (
            events.Acted("A", REBALANCE, {"transaction": HASH, "trigger": 2, "size": -5}, 3.0),
            {"event": "rebalance", "token": "A", "trigger": "BAND", "transaction": HASH, "size": -5},
        ),
        (events.Passed("A", REBALANCE, "gone"), {"event": "nothing_to_do", "token": "A", "reason": "gone"}),
        (events.Declined("A", REBALANCE, "dear"), {"event": "declined", "token": "A", "reason": "dear"}),
        (events.Failed("A", "stale"), {"event": "unreadable", "token": "A", "error": "stale"}),
        (
            events.Failed("A", "no", REBALANCE),
            {
                "event": "failed",
                "token": "A",
                "action": "rebalance",
                "error": "no",
                "trigger": "BAND",
                "size": -WAD,
            },
        ),
        (events.Confirmed("A", HASH, 9), None),
        (
            events.Vanished("A", HASH, 9),
            {"event": "vanished", "token": "A", "transaction": HASH, "block": 9},
        ),
        (events.Waiting(["A"], 1.4), {"event": "waiting", "tokens": ["A"], "seconds": 1}),
        (events.Trouble("relay", "down"), {"event": "relay", "error": "down"}),
        (events.Ended(3, 2, 1), {"event": "pass", "tokens": 3, "acted": 2, "failed": 1}),
    ],
)
def test_journal__each_event__is_the_line_that_is_worth_reading(event, line):
    with capture_logs() as lines:
        journal(structlog.get_logger())(event)

    for found in lines:
        del found["log_level"]
    assert lines == ([line] if line else [])


def test_log__pipe__is_json_with_level_and_time(restored):
    stream = io.StringIO()
    log_to(stream)

    journal(structlog.get_logger())(events.Trouble("node", "late"))

    line = json.loads(stream.getvalue())
    assert line.pop("timestamp").endswith("Z")
    assert line == {"event": "node", "error": "late", "level": "error"}


def test_log__disk_full__loses_lines_counts_them_and_says_so_when_it_can(tmp_path):
    """/dev/full is a disk without a byte left; the file in its place one where somebody has made room."""
    path = tmp_path / "log"
    with open("/dev/full", "w") as full, path.open("w") as free:
        stream = Patient(full)
        for number in range(3):
            stream.write(f"line {number}\n")
        assert stream.lost == 3
        os.dup2(free.fileno(), full.fileno())

        stream.write("line 3\n")
        stream.write("line 4\n")

    assert path.read_text() == '{"event": "log_lost", "lines": 3}\nline 3\nline 4\n'


def test_log__reader_has_gone__is_lost_without_an_error():
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as pipe:
        stream = Patient(pipe)
        stream.write("line\n")

        assert stream.lost == 1


def test_once__log_and_listeners_fail__acts_all_the_same():
    world = World({"A": Vault()}, price=lambda now: START * 88 // 100, now=OPEN)
    worker = world.keeper()
    heard = []

    def broken(event):
        raise RuntimeError("no room")

    worker.listeners += [broken, heard.append]
    with capture_logs() as lines:
        assert worker.once() == DONE

    assert world.triggers() == [Trigger.EMERGENCY]
    assert [type(event).__name__ for event in heard] == ["Looked", "Decided", "Acted", "Ended"]
    assert lines[0]["event"] == "listener" and "RuntimeError at test_keeper_journal.py" in lines[0]["error"]
    assert "no room" not in str(lines)
