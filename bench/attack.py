"""What an attacker does around a lagging oracle and a pool he can push, and how his profit is counted.

Every step is valued at the true price of its moment: tokens at the nav they would have there, his own trades
in the pool at what the truth makes of them. What the market moves between his steps is nobody's doing and is
not counted. Exact fractions throughout: a profit of a wei is a profit.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from fractions import Fraction
from itertools import product
from typing import Protocol

from leverage.types import WAD

BP = 10_000
PRICE = 2_000 * WAD


class RefusedError(Exception):
    """The vault or the venue would not."""


@dataclass(frozen=True)
class Holdings:
    """All that counts, WAD: the fund, and the attacker's money, tokens and own position in the pool."""

    size: int
    cash: int
    supply: int
    money: int
    shares: int
    own_size: int

    def nav(self, truth: int) -> Fraction:
        return Fraction(self.cash * WAD + self.size * truth, WAD * self.supply)

    def wealth(self, truth: int) -> Fraction:
        return self.money + self.shares * self.nav(truth) + Fraction(self.own_size * truth, WAD)


class World(Protocol):
    """A fund on a venue, real or modelled, with one other holder and one attacker."""

    def holdings(self) -> Holdings: ...

    def market(self, price: int) -> None:
        """The market takes the pool to a price."""

    def oracle(self, price: int) -> None:
        """The oracle reports a price."""

    def push(self, price: int) -> None:
        """The attacker takes the pool to a price."""

    def mint(self, amount: int) -> None:
        """The attacker enters with an amount, WAD."""

    def burn(self) -> None:
        """The attacker leaves."""


class Act(Enum):
    MARKET = auto()
    ORACLE = auto()
    PUSH = auto()
    MINT = auto()
    BURN = auto()


Step = tuple[Act, int]


@dataclass(frozen=True)
class Attack:
    """One way to go about it. `stake` and `push` are fractions, WAD: of the fund, and of the true price."""

    order: str
    lag: int
    stake: int
    entry_push: int = 0
    exit_push: int = 0

    def __str__(self) -> str:
        return (
            f"{self.order}, lag {self.lag / WAD:+.1%}, stake {self.stake / WAD:g} funds,"
            f" pushes {self.entry_push / WAD:+.1%} and {self.exit_push / WAD:+.1%}"
        )

    def steps(self, fund: int) -> Iterator[Step]:
        """The steps, for a fund of an equity at PRICE, with which everything begins."""
        moved = PRICE * (WAD + self.lag) // WAD
        amount = self.stake * fund // WAD
        yield from ORDERS[self.order](self, moved, amount)


@dataclass(frozen=True)
class Outcome:
    """What it brought, in bp: to the attacker of his stake, to the other holder of nav."""

    attack: Attack
    profit: float
    holders: float
    refused: int


def play(world: World, attack: Attack, fund: int) -> Outcome:
    """Carry out an attack on a fund of an equity at PRICE."""
    profit, holders, refused = follow(world, attack.steps(fund))
    stake = attack.stake * fund // WAD
    return Outcome(attack, float(profit / stake * BP), float(holders * BP), refused)


def follow(world: World, steps: Iterable[Step]) -> tuple[Fraction, Fraction, int]:
    """The attacker's profit, WAD, the change of the other holder's nav as a fraction, and the refusals.

    Refused before he is in, he goes home, as one transaction that reverts; after that he tries on.
    """
    truth, profit, kept, refused = PRICE, Fraction(0), Fraction(1), 0
    first = now = world.holdings()
    for act, value in steps:
        before = now
        try:
            if act is Act.MARKET:
                world.market(value)
                truth = value
            elif act is Act.ORACLE:
                world.oracle(value)
            elif act is Act.PUSH:
                world.push(value)
            elif act is Act.MINT:
                world.mint(value)
            elif before.shares > 0:
                world.burn()
        except RefusedError:
            refused += 1
            if before.supply == first.supply:
                return Fraction(0), Fraction(0), refused
        now = world.holdings()
        # The market's own step changes what things are worth, and nobody's doings.
        profit += now.wealth(truth) - before.wealth(truth)
        kept *= now.nav(truth) / before.nav(truth)
    return profit, kept - 1, refused


# Orders


def _pushed(push: int, truth: int, step: Step) -> Iterator[Step]:
    """A step with the pool pushed before it, and brought back to the truth after it."""
    if push:
        yield Act.PUSH, truth * (WAD + push) // WAD
    yield step
    yield Act.PUSH, truth


def _mint_stale(attack: Attack, moved: int, amount: int) -> Iterator[Step]:
    """The truth has moved, the oracle has not: mint, let it report, burn."""
    yield Act.MARKET, moved
    yield from _pushed(attack.entry_push, moved, (Act.MINT, amount))
    yield Act.ORACLE, moved
    yield from _pushed(attack.exit_push, moved, (Act.BURN, 0))


def _burn_stale(attack: Attack, moved: int, amount: int) -> Iterator[Step]:
    """Mint at a true price, and burn when the oracle has fallen behind."""
    yield from _pushed(attack.entry_push, PRICE, (Act.MINT, amount))
    yield Act.MARKET, moved
    yield from _pushed(attack.exit_push, moved, (Act.BURN, 0))
    yield Act.ORACLE, moved


def _both_stale(attack: Attack, moved: int, amount: int) -> Iterator[Step]:
    """In and out while the oracle lags; the pool is pushed from the one to the other without coming back."""
    yield Act.MARKET, moved
    if attack.entry_push:
        yield Act.PUSH, moved * (WAD + attack.entry_push) // WAD
    yield Act.MINT, amount
    if attack.exit_push:
        yield Act.PUSH, moved * (WAD + attack.exit_push) // WAD
    yield Act.BURN, 0
    yield Act.PUSH, moved


def _out_and_in(attack: Attack, moved: int, amount: int) -> Iterator[Step]:
    """A holder burns while the oracle lags and comes back when it has reported, or before."""
    yield from _pushed(0, PRICE, (Act.MINT, amount))
    yield Act.MARKET, moved
    yield from _pushed(attack.exit_push, moved, (Act.BURN, 0))
    yield from _pushed(attack.entry_push, moved, (Act.MINT, amount))
    yield Act.ORACLE, moved


ORDERS = {
    "mint stale": _mint_stale,
    "burn stale": _burn_stale,
    "both stale": _both_stale,
    "out and in": _out_and_in,
}


def attacks(
    lags: Sequence[int], stakes: Sequence[int], pushes: Sequence[int], orders: Sequence[str] = tuple(ORDERS)
) -> list[Attack]:
    """The grid: each order with each lag and stake; the pool pushed not at all, at one end, or at both."""
    ends = [(0, 0)]
    for push in pushes:
        ends += [(push, 0), (0, push), (push, push), (push, -push)]
    return [Attack(order, lag, stake, *end) for order, lag, stake, end in product(orders, lags, stakes, ends)]
