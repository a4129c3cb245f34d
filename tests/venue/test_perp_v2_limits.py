"""Price limits, windows and bands of Perp v2: what fits is filled, the rest is the venue's word."""

import pytest
from rigs import PRICE, WAD

from devnet.perp_v2_build import tick_near

pytestmark = pytest.mark.venue

ETH = WAD
BOTH = pytest.mark.parametrize("side", [1, -1], ids=["long", "short"])


@pytest.fixture
def rig(perp_rig):
    return perp_rig


@BOTH
def test_adjust__worst_price_on_the_way__fills_to_it(rig, side):
    worst = PRICE * (1_000 + side) // 1_000
    rig.opened(0, 10_000_000)

    filled = rig.adjust(side * 1_000 * ETH, 0, worst)

    assert 0 < side * filled.size < 1_000 * ETH
    assert rig.position().size == filled.size
    assert rig.price() == pytest.approx(worst, rel=1e-15)
    assert side * rig.price() <= side * worst
    # The half of the way on average, and the fee.
    assert -filled.cash / filled.size == pytest.approx(2_000 * (1 + side * 0.0015), rel=1e-5)


@BOTH
def test_adjust__beyond_the_window__fills_what_fits(rig, side):
    rig.perp.set_max_ticks("ETH", 100)
    rig.opened(0, 10_000_000)
    start = rig.tick()

    filled = rig.adjust(side * 2_000 * ETH)

    assert 0 < side * filled.size < 2_000 * ETH
    assert rig.position().size == filled.size
    assert side * (rig.tick() - start) == pytest.approx(100, abs=1)


@BOTH
def test_adjust__window_used_up_by_others__fills_what_fits_and_all_in_time(rig, side):
    rig.opened(side * 1_000 * ETH, 1_000_000)
    rig.perp.arbitrage("ETH")
    rig.perp.set_max_ticks("ETH", 250)
    rig.perp.warp(16)
    rig.perp.set_price("ETH", PRICE * (10_000 - side * 240) // 10_000)
    rig.perp.arbitrage("ETH")
    used = abs(rig.tick() - tick_near(2_000))

    first = rig.adjust(-side * 1_000 * ETH)
    steps = [first.size]
    while rig.position().size != 0:
        rig.perp.warp(16)
        steps.append(rig.adjust(-side * 1_000 * ETH).size)

    assert 230 <= used <= 251
    assert 0 < -side * first.size < 50 * ETH
    assert sum(steps) == -side * 1_000 * ETH
    assert len(steps) == 3


@BOTH
def test_adjust__no_window_left__reverts_with_the_venues_reason(rig, reverts, side):
    rig.opened(side * 2_000 * ETH, 1_000_000)
    rig.perp.warp(16)
    rig.perp.set_max_ticks("ETH", 50)
    rig.adjust(-side * 2_000 * ETH)

    with reverts(None, "EX_OPLAS"):
        rig.adjust(-side * 2_000 * ETH)


@BOTH
@pytest.mark.parametrize("max_ticks", [250, 1_000])
def test_adjust__crash_in_steps__reduces_at_each(rig, side, max_ticks):
    rig.perp.set_max_ticks("ETH", max_ticks)
    rig.opened(side * 15 * ETH, 10_000)

    for percent in range(4, 32, 4):
        rig.move(PRICE * (100 - side * percent) // 100)
        if abs(rig.leverage()) > 4:
            rig.releverage(3 * side)

    assert 3 < side * rig.leverage() < 4.5
    equity = rig.position().equity(rig.price())
    assert rig.leave(WAD) * rig.scale == pytest.approx(equity, rel=6e-3)
    assert rig.position().size == 0


@BOTH
def test_adjust__pool_behind_an_index_that_fell__reduces_but_the_band_stops_an_increase(rig, reverts, side):
    rig.opened(side * 15 * ETH, 10_000)
    rig.perp.set_price("ETH", PRICE * (100 - side * 15) // 100)

    reduced = rig.adjust(-side * ETH)
    with reverts(None, "EX_OPB"):
        rig.adjust(side * ETH)

    assert reduced.size == -side * ETH


@BOTH
def test_adjust__pool_behind_an_index_that_rose__increases_but_reduces_only_when_it_followed(
    rig, reverts, side
):
    rig.opened(side * 15 * ETH, 10_000)
    rig.perp.set_price("ETH", PRICE * (100 + side * 15) // 100)

    increased = rig.adjust(side * ETH)
    for size in (ETH, 20 * ETH):
        with reverts(None, "EX_OPB"):
            rig.adjust(-side * size)
    rig.perp.arbitrage("ETH")
    closed = rig.adjust(-side * 20 * ETH)

    assert increased.size == side * ETH
    assert closed.size == -side * 16 * ETH
