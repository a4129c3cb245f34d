"""The sweep from which the defaults of config/markets.toml were chosen, on data before 2024."""

from collections.abc import Callable
from itertools import product
from typing import NamedTuple

from history import policies, replay
from history.policies import AFTER, BEFORE, Score

# A move of 10 % is the widest that E-5 allows an emergency.
AXES = {
    "drift": ("0", "0.05", "0.1", "0.2", "0.3"),
    "emergency_move": ("0.06", "0.08", "0.10"),
    "band_favour": ("0.2", "0.25", "0.333", "0.4", "0.5", "0.6"),
}


class Choice(NamedTuple):
    """Settings and how they did before and after 2024."""

    settings: tuple[str, ...]
    before: Score
    after: Score


def swept(target: int, tell: Callable[[str], None] = lambda text: None) -> list[Choice]:
    """All settings, the least daily difference from the multiple before 2024 first; no ruin among them."""
    grid = list(product(*AXES.values()))
    tokens = [replay.token("ours", target, *settings(values)) for values in grid]
    before, after = (policies.lives(tokens, periods, tell) for periods in (BEFORE, AFTER))
    found = [
        Choice(values, Score.of(early), Score.of(late))
        for values, early, late in zip(grid, before, after, strict=True)
    ]
    return sorted((choice for choice in found if not choice.before.ruined), key=lambda c: c.before.difference)


def settings(values: tuple[str, ...]) -> list[str]:
    """As `key=value`."""
    return [f"{key}={value}" for key, value in zip(AXES, values, strict=True)]
