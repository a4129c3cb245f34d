"""A vault on a real venue, and its twin that is told the venue's fills: what both venues have in common."""

import random
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from dataclasses import astuple
from typing import Any

from eth_utils import keccak

from bench.rig import ADMIN, HEARTBEAT, KEEPER, TREASURY, Fund, Rig, default_deviation
from bench.twin.comparison import (
    Comparison,
    DifferenceError,
    Outcome,
    Side,
    View,
    camel,
    error_table,
    outcome,
    takes_sender,
)
from bench.twin.pair import drawn_fees
from bench.twin.player import Action
from devnet.artifacts import mock
from devnet.rpc import Contract, Receipt, RevertError
from devnet.venue import actor
from leverage import errors
from leverage import leverage_math as lm
from leverage.abi import signature
from leverage.twin.ground import Chain, Oracle, Revert, Token
from leverage.twin.recorded import RecordedVenue
from leverage.twin.venue import Position
from leverage.types import DAY, KEEPER_ROLE, WAD, Fees

MARKET = "ETH"
STRANGER = actor("stranger")
USERS = [actor(f"user {i}") for i in range(3)]
MOST = 5  # Times as long a history may become for the sake of what must happen in it.
WEALTH = 10**8  # Whole collateral that each user has.


class RealPair(Comparison):
    """Time stands still but where `warp` moves it, so that a view tells what a transaction will find."""

    twin_venue: RecordedVenue
    # Wei of cash that the venue may round when it writes the account down.
    grain: int

    def __init__(self, rig: Rig, fund: Fund):
        super().__init__()
        self.rig, self.fund, self.rpc = rig, fund, rig.rpc
        self.vault, self.token = fund.vault, fund.token
        self.unit: int = rig.perp.unit
        self.asset = rig.perp.settlement_token
        self.terms = Contract(self.rpc, mock("VaultTerms"), self.vault.call("terms"))
        self.chain = Chain(self.rpc.timestamp())
        self.twin_asset = Token(self.chain, "asset", rig.perp.decimals)
        self.twin_oracle = Oracle(self.chain, 0, HEARTBEAT, default_deviation(MARKET))
        self.build()
        # The block whose quotes the twin sees.
        self.block = "latest"
        rig.authority.send("grantRole", KEEPER_ROLE, KEEPER, 0, sender=ADMIN)
        self.twin.terms.keepers.add(KEEPER)
        for user in USERS:
            rig.give(user, WEALTH * self.unit, self.spender)
        for account in (*USERS, TREASURY):
            self.twin_asset.mint(account, self.asset.call("balanceOf", account))

    @abstractmethod
    def build(self) -> None:
        """The twin of the vault and of its venue."""

    @property
    @abstractmethod
    def spender(self) -> str:
        """Who pulls collateral from users."""

    @abstractmethod
    def record(self, receipt: Receipt, before: Position) -> None:
        """Tell the twin's venue what a transaction filled and paid."""

    @abstractmethod
    def refuse(self, error: Outcome) -> None:
        """Tell it that a transaction was refused."""

    def do(
        self,
        name: str,
        *arguments: Any,
        sender: str,
        on: Side | None = None,
        value: int = 0,
        twin_arguments: tuple[Any, ...] | None = None,
        funding: int = 0,
    ) -> Outcome:
        """The same on both sides: first on the chain, then by the twin with the fills that came of it. Its
        arguments are the chain's unless it takes others. What the venue has then that the twin does not know
        of is no more than its rounding, and `funding`, WAD, that it had not told before."""
        contract, twin = on or (self.vault, self.twin)
        self.tell()
        before, self.block = self.twin_venue.position(), self.rpc("eth_blockNumber")
        fields = [astuple(a) if isinstance(a, Fees) else a for a in arguments]
        receipts: list[Receipt] = []

        def send() -> None:
            receipts.append(contract.send(camel(name), *fields, sender=sender, value=value))

        try:
            on_chain = outcome(send)
        except RevertError as refusal:
            # The venue's own reasons are no matter of the vault's.
            self.done[f"venue: {refusal}"] += 1
            self.block = "latest"
            return Outcome(error=str(refusal))
        if receipts:
            self.record(receipts[0], before)
        else:
            self.refuse(on_chain)
        function = getattr(twin, name)
        told = {"sender": sender} if takes_sender(function.__func__) else {}
        expected = outcome(lambda: function(*(twin_arguments or arguments), **told))
        # What came of it is seen in everybody's balances.
        done = self.agree(name, on_chain, expected if expected.error else Outcome())
        self.block = "latest"
        change = self.tell()
        if change.size or abs(change.cash) > self.grain + funding:
            raise DifferenceError(f"{name}: the venue's account is off by {change}")
        return done

    def tell(self) -> Position:
        """Time, index and the account as the venue has it; what changed of that."""
        self.chain.now = self.rpc.timestamp()
        feed = self.rig.perp.markets[MARKET].aggregator
        _, answer, _, self.twin_oracle.updated_at, _ = feed.call("latestRoundData")
        self.twin_oracle.answer = answer * 10 ** (18 - feed.call("decimals"))
        return self.twin_venue.tell(Position(*self.fund.adapter.call("position")))

    def step(self, action: Any) -> None:
        """One thing happens, and both sides are compared."""
        action()
        self.steps += 1
        self.tell()
        self.compare()

    def views(self) -> Iterator[View]:
        for name in ("snapshot", "attribution", "mark", "fees_owed", "minted_today"):
            yield self.view(name)
        for account in (*USERS, TREASURY, KEEPER, STRANGER, self.spender):
            yield self.view("balance_of", account, on=(self.token, self.twin.token))
        for account in (*USERS, TREASURY, self.spender):
            yield self.view("balance_of", account, on=(self.asset, self.twin_asset))

    # The venue

    @property
    def index(self) -> int:
        return self.twin_oracle.answer

    def move(self, index: int) -> None:
        """The index, and with it the venue."""
        self.rig.perp.move(MARKET, index)

    def warp(self, seconds: int) -> None:
        """Let time pass, and the feed repeat its price."""
        self.rig.perp.warp(seconds)
        self.rig.perp.set_price(MARKET, self.index)


