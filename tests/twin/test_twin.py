"""What only the twin has: transactions in Python, a market impact, and venues that are told what they did."""

import pytest

from leverage import leverage_math as lm
from leverage.twin.ground import Chain, Oracle, Revert, Token
from leverage.twin.instant import InstantVault
from leverage.twin.recorded import RecordedFills, RecordedOrders
from leverage.twin.venue import Fill, LinearVenue, Position
from leverage.types import DAY, WAD, Caps, Fees, Policy, Trigger

NOON = 1_700_000_000 // DAY * DAY + DAY // 2
PRICE = 2_000 * WAD
POLICY = Policy(
    triggers=7, period=DAY, offset=120, exclusive=1_800, cooldown=60, band_min=2 * WAD, band_max=4 * WAD,
    emergency_move=WAD // 10, drift=WAD // 20, tolerance=WAD // 50, max_slippage=WAD // 100,
    emergency_slippage=WAD // 20, tip_rate=WAD // 1_000, tip_cap=5 * WAD, min_notional=10 * WAD,
    max_notional=10**6 * WAD,
)  # fmt: skip
UNCAPPED = Caps(2**127, 2**127)


def entered(target):
    """A vault on a venue where a trade of a million costs 1 % and 10 bp, with 10,000 of the holder's."""
    chain = Chain(NOON)
    usd = Token(chain, "usd")
    oracle = Oracle(chain, PRICE, heartbeat=DAY, max_deviation=WAD // 50)
    venue = LinearVenue(chain, usd, PRICE, fee_rate=WAD // 1_000, depth=10**8 * WAD, max_leverage=10 * WAD)
    vault = InstantVault(chain, venue, usd, oracle, target * WAD, POLICY, Fees(0, 0, WAD // 10_000), UNCAPPED)
    for account in ("holder", "user"):
        usd.mint(account, 10**6 * WAD)
    vault.deposit(10_000 * WAD, "holder")
    return vault


@pytest.fixture
def market():
    return entered(3)


def move(vault, price):
    vault.oracle.set(price)
    vault.adapter.venue_price = price


def states(vault):
    return [contract.saved() for contract in vault.chain.contracts]


# Transactions


@pytest.mark.parametrize(
    "act, error",
    [
        (lambda vault: vault.deposit(0, "user"), "ZeroAmount"),
        (lambda vault: vault.deposit(2 * 10**6 * WAD, "user"), "ERC20InsufficientBalance"),
        (lambda vault: vault.redeem(WAD, "user", "user"), "ERC20InsufficientBalance"),
        (lambda vault: vault.withdraw(10**5 * WAD, "holder", "holder"), "TooFewAssets"),
        (lambda vault: vault.rebalance("user"), "NothingDue"),
        (lambda vault: vault.terms.set_fees(Fees(WAD, 0, 0)), "FeeOutOfBounds"),
    ],
)
def test_transaction__refused__changes_nothing_anywhere(market, act, error):
    market.chain.now += 60
    before = states(market)

    with pytest.raises(Revert) as refusal:
        act(market)

    assert refusal.value.name == error
    assert states(market) == before


def test_transaction__refused_after_the_trade__takes_the_trade_back(market):
    market.adapter.fill_ratio = WAD // 2
    before = states(market)

    with pytest.raises(Revert, match="^PartialFill"):
        market.deposit(1_000 * WAD, "user")

    assert states(market) == before


def test_transaction__arithmetic_that_solidity_cannot_do__panics():
    vault = entered(-3)
    vault.oracle.max_deviation = 2 * WAD
    before = states(vault)

    with pytest.raises(Revert, match="^Panic"):
        vault.deposit(1_000 * WAD, "user")

    assert states(vault) == before


# A venue whose price moves with the size of a trade


@pytest.mark.parametrize("size", [10 * WAD, -10 * WAD])
def test_quote__with_an_impact__is_worse_by_the_part_of_the_depth(size):
    chain = Chain(NOON)
    venue = LinearVenue(chain, Token(chain, "usd"), PRICE, slippage=WAD // 1_000, depth=10**6 * WAD)

    # 20,000 of a million, and 10 bp.
    fill = venue.quote(size)

    assert lm.cost_of(fill.size, fill.cash, PRICE) == 20_000 * WAD * 21 // 1_000
    assert fill.fee == 0


@pytest.mark.parametrize("assets", [100, 10_000, 100_000])
def test_deposit__with_an_impact__pays_for_itself_and_keeps_the_leverage(market, assets):
    nav, leverage = market.nav(), market.leverage()

    shares = market.deposit(assets * WAD, "user")

    # What sizing leaves over is the others': less than a hundredth of a basis point.
    assert 0 <= market.nav() - nav < nav // 10**6
    assert market.leverage() == pytest.approx(leverage, rel=1e-4)
    assert shares < assets * WAD * WAD // nav


def test_rebalance__with_an_impact__ends_within_tolerance_net_of_its_cost(market):
    move(market, PRICE * 88 // 100)

    trigger, size = market.rebalance("user")

    assert trigger == Trigger.EMERGENCY
    assert size < 0
    assert abs(market.leverage() - 3 * WAD) <= POLICY.tolerance


def test_attribution__whatever_happens__sums_to_nav(market):
    for step in range(20):
        market.chain.now += 3_600
        move(market, PRICE * (100 + (-1) ** step * step) // 100)
        market.adapter.fund(-WAD * step)
        if market.due("user"):
            market.rebalance("user")
        market.deposit(WAD * 100, "user")
        lines, nav = market.attribution()
        assert WAD + lines.total == nav == market.nav()
    assert lines.funding < 0 and lines.slippage < 0 and lines.venue_fee < 0 and lines.management_fee < 0


# Venues that are told


@pytest.fixture
def told():
    chain = Chain(NOON)
    return chain, Token(chain, "usd", decimals=6)


def test_recorded_fills__trade__is_what_was_told(told):
    venue = RecordedFills(*told, 10 * WAD, lambda: PRICE)
    venue.record([Fill(WAD, -2_001 * WAD, WAD)])

    fill = venue.adjust(WAD, 1_000 * 10**6, 0)

    assert fill == Fill(WAD, -2_001 * WAD, WAD)
    assert venue.position() == Position(WAD, -1_001 * WAD)
    assert venue.adjust(WAD, 0, 0) == Fill()


def test_recorded_fills__refused__are_as_quoted(told):
    venue = RecordedFills(*told, 10 * WAD, lambda: PRICE)
    venue.ask_quote = lambda size: Fill(size, -lm.notional(size, PRICE), 0)
    venue.record(None, free=5)

    assert venue.adjust(-WAD, 0, 0) == Fill(-WAD, PRICE, 0)
    with pytest.raises(Revert, match=r"^WithdrawalShort\(5, 6\)$"):
        venue.withdraw(6, "receiver")


def test_recorded_venue__told_anew__names_what_changed(told):
    venue = RecordedFills(*told, 10 * WAD, lambda: PRICE)
    venue.tell(Position(WAD, -1_000 * WAD))

    assert venue.tell(Position(WAD, -1_003 * WAD)) == Position(0, -3 * WAD)


def test_recorded_orders__payouts__are_those_that_came(told):
    _, usd = told
    venue = RecordedOrders(*told, 10 * WAD, lambda: PRICE)
    venue.record(None, [7])

    with pytest.raises(Revert, match=r"^WithdrawalShort\(7, 9\)$"):
        venue.withdraw(9, "queue")
    venue.withdraw(7, "queue")
    with pytest.raises(Revert, match=r"^WithdrawalShort\(0, 2\)$"):
        venue.withdraw(2, "queue")

    assert usd.balance_of("queue") == 7
    assert venue.position().cash == -7 * 10**12
