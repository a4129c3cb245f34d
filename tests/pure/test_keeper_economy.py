"""What an action earns, and when it is not worth its gas."""

from dataclasses import replace

import pytest
from test_keeper_days import MIDNIGHT, POLICY, START, Vault

from leverage.keeper.economy import DeclinedError, Economy, is_urgent, tip
from leverage.types import WAD, Action, Kind, Order, Stage, Trigger, Waiting

GWEI, HOUR = 10**9, 3_600
OPEN = MIDNIGHT + POLICY.offset + POLICY.exclusive
LATE = Action(Kind.REBALANCE, Trigger.SCHEDULED, WAD)
COMMIT = Action(Kind.COMMIT)
NO_ORDER = Order(Stage.NONE, 0, 0, 0)


def report(now, waiting=None):
    """A fund of 10,000 that is not far from its target."""
    return replace(Vault().report("0xv", START, now), waiting=waiting)


def test_tip__schedule_opens_to_everybody__grows_with_lateness_to_the_smaller_cap():
    assert tip(report(OPEN), LATE) == 0
    assert tip(report(OPEN + 100), LATE) == 100 * POLICY.tip_rate
    assert tip(report(OPEN + 12 * HOUR), LATE) == min(POLICY.tip_cap, WAD)  # 1 bp of 10,000.


def test_tip__nobody_is_late__is_nothing():
    for action in (replace(LATE, trigger=Trigger.BAND), Action(Kind.SETTLE), Action(Kind.CHECK_RUIN)):
        assert tip(report(OPEN + HOUR), action) == 0
    assert tip(replace(report(OPEN + HOUR), snapshot=None), LATE) == 0


def test_tip__people_wait__is_a_hundredth_of_what_comes_and_goes_at_most():
    opened = OPEN + HOUR
    waiting = Waiting(
        NO_ORDER, assets=50 * 10**6, shares=50 * WAD, opened_at=opened, cash_short=0, decimals=6
    )

    assert tip(report(opened + 10, waiting), COMMIT) == 10 * POLICY.tip_rate
    most = tip(report(opened + 24 * HOUR, waiting), COMMIT)
    assert most == min(POLICY.tip_cap, WAD)  # A hundredth of about 100.
    assert tip(report(opened + 24 * HOUR, replace(waiting, opened_at=0)), COMMIT) == 0


@pytest.fixture
def economy():
    """Of who loses 2 at most, while an ether is worth 3,000."""
    found = Economy(2 * WAD, lambda: 3_000 * WAD)
    found.note([report(OPEN + 12 * HOUR)])
    return found


def test_check__gas_within_tip_and_loss__passes_and_a_gwei_more_does_not(economy):
    allowed = (2 * WAD + tip(report(OPEN + 12 * HOUR), LATE)) // 3_000
    economy.check("0xv", LATE, allowed)

    with pytest.raises(
        DeclinedError, match="gas for 3 against a tip of 1: a loss beyond the 2 of --max-loss"
    ):
        economy.check("0xv", LATE, allowed + GWEI)


def test_check__urgent__passes_whatever_it_costs(economy):
    urgent = [
        Action(Kind.REBALANCE, Trigger.EMERGENCY),
        Action(Kind.CHECK_RUIN),
        Action(Kind.SETTLE),
    ]
    for action in urgent:
        assert is_urgent(action)
        economy.check("0xv", action, 100 * WAD)


def test_check__no_limit__asks_for_no_price():
    Economy(None, lambda: pytest.fail("asked")).check("0xv", LATE, 100 * WAD)


def test_check__vault_that_was_not_read__earns_nothing(economy):
    with pytest.raises(DeclinedError, match="against a tip of 0"):
        economy.check("0xother", LATE, 10**15)
