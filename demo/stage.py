"""What the play is played on: a chain, a venue on it, the protocol deployed, and a keeper."""

import random
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog
from ape.exceptions import ApeException
from ape.logging import LogLevel, logger

from demo.prices import Prices
from devnet import (
    VENUES,
    Anvil,
    AnvilError,
    Contract,
    PerpV2,
    RevertError,
    RpcError,
    Synthetix,
    perp_v2_build,
    start,
    synthetix_build,
)
from devnet.artifacts import ArtifactError, mock
from leverage import config
from leverage.chain import Chain, connected_to, test_account
from leverage.deploy import deploy
from leverage.errors import LeverageError, error_table, revert
from leverage.keeper import Clock, Keeper
from leverage.types import KEEPER_ROLE, Policy, Rebalancing, Report, Snapshot

Handle = PerpV2 | Synthetix
CHAIN_ID = 31337
SPECS = {"perp_v2": perp_v2_build.MarketSpec, "synthetix": synthetix_build.MarketSpec}
ROLES = ("admin", "keepers", "guardian", "treasury")  # Of the first test accounts.
LEAD = 7_200  # Seconds before the first price in which the venue is built and its averages fill.
SEED = 2022  # The keeper's moment is secret on a public chain, and the same in each demo.
STAGE_ERRORS = (LeverageError, ApeException, AnvilError, ArtifactError, RpcError, OSError)


class StageError(LeverageError):
    """The chain, the venue or the protocol could not be set up."""


@dataclass(frozen=True)
class Listing:
    """A token as configured and deployed."""

    symbol: str
    name: str
    market: str
    target: int
    policy: Policy
    vault: Contract
    token: Contract
    adapter: Contract
    door: Contract  # Where holders come and go: the vault, or its queue.


class Stage:
    """Everything is in place, nobody has come yet. Its clock moves only when told to."""

    def __init__(self, venue: str, perp: Handle, chain: Chain, settings: config.Config, account: Any):
        self.venue = venue
        self.perp = perp
        self.chain = chain
        network = settings.networks[CHAIN_ID]
        self.treasury, self.keeper = network.treasury, account.address
        self.listings = [_listing(perp, chain, settings, symbol) for symbol in settings.tokens]
        self.asset = chain.record.token(self.listings[0].symbol)["assetSymbol"]
        self._vaults = {listing.symbol: str(listing.vault) for listing in self.listings}
        self.meanwhile: Callable[[], None] = lambda: None  # What others do while the keeper sleeps.
        self._troubles: list[str] = []
        outbox = chain.outbox(account)
        self._keeper = Keeper(
            tokens=self._vaults,
            read=chain.read_reports,
            send=lambda vault, action: chain.act(vault, action, outbox),
            is_keeper=chain.has_role(KEEPER_ROLE, account.address),
            clock=Clock(perp.rpc.timestamp, self._sleep),
            draw=random.Random(SEED).randrange,
            log=structlog.wrap_logger(None, processors=[self._listen]),
        )

    def __str__(self) -> str:
        return f"{self.venue} and {len(self.listings)} tokens on a chain of their own at {self.perp.rpc.url}"

    @property
    def is_queued(self) -> bool:
        """Whether the venue fills later."""
        return all(listing.door != listing.vault for listing in self.listings)

    def keep(self, seconds: int) -> list[str]:
        """One pass of the keeper, the next `seconds` later; what it could not do."""
        self._troubles.clear()
        self._keeper.every = seconds
        if self.is_queued:
            self._keeper.once()
        else:
            self._keeper.step_all()
        return list(self._troubles)

    def snapshots(self) -> dict[str, Snapshot]:
        """Every token now, by symbol."""
        reports = self.chain.read_reports(list(self._vaults.values()))
        return {symbol: _read(symbol, report) for symbol, report in zip(self._vaults, reports, strict=True)}

    def snapshot(self, listing: Listing, block: int) -> Snapshot:
        """One token as it was after a block."""
        *values, last, paused_until, ruined = listing.vault.call("snapshot", block=hex(block))
        return Snapshot(*values, Rebalancing(*last), paused_until, ruined)

    def _sleep(self, seconds: float) -> None:
        if seconds > 0:
            self.perp.warp(round(seconds))
            self.meanwhile()

    def _listen(self, _logger: Any, level: str, event: structlog.typing.EventDict) -> Any:
        if level == "error":
            self._troubles.append(f"keeper: {event['event']} {event.get('token', '')}: {event.get('error')}")
        raise structlog.DropEvent


