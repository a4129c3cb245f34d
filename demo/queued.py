"""The play where orders fill later: holders ask, the keeper sends one order for all, and who asked claims."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from eth_abi import decode
from eth_utils import keccak

from demo.play import WATCH, Act, Play
from demo.prices import Row
from demo.stage import Listing, StageError
from demo.story import Flow, Settlement
from devnet import Synthetix
from devnet.venue import actor
from leverage.abi import signature
from leverage.prices import PriceServiceError
from leverage.types import WAD, Snapshot, Stage, Trigger

DEPOSIT, REDEEM = "Deposit", "Redeem"
FIRST, WHALE, CROWD, NEWCOMER, SECOND, LATE = "first", "whale", "user", "newcomer", "second", "late"
USERS = 10
# The tokens in which it happens.
CROWDED, OVERLAPPING, SILENT, LEFT = "ETH3L", "ETH3S", "BTC3S", "BTC3L"
# What they put in, in units of collateral.
STAKE = {FIRST: 20_000, WHALE: 180_000, NEWCOMER: 15_000, SECOND: 10_000, LATE: 5_000}
STEP = 1_000  # The first user puts in this, the second twice as much, and so on.
QUARTER = WAD // 4
STRANGERS = 3  # Of so many orders one is executed by somebody else.
RETRIES = 5  # Passes in which an order that failed must have found its way.
DUST = 100  # Wei that an order may lose by the venue's rounding.


@dataclass(frozen=True)
class Request:
    """What a holder has asked for and not claimed yet."""

    listing: Listing
    side: str
    name: str
    number: int


@dataclass(frozen=True)
class Sent:
    """The vault's `Committed` event."""

    time: int
    trigger: Trigger
    assets: int
    shares: int


