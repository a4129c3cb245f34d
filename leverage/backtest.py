"""What a token would have done over years of bars: the rules of the contracts at the speed of float64.

There is no second set of rules here. numba compiles the functions of policy.py, leverage_math.py and the
twin's venue themselves, read over the real numbers instead of integers in WAD. Money, prices and leverage are
in units. Where a rule stands at its very edge, float64 may fall on the other side than the contracts do.
"""

import ast
import hashlib
import inspect
import math
import sys
from collections import namedtuple
from collections.abc import Callable, Iterable
from dataclasses import asdict, astuple, dataclass, fields
from enum import StrEnum
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple, Protocol, TypeVar, cast

import numba
import numpy as np
from numba.extending import overload, register_jitable
from numpy.typing import NDArray

from leverage import leverage_math as lm
from leverage import policy as rules
from leverage import types
from leverage.twin import vault, venue
from leverage.twin.vault import TIP_SHARE
from leverage.types import DAY, WAD, Fees, Policy, Trigger

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

LINES = ("price", "funding", "venue_fee", "slippage", "management_fee")


class InputError(ValueError):
    """Bars, funding or a token that cannot be replayed; the text is one line."""


class Bars(Protocol):
    """Evenly spaced bars, stamped with the second at which they open; prices in collateral."""

    @property
    def time(self) -> Ints: ...
    @property
    def open(self) -> Floats: ...
    @property
    def high(self) -> Floats: ...
    @property
    def low(self) -> Floats: ...
    @property
    def close(self) -> Floats: ...


class Funding(Protocol):
    """Payments: at `time`, longs pay shorts this fraction of their notional, or get it if it is negative."""

    @property
    def time(self) -> Ints: ...
    @property
    def rate(self) -> Floats: ...


class Reaction(StrEnum):
    """What of a bar the keeper sees and can act on."""

    # The close alone.
    CLOSES = "closes"
    # Open, the extreme against the position, the other extreme, close, one after the other, each of them a
    # price to trade at: the longer the bar, the worse for those who act at an extreme. A schedule knows no
    # prices and is kept at opens and closes.
    EXTREMES = "extremes"


@dataclass(frozen=True)
class Costs:
    """What a venue charges, in fractions.

    `fee` of the value traded. `impact`: how much worse than the venue's price a trade of one unit of
    collateral fills, in proportion to the trade (1 / depth). `skew`: premium of the venue's price over the
    index, which a buyer pays and a seller gets.
    """

    fee: float = 0.0
    impact: float = 0.0
    skew: float = 0.0


@dataclass(frozen=True)
class Token:
    """What is replayed: `capital` of equity that stands at `target` when the first price is seen.

    `is_keeper`: whether who rebalances has the keeper role, else schedules wait for their exclusive seconds.
    """

    target: float
    policy: Policy
    fees: Fees = Fees(0, 0, 0)
    costs: Costs = Costs()
    capital: float = 1_000_000.0
    is_keeper: bool = True


@dataclass(frozen=True)
class Result:
    """The first price seen, and then a row at the close of every bar, or of one in `every` and the last.

    `attribution` has what each of LINES has added to nav since the start, when it was 1: they sum to nav - 1.
    `trades` has a row per rebalance; `fee` and `slippage` are money. `turnover`: value traded, each time over
    equity. A fund whose equity is gone holds nothing and is worth nothing from `ruined_at` on.
    """

    time: Ints
    price: Floats
    nav: Floats
    leverage: Floats
    size: Floats
    equity: Floats
    attribution: dict[str, Floats]
    trades: NDArray[Any]
    turnover: float
    ruined_at: int | None


