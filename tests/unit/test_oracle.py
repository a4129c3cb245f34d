"""ChainlinkOracle: a price is positive, fresh, of a sequencer that is up, or it is no price at all (I-11)."""

from collections.abc import Callable, Iterator

import pytest
from eth_abi import encode
from eth_utils import keccak

from devnet import Anvil, Contract, RevertError, Rpc
from devnet.artifacts import mock
from devnet.perp_v2_build import actor

WAD = 10**18
HEARTBEAT = 3_600
DEVIATION = WAD // 50
GRACE = 1_800
NOBODY = "0x" + "0" * 40
UP, DOWN = 0, 1

DEPLOYER = actor("deployer")


@pytest.fixture(scope="module")
def rpc() -> Iterator[Rpc]:
    with Anvil.start(frozen_clock=True) as anvil:
        yield Rpc(anvil.url)


@pytest.fixture(autouse=True)
def undone(rpc: Rpc) -> Iterator[None]:
    snapshot = rpc("evm_snapshot")
    yield
    assert rpc("evm_revert", snapshot)


@pytest.fixture
def feed(rpc: Rpc) -> Contract:
    return Contract.deploy(rpc, DEPLOYER, mock("MockAggregator"), 8, 2_000 * 10**8)


@pytest.fixture
def sequencer(rpc: Rpc) -> Contract:
    """An uptime feed of a sequencer that has long been up."""
    uptime = Contract.deploy(rpc, DEPLOYER, mock("MockAggregator"), 1, UP)
    rpc.warp(GRACE + 1)
    return uptime


@pytest.fixture
def deployed(rpc: Rpc) -> Callable[..., Contract]:
    def deploy(feed, heartbeat=HEARTBEAT, deviation=DEVIATION, sequencer=NOBODY, grace=0) -> Contract:
        artifact = mock("ChainlinkOracle")
        return Contract.deploy(rpc, DEPLOYER, artifact, feed, heartbeat, deviation, sequencer, grace)

    return deploy


@pytest.fixture
def oracle(deployed, feed) -> Contract:
    return deployed(feed)


@pytest.fixture
def rollup_oracle(deployed, feed, sequencer) -> Contract:
    feed.send("set", 2_000 * 10**8, sender=DEPLOYER)
    return deployed(feed, sequencer=sequencer, grace=GRACE)


@pytest.fixture
def reverts():
    """`with reverts("PriceStale", updated_at, age, heartbeat):` and no other error or argument will do."""

    class Reverts:
        def __init__(self, error: str, *args):
            entries = mock("ChainlinkOracle").abi
            fields = next(e["inputs"] for e in entries if e["type"] == "error" and e["name"] == error)
            types = [field["type"] for field in fields]
            self.data = "0x" + (keccak(text=f"{error}({','.join(types)})")[:4] + encode(types, args)).hex()

        def __enter__(self):
            return self

        def __exit__(self, kind, revert, _):
            assert kind is RevertError, "did not revert"
            assert revert.data == self.data, revert
            return True

    return Reverts


# The price


@pytest.mark.parametrize(
    ("decimals", "answer", "price"),
    [
        (8, 2_000_12345678, 2_000_12345678 * 10**10),
        (6, 1_000_001, 1_000_001 * 10**12),
        (18, 3, 3),
        (20, 12_345, 123),
        (36, 2_000 * 10**36 + 1, 2_000 * WAD),
    ],
)
def test_price__any_decimals__is_wad(rpc, deployed, decimals, answer, price):
    feed = Contract.deploy(rpc, DEPLOYER, mock("MockAggregator"), decimals, answer)

    assert deployed(feed).call("price") == price


@pytest.mark.parametrize("answer", [0, -1, -(2**255)])
def test_price__not_positive__reverts(feed, oracle, reverts, answer):
    feed.send("set", answer, sender=DEPLOYER)

    with reverts("PriceNotPositive", answer):
        oracle.call("price")


def test_price__less_than_a_wei__reverts(rpc, deployed, reverts):
    feed = Contract.deploy(rpc, DEPLOYER, mock("MockAggregator"), 20, 99)

    with reverts("PriceNotPositive", 99):
        deployed(feed).call("price")


def test_price__as_old_as_the_heartbeat__is_good(rpc, oracle):
    rpc.warp(HEARTBEAT)

    assert oracle.call("price") == 2_000 * WAD


def test_price__older_than_the_heartbeat__reverts(rpc, feed, oracle, reverts):
    updated_at = feed.call("latestRoundData")[3]
    rpc.warp(HEARTBEAT + 1)

    with reverts("PriceStale", updated_at, HEARTBEAT + 1, HEARTBEAT):
        oracle.call("price")


