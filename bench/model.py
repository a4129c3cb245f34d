"""The fund of E-2 on a zero-fee pool of constant depth, in integers: fast enough to search far beyond the venue's limits."""

from dataclasses import dataclass
from math import isqrt

from bench.attack import PRICE, Holdings, Refused
from leverage import leverage_math as lm
from leverage.types import WAD

Q96 = 2**96


@dataclass(frozen=True)
class Rules:
    """The rules of entering that make the difference. Drop one and see."""

    is_sized_on_net: bool = True
    is_better_fill_the_funds: bool = True
    is_net_what_was_bought: bool = True
    is_quoted_twice: bool = False


class Pool:
    """One liquidity range of a Uniswap v3 pool without fees."""

    def __init__(self, price: int, depth: int):
        """`depth`: quote money, WAD, that takes the pool's price to four times itself."""
        self.root = isqrt((price << 192) // WAD)
        self.liquidity = depth * Q96 // self.root

    def quote(self, size: int) -> tuple[int, int]:
        """Change of cash for a trade, bought > 0, and where it would leave the pool."""
        scaled = self.liquidity * Q96
        if scaled <= size * self.root:
            raise Refused("dry")
        root = lm.ceil_div(scaled * self.root, scaled - size * self.root)
        if size > 0:
            return -lm.ceil_div(self.liquidity * (root - self.root), Q96), root
        return self.liquidity * (self.root - root) // Q96, root

    def trade(self, size: int) -> int:
        cash, self.root = self.quote(size)
        return cash

    def size_to(self, price: int) -> int:
        """What must be bought, WAD, to take the pool to a price."""
        root = isqrt((price << 192) // WAD)
        return self.liquidity * Q96 // self.root - self.liquidity * Q96 // root


class ModelWorld:
    """A fund with one other holder, and the attacker."""

    def __init__(self, target: int, fund: int, depth: int, rules: Rules = Rules()):  # noqa: B008
        self.rules = rules
        self.pool = Pool(PRICE, depth)
        self.oracle_price = PRICE
        self.size = target * fund // PRICE
        self.cash = fund - lm.notional(self.size, PRICE)
        self.supply = fund
        self.money = self.shares = self.own_size = 0

    def holdings(self) -> Holdings:
        return Holdings(self.size, self.cash, self.supply, self.money, self.shares, self.own_size)

    def market(self, price: int) -> None:
        self.pool.trade(self.pool.size_to(price))

    def oracle(self, price: int) -> None:
        self.oracle_price = price

    def push(self, price: int) -> None:
        size = self.pool.size_to(price)
        self.money += self.pool.trade(size)
        self.own_size += size

    def mint(self, amount: int) -> None:
        price = self.oracle_price
        equity = lm.equity(self.cash, self.size, price)
        if equity <= 0:
            raise Refused("underwater")
        leverage = lm.leverage(self.size, price, equity)
        size = self._size_for(amount, leverage)
        cash = self.pool.trade(size)
        cost = lm.cost_of(size, cash, price)
        if cost < 0 and self.rules.is_better_fill_the_funds:
            cost = 0
        net = amount - cost
        if self.rules.is_net_what_was_bought:
            net = min(net, lm.div(size * price, leverage))
        if net <= 0:
            raise Refused("the cost exceeds the deposit")
        shares = lm.to_shares_down(net, equity, self.supply)
        self.size += size
        self.cash += amount + cash
        self.supply += shares
        self.shares += shares
        self.money -= amount

    def burn(self) -> None:
        size = -lm.portion_down(self.size, self.shares, self.supply)
        proceeds = lm.portion_down(self.cash, self.shares, self.supply)
        proceeds += self.pool.trade(size)
        self.size += size
        self.cash += -lm.portion_down(self.cash, self.shares, self.supply)
        self.supply -= self.shares
        self.shares = 0
        self.money += proceeds

    def _size_for(self, amount: int, leverage: int) -> int:
        price = self.oracle_price
        gross = lm.size_to_leverage(leverage, amount, 0, price)
        if not self.rules.is_sized_on_net:
            return gross
        cost = max(lm.cost_of(gross, self.pool.quote(gross)[0], price), 0)
        size = lm.size_net_of_cost(gross, price, leverage, cost)
        if self.rules.is_quoted_twice and cost > 0:
            cost = max(lm.cost_of(size, self.pool.quote(size)[0], price), 0)
            size = self._secant(gross, size, leverage, amount, cost)
        return size

    def _secant(self, gross, size, leverage, amount, cost1):
        price=self.oracle_price
        cost0 = max(lm.cost_of(gross, self.pool.quote(gross)[0], price), 0)
        f0 = gross*price//WAD - leverage*(amount-cost0)//WAD
        f1 = size*price//WAD - leverage*(amount-cost1)//WAD
        if f0==f1: return size
        return size - f1*(size-gross)//(f1-f0)
