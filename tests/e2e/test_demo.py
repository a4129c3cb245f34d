"""The demo, played on every fifth row of its sample: 50 minutes a step, the crash included."""

import io
import json
from functools import cache

import pytest
from click.testing import CliRunner
from rich.console import Console

from demo.play import WATCH
from demo.prices import SAMPLE, load
from demo.queued import QueuedPlay
from demo.stage import staged
from leverage.types import WAD
from scripts.demo import cli, perform

STEP = 5
TOKENS = ["ETH3L", "ETH3S", "ETH2L", "ETH1S", "BTC3L", "BTC3S"]


def shortened(path):
    comments, header, rows = [], "", []
    for line in SAMPLE.read_text().splitlines():
        if line.startswith("#"):
            comments.append(line)
        elif not header:
            header = line
        else:
            rows.append(line)
    path.write_text("\n".join([*comments, header, *rows[::STEP]]) + "\n")
    return path


@pytest.fixture(scope="module")
def performances(tmp_path_factory):
    """The demo's files and what it says, by venue: played when first asked for."""

    @cache
    def play(venue):
        out = tmp_path_factory.mktemp("demo")
        screen = io.StringIO()
        perform(venue, shortened(out / "prices.csv"), out / "new folder", Console(file=screen, width=104))
        return out / "new folder", screen.getvalue()

    return play


@pytest.fixture
def played(performances, venue):
    return performances(venue)


@pytest.fixture
def story(played):
    return json.loads((played[0] / "demo.json").read_text())


@pytest.fixture
def tokens(story):
    return {token["symbol"]: token for token in story["tokens"]}


pytestmark = [pytest.mark.e2e, pytest.mark.venue, pytest.mark.slow]
everywhere = pytest.mark.parametrize("venue", ["perp_v2", "synthetix"])
queued = pytest.mark.parametrize("venue", ["synthetix"])


def numbers(values):
    return [int(value) for value in values]


@everywhere
def test_story__names__venue_source_and_period(story, venue):
    assert story["venue"] == venue
    assert "Binance spot" in story["source"]
    assert story["period"] == "2022-11-08 22:40 to 2022-11-09 14:30 UTC"
    assert [token["symbol"] for token in story["tokens"]] == TOKENS


def test_path__has_a_point_for_each_row__and_one_more_for_each_rebalance(tokens):
    rows = load().rows[::STEP]

    for token in tokens.values():
        times = [point[0] for point in token["path"]]
        assert set(times) >= {row.time for row in rows}
        assert times == sorted(times)
        assert len(rows) < len(times) <= len(rows) + 2 * len(token["rebalances"])
        assert token["columns"] == ["time", "price", "nav", "leverage", "ideal_nav", "daily_nav"]


def test_nav__starts_at_one__and_follows_the_ideal_multiple(tokens):
    for token in tokens.values():
        first, last = (numbers(token["path"][n][1:]) for n in (0, -1))
        price, nav, leverage, ideal, _ = last

        assert 0 <= first[1] - WAD < 10**9
        assert abs(first[2] - int(token["target"])) < WAD // 1000
        assert (nav > WAD) == (int(token["target"]) < 0)  # The market fell.
        assert abs(nav - ideal) < WAD * 30 // 10_000


def test_triggers__crash_and_midnight__are_answered(story, tokens):
    assert story["totals"]["rebalances"]["EMERGENCY"] >= 1
    assert story["totals"]["rebalances"]["SCHEDULED"] >= 1
    emergency = [r for r in tokens["ETH3L"]["rebalances"] if r["trigger"] == "EMERGENCY"]
    assert len(emergency) == 1
    assert emergency[0]["time"] == 1_667_989_200  # 10:20, the bottom.
    assert int(emergency[0]["size"]) < 0
    assert int(emergency[0]["leverage_before"]) > 4 * WAD
    assert abs(int(emergency[0]["leverage_after"]) - 3 * WAD) < WAD // 50
    assert int(emergency[0]["tip_shares"]) == 0


@everywhere
def test_rebalances__move_leverage_to_the_target(tokens):
    for token in tokens.values():
        target = int(token["target"])
        for rebalance in token["rebalances"]:
            before, after = (int(rebalance[key]) for key in ("leverage_before", "leverage_after"))
            assert abs(after - target) < abs(before - target)
            assert (int(rebalance["size"]) > 0) == (before < target)
            assert int(rebalance["fee"]) > 0


