"""Quotes of Synthetix are its fills to the wei, and what it costs to go through the adapter."""

import pytest
from rigs import OWNER, PRICE, WAD, Fill, undone
from synthetix_rig import MARKET, SynthetixRig

from devnet import Contract
from devnet.artifacts import synthetix as published
from devnet.rpc import selector
from devnet.synthetix_build import key

pytestmark = pytest.mark.venue

ETH = WAD
OFFCHAIN = 2  # The venue's number for its orders that Pyth's prices fill.
BOTH = pytest.mark.parametrize("side", [1, -1], ids=["long", "short"])
ODD = 1234_567_890_123_456_789_012


@pytest.fixture
def rig(synthetix):
    with SynthetixRig.bound(synthetix) as rig:
        yield rig


def divide(value: int, divisor: int) -> int:
    """Towards zero, as Solidity."""
    return value // divisor if value >= 0 else -(-value // divisor)


def by_the_venue(rig: SynthetixRig, size: int) -> Fill:
    """What the venue's own views say of a trade."""
    price, _ = rig.market.call("fillPrice", size)
    fee, _ = rig.market.call("orderFee", size, OFFCHAIN)
    held = rig.venue.position(rig.adapter, MARKET).size
    return Fill(size, divide(held * price, WAD) - divide((held + size) * price, WAD) - fee, fee)


# Quotes


