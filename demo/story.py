"""What a play leaves behind: records of whole numbers, in the protocol's own units."""

from dataclasses import dataclass, field

from leverage.types import WAD, Trigger

LINES = ("price", "funding", "venue_fee", "slippage", "management_fee", "rounding")


@dataclass(frozen=True)
class Point:
    """A token at one moment. Before and after a rebalance are two points of the same time."""

    time: int
    price: int
    nav: int
    leverage: int
    ideal_nav: int
    daily_nav: int


@dataclass(frozen=True)
class Rebalance:
    """The vault's `Rebalanced` event."""

    time: int
    trigger: Trigger
    size: int
    price: int
    leverage_before: int
    leverage_after: int
    fee: int
    slippage: int
    tip_shares: int


@dataclass(frozen=True)
class Settlement:
    """An order of a queued vault that was filled: what it was sent for, and what came of it.

    `assets` and `shares` were in the batch. `gain` is what the settlement gave each share that was there
    before and after, WAD, all at the fill's index price; a rebalance of the fund's own has its cost in it.
    """

    time: int
    seconds: int  # From the commit.
    trigger: Trigger
    requests: int
    assets: int
    shares: int
    asked: int  # Size of all parts of the order, as if each had been sent alone.
    size: int
    price: int
    shares_minted: int
    assets_paid: int
    leverage_before: int
    leverage_after: int
    gain: int
    is_strangers: bool  # Whether somebody else than the keeper executed it at the venue.
    supply: int  # Before.

    @property
    def part_out(self) -> float:
        """The part of all shares that left."""
        return self.shares / self.supply if self.supply else 0.0


@dataclass
class Flow:
    """What a holder put into a token and got out, in base units of the collateral, and when.

    `others_in` and `others_out` are what the coming and the going did to the worth of all other shares, WAD;
    where batches come and go, it is the settlements that tell.
    """

    put_in: int
    came: int
    others_in: int | None = 0
    got_out: int = 0
    left: int = 0
    others_out: int | None = 0


@dataclass
class Ideal:
    """A token without costs: from reset to reset it earns `target` times the move of the price."""

    target: int
    price: int
    nav: int = WAD

    def at(self, price: int) -> int:
        """Its nav at a price."""
        return self.nav + self.nav * self.target * (price - self.price) // (self.price * WAD)

    def reset(self, price: int) -> None:
        """Take profit and loss into what the next move is multiplied with."""
        self.nav, self.price = self.at(price), price


@dataclass
class Track:
    """One token from the first mint to the last moment before all leave."""

    symbol: str
    name: str
    market: str
    target: int
    band: tuple[int, int]
    path: list[Point] = field(default_factory=list)
    rebalances: list[Rebalance] = field(default_factory=list)
    settlements: list[Settlement] = field(default_factory=list)
    cancelled: list[int] = field(default_factory=list)  # When orders ended without a fill.
    attribution: dict[str, int] = field(default_factory=dict)
    nav_change: int = 0
    holders: dict[str, Flow] = field(default_factory=dict)

    @property
    def growth(self) -> float:
        """Nav at the end over nav at the start."""
        return self.path[-1].nav / self.path[0].nav

    @property
    def tracking(self) -> float:
        """How far the growth is from the ideal one's, as a fraction of the start."""
        return self.growth - self.path[-1].ideal_nav / self.path[0].ideal_nav

    @property
    def leverages(self) -> tuple[int, int]:
        """Leverage where it was smallest and where it was largest."""
        sizes = [point.leverage for point in self.path]
        return min(sizes, key=abs), max(sizes, key=abs)

    def count(self, trigger: Trigger) -> int:
        return sum(rebalance.trigger == trigger for rebalance in self.rebalances)


@dataclass(frozen=True)
class Books:
    """Where all that was put in has gone, WAD of collateral. Others at the venue may have lost, too."""

    put_in: int
    got_out: int
    fees: int  # To treasury and keeper.
    left_behind: int  # In vaults and venue accounts after the last share was burnt.
    others: dict[str, int]  # What everybody else has more than before, by the venue's books.
    labels: dict[str, str]  # Who they are, in the order to show them.
    allowed: int  # What the venue may round away.
    on_the_way: int | None = None  # Largest difference of the same sum with positions open, if looked at.

    @property
    def difference(self) -> int:
        """What nobody has; a few wei of the venue's own rounding."""
        return self.put_in - (self.got_out + self.fees + self.left_behind + sum(self.others.values()))


@dataclass(frozen=True)
class Story:
    """The whole play."""

    venue: str
    source: str
    period: str
    asset: str  # The collateral's symbol.
    decimals: int
    tracks: dict[str, Track]
    books: Books
    passes: int  # Of the keeper.
    failures: int  # What the keeper tried and could not do.
    transactions: int
    seconds: float  # Of the reader's time.