TRADES = np.dtype(
    [("time", "i8"), ("trigger", "i8")]
    + [(name, "f8") for name in ("price", "size", "equity", "leverage_before", "leverage_after")]
    + [(name, "f8") for name in ("fee", "slippage")]
)
# A fund as it is booked whenever something happens, in force from the close of `bar` on. The last fields are
# the policy's memory.
FUND = np.dtype(
    [("bar", "i8"), ("time", "i8")]
    + [(name, "f8") for name in ("size", "cash", "supply", "nav")]
    + [(f"{line}_line", "f8") for line in LINES]
    + [("last_price", "f8"), ("last_time", "i8"), ("last_chunk", "i8"), ("last_buying", "?")]
)


class _Flat(NamedTuple):
    """Bars in which nothing happens."""

    time: Ints
    open: Floats
    high: Floats
    low: Floats
    close: Floats


# What the compiled rules read by name: leverage/types.py has the same words for people.
_Policy = namedtuple("_Policy", [field.name for field in fields(Policy)])  # type: ignore[misc]
_Rebalancing = namedtuple("_Rebalancing", "price time chunk buying")
_Snapshot = namedtuple(
    "_Snapshot", "price venue_price size equity supply leverage target rebalancing paused_until ruined"
)
_Costs = namedtuple("_Costs", "fee impact skew")
_Terms = namedtuple("_Terms", "target policy policy_at_extremes management_per_day costs capital is_keeper")

# The prices of a bar in the order in which they are seen.
OPEN, CLOSE = 0, 3
IN_SECONDS = {"triggers", "period", "offset", "exclusive", "cooldown"}

Function = TypeVar("Function", bound=Callable[..., Any])
settings: Any = numba.config


def inlined(function: Function) -> Function:
    """For use in compiled functions; stays what it is for others."""
    return register_jitable(function)


def compiled(function: Function) -> Function:
    """Machine code from its first call on, during which other threads can run."""
    return cast(Function, numba.njit(nogil=True, cache=True)(function))


class _Unrounded(ast.NodeTransformer):
    def visit_FloorDiv(self, node: ast.FloorDiv) -> ast.Div:  # noqa: N802 - the name of a node.
        return ast.Div()


def over_the_reals(rule: Callable[..., Any]) -> None:
    """Let compiled functions call a rule that is written for integers in WAD as what it says of real numbers:
    1 WAD is 1, and a division does not round."""
    tree = _Unrounded().visit(ast.parse(inspect.getsource(rule)))
    names = {**rule.__globals__, "WAD": 1.0, "VIRTUAL": lm.VIRTUAL / WAD, "INFINITE_LEVERAGE": math.inf}
    exec(compile(tree, f"<{rule.__module__} over the reals>", "exec"), names)
    real = names[rule.__name__]
    overload(rule, strict=False)(lambda *arguments: real)


def functions(module: ModuleType) -> dict[str, Callable[..., Any]]:
    """Those that are defined in a module, by name."""
    found = inspect.getmembers(module, inspect.isfunction)
    return {name: function for name, function in found if function.__module__ == module.__name__}


RULES = {**functions(lm), **functions(rules), "fill_price": venue.fill_price}
# What real numbers have no need of: a check of the sign, and a series for the exponential.
overload(RULES.pop("_unsigned"))(lambda value: lambda value: value)
overload(RULES.pop("exp_minus_one"))(lambda x: lambda x: math.expm1(x))
for _rule in RULES.values():
    over_the_reals(_rule)


def cache_folder(modules: Iterable[str]) -> Path:
    """Where machine code is kept from one run to the next: a folder for each version of these modules.

    numba itself looks at the file of the function that is called, and not at those of the rules it calls.
    """
    sources = b"".join(inspect.getsource(sys.modules[name]).encode() for name in sorted(modules))
    home = Path(settings.CACHE_DIR or Path(__file__).resolve().parent.parent / ".cache" / "numba")
    return home / hashlib.sha256(sources).hexdigest()[:16]


settings.CACHE_DIR = str(
    cache_folder(module.__name__ for module in (types, lm, rules, venue, vault, sys.modules[__name__]))
)


