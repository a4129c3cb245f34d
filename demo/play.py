"""The play: holders come, prices move, the keeper rebalances, holders come and go, all leave.

What differs by venue is in `demo/instant.py` and `demo/queued.py`: how holders come and go, how prices move.
"""

import time as wall
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

from eth_abi import decode
from eth_utils import keccak, to_checksum_address

from demo.books import ledger_of
from demo.prices import Prices
from demo.stage import Listing, Stage, StageError
from demo.story import LINES, Books, Ideal, Point, Rebalance, Story, Track
from leverage.policy import slot_start
from leverage.types import WAD, Snapshot, Trigger

REBALANCED = "Rebalanced(uint8,address,int256,uint256,int256,int256,uint256,int256,uint256)"
TOPIC = "0x" + keccak(text=REBALANCED).hex()
FIELDS = REBALANCED[:-1].split("(")[1].split(",")[2:]
WATCH = 120  # Seconds between the keeper's passes while a schedule is the keeper's alone.

Say = Callable[[int, str], None]
Act = Callable[[], None]


class Play(ABC):
    """One performance. `say` hears the time and what happens, `tick` that a row is done."""

    def __init__(self, stage: Stage, prices: Prices, say: Say, tick: Callable[[], None]):
        self.stage = stage
        self.perp = stage.perp
        self.prices = prices
        self.say = say
        self.tick = tick
        self.ledger = ledger_of(stage.perp)
        self.tracks = {listing.symbol: _track(listing) for listing in stage.listings}
        self.ideals: dict[str, Ideal] = {}
        self.dailies: dict[str, Ideal] = {}
        self.passes = 0  # Of the keeper.
        self.failures = 0
        self.on_the_way: int | None = None  # Largest difference of the books while positions were open.
        self.given = 0  # Collateral that holders were given to put in.

    def run(self) -> Story:
        """Play from the first row to the last share."""
        began, block = wall.monotonic(), self._block()
        rows = self.prices.rows
        acts = self._acts(len(rows))

        for number, row in enumerate(rows):
            if number == 0:
                self.begin()
            else:
                self._wait_until(row.time)
                self._move(row.prices)
            self._observe()
            for act in acts.get(number, ()):
                act()
            self._keep(rows[min(number + 1, len(rows) - 1)].time)
            self.tick()

        self._explain()
        self._close()
        return Story(
            venue=self.stage.venue,
            source=self.prices.source,
            period=self.prices.period,
            asset=self.stage.asset,
            decimals=self.perp.decimals,
            tracks=self.tracks,
            books=self._books(),
            passes=self.passes,
            failures=self.failures,
            transactions=self._block() - block,
            seconds=wall.monotonic() - began,
        )

    def begin(self) -> None:
        """The first row, and who comes with it."""
        row = self.prices.rows[0]
        self._before = self.ledger.accounts(0)
        self._sleep_until(row.time)
        self._move(row.prices)
        self._open()

    # What differs by venue

    @abstractmethod
    def _acts(self, rows: int) -> dict[int, list[Act]]:
        """What holders do beside coming at the start and leaving at the end, by row."""

    @abstractmethod
    def _open(self) -> None:
        """Holders come, and from then on tokens are compared with the ideal."""

    @abstractmethod
    def _close(self) -> None:
        """All leave."""

    @abstractmethod
    def _allowed(self) -> int:
        """What the venue may have rounded away, WAD."""

    def _move(self, prices: dict[str, int]) -> None:
        for market in self.perp.markets:
            self.perp.move(market, prices[market])

    def _follow(self, block: int) -> None:
        """Take down what the keeper's pass has done since a block."""
        self._record_since(block)

    # Time and the keeper

    def _wait_until(self, time: int) -> None:
        """Let the prices stand until `time`; the keeper looks after the schedules that begin in between."""
        last = self._now()
        for moment in range(last - last % WATCH + WATCH, time, WATCH):
            if any(moment - slot_start(x.policy, moment) < x.policy.exclusive for x in self.stage.listings):
                self._sleep_until(moment)
                self._keep(time)
        for listing in self.stage.listings:
            track = self.tracks[listing.symbol]
            if track.path and slot_start(listing.policy, time) > track.path[-1].time:
                self.dailies[listing.symbol].reset(track.path[-1].price)
        self._sleep_until(time)

    def _sleep_until(self, time: int) -> None:
        if (seconds := time - self._now()) > 0:
            self.perp.warp(seconds)

    def _keep(self, until: int) -> None:
        """One pass of the keeper, done by `until`."""
        block = self._block()
        self._hear(self.stage.keep(max(0, min(WATCH, until - self._now()))))
        self.passes += 1
        if self._block() > block:
            self._follow(block)

    def _hear(self, failures: list[str]) -> None:
        for failure in failures:
            self.say(self._now(), failure)
        self.failures += len(failures)

    # What happened

    def _compare(self, symbol: str, price: int) -> None:
        target = self.tracks[symbol].target
        self.ideals[symbol], self.dailies[symbol] = Ideal(target, price), Ideal(target, price)

    def _record_since(self, block: int) -> set[str]:
        """Take down all rebalances since a block; return their markets."""
        query = {"fromBlock": hex(block + 1), "toBlock": "latest", "topics": [TOPIC]}
        return {self._record(log) for log in self.perp.rpc("eth_getLogs", query)}

    def _record(self, log: dict[str, Any]) -> str:
        """Take down a rebalance and the moments before and after it; return its market."""
        listing = self._listing(log)
        track, block = self.tracks[listing.symbol], int(log["blockNumber"], 16)
        before, after = (self.stage.snapshot(listing, number) for number in (block - 1, block))
        values = decode(FIELDS, bytes.fromhex(log["data"][2:]))
        event = Rebalance(after.timestamp, Trigger(int(log["topics"][1], 16)), *values)
        if not track.path or before.timestamp > track.path[-1].time:
            self._add(listing.symbol, before)
        self.ideals[listing.symbol].reset(event.price)
        self._add(listing.symbol, after)
        track.rebalances.append(event)
        self.say(event.time, _sentence(listing, event))
        return listing.market

    def _observe(self) -> None:
        for symbol, snapshot in self.stage.snapshots().items():
            self._add(symbol, snapshot)

    def _add(self, symbol: str, s: Snapshot) -> None:
        ideal, daily = self.ideals[symbol].at(s.price), self.dailies[symbol].at(s.price)
        self.tracks[symbol].path.append(Point(s.timestamp, s.price, s.nav, s.leverage, ideal, daily))

    def _explain(self) -> None:
        for listing in self.stage.listings:
            lines, nav = listing.vault.call("attribution")
            track = self.tracks[listing.symbol]
            track.attribution = dict(zip(LINES, lines, strict=True))
            track.nav_change = nav - WAD

    # Sums

    def _books(self) -> Books:
        flows = [flow for track in self.tracks.values() for flow in track.holders.values()]
        return Books(
            put_in=sum(flow.put_in for flow in flows) * self._scale,
            got_out=sum(flow.got_out for flow in flows) * self._scale,
            fees=self._house(),
            left_behind=self._inside(),
            others=self._others(),
            labels=self.ledger.labels,
            allowed=self._allowed(),
            on_the_way=self.on_the_way,
        )

    def _others(self) -> dict[str, int]:
        """What everybody else has more than at the start."""
        after = self.ledger.accounts(self.given * self._scale)
        return {name: after[name] - self._before[name] for name in after}

    def _inside(self) -> int:
        """What is in vaults and their venue accounts."""
        places = {place for x in self.stage.listings for place in (x.adapter, x.vault, x.door)}
        held = sum(self.ledger.held(place) for place in places)
        return held + sum(self.ledger.worth(x.adapter) for x in self.stage.listings)

    def _house(self) -> int:
        """What treasury and keeper have of the collateral."""
        return self.ledger.held(self.stage.treasury) + self.ledger.held(self.stage.keeper)

    # Internals

    @property
    def _scale(self) -> int:
        return 10 ** (18 - self.perp.decimals)

    def _give(self, holder: str, assets: int) -> None:
        self.perp.fund(holder, assets)
        self.given += assets

    def _listing(self, log: dict[str, Any]) -> Listing:
        """The token whose vault has told something."""
        return next(x for x in self.stage.listings if x.vault == to_checksum_address(log["address"]))

    def _require_empty(self) -> None:
        for listing in self.stage.listings:
            if left := listing.token.call("totalSupply"):
                raise StageError(f"{listing.symbol}: {left} shares are left after everybody has burnt")

    def _now(self) -> int:
        return self.perp.rpc.timestamp()

    def _block(self) -> int:
        return int(self.perp.rpc("eth_blockNumber"), 16)


def _track(listing: Listing) -> Track:
    band = (listing.policy.band_min, listing.policy.band_max)
    return Track(listing.symbol, listing.name, listing.market, listing.target, band)


def names(listings: list[Listing]) -> str:
    """Tokens for the reader."""
    return ", ".join(listing.symbol for listing in listings)


def _sentence(listing: Listing, event: Rebalance) -> str:
    before, after = event.leverage_before / WAD, event.leverage_after / WAD
    deed = "buys" if event.size > 0 else "sells"
    return (
        f"{event.trigger.name} {listing.symbol} {before:.2f}x → {after:.2f}x:"
        f" {deed} {abs(event.size) / WAD:,.2f} {listing.market} at {event.price / WAD:,.2f}"
    )
