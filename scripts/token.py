"""ape run token: mint, burn and look at a token."""

import json
from pathlib import Path

import click
from ape.cli import account_option

from leverage import chain
from leverage.console import console, progress, say
from leverage.requests import wallet_of
from leverage.wallet import parse_fraction

deployments = click.option("--deployments", type=Path, help="Folder of the record [default: deployments].")


def trades(command):
    """The options of a mint and a burn."""
    for option in reversed(
        [
            click.argument("symbol"),
            click.argument("amount"),
            account_option(prompt=False),
            click.option("--min-out", metavar="AMOUNT", help="Least to receive; instead of --slippage."),
            click.option(
                "--slippage", default="0.005", show_default=True, help="Accepted fraction below preview."
            ),
            click.option(
                "--deadline",
                default=600,
                show_default=True,
                help="Seconds until it must be mined; where the venue fills later, to wait for its end.",
            ),
            deployments,
        ]
    ):
        command = option(command)
    return command


@click.group()
def cli():
    """Mint, burn and look at a leveraged token."""


def trade(name, done, text):
    """The sub-command that mints or burns."""

    @cli.command(name, cls=chain.Command, help=text)
    @trades
    def run(symbol, amount, account, min_out, slippage, deadline, deployments):
        wallet = wallet_of(chain.Chain.attach(deployments), symbol, chain.unlocked(account), say)
        with console.status(f"{done} {symbol}"):
            made = getattr(wallet, name)(amount, parse_fraction(slippage), deadline, min_out)
        say(wallet.told(made, is_mint=name == "mint"))
        say(made.transaction)


trade("mint", "minting", "Mint SYMBOL for AMOUNT of collateral.")
trade("burn", "burning", 'Burn AMOUNT (or "all") of SYMBOL for collateral.')


def requests(name, text):
    """The sub-command that ends requests."""

    @cli.command(name, cls=chain.Command, help=text)
    @click.argument("symbol")
    @account_option(prompt=False)
    @deployments
    def run(symbol, account, deployments):
        wallet = wallet_of(chain.Chain.attach(deployments), symbol, chain.unlocked(account))
        with console.status(f"{name} {symbol}"):
            lines = getattr(wallet, name)()
        for line in lines:
            say(line)


requests("claim", "Take what settled requests have brought, where the venue fills later.")
requests("cancel", "Take requests back that have not gone out, where the venue fills later.")


def view(name, text):
    """The sub-command that shows lines."""

    @cli.command(name, cls=chain.Command, help=text)
    @click.argument("symbol")
    @account_option(prompt=False)
    @deployments
    def run(symbol, account, deployments):
        wallet = wallet_of(chain.Chain.attach(deployments), symbol, account)
        for line, value in getattr(wallet, name)().items():
            say(f"{line:>14}  {value}")


view("info", "Show price, nav, leverage, limits, and what --account holds.")
view("status", "Show --account's requests, where the venue fills later.")


@cli.command(cls=chain.Command)
@click.argument("symbol")
@click.option("--since", required=True, metavar="WHEN", help="A date, a block, or a time ago such as 7d.")
@click.option("--json", "is_json", is_flag=True, help="For programs.")
@deployments
def explain(symbol, since, is_json, deployments):
    """Show why nav changed: the on-chain ledger's lines, and what the model makes of the same prices."""
    # Ape imports every script to list its commands: what only this one needs waits until it runs.
    from leverage import ledger
    from leverage.report import explain as report

    with progress() as tell:
        story = ledger.read(chain.Chain.attach(deployments), symbol, since, tell)
    if is_json:
        return say(json.dumps(report.to_dict(story), indent=1))
    for part in report.tables(story):
        say(part)
