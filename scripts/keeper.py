"""ape run keeper: rebalance what is due."""

import sys
from contextlib import nullcontext
from pathlib import Path

import click
from ape.cli import account_option

from leverage import chain, keeper
from leverage.console import fail, say
from leverage.errors import LeverageError


class Command(chain.Command):
    misconfigured = keeper.MISCONFIGURED


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
    @TOKENS
    @FOLDER
    @click.option("--every", default=every, show_default=True, help="Seconds from one pass to the next.")
    @click.option("--dry-run", is_flag=True, help="Decide and say so; send nothing.")
    def run(account, tokens, deployments, every, dry_run):
        keeper.log_to(sys.stdout)
        try:
            worker = chain.Chain.attach(deployments).keeper(account, tokens, every, dry_run)
        except LeverageError as error:
            fail(error, keeper.MISCONFIGURED)
        try:
            with nullcontext() if dry_run else keeper.lock(chain.lock_path(account)):
                sys.exit(job(worker))
        except keeper.LockHeldError as error:
            fail(error, keeper.LOCKED)
        except LeverageError as error:
            fail(error, keeper.FAILED)
        except KeyboardInterrupt:
            sys.exit(keeper.DONE)


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
