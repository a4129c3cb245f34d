"""ape run devnet: a local chain with a real venue, the protocol, and funded accounts."""

import json
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import click

import devnet
from leverage import chain, config, deploy, verify
from leverage.console import console, one_line_errors, say
from leverage.errors import LeverageError
from leverage.record import path_for

OVERLAY = Path("build/devnet.toml")
FUNDED = 1_000_000  # Whole units of collateral for each account.
FRESHEN = 600  # Seconds after which the feeds repeat their prices.
ROLES = {"admin": 0, "creator": 0, "guardian": 2, "treasury": 3}


@click.command()
@click.option("--venue", type=click.Choice(list(devnet.VENUES)), default="perp_v2", show_default=True)
@click.option("--port", default=8545, show_default=True, help="0 takes a free one.")
@click.option("--deployments", type=Path, help="Folder of the record [default: deployments].")
@click.option("--dump", type=Path, metavar="FILE", help="Write the chain, for `anvil --load-state FILE`.")
@click.option("--once", is_flag=True, help="Build, show and stop, instead of running until Ctrl-C.")
@one_line_errors
def cli(venue, port, deployments, dump, once):
    """Build the venue on Anvil, deploy the protocol to it, fund ten test accounts, and keep it running."""
    chain.quiet()
    try:
        with console.status("building the venue"):
            anvil, perp = devnet.start(venue, port or None)
    except (devnet.AnvilError, devnet.RpcError, OSError) as error:
        raise LeverageError(f"no chain on port {port}: {error}") from None
    with anvil, chain.connected_to(anvil.url), HTTPServer(("127.0.0.1", 0), price_service(perp)) as service:
        with console.status("deploying the protocol"):
            prices = f"http://127.0.0.1:{service.server_port}" if hasattr(perp, "price_update") else None
            settings, deployed = build(venue, perp, prices, deployments)
        for table in verify.summary(deployed, settings, settings.tokens):
            say(table)
        unit = deployed.record.token("ETH3L")["assetSymbol"]
        say(
            f"{venue} and the protocol on {anvil.url}: {deployed.record.path}, {OVERLAY}\n"
            f"TEST::0 to TEST::9 have {FUNDED:,} {unit}; TEST::0 is admin, TEST::1 keeper. For example:\n"
            f"  ape run token mint ETH3L 1000 --network {anvil.url} --account TEST::4\n"
            f"  ape run keeper status --network {anvil.url}"
        )
        if dump:
            anvil.dump_state(dump)
            say(f"  anvil --load-state {dump} --timestamp {perp.rpc.timestamp()}")
        while not once:
            began = time.monotonic()
            while (left := began + FRESHEN - time.monotonic()) > 0:
                service.timeout = left
                service.handle_request()
            for market in perp.markets:
                perp.set_price(market, perp.index_price(market))


def build(venue, perp, prices, folder):
    accounts = [chain.test_account(index) for index in range(10)]
    roles = {role: accounts[index].address for role, index in ROLES.items()}
    overlay = config.devnet(
        venue, perp.to_dict(), chain.connected_id(), {**roles, "keepers": [accounts[1].address]}
    )
    if prices:
        overlay["venues"][venue]["price_service"] = prices
    OVERLAY.parent.mkdir(exist_ok=True)
    OVERLAY.write_text(config.to_toml(overlay))
    settings = config.load(config.DEFAULT_PATH, OVERLAY)
    path_for(chain.connected_id(), folder).unlink(missing_ok=True)
    deployed = deploy.deploy(accounts[0], settings, folder=folder, say=say)
    for account in accounts:
        perp.fund(account.address, FUNDED * perp.unit)
    return settings, deployed


def price_service(perp):
    """What answers as Pyth's Hermes does: with this chain's index prices, as of its next block."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):  # noqa: N802
            now = int(perp.rpc("eth_getBlockByNumber", "pending", False)["timestamp"], 16)
            names = {market.feed_id.hex(): name for name, market in perp.markets.items()}
            wanted = [
                text.removeprefix("0x") for text in parse_qs(urlsplit(self.path).query).get("ids[]", [])
            ]
            known = [feed for feed in wanted if feed in names]
            updates = [perp.price_update(names[feed], publish_time=now) for feed in known]
            body = {
                "binary": {"encoding": "hex", "data": [data.hex() for update in updates for data in update]},
                "parsed": [{"id": feed, "price": {"publish_time": now}} for feed in known],
            }
            self.send_response(200 if known else 404)
            self.end_headers()
            self.wfile.write(json.dumps(body).encode())

        def log_message(self, *args):
            pass

    return Handler
