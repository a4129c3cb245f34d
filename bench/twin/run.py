"""How many histories chain and twin live through alike, and by how much they differ at most."""

from collections.abc import Callable, Iterator
from typing import Any

from bench.queued_rig import QueuedRig
from bench.rig import Rig
from bench.twin import instant, perp_v2, queued, synthetix
from bench.twin.comparison import Comparison

# Random histories on each of the two ideal venues.
SEEDS = 100


def run(report: Callable[[str], None] = print) -> dict[str, Any]:
    """Random histories in this process and long ones on the real venues; wei."""
    played = list(histories(report))
    return {
        "twin_histories": len(played),
        "twin_max_diff_wei": max(comparison.max_diff for comparison in played),
    }


def histories(report: Callable[[str], None]) -> Iterator[Comparison]:
    """All of them; another error on one side than on the other raises."""
    for kind, play in (("instant", instant.play), ("queued", queued.play)):
        for seed in range(SEEDS):
            report(f"history {seed + 1} of {SEEDS} on an ideal venue, {kind} vaults")
            yield play(seed)
    with Rig.started(markets=(perp_v2.MARKET,)) as rig:
        for target in perp_v2.TARGETS:
            report(f"a {target:+d}x token on Perp v2")
            yield perp_v2.play(rig, target)
    with QueuedRig.started() as queued_rig:
        for target in synthetix.TARGETS:
            report(f"a {target:+d}x token on Synthetix")
            yield synthetix.play(queued_rig, target)
