"""The play where venues fill in the same transaction: holders mint and burn, the keeper rebalances."""

from demo.play import Act, Play, names
from demo.stage import Listing
from demo.story import Flow
from devnet import PerpV2
from devnet.venue import actor
from leverage.types import WAD

PATIENCE = 600  # Seconds a holder's order is good for.
TOLERANCE = WAD // 1000  # By which shares or assets may miss the preview.

# What each puts into a token, in units of collateral, and which tokens: all, every second, every fifth.
FIRST, SECOND, THIRD = "first", "second", "third"
DEPOSITS = {FIRST: (20_000, 1), SECOND: (10_000, 2), THIRD: (15_000, 5)}
# The parts of the rows after which the third comes and goes.
VISIT = (0.33, 0.67)


class InstantPlay(Play):
    """Two holders stay, a third comes and goes; after each trade arbitrage brings the pool back."""

    perp: PerpV2
    payments = 0  # Out of the venue.

    def _acts(self, rows: int) -> dict[int, list[Act]]:
        coming, going = (round(part * (rows - 1)) for part in VISIT)
        acts: dict[int, list[Act]] = {}
        acts.setdefault(coming, []).append(lambda: self._enter(THIRD))
        acts.setdefault(going, []).append(lambda: self._leave(THIRD))
        return acts

    def _open(self) -> None:
        for listing in self.stage.listings:
            self._compare(listing.symbol, self.prices.rows[0].prices[listing.market])
        self._enter(FIRST)
        self._enter(SECOND)

    def _enter(self, name: str) -> None:
        holder = actor(name)
        units, listings = DEPOSITS[name][0], self._chosen(name)
        assets = units * self.perp.unit
        for listing in listings:
            self._give(holder, assets)
            self.perp.settlement_token.send("approve", listing.vault, assets, sender=holder)
            before = self._nav_and_supply(listing)
            least = listing.vault.call("previewDeposit", assets) * (WAD - TOLERANCE) // WAD
            listing.vault.send("deposit", assets, holder, least, self._now() + PATIENCE, sender=holder)
            others = _gain(before, self._nav_and_supply(listing))
            self.tracks[listing.symbol].holders[name] = Flow(assets, self._now(), others)
            self.perp.arbitrage(listing.market)
        self.say(self._now(), f"{name} holder mints {names(listings)} with {units:,} each")

    def _leave(self, name: str) -> None:
        listings = self._chosen(name)
        for listing in listings:
            flow, before = self.tracks[listing.symbol].holders[name], self._nav_and_supply(listing)
            flow.got_out, flow.left = self._burn(listing, actor(name)), self._now()
            flow.others_out = _gain(before, self._nav_and_supply(listing))
            self.perp.arbitrage(listing.market)
        self.say(self._now(), f"{name} holder burns {names(listings)}")

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

    def _close(self) -> None:
        self._leave(SECOND)
        self._leave(FIRST)
        for listing in self.stage.listings:
            for account in (self.stage.treasury, self.stage.keeper):
                self._burn(listing, account)
            listing.vault.send("collectFees", sender=self.stage.treasury)
        self._require_empty()
        self.say(self._now(), "the treasury collects its fees; no share is left")

    def _follow(self, block: int) -> None:
        for market in sorted(self._record_since(block)):
            self.perp.arbitrage(market)

    def _allowed(self) -> int:
        """A base unit for each payment out of the venue, which rounds what it keeps to them."""
        return self.payments * self._scale

    def _chosen(self, name: str) -> list[Listing]:
        return self.stage.listings[:: DEPOSITS[name][1]]

    def _nav_and_supply(self, listing: Listing) -> tuple[int, int]:
        return listing.vault.call("nav"), listing.token.call("totalSupply")


def _gain(before: tuple[int, int], after: tuple[int, int]) -> int:
    """What the shares that were there before and after have gained, WAD."""
    return (after[0] - before[0]) * min(before[1], after[1]) // WAD
