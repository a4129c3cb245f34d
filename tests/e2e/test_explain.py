"""ape run token explain on a fork with the real venue: the ledger's lines, to the wei, beside the model."""

import itertools
import json
import re
from dataclasses import asdict, replace

import pytest
from click.testing import CliRunner

from leverage import chain, ledger
from leverage.errors import LeverageError
from leverage.explain import predict
from leverage.market.times import clock
from leverage.report import explain as report
from leverage.types import DAY, WAD
from scripts.token import cli

pytestmark = [pytest.mark.e2e, pytest.mark.venue]

# For what does not depend on the venue.
AT_PERP_V2 = pytest.mark.parametrize("venue", ["perp_v2"], indirect=True)
SECONDS = itertools.count(1)
# How far the model may be off after five days, in nav: funding's rate moves between bookings, and what it
# took is missing from the size that comes after it.
NEAR = {
    "price": 1e-4,
    "funding": 3e-4,
    "venue_fee": 1e-5,
    "slippage": 1e-5,
    "management_fee": 1e-6,
    "rounding": 1e-9,
}


@pytest.fixture(params=["perp_v2", "synthetix"])
def venue(request):
    return request.param


@pytest.fixture(autouse=True)
def own_past(site, deployed):
    """Anvil keeps past states by the hash of their block, some hundreds: no test has a block of another."""
    site.perp.warp(next(SECONDS))


@pytest.fixture
def keep(site, deployed):
    """Lets the keeper do what is due."""

    def work(*symbols):
        keeper = deployed.keeper(site.account(1), symbols, every=15, is_dry=False)
        keeper.draw = lambda left: 0
        assert replace(keeper, clock=site.clock).once() == 0

    return work


