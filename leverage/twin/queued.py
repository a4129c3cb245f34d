"""Twin of QueuedVault.sol: requests collect, one order goes out for all of them, and everybody is booked at
its fill (E-3)."""

from dataclasses import astuple, dataclass, replace

from leverage import leverage_math as lm
from leverage import policy as rules
from leverage.twin.batches import MOST, filled
from leverage.twin.delayed import DelayedVenue, Outcome
from leverage.twin.ground import Chain, Oracle, Revert, Token, fitting, require, transaction
from leverage.twin.queue import RequestQueue
from leverage.twin.terms import Room, Ruling
from leverage.twin.vault import TIP_SHARE, LeveragedVault, State, cost, per_share
from leverage.twin.venue import Fill, Position
from leverage.types import WAD, Caps, Fees, Policy, Rebalancing, Sizes, Trigger

# What is kept here for leavers beyond what they would get at the commit's price: the price may move until the
# fill.
RESERVE = 102 * WAD // 100
# A tenth of equity may lie here as cash, for those who leave next.
SPARE = 10
# What a tip may take of what comes and goes: a hundredth.
USER_TIP_SHARE = 100
# Seconds for which batches wait after an order failed, unless a rebalance goes.
RETRY_DELAY = 120
# What there is room for in storage.
INT104_MAX = 2**103 - 1
# WAD of notional below which the venue's rounding decides about a price.
DUST = 10**12


@dataclass(frozen=True)
class Flight:
    """An order on its way: what each party asked for, and what its sender earns when it fills.

    `time` is when it was sent; after a failure, from when a batch may go without a rebalance again. Deposits
    of an order that failed wait for the venue to return their collateral while `is_returning`.
    """

    sizes: Sizes = Sizes(0, 0, 0)
    time: int = 0
    trigger: Trigger = Trigger.NONE
    tip: int = 0
    tolerance: int = 0
    is_in_flight: bool = False
    has_deposits: bool = False
    has_redemptions: bool = False
    is_returning: bool = False


@dataclass
class Plan:
    """What a commit is about to send: batches as requested, `brought` net of the mint fee, WAD."""

    sizes: Sizes = Sizes(0, 0, 0)
    worst: int = 0
    assets: int = 0
    brought: int = 0
    shares: int = 0
    opened_at: int = 0
    value: int = 0
    tip: int = 0
    trigger: Trigger = Trigger.NONE

    @property
    def order(self) -> int:
        return lm.order(self.sizes)


@dataclass
class Settlement:
    """What a settlement does: batches as requested, as far as they were filled; `brought` and `paid` in
    assets, net of the mint fee and before the burn fee; the tips, WAD, and what of cost and fees the fund
    bears, WAD."""

    assets: int = 0
    brought: int = 0
    shares: int = 0
    minted: int = 0
    paid: int = 0
    tips: int = 0
    tip_shares: int = 0
    cost: int = 0
    fees: int = 0
    unfilled: int = 0


