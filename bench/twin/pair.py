"""A vault on an ideal venue in this process, and its twin: whatever is done to one is done to the other.

Prices and rates WAD, `assets` in the collateral's own decimals, seconds.
"""

import random
from abc import abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import astuple, dataclass, is_dataclass
from typing import Any

from bench.twin.comparison import Comparison, Outcome, Side, View, address, camel, outcome, takes_sender
from devnet.artifacts import mock
from devnet.evm import NOBODY, Evm, EvmContract
from devnet.venue import actor
from leverage.twin.ground import Chain, Oracle, Token
from leverage.twin.vault import LeveragedVault
from leverage.types import ADMIN_ROLE, DAY, GUARDIAN_ROLE, KEEPER_ROLE, WAD, Caps, Fees, Policy

GENESIS = 1_767_225_600  # A midnight.
HEARTBEAT = 2 * DAY
DELAY = 3_600  # Of the timelock, seconds.
FEED_UNIT = 10**10  # WAD per unit of the feed's answer.
FOREVER = 2**256 - 1
WEALTH = 10**9  # Whole collateral that each user has.
OWNER, KEEPER, STRANGER, TREASURY = map(actor, ("owner", "keeper", "stranger", "treasury"))
USERS = [actor(f"user {i}") for i in range(4)]


