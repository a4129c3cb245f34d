"""The runner of the keeper's bot: one task at a time for each part, whatever happens to node and workers."""

import asyncio
from types import SimpleNamespace

import pytest

from bots import heads
from bots.heads import Heads

TASK = SimpleNamespace(name="part_1_of_1")


class Chain:
    """Blocks by number; numbers that are errors are raised."""

    def __init__(self, *blocks):
        self.blocks = list(blocks)

    def newest(self):
        block = self.blocks.pop(0) if len(self.blocks) > 1 else self.blocks[0]
        if isinstance(block, Exception):
            raise block
        return SimpleNamespace(hash=block, number=block)


@pytest.fixture
def run(monkeypatch):
    """Runs the block task for a while; what it handed out."""
    monkeypatch.setattr(heads, "POLL", 0.001)

    def run(chain, work, seconds=0.5, patience=heads.PATIENCE):
        monkeypatch.setattr(heads, "_newest", chain.newest)
        monkeypatch.setattr(heads, "PATIENCE", patience)
        runner, given = Heads(SimpleNamespace()), []

        async def run_task(task, block):
            assert task is TASK
            given.append(block.number)
            await work(len(given))

        async def play():
            runner.shutdown_event, runner.run_task = asyncio.Event(), run_task
            playing = asyncio.create_task(runner._block_task(TASK))
            await asyncio.sleep(seconds)
            runner.shutdown_event.set()
            playing.cancel()

        asyncio.run(play())
        return given

    return run


async def nothing(count):
    """Done at once."""


def test_block_task__blocks__are_handed_out_once_each(run):
    assert run(Chain(7, 7, 8, 8, 8, 10), nothing) == [7, 8, 10]


def test_block_task__reorganised__is_handed_out_again(run):
    assert run(Chain(7, 8, 7, 7), nothing) == [7, 8, 7]


def test_block_task__pass_under_way__is_left_alone(run):
    async def forever(count):
        await asyncio.sleep(60)

    assert run(Chain(7, 8, 9, 10), forever) == [7]


def test_block_task__worker_gone__is_given_to_another(run):
    async def first_never(count):
        await asyncio.sleep(60 if count == 1 else 0)

    assert run(Chain(7), first_never, patience=0.1) == [7, 7]


def test_block_task__node_and_worker_fail__goes_on(run):
    async def first_fails(count):
        if count == 1:
            raise RuntimeError

    assert run(Chain(ConnectionError(), 7, ConnectionError(), 8, 8), first_fails) == [7, 8]
