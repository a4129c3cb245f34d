"""Why nav changed: the ledger's lines (E-9), their sum, and what the model makes of the same prices. Pure."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from itertools import pairwise

from leverage import leverage_math as lm
from leverage.errors import LeverageError
from leverage.leverage_math import VIRTUAL
from leverage.twin.vault import Attribution
from leverage.types import DAY, WAD, Trigger

LINES = tuple(line.name for line in fields(Attribution))
SHARES = 10**9 * WAD  # Of the model's fund: enough that the virtual share does not count.
NEGLIGIBLE = 10**-5  # Of nav: up to here a difference needs no cause.
NEAR = WAD // 1_000  # Leverage this close to the target counts as there.


@dataclass(frozen=True)
class Rebalance:
    """A rebalance as the vault told it, and what the venue quoted for its size just before.

    `size` in base units, `fee` and `slippage` in collateral; `quoted_fee`, an order's deposit included, and
    `quoted_slippage` are fractions of the notional, None where nobody could be asked any more. All WAD.
    """

    trigger: Trigger
    size: int
    price: int
    leverage_before: int
    leverage_after: int
    fee: int
    slippage: int
    tip_shares: int
    quoted_fee: int | None = None
    quoted_slippage: int | None = None


@dataclass(frozen=True)
class Entry:
    """The ledger at one moment: `lines` are cumulative, and 1 + lines = nav. Price, nav and lines are WAD.

    `funding` is the venue's rate then, per day of the notional, as far as it is known.
    """

    block: int
    time: int
    price: int
    nav: int
    lines: Attribution
    rebalances: tuple[Rebalance, ...] = ()
    is_empty: bool = False
    funding: int | None = None

    def __post_init__(self) -> None:
        if WAD + self.lines.total != self.nav:
            raise LeverageError(
                f"the ledger of block {self.block} does not add up: nav {self.nav}, lines {self.lines.total}"
            )


@dataclass(frozen=True)
class Life:
    """The ledger without a break, from one moment to another; when everybody has left it begins anew at 1.

    `leverage` is the fund's at the first entry. `is_over` when the last holder has left after the last one.
    """

    entries: Sequence[Entry]
    leverage: int
    is_over: bool = False

    @property
    def then(self) -> Entry:
        return self.entries[0]

    @property
    def now(self) -> Entry:
        return self.entries[-1]

    @property
    def change(self) -> int:
        """Nav now less nav then, WAD."""
        return self.now.nav - self.then.nav

    @property
    def lines(self) -> Attribution:
        """What each line has changed; `total` is `change`, to the wei, since each entry adds up."""
        before, after = asdict(self.then.lines), asdict(self.now.lines)
        return Attribution(**{line: after[line] - before[line] for line in LINES})

    @property
    def rebalances(self) -> list[tuple[Entry, Rebalance]]:
        return [(entry, rebalance) for entry in self.entries[1:] for rebalance in entry.rebalances]

    @property
    def is_funding_known(self) -> bool:
        return all(entry.funding is not None for entry in self.entries)


@dataclass(frozen=True)
class Story:
    """What became of a token since a moment: no life when nobody held it."""

    symbol: str
    target: int
    since: int
    until: int
    lives: Sequence[Life]
    charged: Callable[[int, int], int]
    notes: Sequence[str] = field(default=())


def lives(entries: Sequence[Entry], leverage: int, target: int) -> Iterator[Life]:
    """The entries cut where the vault was empty; `leverage` is the fund's at the first of them.

    A life that begins among them begins at nav 1, where the first holder joins at the target.
    """
    life: list[Entry] = []
    for before, entry in zip([None, *entries], entries, strict=False):
        if entry.is_empty:
            if life:
                yield Life(life, leverage, is_over=True)
            life = []
            continue
        if not life and before is not None:
            leverage = target
            life = [replace(entry, nav=WAD, lines=Attribution(), rebalances=())]
        life.append(entry)
    if life:
        yield Life(life, leverage)


def charged(rates: Sequence[tuple[int, int]]) -> Callable[[int, int], int]:
    """The management fee between two times: the integral of the rates per day, WAD, each from its time on."""

    def integral(start: int, end: int) -> int:
        total = 0
        for (since, rate), (until, _) in pairwise([*rates, (max(end, rates[-1][0]), 0)]):
            total += rate * max(0, min(end, until) - max(start, since)) // DAY
        return total

    return integral


# The model


def predict(life: Life, target: int, fee: Callable[[int, int], int]) -> Attribution:
    """The lines that the model gives a fund which begins as this one did and sees the same index prices.

    Between bookings it holds its size, and pays funding at the mean of the venue's rates at both and the
    management fee `fee`; when the vault rebalanced, it trades to the target, net of the cost that the venue
    had quoted. Who comes and goes does not concern it (E-2).
    """
    if life.then.nav == 0:
        return Attribution()
    equity = lm.div(life.then.nav * (SHARES + VIRTUAL), WAD) - VIRTUAL
    size = lm.size_to_leverage(life.leverage, equity, 0, life.then.price)
    cash, supply = equity - lm.notional(size, life.then.price), SHARES
    lines = Attribution()
    for before, after in pairwise(life.entries):
        shares, price = supply + VIRTUAL, after.price
        lines.price += lm.div(size * (price - before.price), shares)
        if before.funding is not None and after.funding is not None:
            rate, mean = (before.funding + after.funding) // 2, (before.price + price) // 2
            paid = lm.div(lm.notional(size, mean) * rate * (after.time - before.time), WAD * DAY)
            cash -= paid
            lines.funding -= lm.div(paid * WAD, shares)
        equity = lm.equity(cash, size, price)
        if equity <= 0:
            break
        charged_ = lm.management_shares(supply, fee(before.time, after.time))
        lines.management_fee += lm.nav(equity, supply + charged_) - lm.nav(equity, supply)
        supply += charged_
        for rebalance in after.rebalances:
            rates = rebalance.quoted_fee or 0, rebalance.quoted_slippage or 0
            wanted = lm.size_to_leverage(target, equity, size, price)
            cost = sum(_part(wanted, price, rate) for rate in rates)
            traded = lm.size_net_of_cost(wanted, price, target, cost)
            fees, slippage = (_part(traded, price, rate) for rate in rates)
            size += traded
            cash -= lm.notional(traded, price) + fees + slippage
            equity = lm.equity(cash, size, price)
            lines.venue_fee -= lm.div(fees * WAD, supply + VIRTUAL)
            lines.slippage -= lm.div(slippage * WAD, supply + VIRTUAL)
    residual = lm.nav(equity, supply) - life.then.nav - lines.total
    # Holders lose no more than nav.
    if equity <= 0:
        lines.price += residual
    else:
        lines.rounding += residual
    return lines


def _part(size: int, price: int, rate: int) -> int:
    return lm.div(abs(lm.notional(size, price)) * rate, WAD)


# What made the difference


def causes(life: Life, target: int, predicted: Attribution) -> dict[str, str]:
    """Line → why it is likely not what the model predicted; nothing for one that is."""
    found, expected = asdict(life.lines), asdict(predicted)
    why = {
        "price": _why_price(life, target),
        "funding": _why_funding(life),
        "venue_fee": _why_venue_fee(life),
        "slippage": "fills off the quote, better fills of who came, and liquidations",
        "management_fee": "charged on the nav of each moment",
        "rounding": f"integer division in {len(life.entries) - 1} bookings",
    }
    least = life.then.nav * NEGLIGIBLE
    unknown = set() if life.is_funding_known else {"funding"}
    return {
        line: text
        for line, text in why.items()
        if abs(found[line] - expected[line]) > least or line in unknown and found[line]
    }


def _why_price(life: Life, target: int) -> str:
    if life.now.nav == 0:
        return "the position is gone: what it lost beyond nav is the venue's"
    off = max((abs(r.leverage_after - target) for _, r in life.rebalances), default=0)
    if off > NEAR:
        return f"rebalances ended up to {off / WAD:.3f}x from the target, the model's at it"
    return "what the other lines took had already lowered or raised the size"


def _why_funding(life: Life) -> str:
    if not life.is_funding_known:
        return "not predicted: the venue's past rate could not be read"
    return "the rate moved between bookings; gifts to the vault count here, too"


def _why_venue_fee(life: Life) -> str:
    tips = sum(r.tip_shares for _, r in life.rebalances)
    if tips:
        return f"tips of {tips / WAD:.6f} shares to who rebalanced late"
    if any(r.quoted_fee is None for _, r in life.rebalances):
        return "the venue's past quotes could not be read: those of now were taken"
    return "the venue charged another rate or size than it had quoted"