def run(
    bars: Bars,
    token: Token,
    funding: Funding | None = None,
    reaction: Reaction = Reaction.EXTREMES,
    *,
    every: int = 1,
    is_screened: bool = True,
) -> Result:
    """Replay a token over bars. Bars in which nothing can fall due are passed over, unless not `is_screened`.

    At each price: funding that has come due is settled, then the rules are asked, and at most one trade made.
    """
    _check(bars, token, funding, every)
    paid_at, rates = (funding.time, funding.rate) if funding else (np.empty(0, np.int64), np.empty(0))
    time, interval = _ints(bars.time), int(bars.time[1] - bars.time[0])
    opens = adverse = other = close = _floats(bars.close)
    first = CLOSE
    if Reaction(reaction) == Reaction.EXTREMES:
        opens, adverse, other = _floats(bars.open), _floats(bars.low), _floats(bars.high)
        first = OPEN
        if token.target < 0:
            adverse, other = other, adverse
    path = time, interval, opens, adverse, other, close, first
    payments = _ints(paid_at), _floats(rates)
    terms = _terms(token)
    ledger, trades, ruined_at = _replay(*path, is_screened, *payments, terms)

    closes_at, start = time + interval, ledger["time"][0]
    opening = int(np.searchsorted(closes_at, start, side="right"))
    rows = np.append(np.arange(opening + every - 1, len(time) - 1, every), len(time) - 1)
    seen_at, price = np.append(start, closes_at[rows]), np.append(opens[0], close[rows])
    values = _at_rows(terms, ledger, np.append(-1, rows), seen_at, price)
    nav, leverage, size, equity, *lines = values
    return Result(
        time=seen_at,
        price=price,
        nav=nav,
        leverage=leverage,
        size=size,
        equity=equity,
        attribution=dict(zip(LINES, lines, strict=True)),
        trades=trades,
        turnover=float(np.sum(np.abs(trades["size"]) * trades["price"] / trades["equity"])),
        ruined_at=int(ruined_at) if ruined_at else None,
    )


def prepare() -> None:
    """Compile what `run` needs, which takes some ten seconds, or load it from a run before."""
    idle = Policy(**{**{field.name: 0 for field in fields(Policy)}, "period": DAY})
    run(_Flat(np.arange(2), *[np.ones(2)] * 4), Token(1.0, idle))


def _check(bars: Bars, token: Token, funding: Funding | None, every: int) -> None:
    """Refuse what would only fail later, or silently."""
    n = len(bars.time)
    if n < 2:
        raise InputError(f"{n} bars: there must be at least 2")
    for name in ("open", "high", "low", "close"):
        values = getattr(bars, name)
        if len(values) != n:
            raise InputError(f"{len(values)} values of {name} for {n} bars")
        if not (np.min(values) > 0 and np.max(values) < math.inf):
            at = int(np.argmin(np.where(np.isfinite(values), values, -1)))
            raise InputError(f"{name} of the bar at {int(bars.time[at])} is {values[at]}: it must be above 0")
    steps = np.diff(bars.time)
    if steps[0] <= 0 or np.any(steps != steps[0]):
        at = int(np.argmax(steps != steps[0])) if steps[0] > 0 else 0
        raise InputError(
            f"bars are {steps[0]} s apart, but {steps[at]} s after {int(bars.time[at])}: fill the gaps first"
        )
    if funding is not None and np.any(np.diff(funding.time) < 0):
        raise InputError("funding payments must be in order of time")
    if funding is not None and not np.all(np.isfinite(funding.rate)):
        at = int(np.argmin(np.isfinite(funding.rate)))
        raise InputError(
            f"the funding rate at {int(funding.time[at])} is {funding.rate[at]}: it must be finite"
        )
    if not 1 <= abs(token.target) <= 5:
        raise InputError(f"target {token.target:g}x: it must be 1x to 5x, long or short")
    costs = token.costs
    if not (0 <= costs.fee < 1 and 0 <= costs.impact < math.inf and abs(costs.skew) < 1):
        raise InputError(f"{costs}: fee and impact may not be negative, nor fee and skew beyond 1")
    if not 0 < token.capital < math.inf:
        raise InputError(f"capital of {token.capital:g}: it must be above 0")
    if every < 1:
        raise InputError(f"a row for every {every} bars: it must be at least 1")


