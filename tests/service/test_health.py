"""When the keeper is well, and what its two pages say."""

import socket
import urllib.error
import urllib.request

import pytest

from leverage.errors import LeverageError
from leverage.keeper import events
from leverage.service.health import Health, Pages
from leverage.types import Action, Kind

ACTION = Action(Kind.REBALANCE)


class Time:
    def __init__(self):
        self.now = 1_000.0

    def __call__(self):
        return self.now


@pytest.fixture
def time():
    return Time()


@pytest.fixture
def health(time):
    """Of a keeper that has just passed over block 7."""
    found = Health(60, time)
    found.saw(7)
    found.end_pass()
    return found


def test_problem__no_pass_yet__says_so_at_once(time):
    health = Health(60, time)
    before = health.problem()
    health.failed("the node did not answer")
    failing = health.problem()
    health.saw(7)
    health.end_pass()

    assert before == "no pass has ended yet"
    assert failing == "no pass has ended yet: the node did not answer"
    assert (health.problem(), health.unreachable()) == ("", "")


def test_problem__blocks_and_passes__is_none(health, time):
    for block in range(8, 30):
        time.now += 59
        health.saw(block)
        health.end_pass()
        assert health.problem() == ""


def test_problem__node_silent__is_told_after_a_minute(health, time):
    health.failed("the node did not answer eth_blockNumber")
    time.now += 60
    assert health.problem() == ""

    time.now += 1

    assert health.problem() == "the node has not answered for 61 s: the node did not answer eth_blockNumber"
    assert health.unreachable() == health.problem()


def test_problem__chain_stands_still__is_told(health, time):
    for _ in range(61):
        time.now += 1
        health.saw(7)

    assert health.problem() == "there has been no block after 7 for 61 s"


def test_problem__blocks_but_no_pass__tells_why(health, time):
    for block in range(8, 72):
        time.now += 1
        health.saw(block)
        health.failed("TypeError at core.py:12")

    assert health.problem() == health.stalled() == "no pass has ended for 64 s: TypeError at core.py:12"
    assert health.unreachable() == ""


def test_problem__long_pass_that_gets_on__is_none(health, time):
    for block in range(8, 12):
        time.now += 50
        health.saw(block)
        health(events.Acted("ETH3L", ACTION, {}, 0))

    assert health.problem() == ""
    time.now += 30
    health(events.Decided("ETH3L", ACTION))
    health.saw(12)
    time.now += 31
    assert health.problem().startswith("no pass has ended for 61 s")


# Pages


def get(port, path):
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
            return answer.status, answer.headers["Content-Type"], answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.headers["Content-Type"], error.read().decode()


@pytest.fixture
def problems():
    return []


@pytest.fixture
def pages(problems):
    found = Pages("127.0.0.1", 0, lambda: "".join(problems), lambda: b"keeper_healthy 1.0\n")
    yield found
    found.close()


def test_pages__well_and_unwell__answer_200_and_503(pages, problems):
    well = get(pages.port, "/health")
    problems.append("the node has not answered for 61 s")
    unwell = get(pages.port, "/health?verbose")

    assert (well[0], well[2]) == (200, "ok\n")
    assert (unwell[0], unwell[2]) == (503, "the node has not answered for 61 s\n")


def test_pages__metrics__are_of_prometheus_kind(pages):
    status, kind, text = get(pages.port, "/metrics")

    assert (status, text) == (200, "keeper_healthy 1.0\n")
    assert kind.startswith("text/plain; version=")


def test_pages__elsewhere__names_what_there_is(pages):
    status, _, text = get(pages.port, "/")

    assert (status, text) == (404, "/health or /metrics\n")


def test_pages__client_that_says_nothing__holds_nobody_up(pages):
    with socket.create_connection(("127.0.0.1", pages.port)):
        assert get(pages.port, "/health")[0] == 200


def test_pages__port_taken__is_one_line(pages):
    with pytest.raises(LeverageError, match=f"--metrics-port {pages.port}: .*; choose another, or 0 for any"):
        Pages("127.0.0.1", pages.port, str, bytes)


@pytest.mark.parametrize(("host", "port"), [("127.0.0.1", 70_000), ("not-a-host.invalid", 0)])
def test_pages__no_such_place__is_one_line(host, port):
    with pytest.raises(LeverageError, match="--metrics-host"):
        Pages(host, port, str, bytes)
