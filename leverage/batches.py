"""A queued vault's arithmetic, to the wei (E-3): twin of QueuedVault.sol and Batches.sol without their doors.

A batch is planned at the price of its commit and shared out at the price of its fill. Money is WAD but for
`assets`, which are in the collateral's own decimals; `scale` is WAD per base unit of it.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from leverage import leverage_math as lm
from leverage.types import WAD, Sizes, Trigger

RESERVE = 102 * WAD // 100
SPARE = 10
USER_TIP_SHARE = 100
TIP_SHARE = 10_000
DUST = 10**12
MOST = 2**104 - 1


@dataclass(frozen=True)
class Fund:
    """The holders' part of a vault at one price; supply includes the management fee due."""

    price: int
    size: int
    cash: int
    supply: int
    mint_fee: int
    burn_fee: int
    scale: int

    @property
    def equity(self) -> int:
        return lm.equity(self.cash, self.size, self.price)


@dataclass(frozen=True)
class Fill:
    """What the venue did: `cash` net of all it kept; `reward` is what the account earned by executing."""

    size: int
    cash: int
    fee: int
    price: int
    reward: int = 0


@dataclass(frozen=True)
class Shared:
    """Who got what at a settlement: as requested, net of the mint fee, and before the burn fee."""

    assets: int
    brought: int
    shares: int
    minted: int
    paid: int
    tip_shares: int
    unfilled: int

    def burn_fee(self, fund: Fund) -> int:
        return lm.fee_up(self.paid, fund.burn_fee)


Quote = Callable[[int], tuple[int, int]]


def sized(fund: Fund, target: int, wanted: int, brought: int, shares: int) -> Sizes:
    """What each party adds to the order; never nothing in all while there is a position."""
    if fund.supply == 0:
        return Sizes(lm.size_to_leverage(target, brought, fund.size, fund.price), 0, wanted)
    if fund.equity <= 0:
        return Sizes(0, 0, wanted)
    sizes = Sizes(
        enter=lm.joining(fund.size + wanted, brought, fund.equity),
        leave=-lm.portion_down(fund.size, shares, fund.supply),
        rebalance=wanted - lm.portion_down(wanted, shares, fund.supply),
    )
    if lm.order(sizes) != 0 or fund.size == 0:
        return sizes
    if sizes.enter == 0:
        return replace(sizes, leave=sizes.leave + (1 if fund.size < 0 else -1))
    return replace(sizes, enter=sizes.enter + (1 if sizes.enter > 0 else -1))


def planned(fund: Fund, target: int, wanted: int, assets: int, shares: int, quote: Quote) -> Sizes:
    """Sizes net of their own cost; `quote(size)` is the size and cash of a fill at the index price."""
    brought = (assets - lm.fee_up(assets, fund.mint_fee)) * fund.scale
    sizes = sized(fund, target, wanted, brought, shares)
    order = lm.order(sizes)
    if abs(lm.notional(order, fund.price)) < DUST:
        return sizes
    cost = lm.cost_of(*quote(order), fund.price)
    if cost <= 0 or (assets == 0 and wanted == 0):
        return sizes
    if sizes.rebalance != 0:
        funds = lm.cost_share(cost, sizes.rebalance, sizes)
        net = lm.size_net_of_cost(sizes.rebalance, fund.price, target, funds)
        wanted_net = lm.div(wanted * net, sizes.rebalance)
    else:
        wanted_net = wanted
    left = max(0, brought - lm.cost_share(cost, sizes.enter, sizes))
    again = sized(fund, target, wanted_net, left, shares)
    return again if (lm.order(again) > 0) == (order > 0) else sizes


def margin(fund: Fund, idle: int, assets: int, shares: int) -> int:
    """Assets that go to the venue with the order: what leavers will not need, unless it is little."""
    brought = assets - lm.fee_up(assets, fund.mint_fee)
    need = max(0, -idle)
    if shares and fund.equity > 0:
        part = lm.portion_down(fund.equity, shares, fund.supply)
        need += max(0, min(lm.div(part * RESERVE, WAD), lm.div(part + fund.equity, 2))) // fund.scale
    most = max(0, brought + max(0, idle) - need)
    return 0 if most * fund.scale <= lm.div(fund.equity + brought * fund.scale, SPARE) else most


def turnover(fund: Fund, brought: int, shares: int) -> int:
    """What comes and goes, WAD."""
    return brought if shares == 0 or fund.equity <= 0 else brought + fund.equity * shares // fund.supply


def tip(fund: Fund, trigger: Trigger, value: int, late: int, rate: int, cap: int) -> int:
    """For who moves a batch on: at most 1 % of it, and 1 bp of a fund that is rebalanced."""
    most = value // USER_TIP_SHARE
    if trigger != Trigger.NONE and fund.equity > 0:
        most += fund.equity // TIP_SHARE
    return min(lm.tip(late, rate, cap), most)


def filled(amount: int, unfilled: int) -> int:
    """What is settled of `amount` when the WAD fraction `unfilled` is not."""
    return amount - amount * unfilled // WAD


def shared(fund: Fund, sizes: Sizes, fill: Fill, assets: int, shares: int, tips: int) -> Shared:
    """Everybody at the price of the fill; `fund` is as it was just before it."""
    order = lm.order(sizes)
    left = lm.unfilled(fill.size, order)
    assets, shares = filled(assets, left), filled(shares, left)
    cost = lm.cost_of(fill.size, fill.cash, fill.price)
    borne = tips + max(0, cost)
    for_entrants = lm.cost_share(borne, sizes.enter, sizes)
    for_leavers = lm.cost_share(borne, sizes.leave, sizes)
    if cost < 0:
        for_leavers -= lm.gain_share(-cost, sizes.leave, sizes)
    brought = assets - lm.fee_up(assets, fund.mint_fee)
    equity = max(0, fund.equity)
    minted = min(lm.to_shares_down(max(0, brought * fund.scale - for_entrants), equity, fund.supply), MOST)
    if fund.supply + minted > shares:
        paid = lm.portion_down(equity, shares, fund.supply) - for_leavers if shares else 0
        tip_shares = lm.to_shares_down(tips, equity, fund.supply)
    else:
        paid = lm.equity(fund.cash + fill.cash, fund.size + fill.size, fill.price)
        tip_shares = 0
    return Shared(assets, brought, shares, minted, max(0, paid) // fund.scale, tip_shares, left)


@dataclass
class Request:
    """One user's part of a batch; `is_refunded` is the choice for when an order fails."""

    amount: int
    is_refunded: bool


@dataclass
class Batch:
    """What is left of it to end or, once it has ended, to claim."""

    requests: dict[str, Request] = field(default_factory=dict)
    amount: int = 0
    result: int = 0
    opened: int = 0

    def draw(self, amount: int) -> int:
        """A part's result; the last gets all that is left."""
        result = self.result if amount == self.amount else amount * self.result // self.amount
        self.amount -= amount
        self.result -= result
        return result