def _floats(values: Any) -> Floats:
    return np.ascontiguousarray(values, np.float64)


def _ints(values: Any) -> Ints:
    return np.ascontiguousarray(values, np.int64)


def _terms(token: Token) -> Any:
    """The token as the compiled rules take it: seconds and triggers as they are, all else in units."""
    policy = {
        name: value if name in IN_SECONDS else value / WAD for name, value in asdict(token.policy).items()
    }
    unscheduled = policy | {"triggers": token.policy.triggers & ~rules.SCHEDULED}
    return _Terms(
        target=float(token.target),
        policy=_Policy(**policy),
        policy_at_extremes=_Policy(**unscheduled),
        management_per_day=token.fees.management_per_day / WAD,
        costs=_Costs(*map(float, astuple(token.costs))),
        capital=float(token.capital),
        is_keeper=token.is_keeper,
    )


# Compiled


@inlined
def _fill(costs: Any, size_delta: Any, price: Any) -> Any:
    """Price at which a trade is filled, and the fee on it."""
    own = price + price * costs.skew
    worse = abs(lm.notional(size_delta, own)) * costs.impact
    dealt = venue.fill_price(own, worse, size_delta > 0)
    return dealt, lm.fee_up(abs(lm.notional(size_delta, dealt)), costs.fee)


@inlined
def _cost(costs: Any, size_delta: Any, price: Any) -> Any:
    """What a trade costs against the index, and how much of that is the fee."""
    dealt, fee = _fill(costs, size_delta, price)
    return lm.cost_of(size_delta, -lm.notional(size_delta, dealt) - fee, price), fee


@inlined
def _planned(terms: Any, policy: Any, trigger: Any, wanted: Any, price: Any, leverage: Any) -> Any:
    """InstantVault's plan: net of its own cost, cut to a chunk; 0 when too small or filled too badly."""
    cost, _ = _cost(terms.costs, wanted, price)
    size_delta = rules.chunk(policy, lm.size_net_of_cost(wanted, price, terms.target, cost), price)
    if trigger != Trigger.EMERGENCY and abs(lm.notional(size_delta, price)) < policy.min_notional:
        return 0.0
    dealt, _ = _fill(terms.costs, size_delta, price)
    worst = lm.worst_price(price, size_delta, rules.slippage(policy, leverage))
    return 0.0 if (dealt > worst if size_delta > 0 else dealt < worst) else size_delta


@inlined
def _last(fund: Any) -> Any:
    """The policy's memory."""
    return _Rebalancing(fund.last_price, fund.last_time, fund.last_chunk, fund.last_buying)


@inlined
def _is_quiet(terms: Any, fund: Any, price: Any, time: Any) -> Any:
    """Whether nothing can fall due at a price until a schedule's next slot."""
    equity = lm.equity(fund.cash, fund.size, price)
    if equity <= 0:
        return False
    leverage = lm.leverage(fund.size, price, equity)
    # Whoever acts, and however lately the last chunk was traded.
    late = max(time, fund.last_time + terms.policy.cooldown)
    return rules.due(terms.policy, _last(fund), terms.target, price, leverage, late, True) == Trigger.NONE


@inlined
def _last_within(adverse: Any, other: Any, i: Any, until: Any, low: Any, high: Any) -> Any:
    """The last bar before `until` up to which all after `i` have their extremes between two prices."""
    for k in range(i + 1, until):
        if min(adverse[k], other[k]) < low or max(adverse[k], other[k]) > high:
            return k - 1
    return max(i, until - 1)


@inlined
def _appended(rows: Any, count: Any, row: Any) -> Any:
    """The rows with one more after the first `count`."""
    if count == len(rows):
        larger = np.empty(2 * len(rows), rows.dtype)
        for i in range(count):
            larger[i] = rows[i]
        rows = larger
    rows[count] = row
    return rows


