"""ape run keeper: rebalance what is due."""

import sys
from contextlib import ExitStack
from pathlib import Path

import click
from ape.cli import account_option

from leverage import chain, keeper
from leverage.config import to_wad
from leverage.console import fail, leave, say
from leverage.errors import LeverageError, UnreachableError, unexpected
from leverage.keeper.transactions import GWEI, Limits
from leverage.rpc import Rpc


class Command(chain.Command):
    misconfigured = keeper.MISCONFIGURED


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


@click.group()
def cli():
    """Rebalance what is due. Exit codes: 0 done or nothing to do, 1 failed, 2 misconfigured, 3 locked."""


def command(name, every, job):
    """The sub-command `name`: set up, take the lock, do the job."""

    @cli.command(name, cls=Command, help=job.__doc__)
    @account_option(prompt=False)
    @click.option(
        "--passphrase-file", type=Path, help="Holds the account's passphrase; only you may read it."
    )
    @TOKENS
    @FOLDER
    @click.option(
        "--every",
        type=click.IntRange(1),
        default=every,
        show_default=True,
        help="Seconds from one pass to the next.",
    )
    @click.option("--send-rpc", metavar="URL", help="Send through this node; $NAMES are of the environment.")
    @click.option(
        "--max-fee",
        type=click.FloatRange(0, min_open=True),
        default=100,
        show_default=True,
        help="Gwei that a unit of gas may cost.",
    )
    @click.option(
        "--max-loss", type=Wad(), help="Collateral that gas may cost beyond tips, but in emergencies."
    )
    @click.option(
        "--confirmations",
        type=click.IntRange(0),
        default=2,
        show_default=True,
        help="Blocks upon a transaction's until it is final.",
    )
    @click.option("--dry-run", is_flag=True, help="Decide and say so; send nothing.")
    def run(
        account,
        passphrase_file,
        tokens,
        deployments,
        every,
        send_rpc,
        max_fee,
        max_loss,
        confirmations,
        dry_run,
    ):
        keeper.log_to(sys.stdout)
        limits = Limits(max_fee=round(max_fee * GWEI), confirmations=0 if chain.is_local() else confirmations)
        with ExitStack() as held:
            try:
                relay = Rpc.named_by(send_rpc, "--send-rpc") if send_rpc else None
                if not dry_run:
                    account = chain.unlocked(account, passphrase_file)
                    held.enter_context(keeper.lock(chain.lock_path(account)))
                link = chain.Chain.attach(deployments)
                worker = link.keeper(account, tokens, every, dry_run, limits, relay, max_loss)
            except keeper.LockHeldError as error:
                fail(error, keeper.LOCKED)
            except UnreachableError as error:
                fail(error, keeper.FAILED)
            except LeverageError as error:
                fail(error, keeper.MISCONFIGURED)
            try:
                leave(job(worker) or keeper.DONE)
            except LeverageError as error:
                fail(error, keeper.FAILED)
            except KeyboardInterrupt:
                leave(keeper.DONE)
            except Exception as error:
                fail(unexpected(error), keeper.FAILED)


command("once", 300, keeper.Keeper.once)
command("run", 15, keeper.Keeper.run)


@cli.command(cls=Command)
@TOKENS
@FOLDER
def status(tokens, deployments):
    """Show nav, leverage and what is due, token by token."""
    link = chain.Chain.attach(deployments)
    vaults = link.vaults(tokens)
    say(keeper.status(dict(zip(vaults, link.read_reports(list(vaults.values())), strict=True))))