class QueuedVault(LeveragedVault):
    """`idle` is collateral here that is the holders', in assets, less what is owed to others. It is below
    zero by `out`, collateral of deposits that is at the venue with an order or after one that failed, and by
    payouts that the venue holds back."""

    adapter: DelayedVenue

    def __init__(
        self,
        chain: Chain,
        adapter: DelayedVenue,
        asset: Token,
        oracle: Oracle,
        queue: RequestQueue,
        target: int,
        policy: Policy,
        fees: Fees,
        caps: Caps,
        treasury: str = "treasury",
        address: str = "vault",
    ):
        super().__init__(chain, adapter, asset, oracle, target, policy, fees, caps, treasury, address)
        self.queue = queue
        self.flight = Flight()
        # Who sent the last order for a tip.
        self.sender = ""
        self.idle = 0
        self.out = 0
        queue.bind(self, self.token)

    # Views

    def cash_short(self) -> int:
        return max(0, -(self.idle + self.out))

    def room_for(self, assets: int) -> Room:
        room = self._room(assets)
        require(self.chain.now >= room.paused_until, "MintsPaused", room.paused_until)
        require(not self.is_ruined, "VaultRuined")
        return room

    # Commit

    def commit(self, sender: str) -> tuple[Trigger, int]:
        """The trigger of the rebalance that goes along, and the order."""
        return self._commit(True, sender)

    def commit_exits(self, sender: str) -> tuple[Trigger, int]:
        """The same without anything that raises leverage."""
        return self._commit(False, sender)

    @transaction
    def _commit(self, may_raise: bool, sender: str) -> tuple[Trigger, int]:
        require(not self.flight.is_in_flight, "OrderPending", self.flight.time)
        self.collect_cash()
        price, is_good, is_near = self._prices()
        s = self._value(self._position(), price)
        if s.supply > 0 and not self.is_ruined:
            require(not self._is_gone(s.size), "PositionGone", s.size, self.mark.size)
            require(s.equity > 0, "Underwater", s.equity)
        plan = self._plan(s, is_good, may_raise and is_near, sender)
        self.flight = Flight(
            sizes=Sizes(*(fitting(size, -INT104_MAX - 1, INT104_MAX) for size in astuple(plan.sizes))),
            time=self.chain.now,
            trigger=plan.trigger,
            tip=plan.tip,
            tolerance=self.terms.policy.tolerance,
            is_in_flight=True,
            has_deposits=plan.assets > 0,
            has_redemptions=plan.shares > 0,
            is_returning=self.flight.is_returning,
        )
        if plan.tip > 0:
            self.sender = sender
        if plan.order == 0:
            # Only where there is nothing to trade: what is left is cash, and no price is needed to share it.
            self.queue.commit(plan.assets > 0, plan.shares > 0, 0, self.adapter.address)
            self._settle(Outcome(self._position(), price=price), sender)
        else:
            margin, release = self._divide(s, plan)
            self.queue.commit(plan.assets > 0, plan.shares > 0, margin, self.adapter.address)
            self.adapter.submit(plan.order, margin, release, plan.worst)
        return plan.trigger, plan.order

    def _plan(self, s: State, is_good: bool, may_raise: bool, sender: str) -> Plan:
        """E-3. What cannot go now waits: deposits while they are stopped, the venue's price is off, or the
        order would fill too far from the index for their sake; then a rebalance. Leavers wait for nobody."""
        r = self._rule(s, sender)
        may_raise = may_raise and not self.is_ruined and self.chain.now >= r.paused_until
        plan, wanted = Plan(), 0
        self._take(plan, s, may_raise and (s.supply == 0 or abs(s.leverage) <= r.policy.band_max))
        if is_good and s.supply > 0 and r.trigger != Trigger.NONE:
            wanted = self._wanted(r, s, plan, may_raise)
        while True:
            plan.trigger = Trigger.NONE if wanted == 0 else r.trigger
            plan.sizes = self._sized(plan, s, wanted, plan.brought)
            # Without a position there is nothing to trade. The venue rounds what is worth next to nothing: no
            # limit holds.
            if abs(lm.notional(plan.order, s.price)) < DUST:
                break
            # Without an index price who leaves has the venue's for a measure.
            index = s.price if is_good else self.adapter.price()
            fill = self.adapter.quote_at(plan.order, index)
            require(fill.size != 0, "NothingFilled", plan.order)
            plan.worst = lm.worst_price(index, plan.order, self._limit(r, plan))
            quoted = abs(fill.cash + fill.fee) * WAD // abs(fill.size)
            is_buy = plan.order > 0
            if quoted <= plan.worst if is_buy else quoted >= plan.worst:
                again = self._resized(plan, s, wanted, fill)
                # Where next to all cross inside, the cost may turn the rest round: then it stays as it was.
                if (lm.order(again) > 0) == is_buy:
                    plan.sizes = again
                break
            is_for_entrants = lm.along(plan.sizes.enter, plan.order) > 0
            is_more = plan.shares > 0 or (is_for_entrants and wanted != 0)
            can_wait = is_more and (is_for_entrants or wanted != 0)
            require(can_wait, "PriceBeyondLimit", quoted, plan.worst)
            if is_for_entrants:
                self._take(plan, s, False)
            else:
                wanted = 0
        if plan.sizes.rebalance == 0:
            plan.trigger = Trigger.NONE
        plan.value = rules.turnover(s, plan.assets * self.scale, plan.shares)
        self._require_worth(plan, s, r.policy.min_notional)
        plan.tip = self._tip(r, s, plan.trigger, plan.value, self._lateness(r, plan))
        return plan

    def _take(self, plan: Plan, s: State, is_entering: bool) -> None:
        """Which batches go."""
        plan.assets, plan.shares, plan.opened_at, since = self.queue.next()
        # What the terms charge matters to those who come and go alone.
        if plan.assets + plan.shares > 0 and plan.brought == 0:
            self._charge(s)
        if not is_entering:
            plan.assets, plan.opened_at = 0, 0
        if self.cash_short() > 0:
            plan.shares, since = 0, 0
        plan.opened_at = min(filter(None, (plan.opened_at, since)), default=0)
        plan.brought = (plan.assets - lm.fee_up(plan.assets, s.mint_fee)) * self.scale

    def _sized(self, plan: Plan, s: State, wanted: int, brought: int) -> Sizes:
        """What each party adds to the order; never nothing in all while there is a position."""
        return rules.sized(s, self.target, wanted, brought, plan.shares)

    def _resized(self, plan: Plan, s: State, wanted: int, fill: Fill) -> Sizes:
        """Sizes again: on what deposits bring, and what the fund has, after their parts of the cost."""
        sizes, whole = plan.sizes, cost(fill, s.price)
        if whole <= 0 or (plan.assets == 0 and wanted == 0):
            return sizes
        entrants = lm.cost_share(whole, sizes.enter, sizes)
        funds = lm.cost_share(whole, sizes.rebalance, sizes)
        if sizes.rebalance != 0:
            net = lm.size_net_of_cost(sizes.rebalance, s.price, self.target, funds)
            wanted = lm.div(wanted * net, sizes.rebalance)
        return self._sized(plan, s, wanted, max(0, plan.brought - entrants))

    def _wanted(self, r: Ruling, s: State, plan: Plan, may_raise: bool) -> int:
        """E-6: the fund's own trade, cut to a chunk; none where it may not be made or is not worth making."""
        size = lm.size_to_leverage(self.target, s.equity, s.size, s.price)
        size = lm.capped(size, s.price, r.policy.max_notional)
        if (size > 0) == (self.target > 0) and not may_raise:
            return 0
        # What tips and fees leave of a fund that everybody has left is no size for who comes next to join at.
        is_begun = s.size == 0 and plan.assets > 0
        is_small = abs(lm.notional(size, s.price)) < r.policy.min_notional
        return 0 if r.trigger != Trigger.EMERGENCY and not is_begun and is_small else size

    def _limit(self, r: Ruling, plan: Plan) -> int:
        """How far from the index the order may fill: as a rebalance where it is one, as an emergency where
        people leave."""
        if plan.trigger != Trigger.NONE:
            return r.slippage
        is_raising = (plan.order > 0) == (self.target > 0)
        return r.policy.max_slippage if is_raising else r.policy.emergency_slippage

    def _require_worth(self, plan: Plan, s: State, min_notional: int) -> None:
        """An order costs something however small it is: dust waits for company, for a rebalance, or is
        everything there is."""
        if plan.trigger != Trigger.NONE:
            return
        require(plan.assets > 0 or plan.shares > 0, "NothingDue", s.leverage, self.target)
        if plan.shares == s.supply or plan.order == 0:
            return
        require(self.chain.now >= self.flight.time, "RetryTooEarly", self.flight.time)
        notional = plan.value * abs(self.target) // WAD
        require(notional >= min_notional, "BatchTooSmall", notional, min_notional)

    def _divide(self, s: State, plan: Plan) -> tuple[int, int]:
        """What goes with the order as margin, and what the venue should set free: deposits pay redemptions
        directly, and what the venue still holds back."""
        own = max(0, self.idle)
        have = plan.brought // self.scale + own
        need = max(0, -self.idle)
        if plan.shares > 0 and s.equity > 0:
            part = lm.portion_down(s.equity, plan.shares, s.supply)
            # Half of what the others have stays margin, however few they are.
            need += self._floor(min(lm.div(part * RESERVE, WAD), lm.div(part + s.equity, 2)))
        margin, release = max(0, have - need), max(0, need - have)
        # Moving collateral there and back costs more than a user's whole request.
        if margin * self.scale <= lm.div(s.equity + plan.brought, SPARE):
            margin = 0
        self.idle -= margin
        self.out += max(0, margin - own)
        return margin, release

    # Settle

    @transaction
    def settle(self, proof: int | None, sender: str) -> int:
        """Bring the order to its end, executing it at the index price `proof` when it is given; its size."""
        o = self.adapter.settle(proof)
        if o.fill.size == 0:
            self._fail(o.before.size)
        else:
            before = replace(o.before, cash=o.before.cash + self.idle * self.scale)
            self._settle(replace(o, before=before), sender)
        return o.fill.size

    @transaction
    def collect_cash(self) -> None:
        """While no order is there, fetch what the venue holds of what is owed to others: collateral of
        deposits whose order failed, then payouts. What it will never have is written off in the same
        order."""
        if self.flight.is_in_flight:
            return
        missing = max(0, -self.idle)
        if missing > 0:
            got = self._withdraw(missing)
            missing -= got
            self.idle += got
            self.out = min(max(0, self.out - got), missing)
            if missing > 0 and self._is_empty():
                if self.flight.is_returning and self.out > 0:
                    self.flight = replace(self.flight, is_returning=False)
                    self.queue.refund(self.out)
                    missing -= self.out
                    self.idle += self.out
                    self.out = 0
                self.fees_owed -= min(self.fees_owed, missing - self.queue.write_off(missing))
                self.idle += missing
        else:
            self.out = 0
        if self.flight.is_returning and self.out == 0:
            self.flight = replace(self.flight, is_returning=False)
            self.queue.fail(True)

    def _settle(self, o: Outcome, sender: str) -> None:
        """E-3: everybody at the price of the fill. `o.before` is the holders' part."""
        f = self.flight
        self.flight = replace(f, is_in_flight=False)
        s, lines = self._accrue(o.before, o.price)
        t = self._share(s, f, o, sender)

        is_first = s.supply == 0
        s.supply += t.minted + t.tip_shares - t.shares
        # What lay in the empty vault is a gift to whoever comes first.
        if is_first and s.supply > 0:
            lines.funding = per_share(s.equity, s.supply)
        s.size += o.fill.size
        s.cash += o.fill.cash + (t.brought - t.paid) * self.scale
        s.equity = lm.equity(s.cash, s.size, o.price)
        lines.venue_fee -= per_share(t.fees, s.supply)
        lines.slippage -= per_share(t.cost - t.fees, s.supply)
        burn_fee = lm.fee_up(t.paid, s.burn_fee)
        self.fees_owed += t.assets - t.brought + burn_fee
        self.idle += t.brought - t.paid
        if f.has_deposits:
            self.out = 0
        if t.brought > 0:
            self._count_minted(t.brought)
        if f.trigger != Trigger.NONE:
            self._note_rebalance(s, f, o.price)
        elif is_first:
            self.rebalancing = Rebalancing(o.price, self.chain.now, Trigger.NONE, False)
        self._book(s, lines)
        if f.has_deposits or f.has_redemptions:
            self._tell_queue(f, t, burn_fee)
            self.token.burn(self.queue.address, t.shares)
            self.token.mint(self.queue.address, t.minted)
        self._pay_tips(f, t, sender)
        self.collect_cash()

    def _share(self, s: State, f: Flight, o: Outcome, sender: str) -> Settlement:
        """Who gets and bears what, of as much as was filled. An improvement is the leavers' alone to take."""
        t, z = Settlement(), f.sizes
        assets, shares = self.queue.in_flight() if f.has_deposits or f.has_redemptions else (0, 0)
        t.unfilled = lm.unfilled(o.fill.size, lm.order(z))
        t.assets = filled(assets if f.has_deposits else 0, t.unfilled)
        t.shares = filled(shares, t.unfilled)
        t.brought = t.assets - lm.fee_up(t.assets, s.mint_fee)
        for_entrants = for_leavers = 0
        if o.fill.size != 0:
            t.tips = f.tip + (o.reward or self._late_tip(s, f, t, sender))
            # Nobody is to pay more for the order than it is worth to him: the rest would be the others'.
            if f.trigger == Trigger.NONE:
                t.tips = min(t.tips, rules.turnover(s, t.brought * self.scale, t.shares) // 4)
            own_cost = cost(o.fill, o.price)
            borne = t.tips + max(0, own_cost)
            for_entrants = lm.cost_share(borne, z.enter, z)
            for_leavers = lm.cost_share(borne, z.leave, z)
            # Who leaves gets what the sale brought; what an entrance gains stays with the fund (E-2).
            if own_cost < 0:
                for_leavers -= lm.gain_share(-own_cost, z.leave, z)
            t.fees = o.fill.fee + t.tips
            users = lm.cost_share(t.fees, z.enter, z) + lm.cost_share(t.fees, z.leave, z)
            t.fees = max(0, t.fees - users)
            t.cost = own_cost + t.tips - for_entrants - for_leavers
        # Holders with less than nothing are left with next to nothing: who enters does not owe for them.
        equity = max(0, s.equity)
        net = max(0, t.brought * self.scale - for_entrants)
        t.minted = min(lm.to_shares_down(net, equity, s.supply), MOST)
        if s.supply + t.minted > t.shares:
            if t.shares > 0:
                t.paid = self._floor(lm.portion_down(equity, t.shares, s.supply) - for_leavers)
            t.tip_shares = lm.to_shares_down(t.tips, equity, s.supply)
        elif t.shares > 0:
            # Where nobody stays, whatever is left is the leavers', and shares for tips would be worth
            # nothing.
            t.paid = self._floor(lm.equity(s.cash + o.fill.cash, s.size + o.fill.size, s.price))
        return t

    def _tell_queue(self, f: Flight, t: Settlement, burn_fee: int) -> None:
        room = self._room(0)
        is_open = self.chain.now >= room.paused_until and not self.is_ruined
        most = min(room.today, room.before_cap) if is_open else 0
        self.queue.settle(f.has_deposits, t.minted, t.paid - burn_fee, t.unfilled, most, room.least)

    def _note_rebalance(self, s: State, f: Flight, price: int) -> None:
        is_done = abs(s.leverage - self.target) <= f.tolerance
        chunk = Trigger.NONE if is_done else f.trigger
        self.rebalancing = Rebalancing(price, self.chain.now, chunk, f.sizes.rebalance > 0)

    def _pay_tips(self, f: Flight, t: Settlement, caller: str) -> None:
        if t.tip_shares == 0:
            return
        sender = self.sender if f.tip > 0 else caller
        first = 0 if sender == caller else t.tip_shares * min(f.tip, t.tips) // t.tips
        self.token.mint(sender, first)
        self.token.mint(caller, t.tip_shares - first)

    def _fail(self, size: int) -> None:
        """The order is gone and nothing changed: whoever chose so gets a refund, the others wait for the next
        order. Collateral of deposits comes back first."""
        f = self.flight
        is_users = f.has_deposits or f.has_redemptions
        self.flight = replace(
            f,
            is_in_flight=False,
            is_returning=f.is_returning or f.has_deposits,
            time=self.chain.now + RETRY_DELAY if is_users else f.time,
        )
        if f.has_redemptions:
            self.queue.fail(False)
        if self._is_gone(size):
            s, lines = self._accrue(self._position(), self.mark.price)
            self._book(s, lines)
        self.collect_cash()

    def _is_empty(self) -> bool:
        """Whether nothing will ever come from the venue."""
        p = self.adapter.position()
        return p.size == 0 and self._floor(p.cash) == 0

    def _withdraw(self, assets: int) -> int:
        """As much of `assets` as the venue pays now."""
        try:
            self.adapter.withdraw(assets, self.queue.address)
            return assets
        except Revert as refusal:
            got: int = refusal.arguments[0] if refusal.name == "WithdrawalShort" else 0
        if not 0 < got < assets:
            return 0
        try:
            self.adapter.withdraw(got, self.queue.address)
            return got
        except Revert:
            return 0

    # Internals

    def _position(self) -> Position:
        """The account at the venue and what lies here, without what belongs to others."""
        p = self.adapter.position()
        return replace(p, cash=p.cash + self.idle * self.scale)

    def _prices(self) -> tuple[int, bool, bool]:
        """The index price, whether it can be used, and whether the venue confirms it (E-1). Who leaves needs
        none."""
        if self.is_ruined:
            return self.mark.price, False, False
        venue_price = self.adapter.price()
        try:
            return self.oracle.price_near(venue_price), True, True
        except Revert:
            pass
        try:
            return self.oracle.price(), True, False
        except Revert:
            return self.mark.price, False, False

    def _room(self, assets: int) -> Room:
        """E-7, from the last booking: how much more may come in today and before the total cap, beside
        `assets`."""
        held = self._floor(lm.equity(self.mark.cash, self.mark.size, self.mark.price))
        return self.terms.room(self.minted_today() + assets, held + assets, self.scale)

    def _lateness(self, r: Ruling, plan: Plan) -> int:
        """Seconds that people have waited, or a scheduled rebalance is late."""
        late = self.chain.now - plan.opened_at if plan.opened_at else 0
        return max(late, r.lateness) if plan.trigger == Trigger.SCHEDULED else late

    def _tip(self, r: Ruling, s: State, trigger: Trigger, value: int, late: int) -> int:
        """At most a hundredth of what comes and goes, and a ten-thousandth of a fund that is rebalanced."""
        most = value // USER_TIP_SHARE
        if trigger != Trigger.NONE and s.equity > 0:
            most += s.equity // TIP_SHARE
        return min(lm.tip(late, r.policy.tip_rate, r.policy.tip_cap), most)

    def _late_tip(self, s: State, f: Flight, t: Settlement, sender: str) -> int:
        """For who notes what somebody else has executed."""
        value = rules.turnover(s, t.brought * self.scale, t.shares)
        return self._tip(self._rule(s, sender), s, f.trigger, value, self.chain.now - f.time)

    def _ruin(self) -> None:
        super()._ruin()
        self.queue.close()

    def _pay(self, receiver: str, assets: int) -> None:
        missing = self.cash_short()
        require(missing == 0, "CashInTransit", missing)
        self.queue.pay(receiver, assets)
