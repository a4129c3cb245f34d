"""Policies on the same prices at the same costs, and the defaults that a sweep chose."""

from decimal import Decimal

import pytest

from history import defaults, page, policies
from history.data import second
from history.policies import AFTER, BEFORE, CRASHES, RALLIES, SPLIT, Score
from history.replay import SYMBOLS
from leverage import config, presets


@pytest.fixture(scope="module")
def before():
    return {key: Score.of(lives) for key, lives in policies.compared(BEFORE).items()}


@pytest.fixture(scope="module")
def swept():
    return {target: defaults.swept(target) for target in (3, -3)}


def test_data__of_the_choice__end_before_those_of_the_report():
    assert max(period.bars.end for period in BEFORE) <= second(SPLIT)
    assert min(period.bars.start for period in AFTER) >= second(SPLIT)


@pytest.mark.parametrize(
    ("period", "target"), [*((p, 3) for p in CRASHES), *((p, -3) for p in RALLIES)], ids=lambda x: str(x)[:30]
)
def test_ours__in_every_crash_and_rally__lives_below_six(period, target):
    result, worst = policies.survived(period, target)["ours"]

    assert result.ruined_at is None
    assert 0 < result.nav[-1]
    assert worst < 6


def test_bands__alone__trade_less_and_track_worse(before):
    for name in ("bybit", "tlx"):
        assert before[name, 3].turnover < before["ours", 3].turnover / 2
        for target in (3, -3):
            assert before[name, target].difference > 2 * before["ours", target].difference


def test_kucoin__with_15_percent__lets_shorts_come_nearer_to_ruin(before):
    assert before["kucoin", -3].worst > before["ours", -3].worst + 3


@pytest.mark.parametrize("target", [3, -3])
def test_defaults__of_the_configuration__are_those_chosen(target):
    named = dict(zip(defaults.AXES, page.OURS[target], strict=True))
    chosen = presets.tokens([SYMBOLS[target]], settings=[f"{key}={value}" for key, value in named.items()])

    assert chosen == {SYMBOLS[target]: config.load().tokens[SYMBOLS[target]]}
    assert Decimal(named["emergency_move"]) <= Decimal("0.10")


@pytest.mark.parametrize(("target", "within"), [(3, 0.0004), (-3, 0.0001)])
def test_defaults__on_data_before_2024__are_near_the_best_of_the_sweep(swept, target, within):
    best = swept[target][0]
    (ours,) = [choice for choice in swept[target] if choice.settings == page.OURS[target]]

    assert ours.before.difference <= best.before.difference + within
    assert ours.before.ruined == ours.after.ruined == 0


def test_defaults__of_shorts__nearly_halve_the_tracking_error(swept):
    settings = {choice.settings: choice for choice in swept[-3]}
    ours, as_for_longs = settings[page.OURS[-3]], settings[page.OURS[3]]

    assert ours.before.tracking_error < 0.6 * as_for_longs.before.tracking_error
    assert ours.after.tracking_error == pytest.approx(as_for_longs.after.tracking_error, rel=0.01)