@inlined
def _opened(terms: Any, price: Any, time: Any) -> Any:
    """The fund at its target, with nav at 1."""
    fund = np.zeros(1, FUND)[0]
    fund.bar = -1
    fund.time = fund.last_time = time
    fund.last_price = price
    fund.size = lm.size_to_leverage(terms.target, terms.capital, 0, price)
    fund.cash = terms.capital - lm.notional(fund.size, price)
    fund.supply = terms.capital
    fund.nav = 1.0
    return fund


@inlined
def _accrue(terms: Any, fund: Any, price: Any, time: Any, owed: Any) -> Any:
    """Book the move of the price, funding `owed`, and the management fee since the last booking."""
    moved = lm.nav(lm.equity(fund.cash, fund.size, price), fund.supply)
    fund.cash -= owed
    equity = lm.equity(fund.cash, fund.size, price)
    funded = lm.nav(equity, fund.supply)
    fund.supply += lm.management_shares(fund.supply, terms.management_per_day * (time - fund.time) / DAY)
    charged = lm.nav(equity, fund.supply)
    fund.price_line += moved - fund.nav
    fund.funding_line += funded - moved
    fund.management_fee_line += charged - funded
    fund.nav = charged
    fund.time = time


@inlined
def _rebalance(terms: Any, policy: Any, fund: Any, trade: Any, price: Any, time: Any) -> Any:
    """Do what the rules say, if they say anything, and write it to `trade`; whether they did."""
    target, last = terms.target, _last(fund)
    equity = lm.equity(fund.cash, fund.size, price)
    if equity <= 0:
        return False
    leverage = lm.leverage(fund.size, price, equity)
    snapshot: Any = _Snapshot(price, price, fund.size, equity, fund.supply, leverage, target, last, 0, False)
    trigger, wanted = rules.rebalance(snapshot, policy, time, terms.is_keeper, None)
    size_delta: Any = (
        0.0 if trigger == Trigger.NONE else _planned(terms, policy, trigger, wanted, price, leverage)
    )
    if size_delta == 0:
        return False

    _accrue(terms, fund, price, time, 0.0)
    cost, fee = _cost(terms.costs, size_delta, price)
    fund.size += size_delta
    fund.cash -= lm.notional(size_delta, price) + cost
    left = lm.equity(fund.cash, fund.size, price)
    traded = lm.nav(left, fund.supply)
    by_fee = lm.nav(left + fee, fund.supply) - traded
    fund.venue_fee_line -= by_fee
    fund.slippage_line += traded - fund.nav + by_fee
    if trigger == Trigger.SCHEDULED and last.time < rules.slot_start(policy, time) and left > 0:
        tip: Any = lm.tip(rules.lateness(policy, time), policy.tip_rate, policy.tip_cap)
        tip = min(tip, left / TIP_SHARE)
        fund.supply += lm.to_shares_down(tip, left, fund.supply)
    fund.nav = lm.nav(left, fund.supply)
    fund.venue_fee_line += fund.nav - traded

    reached = lm.leverage(fund.size, price, left)
    fund.last_price = price
    fund.last_time = time
    fund.last_chunk = Trigger.NONE if abs(reached - target) <= policy.tolerance else trigger
    fund.last_buying = size_delta > 0
    trade.time = time
    trade.trigger = trigger
    trade.price = price
    trade.size = size_delta
    trade.equity = equity
    trade.leverage_before = leverage
    trade.leverage_after = reached
    trade.fee = fee
    trade.slippage = cost - fee
    return True


