"""Twin of LeveragedVault.sol: value, fees, ledger, policy and ruin, which every vault has alike.

Money is WAD but for `assets`, which are in the collateral's own decimals; `scale` is WAD per base unit of it.
"""

from dataclasses import dataclass, replace

from leverage import leverage_math as lm
from leverage.leverage_math import VIRTUAL
from leverage.twin.ground import Chain, Contract, Oracle, Token, require, transaction
from leverage.twin.terms import Ruling, VaultTerms
from leverage.twin.venue import Fill, Position, Venue
from leverage.types import DAY, WAD, Caps, Fees, Policy, Rebalancing, Snapshot, Trigger

# A tip never takes more than 1 bp of equity, however large its cap.
TIP_SHARE = 10_000


@dataclass
class State:
    """The vault at one price at one moment; supply includes the management fee up to it."""

    price: int
    size: int
    cash: int
    equity: int
    supply: int
    mint_fee: int = 0
    burn_fee: int = 0

    @property
    def nav(self) -> int:
        return lm.nav(self.equity, self.supply)

    @property
    def leverage(self) -> int:
        return lm.leverage(self.size, self.price, self.equity)


@dataclass(frozen=True)
class Due:
    """A management fee that is due, and where the integral of its rate stands."""

    shares: int
    management_integral: int
    treasury: str


@dataclass
class Attribution:
    """E-9: why nav is what it is, per share, since the vault was empty: 1 + all lines = nav."""

    price: int = 0
    funding: int = 0
    venue_fee: int = 0
    slippage: int = 0
    management_fee: int = 0
    rounding: int = 0

    @property
    def total(self) -> int:
        return (
            self.price + self.funding + self.venue_fee + self.slippage + self.management_fee + self.rounding
        )


@dataclass(frozen=True)
class Mark:
    """Last booking: where the next change of nav is attributed from."""

    nav: int
    price: int
    size: int
    cash: int


