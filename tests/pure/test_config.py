"""config/markets.toml: what it says, and the one line that each mistake costs."""

import tomllib
from decimal import Decimal

import pytest

from leverage import config
from leverage.config import DEFAULT_PATH, ConfigError
from leverage.types import WAD, Caps, Fees

ADDRESS = "0x" + "ab" * 20


def tables() -> dict:
    return tomllib.loads(DEFAULT_PATH.read_text(), parse_float=Decimal)


def changed(path: str, value: object) -> dict:
    """The real file with one value put in, or taken out with None."""
    root = tables()
    *folders, key = path.split(".")
    table = root
    for folder in folders:
        table = table.setdefault(folder, {})
    if value is None:
        del table[key]
    else:
        table[key] = value
    return root


def test_load__the_real_file__gives_the_documented_defaults():
    loaded = config.load()
    token = loaded.tokens["ETH3L"]
    policy = token.policy_struct()

    assert {"ETH3L", "ETH3S", "ETH2L", "ETH1S", "BTC3L", "BTC3S"} <= set(loaded.tokens)
    assert (policy.triggers, policy.period, policy.offset, policy.exclusive) == (7, 86_400, 120, 1_800)
    assert (policy.band_min, policy.band_max) == (2 * WAD, 4 * WAD)
    assert (policy.emergency_move, policy.tip_rate) == (WAD // 10, WAD // 1_000)
    assert token.fees_struct() == Fees(WAD // 1_000, WAD // 1_000, WAD // 10_000)
    assert token.caps.caps(6) == Caps(5_000_000 * 10**6, 20_000_000 * 10**6)


def test_load__short__has_a_band_of_its_own():
    short = config.load().tokens["ETH3S"].policy_struct()

    assert (short.band_min, short.band_max) == (6 * WAD // 10, 5 * WAD)


def test_load__token_names_edges__takes_them():
    loaded = config.parse(changed("tokens.ETH3L.policy", {"band_min": "2.5", "band_max": Decimal("3.5")}))
    policy = loaded.tokens["ETH3L"].policy_struct()

    assert (policy.band_min, policy.band_max) == (25 * WAD // 10, 35 * WAD // 10)
    assert policy.drift == loaded.defaults.policy.drift


def test_load__second_file__adds_and_overrides(tmp_path):
    above = tmp_path / "devnet.toml"
    above.write_text(
        f'[venues.perp_v2.chains.31337]\nclearing_house = "{ADDRESS}"\n[markets.ETH]\nheartbeat = 7'
    )

    loaded = config.load(DEFAULT_PATH, above)

    assert loaded.venues["perp_v2"].chains[31337]["clearing_house"].lower() == ADDRESS
    assert loaded.markets["ETH"].heartbeat == 7
    assert loaded.markets["ETH"].feed_decimals == 8


def test_load__venue_has_defaults__stand_between_the_general_ones_and_the_token():
    root = changed("markets.ETH.venue", "synthetix")
    root["tokens"]["ETH3S"]["policy"] = {"min_notional": "500"}

    tokens = config.parse(root).tokens

    assert tokens["ETH3L"].policy_struct().min_notional == 300 * WAD
    assert tokens["ETH3S"].policy_struct().min_notional == 500 * WAD
    assert tokens["ETH3S"].policy_struct().max_notional == 2_000_000 * WAD
    assert tokens["ETH3L"].caps.caps(18) == Caps(10**6 * WAD, 4 * 10**6 * WAD)
    assert tokens["ETH3L"].policy.drift == tokens["BTC3L"].policy.drift
    assert tokens["BTC3L"].policy_struct().min_notional == 10 * WAD


def test_devnet__any_venue__takes_over_all_markets(tmp_path):
    """What is taken of a venue's addresses is what its adapter wants."""
    market = {"aggregator": ADDRESS, "feed_id": "0x" + "ab" * 32, "market": "0x" + "cd" * 20}
    addresses = {"resolver": ADDRESS, "decimals": 18, "markets": {"ETH": market, "BTC": market}}
    roles = {role: ADDRESS for role in ("admin", "guardian", "treasury")}
    above = tmp_path / "devnet.toml"
    above.write_text(config.to_toml(config.devnet("synthetix", addresses, 31337, roles)))

    loaded = config.load(DEFAULT_PATH, above)

    assert {found.venue for found in loaded.markets.values()} == {"synthetix"}
    assert loaded.markets["BTC"].chains[31337].keys() == {"feed", "market"}
    assert loaded.markets["ETH"].price_id == "0x" + "ab" * 32
    assert loaded.tokens["BTC3S"].policy_struct().min_notional == 300 * WAD


@pytest.mark.parametrize("text", ["0.1", "0.000000000000000001", "123456789.987654321", "-3", "5"])
def test_to_wad__decimal__is_exact(text):
    assert config.to_wad(text) == int(Decimal(text) * WAD)
    assert config.to_wad(Decimal(text)) == int(Decimal(text) * WAD)


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("defaults.policy.drift", "five", "defaults.policy.drift = 'five': not a number"),
        ("defaults.policy.drift", "-0.1", "defaults.policy.drift = '-0.1': must not be negative"),
        ("defaults.policy.drift", "NaN", "defaults.policy.drift = 'NaN': not a finite number"),
        ("defaults.policy.drift", True, "defaults.policy.drift = True: not a number"),
        ("defaults.fees.mint", "0.0000000000000000001", "more than 18 digits"),
        ("defaults.policy.drift", None, "defaults.policy.drift is missing"),
        ("defaults.policy.dirft", "1", "defaults.policy.dirft: no such key"),
        ("defaults.policy.period", "86400", "defaults.policy.period = '86400'"),
        ("defaults.policy.period", 0, "defaults.policy.period = 0"),
        ("defaults.policy.triggers", ["band", "crash"], "defaults.policy.triggers.1 = 'crash'"),
        ("defaults.policy.max_slippage", "1", "defaults.policy.max_slippage = '1'"),
        ("defaults.policy.offset", 86_400, "policy.offset = 86400: must be below period (86400)"),
        ("tokens.ETH3L.target", "6", "tokens.ETH3L.target = 6: must be 1x to 5x, long or short"),
        ("tokens.ETH3L.target", "0.5", "tokens.ETH3L.target = 0.5"),
        ("tokens.ETH3L.market", "DOGE", "tokens.ETH3L.market = 'DOGE': no such market"),
        ("tokens.ETH3L.policy", {"band_max": "3"}, "tokens.ETH3L.policy: the band 2x..3x does not enclose"),
        ("tokens.ETH3L", "text", "tokens.ETH3L = 'text'"),
        ("markets.ETH.venue", "nowhere", "markets.ETH.venue = 'nowhere': no such venue"),
        (
            "venues.perp_v2.chains",
            {"10": {"clearing_house": "0x12"}},
            "clearing_house = '0x12': not an address",
        ),
        ("venues.perp_v2.chains", {"10": {"clearing_house": "0x" + "0" * 40}}, "the zero address"),
        ("venues.synthetix.policy.dirft", "1", "venues.synthetix.policy.dirft: no such key"),
        ("venues.synthetix.policy.drift", "five", "venues.synthetix.policy.drift = 'five': not a number"),
        ("venues.synthetix", "text", "venues.synthetix = 'text'"),
        ("venues.perp_v2.maintenance", "1", "venues.perp_v2.maintenance = '1'"),
        ("markets.ETH.price_id", "0x12", "markets.ETH.price_id = '0x12'"),
        ("venues.perp_v2.chains", {"ten": {}}, "venues.perp_v2.chains.ten"),
        (
            "venues.perp_v2.chains",
            {"10": {"clearing_house": "0x82ac2CE43e33683c58BE4cDc40975E73aA50f45a"}},
            "the checksum in its letters does not match",
        ),
    ],
)
def test_parse__bad_value__is_one_line_with_key_and_value(path, value, said):
    with pytest.raises(ConfigError) as caught:
        config.parse(changed(path, value), "markets.toml")

    assert said in str(caught.value)
    assert str(caught.value).startswith("markets.toml: ")
    assert "\n" not in str(caught.value)


def test_parse__signed_prices_wanted_without_a_name__is_one_line():
    root = changed("markets.BTC.price_id", None)
    root["markets"]["BTC"]["venue"] = "synthetix"

    with pytest.raises(ConfigError, match=r"markets.BTC.price_id is missing, and its venue wants signed"):
        config.parse(root)


def test_load__missing_or_broken_file__is_one_line(tmp_path):
    broken = tmp_path / "broken.toml"
    broken.write_text("[defaults\n")

    with pytest.raises(ConfigError, match="no such file"):
        config.load(tmp_path / "none.toml")
    with pytest.raises(ConfigError, match="broken.toml: not valid TOML"):
        config.load(broken)


def test_network__roles__are_checked():
    roles = {"name": "optimism", "admin": ADDRESS, "admin_delay": 172_800, "guardian": ADDRESS}
    with pytest.raises(ConfigError, match="networks.10.treasury is missing"):
        config.parse(changed("networks", {"10": roles}))

    network = config.parse(changed("networks", {"10": {**roles, "treasury": ADDRESS}})).networks[10]

    assert network.multisig and network.creator is None and network.keepers == ()
