"""From options to a running service: its pages, its alarms, and what it looks at beside the tokens."""

import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import structlog
from eth_utils import is_address, keccak

from leverage.chain import Chain, is_local, rpc
from leverage.errors import LeverageError, UnreachableError
from leverage.keeper import Keeper
from leverage.keeper.events import Looked
from leverage.keeper.transactions import GWEI
from leverage.keeper.transactions import Limits as Caps
from leverage.rpc import Rpc, number
from leverage.service.alerts import Alarms, Limits, Message, Webhook
from leverage.service.health import Pages
from leverage.service.loop import Service
from leverage.service.measures import Feed, Sight, Surroundings
from leverage.shard import Shard

LATEST_ROUND = keccak(text="latestRoundData()")[:4]
EVERY = 300  # Seconds between two passes, for cron.
UPDATED_AT = slice(96, 128)  # Where it is in what a feed answers.


@dataclass(frozen=True)
class Means:
    """What a keeper acts with: for which tokens, through which node, and what it may pay.

    `max_fee` is in gwei for a unit of gas, `max_loss` collateral in WAD.
    """

    tokens: Sequence[str] = ()
    shard: Shard = Shard()
    send_rpc: str | None = None
    max_fee: float = 100
    max_loss: int | None = None
    confirmations: int = 2
    is_dry: bool = False

    @classmethod
    def of_environment(cls, shard: Shard, is_dry: bool) -> "Means":
        """From KEEPER_SEND_RPC and KEEPER_MAX_FEE."""
        fee = os.environ.get("KEEPER_MAX_FEE", "100")
        try:
            max_fee = float(fee)
        except ValueError:
            raise LeverageError(f"KEEPER_MAX_FEE = {fee!r}: not a number of gwei") from None
        return cls((), shard, os.environ.get("KEEPER_SEND_RPC"), max_fee, is_dry=is_dry)

    def keeper(self, link: Chain, account: Any, every: int = EVERY) -> Keeper:
        """A keeper that signs with `account`."""
        confirmations = 0 if is_local() else self.confirmations
        limits = Caps(round(self.max_fee * GWEI), confirmations=confirmations)
        relay = Rpc.named_by(self.send_rpc, "--send-rpc") if self.send_rpc else None
        keeper = link.keeper(account, self.tokens, every, self.is_dry, limits, relay, self.max_loss)
        keeper.tokens = self.shard.of(keeper.tokens)
        return keeper


@dataclass(frozen=True)
class Settings:
    """What an operator chooses. The money of `watched` is looked after; port 0 takes a free one."""

    host: str = "127.0.0.1"
    port: int = 0
    webhook: str | None = None
    limits: Limits = Limits()
    watched: Collection[str] = ()


@contextmanager
def started(link: Chain, keeper: Keeper, settings: Settings, log: Any = None) -> Iterator[Service]:
    """A service with its pages and alarms, for one `with` block; what cannot be had is said at once."""
    log = log or structlog.get_logger("keeper")
    for account in settings.watched:
        if not is_address(account):
            raise LeverageError(f"--watch {account}: not an address")

    def say(message: Message) -> None:
        log.warning("alert", alert=str(message.alert), state=message.state, text=message.text)
        if hook:
            hook(message)

    with ExitStack() as held:
        hook = None
        if settings.webhook:
            hook = Webhook(settings.webhook, lambda why: log.error("webhook", error=why))
            held.callback(hook.close)
        service = Service(
            keeper,
            head,
            lambda: surroundings(link, keeper.tokens, settings.watched),
            Alarms(say, f"chain {link.record.chain_id}", settings.limits.blocks),
            settings.limits,
            sight(link, keeper.tokens),
        )
        pages = Pages(settings.host, settings.port, service.health.problem, service.metrics.text)
        held.callback(pages.close)
        log.info("serving", tokens=len(keeper.tokens), port=pages.port)
        yield service


def head() -> int:
    """Number of the newest block."""
    return number(rpc("eth_blockNumber"), "a block")


def onlooker(link: Chain, tokens: Mapping[str, str]) -> Callable[[], Sight]:
    """Looks at tokens, symbol → vault, whenever it is called."""
    eye = sight(link, tokens)

    def look() -> Sight:
        reports = link.read_reports(list(tokens.values()))
        eye(Looked(dict(zip(tokens, reports, strict=True)), 0))
        return eye

    return look


def sight(link: Chain, tokens: Collection[str]) -> Sight:
    """An eye for these tokens, that knows where their venues liquidate."""
    entries = {token: link.record.token(token) for token in tokens}
    return Sight(
        maintenance={
            token: int(entry["maintenance"]) for token, entry in entries.items() if "maintenance" in entry
        }
    )


def surroundings(link: Chain, tokens: Collection[str], accounts: Collection[str]) -> Surroundings:
    """Money of accounts, and the feeds behind the tokens' prices."""
    markets = {token: str(link.record.token(token)["market"]) for token in tokens}
    feeds = {market: feed_of(link, market) for market in set(markets.values())}
    return Surroundings(
        {account: number(rpc("eth_getBalance", account, "latest"), "money") for account in accounts},
        {token: feeds[market] for token, market in markets.items()},
    )


def feed_of(link: Chain, market: str) -> Feed:
    """When a market's index price was updated, stale or not."""
    feed, _, max_deviation, *_ = link.record.contracts[f"{market} oracle"]["arguments"]
    answer = link.call(feed, LATEST_ROUND)
    if len(answer) < UPDATED_AT.stop:
        raise UnreachableError(f"the feed of {market} sent a round that is none")
    return Feed(int.from_bytes(answer[UPDATED_AT]), int(max_deviation))