class LeveragedVault(Contract):
    """`adapter` is where it trades; the vault makes its own token and terms."""

    def __init__(
        self,
        chain: Chain,
        adapter: Venue,
        asset: Token,
        oracle: Oracle,
        target: int,
        policy: Policy,
        fees: Fees,
        caps: Caps,
        treasury: str = "treasury",
        address: str = "vault",
    ):
        super().__init__(chain, address)
        gearing = abs(target)
        require(WAD <= gearing <= 5 * WAD, "TargetOutOfRange", target)
        self.adapter = adapter
        self.asset = asset
        self.oracle = oracle
        self.target = target
        self.scale: int = 10 ** (18 - asset.decimals)
        self.token = Token(chain, f"{address}.token")
        self.terms = VaultTerms(
            chain, gearing, adapter.max_leverage, treasury, policy, fees, caps, f"{address}.terms"
        )
        self.fees_owed = 0
        self.management_integral = 0
        self.is_ruined = False
        self.mint_day = 0
        self.minted = 0
        self.rebalancing = Rebalancing(0, 0, Trigger.NONE, False)
        self.mark = Mark(WAD, 0, 0, 0)
        self._attribution = Attribution()

    # Views

    def minted_today(self) -> int:
        return self.minted if self.mint_day == self.chain.now // DAY else 0

    def equity(self) -> int:
        return self._now().equity

    def nav(self) -> int:
        return self._now().nav

    def leverage(self) -> int:
        return self._now().leverage

    def snapshot(self) -> Snapshot:
        s = self._now()
        return Snapshot(
            timestamp=self.chain.now,
            price=s.price,
            venue_price=self.adapter.price(),
            size=s.size,
            equity=s.equity,
            supply=s.supply,
            nav=s.nav,
            leverage=s.leverage,
            target=self.target,
            rebalancing=self.rebalancing,
            paused_until=self.terms.paused_until,
            ruined=self.is_ruined,
        )

    def due(self, caller: str) -> Trigger:
        s = self._now()
        return Trigger.NONE if self.is_ruined or s.supply == 0 else self._rule(s, caller).trigger

    def attribution(self) -> tuple[Attribution, int]:
        """The ledger up to now, and nav."""
        s, lines, _ = self._project(self._position(), self.oracle.price())
        return lines, s.nav

    # Anyone

    @transaction
    def accrue(self) -> None:
        s, lines = self._accrue(self._position(), self.oracle.price())
        self._book(s, lines)

    @transaction
    def check_ruin(self) -> bool:
        if self.is_ruined or self.token.supply == 0:
            return self.is_ruined
        p = self._position()
        left = p.cash
        # Where the position is gone no price is asked for.
        if not self._is_gone(p.size):
            left = lm.equity(p.cash, p.size, self.oracle.price())
            if left > 0:
                return False
        self._ruin()
        return True

    @transaction
    def collect_fees(self) -> int:
        assets, self.fees_owed = self.fees_owed, 0
        self._pay(self.terms.treasury, assets)
        return assets

    # Ledger

    def _position(self) -> Position:
        """The holders' part of what the vault owns: whatever else it holds or owes is not theirs."""
        return self.adapter.position()

    def _value(self, p: Position, price: int) -> State:
        """The vault with `p` at `price`, without what the terms have to say."""
        return State(price, p.size, p.cash, lm.equity(p.cash, p.size, price), self.token.supply)

    def _charge(self, s: State) -> Due:
        """The rates, and the management fee since the last accrual, which the supply then includes."""
        rates = self.terms.rates()
        s.mint_fee, s.burn_fee = rates.mint_fee, rates.burn_fee
        accrued = rates.management_integral - self.management_integral
        fee = Due(lm.management_shares(s.supply, accrued), rates.management_integral, rates.treasury)
        s.supply += fee.shares
        return fee

    def _project(self, p: Position, price: int) -> tuple[State, Attribution, Due]:
        """The same with the ledger as it would be booked."""
        s = self._value(p, price)
        fee = self._charge(s)
        # Nobody's nav: the ledger begins anew with the next holder.
        if s.supply == 0:
            return s, Attribution(), fee
        lines = replace(self._attribution)
        before = self._explain(replace(s, supply=s.supply - fee.shares), lines)
        lines.management_fee += s.nav - before
        return s, lines, fee

    def _explain(self, s: State, lines: Attribution) -> int:
        """Attribute the change of nav since the last booking; nav before the management fee (E-9)."""
        mark = self.mark
        shares = s.supply + VIRTUAL
        by_price = lm.div(mark.size * (s.price - mark.price), shares)
        moved = s.cash - mark.cash + lm.notional(s.size - mark.size, s.price)
        by_cash = lm.div(moved * WAD, shares)
        residual = s.nav - mark.nav - by_price - by_cash
        # Holders lose no more than nav: what a ruined vault owes beyond it is the venue's, and not rounding.
        if s.nav == 0 or mark.nav == 0:
            by_price += residual
        else:
            lines.rounding += residual
        lines.price += by_price
        # Only the venue itself can have changed the size since the last booking: by liquidation.
        if s.size == mark.size:
            lines.funding += by_cash
        else:
            lines.slippage += by_cash
        return s.nav

    def _accrue(self, p: Position, price: int) -> tuple[State, Attribution]:
        """Charge the management fee up to now. The caller books the lines when it knows the rest."""
        s, lines, fee = self._project(p, price)
        self.management_integral = fee.management_integral
        # Before the next booking forgets that there was a position.
        if s.supply > 0 and not self.is_ruined and self._is_gone(s.size):
            self._ruin()
        if fee.shares > 0:
            self.token.mint(fee.treasury, fee.shares)
        return s, lines

    def _book(self, s: State, lines: Attribution) -> None:
        """Write the ledger: whatever the lines do not explain of the new nav is rounding."""
        lines = replace(lines) if s.supply else Attribution()
        residual = s.nav - WAD - lines.total
        # A fill that left less than nothing cost the holders no more than nav: the rest is the venue's, and
        # not rounding.
        if s.nav == 0:
            lines.slippage += residual
        else:
            lines.rounding += residual
        self._attribution = lines
        self.mark = Mark(s.nav, s.price, s.size, s.cash)

    # Internals

    def _pay(self, receiver: str, assets: int) -> None:
        """Collateral that lies here goes to `receiver`."""
        self.asset.transfer(self.address, receiver, assets)

    def _now(self) -> State:
        s = self._value(self._position(), self.oracle.price())
        self._charge(s)
        return s

    def _rule(self, s: State, caller: str) -> Ruling:
        return self.terms.rule(self.rebalancing, self.target, s.price, s.leverage, caller)

    def _ruin(self) -> None:
        self.is_ruined = True

    def _is_gone(self, size: int) -> bool:
        """Whether the venue closed the position: a size that went without our doing was liquidated."""
        return size == 0 and self.mark.size != 0

    def _require_open(self, s: State) -> tuple[int, int]:
        """E-7: whether anything may come in, and how many assets: today, and before equity meets its cap."""
        limits = self.terms.limits()
        require(self.chain.now >= limits.paused_until, "MintsPaused", limits.paused_until)
        require(not self.is_ruined, "VaultRuined")
        if s.supply > 0:
            require(not self._is_gone(s.size), "PositionGone", s.size, self.mark.size)
            require(s.equity > 0, "Underwater", s.equity)
            require(abs(s.leverage) <= limits.band_max, "LeverageTooHigh", s.leverage, limits.band_max)
        return max(0, limits.daily - self.minted_today()), max(0, limits.total - self._held(s))

    def _held(self, s: State) -> int:
        """Equity in assets, 0 when there is no share: what lies in an empty vault counts against no cap."""
        return 0 if s.supply == 0 else self._floor(s.equity)

    def _count_minted(self, assets: int) -> None:
        self.minted = self.minted_today() + assets
        self.mint_day = self.chain.now // DAY

    def _floor(self, value: int) -> int:
        """WAD to assets, down; nothing for a debt."""
        return max(0, value) // self.scale


def cost(fill: Fill, price: int) -> int:
    """What a fill cost against the index; negative when it was better."""
    return lm.cost_of(fill.size, fill.cash, price)


def per_share(value: int, supply: int) -> int:
    """What a sum of money is to a share's nav."""
    return lm.div(value * WAD, supply + VIRTUAL)
