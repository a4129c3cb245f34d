"""Twin and contracts live through the same random histories, and agree to the wei after every step."""

import pytest

from bench.twin import instant, queued
from bench.twin.run import SEEDS


def assert_same(pair, must):
    assert pair.differences == []
    assert pair.max_diff == 0
    assert [kind for kind in must if pair.done[kind] == 0] == []


@pytest.mark.parametrize("seed", range(SEEDS))
def test_history__of_an_instant_vault__is_the_same_to_the_wei(seed):
    assert_same(instant.play(seed), instant.InstantPlayer.must)


@pytest.mark.parametrize("seed", range(SEEDS))
def test_history__of_a_queued_vault__is_the_same_to_the_wei(seed):
    assert_same(queued.play(seed), queued.QueuedPlayer.must)
