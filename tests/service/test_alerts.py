"""What is wrong, when it is told, and that a webhook holds nobody up."""

import time
from dataclasses import replace

import pytest
from standins import NOON, PRICE, report_at

from leverage.errors import LeverageError
from leverage.keeper import events
from leverage.service.alerts import DAY, HOUR, NAMED, Alarms, Alert, Limits, Message, Webhook, found
from leverage.service.measures import Feed, Sight, Surroundings
from leverage.types import WAD, Order, Report, Stage


def seen(*reports, **surroundings):
    sight = Sight(surroundings=Surroundings(**surroundings))
    for report in reports:
        sight(events.Looked({"ETH3L": report}, 0.1))
    return found(sight, Limits())


def later(report, seconds):
    return replace(report, snapshot=replace(report.snapshot, timestamp=NOON + seconds))


# What is wrong


def test_found__all_well__is_nothing():
    feeds = {"ETH3L": Feed(NOON, WAD // 50)}

    assert seen(report_at(), balances={"0xa": WAD}, feeds=feeds) == {}


@pytest.mark.parametrize(
    ("report", "text"),
    [
        (report_at(4.31), "4.31x, the band is 2x to 4x"),
        (report_at(1.5), "1.50x, the band is 2x to 4x"),
        (report_at(-5.5, -3), "-5.50x, the band is 1x to 5x"),
    ],
)
def test_found__outside_the_band__tells_leverage_and_band(report, text):
    assert seen(report) == {(Alert.OUT_OF_BAND, "ETH3L"): text}


def test_found__price_stale__is_told_from_other_failures():
    stale, other = (
        Report("0x", failure="PriceStale (updatedAt 1, age 2)"),
        Report("0x", failure="SequencerDown"),
    )

    assert seen(stale) == {(Alert.PRICE_STALE, "ETH3L"): stale.failure}
    assert seen(other) == {(Alert.UNREADABLE, "ETH3L"): "SequencerDown"}


@pytest.mark.parametrize(("percent", "is_far"), [(0.9, False), (1.1, True), (-1.1, True)])
def test_found__mark_beyond_half_of_what_is_allowed__is_far(percent, is_far):
    report = report_at(venue_price=PRICE + round(percent * 100) * PRICE // 10_000)

    wrong = seen(report, feeds={"ETH3L": Feed(NOON, WAD // 50)})

    expected = {(Alert.MARK_FAR, "ETH3L"): f"{percent:+.2f} %, the oracle allows 2 %"}
    assert wrong == (expected if is_far else {})


def test_found__order_past_its_time__is_stuck():
    order = Order(Stage.WAITING, WAD, NOON - 20, NOON + 10)
    waits = report_at(order=order)

    assert seen(waits, later(waits, 60)) == {}
    assert seen(waits, later(waits, 61)) == {
        (Alert.ORDER_STUCK, "ETH3L"): "its order could have ended 61 s ago"
    }
    not_yet = report_at(order=replace(order, fillable_from=NOON + 90))
    assert seen(not_yet, later(not_yet, 89)) == {}


def test_found__rebalance_long_due__is_late():
    due = report_at(4.1)

    assert (Alert.LATE, "ETH3L") not in seen(due, later(due, 900))
    assert seen(due, later(due, 901))[Alert.LATE, "ETH3L"] == "rebalance has been due for 901 s"


def test_found__ruined__is_all_that_is_told():
    assert seen(report_at(9, ruined=True)) == {(Alert.RUINED, "ETH3L"): "what is left can be claimed"}


@pytest.mark.parametrize(("balance", "is_low"), [(WAD // 20, False), (WAD // 20 - 1, True), (0, True)])
def test_found__account_nearly_empty__is_told(balance, is_low):
    wrong = seen(report_at(), balances={"0xa": balance, "0xb": WAD})

    assert wrong == ({(Alert.BALANCE_LOW, "0xa"): f"{balance / WAD:.6f} left, below 0.05"} if is_low else {})


# When it is told

BAND = (Alert.OUT_OF_BAND, "ETH3L")


class Told(list):
    """Messages, and the alarms that told them."""

    def __init__(self, blocks=10):
        super().__init__()
        self.alarms = Alarms(self.append, "chain 10", blocks)

    def update(self, block, *keys, now=None):
        self.clear()
        self.alarms.update({key: f"{key[1]}!" for key in keys}, block, block if now is None else now)
        return [(message.alert, message.state, list(message.texts)) for message in self]


def test_update__lasts_for_some_blocks__begins_and_ends_once():
    told = Told()

    before = [told.update(block, BAND) for block in range(100, 110)]
    begin = told.update(110, BAND)
    lasting = [told.update(block, BAND) for block in range(111, 130)]
    ending = [told.update(block) for block in range(130, 140)]
    end = told.update(140)
    after = told.update(141)

    assert (begin, end) == (
        [(Alert.OUT_OF_BAND, "begins", ["ETH3L"])],
        [(Alert.OUT_OF_BAND, "has ended", ["ETH3L"])],
    )
    assert [*before, *lasting, *ending, after] == [[]] * 40


def test_update__blocks_skipped__begins_at_the_first_that_is_late_enough():
    told = Told()

    assert told.update(100, BAND) == []
    assert told.update(117, BAND) == [(Alert.OUT_OF_BAND, "begins", ["ETH3L"])]


def test_update__comes_and_goes__tells_nothing():
    told = Told()

    assert [told.update(block, *([BAND] if block % 9 else [])) for block in range(100, 200)] == [[]] * 100


def test_update__gone_for_a_moment__goes_on():
    told = Told()
    for block in range(100, 111):
        told.update(block, BAND)

    gaps = [told.update(block, *([BAND] if block % 5 else [])) for block in range(111, 200)]

    assert gaps == [[]] * 89
    assert told.alarms.lasting()[Alert.OUT_OF_BAND] == 1


def test_update__lasts_for_days__is_repeated_less_and_less():
    told = Told(blocks=0)
    told.update(1, BAND, now=0)

    repeats = [hour for hour in range(1, 100) if told.update(hour, BAND, now=hour * HOUR)]

    assert repeats == [1, 3, 7, 15, 31, 31 + DAY // HOUR, 31 + 2 * DAY // HOUR]
    assert told.update(100) == [(Alert.OUT_OF_BAND, "has ended", ["ETH3L"])]


def test_update__chain_unreachable__is_told_without_a_block():
    told, far = Told(), (Alert.UNREACHABLE, "")

    assert told.update(100, far) == [(Alert.UNREACHABLE, "begins", [""])]
    assert told.update(100, far, now=101) == []
    assert told.update(100) == [(Alert.UNREACHABLE, "has ended", [""])]


def test_update__many_tokens_at_once__are_one_message():
    told, keys = Told(blocks=0), [(Alert.PRICE_STALE, f"T{i:03}") for i in range(200)]

    told.update(5, *keys, BAND)

    stale, band = told
    assert (stale.alert, band.alert) == (Alert.PRICE_STALE, Alert.OUT_OF_BAND)
    assert stale.text.startswith("[chain 10] price stale begins: T000: T000!; T001: T001!; ")
    assert stale.text.endswith(f"and {200 - NAMED} more")
    assert band.text == "[chain 10] leverage out of band begins: ETH3L: ETH3L!"
    assert told.alarms.lasting()[Alert.PRICE_STALE] == 200
    assert stale.body()["of"] == [key[1] for key in keys]


def test_update__ended__names_the_tokens():
    told = Told(blocks=0)
    told.update(1, BAND, (Alert.BALANCE_LOW, "0xa"))

    told.update(2)

    assert [message.text for message in told] == [
        "[chain 10] leverage out of band has ended: ETH3L",
        "[chain 10] balance low has ended: 0xa",
    ]


# The webhook

MESSAGE = Message(Alert.BALANCE_LOW, "begins", {"0xa": "0.01 left"}, "chain 10")


@pytest.fixture
def quick(monkeypatch):
    """Without the pauses between attempts."""
    monkeypatch.setattr(Webhook, "_sleep", lambda self, seconds: None)


def test_webhook__message__is_posted_as_json(notes):
    hook = Webhook(notes.url)

    hook(MESSAGE)
    notes.wait(1)
    hook.close()

    assert notes.posted == [
        {
            "text": "[chain 10] balance low begins: 0xa: 0.01 left",
            "alert": "balance low",
            "state": "begins",
            "of": ["0xa"],
        }
    ]


def test_webhook__answers_late__gets_it_at_last(notes, quick):
    notes.statuses = [500, 429, 503, 200]
    failures = []
    hook = Webhook(notes.url, failures.append)

    hook(MESSAGE)
    notes.wait(4)
    hook.close()

    assert (len(notes.posted), failures) == (1, [])


@pytest.mark.parametrize(("status", "requests"), [(404, 1), (500, 6)])
def test_webhook__refuses__is_said_without_its_address(notes, quick, status, requests):
    notes.statuses = [status]
    failures = []
    hook = Webhook(notes.url, failures.append)

    hook(MESSAGE)
    hook.close(20)

    assert failures == [f"the webhook answered {status}"]
    assert notes.requests == requests


def test_webhook__nobody_there__holds_nobody_up(quick):
    failures = []
    hook = Webhook("http://127.0.0.1:9/a-secret", failures.append)

    began = time.monotonic()
    for _ in range(1_000):
        hook(MESSAGE)
    took = time.monotonic() - began
    hook.close(20)

    assert took < 5
    assert "too many messages wait" in failures
    assert any(why.startswith("the webhook did not answer (") for why in failures)
    assert not any("secret" in why or "127.0.0.1" in why for why in failures)


@pytest.mark.parametrize(
    "url", ["", "hook.example/secret", "ftp://host/secret", "http://", "http://host:x/secret"]
)
def test_webhook__no_url__is_refused_without_showing_it(url):
    with pytest.raises(LeverageError, match="--webhook: not a URL") as caught:
        Webhook(url)

    assert "secret" not in str(caught.value)
