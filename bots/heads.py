"""Silverback's runner for the keeper: at every new block it hands each part of the tokens to a worker.

Silverback's own runners end when a chain stands still or a socket closes, and have the next pass begin before
the last has ended. This one does neither: a part that is under way is left alone, unless its worker is silent
for so long that it must be gone.
"""

import asyncio
from typing import Any, NoReturn

from ape import chain
from ape.logging import logger
from silverback.main import TaskData
from silverback.runner import BaseRunner

POLL = 0.2  # Seconds.
PATIENCE = 60  # Seconds that a worker may take for a pass, until the part is handed to another.


class Heads(BaseRunner):  # type: ignore[misc]
    """Use it with `silverback run keeper --runner bots.heads:Heads`."""

    async def _block_task(self, task_data: TaskData) -> None:
        seen = None
        while not self.shutdown_event.is_set():
            try:
                block = await asyncio.to_thread(_newest)
                if block.hash != seen:
                    await asyncio.wait_for(self.run_task(task_data, block), PATIENCE)
                    seen = block.hash
            except Exception as error:
                logger.warning(f"{task_data.name}: {type(error).__name__}")
            await asyncio.sleep(POLL)

    async def _event_task(self, task_data: TaskData) -> NoReturn:
        raise NotImplementedError("the keeper listens to blocks alone")


def _newest() -> Any:
    return chain.provider.get_block("latest")
