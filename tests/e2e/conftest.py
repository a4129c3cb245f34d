"""A venue on a fork, what an operator would configure for it, and the protocol deployed there."""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from devnet import PerpV2, forked
from leverage import chain, config, deploy
from leverage.types import WAD
from leverage.wallet import Wallet

MONEY = 1_000_000


@dataclass
class Site:
    """A chain with a venue, and who is who on it. Each test gets it as new."""

    perp: PerpV2
    folder: Path
    chain_id: int

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
        overlay = config.devnet("perp_v2", self.perp.to_dict(), self.chain_id, {**who, **roles})
        path = self.folder / "site.toml"
        path.write_text(config.to_toml(overlay))
        return overlay

    def settings(self, **roles: Any) -> config.Config:
        self.tables(**roles)
        return config.load(config.DEFAULT_PATH, self.folder / "site.toml")

    def deploy(self, *symbols: str, settings: config.Config | None = None, by: int = 0) -> chain.Chain:
        return deploy.deploy(
            self.account(by), settings or self.settings(), symbols, self.folder, say=lambda text: None
        )

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


@pytest.fixture(scope="session")
def bare_fork() -> Iterator[PerpV2]:
    with forked() as perp:
        yield perp


@pytest.fixture(scope="session")
def full_fork(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[PerpV2, Path]]:
    """ETH3L and ETH3S, with 10,000 in each, and the folder of their record."""
    folder = tmp_path_factory.mktemp("deployed")
    with forked() as perp:
        with chain.connected_to(perp.rpc.url):
            site = Site(perp, folder, int(perp.rpc("eth_chainId"), 16))
            link = site.deploy("ETH3L", "ETH3S")
            holder = site.fund(4)
            for symbol in ("ETH3L", "ETH3S"):
                Wallet(link, symbol, holder).mint("10000", WAD // 100, 600)
        yield perp, folder


@pytest.fixture
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    """A chain as new: with the protocol for tests that ask for `deployed`, else with the venue alone."""
    if "deployed" in request.fixturenames:
        perp, folder = request.getfixturevalue("full_fork")
        shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    else:
        perp = request.getfixturevalue("bare_fork")
    snapshot = perp.rpc("evm_snapshot")
    with chain.connected_to(perp.rpc.url):
        chain.quiet()
        yield Site(perp, tmp_path, int(perp.rpc("eth_chainId"), 16))
    assert perp.rpc("evm_revert", snapshot)


@pytest.fixture
def deployed(site: Site) -> chain.Chain:
    return chain.Chain.attach(site.folder)


@pytest.fixture
def snapshot_of(deployed: chain.Chain) -> Callable[[str], Any]:
    def read(symbol: str) -> Any:
        (report,) = deployed.read_reports([deployed.record.token(symbol)["vault"]])
        return report.snapshot

    return read
