"""The fund of E-2 on a zero-fee pool of constant depth, in integers.

Fast enough to search far beyond what the real venue allows, and its rules can be dropped one by one.
"""

from dataclasses import dataclass
from math import isqrt

from bench.attack import PRICE, Holdings, RefusedError
from leverage import leverage_math as lm
from leverage.types import WAD

Q96 = 2**96


@dataclass(frozen=True)
class Rules:
    """What an entry obeys, as in InstantVault."""

    is_sized_on_net: bool = True
    is_better_fill_the_funds: bool = True
    is_capped_by_exposure: bool = True


ALL_RULES = Rules()


class Pool:
    """One liquidity range of a Uniswap v3 pool without fees."""

    def __init__(self, root: int, liquidity: int):
        """`root`: sqrt(price) * 2^96."""
        self.root = root
        self.liquidity = liquidity

    @classmethod
    def deep(cls, price: int, depth: int) -> "Pool":
        """`depth`: quote money, WAD, that takes the price to four times itself."""
        root = _root(price)
        return cls(root, depth * Q96 // root)

    def quote(self, size: int) -> tuple[int, int]:
        """Change of cash by a trade, bought > 0, and the root it would leave."""
        scaled = self.liquidity * Q96
        if scaled <= size * self.root:
            raise RefusedError("the pool is dry")
        root = lm.ceil_div(scaled * self.root, scaled - size * self.root)
        if size > 0:
            return -lm.ceil_div(self.liquidity * (root - self.root), Q96), root
        return self.liquidity * (self.root - root) // Q96, root

    def trade(self, size: int) -> int:
        cash, self.root = self.quote(size)
        return cash

    def size_to(self, price: int) -> int:
        """What must be bought, WAD, to take the pool to a price."""
        return self.liquidity * Q96 // self.root - self.liquidity * Q96 // _root(price)


class ModelWorld:
    """A fund with one other holder, and the attacker."""

    def __init__(self, pool: Pool, size: int, cash: int, supply: int, rules: Rules = ALL_RULES):
        self.pool = pool
        self.size = size
        self.cash = cash
        self.supply = supply
        self.rules = rules
        self.price = PRICE
        self.money = self.shares = self.own_size = 0

    @classmethod
    def at_target(cls, target: int, fund: int, depth: int, rules: Rules = ALL_RULES) -> "ModelWorld":
        """A fund of an equity, exactly at its leverage, with the pool at the oracle's price."""
        size = lm.size_to_leverage(target, fund, 0, PRICE)
        return cls(Pool.deep(PRICE, depth), size, fund - lm.notional(size, PRICE), fund, rules)

    def holdings(self) -> Holdings:
        return Holdings(self.size, self.cash, self.supply, self.money, self.shares, self.own_size)

    def market(self, price: int) -> None:
        self.pool.trade(self.pool.size_to(price))

    def oracle(self, price: int) -> None:
        self.price = price

    def push(self, price: int) -> None:
        size = self.pool.size_to(price)
        self.money += self.pool.trade(size)
        self.own_size += size

    def mint(self, amount: int) -> None:
        equity = lm.equity(self.cash, self.size, self.price)
        if equity <= 0:
            raise RefusedError("underwater")
        leverage = lm.leverage(self.size, self.price, equity)
        size = self._size_for(amount, leverage)
        cash = self.pool.quote(size)[0]
        net = amount - self._cost(size, cash)
        if self.rules.is_capped_by_exposure:
            net = min(net, lm.carrying(size, self.price, leverage))
        if net <= 0:
            raise RefusedError("the cost exceeds the deposit")
        shares = lm.to_shares_down(net, equity, self.supply)
        self.pool.trade(size)
        self.size += size
        self.cash += amount + cash
        self.supply += shares
        self.shares += shares
        self.money -= amount

    def burn(self) -> None:
        size = -lm.portion_down(self.size, self.shares, self.supply)
        share_of_cash = lm.portion_down(self.cash, self.shares, self.supply)
        proceeds = share_of_cash + self.pool.quote(size)[0]
        if proceeds <= 0:
            raise RefusedError("nothing to pay")
        self.pool.trade(size)
        self.size += size
        self.cash -= share_of_cash
        self.supply -= self.shares
        self.shares = 0
        self.money += proceeds

    def _size_for(self, amount: int, leverage: int) -> int:
        """InstantVault's two quotes and a secant."""
        gross = lm.size_to_leverage(leverage, amount, 0, self.price)
        if not self.rules.is_sized_on_net:
            return gross
        cost = max(self._quoted_cost(gross), 0)
        size = lm.size_net_of_cost(gross, self.price, leverage, cost)
        over = lm.excess(gross, self.price, leverage, amount - cost)
        cost = max(self._quoted_cost(size), 0)
        size = lm.secant(gross, over, size, lm.excess(size, self.price, leverage, amount - cost))
        return size + 1 if size > 0 else size - 1

    def _quoted_cost(self, size: int) -> int:
        return self._cost(size, self.pool.quote(size)[0])

    def _cost(self, size: int, cash: int) -> int:
        """By how much a trade lowers equity; negative for a fill better than the oracle's price."""
        before = lm.equity(self.cash, self.size, self.price)
        cost = before - lm.equity(self.cash + cash, self.size + size, self.price)
        return max(cost, 0) if self.rules.is_better_fill_the_funds else cost


def _root(price: int) -> int:
    return isqrt((price << 192) // WAD)
