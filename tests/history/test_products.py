"""Tokens that were really traded follow the model of their rules, as far as their data go."""

import pytest

from history import products
from leverage.types import DAY


@pytest.fixture(scope="module")
def bull():
    return products.ftx("ethbull_daily", 3)


@pytest.fixture(scope="module")
def bear():
    return products.ftx("ethbear_daily", -3)


@pytest.fixture(scope="module")
def hedge():
    return products.ftx("ethhedge_daily", -1)


def test_real__bull__is_the_published_path(bull):
    assert bull.worth == pytest.approx(8.73, abs=0.005)
    assert set(bull.time[1:] - bull.time[:-1]) == {DAY}


def test_real__bear__is_the_published_path(bear):
    assert bear.worth == pytest.approx(0.00154, abs=0.000005)


@pytest.mark.parametrize("name", ["bull", "bear"])
def test_model__of_ftx__follows_each_day(name, request):
    product = request.getfixturevalue(name)

    assert product.correlation > 0.99
    assert product.weekly > 0.995


def test_model__of_bull__explains_its_gap_by_fees_and_funding(bull):
    assert bull.gap == pytest.approx(-0.494, abs=0.001)
    assert bull.explained == pytest.approx(-0.552, abs=0.001)
    assert bull.modelled == pytest.approx(8.24, abs=0.005)


def test_model__of_bear__leaves_24_basis_points_a_day_unexplained(bear):
    assert bear.explained == pytest.approx(0.410, abs=0.001)
    assert bear.residual == pytest.approx(-0.00241, abs=0.00001)


def test_model__of_hedge__is_as_near_as_any_of_the_asset_can_be(hedge):
    assert hedge.correlation == pytest.approx(hedge.asset_correlation, abs=0.001)
    assert hedge.correlation == pytest.approx(0.948, abs=0.001)
    # A quote that is off comes back: what is left over is noise of the quotes and no drift.
    assert hedge.echo < -0.3
    assert abs(hedge.residual) < 0.0005


def test_ethup__from_week_to_week__wanders():
    wandering = products.ethup()

    assert len(wandering.leverage) == 124
    assert wandering.at(0) == pytest.approx(1.44, abs=0.01)
    assert wandering.at(50) == pytest.approx(2.15, abs=0.01)
    assert wandering.at(100) == pytest.approx(2.99, abs=0.01)
