"""The lens: many vaults in one call, none of which can spoil another's report."""

import pytest
from market import wad, works

from leverage.types import WAD


@pytest.fixture
def lens(project, owner):
    return project.Lens.deploy(sender=owner)


def selector(error):
    from eth_utils import keccak

    return keccak(text=error.abi.selector)[:4]


def test_reports__healthy_vaults__carry_snapshot_and_policy(lens, world):
    long, short, vacant = world.markets[3, 6], world.markets[-3, 18], world.vacant
    short.price(2_050)

    reports = lens.reports([market.vault for market in (long, short, vacant)])

    for report, market in zip(reports, (long, short, vacant), strict=True):
        assert report.vault == market.vault
        assert tuple(report.snapshot) == tuple(market.vault.snapshot())
        assert tuple(report.policy) == tuple(market.terms.policy())
        assert report.failure == b""
        assert tuple(lens.report(market.vault)) == tuple(report)
    assert [report.snapshot.supply for report in reports] == [wad(10_000), wad(10_000), 0]


def test_reports__a_vault_without_a_price__is_reported_and_spoils_nothing(lens, world, outsider):
    long, short = world.markets[3, 6], world.markets[-3, 6]
    long.feed.set(-5, sender=outsider)

    broken, whole = lens.reports([long.vault, short.vault])

    assert broken.vault == long.vault
    assert broken.snapshot.timestamp == broken.snapshot.price == broken.policy.period == 0
    assert broken.failure == selector(long.oracle.PriceNotPositive) + (-5).to_bytes(32, "big", signed=True)
    assert tuple(whole.snapshot) == tuple(short.vault.snapshot())
    assert whole.failure == b""


def test_reports__what_is_no_vault__is_reported_and_spoils_nothing(lens, long, outsider):
    strangers = [outsider, long.asset, long.token, lens]

    *broken, whole = lens.reports([*strangers, long.vault])

    assert [report.vault for report in broken] == [stranger.address for stranger in strangers]
    assert [report.snapshot.timestamp for report in broken] == [0] * 4
    assert whole.snapshot.nav == WAD


def test_reports__a_ruined_vault__is_reported_as_such(lens, long, outsider):
    long.price(1_200)
    long.vault.checkRuin(sender=outsider)

    (report,) = lens.reports([long.vault])

    assert report.snapshot.ruined
    assert report.snapshot.equity == long.vault.equity() < 0


def test_reports__of_none__are_none(lens):
    assert lens.reports([]) == []


def test_report__an_instant_vault__waits_for_nothing(lens, long):
    report = lens.report(long.vault)

    assert not report.isQueued
    assert report.waiting.order.stage == report.waiting.assets == report.waiting.shares == 0
    assert not works(lambda: lens.waiting(long.vault))


def test_report__a_queued_vault__says_what_waits(lens, queued, minter, redeemer):
    queued.leave(minter, wad(100))
    opened = queued.now
    queued.wait(10)
    queued.request(redeemer, 500)

    waiting = lens.report(queued.vault).waiting

    assert lens.report(queued.vault).isQueued
    assert (waiting.assets, waiting.shares, waiting.openedAt) == (queued.units(500), wad(100), opened)
    assert waiting.order.stage == waiting.cashShort == 0
    assert tuple(lens.waiting(queued.vault)) == tuple(waiting)


def test_waiting__an_order_in_flight__is_told_with_what_joined_since(lens, queued, minter, redeemer):
    queued.leave(minter, wad(100))
    queued.commit()
    queued.request(redeemer, 500)

    waiting = lens.waiting(queued.vault)

    assert tuple(waiting.order) == tuple(queued.adapter.order())
    # Deposits were not in flight: theirs is still the batch to be committed.
    assert (waiting.assets, waiting.shares, waiting.openedAt) == (queued.units(500), 0, queued.now)


def test_waiting__a_payout_held_back__is_short(lens, queued, minter, outsider):
    queued.adapter.fail("", "held back", sender=outsider)
    queued.leave(minter, wad(5_000))
    queued.fill()

    assert lens.waiting(queued.vault).cashShort == queued.vault.cashShort() > 0


def test_waiting__without_a_price__is_told_all_the_same(lens, queued, minter, outsider):
    queued.leave(minter, wad(100))
    queued.feed.set(-5, sender=outsider)

    assert lens.waiting(queued.vault).shares == wad(100)
    (report,) = lens.reports([queued.vault])
    assert report.failure != b""
    assert report.isQueued
    assert tuple(report.waiting) == tuple(lens.waiting(queued.vault))