@everywhere
def test_attribution__lines__add_up_to_the_wei(tokens):
    for token in tokens.values():
        lines = dict(token["attribution"])
        total, change = int(lines.pop("sum")), int(lines.pop("nav_change"))

        assert sum(numbers(lines.values())) == total == change
        assert change == int(token["path"][-1][2]) - WAD
        assert list(lines) == ["price", "funding", "venue_fee", "slippage", "management_fee", "rounding"]
        assert int(lines["management_fee"]) < 0
        assert abs(int(lines["rounding"])) < 10**9


def test_holders__come_and_go__with_the_change_of_nav_less_fees(tokens):
    for token in tokens.values():
        growth = int(token["path"][-1][2]) / WAD
        for name in ("first", "second"):
            if name in token["holders"]:
                flow = token["holders"][name]
                kept = int(flow["got_out"]) / int(flow["put_in"]) / growth
                assert 0.98 < kept < 0.998  # 10 bp each way, and 10 bp of the notional to the venue each way.

    thirds = {
        name: token["holders"]["third"] for name, token in tokens.items() if "third" in token["holders"]
    }
    assert list(thirds) == ["ETH3L", "BTC3S"]
    for name, flow in thirds.items():
        times = [point[0] for point in tokens[name]["path"]]
        assert times[0] < flow["came"] < flow["left"] < times[-1]


def test_others__comings_and_goings__leave_them_as_they_were(story, tokens):
    unit = 10 ** (18 - story["decimals"])
    flows = [flow for token in tokens.values() for flow in token["holders"].values()]

    # I-2. A payment out of the venue is rounded twice, by us and by the venue.
    assert all(abs(int(flow[key])) <= 2 * unit for flow in flows for key in ("others_in", "others_out"))


def test_conservation__everything_put_in__is_accounted_for(story, tokens):
    books = {name: int(value) for name, value in story["conservation"].items() if name != "holds"}
    flows = [flow for token in tokens.values() for flow in token["holders"].values()]

    assert story["conservation"]["holds"] is True
    assert books["put_in"] == sum(int(flow["put_in"]) for flow in flows) * 10**12
    assert books["got_out"] == sum(int(flow["got_out"]) for flow in flows) * 10**12
    parts = "got_out fees left_behind makers arbitrageur other_traders insurance_fund difference".split()
    assert books["put_in"] == sum(books[part] for part in parts)
    assert books["fees"] > 0
    assert abs(books["difference"]) < books["allowed"] <= 10**14
    assert 0 <= books["left_behind"] < 10**14


def test_picture_and_tables__are_there(played):
    folder, text = played
    picture = (folder / "demo.png").read_bytes()

    assert picture.startswith(b"\x89PNG") and len(picture) > 50_000
    for words in ("EMERGENCY ETH3L", "SCHEDULED", "third", "all of it is accounted for", *TOKENS):
        assert words in text


# Where orders fill later


def settlements(token, *, requests):
    return [event for event in token["settlements"] if event["requests"] == requests]


def leverages(event):
    return int(event["leverage_before"]) / WAD, int(event["leverage_after"]) / WAD


def is_shared(event):
    """Whether others stay while these come and go, and nothing else happens."""
    return event["trigger"] == "NONE" and 0 not in leverages(event)


@queued
def test_batches__each_order__fills_within_seconds_at_one_price_for_all(tokens):
    for token in tokens.values():
        for event in token["settlements"]:
            assert 2 <= event["seconds"] <= 30
            assert abs(int(event["size"])) <= int(event["asked"]) * (1 + 1e-8)


@queued
def test_batches__settlement__leaves_leverage_and_nav_of_others(tokens):
    """I-2, I-3. A tip is paid in shares and adds its cash; a fill better than the index is everybody's."""
    events = [event for token in tokens.values() for event in token["settlements"] if is_shared(event)]

    assert len(events) == 6
    for event in events:
        before, after = leverages(event)
        assert abs(after - before) < abs(before) / 500
        assert -(10**9) < int(event["gain"]) < WAD // 2_000