def test_price__round_never_finished__reverts(rpc, feed, oracle, reverts):
    feed.send("setRound", 2_000 * 10**8, rpc.timestamp(), 0, sender=DEPLOYER)

    with reverts("PriceStale", 0, rpc.timestamp(), HEARTBEAT):
        oracle.call("price")


def test_price__from_the_future__reverts(rpc, feed, oracle, reverts):
    later = rpc.timestamp() + 60
    feed.send("setRound", 2_000 * 10**8, later, later, sender=DEPLOYER)

    with reverts("PriceFromFuture", later, rpc.timestamp()):
        oracle.call("price")


# The venue's price next to it


@pytest.mark.parametrize("venue_price", [1_960 * WAD, 2_000 * WAD, 2_040 * WAD])
def test_price_near__venue_within_the_deviation__is_the_price(oracle, venue_price):
    assert oracle.call("priceNear", venue_price) == 2_000 * WAD


@pytest.mark.parametrize("venue_price", [0, 1_960 * WAD - 1, 2_040 * WAD + 1, 2**256 - 1])
def test_price_near__venue_beyond_the_deviation__reverts(oracle, reverts, venue_price):
    with reverts("PriceDeviates", 2_000 * WAD, venue_price, DEVIATION):
        oracle.call("priceNear", venue_price)


def test_price_near__stale__reverts_all_the_same(rpc, feed, oracle, reverts):
    updated_at = feed.call("latestRoundData")[3]
    rpc.warp(HEARTBEAT + 1)

    with reverts("PriceStale", updated_at, HEARTBEAT + 1, HEARTBEAT):
        oracle.call("priceNear", 2_000 * WAD)


# The sequencer of a rollup


def test_price__sequencer_up_past_its_grace_period__is_good(rollup_oracle):
    assert rollup_oracle.call("price") == 2_000 * WAD


def test_price__sequencer_down__reverts(rpc, sequencer, rollup_oracle, reverts):
    sequencer.send("set", DOWN, sender=DEPLOYER)

    with reverts("SequencerDown", rpc.timestamp()):
        rollup_oracle.call("price")


def test_price__sequencer_feed_not_started__reverts(rpc, sequencer, rollup_oracle, reverts):
    sequencer.send("setRound", UP, 0, rpc.timestamp(), sender=DEPLOYER)

    with reverts("SequencerDown", 0):
        rollup_oracle.call("price")


def test_price__sequencer_back_for_less_than_the_grace_period__reverts(
    rpc, feed, sequencer, rollup_oracle, reverts
):
    sequencer.send("set", DOWN, sender=DEPLOYER)
    since = rpc.warp(60)
    sequencer.send("set", UP, sender=DEPLOYER)
    rpc.warp(GRACE)
    feed.send("set", 2_100 * 10**8, sender=DEPLOYER)

    with reverts("SequencerGracePeriod", since, GRACE):
        rollup_oracle.call("price")
    rpc.warp(1)
    assert rollup_oracle.call("price") == 2_100 * WAD


# Deployment


def test_deploy__parameters__can_be_read(deployed, feed, sequencer):
    oracle = deployed(feed, sequencer=sequencer, grace=GRACE)

    assert oracle.call("feed") == feed.lower()
    assert oracle.call("heartbeat") == HEARTBEAT
    assert oracle.call("maxDeviation") == DEVIATION
    assert oracle.call("sequencerFeed") == sequencer.lower()
    assert oracle.call("gracePeriod") == GRACE


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"heartbeat": 9}, ("heartbeat", 9, 10, 172_800)),
        ({"heartbeat": 172_801}, ("heartbeat", 172_801, 10, 172_800)),
        ({"deviation": WAD // 2_000 - 1}, ("maxDeviation", WAD // 2_000 - 1, WAD // 2_000, WAD // 5)),
        ({"deviation": WAD // 5 + 1}, ("maxDeviation", WAD // 5 + 1, WAD // 2_000, WAD // 5)),
        ({"grace": 1}, ("gracePeriod", 1, 0, 0)),
    ],
)
def test_deploy__parameter_out_of_bounds__reverts(deployed, feed, reverts, changes, error):
    name, *numbers = error

    with reverts("ParameterOutOfBounds", name.encode(), *numbers):
        deployed(feed, **changes)


def test_deploy__endless_grace_period__reverts(deployed, feed, sequencer, reverts):
    with reverts("ParameterOutOfBounds", b"gracePeriod", 86_401, 0, 86_400):
        deployed(feed, sequencer=sequencer, grace=86_401)


@pytest.mark.parametrize("decimals", [0, 37])
def test_deploy__feed_of_absurd_decimals__reverts(rpc, deployed, reverts, decimals):
    feed = Contract.deploy(rpc, DEPLOYER, mock("MockAggregator"), decimals, 1)

    with reverts("ParameterOutOfBounds", b"decimals", decimals, 1, 36):
        deployed(feed)
