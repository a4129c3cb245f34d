"""ape run token: mint, burn and look at a token."""

from pathlib import Path

import click
from ape.cli import account_option

from leverage import chain
from leverage.console import console, say
from leverage.wallet import SHARE_DECIMALS, Wallet, parse_fraction, show

deployments = click.option("--deployments", type=Path, help="Folder of the record [default: deployments].")
min_out = click.option("--min-out", metavar="AMOUNT", help="Least to receive; instead of --slippage.")
slippage = click.option(
    "--slippage", default="0.005", show_default=True, help="Accepted fraction below preview."
)
deadline = click.option("--deadline", default=600, show_default=True, help="Seconds until it must be mined.")


@click.group()
def cli():
    """Mint, burn and look at a leveraged token."""


@cli.command(cls=chain.Command)
@click.argument("symbol")
@click.argument("amount")
@account_option(prompt=False)
@min_out
@slippage
@deadline
@deployments
def mint(symbol, amount, account, min_out, slippage, deadline, deployments):
    """Mint SYMBOL for AMOUNT of collateral."""
    wallet = Wallet(chain.Chain.attach(deployments), symbol, chain.unlocked(account))
    with console.status(f"minting {symbol}"):
        trade = wallet.mint(amount, parse_fraction(slippage), deadline, min_out)
    say(f"{wallet.show(trade.assets)} {wallet.asset_symbol} → {show(trade.shares, SHARE_DECIMALS)} {symbol}")
    say(trade.transaction)


@cli.command(cls=chain.Command)
@click.argument("symbol")
@click.argument("amount")
@account_option(prompt=False)
@min_out
@slippage
@deadline
@deployments
def burn(symbol, amount, account, min_out, slippage, deadline, deployments):
    """Burn AMOUNT (or "all") of SYMBOL for collateral."""
    wallet = Wallet(chain.Chain.attach(deployments), symbol, chain.unlocked(account))
    with console.status(f"burning {symbol}"):
        trade = wallet.burn(amount, parse_fraction(slippage), deadline, min_out)
    say(f"{show(trade.shares, SHARE_DECIMALS)} {symbol} → {wallet.show(trade.assets)} {wallet.asset_symbol}")
    say(trade.transaction)


@cli.command(cls=chain.Command)
@click.argument("symbol")
@account_option(prompt=False)
@deployments
def info(symbol, account, deployments):
    """Show price, nav, leverage, limits, and what --account holds."""
    for name, value in Wallet(chain.Chain.attach(deployments), symbol, account).info().items():
        say(f"{name:>12}  {value}")
