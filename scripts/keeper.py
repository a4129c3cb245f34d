"""ape run keeper: rebalance what is due."""

import math
import sys
import time
from contextlib import ExitStack, suppress
from pathlib import Path

import click
from ape.cli import account_option
from rich.live import Live

from leverage import chain, keeper
from leverage.config import to_wad
from leverage.console import console, fail, leave, say
from leverage.errors import LeverageError, UnreachableError, unexpected
from leverage.service import alerts, start
from leverage.service.status import status as table
from leverage.shard import VARIABLE, Shard

MEANS = ("tokens", "send_rpc", "max_fee", "max_loss", "confirmations", "is_dry")
SECONDS = 2  # Between two looks of `status --watch`.


class Command(chain.Command):
    misconfigured = keeper.MISCONFIGURED


class Gwei(click.FloatRange):
    """A number above zero."""

    def convert(self, value, param, ctx):
        gwei = super().convert(value, param, ctx)
        return gwei if math.isfinite(gwei) else self.fail(f"{value!r} is no number", param, ctx)


class Wad(click.ParamType):
    """A decimal number that is not negative, in WAD."""

    name = "decimal"

    def convert(self, value, param, ctx):
        try:
            wad = value if isinstance(value, int) else to_wad(value)
        except ValueError as error:
            self.fail(f"{value!r}: {error}", param, ctx)
        return wad if wad >= 0 else self.fail(f"{value} is below zero", param, ctx)


TOKENS = click.option(
    "--token", "tokens", multiple=True, metavar="SYMBOL", help="Only this token; repeatable."
)
FOLDER = click.option("--deployments", type=Path, help="Folder of the record [default: deployments].")
ACTING = [
    account_option(prompt=False),
    click.option(
        "--passphrase-file", type=Path, help="Holds the account's passphrase; only you may read it."
    ),
    TOKENS,
    FOLDER,
    click.option(
        "--shard", envvar=VARIABLE, metavar="I/N", help="Only this part of the tokens, such as 2/5."
    ),
    click.option(
        "--send-rpc",
        envvar="KEEPER_SEND_RPC",
        metavar="URL",
        help="Send through this node; $NAMES are of the environment.",
    ),
    click.option(
        "--max-fee",
        envvar="KEEPER_MAX_FEE",
        type=Gwei(0, min_open=True),
        default=start.Means.max_fee,
        show_default=True,
        help="Gwei that a unit of gas may cost.",
    ),
    click.option(
        "--max-loss", type=Wad(), help="Collateral that gas may cost beyond tips, but in emergencies."
    ),
    click.option(
        "--confirmations",
        type=click.IntRange(0),
        default=start.Means.confirmations,
        show_default=True,
        help="Blocks upon a transaction's until it is final.",
    ),
    click.option("--dry-run", "is_dry", is_flag=True, help="Decide and say so; send nothing."),
]
SERVING = [
    click.option("--metrics-host", default="127.0.0.1", show_default=True, help="Of /metrics and /health."),
    click.option("--metrics-port", type=int, default=9109, show_default=True, help="0 takes any free port."),
    click.option("--webhook", envvar="KEEPER_WEBHOOK", metavar="URL", help="Gets the alerts, as JSON."),
    click.option(
        "--alert-blocks",
        type=click.IntRange(0),
        default=alerts.Limits.blocks,
        show_default=True,
        help="Blocks for which something is wrong until that is told.",
    ),
    click.option("--min-balance", type=Wad(), default="0.05", show_default=True, help="Ether to be told at."),
    click.option(
        "--watch",
        "watched",
        multiple=True,
        metavar="ADDRESS",
        help="Look after this account's ether, too; repeatable.",
    ),
]


@click.group()
def cli():
    """Rebalance what is due. Exit codes: 0 done or nothing to do, 1 failed, 2 misconfigured, 3 locked."""


def acting(*options):
    """A sub-command that acts. What it decorates is given what to hold until the end, the chain, the keeper,
    its account and options of its own, and returns what to do: until then a failure is the settings' fault.
    """

    def decorate(prepare):
        def run(account, passphrase_file, deployments, shard, **own):
            means = {name: own.pop(name) for name in MEANS}
            keeper.log_to(sys.stdout)
            with ExitStack() as held:
                try:
                    means = start.Means(shard=Shard.parse(shard) if shard else Shard(), **means)
                    if not means.is_dry:
                        account = chain.unlocked(account, passphrase_file)
                        held.enter_context(keeper.lock(chain.lock_path(account)))
                    link = chain.Chain.attach(deployments)
                    worker = means.keeper(link, account)
                    job = prepare(held, link, worker, account, **own)
                except keeper.LockHeldError as error:
                    fail(error, keeper.LOCKED)
                except UnreachableError as error:
                    fail(error, keeper.FAILED)
                except LeverageError as error:
                    fail(error, keeper.MISCONFIGURED)
                try:
                    leave(job())
                except LeverageError as error:
                    fail(error, keeper.FAILED)
                except KeyboardInterrupt:
                    leave(keeper.DONE)
                except Exception as error:
                    fail(unexpected(error), keeper.FAILED)

        for option in reversed([*ACTING, *options]):
            run = option(run)
        return cli.command(prepare.__name__, cls=Command, help=prepare.__doc__)(run)

    return decorate


@acting(
    click.option(
        "--every",
        type=click.IntRange(1),
        default=start.EVERY,
        show_default=True,
        help="Seconds until cron runs it again.",
    )
)
def once(held, link, worker, account, every):
    """Look at every token once, do what is due, and follow orders to their end."""
    worker.every = every
    return worker.once


@acting(*SERVING)
def run(held, link, worker, account, metrics_host, metrics_port, webhook, alert_blocks, min_balance, watched):
    """Do so at every block, until interrupted; what fails is tried less often and holds nobody up."""
    limits = alerts.Limits(blocks=alert_blocks, balance=min_balance)
    accounts = dict.fromkeys([*([account.address] if account else []), *watched])
    settings = start.Settings(metrics_host, metrics_port, webhook, limits, list(accounts))
    service = held.enter_context(start.started(link, worker, settings))
    held.enter_context(service.stop.on_signals())
    return service.run


@cli.command(cls=Command)
@TOKENS
@FOLDER
@click.option("--watch", is_flag=True, help="Go on, until interrupted.")
def status(tokens, deployments, watch):
    """Show nav, leverage and what is due, token by token."""
    link = chain.Chain.attach(deployments)
    look = start.onlooker(link, link.vaults(tokens))
    if not watch:
        say(table(look()))
        return
    with (
        Live(console=console, auto_refresh=False, screen=console.is_terminal) as live,
        suppress(KeyboardInterrupt),
    ):
        while True:
            live.update(table(look()), refresh=True)
            time.sleep(SECONDS)
