"""Replays without costs give the figures that were published or worked out by hand (GOLDEN)."""

import pytest

from history import ideal


def found(replays, target, has_emergency=False):
    (one,) = [r for r in replays if (r.target, r.has_emergency) == (target, has_emergency)]
    return one


@pytest.fixture(scope="module")
def autumn():
    return ideal.autumn()


@pytest.mark.parametrize(
    ("target", "has_emergency", "nav", "triggers"),
    [(3, False, 0.560, 0), (3, True, 0.528, 4), (-3, False, 0.266, 0), (-3, True, 0.299, 2)],
)
def test_reset__from_september_to_february__decays_as_published(autumn, target, has_emergency, nav, triggers):
    replay = found(autumn, target, has_emergency)

    assert replay.asset == pytest.approx(1.019, abs=0.0005)
    assert replay.nav == pytest.approx(nav, abs=0.0005)
    assert replay.triggers == triggers


def test_reset__daily_through_march_12__is_wiped_out():
    replay = found(ideal.march_12(), 3)

    assert replay.nav == 0
    assert replay.result.ruined_at is not None


def test_emergency__on_march_12__saves_a_sixth_in_five_triggers():
    replay = found(ideal.march_12(), 3, True)

    assert replay.nav == pytest.approx(0.163, abs=0.0005)
    assert replay.triggers == 5


@pytest.mark.parametrize(("target", "nav"), [(3, 14.79), (-3, 0.00137)])
def test_reset__at_midnights_of_2020__is_the_ideal_that_bull_and_bear_missed(target, nav):
    replay = found(ideal.spring(), target)

    assert replay.asset == pytest.approx(3.726, abs=0.0005)
    assert replay.nav == pytest.approx(nav, rel=0.004)
