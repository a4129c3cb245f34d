"""A venue on a fork, what an operator would configure for it, and the protocol deployed there."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from devnet import PerpV2, forked
from leverage import chain, config, deploy
from leverage.types import WAD

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
def fork() -> Iterator[PerpV2]:
    with forked() as perp:
        yield perp


@pytest.fixture
def site(fork: PerpV2, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.chdir(Path(__file__).resolve().parents[2])
    snapshot = fork.rpc("evm_snapshot")
    with chain.connected_to(fork.rpc.url):
        chain.quiet()
        yield Site(fork, tmp_path, int(fork.rpc("eth_chainId"), 16))
    assert fork.rpc("evm_revert", snapshot)


@pytest.fixture
def deployed(site: Site) -> chain.Chain:
    """ETH3L and ETH3S, with 10,000 in each."""
    link = site.deploy("ETH3L", "ETH3S")
    holder = site.fund(4)
    from leverage.wallet import Wallet

    for symbol in ("ETH3L", "ETH3S"):
        Wallet(link, symbol, holder).mint("10000", WAD // 100, 600)
    return link


@pytest.fixture
def snapshot_of(deployed: chain.Chain) -> Callable[[str], Any]:
    def read(symbol: str) -> Any:
        (report,) = deployed.read_reports([deployed.record.token(symbol)["vault"]])
        return report.snapshot

    return read
