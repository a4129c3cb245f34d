"""The bench holds figures to their limits, and says so when a part of it ends without any."""

import copy
import json
import time

import pytest

from bench import run as bench
from bench.limits import rows
from bench.run import BenchError, measure

GOOD = {
    "perp_v2": {
        "gas": {action: {"ours": 11, "lean": 10, "ratio": 1.1} for action in ("mint", "burn", "rebalance")},
        "neutrality_bp": {"mint_1x": 0.0, "burn_50": -0.01},
        "leverage_after": {"mint_1x": 0.001},
        "burn_100": {"+3x": {"size": 0, "cash": 0, "supply": 0}},
        "stale_oracle_bp": 0.0,
        "stale_oracle_holders_bp": -0.01,
        "lens": {"tokens": 1000, "calls": 16, "seconds": 1.0, "gas_max": 50_000_000},
    },
    "synthetix": {
        "gas": {"request_claim": 250_000, "per_user_10": 500_000, "rebalance": 2_300_000},
        "neutrality_bp": {"mint_1x": 0.01},
        "leverage_after": {"burn_90": -0.001},
        "stale_oracle_bp": 0.0,
        "max_exit": 1.0,
        "blocked_s": 0,
    },
    "model": {
        "year_1m_s": 0.25,
        "sweep_1000_s": 60.0,
        "fast_vs_twin_rel": 1e-9,
        "twin_histories": 205,
        "twin_max_diff_wei": 0,
    },
    "keeper": {"react_blocks": 1, "scan_1000_s": 5.0, "scan": {"1000": {"gas_max": 50_000_000}}},
    "seconds": {"gas": 1.0},
}


def failed(figures):
    return [row.name for row in rows(figures) if not row.ok]


def test_rows__figures_at_their_limits__are_ok():
    assert len(rows(GOOD)) == 27
    assert failed(GOOD) == []


@pytest.mark.parametrize(
    "path, value, name",
    [
        (("gas", "rebalance", "ratio"), 1.26, "gas.rebalance.ratio"),
        (("gas", "mint", "ratio"), 1.41, "gas.mint.ratio"),
        (("neutrality_bp", "burn_50"), -0.011, "neutrality_bp.burn_50"),
        (("leverage_after", "mint_1x"), -0.0011, "leverage_after.mint_1x"),
        (("burn_100", "+3x", "size"), 1, "burn_100 +3x"),
        (("stale_oracle_bp",), 1e-12, "stale_oracle_bp"),
        (("stale_oracle_holders_bp",), -0.0101, "stale_oracle_holders_bp"),
        (("lens", "tokens"), 999, "lens.tokens"),
        (("lens", "gas_max"), 50_000_001, "lens.gas_max"),
    ],
)
def test_rows__a_figure_beyond_its_limit__is_told(path, value, name):
    figures = copy.deepcopy(GOOD)
    place = figures["perp_v2"]
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value

    assert failed(figures) == [f"perp_v2.{name}"]


@pytest.mark.parametrize(
    "path, value, name",
    [
        (("gas", "request_claim"), 250_001, "gas.request_claim"),
        (("gas", "per_user_10"), 500_001, "gas.per_user_10"),
        (("gas", "rebalance"), 2_300_001, "gas.rebalance"),
        (("max_exit",), 0.999, "max_exit"),
        (("blocked_s",), 1, "blocked_s"),
    ],
)
def test_rows__a_queued_figure_beyond_its_limit__is_told(path, value, name):
    figures = copy.deepcopy(GOOD)
    place = figures["synthetix"]
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value

    assert failed(figures) == [f"synthetix.{name}"]


@pytest.mark.parametrize(
    "key, value",
    [
        ("year_1m_s", 0.2501),
        ("sweep_1000_s", 60.1),
        ("fast_vs_twin_rel", 1.1e-9),
        ("twin_histories", 204),
        ("twin_max_diff_wei", 1),
    ],
)
def test_rows__a_figure_of_the_model_beyond_its_limit__is_told(key, value):
    figures = copy.deepcopy(GOOD)
    figures["model"][key] = value

    assert failed(figures) == [f"model.{key}"]


@pytest.mark.parametrize(
    ("path", "value", "name"),
    [
        (("react_blocks",), 1.5, "react_blocks"),
        (("scan_1000_s",), 5.01, "scan_1000_s"),
        (("scan", "1000", "gas_max"), 50_000_001, "scan.gas_max"),
    ],
)
def test_rows__a_figure_of_the_keeper_beyond_its_limit__is_told(path, value, name):
    figures = copy.deepcopy(GOOD)
    place = figures["keeper"]
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value

    assert failed(figures) == [f"keeper.{name}"]


def test_rows__parts_not_measured__are_left_out():
    figures = {"perp_v2": {"stale_oracle_bp": -1.0}, "seconds": {}}

    assert [row.name for row in rows(figures)] == ["perp_v2.stale_oracle_bp"]


def test_measure__unknown_part__ends_without_figures():
    with pytest.raises(BenchError, match="^nothing: .*KeyError: 'nothing'$"):
        measure("nothing", lambda name, text: None)


def test_run__parts__go_to_their_subjects_and_the_clocked_ones_last_and_alone(tmp_path, monkeypatch):
    running, seen = set(), {}

    def measured(name, say):
        running.add(name)
        time.sleep(0.05)
        seen[name] = set(running)
        running.remove(name)
        return {name: 1}, 0.05

    monkeypatch.setattr(bench, "measure", measured)
    parts = ["model_engine", "keeper_scan", "gas", "queued_gas"]
    figures = bench.run(parts, lambda name, text: None, tmp_path / "bench.json")

    assert {key: list(value) for key, value in figures.items() if key != "seconds"} == {
        "perp_v2": ["gas"],
        "synthetix": ["queued_gas"],
        "model": ["model_engine"],
        "keeper": ["keeper_scan"],
    }
    assert list(figures["seconds"]) == parts
    assert seen["model_engine"] == {"model_engine"} and seen["keeper_scan"] == {"keeper_scan"}
    assert list(seen)[-2:] == ["model_engine", "keeper_scan"]
    assert json.loads((tmp_path / "bench.json").read_text()) == figures