@queued
def test_crowd__ten_users__get_the_same_for_the_same(tokens):
    (event,) = settlements(tokens["ETH3L"], requests=10)
    flows = {name: flow for name, flow in tokens["ETH3L"]["holders"].items() if name.startswith("user")}

    assert int(event["assets"]) == sum(int(flow["put_in"]) for flow in flows.values()) == 55_000 * WAD
    assert len({flow["came"] for flow in flows.values()}) == 1
    for half in (range(1, 6), range(6, 11)):
        rates = [int(flows[f"user {n}"]["got_out"]) / int(flows[f"user {n}"]["put_in"]) for n in half]
        assert max(rates) - min(rates) < 1e-12


@queued
def test_crossing__deposits_and_redemptions__pay_each_other(tokens):
    (event,) = settlements(tokens["ETH3L"], requests=6)

    assert int(event["assets"]) > 0 and int(event["shares"]) > 0
    assert 0 < abs(int(event["size"])) < int(event["asked"]) // 50


@queued
def test_overlap__requests_while_an_order_is_pending__join_the_next(tokens):
    _, second, late, last = tokens["ETH3S"]["settlements"]
    holders = tokens["ETH3S"]["holders"]

    assert (second["requests"], late["requests"], last["requests"]) == (1, 2, 3)
    assert int(second["shares"]) == 0
    assert int(late["assets"]) == int(holders["late"]["put_in"]) and int(late["shares"]) > 0
    assert 0 < holders["late"]["came"] - holders["second"]["came"] <= 10


@queued
def test_silence__order_nobody_executes__is_cancelled_and_retried(story, tokens):
    (cancelled,) = tokens["BTC3S"]["cancelled"]
    _, retried, _ = tokens["BTC3S"]["settlements"]

    assert all(not token["cancelled"] for name, token in tokens.items() if name != "BTC3S")
    assert retried["requests"] == 2
    assert 100 < retried["time"] - cancelled < 300
    assert tokens["BTC3S"]["holders"]["second"]["came"] >= retried["time"]
    assert story["totals"]["keeper_failures"] > 0


@queued
def test_exodus__nine_tenths_leave__leverage_stays(tokens):
    event = max(filter(is_shared, tokens["BTC3L"]["settlements"]), key=lambda e: int(e["shares"]))
    before, after = leverages(event)

    assert 0.89 < int(event["shares"]) / int(event["supply"]) < 0.91
    assert abs(after - before) < 0.002
    assert before == pytest.approx(3, abs=0.3)


@queued
def test_crash__is_answered_by_an_emergency(story, tokens):
    emergency = [r for r in tokens["ETH3L"]["rebalances"] if r["trigger"] == "EMERGENCY"]

    assert len(emergency) == 1
    assert 0 < emergency[0]["time"] - 1_667_989_200 < 30  # 10:20, the bottom, and the time of an order.
    assert abs(int(emergency[0]["leverage_after"]) - 3 * WAD) <= WAD // 50
    assert story["totals"]["rebalances"]["SCHEDULED"] >= 1


@queued
def test_nav__queued__starts_at_one_and_follows_the_ideal_multiple(tokens):
    for token in tokens.values():
        first, last = (numbers(token["path"][n][1:]) for n in (0, -1))

        assert abs(first[1] - WAD) < WAD // 1_000
        assert abs(last[1] - last[3]) < WAD * 30 // 10_000  # Costs, and half a day of funding.
        assert (last[1] > WAD) == (int(token["target"]) < 0)


@queued
def test_exits__everybody__got_out_with_the_change_of_nav_less_costs(tokens):
    for symbol, token in tokens.items():
        growth, flow = int(token["path"][-1][2]) / WAD, token["holders"]["first"]
        kept = int(flow["got_out"]) / int(flow["put_in"]) / growth
        left = {flow["left"] for flow in token["holders"].values()}

        # In two tokens a quarter left before.
        assert 0.99 < kept < 0.999 or symbol in ("ETH3S", "BTC3S")
        assert 0 not in left and max(left) >= token["path"][-1][0]
        assert all(int(flow["got_out"]) > 0 for flow in token["holders"].values())
        assert token["settlements"][-1]["leverage_after"] == "0"


@queued
def test_strangers__executed_some_orders__for_the_venues_reward(story, tokens):
    theirs = sum(event["is_strangers"] for token in tokens.values() for event in token["settlements"])
    rewards = int(story["conservation"]["strangers"])

    assert theirs > 0
    assert rewards % (4 * WAD) == 0 and rewards >= theirs * 4 * WAD


