"""A venue on a fork, what an operator would configure for it, and the protocol deployed there: fixtures that
the conftest of a folder takes by importing them.
"""

import atexit
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from haste import hasten

from devnet import Venue, forked
from leverage import chain, config, deploy
from leverage.keeper import Clock
from leverage.requests import QueuedWallet, wallet_of
from leverage.types import WAD
from leverage.wallet import Wallet

MONEY = 1_000_000
KEPT = ExitStack()  # Forks that last until the process ends.
atexit.register(KEPT.close)


@dataclass
class Site:
    """A chain with a venue, and who is who on it. Each test gets it as new."""

    venue: str
    perp: Venue
    folder: Path
    chain_id: int

    @property
    def clock(self) -> Clock:
        """Time passes when somebody sleeps."""
        return Clock(self.perp.rpc.timestamp, lambda seconds: self.perp.warp(round(seconds)))

    @property
    def url(self) -> str:
        return self.perp.rpc.url

    def account(self, index: int) -> Any:
        return chain.test_account(index)

    def tables(self, **roles: Any) -> dict[str, Any]:
        """The configuration: the real file, with this chain's addresses, and the roles of a devnet."""
        owner, keeper, guardian, treasury = (self.account(index).address for index in range(4))
        who = {
            "admin": owner,
            "creator": owner,
            "guardian": guardian,
            "treasury": treasury,
            "keepers": [keeper],
        }
        overlay = config.devnet(self.venue, self.perp.to_dict(), self.chain_id, {**who, **roles})
        path = self.folder / "site.toml"
        path.write_text(config.to_toml(overlay))
        return overlay

    def settings(self, **roles: Any) -> config.Config:
        self.tables(**roles)
        return config.load(config.DEFAULT_PATH, self.folder / "site.toml")

    def deploy(self, *symbols: str, settings: config.Config | None = None, by: int = 0) -> chain.Chain:
        settings = settings or self.settings()
        return self.served(
            deploy.deploy(self.account(by), settings, symbols, self.folder, say=lambda text: None)
        )

    def attach(self) -> chain.Chain:
        return self.served(chain.Chain.attach(self.folder))

    def served(self, link: chain.Chain) -> chain.Chain:
        """With this chain's prices in the place of a price service."""
        link.prices = self.prices
        return link

    def prices(self, url: str, price_id: str, since: int) -> list[bytes]:
        (market,) = (name for name, m in self.perp.markets.items() if "0x" + m.feed_id.hex() == price_id)
        return self.perp.price_update(market, publish_time=max(since, self.perp.rpc.timestamp()))

    def wallet(self, link: chain.Chain, symbol: str, index: int, say: Any = lambda text: None) -> Wallet:
        wallet = wallet_of(link, symbol, self.account(index), say)
        if isinstance(wallet, QueuedWallet):
            wallet.clock = self.clock
        return wallet

    def fund(self, index: int, amount: int = MONEY) -> Any:
        account = self.account(index)
        self.perp.fund(account.address, amount * self.perp.unit)
        return account

    def move(self, market: str, percent: int) -> None:
        """Move index and pool by a percentage."""
        self.perp.move(market, self.perp.index_price(market) * (100 + percent) // 100)

    def until(self, second: int) -> None:
        """Let time pass to that second after the next midnight UTC; the feeds repeat their prices."""
        now = self.perp.rpc.timestamp()
        self.perp.warp((now // 86_400 + 1) * 86_400 + second - now)
        for market in self.perp.markets:
            self.perp.set_price(market, self.perp.index_price(market))


@pytest.fixture
def venue() -> str:
    """Where it all happens; a module may name another."""
    return "perp_v2"


@cache
def fork(venue: str, is_deployed: bool) -> Site:
    """A fork with a venue and, if wanted, ETH3L and ETH3S with 10,000 in each: made when first asked for."""
    hasten()
    perp = KEPT.enter_context(forked(venue))
    folder = Path(KEPT.enter_context(TemporaryDirectory()))
    site = Site(venue, perp, folder, int(perp.rpc("eth_chainId"), 16))
    if is_deployed:
        with chain.connected_to(site.url):
            link = site.deploy("ETH3L", "ETH3S")
            site.fund(4)
            for symbol in ("ETH3L", "ETH3S"):
                site.wallet(link, symbol, 4).mint("10000", WAD // 100, 600)
    return site


@pytest.fixture
def site(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    venue: str,
) -> Iterator[Site]:
    """A chain as new: with the protocol for tests that ask for `deployed`, else with the venue alone."""
    is_deployed = "deployed" in request.fixturenames
    found = fork(venue, is_deployed)
    if is_deployed:
        shutil.copytree(found.folder, tmp_path, dirs_exist_ok=True)
    snapshot = found.perp.rpc("evm_snapshot")
    with chain.connected_to(found.url):
        chain.quiet()
        yield Site(venue, found.perp, tmp_path, found.chain_id)
    assert found.perp.rpc("evm_revert", snapshot)


@pytest.fixture
def deployed(site: Site) -> chain.Chain:
    return site.attach()


@pytest.fixture
def snapshot_of(deployed: chain.Chain) -> Callable[[str], Any]:
    def read(symbol: str) -> Any:
        (report,) = deployed.read_reports([deployed.record.token(symbol)["vault"]])
        return report.snapshot

    return read