@BOTH
@pytest.mark.parametrize("skew", [0, 10_000 * ETH, -10_000 * ETH, ODD, -ODD, 5 * ETH, -5 * ETH])
def test_quote__any_skew__is_the_venues_to_the_wei(rig, side, skew):
    rig.opened(7_654_321 * 10**12, 100_000)
    rig.move(1_876_543_210_98 * 10**10)
    rig.venue.set_skew(MARKET, skew)

    for digits in range(22):
        for size in (10**digits, 123_456_789 * 10**digits // 10**8 + 1):
            if side > 0 or size <= 7_654_321 * 10**12:
                assert rig.quote(side * size) == by_the_venue(rig, side * size)


@BOTH
@pytest.mark.parametrize("skew", [10_000 * ETH, -10_000 * ETH])
@pytest.mark.parametrize("change", [5 * ETH + 3, -4 * ETH - 3, -10 * ETH], ids=["more", "less", "all"])
def test_quote__skewed_market__equals_the_fill_to_the_wei(rig, side, skew, change):
    rig.opened(side * 10 * ETH, 10_000)
    rig.venue.set_skew(MARKET, skew)
    quoted = rig.quote(side * change)

    assert rig.adjust(side * change) == quoted
    # One percent off the index.
    off = -quoted.cash - quoted.fee - quoted.size * PRICE // WAD
    assert off == pytest.approx(quoted.size * PRICE // WAD * skew // (10**6 * ETH), rel=2e-3)


@BOTH
@pytest.mark.parametrize("change", [5 * ETH + 3, -4 * ETH - 3, -10 * ETH], ids=["more", "less", "all"])
def test_quote_at__price_of_ones_own__is_the_fill_at_that(rig, side, change):
    rig.opened(side * 10 * ETH, 10_000)
    price = 2_012_345_678_90 * 10**10
    told = Fill(*rig.adapter.call("quoteAt", side * change, price))
    rig.submit(side * change)

    filled = rig.finish(price).fill

    assert filled.size == told.size
    assert abs(filled.cash - told.cash) <= rig.grain
    assert abs(filled.fee - told.fee) <= rig.grain
    assert Fill(*rig.adapter.call("quoteAt", ETH, rig.price())) == rig.quote(ETH)


@BOTH
def test_quote__absurd__reverts(rig, reverts, side):
    for size in (2**120, 2**200, 2**255 - 1):
        with reverts(rig.adapter, "QuoteTooLarge", side * size):
            rig.quote(side * size)


def test_quote__sale_below_a_price_of_zero__reverts(rig, reverts):
    with reverts(rig.adapter, "QuoteTooLarge", -2_000_011 * ETH):
        rig.quote(-2_000_011 * ETH)

    assert rig.quote(2_000_011 * ETH).size == 2_000_011 * ETH


def test_settle__venue_takes_a_dynamic_fee__tells_it_though_no_quote_did(rig):
    address = rig.venue.resolver.call("getAddress", key("SystemSettings"))
    settings = Contract(rig.rpc, published("SystemSettings"), address)
    settings.send("setExchangeDynamicFeeRounds", 6, sender=settings.call("owner"))
    rig.move(PRICE * 1_004 // 1_000)
    quoted = rig.quote(ETH)
    rig.submit(ETH, 10_000 * WAD)

    outcome = rig.finish()

    assert outcome.fill.fee == rig.modified(rig.receipt).fee > quoted.fee
    assert outcome.fill.cash - quoted.cash == quoted.fee - outcome.fill.fee


# The position


@BOTH
@pytest.mark.parametrize("skew", [0, 10_000 * ETH, -10_000 * ETH, ODD])
@pytest.mark.parametrize("scale", [10**6 * ETH, 7_000 * ETH], ids=["far", "beyond the scale"])
def test_position__funding_runs__is_the_venues_to_the_wei(rig, side, skew, scale):
    rig.opened(side * 7_654_321_987_654_321_987, 100_000)
    rig.venue.set_skew(MARKET, skew)
    rig.run_funding()
    rig.venue.set_skew_scale(MARKET, scale)
    rig.move(1_876_543_210_98 * 10**10)

    for seconds in (0, 1, 12_345, 86_400):
        rig.wait(seconds)

        held = rig.venue.position(rig.adapter, MARKET)
        funding, _ = rig.market.call("accruedFunding", rig.adapter)
        assert rig.position() == (held.size, held.margin - divide(held.size * held.last_price, WAD) + funding)


# What the adapter knows of the venue


def test_deploy__another_market__is_that_one(rig):
    market = rig.venue.markets["BTC"].market
    adapter = Contract.deploy(rig.rpc, OWNER, rig.adapter.artifact, market)

    assert adapter.call("market") == market.lower()
    assert adapter.call("asset") == rig.asset.lower()
    assert adapter.call("price") == rig.venue.asset_price("BTC")
    assert Fill(*adapter.call("quote", WAD)).fee == market.call("orderFee", WAD, OFFCHAIN)[0]


def test_deploy__no_market__reverts(rig, reverts):
    with reverts(None, "execution reverted"):
        Contract.deploy(rig.rpc, OWNER, rig.adapter.artifact, rig.venue.resolver)


def test_position__venue_moves_its_state__follows(rig):
    """As after a migration, though to the state of another market, in which nothing is held."""
    rig.opened(ETH, 10_000)
    market = Contract(rig.rpc, published("ProxyPerpsV2"), rig.market)
    other = Contract(rig.rpc, published("ProxyPerpsV2"), rig.venue.markets["BTC"].market)

    route = selector(next(f for f in rig.market.artifact.abi if f["name"] == "assetPrice"))
    market.send("addRoute", *other.call("getRoute", route), sender=market.call("owner"))

    assert rig.position() == (0, 0)


def test_max_leverage__venue_changes_it__follows(rig):
    rig.venue.set_parameter(MARKET, "maxLeverage", 25 * WAD)

    assert rig.adapter.call("maxLeverage") == 25 * WAD


# Gas


@pytest.mark.parametrize(
    ("change", "submitting", "settling"),
    [(ETH, 43_000, 60_000), (-ETH, 43_000, 60_000), (-15 * ETH, 43_000, 66_000)],
)
def test_settle__gas__is_little_more_than_the_venues(rig, change, submitting, settling):
    """Against the account as its own trader and keeper."""
    rig.run_funding()
    rig.opened(14 * ETH, 10_000)
    rig.adjust(ETH)
    with undone(rig.rpc):
        submitted = rig.venue.submit(rig.adapter, MARKET, change)
        rig.wait(2)
        executed = rig.venue.execute(rig.adapter, MARKET, keeper=rig.adapter)

    receipt = rig.submit(change)
    rig.finish()

    assert int(receipt["gasUsed"], 16) - int(submitted["gasUsed"], 16) < submitting
    assert rig.gas - int(executed["gasUsed"], 16) < settling


def test_settle__gas_after_a_stranger__is_an_eighth_of_an_execution(rig):
    rig.opened(15 * ETH, 10_000)
    rig.submit(ETH)
    rig.execute_by_stranger()

    rig.settle()

    assert rig.gas < 120_000
