"""Twin and contracts live through the same long histories on the real venues, whose fills it is told."""

import pytest

from bench.queued_rig import QueuedRig
from bench.rig import Rig
from bench.twin import perp_v2, synthetix

pytestmark = [pytest.mark.venue, pytest.mark.slow]


@pytest.fixture(scope="module")
def perp_rig():
    with Rig.started(markets=(perp_v2.MARKET,)) as rig:
        yield rig


@pytest.fixture(scope="module")
def synthetix_rig():
    with QueuedRig.started() as rig:
        yield rig


def assert_same(pair, must):
    assert pair.differences == []
    assert pair.max_diff == 0
    assert [kind for kind in must if pair.done[kind] == 0] == []


@pytest.mark.parametrize("target", perp_v2.TARGETS)
def test_history__on_perp_v2__is_the_same_to_the_wei(perp_rig, target):
    assert_same(perp_v2.play(perp_rig, target), perp_v2.PerpV2Player.must)


@pytest.mark.parametrize("target", synthetix.TARGETS)
def test_history__on_synthetix__is_the_same_to_the_wei(synthetix_rig, target):
    assert_same(synthetix.play(synthetix_rig, target), synthetix.SynthetixPlayer.must)
