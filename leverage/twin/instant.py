"""Twin of InstantVault.sol: whoever moves the fund pays for the move, at the actual fill (E-2)."""

from dataclasses import dataclass

from leverage import leverage_math as lm
from leverage.twin.ground import require, transaction
from leverage.twin.terms import Ruling
from leverage.twin.vault import TIP_SHARE, Attribution, LeveragedVault, State, cost, per_share
from leverage.twin.venue import Fill, InstantVenue
from leverage.types import WAD, Rebalancing, Trigger

# Rounds that `withdraw` may take to find its shares; two or three are usual.
MAX_ROUNDS = 12


@dataclass(frozen=True)
class Entry:
    """What an entrant brings and buys. In assets: `assets = fee + margin`."""

    assets: int
    fee: int
    margin: int
    size_delta: int


class InstantVault(LeveragedVault):
    adapter: InstantVenue

    # Views

    def total_assets(self) -> int:
        return self._held(self._now())

    def convert_to_shares(self, assets: int) -> int:
        s = self._now()
        return lm.to_shares_down(assets * self.scale, s.equity, s.supply)

    def convert_to_assets(self, shares: int) -> int:
        return shares * self._now().nav // WAD // self.scale

    def preview_deposit(self, assets: int) -> int:
        s = self._now()
        e = self._plan_deposit(s, assets)
        return self._shares_for(s, e.margin, self.adapter.quote(e.size_delta))

    def preview_mint(self, shares: int) -> int:
        return self._plan_mint(self._now(), shares).assets

    def preview_withdraw(self, assets: int) -> int:
        s = self._at_mark()
        return self._shares_to_pay(s, lm.gross_up(assets, s.burn_fee))

    def preview_redeem(self, shares: int) -> int:
        s = self._at_mark()
        if shares == 0 or s.supply == 0:
            return 0
        paid = self._floor(self._proceeds(s, shares))
        return paid - lm.fee_up(paid, s.burn_fee)

    def room(self) -> int:
        """Largest deposit that the caps allow now, in assets."""
        s = self._value(self._position(), self.oracle.price_near(self.adapter.price()))
        self._charge(s)
        return min(self._require_open(s))

    # Enter and leave

    def deposit(self, assets: int, receiver: str, *, sender: str | None = None) -> int:
        """Shares for `assets`, which `sender` pays, by default the receiver."""
        return self._enter(assets, 0, receiver, sender or receiver)[1]

    def mint(self, shares: int, receiver: str, *, sender: str | None = None) -> int:
        """The assets that exactly `shares` cost."""
        return self._enter(0, shares, receiver, sender or receiver)[0]

    def withdraw(self, assets: int, receiver: str, owner: str) -> int:
        """The shares that exactly `assets` cost."""
        return self._leave(assets, 0, receiver, owner)[1]

    def redeem(self, shares: int, receiver: str, owner: str) -> int:
        """The assets that `shares` yield."""
        return self._leave(0, shares, receiver, owner)[0]

    @transaction
    def _enter(self, assets: int, shares: int, receiver: str, sender: str) -> tuple[int, int]:
        """E-2, enter. Exactly one of `assets` and `shares` is given, the other is 0."""
        require(assets > 0 or shares > 0, "ZeroAmount")
        price = self.oracle.price_near(self.adapter.price())
        s, lines = self._accrue(self._position(), price)
        e = self._plan_entry(s, assets, shares)

        self._count_minted(e.margin)
        self._pull(e, sender)
        # The price limit binds the venue's price after the trade too, so it is near the index before and at
        # the fill.
        worst = lm.worst_price(price, e.size_delta, self.oracle.max_deviation)
        fill = self.adapter.adjust(e.size_delta, e.margin, worst)
        require(fill.size == e.size_delta, "PartialFill", fill.size, e.size_delta)

        bought = self._shares_for(s, e.margin, fill)
        require(bought > 0 and bought >= shares, "TooFewShares", bought, shares)
        shares = shares or bought

        if s.supply == 0:
            self.rebalancing = Rebalancing(price, self.chain.now, Trigger.NONE, False)
            # What lay in the empty vault is a gift to whoever comes first.
            lines.funding = per_share(s.equity, shares)
        # What the entrant brought beyond what the shares stand for: a better fill, or exposure that was not
        # bought.
        left = -s.equity - lm.to_net_up(shares, s.equity, s.supply)
        s.supply += shares
        s.size += fill.size
        s.cash += e.margin * self.scale + fill.cash
        s.equity = lm.equity(s.cash, s.size, price)
        left += s.equity
        if left > 0:
            lines.slippage += per_share(left, s.supply)
        self._book(s, lines)

        self.token.mint(receiver, shares)
        return e.assets, shares

    @transaction
    def _leave(self, assets: int, shares: int, receiver: str, owner: str) -> tuple[int, int]:
        """E-2, leave. Exactly one of `assets` and `shares` is given, the other is 0. The index price cancels,
        so the last booked one serves the ledger and no oracle is asked (I-11)."""
        require(assets > 0 or shares > 0, "ZeroAmount")
        s, lines = self._accrue(self._position(), self.mark.price)
        paid = lm.gross_up(assets, s.burn_fee)
        # The search may end some wei above the shares of a holder who withdraws all; what they yield is
        # checked below.
        if shares == 0:
            shares = min(self._shares_to_pay(s, paid), self.token.balance_of(owner))
        self.token.burn(owner, shares)

        fill, proceeds = self._close(s, shares)
        if assets == 0:
            paid = proceeds
            assets = paid - lm.fee_up(paid, s.burn_fee)
            require(assets > 0 or self.is_ruined, "ZeroAmount")
        else:
            require(proceeds >= paid, "TooFewAssets", proceeds, paid)

        s.supply -= shares
        s.size += fill.size
        s.cash += fill.cash - paid * self.scale
        s.equity = lm.equity(s.cash, s.size, s.price)
        self.fees_owed += paid - assets
        self._book(s, lines)

        if paid > 0:
            self.adapter.withdraw(paid, self.address)
            self._pay(receiver, assets)
        return assets, shares

    # Rebalance

    @transaction
    def rebalance(self, sender: str) -> tuple[Trigger, int]:
        """E-6: why, and what was traded."""
        price = self.oracle.price()
        s, lines = self._accrue(self._position(), price)
        require(not self.is_ruined, "VaultRuined")
        require(s.supply == 0 or s.equity > 0, "Underwater", s.equity)
        before = s.leverage
        r = self._rule(s, sender)
        trigger = Trigger.NONE if s.supply == 0 else r.trigger
        require(trigger != Trigger.NONE, "NothingDue", before, self.target)

        wanted, worst = self._plan_rebalance(r, s)
        fill = self.adapter.adjust(wanted, 0, worst)
        require(fill.size != 0, "NothingFilled", wanted)

        s.size += fill.size
        s.cash += fill.cash
        s.equity = lm.equity(s.cash, s.size, price)
        slip = cost(fill, price) - fill.fee
        lines.venue_fee -= per_share(fill.fee, s.supply)
        lines.slippage -= per_share(slip, s.supply)
        self._tip(r, s, lines, sender)

        is_done = abs(s.leverage - self.target) <= r.policy.tolerance
        chunk = Trigger.NONE if is_done else trigger
        self.rebalancing = Rebalancing(price, self.chain.now, chunk, wanted > 0)
        self._book(s, lines)
        return trigger, fill.size

    def _plan_rebalance(self, r: Ruling, s: State) -> tuple[int, int]:
        """E-6: to the target, net of its own cost, cut to a chunk; and the worst price. Raising leverage
        needs a price that the venue confirms and no pause (E-1, E-7). A fund too small to be worth a trade is
        still brought out of danger."""
        size_delta = lm.size_to_leverage(self.target, s.equity, s.size, s.price)
        size_delta = lm.capped(size_delta, s.price, r.policy.max_notional)
        if (size_delta > 0) == (self.target > 0):
            require(self.chain.now >= r.paused_until, "MintsPaused", r.paused_until)
            self.oracle.price_near(self.adapter.price())
        own_cost = cost(self.adapter.quote(size_delta), s.price)
        size_delta = lm.size_net_of_cost(size_delta, s.price, self.target, own_cost)
        size_delta = lm.capped(size_delta, s.price, r.policy.max_notional)
        notional = abs(lm.notional(size_delta, s.price))
        is_worth = r.trigger == Trigger.EMERGENCY or notional >= r.policy.min_notional
        require(is_worth, "TradeTooSmall", notional, r.policy.min_notional)
        return size_delta, lm.worst_price(s.price, size_delta, r.slippage)

    def _tip(self, r: Ruling, s: State, lines: Attribution, sender: str) -> None:
        """A late scheduled rebalance pays its caller in shares, at most a ten-thousandth of equity."""
        if r.trigger != Trigger.SCHEDULED:
            return
        value = lm.tip(r.lateness, r.policy.tip_rate, r.policy.tip_cap)
        value = min(value, s.equity // TIP_SHARE)
        tip_shares = lm.to_shares_down(value, s.equity, s.supply)
        if tip_shares == 0:
            return
        before = s.nav
        s.supply += tip_shares
        lines.venue_fee -= before - s.nav
        self.token.mint(sender, tip_shares)

    # Internals

    def _at_mark(self) -> State:
        """At the price of the last booking: for those who leave."""
        s = self._value(self._position(), self.mark.price)
        self._charge(s)
        return s

    def _entry_leverage(self, s: State) -> int:
        """Leverage at which an entrant joins: the fund's own, or the target when it is empty."""
        return self.target if s.supply == 0 else s.leverage

    def _plan_entry(self, s: State, assets: int, shares: int) -> Entry:
        today, before_cap = self._require_open(s)
        e = self._plan_deposit(s, assets) if assets > 0 else self._plan_mint(s, shares)
        require(e.margin <= today, "DailyCapExceeded", e.margin, today)
        require(e.margin <= before_cap, "TotalCapExceeded", e.margin, before_cap)
        return e

    def _plan_deposit(self, s: State, assets: int) -> Entry:
        """Size on what the deposit really adds: net of the cost of its own trade. The cost grows faster than
        the size, so two quotes and a secant close in on it from the cheap side; `_shares_for` takes up the
        rest."""
        fee = lm.fee_up(assets, s.mint_fee)
        margin = assets - fee
        leverage = self._entry_leverage(s)
        brought = margin * self.scale
        gross = lm.size_to_leverage(leverage, brought, 0, s.price)
        if gross == 0:
            return Entry(assets, fee, margin, 0)
        own_cost = self._cost_to_entrant(s, self.adapter.quote(gross))
        size = lm.size_net_of_cost(gross, s.price, leverage, own_cost)
        over = lm.excess(gross, s.price, leverage, brought - own_cost)
        own_cost = self._cost_to_entrant(s, self.adapter.quote(size))
        size = lm.secant(gross, over, size, lm.excess(size, s.price, leverage, brought - own_cost))
        return Entry(assets, fee, margin, away_from_zero(size))

    def _plan_mint(self, s: State, shares: int) -> Entry:
        """Size on the collateral that the shares stand for, away from zero."""
        net = lm.to_net_up(shares, s.equity, s.supply)
        leverage = self._entry_leverage(s)
        size_delta = away_from_zero(lm.size_to_leverage(leverage, net, 0, s.price))
        own_cost = self._cost_to_entrant(s, self.adapter.quote(size_delta))
        margin = lm.ceil_div(net + own_cost, self.scale)
        assets = lm.gross_up(margin, s.mint_fee)
        return Entry(assets, assets - margin, margin, size_delta)

    def _shares_for(self, s: State, margin: int, fill: Fill) -> int:
        """Shares are for what the deposit left after its cost, and for no more than the exposure it bought
        carries: else the others would lend the entrant theirs, and a lagging price would make that worth
        money (E-2)."""
        own_cost = self._cost_to_entrant(s, fill)
        brought = margin * self.scale
        require(own_cost < brought, "CostExceedsDeposit", own_cost, brought)
        net = brought - own_cost
        leverage = self._entry_leverage(s)
        if s.supply > 0 and leverage != 0:
            net = min(net, lm.carrying(fill.size, s.price, leverage))
        return lm.to_shares_down(net, s.equity, s.supply)

    def _cost_to_entrant(self, s: State, fill: Fill) -> int:
        """By how much the trade lowers equity, to the wei (I-2). A fill better than the index belongs to the
        whole fund, never to the entrant."""
        return max(0, s.equity - lm.equity(s.cash + fill.cash, s.size + fill.size, s.price))

    def _close(self, s: State, shares: int) -> tuple[Fill, int]:
        """Close a leaver's part of the position: the fill, and what it yields in assets. A ruined vault whose
        position is worth less than nothing has nothing to close and pays nothing: the venue bears that."""
        size_delta = self._size_to_close(s, shares)
        fill = Fill()
        if size_delta != 0:
            if self.is_ruined and self._proceeds(s, shares) <= 0:
                return fill, 0
            fill = self.adapter.adjust(size_delta, 0, 0)
            require(fill.size == size_delta, "PartialFill", fill.size, size_delta)
        return fill, self._floor(lm.portion_down(s.cash, shares, s.supply) + fill.cash)

    def _size_to_close(self, s: State, shares: int) -> int:
        """What is left over by rounding stays long: the fund keeps an asset, never a debt (I-2)."""
        return -lm.portion_down(s.size, shares, s.supply)

    def _proceeds(self, s: State, shares: int) -> int:
        """What `shares` would be paid, WAD, before the burn fee."""
        size_delta = self._size_to_close(s, shares)
        cash = lm.portion_down(s.cash, shares, s.supply)
        return cash if size_delta == 0 else cash + self.adapter.quote(size_delta).cash

    def _shares_to_pay(self, s: State, paid: int) -> int:
        """The shares whose proceeds cover `paid` assets. Where the venue pays better than its price the first
        guess is too many and is taken back once; from then on from below: a larger exit moves the venue
        further.
        """
        if paid == 0:
            return 0
        wanted = paid * self.scale
        equity = lm.equity(s.cash, s.size, self.adapter.price())
        require(s.supply > 0 and equity > 0, "TooFewAssets", 0, paid)
        # Proceeds come in steps of a wei of the base: without a step to spare a round might gain nothing.
        aim = wanted + s.price // WAD + 1
        shares = min(lm.ceil_div(aim * s.supply, equity), s.supply)
        got = self._proceeds(s, shares)
        for i in range(MAX_ROUNDS):
            if not (shares < s.supply if got < wanted else got > aim and i == 0):
                break
            require(got > 0, "TooFewAssets", 0, paid)
            shares = min(lm.ceil_div(shares * aim, got) + 1, s.supply)
            got = self._proceeds(s, shares)
        require(got >= wanted, "TooFewAssets", self._floor(got), paid)
        return shares

    def _pull(self, e: Entry, sender: str) -> None:
        """The margin goes straight to the adapter, the fee stays here."""
        self.asset.transfer(sender, self.adapter.address, e.margin)
        if e.fee == 0:
            return
        self.fees_owed += e.fee
        self.asset.transfer(sender, self.address, e.fee)


def away_from_zero(size: int) -> int:
    """A wei of size more, so that what it carries does not fall short by rounding."""
    if size == 0:
        return 0
    return size + 1 if size > 0 else size - 1
