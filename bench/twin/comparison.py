"""What a chain and a twin beside it come to, and where they differ."""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from inspect import signature
from typing import Any

from devnet.artifacts import mock
from devnet.evm import EvmContract
from devnet.rpc import Contract, RevertError
from leverage import errors
from leverage.abi import snake
from leverage.twin.ground import Revert
from leverage.twin.vault import LeveragedVault

# What both sides refuse for want of an arithmetic that could do it.
PANICS = (
    "Panic", "SafeCastOverflowedIntToUint", "SafeCastOverflowedUintDowncast", "SafeCastOverflowedIntDowncast",
)  # fmt: skip
ABIS = ("InstantVault", "QueuedVault", "RequestQueue", "VaultTerms", "ChainlinkOracle", "MockERC20",
        "MockAdapter", "MockDelayedVenue", "Authority")  # fmt: skip


# A contract and its twin; a view's name and how each side shows it.
Side = tuple[EvmContract | Contract, Any]
View = tuple[str, Callable[[], Any], Callable[[], Any]]


class DifferenceError(AssertionError):
    """Chain and twin did not do the same."""


@dataclass(frozen=True)
class Outcome:
    """What came of an action: numbers, or the name and the arguments of an error."""

    values: tuple[Any, ...] = ()
    error: str = ""


class Comparison(ABC):
    """What chain and twin did beside each other: counted by kind, and whatever differed is kept."""

    vault: EvmContract | Contract
    twin: LeveragedVault

    def __init__(self) -> None:
        self.steps = 0
        self.done: Counter[str] = Counter()
        self.max_diff = 0
        self.differences: list[str] = []

    @abstractmethod
    def views(self) -> Iterator[View]:
        """What must be the same after each step, by name: on the chain and in the twin."""

    def agree(self, name: str, chain: Outcome, twin: Outcome) -> Outcome:
        """What both sides came to: the same action, and whatever differs in its numbers is kept."""
        self.check(name, chain, twin)
        self.done[chain.error or name] += 1
        return chain

    def check(self, name: str, chain: Outcome, twin: Outcome) -> None:
        """Keep what differs; another error, or none, is no matter of wei and raises."""
        if chain == twin:
            return
        if chain.error != twin.error or len(chain.values) != len(twin.values):
            raise DifferenceError(f"{name}: chain {chain}, twin {twin}")
        pairs = zip(chain.values, twin.values, strict=True)
        numbers = [abs(a - b) for a, b in pairs if isinstance(a, int) and isinstance(b, int)]
        self.max_diff = max(self.max_diff, *numbers)
        self.differences.append(f"step {self.steps}, {name}: chain {chain}, twin {twin}")

    def view(self, name: str, *arguments: Any, on: Side | None = None) -> View:
        """A view that both sides have, the twin as a function or as a plain value."""
        contract, twin = on or (self.vault, self.twin)
        shown = getattr(twin, name)
        return (
            f"{name}{arguments}",
            lambda: contract.call(camel(name), *arguments),
            (lambda: shown(*arguments)) if callable(shown) else (lambda: shown),
        )

    def compare(self) -> None:
        """Every view on both sides."""
        for name, on_chain, in_twin in self.views():
            chain, twin = outcome(on_chain), outcome(in_twin)
            # Solidity's numbers end, Python's do not: it gets on to the next reason for refusing, such as in
            # a preview of what an entry at infinite leverage would buy.
            if not (chain.error == "Panic" and twin.error):
                self.check(name, chain, twin)

    def has_done(self, kinds: Iterable[str]) -> bool:
        """Whether each of these has happened."""
        return all(self.done[kind] for kind in kinds)


@cache
def error_table() -> errors.Errors:
    return errors.error_table(mock(name).abi for name in ABIS)


def outcome(action: Callable[[], Any]) -> Outcome:
    """What an action came to, on either side."""
    try:
        return Outcome(words(action()))
    except Revert as refusal:
        return refused(refusal.name, refusal.arguments)
    except (OverflowError, ZeroDivisionError):
        return refused("Panic", ())
    except RevertError as refusal:
        revert = errors.revert(bytes.fromhex(refusal.data[2:]), error_table())
        if not revert.name:
            raise
        return refused(revert.name, revert.fields.values())


def refused(name: str, arguments: Iterable[Any]) -> Outcome:
    if name in PANICS:
        return Outcome(error="Panic")
    return Outcome(tuple(map(plain, arguments)), name)


def plain(argument: Any) -> Any:
    """An error's argument, the same from either side."""
    if isinstance(argument, bytes):
        return snake(argument.rstrip(b"\0").decode())
    return argument.lower() if isinstance(argument, str) else argument


def words(value: Any) -> tuple[int, ...]:
    """Any result as the words that a contract would return."""
    if value is None:
        return ()
    if isinstance(value, int):
        return (int(value),)
    parts = value if isinstance(value, tuple | list) else vars(value).values()
    return tuple(word for part in parts for word in words(part))


def address(answer: tuple[int, ...]) -> str:
    return f"0x{answer[0]:040x}"


def camel(name: str) -> str:
    """`fees_owed` as `feesOwed`."""
    head, *rest = name.split("_")
    return head + "".join(map(str.capitalize, rest))


@cache
def takes_sender(function: Callable[..., Any]) -> bool:
    return "sender" in signature(function).parameters