@pytest.fixture
def premium(site, venue):
    """Lets longs pay funding: the pool above the index, or more longs than shorts."""

    def set_() -> None:
        if venue == "perp_v2":
            site.perp.push_pool("ETH", site.perp.index_price("ETH") * 1_005 // 1_000)
        else:
            site.perp.set_skew("ETH", 300 * WAD)

    return set_


@pytest.fixture
def days(site, deployed, keep, premium):
    """Days with moves and rebalances, funding, a mint and a burn; the block before them."""

    def live(symbol="ETH3L"):
        start = deployed.block()[0]
        for number, percent in enumerate((3, -12, 5, 8, -4)):
            site.move("ETH", percent)
            site.until(130)
            keep(symbol)
            if number == 1:
                site.fund(5)
                site.wallet(deployed, symbol, 5).mint("5000", WAD // 20, 600)
            if number == 2:
                premium()
            if number == 3:
                site.wallet(deployed, symbol, 4).burn("2000", WAD // 20, 600)
        site.perp.warp(3_600)
        return start

    return live


@pytest.fixture
def lone(site, deployed):
    """A token that charges nothing for its management and that nobody holds yet, and the block since when."""
    link = site.deploy("BTC3L")
    terms = link.contract("VaultTerms", link.record.token("BTC3L")["terms"])
    terms.send(site.account(0), "setFees", (WAD // 1_000, WAD // 1_000, 0))
    site.fund(5)
    return link, link.block()[0]


@pytest.fixture
def explain(site, deployed):
    """Runs the command."""

    def run(*args):
        where = ["--network", site.url, "--deployments", str(site.folder)]
        return CliRunner(mix_stderr=False).invoke(cli, ["explain", *args, *where])

    return run


@pytest.fixture
def node(monkeypatch):
    """A node that refuses what `refuses(method, params)` has a reason for, or gives another's answers."""
    real = chain.rpc

    def play(refuses=lambda method, params: None, answers=lambda method, params: None):
        def rpc(method, *params, **options):
            if reason := refuses(method, params):
                raise LeverageError(f"the node refused {method}: {reason}")
            answer = answers(method, params)
            return real(method, *params, **options) if answer is None else answer

        monkeypatch.setattr(chain, "rpc", rpc)

    return play


def nav_at(link, symbol, block):
    return link.at(block).vault(symbol).call("nav")


# The sum, and the model


@pytest.mark.parametrize("symbol", ["ETH3L", "ETH3S"])
def test_explain__days_of_everything__adds_up_to_the_wei_and_meets_the_model(deployed, days, symbol):
    start = days(symbol)

    story = ledger.read(deployed, symbol, str(start))

    (life,) = story.lives
    now = deployed.block()[0]
    assert (life.then.block, life.now.block) == (start, now)
    change = nav_at(deployed, symbol, now) - nav_at(deployed, symbol, start)
    assert sum(asdict(life.lines).values()) == life.lines.total == life.change == change != 0
    assert len(life.rebalances) >= 4 and life.is_funding_known
    predicted = predict(life, story.target, story.charged)
    for line, tolerance in NEAR.items():
        assert getattr(predicted, line) / WAD == pytest.approx(
            getattr(life.lines, line) / WAD, abs=tolerance
        ), line
    assert life.lines.funding * predicted.funding > 0 and abs(life.lines.funding) > WAD // 10_000
    assert predicted.venue_fee < 0 and life.lines.management_fee < 0


def test_explain__parts_of_a_period__add_up_to_the_whole(deployed, days):
    start = days()
    whole = ledger.read(deployed, "ETH3L", str(start)).lives[0]

    middle = whole.entries[len(whole.entries) // 2].block
    part = ledger.read(deployed, "ETH3L", str(middle)).lives[0]

    before = nav_at(deployed, "ETH3L", middle) - nav_at(deployed, "ETH3L", start)
    assert part.change + before == whole.change and part.lines.total == part.change


@AT_PERP_V2
def test_explain__fees_that_change__are_charged_each_in_its_time(site, deployed):
    start = deployed.block()[0]
    terms = deployed.contract("VaultTerms", deployed.record.token("ETH3L")["terms"])
    site.until(60)
    terms.send(site.account(0), "setFees", (0, 0, WAD // 1_000))
    site.until(60)

    story = ledger.read(deployed, "ETH3L", str(start))

    (life,) = story.lives
    predicted = predict(life, story.target, story.charged)
    assert life.lines.management_fee / WAD == pytest.approx(-0.001, abs=1e-4)
    assert predicted.management_fee == pytest.approx(life.lines.management_fee, rel=1e-3)


@AT_PERP_V2
def test_explain__ruin__is_the_price_and_no_more_than_nav(site, deployed):
    start = deployed.block()[0]
    site.move("ETH", -40)
    deployed.vault("ETH3L").send(site.account(5), "checkRuin")

    story = ledger.read(deployed, "ETH3L", str(start))

    (life,) = story.lives
    assert life.change == -life.then.nav == life.lines.total
    assert predict(life, story.target, story.charged).total == life.change
    assert any(note.startswith("ruined on ") for note in story.notes)


# Beginnings and ends


def test_explain__from_before_the_first_mint__begins_at_1(site, lone):
    link, start = lone
    site.wallet(link, "BTC3L", 5).mint("1000", WAD // 20, 600)
    site.move("BTC", 3)

    (life,) = ledger.read(link, "BTC3L", str(start)).lives

    assert life.then.nav == WAD and life.leverage == 3 * WAD
    assert life.lines.total == life.change == nav_at(link, "BTC3L", link.block()[0]) - WAD
    assert life.lines.price / WAD == pytest.approx(0.09, abs=1e-3)


@AT_PERP_V2
def test_explain__nobody_yet__says_so(lone):
    link, start = lone

    story = ledger.read(link, "BTC3L", str(start))

    assert list(story.lives) == []
    assert next(iter(report.tables(story))).startswith("BTC3L: nobody has held it from ")


def test_explain__everybody_left_and_somebody_came__are_two_ledgers(site, lone):
    """Without a management fee: what it brings the treasury would stay."""
    link, start = lone
    site.wallet(link, "BTC3L", 5).mint("2000", WAD // 20, 600)
    site.move("BTC", 4)
    link.vault("BTC3L").send(site.account(5), "accrue")
    site.move("BTC", -1)
    site.wallet(link, "BTC3L", 5).burn("all", WAD // 5, 600)
    (left,) = ledger.read(link, "BTC3L", str(start)).lives
    site.move("BTC", -3)
    site.wallet(link, "BTC3L", 5).mint("2000", WAD // 20, 600)
    site.move("BTC", 2)

    first, second = ledger.read(link, "BTC3L", str(start)).lives

    assert left.is_over and first.is_over and not second.is_over
    assert (first.change, first.lines) == (left.change, left.lines)
    assert first.lines.total == first.change and first.change / WAD == pytest.approx(0.09, abs=0.02)
    assert second.then.nav == WAD and second.lines.total == second.change
    assert second.now.nav == nav_at(link, "BTC3L", link.block()[0])
    assert second.lines.price / WAD == pytest.approx(0.06, abs=1e-3)


@AT_PERP_V2
def test_explain__no_price_now__goes_to_the_last_booking(site, deployed, days):
    start = days()
    booked = deployed.vault("ETH3L").call("mark")
    site.perp.rpc.warp(172_801)

    story = ledger.read(deployed, "ETH3L", str(start))

    (life,) = story.lives
    assert life.now.nav == booked["nav"] and life.lines.total == life.change
    assert any(
        note.startswith("there is no price now: this goes to the last booking") for note in story.notes
    )


# Nodes


@AT_PERP_V2
def test_explain__node_of_few_blocks_at_once__is_asked_in_pieces(deployed, days, node):
    start = days()
    whole = report.to_dict(ledger.read(deployed, "ETH3L", str(start)))
    asked = []

    def refuses(method, params):
        if method != "eth_getLogs":
            return None
        blocks = int(params[0]["toBlock"], 16) - int(params[0]["fromBlock"], 16) + 1
        asked.append(blocks)
        return "range too large" if blocks > 7 else None

    node(refuses)
    heard = []
    story = ledger.read(deployed, "ETH3L", str(start), lambda *told: heard.append(told))

    assert report.to_dict(story) == whole
    assert max(asked) > 7 >= asked[-1] and len(asked) > 5
    reading = [(done, of) for what, done, of in heard if what == "reading the ledger"]
    assert reading == sorted(reading) and reading[-1][0] == reading[-1][1]


@AT_PERP_V2
def test_explain__node_without_old_logs__is_one_line(deployed, days, node):
    start = days()
    node(lambda method, params: "history has been pruned" if method == "eth_getLogs" else None)

    said = f"the node has no logs of block {start + 1}: .*history has been pruned; ask one that keeps all"
    with pytest.raises(LeverageError, match=said):
        ledger.read(deployed, "ETH3L", str(start))


@AT_PERP_V2
def test_explain__node_that_leaves_logs_out__is_one_line(deployed, days, node):
    start = days()
    node(answers=lambda method, params: [] if method == "eth_getLogs" else None)

    with pytest.raises(LeverageError, match="the node's logs lack bookings of ETH3L after block"):
        ledger.read(deployed, "ETH3L", str(start))


@AT_PERP_V2
@pytest.mark.parametrize("fault", [{"topics": []}, {"address": "0x" + "00" * 20}, {"data": "0x00"}])
def test_explain__node_that_sends_nonsense__is_one_line(deployed, days, node, fault):
    start, real = days(), chain.rpc

    def answers(method, params):
        return [{**log, **fault} for log in real(method, *params)] if method == "eth_getLogs" else None

    node(answers=answers)

    with pytest.raises(LeverageError, match="the node sent logs that nobody asked for"):
        ledger.read(deployed, "ETH3L", str(start))


def test_explain__node_without_old_state__begins_with_the_booking_before(deployed, days, node):
    """It knows the logs alone: the sum stays exact, and the model knows leverage from the last rebalance."""
    start = days()
    entries = ledger.read(deployed, "ETH3L", str(start)).lives[0].entries
    before, now = next(e for e in entries if e.rebalances), deployed.block()[0]

    def refuses(method, params):
        is_old = method == "eth_call" and params[1].startswith("0x") and int(params[1], 16) < now
        return "missing trie node" if is_old else None

    node(refuses)
    story = ledger.read(deployed, "ETH3L", str(before.block + 1))

    (life,) = story.lives
    assert (life.then.nav, life.then.time) == (before.nav, before.time)
    assert life.lines.total == life.change == nav_at(deployed, "ETH3L", now) - before.nav
    assert any("this begins with the booking before" in note for note in story.notes)
    assert life.leverage == pytest.approx(3 * WAD, rel=1e-2) and not life.is_funding_known
    predicted = predict(life, story.target, story.charged)
    assert predicted.price == pytest.approx(life.lines.price, abs=WAD // 1_000)


# The command


@AT_PERP_V2
def test_explain__moments_as_people_write_them__are_the_same(site, deployed, explain):
    start, began = deployed.block()
    site.perp.warp(3 * DAY)
    site.move("ETH", 2)
    moment = clock(began).replace(" ", "T")
    ago = f"{deployed.block()[1] - began}s"

    found = [ledger.read(deployed, "ETH3L", since) for since in (str(start), moment, ago, str(began))]

    assert {(story.since, story.lives[0].change) for story in found} == {(began, found[0].lives[0].change)}


@pytest.mark.parametrize(
    ("since", "said"),
    [
        (
            "2999-01-01",
            r"--since 2999-01-01: 2999-01-01 00:00 is in the future; the chain is at block \d+, 20",
        ),
        ("999999999", r"--since 999999999: block 999999999 is in the future"),
        ("2001-01-01", r"--since 2001-01-01: ETH3L was made later, in block \d+, 20.*: take --since \d+"),
        ("1", r"--since 1: ETH3L was made later, in block \d+"),
        ("520w", r"--since 520w: ETH3L was made later"),
        (
            "yesterday",
            "--since yesterday: write a date such as 2024-01-31 .* or a time ago such as 7d or 12h",
        ),
        ("0d", "--since 0d: write a date such as"),
    ],
)
@AT_PERP_V2
def test_read__wrong_moment__is_one_line(deployed, since, said):
    with pytest.raises(LeverageError, match=said):
        ledger.read(deployed, "ETH3L", since)


@AT_PERP_V2
def test_explain__unknown_token__is_one_line(explain):
    result = explain("DOGE3L", "--since", "1d")

    assert result.exit_code == 1 and result.stdout == ""
    assert re.search("^Error: no token 'DOGE3L' on chain 31337: known are ETH3L, ETH3S$", result.stderr, re.M)


def test_explain__shows_lines_sum_and_rebalances(deployed, days, explain):
    start = days()

    shown, asked = explain("ETH3L", "--since", str(start)), explain("ETH3L", "--since", str(start), "--json")

    assert shown.exit_code == asked.exit_code == 0, shown.stderr + asked.stderr
    (life,) = json.loads(asked.stdout)["lives"]
    change = int(life["change"])
    assert sum(int(line["found"]) for line in life["lines"].values()) == change == int(life["sum"])
    assert change == nav_at(deployed, "ETH3L", life["now"]["block"]) - nav_at(deployed, "ETH3L", start)
    exact = f"{'-' if change < 0 else ''}{abs(change) // WAD}.{abs(change) % WAD:018d}"
    assert f"nav now - nav then = {exact} = the sum of the lines, exact to the wei" in shown.stdout
    for word in ("price", "funding", "venue fee", "slippage", "management fee", "rounding", "Rebalances"):
        assert word in shown.stdout
    assert len(life["rebalances"]) == shown.stdout.count("scheduled") + shown.stdout.count("emergency")
