"""Many tokens over the same bars: on the cores of this machine, or on a Dask cluster."""

import asyncio
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from functools import partial
from importlib import import_module
from typing import Any

from leverage import backtest, statistics
from leverage.backtest import Bars, Funding, Reaction, Result, Token
from leverage.errors import LeverageError

HOUR = 3_600
# Tokens that go to a worker of a cluster at once: about a second of work.
BATCH = 20
PATIENCE = 10  # Seconds in which a cluster has to answer.

# What of a batch of tokens is kept, and which batch it was.
Batch = Sequence[Token]
Work = Callable[[Batch], list[Any]]
Done = Iterator[tuple[int, list[Any]]]


class SchedulerError(LeverageError):
    """A Dask cluster that cannot be reached, or cannot do the work."""


def run(
    bars: Bars,
    tokens: Sequence[Token],
    funding: Funding | None = None,
    reaction: Reaction = Reaction.EXTREMES,
    *,
    summarise: Callable[[Result, Token], Any] = statistics.summarise,
    every: int | None = None,
    scheduler: str | None = None,
    workers: int | None = None,
    progress: Callable[[int], None] = lambda done: None,
) -> list[Any]:
    """What `summarise` makes of each token's replay, in their order; `progress` hears how many are done.

    The results that it is given have a row for `every` bars, by default one an hour. The work is done by
    threads, one per core unless `workers` says otherwise: a replay is machine code, beside which others can
    run. With a `scheduler`, such as tcp://10.0.0.1:8786, a Dask cluster does it: with workers started in this
    project's environment.
    """
    interval = int(bars.time[1] - bars.time[0]) if len(bars.time) > 1 else HOUR
    rows = every or max(1, HOUR // max(1, interval))
    size = BATCH if scheduler else 1
    batches = [tokens[start : start + size] for start in range(0, len(tokens), size)]
    if scheduler:
        done = _by_cluster(scheduler, batches, bars, funding, reaction, rows, summarise)
    else:
        work = partial(summaries, bars, funding, reaction, rows, summarise)
        done = _by_threads(workers or os.cpu_count() or 1, batches, work)
    progress(0)
    found: dict[int, list[Any]] = {}
    for place, told in done:
        found[place] = told
        progress(sum(map(len, found.values())))
    return [summary for place in range(len(batches)) for summary in found[place]]


def summaries(
    bars: Bars,
    funding: Funding | None,
    reaction: Reaction,
    every: int,
    summarise: Callable[[Result, Token], Any],
    tokens: Sequence[Token],
) -> list[Any]:
    """One after the other."""
    return [summarise(backtest.run(bars, token, funding, reaction, every=every), token) for token in tokens]


def _by_threads(workers: int, batches: Sequence[Batch], work: Work) -> Done:
    pool = ThreadPoolExecutor(workers)
    try:
        places = {pool.submit(work, batch): place for place, batch in enumerate(batches)}
        for future in as_completed(places):
            yield places[future], future.result()
    finally:
        pool.shutdown(cancel_futures=True)


def _by_cluster(scheduler: str, batches: Sequence[Batch], bars: Bars, *rest: Any) -> Done:
    distributed = import_module("distributed")
    try:
        asyncio.run(_reach(scheduler))
    except (OSError, ValueError) as error:
        raise SchedulerError(f"no Dask scheduler at {scheduler}: {error}") from None
    client = distributed.Client(scheduler, timeout=PATIENCE, set_as_default=False)
    try:
        client.wait_for_workers(1, timeout=PATIENCE)
        # Once to each worker, and not with each batch.
        shared = client.scatter(bars, broadcast=True)
        futures = [client.submit(summaries, shared, *rest, batch, pure=False) for batch in batches]
        places = {future.key: place for place, future in enumerate(futures)}
        for future, told in distributed.as_completed(futures, client.loop, with_results=True):
            yield places[future.key], told
    except TimeoutError:
        raise SchedulerError(f"the Dask scheduler at {scheduler} has no workers: start some") from None
    except distributed.KilledWorker as error:
        raise SchedulerError(f"the Dask cluster at {scheduler} lost its workers: {error}") from None
    except ModuleNotFoundError as error:
        raise SchedulerError(
            f"the Dask workers at {scheduler} lack {error.name}: start them in this project's environment"
        ) from None
    finally:
        client.close()


async def _reach(scheduler: str) -> None:
    """Fail at once where nothing answers: a client that cannot connect would go on trying after its error."""
    comm = await import_module("distributed.comm").connect(scheduler, timeout=PATIENCE)
    await comm.close()