@compiled
def _replay(
    time: Any,
    interval: Any,
    opens: Any,
    adverse: Any,
    other: Any,
    close: Any,
    first: Any,
    is_screened: Any,
    paid_at: Any,
    rates: Any,
    terms: Any,
) -> Any:
    """The fund whenever it was booked, its trades, and when it was ruined, else 0."""
    fund, trade = _opened(terms, opens[0], time[0] + interval * first // CLOSE), np.zeros(1, TRADES)[0]
    ledger, booked = _appended(np.empty(64, FUND), 0, fund), 1
    trades, traded = np.empty(64, TRADES), 0
    # The next payment, and the prices between which nothing can fall due before a schedule's next slot.
    payment = np.searchsorted(paid_at, fund.time, side="right")
    quiet_low, quiet_high, quiet_until = math.inf, 0.0, time[0]
    i = -1
    while i + 1 < len(time):
        i += 1
        if is_screened:
            ends = time[i] + interval
            if ends >= quiet_until:
                quiet_low, quiet_high = math.inf, 0.0
                quiet_until = rules.slot_start(terms.policy, ends + terms.policy.period)
            pays_at = paid_at[payment] if payment < len(paid_at) else quiet_until
            low, high = min(adverse[i], other[i]), max(adverse[i], other[i])
            if low < quiet_low and _is_quiet(terms, fund, low, ends):
                quiet_low, quiet_high = low, max(low, quiet_high)
            if high > quiet_high and _is_quiet(terms, fund, high, ends):
                quiet_low, quiet_high = min(high, quiet_low), high
            if quiet_low <= low and high <= quiet_high and ends < pays_at:
                # So are all bars within these prices that end before the next payment and the next slot.
                until = min((min(quiet_until, pays_at) - time[0] - 1) // interval, len(time))
                i = _last_within(adverse, other, i, until, quiet_low, quiet_high)
                continue

        for point in range(first, CLOSE + 1):
            now = time[i] + interval * point // CLOSE
            price = (opens[i], adverse[i], other[i], close[i])[point]
            unpaid = payment
            while payment < len(paid_at) and paid_at[payment] <= now:
                payment += 1
            if payment > unpaid:
                rate = np.sum(rates[unpaid:payment])
                _accrue(terms, fund, price, now, lm.notional(fund.size, price) * rate)
            policy = terms.policy if point == OPEN or point == CLOSE else terms.policy_at_extremes
            if _rebalance(terms, policy, fund, trade, price, now):
                trades, traded = _appended(trades, traded, trade), traded + 1
            elif payment == unpaid and lm.equity(fund.cash, fund.size, price) > 0:
                continue

            is_ruined = lm.equity(fund.cash, fund.size, price) <= 0
            if is_ruined:
                _accrue(terms, fund, price, now, 0.0)
                fund.size = fund.cash = 0.0
            fund.bar = i
            ledger, booked = _appended(ledger, booked, fund), booked + 1
            if is_ruined:
                return ledger[:booked].copy(), trades[:traded].copy(), now
            quiet_low, quiet_high = math.inf, 0.0
    return ledger[:booked].copy(), trades[:traded].copy(), 0


@compiled
def _at_rows(terms: Any, ledger: Any, bars: Any, time: Any, price: Any) -> Any:
    """Nav, leverage, size, equity and the attribution at the closes of these bars; bar -1 is the start."""
    values = np.empty((4 + len(LINES), len(bars)))
    entry = 0
    for row in range(len(bars)):
        while entry + 1 < len(ledger) and ledger[entry + 1].bar <= bars[row]:
            entry += 1
        fund = ledger[entry]
        days = (time[row] - fund.time) / DAY
        equity = lm.equity(fund.cash, fund.size, price[row])
        supply = fund.supply + lm.management_shares(fund.supply, terms.management_per_day * days)
        moved, nav = lm.nav(equity, fund.supply), lm.nav(equity, supply)
        values[0, row] = nav
        values[1, row] = lm.leverage(fund.size, price[row], equity)
        values[2, row] = fund.size
        values[3, row] = equity
        values[4, row] = fund.price_line + moved - fund.nav
        values[5, row] = fund.funding_line
        values[6, row] = fund.venue_fee_line
        values[7, row] = fund.slippage_line
        values[8, row] = fund.management_fee_line + nav - moved
    return values
