"""What the contracts stand on: time, transactions that are all or nothing, tokens, the index price."""

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from leverage.types import WAD

UINT256_MAX = 2**256 - 1
P = ParamSpec("P")
R = TypeVar("R")


class Revert(Exception):  # noqa: N818 - Solidity's word.
    """A transaction that the contracts refuse, by the name and the arguments of their error."""

    def __init__(self, name: str, *arguments: Any):
        super().__init__(f"{name}({', '.join(map(str, arguments))})")
        self.name = name
        self.arguments = arguments


def require(is_met: bool, name: str, *arguments: Any) -> None:
    """Revert with an error unless a condition is met."""
    if not is_met:
        raise Revert(name, *arguments)


def fitting(value: int, least: int, most: int) -> int:
    """`value`, which Solidity cannot store where there is no room for it."""
    if not least <= value <= most:
        raise OverflowError(f"{value} is not from {least} to {most}")
    return value


class Chain:
    """The time, seconds, and every contract that a transaction can change."""

    def __init__(self, now: int):
        self.now = now
        self.contracts: list[Contract] = []


class Contract:
    """Something with an address and a state of its own: values that are replaced, or dicts and sets of
    such."""

    def __init__(self, chain: Chain, address: str):
        self.chain = chain
        self.address = address
        chain.contracts.append(self)

    def saved(self) -> dict[str, Any]:
        """The state as it is now, for `restore`."""
        return {name: _copied(value) for name, value in vars(self).items()}

    def restore(self, state: dict[str, Any]) -> None:
        """Back to what was saved."""
        vars(self).update(state)


def transaction(function: Callable[P, R]) -> Callable[P, R]:
    """A contract's method that changes nothing anywhere when it reverts; arithmetic that Solidity cannot do
    is a Panic."""

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        contract: Any = args[0]
        before = [(each, each.saved()) for each in contract.chain.contracts]
        try:
            return function(*args, **kwargs)
        except (Revert, OverflowError, ZeroDivisionError) as refusal:
            for each, state in before:
                each.restore(state)
            if isinstance(refusal, Revert):
                raise
            raise Revert("Panic", str(refusal)) from refusal

    return call


def _copied(value: Any) -> Any:
    return value.copy() if isinstance(value, dict | set) else value


class Token(Contract):
    """An ERC-20's balances: collateral, or shares. Allowances are taken to be there."""

    def __init__(self, chain: Chain, address: str, decimals: int = 18):
        super().__init__(chain, address)
        self.decimals = decimals
        self.supply = 0
        self.balances: dict[str, int] = {}

    def balance_of(self, account: str) -> int:
        return self.balances.get(account, 0)

    def mint(self, to: str, amount: int) -> None:
        self._give(to, amount)
        self.supply += amount

    def burn(self, owner: str, amount: int) -> None:
        self._take(owner, amount)
        self.supply -= amount

    def transfer(self, owner: str, to: str, amount: int) -> None:
        self._take(owner, amount)
        self._give(to, amount)

    def _give(self, to: str, amount: int) -> None:
        self.balances[to] = self.balance_of(to) + fitting(amount, 0, UINT256_MAX)

    def _take(self, owner: str, amount: int) -> None:
        held = self.balance_of(owner)
        require(held >= amount, "ERC20InsufficientBalance", owner, held, amount)
        self.balances[owner] = held - amount


class Oracle(Contract):
    """Twin of ChainlinkOracle.sol on a feed of its own, without the sequencer.

    `heartbeat` in seconds, `max_deviation` a WAD fraction; prices WAD.
    """

    def __init__(
        self,
        chain: Chain,
        price: int,
        heartbeat: int = 2**32,
        max_deviation: int = WAD,
        address: str = "oracle",
    ):
        super().__init__(chain, address)
        self.heartbeat = heartbeat
        self.max_deviation = max_deviation
        self.set(price)

    def set(self, price: int) -> None:
        """The feed answers `price` from now on."""
        self.answer = price
        self.updated_at = self.chain.now

    def price(self) -> int:
        age = self.chain.now - self.updated_at
        require(age <= self.heartbeat, "PriceStale", self.updated_at, age, self.heartbeat)
        require(self.answer > 0, "PriceNotPositive", self.answer)
        return self.answer

    def price_near(self, venue_price: int) -> int:
        """The price, if the venue's is near it."""
        index = self.price()
        is_near = abs(venue_price - index) <= index * self.max_deviation // WAD
        require(is_near, "PriceDeviates", index, venue_price, self.max_deviation)
        return index
