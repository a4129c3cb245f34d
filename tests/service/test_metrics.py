"""What Prometheus is told."""

from dataclasses import replace

import pytest
from prometheus_client.parser import text_string_to_metric_families
from standins import NOON, PRICE, report_at

from leverage import leverage_math as lm
from leverage.keeper import events
from leverage.service.measures import Feed, Sight, Surroundings
from leverage.service.metrics import Metrics, kind_of
from leverage.types import WAD, Action, Kind, Report, Trigger

ACTION = Action(Kind.REBALANCE, Trigger.BAND)


@pytest.fixture
def sight():
    return Sight(maintenance={"ETH3L": WAD // 16})


@pytest.fixture
def metrics(sight):
    return Metrics(sight)


def values(metrics):
    """Every sample, by its name and its labels' values, the labels in the order of the alphabet."""
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(metrics.text().decode())
        for sample in family.samples
    }


def test_text__token_seen__has_its_measures(metrics, sight):
    due = report_at(4.5, venue_price=PRICE * 99 // 100)
    sight(events.Looked({"ETH3L": due}, 0.1))
    sight(events.Looked({"ETH3L": replace(due, snapshot=replace(due.snapshot, timestamp=NOON + 7))}, 0.1))
    sight.surroundings = Surroundings({"0xa": WAD // 4}, {"ETH3L": Feed(NOON - 30, WAD // 50)})

    found = values(metrics)

    assert found["keeper_nav", "ETH3L"] == 1
    assert found["keeper_leverage", "ETH3L"] == 4.5
    assert found["keeper_target", "ETH3L"] == 3
    assert found["keeper_equity", "ETH3L"] == 10_000
    assert found["keeper_to_band", "ETH3L"] == 0
    assert found["keeper_to_liquidation", "ETH3L"] == pytest.approx((1 - 4.5 / 16) / (4.5 - 4.5 / 16))
    assert found["keeper_mark_gap", "ETH3L"] == -0.01
    assert found["keeper_price_age_seconds", "ETH3L"] == 37
    assert found["keeper_late_seconds", "ETH3L"] == 7
    assert found["keeper_readable", "ETH3L"] == 1
    assert found["keeper_balance_ether", "0xa"] == 0.25


def test_text__token_unreadable__has_no_old_values(metrics, sight):
    sight(events.Looked({"ETH3L": report_at()}, 0.1))
    sight(events.Looked({"ETH3L": Report("0x", failure="PriceStale")}, 0.1))

    found = values(metrics)

    assert found["keeper_readable", "ETH3L"] == 0
    assert ("keeper_nav", "ETH3L") not in found and ("keeper_leverage", "ETH3L") not in found


def test_text__nothing_left__is_infinite(metrics, sight):
    sight(events.Looked({"ETH3S": report_at(-3, -3, equity=0, leverage=-lm.INFINITE_LEVERAGE)}, 0.1))

    assert values(metrics)["keeper_leverage", "ETH3S"] == float("-inf")


def test_text__feed_and_maintenance_unknown__leaves_them_out(metrics, sight):
    sight(events.Looked({"BTC3L": report_at()}, 0.1))

    found = values(metrics)

    assert {"keeper_to_liquidation", "keeper_price_age_seconds", "keeper_balance_ether"} & {
        k[0] for k in found
    } == set()
    assert found["keeper_to_band", "BTC3L"] > 0


def test_listener__what_happens__is_counted(metrics):
    for event in (
        events.Mined("ETH3L", "0x1", 5, 400_000, 3 * 10**15),
        events.Acted("ETH3L", ACTION, {"tipShares": WAD // 2}, 12),
        events.Mined("ETH3L", "0x2", 6, 30_000, 10**15, is_reverted=True),
        events.Failed("ETH3L", "PriceDeviates (index 1, venue 2): try again", ACTION),
        events.Failed("ETH3S", "the node refused eth_call: no", None),
        events.Trouble("unreachable", "the node did not answer"),
        events.Vanished("ETH3L", "0x1", 5),
    ):
        metrics(event)
    metrics.end_pass(42, 0.25)

    found = values(metrics)

    assert found["keeper_gas_spent_ether_total", "ETH3L"] == pytest.approx(0.004)
    assert found["keeper_reverts_total", "ETH3L"] == 1
    assert found["keeper_actions_total", "rebalance", "ETH3L"] == 1
    assert found["keeper_tips_earned_shares_total", "ETH3L"] == 0.5
    assert found["keeper_lateness_seconds_bucket", "15.0", "ETH3L"] == 1
    assert found["keeper_lateness_seconds_bucket", "5.0", "ETH3L"] == 0
    assert found["keeper_errors_total", "PriceDeviates", "ETH3L"] == 1
    assert found["keeper_errors_total", "other", "ETH3S"] == 1
    assert found["keeper_errors_total", "unreachable", ""] == 1
    assert found["keeper_vanished_total",] == 1
    assert found["keeper_block",] == 42
    assert found["keeper_pass_seconds_sum",] == 0.25
    assert found["keeper_last_pass_timestamp_seconds",] > 1.7e9


def test_healthy__problem_or_none__is_0_or_1(sight):
    problems = [""]
    metrics = Metrics(sight, lambda: problems[0])

    well = values(metrics)["keeper_healthy",]
    problems[0] = "the node has not answered for 61 s"

    assert (well, values(metrics)["keeper_healthy",]) == (1, 0)


def test_registry__two_keepers__share_nothing(sight):
    first, second = Metrics(sight), Metrics(sight)

    first(events.Vanished("ETH3L", "0x1", 5))

    assert (values(first)["keeper_vanished_total",], values(second)["keeper_vanished_total",]) == (1, 0)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ("NothingDue", "NothingDue"),
        ("PriceStale (age 5)", "PriceStale"),
        ("OrderPending: an order is under way", "OrderPending"),
        ("Underwater of sorts", "other"),
        ("", "other"),
    ],
)
def test_kind_of__error_in_words__is_its_name(error, kind):
    assert kind_of(error) == kind
