"""ape run sweep: many policies over the same prices, and which did best. Needs no node."""

import json

import click

from leverage.commands import console, replaying, working

# The figures by which outcomes can be ranked, and whether the best is the least.
CRITERIA = {"tracking_error": True, "turnover": True, "nav": False, "decay": False, "drawdown": False}


@click.command()
@replaying
@click.option(
    "--policy", "policies", multiple=True, default=["ours"], help="Of config/presets.toml; repeatable."
)
@click.option(
    "--vary", "varied", multiple=True, metavar="KEY=VALUES", help="drift=0.02,0.05 or drift=0.01:0.10:0.01."
)
@click.option("--by", type=click.Choice(list(CRITERIA)), default="tracking_error", show_default=True)
@click.option("--top", default=10, show_default=True, help="Rows of the table.")
@click.option(
    "--scheduler", metavar="URL", help="Of a Dask cluster that does it, such as tcp://10.0.0.1:8786."
)
@click.option("--json", "is_json", is_flag=True, help="Write all figures for programs instead of a table.")
def cli(policies, varied, by, top, scheduler, is_json, **asked):
    """Replay tokens under all combinations of --policy and --vary, and rank them. For example:

    ape run sweep ETH3L --prices eth.csv.gz --vary drift=0.02,0.05,0.1 --vary band_against=0.08:0.16:0.01
    """
    with working("reading") as show:
        # Here and not above: Ape imports every script to list its commands.
        from leverage import backtest, study
        from leverage.report.tables import COMPARED, table

        found = study.read(policies, study.grid(varied), **asked)
        show(description="compiling")
        backtest.prepare()
        show(description="replaying", total=len(found.candidates))
        outcomes = found.sweep(scheduler, lambda done: show(completed=done))
    sign = 1 if CRITERIA[by] else -1
    outcomes.sort(key=lambda o: (o.summary.ruined_at is not None, sign * getattr(o.summary, by)))
    if is_json:
        click.echo(json.dumps([outcome.to_dict() for outcome in outcomes], indent=1))
        return
    title = f"{len(outcomes):,} candidates from {found.period}, by {by.replace('_', ' ')}"
    console().print(table(title, COMPARED, outcomes[:top]), *found.notes(), sep="\n", highlight=False)
