"""The play: holders come, prices move, the keeper rebalances, a third holder comes and goes, all leave."""

import time as wall
from collections.abc import Callable
from typing import Any

from eth_abi import decode
from eth_utils import keccak, to_checksum_address

from demo.books import held, venue_accounts, worth
from demo.prices import Prices
from demo.stage import Listing, Stage, StageError
from demo.story import LINES, Books, Flow, Ideal, Point, Rebalance, Story, Track
from devnet.perp_v2_build import actor
from leverage.policy import slot_start
from leverage.types import WAD, Snapshot, Trigger

REBALANCED = "Rebalanced(uint8,address,int256,uint256,int256,int256,uint256,int256,uint256)"
TOPIC = "0x" + keccak(text=REBALANCED).hex()
FIELDS = REBALANCED[:-1].split("(")[1].split(",")[2:]
WATCH = 120  # Seconds between the keeper's passes while a schedule is the keeper's alone.
PATIENCE = 600  # Seconds a holder's order is good for.
TOLERANCE = WAD // 1000  # By which shares or assets may miss the preview.

# What each puts into a token, in units of collateral, and which tokens: all, every second, every fifth.
FIRST, SECOND, THIRD = "first", "second", "third"
DEPOSITS = {FIRST: (20_000, 1), SECOND: (10_000, 2), THIRD: (15_000, 5)}
# The parts of the rows after which the third comes and goes.
VISIT = (0.33, 0.67)

Say = Callable[[int, str], None]


