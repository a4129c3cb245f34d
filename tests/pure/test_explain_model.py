"""The ledger's lines between two moments, and the model beside them: held to the exact twin of the vault."""

from dataclasses import dataclass, field, replace

import pytest

from leverage import leverage_math as lm
from leverage.config import load
from leverage.errors import LeverageError
from leverage.explain import LINES, Entry, Life, Rebalance, causes, charged, lives, predict
from leverage.twin.ground import Chain, Oracle, Token
from leverage.twin.instant import InstantVault
from leverage.twin.vault import Attribution
from leverage.twin.venue import LinearVenue
from leverage.types import DAY, WAD, Caps, Fees, Trigger

START = 1_893_456_000 + 180  # 2030-01-01 00:03 UTC, when scheduled rebalances are open to the keeper alone.
FEES = Fees(mint=WAD // 1_000, burn=WAD // 1_000, management_per_day=WAD // 10_000)
FUNDING = WAD // 2_000  # Per day of the notional.
MANAGEMENT = charged([(0, FEES.management_per_day)])


@dataclass
class Play:
    """A vault's twin at a venue with a fee, whose ledger is written down at each booking."""

    symbol: str
    slippage: int = 0
    entries: list[Entry] = field(default_factory=list)

    def __post_init__(self):
        self.chain = Chain(START)
        usd = Token(self.chain, "usd", decimals=18)
        self.oracle = Oracle(self.chain, 2_000 * WAD)
        self.venue = LinearVenue(self.chain, usd, 2_000 * WAD, fee_rate=WAD // 1_000, slippage=self.slippage)
        token = load().tokens[self.symbol]
        policy, caps = token.policy_struct(), Caps(10**30, 10**30)
        self.vault = InstantVault(self.chain, self.venue, usd, self.oracle, token.target, policy, FEES, caps)
        self.vault.terms.keepers.add("keeper")
        usd.mint("holder", 10**30)

    def book(self, rebalances=()):
        lines, nav = self.vault.attribution()
        price, is_empty = self.oracle.price(), self.vault.token.supply == 0
        number = len(self.entries)
        self.entries.append(Entry(number, self.chain.now, price, nav, lines, rebalances, is_empty, FUNDING))

    def deposit(self, amount):
        self.vault.deposit(amount * WAD, "holder")
        self.book()

    def leave(self):
        for who in ("holder", "treasury"):
            if shares := self.vault.token.balance_of(who):
                self.vault.redeem(shares, who, who)
        self.book()

    def wait(self, seconds, percent):
        """Time passes, the index moves, and longs pay funding at the mean of both prices."""
        before = self.oracle.price()
        price = before * (100 + percent) // 100
        size = self.venue.position().size
        paid = lm.div(lm.notional(size, (before + price) // 2) * FUNDING * seconds, WAD * DAY)
        self.chain.now += seconds
        self.oracle.set(price)
        self.venue.venue_price = price
        self.venue.fund(-paid)

    def rebalance(self):
        price, s = self.oracle.price(), self.vault.snapshot()
        quote = self.venue.quote(lm.size_to_leverage(s.target, s.equity, s.size, price))
        notional = abs(lm.notional(quote.size, price))
        cost = lm.cost_of(quote.size, quote.cash, price)
        trigger, size = self.vault.rebalance("keeper")
        self.book(
            (
                Rebalance(
                    trigger,
                    size,
                    price,
                    s.leverage,
                    self.vault.leverage(),
                    fee=0,
                    slippage=0,
                    tip_shares=0,
                    quoted_fee=quote.fee * WAD // notional,
                    quoted_slippage=(cost - quote.fee) * WAD // notional,
                ),
            )
        )

    @property
    def target(self):
        return self.vault.target

    def life(self):
        (found,) = lives(self.entries, self.target, self.target)
        return found


def played(symbol, slippage=0):
    """Days of moves with rebalances, and people who come in between."""
    play = Play(symbol, slippage)
    play.deposit(10_000)
    for percent in (4, -6, 12, -11, 3):
        play.wait(DAY, percent)
        play.rebalance()
        play.wait(0, 2)
        play.deposit(1_000)
    return play


def entry(time, nav, price=2_000 * WAD, **facts):
    lines = Attribution(price=nav - WAD)
    return Entry(time, time, price, nav, **{"lines": lines, **facts})


# The ledger


@pytest.mark.parametrize("symbol", ["ETH3L", "ETH3S"])
def test_lines__of_a_period__add_up_to_the_change_of_nav(symbol):
    life = played(symbol).life()
    part = Life(life.entries[3:7], life.leverage)

    assert part.lines.total == part.change == part.now.nav - part.then.nav != 0
    assert all(getattr(part.lines, line) for line in ("price", "funding", "venue_fee", "management_fee"))


def test_entry__lines_that_do_not_add_up__are_refused():
    with pytest.raises(LeverageError, match="the ledger of block 7 does not add up"):
        Entry(7, START, WAD, WAD + 2, Attribution(price=1))


def test_lives__everybody_leaves_and_somebody_comes__are_two():
    play = Play("ETH3L")
    play.book()
    play.deposit(10_000)
    play.wait(DAY, -5)
    play.vault.accrue()
    play.book()
    play.leave()
    play.wait(DAY, -5)
    play.deposit(1_000)

    first, second = lives(play.entries, 0, play.target)

    assert first.is_over and not second.is_over
    assert (first.then.nav, second.then.nav) == (WAD, WAD)
    assert first.lines.total == first.change < -WAD // 10
    assert second.lines.total == second.change and abs(second.change) < WAD // 100
    assert first.leverage == second.leverage == play.target


def test_lives__nobody_ever_came__are_none():
    assert list(lives([entry(1, WAD, is_empty=True), entry(2, WAD, is_empty=True)], 0, 3 * WAD)) == []


def test_lives__begun_before__keeps_its_leverage_and_its_nav():
    then, now = entry(1, WAD // 2), entry(2, WAD)

    (life,) = lives([then, now], 2 * WAD, 3 * WAD)

    assert (life.leverage, life.then, life.now, life.change) == (2 * WAD, then, now, WAD // 2)


# The model


@pytest.mark.parametrize("slippage", [0, WAD // 1_000], ids=["at the index", "10 bp worse"])
@pytest.mark.parametrize("symbol", ["ETH3L", "ETH3S", "ETH2L", "ETH1S"])
def test_predict__venue_keeps_to_its_quotes__is_the_twins_ledger(symbol, slippage):
    play = played(symbol, slippage)
    life = play.life()

    predicted = predict(life, play.target, MANAGEMENT)

    for line in LINES:
        assert getattr(predicted, line) == pytest.approx(getattr(life.lines, line), abs=10**9), line
    assert predicted.total == pytest.approx(life.change, abs=10**9)
    assert causes(life, play.target, predicted) == {}


def test_predict__from_the_middle__begins_at_the_leverage_of_then():
    play = Play("ETH3L")
    play.deposit(10_000)
    play.wait(DAY // 2, 7)
    play.vault.accrue()
    play.book()
    drifted = play.vault.leverage()
    play.wait(DAY // 2, -3)
    play.rebalance()

    (life,) = lives(play.entries[1:], drifted, play.target)
    predicted = predict(life, play.target, MANAGEMENT)

    assert drifted == pytest.approx(lm.drifted(3 * WAD, WAD * 7 // 100), rel=1e-3)
    assert predicted.price == pytest.approx(life.lines.price, abs=10**9)
    assert predict(replace(life, leverage=3 * WAD), play.target, MANAGEMENT).price < predicted.price


def test_predict__fall_beyond_ruin__loses_all_and_no_more():
    life = Life([entry(0, WAD), entry(DAY, 0, price=1_000 * WAD)], 3 * WAD)

    predicted = predict(life, 3 * WAD, MANAGEMENT)

    assert predicted.total == -WAD == life.change
    assert predicted.price == -WAD and predicted.rounding == 0


def test_predict__nothing_left_then__stays_nothing():
    life = Life([entry(0, 0), entry(DAY, 0)], lm.INFINITE_LEVERAGE)

    assert predict(life, 3 * WAD, MANAGEMENT) == Attribution()


def test_charged__rate_that_changes__is_its_integral():
    fee = charged([(0, WAD // 10_000), (START + DAY, WAD // 1_000), (START + 3 * DAY, 0)])

    assert fee(START, START + DAY) == WAD // 10_000
    assert fee(START, START + 2 * DAY) == WAD // 10_000 + WAD // 1_000
    assert fee(START + DAY // 2, START + 10 * DAY) == WAD // 20_000 + 2 * WAD // 1_000
    assert fee(START + 4 * DAY, START + 5 * DAY) == 0


# What made the difference


def off(life, line, by=WAD // 100):
    """A prediction that misses one line."""
    return replace(life.lines, **{line: getattr(life.lines, line) + by})


def test_causes__line_that_misses__is_told_alone():
    life = played("ETH3L").life()

    assert causes(life, 3 * WAD, life.lines) == {}
    for line in LINES:
        assert list(causes(life, 3 * WAD, off(life, line))) == [line]


def test_causes__rebalances_in_chunks__name_how_far_they_ended():
    chunk = Rebalance(Trigger.BAND, WAD, 2_000 * WAD, 5 * WAD, 4 * WAD, 0, 0, 0)
    life = Life([entry(0, WAD), entry(DAY, WAD, rebalances=(chunk,))], 3 * WAD)

    why = causes(life, 3 * WAD, off(life, "price"))["price"]

    assert why == "rebalances ended up to 1.000x from the target, the model's at it"


def test_causes__tip__is_named_where_the_venues_fee_misses():
    tipped = Rebalance(Trigger.SCHEDULED, WAD, 2_000 * WAD, 2 * WAD, 3 * WAD, 0, 0, tip_shares=5 * WAD)
    life = Life([entry(0, WAD), entry(DAY, WAD, rebalances=(tipped,))], 3 * WAD)

    assert causes(life, 3 * WAD, off(life, "venue_fee"))["venue_fee"].startswith("tips of 5.000000 shares")


def test_causes__unknown_funding__is_no_prediction():
    life = played("ETH3L").life()
    life = replace(life, entries=[replace(each, funding=None) for each in life.entries])

    predicted = predict(life, 3 * WAD, MANAGEMENT)

    assert predicted.funding == 0 and not life.is_funding_known
    assert causes(life, 3 * WAD, predicted)["funding"].startswith("not predicted")
