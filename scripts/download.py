"""ape run download: bars or funding rates of the past from an exchange into a file. Needs no node."""

import time
from pathlib import Path

import click

from leverage.commands import working


@click.command()
@click.argument("exchange")
@click.argument("symbol")
@click.argument("out", type=Path)
@click.option("--from", "start", required=True, metavar="TIME", help="ISO 8601, in UTC, or unix seconds.")
@click.option("--to", "end", metavar="TIME", help="The same [default: now].")
@click.option("--interval", default="1h", show_default=True, help="Length of a bar.")
@click.option("--funding", "is_funding", is_flag=True, help="Funding rates of a perpetual instead of bars.")
def cli(exchange, symbol, out, start, end, interval, is_funding):
    """Download SYMBOL from EXCHANGE into OUT, a .csv, .csv.gz or .parquet file. For example:

    ape run download binance ETH/USDT eth.csv.gz --from 2024-01-01 --interval 5m

    ape run download binance ETH/USDT:USDT funding.csv.gz --from 2024-01-01 --funding
    """
    with working("connecting") as show:
        # Here and not above: Ape imports every script to list its commands.
        from leverage.market import DataError, download, table, times

        table.check_suffix(out)
        if out.exists():
            raise DataError(f"{out} is already there: remove it or choose another name")
        first, last = times.parse_time(start), times.parse_time(end) if end else int(time.time())
        if last <= first:
            raise DataError(f"from {times.clock(first)} to {times.clock(last)} there is no time: swap them")
        source = download.connect(exchange)

        def tell(reached):
            show(description=f"at {times.clock(reached)}", total=last - first, completed=reached - first)

        if is_funding:
            found = download.funding(source, symbol, first, last, tell)
        else:
            found = download.bars(source, symbol, interval, first, last, tell)
        found.write(out)
    click.echo(f"{out}: {found}")
