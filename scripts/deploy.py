"""ape run deploy: deploy the protocol, or what is missing of it."""

from pathlib import Path

import click
from ape.cli import account_option

from leverage import chain, config, deploy, verify
from leverage.console import console, say


@click.command(cls=chain.Command)
@account_option(prompt=False)
@click.option("--token", "tokens", multiple=True, metavar="SYMBOL", help="Only this token; may be repeated.")
@click.option("--market", "markets", multiple=True, metavar="NAME", help="Only tokens of this market.")
@click.option("--config", "files", multiple=True, type=Path, help="Configuration; a later file overrides.")
@click.option("--deployments", type=Path, help="Folder of the record [default: deployments].")
@click.option("--yes", is_flag=True, help="Do not ask.")
def cli(account, tokens, markets, files, deployments, yes):
    """Deploy what the configuration names and the chain lacks, verify it, and show it.

    Writes deployments/<chain id>.json step by step. Run again, it goes on where it stopped.
    """
    settings = config.load(*files)
    symbols = settings.choose(tokens, markets)
    account = chain.unlocked(account)
    say(f"{account.address} deploys {', '.join(symbols)} to chain {chain.connected_id()}")
    if not yes:
        click.confirm("Go ahead?", abort=True)
    with console.status("checking") as status:

        def tell(text: str) -> None:
            say(text)
            status.update("deploying")

        deployed = deploy.deploy(account, settings, symbols, deployments, tell)
        tables = verify.summary(deployed, settings, symbols)
    for table in tables:
        say(table)
    say(f"verified; recorded in {deployed.record.path}")
