"""leverage/batches.py and the contracts agree to the wei over random histories of requests and fills."""

import random
from dataclasses import dataclass, field

import pytest

from devnet import RevertError
from devnet.anvil import Anvil
from devnet.artifacts import mock
from devnet.rpc import Contract, Rpc
from devnet.venue import actor
from leverage import batches, config
from leverage import leverage_math as lm
from leverage import policy as rules
from leverage.batches import Batch, Fill, Fund, Request
from leverage.types import DAY, WAD, Policy, Rebalancing, Sizes, Trigger

OWNER, TREASURY, COMMITTER, SETTLER, STRANGER = map(
    actor, ("owner", "treasury", "committer", "settler", "stranger")
)
USERS = [actor(f"user {i}") for i in range(5)]
NOBODY = "0x" + "00" * 20
FEES = (WAD // 1000, WAD // 500, WAD // 10_000)
HISTORIES, STEPS = 10, 30
HOUR = 3_600


@dataclass
class Side:
    """One side's batches: what collects, what is carried on, what is in flight, and what is to be claimed."""

    tail: Batch = field(default_factory=Batch)
    carried: Batch | None = None
    flying: Batch | None = None
    ended: list[Batch] = field(default_factory=list)
    refunded: list[Batch] = field(default_factory=list)


class Chain:
    """The contracts on the ideal venue."""

    def __init__(self, rpc: Rpc, target: int, decimals: int, fees: tuple[int, int, int]):
        def new(name: str, *arguments: object) -> Contract:
            return Contract.deploy(rpc, OWNER, mock(name), *arguments)

        self.rpc = rpc
        self.asset = new("MockERC20", "USD", "USD", decimals)
        self.feed = new("MockAggregator", 8, 2_000 * 10**8)
        oracle = new("ChainlinkOracle", self.feed, DAY, WAD // 5, NOBODY, 0)
        self.venue = new("MockDelayedVenue", self.asset)
        self.send(self.venue, "setMaxLeverage", 50 * WAD)
        self.send(self.venue, "setFeeRate", WAD // 1500)
        self.queue = new("RequestQueue", self.asset)
        self.policy = config.load().defaults.policy.policy(target)
        caps = (2**128 - 1, 2**128 - 1)
        terms = (new("Authority", OWNER), TREASURY, tuple(vars(self.policy).values()), fees, caps)
        self.vault = new("QueuedVault", ("T", "T", target, self.venue, oracle, *terms), self.queue)
        self.token = Contract(rpc, mock("LeveragedToken"), self.vault.call("token"))
        self.terms = Contract(rpc, mock("VaultTerms"), self.vault.call("terms"))
        self.send(self.venue, "setSlippage", WAD // 2500)
        self.send(self.venue, "setKeeperDeposit", 4 * WAD)
        for user in USERS:
            self.send(self.asset, "mint", user, 10**9 * 10**decimals)
            self.send(self.asset, "approve", self.queue, 2**256 - 1, sender=user)

    def send(
        self, contract: Contract, function: str, *arguments: object, sender: str = OWNER, value: int = 0
    ):
        return contract.send(function, *arguments, sender=sender, value=value)

    def price(self, price: int) -> None:
        self.send(self.feed, "set", price // 10**10)
        self.send(self.venue, "setPrice", price)


class Twin:
    """The same in Python: it is told what happens and when, and reads rates from the chain alone."""

    def __init__(self, chain: Chain, target: int, decimals: int):
        self.chain, self.target, self.policy = chain, target, chain.policy
        self.scale = 10 ** (18 - decimals)
        self.size = self.cash = self.idle = self.supply = self.fees_owed = self.integral = 0
        self.shares: dict[str, int] = {}
        self.last = Rebalancing(0, 0, Trigger.NONE, False)
        self.deposits, self.redemptions = Side(), Side()
        self.flight: tuple[Sizes, int, Trigger, int] | None = None

    def fund(self, price: int) -> Fund:
        mint_fee, burn_fee, integral, _ = self.chain.terms.call("rates")
        due = lm.management_shares(self.supply, integral - self.integral)
        cash = self.cash + self.idle * self.scale
        return Fund(price, self.size, cash, self.supply + due, mint_fee, burn_fee, self.scale)

    def quote(self, price: int):
        def at(size: int) -> tuple[int, int]:
            return size, fill_at(size, price)[0]

        return at

    def commit(self, price: int, now: int) -> int:
        fund = self.fund(price)
        leverage = lm.leverage(fund.size, price, fund.equity)
        trigger, wanted = Trigger.NONE, 0
        if fund.supply:
            trigger = rules.due(self.policy, self.last, self.target, price, leverage, now, False)
        if trigger:
            wanted = lm.size_to_leverage(self.target, fund.equity, fund.size, price)
            wanted = rules.chunk(self.policy, wanted, price)
            is_small = abs(lm.notional(wanted, price)) < self.policy.min_notional
            is_begun = self.size == 0 and (self.deposits.carried or self.deposits.tail).amount > 0
            if trigger != Trigger.EMERGENCY and is_small and not is_begun:
                wanted = 0
        enters = fund.supply == 0 or abs(leverage) <= self.policy.band_max
        going = [side.carried or side.tail for side in (self.deposits, self.redemptions)]
        assets, shares = going[0].amount if enters else 0, going[1].amount
        sizes = batches.planned(fund, self.target, wanted, assets, shares, self.quote(price))
        trigger = trigger if sizes.rebalance else Trigger.NONE
        value = batches.turnover(fund, assets * self.scale, shares)
        opened = [batch.opened for batch, amount in zip(going, (assets, shares), strict=True) if amount]
        late = now - min(opened) if opened else 0
        if trigger == Trigger.SCHEDULED and self.last.time < rules.slot_start(self.policy, now):
            late = max(late, rules.lateness(self.policy, now))
        tip = batches.tip(fund, trigger, value, late, self.policy.tip_rate, self.policy.tip_cap)
        sent = batches.margin(fund, self.idle, assets, shares)
        self.idle -= sent
        self.cash += sent * self.scale
        for side, amount in ((self.deposits, assets), (self.redemptions, shares)):
            if amount:
                if side.carried is None:
                    side.tail, side.carried = Batch(), side.tail
                side.flying, side.carried = side.carried, None
        self.flight = (sizes, tip, trigger, now)
        return lm.order(sizes)

    def settle(self, fill: Fill, tips_to: str, now: int) -> None:
        assert self.flight
        sizes, tip, trigger, sent_at = self.flight
        fund = self.fund(fill.price)
        self.mint(TREASURY, fund.supply - self.supply)
        self.integral = self.chain.terms.call("rates")[2]
        assets = self.deposits.flying.amount if self.deposits.flying else 0
        shares = self.redemptions.flying.amount if self.redemptions.flying else 0
        left = lm.unfilled(fill.size, lm.order(sizes))
        some = batches.filled(assets, left)
        brought = (some - lm.fee_up(some, fund.mint_fee)) * self.scale
        value = batches.turnover(fund, brought, batches.filled(shares, left))
        late = fill.reward
        if not late:
            rate, cap = self.policy.tip_rate, self.policy.tip_cap
            late = batches.tip(fund, trigger, value, now - sent_at, rate, cap)
        tips = tip + late if trigger else min(tip + late, value // 4)
        done = batches.shared(fund, sizes, fill, assets, shares, tips)
        burn_fee = done.burn_fee(fund)
        first = self.supply == 0
        self.supply += done.minted - done.shares
        self.fees_owed += done.assets - done.brought + burn_fee
        self.idle += done.brought - done.paid
        self.size += fill.size
        self.cash += fill.cash
        if done.tip_shares:
            to_sender = done.tip_shares * tip // tips
            self.mint(COMMITTER, to_sender)
            self.mint(tips_to, done.tip_shares - to_sender)
        if trigger:
            equity = lm.equity(self.cash + self.idle * self.scale, self.size, fill.price)
            away = abs(lm.leverage(self.size, fill.price, equity) - self.target)
            chunk = Trigger.NONE if away <= self.policy.tolerance else trigger
            self.last = Rebalancing(fill.price, now, chunk, sizes.rebalance > 0)
        elif first:
            self.last = Rebalancing(fill.price, now, Trigger.NONE, False)
        for side, result in ((self.deposits, done.minted), (self.redemptions, done.paid - burn_fee)):
            if side.flying:
                side.flying.result = result
                side.ended.append(side.flying)
                side.flying = None
        self.collect()
        self.flight = None

    def lapse(self, now: int) -> None:
        """The order was cancelled: a batch is carried on, or refunded when it is older than an hour."""
        for side in (self.deposits, self.redemptions):
            if side.flying and now > side.flying.opened + HOUR:
                side.refunded.append(side.flying)
            else:
                side.carried = side.flying or side.carried
            side.flying = None
        self.collect()
        self.flight = None

    def collect(self) -> None:
        missing = max(0, -self.idle)
        self.idle += missing
        self.cash -= missing * self.scale

    def mint(self, to: str, shares: int) -> None:
        self.supply += shares
        self.shares[to] = self.shares.get(to, 0) + shares


def fill_at(size: int, index: int) -> tuple[int, int]:
    """Cash and fee of a fill at the ideal venue."""
    worse = index * (WAD // 2500) // WAD
    dealt = index + worse if size > 0 else index - worse
    product = abs(size) * dealt
    value = -(-product // WAD) if size > 0 else product // WAD
    fee = lm.fee_up(value, WAD // 1500)
    return (-value if size > 0 else value) - fee, fee


@pytest.fixture(scope="module")
def rpc():
    with Anvil.start(frozen_clock=True, lean=True) as anvil:
        yield Rpc(anvil.url)


@pytest.mark.parametrize("seed", range(HISTORIES))
def test_history__random__is_the_same_to_the_wei(rpc, seed):
    draw = random.Random(seed)
    target = draw.choice([3, -3, 2, -1, 5]) * WAD
    decimals = draw.choice([6, 18])
    chain = Chain(rpc, target, decimals, FEES)
    twin = Twin(chain, target, decimals)
    unit, index = 10**decimals, 2_000 * WAD
    orders = settled = lapsed = 0

    for _ in range(STEPS):
        rpc.warp(draw.choice([1, 60, HOUR]))
        index = index * draw.randint(965, 1036) // 1000 // 10**10 * 10**10
        chain.price(index)
        for user in draw.sample(USERS, draw.randint(0, 4)):
            ask(draw, chain, twin, user, unit)
        try:
            receipt = chain.send(chain.vault, "commit", sender=COMMITTER)
        except RevertError:
            claim_all(draw, chain, twin)
            continue
        order = twin.commit(index, stamp(rpc, receipt))
        orders += 1
        assert chain.venue.call("order")[1] == order
        assert_same(chain, twin, index)

        if draw.random() < 0.15:
            rpc.warp(31)
            receipt = chain.send(chain.vault, "settle", [], sender=SETTLER)
            twin.lapse(stamp(rpc, receipt))
            lapsed += 1
            rpc.warp(120)
        else:
            rpc.warp(draw.choice([2, 10, 29]))
            fill_price = index * draw.randint(997, 1003) // 1000
            cash, fee = fill_at(order, fill_price)
            by_stranger = draw.random() < 0.4
            if by_stranger:
                chain.send(chain.venue, "execute", fill_price, sender=STRANGER)
                rpc.warp(draw.choice([1, HOUR]))
                proof, value = [], 0
            else:
                proof, value = [fill_price.to_bytes(32, "big")], 1
            receipt = chain.send(chain.vault, "settle", proof, sender=SETTLER, value=value)
            deposit = 4 * WAD
            kept, reward = (deposit, 0) if by_stranger else (0, deposit)
            if chain.venue.call("position")[0] == twin.size and order != 0:
                # Beyond its limit: the venue let the order go.
                twin.cash -= kept
                twin.lapse(stamp(rpc, receipt))
                lapsed += 1
                rpc.warp(120)
            else:
                fill = Fill(order, cash - kept, fee + kept, fill_price, reward)
                twin.settle(fill, SETTLER, stamp(rpc, receipt))
                settled += 1
        chain.price(index)
        assert_same(chain, twin, index)
        claim_all(draw, chain, twin)
        assert_same(chain, twin, index)

    assert orders > STEPS // 4
    assert settled > 0


def ask(draw: random.Random, chain: Chain, twin: Twin, user: str, unit: int) -> None:
    """A request, or the same user's change of mind."""
    held = twin.shares.get(user, 0)
    is_exit = held > 0 and draw.random() < 0.5
    side = twin.redemptions if is_exit else twin.deposits
    if user in side.tail.requests and draw.random() < 0.5:
        name = "cancelRedeemRequest" if is_exit else "cancelDepositRequest"
        view = "pendingRedeemRequest" if is_exit else "pendingDepositRequest"
        batch = max(i for i in range(1, STEPS) if chain.queue.call(view, i, user))
        chain.send(chain.queue, name, batch, user, user, sender=user)
        amount = side.tail.requests.pop(user).amount
        side.tail.amount -= amount
        if is_exit:
            twin.shares[user] = held + amount
        return
    part = draw.choice([1, 3, 10]) if draw.random() < 0.7 else 1
    amount = held // part if is_exit else draw.randint(50, 50_000) * unit + draw.randint(0, 999)
    function = "requestRedeem" if is_exit else "requestDeposit"
    try:
        receipt = chain.send(chain.queue, function, amount, user, user, sender=user)
    except RevertError:
        return
    if side.tail.amount == 0:
        side.tail.opened = stamp(chain.rpc, receipt)
    request = side.tail.requests.setdefault(user, Request(0, False))
    request.amount += amount
    side.tail.amount += amount
    if is_exit:
        twin.shares[user] = held - amount


def claim_all(draw: random.Random, chain: Chain, twin: Twin) -> None:
    """Everybody claims, in any order: what each gets is the same."""
    for user in draw.sample(USERS, len(USERS)):
        for side, most, result_of, take in (
            (twin.deposits, "maxDeposit", "maxMint", "deposit"),
            (twin.redemptions, "maxRedeem", "maxWithdraw", "redeem"),
        ):
            for batch in side.refunded:
                if request := batch.requests.pop(user, None):
                    take_back(chain, user, take, request.amount)
                    if take == "redeem":
                        twin.shares[user] = twin.shares.get(user, 0) + request.amount
            amount = result = 0
            for batch in side.ended:
                if request := batch.requests.pop(user, None):
                    amount += request.amount
                    result += batch.draw(request.amount)
            assert chain.queue.call(most, user) == amount
            assert chain.queue.call(result_of, user) == result
            if amount:
                whom = (user, user) if take == "redeem" else (user,)
                chain.send(chain.queue, take, amount, *whom, sender=user)
                if take == "deposit":
                    twin.shares[user] = twin.shares.get(user, 0) + result


def take_back(chain: Chain, user: str, take: str, amount: int) -> None:
    """The refund of a batch that grew too old, or of one whose place was needed."""
    kind = "Redeem" if take == "redeem" else "Deposit"
    view, cancel = f"refundable{kind}Request", f"cancel{kind}Request"
    batch = next(i for i in range(STEPS) if chain.queue.call(view, i, user))
    assert chain.queue.call(view, batch, user) == amount
    chain.send(chain.queue, cancel, batch, user, user, sender=user)


def assert_same(chain: Chain, twin: Twin, price: int) -> None:
    fund = twin.fund(price)
    position = chain.venue.call("position")
    assert tuple(position) == (twin.size, twin.cash)
    snapshot = chain.vault.call("snapshot")
    assert (snapshot[3], snapshot[4], snapshot[5]) == (fund.size, fund.equity, fund.supply)
    assert snapshot[6] == lm.nav(fund.equity, fund.supply)
    assert chain.vault.call("feesOwed") == twin.fees_owed
    assert chain.token.call("totalSupply") == twin.supply
    for account in (*USERS, TREASURY, COMMITTER, SETTLER):
        assert chain.token.call("balanceOf", account) == twin.shares.get(account, 0)


def stamp(rpc: Rpc, receipt: dict) -> int:
    return int(rpc("eth_getBlockByNumber", receipt["blockNumber"], False)["timestamp"], 16)


def test_policy__of_the_twin__is_the_default():
    assert isinstance(config.load().defaults.policy.policy(3 * WAD), Policy)
