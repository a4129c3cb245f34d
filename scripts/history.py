"""ape run history: write docs/history.md from real data. Needs no node."""

import click

from leverage.commands import working


@click.command()
def cli():
    """Replay real markets and products, and write docs/history.md with its plots."""
    with working("compiling") as show:
        # Here and not above: Ape imports every script to list its commands.
        from history import page
        from leverage import backtest

        backtest.prepare()
        page.write(lambda doing: show(description=doing))
    click.echo(page.PAGE)
