"""Sweeps: in the order of the tokens, the same by any workers, with progress and clear failures."""

import threading
from dataclasses import replace

import pytest
from distributed import LocalCluster

from bench.paths import random_bars, random_funding
from leverage import backtest, config, statistics, sweep
from leverage.backtest import Costs, Reaction, Token
from leverage.sweep import SchedulerError
from leverage.types import WAD

BARS = random_bars(5, 2_000)
FUNDING = random_funding(5, BARS)


def tokens(count: int) -> list[Token]:
    """Ours, each with a wider drift than the one before."""
    ours = config.load().tokens["ETH3L"].policy_struct()
    return [
        Token(3.0, replace(ours, drift=ours.drift + i * WAD // 50), costs=Costs(fee=0.0005))
        for i in range(count)
    ]


def final_nav(result: backtest.Result, token: Token) -> float:
    return float(result.nav[-1])


def test_run__many_tokens__tells_of_each_what_its_own_replay_does():
    several = tokens(30)
    heard: list[int] = []

    navs = sweep.run(BARS, several, FUNDING, Reaction.CLOSES, summarise=final_nav, progress=heard.append)

    assert navs == [backtest.run(BARS, token, FUNDING, Reaction.CLOSES).nav[-1] for token in several]
    assert len(set(navs)) > 10
    assert heard == list(range(31))


def test_run__unless_told_otherwise__summarises_a_row_an_hour():
    (token,) = tokens(1)
    result = backtest.run(BARS, token, every=12)

    assert sweep.run(BARS, [token]) == [statistics.summarise(result, token)]
    assert sweep.run(BARS, [token], summarise=lambda result, _: len(result.nav), every=1) == [2_001]


def test_run__no_tokens__is_no_summaries():
    assert sweep.run(BARS, []) == []


def test_run__workers__work_at_the_same_time():
    """Each waits for the other, which one thread alone would do for ever."""
    together = threading.Barrier(2, timeout=60)

    told = sweep.run(BARS, tokens(2), summarise=lambda *_: together.wait() >= 0, workers=2)

    assert told == [True, True]


def test_run__a_token_that_cannot_be__stops_the_rest():
    bad = replace(tokens(1)[0], capital=-1.0)
    done: list[int] = []

    with pytest.raises(backtest.InputError, match="^capital of -1: it must be above 0$"):
        sweep.run(BARS, [bad, *tokens(200)], workers=1, progress=done.append)

    assert max(done) < 200


@pytest.fixture(scope="module")
def cluster():
    """Two workers in processes of their own."""
    with LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=":0", silence_logs=50
    ) as two_workers:
        yield two_workers


@pytest.mark.slow
def test_run__on_a_dask_cluster__tells_the_same(cluster):
    several = tokens(sweep.BATCH + 5)
    heard: list[int] = []

    told = sweep.run(BARS, several, FUNDING, scheduler=cluster.scheduler_address, progress=heard.append)

    assert told == sweep.run(BARS, several, FUNDING)
    assert sorted(heard) == heard and heard[0] == 0 and heard[-1] == len(several)
    assert len(heard) == 3


@pytest.mark.slow
def test_run__bad_token_on_a_cluster__is_the_same_refusal(cluster):
    bad = replace(tokens(1)[0], capital=-1.0)

    with pytest.raises(backtest.InputError, match="^capital of -1: it must be above 0$"):
        sweep.run(BARS, [bad], scheduler=cluster.scheduler_address)


def test_run__cluster_without_workers__is_told(monkeypatch):
    monkeypatch.setattr(sweep, "PATIENCE", 1)
    with LocalCluster(n_workers=0, dashboard_address=":0", silence_logs=50) as empty:
        at = empty.scheduler_address
        with pytest.raises(SchedulerError, match=f"^the Dask scheduler at {at} has no workers: start some$"):
            sweep.run(BARS, tokens(1), scheduler=at)


@pytest.mark.parametrize(
    ("scheduler", "reason"),
    [
        ("tcp://127.0.0.1:1", "Timed out trying to connect to tcp://127.0.0.1:1 after 1 s"),
        ("nowhere", "missing port number in address 'nowhere'"),
        ("carrier://pigeon:1", "unknown address scheme 'carrier'"),
    ],
)
def test_run__no_cluster__is_told(monkeypatch, scheduler, reason):
    monkeypatch.setattr(sweep, "PATIENCE", 1)

    with pytest.raises(SchedulerError, match=f"^no Dask scheduler at {scheduler}: {reason}"):
        sweep.run(BARS, tokens(1), scheduler=scheduler)
