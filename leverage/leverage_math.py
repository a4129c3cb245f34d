"""Integer twin of contracts/libraries/LeverageMath.sol: the same functions, the same rounding, to the wei.

All amounts WAD unless named otherwise. Like Solidity's, signed division truncates towards zero. Where
Solidity reverts on overflow, Python carries on with the exact number; division by zero raises.
"""

from leverage.types import WAD, Sizes

VIRTUAL = 10**12
INFINITE_LEVERAGE = 2**127 - 1


def div(numerator: int, denominator: int) -> int:
    """Solidity's signed division: towards zero, where Python's `//` goes towards minus infinity."""
    quotient = abs(numerator) // abs(denominator)
    return quotient if (numerator < 0) == (denominator < 0) else -quotient


def ceil_div(numerator: int, denominator: int) -> int:
    """Division of non-negative numbers, rounded up."""
    return -(-numerator // denominator)


# Value


def equity(cash: int, size: int, price: int) -> int:
    """E-1: cash + size * price."""
    return cash + notional(size, price)


def notional(size: int, price: int) -> int:
    """size * price, signed."""
    return div(size * price, WAD)


def nav(equity_: int, supply: int) -> int:
    """Equity per share; 1 when there is no share, 0 when equity is not positive."""
    if supply == 0:
        return WAD
    if equity_ <= 0:
        return 0
    return (equity_ + VIRTUAL) * WAD // (supply + VIRTUAL)


def leverage(size: int, price: int, equity_: int) -> int:
    """Signed leverage; infinite in the position's direction when equity is not positive."""
    if size == 0:
        return 0
    if equity_ <= 0:
        return INFINITE_LEVERAGE if size > 0 else -INFINITE_LEVERAGE
    return div(notional(size, price) * WAD, equity_)


# Shares


def to_shares_down(net: int, equity_: int, supply: int) -> int:
    """E-2: shares for `net` of collateral that joined `equity_`; one for one when there is no share."""
    if supply == 0:
        return net
    return net * (supply + VIRTUAL) // (_unsigned(equity_) + VIRTUAL)


def to_net_up(shares: int, equity_: int, supply: int) -> int:
    """The least `net` for which `to_shares_down` gives `shares`."""
    if supply == 0:
        return shares
    return ceil_div(shares * (_unsigned(equity_) + VIRTUAL), supply + VIRTUAL)


def portion_down(amount: int, shares: int, supply: int) -> int:
    """`amount * shares / supply` towards minus infinity: what a leaver takes of cash and position."""
    return amount * shares // supply


# Trades


def size_to_leverage(leverage_: int, equity_: int, size: int, price: int) -> int:
    """E-6 before its own cost: (leverage * equity - size * price) / price, base units."""
    return div(leverage_ * equity_, price) - size


def cost_of(size: int, cash: int, price: int) -> int:
    """What a fill cost against the index; negative when it was better than the index."""
    return -(cash + notional(size, price))


def size_net_of_cost(size_delta: int, price: int, leverage_: int, cost: int) -> int:
    """`size_delta` corrected for its own cost, so that leverage is `leverage_` after the cost is paid."""
    traded = notional(size_delta, price)
    corrected = traded + div(leverage_ * cost, WAD)
    if corrected == 0 or (corrected > 0) != (traded > 0):
        return size_delta
    return div(size_delta * traded, corrected)


def capped(size_delta: int, price: int, most: int) -> int:
    """`size_delta` cut to a notional of `most`."""
    traded = abs(notional(size_delta, price))
    return size_delta if traded <= most else div(size_delta * most, traded)


def excess(size: int, price: int, leverage_: int, net: int) -> int:
    """Notional that `size` has beyond what `net` of collateral carries at `leverage_`."""
    return notional(size, price) - div(leverage_ * net, WAD)


def secant(x0: int, y0: int, x1: int, y1: int) -> int:
    """Where the line through (x0, y0) and (x1, y1) crosses zero; x1 when it does not."""
    return x1 if y0 == y1 else x1 - div(y1 * (x1 - x0), y1 - y0)


def carrying(size: int, price: int, leverage_: int) -> int:
    """Collateral that carries `size` at `leverage_`, the two of one sign."""
    return abs(size) * price // abs(leverage_)


def worst_price(price: int, size_delta: int, slippage: int) -> int:
    """Worst acceptable price of a trade, a fraction `slippage` from `price`."""
    return price * (WAD + slippage if size_delta > 0 else _unsigned(WAD - slippage)) // WAD


# Batches


def order(sizes: Sizes) -> int:
    """E-3: the order that is left when the parties have crossed."""
    return sizes.enter + sizes.leave + sizes.rebalance


def cost_share(cost: int, part: int, sizes: Sizes) -> int:
    """What a party of size `part` bears of the order's cost, up: by size, among those in its direction."""
    side = _side(sizes)
    return 0 if side == 0 else ceil_div(cost * along(part, order(sizes)), side)


def gain_share(gain: int, part: int, sizes: Sizes) -> int:
    """What a party of size `part` gets of a fill's improvement on the index, down, in the same way."""
    side = _side(sizes)
    return 0 if side == 0 else gain * along(part, order(sizes)) // side


def along(part: int, whole: int) -> int:
    """|part| when it has the direction of `whole`, else 0."""
    return abs(part) if part != 0 and (part > 0) == (whole > 0) else 0


def unfilled(filled: int, whole: int) -> int:
    """WAD fraction of the order `whole` that a fill left, up; the two of one sign."""
    part, all_ = abs(filled), abs(whole)
    return 0 if part >= all_ else ceil_div((all_ - part) * WAD, all_)


def joining(size: int, net: int, equity_: int) -> int:
    """Size that joins `size` so that `net` of new collateral carries the same leverage as `equity_`."""
    return div(size * net, equity_)


# Fees


def fee_up(amount: int, rate: int) -> int:
    """E-4: a fee of `rate` on `amount`, in the amount's unit, rounded up."""
    return ceil_div(amount * rate, WAD)


def gross_up(net: int, rate: int) -> int:
    """The least gross amount that leaves `net` after `fee_up`."""
    return ceil_div(net * WAD, _unsigned(WAD - rate))


def management_shares(supply: int, accrued: int) -> int:
    """E-4: shares that dilute holders by exp(-accrued), the integral of the rate since the last accrual."""
    return supply * exp_minus_one(accrued) // WAD


def exp_minus_one(x: int) -> int:
    """exp(x) - 1 by its series, x >= 0."""
    total, term, n = 0, x, 2
    while term > 0:
        total += term
        term = term * x // (n * WAD)
        n += 1
    return total


def tip(late: int, rate: int, cap: int) -> int:
    """Tip for a scheduled rebalance `late` seconds after it was open to everybody."""
    return min(late * rate, cap)


# Geometry of leverage


def drifted(leverage_: int, move: int) -> int:
    """Leverage after the index moved by the fraction `move`: L(1+r)/(1+Lr); infinite past ruin."""
    left = WAD + div(leverage_ * move, WAD)
    if left <= 0:
        return INFINITE_LEVERAGE if leverage_ > 0 else -INFINITE_LEVERAGE
    return div(leverage_ * (WAD + move), left)


def move_to(leverage_: int, edge: int) -> int:
    """Move of the index that takes `leverage_` to `edge`: (L-e)/(L(e-1))."""
    return div((leverage_ - edge) * WAD, div(leverage_ * (edge - WAD), WAD))


def move_to_liquidation(leverage_: int, maintenance: int) -> int:
    """Move of the index at which equity is `maintenance` of the notional: (m|L|-1)/(L-m|L|)."""
    held = div(maintenance * abs(leverage_), WAD)
    return div((held - WAD) * WAD, leverage_ - held)


def _side(sizes: Sizes) -> int:
    """Size of all that trade in the order's direction."""
    whole = order(sizes)
    return sum(along(part, whole) for part in (sizes.enter, sizes.leave, sizes.rebalance))


def _unsigned(value: int) -> int:
    """`value`, which Solidity could not hold when it is negative."""
    if value < 0:
        raise OverflowError(f"{value} is negative where Solidity has an unsigned number")
    return value