@queued
def test_conservation__every_susd__is_accounted_for_on_the_way_and_at_the_end(story, tokens):
    books = {name: int(value) for name, value in story["conservation"].items() if name != "holds"}
    flows = [flow for token in tokens.values() for flow in token["holders"].values()]

    assert story["conservation"]["holds"] is True
    assert books["put_in"] == sum(int(flow["put_in"]) for flow in flows)
    assert books["got_out"] == sum(int(flow["got_out"]) for flow in flows)
    parts = "got_out fees left_behind debt_pool fee_pool strangers other_traders difference".split()
    assert books["put_in"] == sum(books[part] for part in parts)
    assert books["fees"] > 0 and books["fee_pool"] > 0 and books["debt_pool"] != 0
    assert max(abs(books["difference"]), abs(books["on_the_way"])) < books["allowed"] <= 10**4
    assert abs(books["other_traders"]) < 10**9  # Two opposite positions.
    assert 0 <= books["left_behind"] < 10**9


@queued
def test_story__queued__tells_its_scenes(played):
    folder, text = played

    assert (folder / "demo.png").stat().st_size > 50_000
    for words in (
        "10 users ask for ETH3L in one batch",
        "they cross inside the batch",
        "while that order is pending another asks in",
        "nobody has filled the order",
        "nine tenths leave BTC3L at once",
        "EMERGENCY ETH3L",
        "everybody leaves",
        "no share is left",
        "all of it is accounted for",
        *TOKENS,
    ):
        assert words in text


def test_keeper__only_fees_and_tips_are_left__serves_who_comes_next():
    """All leave in the second of the commit: no position is left, but shares that the commit did not know."""
    source = load()
    with staged("synthetix", source) as stage:
        listing = next(x for x in stage.listings if x.symbol == "ETH3L")
        play = QueuedPlay(stage, source, lambda *_: None, lambda: None)
        play.begin()
        play.ask_out(listing, "first")
        play.serve(and_the_house=True)
        assert listing.token.call("totalSupply") > 0 and stage.snapshots()["ETH3L"].size == 0

        play.ask_in(listing, "newcomer")
        for _ in range(3):
            stage.perp.warp(WATCH)
            play.serve()

        assert abs(stage.snapshots()["ETH3L"].leverage - 3 * WAD) < WAD // 10


# Mistakes


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--venue", "mars"], "unknown venue 'mars'; there is: perp_v2, synthetix"),
        (["--prices", "nowhere.csv"], "nowhere.csv: cannot be read: No such file or directory"),
    ],
)
def test_mistake__is_told_in_one_line(arguments, message):
    result = CliRunner().invoke(cli, arguments)

    assert result.exit_code == 1
    assert result.output == f"Error: {message}\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "1: the header must be `time,<market>,...`"),
        ("a,b\n", "1: the header must be `time,<market>,...`"),
        ("time,ETH,BTC\n0,1,1\n", " two rows are needed at least"),
        ("time,ETH,BTC\n0,1,1\n1,2\n", "3: 3 columns expected, 2 found"),
        ("time,ETH,BTC\n0,1,1\n1,0,1\n", "3: '0' is not a price"),
        ("time,ETH,BTC\n0,1,1\n1,x,1\n", "3: 'x' is not a price"),
        ("# source\ntime,ETH,BTC\n0,1,1\n4000,1,1\n", "4: rows must follow each other by 1 s to 3600 s"),
        ("time,ETH,BTC\n0,1,1\n0,1,1\n", "3: rows must follow each other by 1 s to 3600 s"),
        ("time,ETH,BTC\n0,1,1\n60,2,1\n", "3: ETH moves by more than a factor of 2 at once"),
        ("time,ETH,BTC\n2022-11-08T22:40:00,1,1\n", "two rows"),
        ("time,ETH\n1667947200,1300\n1667947800,1300\n", "no prices for BTC"),
    ],
)
def test_prices__unusable__are_told_with_the_line(tmp_path, text, message):
    path = tmp_path / "prices.csv"
    path.write_text(text)

    result = CliRunner().invoke(cli, ["--prices", str(path)])

    assert result.exit_code == 1
    assert result.output.startswith(f"Error: {path}:")
    assert message in result.output
    assert result.output.count("\n") == 1