class Play:
    """One performance. `say` hears the time and what happens, `tick` that a row is done."""

    def __init__(self, stage: Stage, prices: Prices, say: Say, tick: Callable[[], None]):
        self.stage = stage
        self.perp = stage.perp
        self.prices = prices
        self.say = say
        self.tick = tick
        self.tracks = {listing.symbol: _track(listing) for listing in stage.listings}
        self.ideals: dict[str, Ideal] = {}
        self.dailies: dict[str, Ideal] = {}
        self.passes = 0  # Of the keeper.
        self.failures = 0
        self.payments = 0  # Out of the venue.
        self.given = 0  # Collateral that holders were given to put in.

    def run(self) -> Story:
        """Play from the first row to the last share."""
        began, block = wall.monotonic(), self._block()
        accounts, minted = venue_accounts(self.perp), self._minted()
        rows = self.prices.rows
        coming, going = (round(part * (len(rows) - 1)) for part in VISIT)

        for number, row in enumerate(rows):
            self._wait_until(row.time)
            for market in self.perp.markets:
                self.perp.move(market, row.prices[market])
            if number == 0:
                self._open(row.prices)
            self._observe()
            if number == coming:
                self._enter(THIRD)
            if number == going:
                self._leave(THIRD)
            self._keep(rows[min(number + 1, len(rows) - 1)].time)
            self.tick()

        self._explain()
        self._close()
        # A played trader whose margin ends is given more.
        accounts["other_traders"] += (self._minted() - minted - self.given) * self._scale
        return Story(
            venue=self.stage.venue,
            source=self.prices.source,
            period=self.prices.period,
            decimals=self.perp.decimals,
            tracks=self.tracks,
            books=self._books(accounts),
            passes=self.passes,
            failures=self.failures,
            transactions=self._block() - block,
            seconds=wall.monotonic() - began,
        )

    # Acts

    def _open(self, prices: dict[str, int]) -> None:
        for listing in self.stage.listings:
            self.ideals[listing.symbol] = Ideal(listing.target, prices[listing.market])
            self.dailies[listing.symbol] = Ideal(listing.target, prices[listing.market])
        self._enter(FIRST)
        self._enter(SECOND)

    def _enter(self, name: str) -> None:
        holder = actor(name)
        units, listings = DEPOSITS[name][0], self._chosen(name)
        assets = units * self.perp.unit
        for listing in listings:
            self.perp.fund(holder, assets)
            self.given += assets
            self.perp.settlement_token.send("approve", listing.vault, assets, sender=holder)
            before = self._nav_and_supply(listing)
            least = listing.vault.call("previewDeposit", assets) * (WAD - TOLERANCE) // WAD
            listing.vault.send("deposit", assets, holder, least, self._now() + PATIENCE, sender=holder)
            others = _gain(before, self._nav_and_supply(listing))
            self.tracks[listing.symbol].holders[name] = Flow(assets, self._now(), others)
            self.perp.arbitrage(listing.market)
        self.say(self._now(), f"{name} holder mints {_names(listings)} with {units:,} each")

    def _leave(self, name: str) -> None:
        listings = self._chosen(name)
        for listing in listings:
            flow, before = self.tracks[listing.symbol].holders[name], self._nav_and_supply(listing)
            flow.got_out, flow.left = self._burn(listing, actor(name)), self._now()
            flow.others_out = _gain(before, self._nav_and_supply(listing))
            self.perp.arbitrage(listing.market)
        self.say(self._now(), f"{name} holder burns {_names(listings)}")

    def _burn(self, listing: Listing, holder: str) -> int:
        shares = listing.token.call("balanceOf", holder)
        if shares == 0:
            return 0
        had = self.perp.settlement_token.call("balanceOf", holder)
        least = listing.vault.call("previewRedeem", shares) * (WAD - TOLERANCE) // WAD
        order = (shares, holder, holder, least, self._now() + PATIENCE)
        listing.vault.send("redeem", *order, sender=holder)
        self.payments += 1
        return self.perp.settlement_token.call("balanceOf", holder) - had

    def _explain(self) -> None:
        for listing in self.stage.listings:
            lines, nav = listing.vault.call("attribution")
            track = self.tracks[listing.symbol]
            track.attribution = dict(zip(LINES, lines, strict=True))
            track.nav_change = nav - WAD

    def _close(self) -> None:
        self._leave(SECOND)
        self._leave(FIRST)
        for listing in self.stage.listings:
            for account in (self.stage.treasury, self.stage.keeper):
                self._burn(listing, account)
            listing.vault.send("collectFees", sender=self.stage.treasury)
            if left := listing.token.call("totalSupply"):
                raise StageError(f"{listing.symbol}: {left} shares are left after everybody has burnt")
        self.say(self._now(), "the treasury collects its fees; no share is left")

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
        if not self.ideals:
            return
        block = self._block()
        for failure in self.stage.keep(min(WATCH, until - self._now())):
            self.say(self._now(), failure)
            self.failures += 1
        self.passes += 1
        if self._block() == block:
            return
        query = {"fromBlock": hex(block + 1), "toBlock": "latest", "topics": [TOPIC]}
        moved = {self._record(log) for log in self.perp.rpc("eth_getLogs", query)}
        for market in sorted(moved):
            self.perp.arbitrage(market)

    def _record(self, log: dict[str, Any]) -> str:
        """Take down a rebalance and the moments before and after it; return its market."""
        listing = next(x for x in self.stage.listings if x.vault == to_checksum_address(log["address"]))
        track, block = self.tracks[listing.symbol], int(log["blockNumber"], 16)
        before, after = (self.stage.snapshot(listing, number) for number in (block - 1, block))
        values = decode(FIELDS, bytes.fromhex(log["data"][2:]))
        event = Rebalance(after.timestamp, Trigger(int(log["topics"][1], 16)), *values)
        if before.timestamp > track.path[-1].time:
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

    # Sums

    def _books(self, before: dict[str, int]) -> Books:
        after = venue_accounts(self.perp)
        flows = [flow for track in self.tracks.values() for flow in track.holders.values()]
        left = [worth(self.perp, x.adapter) + held(self.perp, x.adapter) for x in self.stage.listings]
        left += [held(self.perp, x.vault) for x in self.stage.listings]
        return Books(
            put_in=sum(flow.put_in for flow in flows) * self._scale,
            got_out=sum(flow.got_out for flow in flows) * self._scale,
            fees=held(self.perp, self.stage.treasury) + held(self.perp, self.stage.keeper),
            left_behind=sum(left),
            **{name: after[name] - before[name] for name in after},
            allowed=self.payments * self._scale,
        )

    # Internals

    @property
    def _scale(self) -> int:
        return 10 ** (18 - self.perp.decimals)

    def _chosen(self, name: str) -> list[Listing]:
        return self.stage.listings[:: DEPOSITS[name][1]]

    def _nav_and_supply(self, listing: Listing) -> tuple[int, int]:
        return listing.vault.call("nav"), listing.token.call("totalSupply")

    def _now(self) -> int:
        return self.perp.rpc.timestamp()

    def _block(self) -> int:
        return int(self.perp.rpc("eth_blockNumber"), 16)

    def _minted(self) -> int:
        return self.perp.settlement_token.call("totalSupply")


def _track(listing: Listing) -> Track:
    band = (listing.policy.band_min, listing.policy.band_max)
    return Track(listing.symbol, listing.name, listing.market, listing.target, band)


def _gain(before: tuple[int, int], after: tuple[int, int]) -> int:
    """What the shares that were there before and after have gained, WAD."""
    return (after[0] - before[0]) * min(before[1], after[1]) // WAD


def _names(listings: list[Listing]) -> str:
    return ", ".join(listing.symbol for listing in listings)


def _sentence(listing: Listing, event: Rebalance) -> str:
    before, after = event.leverage_before / WAD, event.leverage_after / WAD
    deed = "buys" if event.size > 0 else "sells"
    return (
        f"{event.trigger.name} {listing.symbol} {before:.2f}x → {after:.2f}x:"
        f" {deed} {abs(event.size) / WAD:,.2f} {listing.market} at {event.price / WAD:,.2f}"
    )
