"""Policies by name: each says what its product has published, at any leverage; what is wrong is one line."""

from decimal import Decimal

import pytest

from leverage import config, policy, presets
from leverage.config import ConfigError
from leverage.types import WAD, Rebalancing, Trigger

DAY, HOUR = 86_400, 3_600
NIGHT = 1_577_836_800  # 2020-01-01 00:00 UTC.


def edges(found):
    return found.band_min / WAD, found.band_max / WAD


def due(found, target, leverage, move=0.0, second=12 * HOUR, rebalanced=NIGHT + 120):
    """What is due at noon, after the index has moved by that fraction since a rebalance at 00:02."""
    last = Rebalancing(price=2_000 * WAD, time=rebalanced, chunk=Trigger.NONE, buying=False)
    price = int(2_000 * (1 + move) * WAD)
    return policy.due(found, last, target * WAD, price, int(leverage * WAD), NIGHT + second, True)


def test_ours__is_the_configuration():
    known = config.load()

    assert presets.policy("ours", Decimal(3)) == known.tokens["ETH3L"].policy_struct()
    assert presets.policy("ours", Decimal(-3)) == known.defaults.policy.policy(-3 * WAD)
    assert presets.tokens(["ETH3S"])["ETH3S"] == known.tokens["ETH3S"]


@pytest.mark.parametrize("name", list(presets.load()))
@pytest.mark.parametrize("target", [-5, -3, -1, 2, 3, 5])
def test_preset__any_target__is_a_policy_with_a_note(name, target):
    found = presets.policy(name, Decimal(target))

    assert found.triggers and found.band_min < abs(target) * WAD < found.band_max
    assert presets.load()[name].note


def test_ftx__is_daily_and_above_four():
    found = presets.policy("ftx", Decimal(3))

    assert edges(found) == (0, 4)
    assert due(found, 3, 4.01, -0.12) == Trigger.BAND
    assert due(found, 3, 3.99, -0.11) == due(found, 3, 1.2, 1.0) == Trigger.NONE
    assert due(found, 3, 3.01, second=DAY + 119) == Trigger.NONE
    assert due(found, 3, 3.001, second=DAY + 120) == Trigger.SCHEDULED


def test_bybit__is_outside_two_to_four_alone():
    assert edges(presets.policy("bybit", Decimal(3))) == edges(presets.policy("bybit", Decimal(-3))) == (2, 4)
    assert edges(presets.policy("bybit", Decimal(1))) == (0.67, 1.33)
    found = presets.policy("bybit", Decimal(-3))
    assert due(found, -3, -4.01, 0.07) == due(found, -3, -1.99, -0.12) == Trigger.BAND
    assert due(found, -3, -3.99, 0.06, second=3 * DAY) == Trigger.NONE


def test_kucoin__is_daily_and_for_the_side_that_loses():
    long, short = (presets.policy("kucoin", Decimal(target)) for target in (3, -3))

    assert due(long, 3, 4.6, -0.15) == due(short, -3, -6.3, 0.151) == Trigger.EMERGENCY
    assert due(long, 3, 4.6, -0.149) == due(short, -3, -6.2, 0.149) == Trigger.NONE
    assert due(long, 3, 2.1, 0.3) == due(short, -3, -1.2, -0.3) == Trigger.NONE
    assert due(long, 3, 2.9, second=84_600) == Trigger.SCHEDULED
    assert due(long, 3, 2.9, second=84_599) == Trigger.NONE


def test_tlx__is_a_quarter_away():
    assert edges(presets.policy("tlx", Decimal(-2))) == (1.5, 2.5)
    found = presets.policy("tlx", Decimal(3))
    assert due(found, 3, 3.76, -0.08) == due(found, 3, 2.24, 0.2) == Trigger.BAND
    assert due(found, 3, 2.26, 0.2, second=9 * DAY) == Trigger.NONE


def test_tokens__settings__are_over_the_preset():
    found = presets.tokens(
        ["BTC3L"],
        [Decimal("-2.5")],
        "tlx",
        ["drift=0.07", "band_max = 4.5", 'triggers=["emergency"]', "fees.mint='0.003'", "period=28800"],
    )

    assert list(found) == ["BTC3L", "-2.5x"]
    for token, low in zip(found.values(), (2.25, 1.88), strict=True):
        rules = token.policy_struct()
        assert edges(rules) == (low, 4.5)
        assert (rules.drift, rules.period, rules.triggers) == (WAD * 7 // 100, 28_800, policy.EMERGENCY)
        assert token.fees_struct().mint == WAD * 3 // 1000
    assert found["BTC3L"].market == "BTC" and found["-2.5x"].market == "ETH"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"preset": "binance"}, "no policy 'binance': there are ours, ftx, bybit, kucoin, tlx"),
        ({"symbols": ["DOGE3L"]}, "'DOGE3L' is not in the configuration: there are ETH3L"),
        ({"settings": ["drfit=0.1"]}, r"tokens\.\+3x\.policy\.drfit: no such key"),
        ({"settings": ["drift=much"]}, "'drift=much': write key=value as in config/markets.toml"),
        ({"settings": ["drift"]}, "'drift': write key=value as in config/markets.toml"),
        ({"settings": ["drift='x'"]}, r"tokens\.\+3x\.policy\.drift = 'x': not a number"),
        ({"settings": ["drift=-0.1"]}, r"tokens\.\+3x\.policy\.drift = -0\.1: must not be negative"),
        ({"settings": ["band_max=2.9"]}, r"the band 2x\.\.2\.9x does not enclose the target 3x"),
        ({"settings": ["market.x=1"]}, r"'market\.x=1': there are policy, fees and caps to set"),
        ({"targets": [Decimal(9)]}, r"tokens\.\+9x\.target = 9: must be 1x to 5x"),
        ({"targets": [Decimal(0)]}, r"tokens\.\+0x\.target = 0: must be 1x to 5x"),
        ({"market": "DOGE"}, r"tokens\.\+3x\.market = 'DOGE': no such market"),
    ],
)
def test_tokens__bad_input__is_one_line(arguments, said):
    with pytest.raises(ConfigError, match=said) as caught:
        presets.tokens(**{"targets": [Decimal(3)], **arguments})

    assert "\n" not in str(caught.value)