class QueuedPlay(Play):
    """Batches of one and of many, crossing, overlapping, failing and retried; nine tenths leave, then all."""

    perp: Synthetix

    def __init__(self, *args: Any):
        super().__init__(*args)
        self.stage.chain.prices = self._signed
        self.stage.meanwhile = self._meanwhile
        self._row = self._next = self.prices.rows[0]
        self._open_requests: list[Request] = []
        self._sent: dict[str, Sent] = {}
        self._orders: dict[tuple[str, int], bool] = {}  # Whether a stranger executes it.
        self._executed: set[str] = set()  # Tokens whose order a stranger has executed.
        self._interruption: tuple[Listing, Act] | None = None
        self._is_silent = False
        self._is_over = False  # The paths end before all leave.
        self._events = _events(self.stage.listings[0].vault.artifact.abi)

    # Scenes

    def _acts(self, rows: int) -> dict[int, list[Act]]:
        scenes = {
            0.06: self._crowd,
            0.16: self._cross,
            0.27: self._overlap,
            0.37: self._fall_silent,
            0.50: self._leave_alone,
        }
        acts: dict[int, list[Act]] = {}
        for part, act in scenes.items():
            acts.setdefault(round(part * (rows - 1)), []).append(act)
        return acts

    def _open(self) -> None:
        for listing in self.stage.listings:
            self.ask_in(listing, FIRST)
        self.ask_in(self._named(LEFT), WHALE)
        self.serve("the first holders ask for shares")
        for listing in self.stage.listings:
            settlements = self.tracks[listing.symbol].settlements
            if not settlements:
                raise StageError(f"{listing.symbol}: the first order was not filled")
            self._compare(listing.symbol, settlements[-1].price)

    def _crowd(self) -> None:
        for number in range(1, USERS + 1):
            self.ask_in(self._named(CROWDED), f"{CROWD} {number}", number * STEP)
        self.serve(f"{USERS} users ask for {CROWDED} in one batch")

    def _cross(self) -> None:
        for number in range(1, USERS // 2 + 1):
            self.ask_out(self._named(CROWDED), f"{CROWD} {number}")
        self.ask_in(self._named(CROWDED), NEWCOMER)
        self.serve(f"half of the users ask out of {CROWDED} and a newcomer in: they cross inside the batch")

    def _overlap(self) -> None:
        listing = self._named(OVERLAPPING)

        def interrupt() -> None:
            self.ask_in(listing, LATE)
            self.ask_out(listing, FIRST, QUARTER)
            self.say(self._now(), f"while that order is pending another asks in and one out of {OVERLAPPING}")

        self.ask_in(listing, SECOND)
        self._interruption = listing, interrupt
        self.serve(f"a second holder asks for {OVERLAPPING}")
        self.serve("the next batch takes them")

    def _fall_silent(self) -> None:
        listing = self._named(SILENT)
        self.ask_in(listing, SECOND)
        self.ask_out(listing, FIRST, QUARTER)
        self._is_silent = True
        self.serve(f"one asks in and one out of {SILENT}, and nobody gets a signed price")
        self._is_silent = False
        for _ in range(RETRIES):
            if not self._open_requests:
                break
            self._sleep_until(self._now() + WATCH)
            self.serve()

    def _leave_alone(self) -> None:
        self.ask_out(self._named(LEFT), WHALE)
        self.serve(f"nine tenths leave {LEFT} at once")

    def _close(self) -> None:
        self._is_over = True
        for listing in self.stage.listings:
            for name in self.tracks[listing.symbol].holders:
                self.ask_out(listing, name)
        self.serve("everybody leaves", and_the_house=True)
        if self._open_requests:
            raise StageError(f"{len(self._open_requests)} requests have not ended")
        for listing in self.stage.listings:
            # The fee of the last seconds and the tips for the last orders; no position is left to share.
            self._ask_house(listing)
            listing.vault.send("commit", sender=self.stage.treasury)
            self._claim_house(listing)
            listing.vault.send("collectFees", sender=self.stage.treasury)
        self._require_empty()
        self.say(self._now(), "treasury and keeper take what is theirs; no share is left")

    # Requests

    def ask_in(self, listing: Listing, name: str, units: int = 0) -> None:
        """A holder asks for shares, with the stake of his part unless another is named."""
        holder, assets = actor(name), (units or STAKE[name]) * self.perp.unit
        self._give(holder, assets)
        self.perp.settlement_token.send("approve", listing.door, assets, sender=holder)
        self._ask(listing, DEPOSIT, name, assets)
        flow = self.tracks[listing.symbol].holders.setdefault(name, Flow(0, 0, None, others_out=None))
        flow.put_in += assets

    def ask_out(self, listing: Listing, name: str, part: int = WAD) -> None:
        """A holder asks for collateral, for all of his shares or a part of them."""
        shares = listing.token.call("balanceOf", actor(name)) * part // WAD
        if shares > 0:
            self._ask(listing, REDEEM, name, shares)

    def _ask(self, listing: Listing, side: str, name: str, amount: int) -> None:
        holder = actor(name)
        receipt = listing.door.send(f"request{side}", amount, holder, holder, sender=holder)
        topic = "0x" + keccak(text=f"{side}Request(address,address,uint256,address,uint256)").hex()
        (number,) = (int(log["topics"][3], 16) for log in receipt["logs"] if log["topics"][0] == topic)
        self._open_requests.append(Request(listing, side, name, number))

    def _claim(self, request: Request) -> None:
        """What has come of a request that has ended."""
        door, holder = request.listing.door, actor(request.name)
        flow = self.tracks[request.listing.symbol].holders[request.name]
        if request.side == DEPOSIT:
            door.send("deposit", door.call("maxDeposit", holder), holder, holder, sender=holder)
            flow.came = flow.came or self._now()
        else:
            flow.got_out += self._redeem(request.listing, holder)
            flow.left = self._now()

    def _redeem(self, listing: Listing, holder: str) -> int:
        had = self.ledger.held(holder)
        shares = listing.door.call("maxRedeem", holder)
        listing.door.send("redeem", shares, holder, holder, sender=holder)
        return self.ledger.held(holder) - had

    def _ask_house(self, listing: Listing) -> None:
        """Treasury and keeper redeem what they have by now."""
        listing.vault.send("accrue", sender=self.stage.treasury)
        for account in (self.stage.treasury, self.stage.keeper):
            if shares := listing.token.call("balanceOf", account):
                listing.door.send("requestRedeem", shares, account, account, sender=account)

    def _claim_house(self, listing: Listing) -> None:
        for account in (self.stage.treasury, self.stage.keeper):
            if listing.door.call("maxRedeem", account):
                self._redeem(listing, account)

    # Prices

    def _move(self, prices: dict[str, int]) -> None:
        rows = self.prices.rows
        number = next(n for n, row in enumerate(rows) if row.prices is prices)
        self._row, self._next = rows[number], rows[min(number + 1, len(rows) - 1)]
        super()._move(prices)

    def _live(self, market: str) -> int:
        """Pyth's price, which moves while the index stands: on the line from a row to the next."""
        return between(self._row, self._next, market, self._now())

    def _signed(self, _url: str, price_id: str, since: int) -> list[bytes]:
        if self._is_silent:
            raise PriceServiceError("the price service does not answer")
        (market,) = (name for name, m in self.perp.markets.items() if "0x" + m.feed_id.hex() == price_id)
        return self.perp.price_update(market, self._live(market), max(since, self._now()))

    # The keeper's passes, and what others do meanwhile

    def serve(self, text: str = "", *, and_the_house: bool = False) -> None:
        """A pass of the keeper, to the end of the orders it sends; then all claim what they can."""
        if text:
            self.say(self._now(), text)
        if and_the_house:
            # In the second of the commit, so that no fee has accrued between: else a position would be left.
            for listing in self.stage.listings:
                self._ask_house(listing)
        block = self._block()
        self._hear(self.stage.keep(WATCH))
        self.passes += 1
        if self._block() > block:
            self._follow(block)
        self._check_books()

    def _check_books(self) -> None:
        """The sum of all with positions open; while an order waits its deposit is in nobody's margin."""
        if any(listing.adapter.call("order")[0] for listing in self.stage.listings):
            return
        names = {name for track in self.tracks.values() for name in track.holders}
        held = sum(self.ledger.held(actor(name)) for name in names)
        missing = self.given - held - self._house() - self._inside() - sum(self._others().values())
        self.on_the_way = max(self.on_the_way or 0, missing, key=abs)

    def _hear(self, failures: list[str]) -> None:
        for failure in dict.fromkeys(failures):
            self.say(self._now(), failure)
        self.failures += len(failures)

    def _meanwhile(self) -> None:
        for listing in self.stage.listings:
            stage, _, fillable_from, _ = listing.adapter.call("order")
            if stage != Stage.WAITING:
                continue
            if self._interruption and self._interruption[0] is listing:
                act, self._interruption = self._interruption[1], None
                act()
            order = listing.symbol, fillable_from
            if order not in self._orders:
                self._executed.discard(listing.symbol)
            is_strangers = self._orders.setdefault(order, len(self._orders) % STRANGERS == STRANGERS - 1)
            if is_strangers and not self._is_silent and self._now() >= fillable_from:
                self.perp.execute(listing.adapter, listing.market, price=self._live(listing.market))
                self._executed.add(listing.symbol)

    # What happened

    def _follow(self, block: int) -> None:
        ended = [request for request in self._open_requests if self._has_ended(request)]
        counts = Counter(request.listing.symbol for request in ended)
        query = {"fromBlock": hex(block + 1), "toBlock": "latest", "topics": [list(self._events)]}
        for log in self.perp.rpc("eth_getLogs", query):
            entry = self._events[log["topics"][0]]
            handle: Callable[..., None] = getattr(self, f"_on_{entry['name'].lower()}")
            handle(self._listing(log), log, _fields(entry, log), counts)
        for request in ended:
            self._open_requests.remove(request)
            self._claim(request)

    def _has_ended(self, request: Request) -> bool:
        holder = actor(request.name)
        return not request.listing.door.call(f"pending{request.side}Request", request.number, holder)

    def _on_committed(self, listing: Listing, log: dict[str, Any], event: dict[str, int], *_: Any) -> None:
        trigger = Trigger(int(log["topics"][2], 16))
        self._sent[listing.symbol] = Sent(self._time(log), trigger, event["assets"], event["shares"])

    def _on_rebalanced(self, _listing: Listing, log: dict[str, Any], *_: Any) -> None:
        self._record(log)

    def _on_orderfailed(self, listing: Listing, log: dict[str, Any], *_: Any) -> None:
        time = self._time(log)
        self.tracks[listing.symbol].cancelled.append(time)
        seconds = time - self._sent[listing.symbol].time
        self.say(time, f"{listing.symbol}: nobody has filled the order for {seconds} s; it is cancelled")

    def _on_settled(
        self, listing: Listing, log: dict[str, Any], event: dict[str, int], counts: Counter[str]
    ) -> None:
        track, sent, block = (
            self.tracks[listing.symbol],
            self._sent[listing.symbol],
            int(log["blockNumber"], 16),
        )
        before, after = (self.stage.snapshot(listing, number) for number in (block - 1, block))
        price = event["price"]
        nav_before, leverage_before = _at(before, price)
        nav_after, leverage_after = _at(after, price)
        gearing = abs(leverage_before or listing.target)
        coming = sent.assets * self._scale + sent.shares * nav_before // WAD
        own = track.rebalances[-1].size if sent.trigger else 0
        settled = Settlement(
            time=after.timestamp,
            seconds=after.timestamp - sent.time,
            trigger=sent.trigger,
            requests=counts[listing.symbol],
            assets=sent.assets,
            shares=sent.shares,
            asked=coming * gearing // price + abs(own),
            size=event["size"],
            price=price,
            shares_minted=event["sharesMinted"],
            assets_paid=event["assetsPaid"],
            leverage_before=leverage_before,
            leverage_after=leverage_after,
            gain=nav_after - nav_before if before.supply and after.supply > before.supply // 10**6 else 0,
            is_strangers=listing.symbol in self._executed,
            supply=before.supply,
        )
        if track.path and not sent.trigger and not self._is_over:
            for moment in (before, after):
                self._add(listing.symbol, moment)
        track.settlements.append(settled)
        self.say(settled.time, _sentence(listing, settled))

    def _time(self, log: dict[str, Any]) -> int:
        return int(self.perp.rpc("eth_getBlockByNumber", log["blockNumber"], False)["timestamp"], 16)

    # Internals

    def _allowed(self) -> int:
        return DUST * (len(self._orders) + 1)

    def _named(self, symbol: str) -> Listing:
        return next(listing for listing in self.stage.listings if listing.symbol == symbol)


def between(row: Row, following: Row, market: str, time: int) -> int:
    """A price on the line from one row to the next, in the eight decimals of a feed."""
    start, end = row.prices[market], following.prices[market]
    if time <= row.time or following.time == row.time:
        return start
    price = start + (end - start) * min(time - row.time, following.time - row.time) // (
        following.time - row.time
    )
    return price // 10**10 * 10**10


