"""ape run quote: what a mint costs now, and what to expect after it."""

import json
from pathlib import Path

import click

from leverage import chain, config
from leverage.console import console, fail, say
from leverage.errors import LeverageError


class Command(chain.Command):
    """Connects unless there is a --price to do without a chain."""

    def invoke(self, ctx):
        if ctx.params["price"] is None:
            return super().invoke(ctx)
        wanted = {k: v for k, v in ctx.params.items() if k not in ("network", "provider_settings")}
        try:
            return ctx.invoke(self.callback, **wanted)
        except LeverageError as error:
            fail(error)


@click.command(cls=Command)
@click.argument("symbol")
@click.argument("amount")
@click.option("--volatility", metavar="FRACTION", help="Of the index per day: 0.04, or 4%.")
@click.option("--prices", type=Path, metavar="FILE", help="Take the volatility from prices: CSV or parquet.")
@click.option("--days", default=7.0, show_default=True, help="When the comparison is made.")
@click.option("--price", metavar="PRICE", help="Of the index: quote from the configuration, without a chain.")
@click.option("--target", metavar="LEVERAGE", help="With --price: of a token that is not configured.")
@click.option("--venue-fee", metavar="FRACTION", help="With --price: the venue's fee, of the notional.")
@click.option("--funding", metavar="FRACTION", help="With --price: what longs pay per day, of the notional.")
@click.option("--maintenance", metavar="FRACTION", help="With --price: the venue's margin, of the notional.")
@click.option("--config", "files", type=Path, multiple=True, help="Configuration; repeatable, later wins.")
@click.option("--deployments", type=Path, help="Folder of the record [default: deployments].")
@click.option("--json", "is_json", is_flag=True, help="For programs.")
def cli(symbol, amount, volatility, prices, days, price, files, deployments, is_json, **told):
    """What minting SYMBOL for AMOUNT of collateral costs now, all fees, decay, gaps, and a comparison."""
    # Ape imports every script to list its commands: what only this one needs waits until it runs.
    from leverage import quoting
    from leverage.report import quote as report

    if days <= 0:
        raise LeverageError(f"--days {days:g}: must be above zero")
    daily = quoting.volatility_of(volatility, prices)
    if price is None:
        if given := next((name for name, value in told.items() if value is not None), None):
            raise LeverageError(f"--{given.replace('_', '-')} goes with --price: the chain tells it")
        with console.status(f"quoting {symbol}"):
            quote = quoting.read(chain.Chain.attach(deployments), symbol, amount, daily)
    else:
        quote = quoting.plan(config.load(*files), symbol, amount, price, daily, **told)
    if is_json:
        return say(json.dumps(report.to_dict(quote, days), indent=1))
    for table in report.tables(quote, days):
        say(table)
