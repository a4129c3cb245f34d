"""ape run backtest: what tokens would have done over years of prices. Needs no node."""

import json
from pathlib import Path

import click

from leverage.commands import console, replaying, working


@click.command()
@replaying
@click.option(
    "--policy", "policies", multiple=True, default=["ours"], help="Of config/presets.toml; repeatable."
)
@click.option("--json", "is_json", is_flag=True, help="Write figures for programs instead of tables.")
@click.option("--html", "page", type=Path, metavar="FILE", help="Write a page with plots, too.")
def cli(policies, is_json, page, **asked):
    """Replay tokens of the configuration, or of a --target, over prices and funding rates of the past.

    Each token is replayed under each --policy. For example:

    ape run backtest ETH3L ETH3S --prices eth.csv.gz --funding funding.csv --html report.html

    Prices have the columns timestamp, open, high, low, close, and funding timestamp, rate: CSV or parquet,
    plain or gzip. A timestamp is when a bar opens: unix seconds, milliseconds, or ISO 8601, in UTC unless it
    says otherwise.
    """
    with working("reading") as show:
        # Here and not above: Ape imports every script to list its commands.
        from leverage import backtest, study
        from leverage.report.cases import Report
        from leverage.report.tables import tables

        found = study.read(policies, **asked)
        show(description="compiling")
        backtest.prepare()
        show(description="replaying", total=len(found.candidates))
        cases = found.replay(lambda: show(advance=1))
        told = Report(f"{', '.join(found.markets)} from {found.period}", cases, found.notes())
        if page:
            from leverage.report.page import PLOTS, render

            show(description="drawing", completed=0, total=len(cases) * len(PLOTS))
            text = render(told, lambda: show(advance=1))
            page.parent.mkdir(parents=True, exist_ok=True)
            page.write_text(text)
    if is_json:
        click.echo(json.dumps(told.to_dict(), indent=1))
        return
    out = console()
    out.print(told.title, *tables(cases), *told.notes, sep="\n", highlight=False)
    if page:
        out.print(f"{page}: plots of all of it", highlight=False)