def check(venue: str, prices: Prices) -> list[str]:
    """The markets of the tokens, if the venue is there and the prices are."""
    if venue not in VENUES:
        raise StageError(f"unknown venue {venue!r}; there is: {', '.join(VENUES)}")
    needed = list(dict.fromkeys(token.market for token in config.load().tokens.values()))
    if missing := [name for name in needed if name not in prices.markets]:
        raise StageError(f"{prices.path}: no prices for {', '.join(missing)}")
    return needed


@contextmanager
def staged(venue: str, prices: Prices) -> Iterator[Stage]:
    """A stage for one `with` block, the venue at the first prices."""
    needed, first = check(venue, prices), prices.rows[0]
    specs = [SPECS[venue](name, first.prices[name]) for name in needed]
    options = {"frozen_clock": True, "extra": ("--timestamp", str(first.time - LEAD))}
    anvil, perp = start(venue, None, anvil_options=options, markets=specs)
    with anvil, connected(anvil), tempfile.TemporaryDirectory() as folder:
        accounts = [test_account(index) for index in range(len(ROLES))]
        settings = localised(venue, perp, Path(folder), [account.address for account in accounts])
        for name in needed:
            perp.set_price(name, first.prices[name])
        chain = deploy(accounts[0], settings, folder=folder, say=lambda _: None)
        with in_words(chain):
            yield Stage(venue, perp, chain, settings, accounts[ROLES.index("keepers")])


def localised(venue: str, perp: Handle, folder: Path, addresses: list[str]) -> config.Config:
    """The configuration with this chain's addresses put in, and nothing else changed."""
    roles = dict(zip(ROLES, addresses, strict=True))
    overlay = config.devnet(venue, perp.to_dict(), CHAIN_ID, {**roles, "keepers": [roles["keepers"]]})
    for market in overlay["markets"].values():
        del market["heartbeat"]
    path = folder / "here.toml"
    path.write_text(config.to_toml(overlay))
    return config.load(config.DEFAULT_PATH, path)


@contextmanager
def connected(anvil: Anvil) -> Iterator[None]:
    """Have Ape talk to this chain, and keep to itself what it thinks of that."""
    with logger.at_level(LogLevel.ERROR), connected_to(anvil.url):
        yield


@contextmanager
def in_words(chain: Chain) -> Iterator[None]:
    """The protocol's own errors by name where a played holder meets them."""
    try:
        yield
    except RevertError as error:
        if not isinstance(error.data, str):
            raise
        raise revert(bytes.fromhex(error.data[2:]), error_table(chain.record.abis.values())) from None


def _listing(perp: Handle, chain: Chain, settings: config.Config, symbol: str) -> Listing:
    token, entry = settings.tokens[symbol], chain.record.token(symbol)
    kinds = {"vault": entry["kind"], "token": "LeveragedToken", "adapter": entry["adapterKind"]}
    places = {part: Contract(perp.rpc, mock(kind), entry[part]) for part, kind in kinds.items()}
    door = Contract(perp.rpc, mock("RequestQueue"), entry["queue"]) if "queue" in entry else places["vault"]
    return Listing(symbol, token.name, token.market, token.target, token.policy_struct(), door=door, **places)


def _read(symbol: str, report: Report) -> Snapshot:
    if report.snapshot is None:
        raise StageError(f"{symbol} cannot be read: {report.failure}")
    return report.snapshot
