"""The keeper as a Silverback bot: at every block a task for each part of the tokens, for workers anywhere.

    silverback worker keeper --network ... --account keeper1       # on each machine, with its own account
    silverback run keeper --network ... --runner bots.heads:Heads  # once

KEEPER_SHARDS is in how many parts the tokens are shared. docs/operations.md has the rest of the environment.
"""

import os
import sys
from contextlib import ExitStack
from functools import cache

import structlog
from ape import chain
from silverback import SilverbackBot
from silverback.main import SharedState
from taskiq import TaskiqState

from leverage import keeper
from leverage.chain import Chain, lock_path
from leverage.console import fail
from leverage.errors import LeverageError
from leverage.service.loop import Service
from leverage.service.start import Means, head
from leverage.shard import Shard

bot = SilverbackBot()
held = ExitStack()
keeper.log_to(sys.stdout)
log = structlog.get_logger("keeper")


@bot.on_worker_startup()
async def begin(_: TaskiqState) -> None:
    # NOTE: Silverback gives a state to that worker alone which loads its snapshot; the others would fail.
    if not hasattr(bot, "state"):
        bot.state = SharedState()


@cache
def service(part: Shard) -> Service:
    """What looks after a part of the tokens; without an account it only tells what is due."""
    link = Chain.attach(os.environ.get("KEEPER_DEPLOYMENTS"))
    return Service(Means.of_environment(part, is_dry=bot.signer is None).keeper(link, bot.signer), head)


def serve(part: Shard) -> None:
    """Have a worker look after a part at every block."""

    def look(block: object) -> None:
        try:
            service(part).turn()
        except LeverageError as error:
            # It could not be set up. The next block tries again: Silverback ends after a few failures.
            log.error("unable", part=str(part), error=str(error))

    look.__name__ = f"part_{part.index}_of_{part.count}"
    bot.on_(chain.blocks)(look)


try:
    if bot.signer:
        held.enter_context(keeper.lock(lock_path(bot.signer)))
    for part in Shard.all(os.environ.get("KEEPER_SHARDS", "1")):
        serve(part)
except keeper.LockHeldError as error:
    fail(error, keeper.LOCKED)
except LeverageError as error:
    fail(error, keeper.MISCONFIGURED)