class RealPlayer(ABC):
    """Draws what happens next; `must` is what makes a history worth its name."""

    must: Iterable[str]

    def __init__(self, draw: random.Random, pair: Any):
        self.draw, self.pair = draw, pair

    @property
    @abstractmethod
    def actions(self) -> dict[Action, int]:
        """What may happen, and how often."""

    def play(self, steps: int) -> None:
        """So many steps, and more until everything has happened that must; then ruin."""
        pair = self.pair
        while pair.steps < steps or (pair.steps < MOST * steps and not pair.has_done(self.must)):
            actions = self.actions
            pair.step(self.draw.choices(list(actions), list(actions.values()))[0])
        pair.step(self.ruin)
        pair.step(self.leave_all)

    @abstractmethod
    def rebalance(self) -> None:
        """Somebody tries to."""

    @abstractmethod
    def leave_all(self) -> None:
        """Everybody leaves with everything."""

    def holder(self) -> str:
        """Somebody with shares, if there is one."""
        held = self.pair.twin.token.balance_of
        return self.draw.choice([user for user in USERS if held(user)] or USERS)

    def move(self) -> None:
        self.pair.move(self.pair.index * self.draw.randint(980, 1_020) // 1_000)

    def cross(self) -> None:
        """Leverage goes beyond one of the band's edges, and somebody rebalances."""
        fund, policy = self.pair.twin.snapshot(), self.pair.twin.terms.policy
        if fund.size == 0 or fund.equity <= 0:
            return
        edge = policy.band_min * 99 // 100 if self.draw.random() < 0.5 else policy.band_max * 101 // 100
        way = lm.move_to(fund.leverage, edge if fund.leverage > 0 else -edge)
        self.pair.move(fund.price + lm.notional(fund.price, way))
        self.rebalance()

    def wait(self) -> None:
        self.pair.warp(self.draw.choice([600, 3_600, DAY // 4]))

    def keep_house(self) -> None:
        self.pair.do(self.draw.choice(["accrue", "collect_fees", "check_ruin"]), sender=STRANGER)

    def charge(self) -> None:
        self.pair.do(
            "set_fees", drawn_fees(self.draw), sender=ADMIN, on=(self.pair.terms, self.pair.twin.terms)
        )

    def ruin(self) -> None:
        """The index leaves the fund nothing, and the venue has not noticed."""
        fund = self.pair.twin.snapshot()
        self.pair.rig.perp.set_price(
            MARKET, fund.price - lm.div(fund.equity * WAD * 21 // 20, fund.size or 1)
        )
        self.pair.do("check_ruin", sender=STRANGER)


def events(receipt: Receipt, contract: Contract, name: str) -> Iterator[list[int]]:
    """The words of a contract's events of a name, those of its topics first."""
    entry = next(e for e in contract.artifact.abi if e["type"] == "event" and e["name"] == name)
    topic = "0x" + keccak(text=signature(entry)).hex()
    for log in receipt["logs"]:
        if log["topics"][0] == topic and log["address"] == contract.lower():
            data = "".join(word[2:] for word in (*log["topics"][1:], log["data"]))
            yield [int.from_bytes(bytes.fromhex(data[i : i + 64]), "big") for i in range(0, len(data), 64)]


def heard(question: Callable[[], Any]) -> Any:
    """A venue's answer; where it refuses one, so does the twin's."""
    try:
        return question()
    except RevertError as refusal:
        error = errors.revert(bytes.fromhex(refusal.data[2:]), error_table())
        if not error.name:
            raise
        raise Revert(error.name, *error.fields.values()) from refusal


def signed(word: int) -> int:
    """A word as int256."""
    return word - 2**256 if word >> 255 else word