@dataclass(frozen=True)
class Setting:
    """What a history is played in, drawn once."""

    target: int
    decimals: int
    price: int
    policy: Policy
    fees: Fees
    caps: Caps
    max_deviation: int
    venue_max: int

    @classmethod
    def drawn(cls, draw: random.Random) -> "Setting":
        target = draw.choice([-5, -4, -3, -2, -1, 1, 2, 3, 4, 5]) * WAD
        decimals = draw.choice([6, 18])
        caps = Caps(2**127, 2**127)
        if draw.random() < 0.3:
            caps = drawn_caps(draw, 10**decimals)
        price = draw.choice([draw.randint(10**6, 10**8), draw.randint(10**10, 10**13)]) * FEED_UNIT
        return cls(
            target=target,
            decimals=decimals,
            price=price,
            policy=drawn_policy(draw, abs(target)),
            fees=drawn_fees(draw),
            caps=caps,
            max_deviation=draw.choice([WAD // 50, WAD // 5]),
            venue_max=draw.choice([10, 25]) * WAD,
        )


def drawn_policy(draw: random.Random, gearing: int) -> Policy:
    """Any policy that a vault of this |target| takes; `max_notional` is met now and then."""
    tolerance = draw.choice([WAD // 1_000, WAD // 50, gearing // 10])
    return Policy(
        triggers=draw.choice([7, 7, 3, 6]),
        period=draw.choice([3_600, 28_800, DAY]),
        offset=draw.choice([0, 120, 3_599]),
        exclusive=draw.choice([0, 600, 1_800]),
        cooldown=draw.choice([0, 60, 3_600]),
        band_min=gearing * draw.randint(50, 97) // 100,
        band_max=gearing * draw.randint(103, 150) // 100,
        emergency_move=draw.choice([WAD // 100, WAD // 10]),
        drift=max(tolerance, draw.choice([WAD // 1_000, WAD // 20, gearing // 2])),
        tolerance=tolerance,
        max_slippage=draw.choice([WAD // 2_000, WAD // 100]),
        emergency_slippage=draw.choice([WAD // 100, WAD // 5]),
        tip_rate=draw.choice([0, WAD // 1_000, WAD // 10]),
        tip_cap=draw.choice([0, 5 * WAD]),
        min_notional=draw.choice([0, 10, 1_000]) * WAD,
        max_notional=draw.choice([10**7, 10**7, draw.randint(2_000, 50_000)]) * WAD,
    )


def drawn_fees(draw: random.Random) -> Fees:
    """Any fees within the bounds; often none of a kind."""

    def rate(most: int) -> int:
        return draw.choice([0, most, draw.randint(0, most)])

    return Fees(rate(WAD // 100), rate(WAD // 100), rate(WAD // 1_000))


def drawn_caps(draw: random.Random, unit: int) -> Caps:
    """Caps that are met now and then; `unit` is one whole collateral."""
    return Caps(draw.randint(50_000, 500_000) * unit, draw.randint(100_000, 1_000_000) * unit)


class Pair(Comparison):
    """The chain's contracts, their twins, and the hands that move both."""

    vault: EvmContract
    twin: LeveragedVault
    venue: EvmContract
    twin_venue: Any

    def __init__(self, setting: Setting):
        super().__init__()
        self.setting = setting
        self.index = setting.price
        self.unit = 10**setting.decimals
        self.evm = Evm(GENESIS)
        self.chain = Chain(self.evm.timestamp)
        self.authority = self.new("Authority", OWNER)
        self.asset = self.new("MockERC20", "USD", "USD", setting.decimals)
        self.twin_asset = Token(self.chain, "asset", setting.decimals)
        self.feed = self.new("MockAggregator", 8, setting.price // FEED_UNIT)
        self.oracle = self.new("ChainlinkOracle", self.feed, HEARTBEAT, setting.max_deviation, NOBODY, 0)
        self.twin_oracle = Oracle(self.chain, setting.price, HEARTBEAT, setting.max_deviation)
        self.build()
        self.token = EvmContract(self.evm, mock("LeveragedToken"), address(self.vault.call("token")))
        self.terms = EvmContract(self.evm, mock("VaultTerms"), address(self.vault.call("terms")))
        self.send(self.authority, "grantRole", KEEPER_ROLE, KEEPER, 0)
        self.send(self.authority, "grantRole", GUARDIAN_ROLE, OWNER, 0)
        self.send(self.authority, "grantRole", ADMIN_ROLE, OWNER, DELAY)
        self.twin.terms.keepers.add(KEEPER)
        for user in USERS:
            self.send(self.asset, "mint", user, WEALTH * self.unit)
            self.twin_asset.mint(user, WEALTH * self.unit)
            for spender in self.spenders():
                self.send(self.asset, "approve", spender, FOREVER, sender=user)

    @abstractmethod
    def build(self) -> None:
        """Venue and vault, here and there."""

    @abstractmethod
    def spenders(self) -> Iterable[str]:
        """Who pulls collateral from users."""

    def new(self, name: str, *arguments: Any) -> EvmContract:
        return self.evm.deploy(mock(name), OWNER, *arguments)

    def config(self) -> tuple[Any, ...]:
        """The constructor's argument."""
        s = self.setting
        return (
            "T", "T", s.target, self.venue, self.oracle, self.authority, TREASURY,
            astuple(s.policy), astuple(s.fees), astuple(s.caps),
        )  # fmt: skip

    def send(
        self, contract: EvmContract, name: str, *arguments: Any, sender: str = OWNER, value: int = 0
    ) -> Any:
        return contract.send(name, *arguments, sender=sender, value=value)

    # Both

    def do(
        self, name: str, *arguments: Any, sender: str = OWNER, on: Side | None = None, value: int = 0
    ) -> Outcome:
        """Call the same function on both sides, by the twin's name of it, which must come to the same;
        counted unless it was refused."""
        contract, twin = on or (self.vault, self.twin)
        function = getattr(twin, name)
        told = {"sender": sender} if takes_sender(function.__func__) else {}
        on_chain = outcome(lambda: contract.send(camel(name), *arguments, sender=sender, value=value))
        return self.agree(name, on_chain, outcome(lambda: function(*arguments, **told)))

    def common_views(self) -> Iterator[View]:
        """What every vault shows."""
        for name in ("snapshot", "attribution", "mark", "fees_owed", "minted_today"):
            yield self.view(name)
        yield self.view("due", KEEPER)
        yield self.view("position", on=(self.venue, self.twin_venue))
        for account in (*USERS, TREASURY, KEEPER, STRANGER, *self.spenders()):
            yield self.view("balance_of", account, on=(self.token, self.twin.token))
        for account in (*USERS, TREASURY, self.venue, *self.spenders()):
            yield self.view("balance_of", account, on=(self.asset, self.twin_asset))

    # What happens outside

    def warp(self, seconds: int) -> None:
        self.evm.warp(seconds)
        self.chain.now += seconds

    def move(self, index: int, venue: int | None = None) -> None:
        """The index, and with it the venue's price unless it is given its own."""
        self.index = max(FEED_UNIT, index // FEED_UNIT * FEED_UNIT)
        self.send(self.feed, "set", self.index // FEED_UNIT)
        self.twin_oracle.set(self.index)
        self.move_venue(self.index if venue is None else venue)

    def move_venue(self, price: int) -> None:
        self.send(self.venue, "setPrice", price)
        self.twin_venue.venue_price = price

    def turn(self, knob: str, value: int) -> None:
        """One of the venue's knobs, by the twin's name."""
        self.send(self.venue, camel(f"set_{knob}"), value)
        setattr(self.twin_venue, knob, value)

    def at_venue(self, name: str, *arguments: Any, sender: str = OWNER) -> Outcome:
        return self.do(name, *arguments, sender=sender, on=(self.venue, self.twin_venue))

    def with_terms(self, name: str, *arguments: Any) -> Outcome:
        return self.do(name, *arguments, on=(self.terms, self.twin.terms))

    def by_timelock(self, name: str, *arguments: Any) -> Outcome:
        """Change the terms: scheduled, waited for, executed. What they refuse changes nothing."""
        fields = (astuple(a) if is_dataclass(a) else a for a in arguments)
        data = self.terms.data(camel(name), *fields)
        self.send(self.authority, "schedule", self.terms, data, 0)
        self.warp(DELAY)
        on_chain = outcome(lambda: self.send(self.authority, "execute", self.terms, data)[:0])
        done = self.agree(name, on_chain, outcome(lambda: getattr(self.twin.terms, name)(*arguments)))
        if done.error:
            self.send(self.authority, "cancel", OWNER, self.terms, data)
        return done