def _at(s: Snapshot, price: int) -> tuple[int, int]:
    """Nav and leverage of a token at another price than its snapshot's."""
    equity = s.equity + s.size * (price - s.price) // WAD
    if s.supply == 0 or equity <= 0:
        return WAD, 0
    return equity * WAD // s.supply, s.size * price // equity


def _events(abi: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The vault's events that tell the life of an order, by topic."""
    wanted = {"Committed", "Settled", "OrderFailed", "Rebalanced"}
    entries = [entry for entry in abi if entry["type"] == "event" and entry["name"] in wanted]
    return {"0x" + keccak(text=signature(entry)).hex(): entry for entry in entries}


def _fields(entry: dict[str, Any], log: dict[str, Any]) -> dict[str, int]:
    """The fields that are not indexed, by name."""
    inputs = [field for field in entry["inputs"] if not field["indexed"]]
    values = decode([field["type"] for field in inputs], bytes.fromhex(log["data"][2:]))
    return {field["name"]: value for field, value in zip(inputs, values, strict=True)}


def _sentence(listing: Listing, settled: Settlement) -> str:
    market, price = listing.market, f"{settled.price / WAD:,.2f}"
    asked = f"{settled.requests} request{'s' if settled.requests != 1 else ''} of {settled.asked / WAD:,.2f}"
    who = " (stranger's)" if settled.is_strangers else ""
    deed = "buys" if settled.size > 0 else "sells"
    return (
        f"{listing.symbol}: {asked} {market}; one order {deed} {abs(settled.size) / WAD:,.2f}"
        f" at {price}{who};"
        f" {settled.leverage_before / WAD:.3f}x → {settled.leverage_after / WAD:.3f}x"
    )
