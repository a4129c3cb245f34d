"""ape run quote on a fork with the real venue: what it says, and what a mint then brings."""

import json
import re

import pytest
from click.testing import CliRunner

from leverage import quoting
from leverage.errors import LeverageError
from leverage.report import quote as report
from leverage.types import DAY, WAD
from scripts.quote import cli

pytestmark = [pytest.mark.e2e, pytest.mark.venue]

AT_PERP_V2 = pytest.mark.parametrize("venue", ["perp_v2"], indirect=True)


@pytest.fixture(params=["perp_v2", "synthetix"])
def venue(request):
    return request.param


@pytest.fixture
def quote(site, deployed):
    """Runs the command."""

    def run(*args):
        where = ["--network", site.url, "--deployments", str(site.folder)]
        return CliRunner(mix_stderr=False).invoke(cli, [*args, *where])

    return run


@pytest.fixture
def figures(deployed):
    """What the command shows with --json."""

    def ask(symbol, amount, volatility=None, link=deployed):
        daily = quoting.volatility_of(volatility, None)
        return report.to_dict(quoting.read(link, symbol, amount, daily), 7)

    return ask


@pytest.fixture
def terms(deployed):
    return deployed.contract("VaultTerms", deployed.record.token("ETH3L")["terms"])


def refused(result, said):
    assert result.exit_code == 1, result.output
    assert re.search(said, result.stderr), result.stderr
    assert len([line for line in result.stderr.splitlines() if line.startswith("Error:")]) == 1
    assert "Traceback" not in result.output + result.stderr


# The mint


@pytest.mark.parametrize("symbol", ["ETH3L", "ETH3S"])
@pytest.mark.parametrize("amount", [500, 20_000])
def test_quote__mint_that_follows__brings_the_shares_that_it_said(site, deployed, figures, symbol, amount):
    """To a hundred-thousandth, or the tip for the seconds that a request waits."""
    said = figures(symbol, str(amount))["mint"]

    site.fund(5)
    trade = site.wallet(deployed, symbol, 5).mint(str(amount), WAD // 20, 600)

    assert trade.shares / WAD == pytest.approx(float(said["shares"]), rel=1e-5, abs=0.02)
    paid = [float(said[part]) for part in ("mint_fee", "trade", "deposit")]
    assert 0 < sum(paid) / amount == pytest.approx(said["cost"])
    assert float(said["mint_fee"]) == amount / 1_000
    assert float(said["trade"]) >= float(said["venue_fee"]) > 0


@pytest.mark.parametrize("venue", ["synthetix"], indirect=True)
def test_quote__order_that_others_wait_for__is_shared_with_them(site, deployed, figures):
    alone = figures("ETH3L", "1000")["mint"]
    account, queue = site.fund(5), deployed.contract("RequestQueue", deployed.record.token("ETH3L")["queue"])
    asset = deployed.contract("LeveragedToken", deployed.record.token("ETH3L")["asset"])
    asset.send(account, "approve", queue.address, 3_000 * WAD)
    queue.send(account, "requestDeposit", 3_000 * WAD, account.address, account.address)

    together = figures("ETH3L", "1000")["mint"]

    assert (float(alone["deposit"]), float(together["deposit"])) == (4, pytest.approx(1))
    assert float(together["shares"]) > float(alone["shares"])


def test_quote__empty_vault__joins_at_the_target_and_nav_1(site, figures):
    found = figures("BTC3S", "1000", link=site.deploy("BTC3S"))

    assert (found["leverage"], found["nav"]) == (-3, "1." + "0" * 18)
    assert float(found["mint"]["shares"]) == pytest.approx(1_000 * (1 - found["mint"]["cost"]), rel=1e-6)


# What there is to know of the token


def test_quote__drifted__joins_at_the_present_leverage_and_measures_gaps_from_it(site, figures):
    site.move("ETH", 8)

    found = figures("ETH3L", "1000")

    leverage = found["leverage"]
    assert leverage == pytest.approx(3 * 1.08 / 1.24, rel=1e-3) and found["target"] == 3
    gap = found["gap"]
    assert gap["to_ruin"] == pytest.approx(-1 / leverage, rel=1e-9)
    assert gap["to_ruin_from_band"] == -0.25
    assert gap["to_ruin"] < gap["to_liquidation"] < -0.3
    low, high = gap["to_band"]
    assert leverage * (1 + low) / (1 + leverage * low) == pytest.approx(2)
    assert leverage * (1 + high) / (1 + leverage * high) == pytest.approx(4)


def test_quote__margin__is_the_venues(site, figures, venue, deployed):
    found = figures("ETH3L", "1000")["gap"]

    if venue == "perp_v2":
        assert found["maintenance"] == 0.0625
        return
    adapter = deployed.record.token("ETH3L")["adapter"]
    price, _ = site.perp.markets["ETH"].market.call("liquidationPrice", adapter)
    index = site.perp.index_price("ETH")
    assert found["to_liquidation"] == pytest.approx(price / index - 1, abs=1e-6)


def test_quote__premium_of_the_venue__is_funding_that_longs_pay(site, figures, venue):
    if venue == "perp_v2":
        site.perp.push_pool("ETH", site.perp.index_price("ETH") * 101 // 100)
    else:
        site.perp.set_skew("ETH", 10_000 * WAD)
    site.perp.warp(DAY // 4)

    long, short = figures("ETH3L", "1000"), figures("ETH3S", "1000")

    rate = long["funding"]["per_day_of_notional"]
    assert rate == pytest.approx(0.01 if venue == "perp_v2" else 0.0225, rel=0.02)
    assert long["funding"]["per_day_of_nav"] == pytest.approx(3 * rate)
    assert short["funding"]["per_day_of_nav"] == pytest.approx(-3 * rate)


def test_quote__oracle_with_a_past__tells_the_volatility(site, figures):
    for percent in (2, -2, 2, -2, 2, -2, 2, -2, 2):
        site.perp.warp(DAY // 2)
        site.move("ETH", percent)

    found = figures("ETH3L", "1000")
    given = figures("ETH3L", "1000", "4%")

    assert found["volatility"]["daily"] == pytest.approx(0.02 * 2**0.5, rel=0.06)
    assert "rounds of the oracle over 4 d" in found["volatility"]["source"]
    assert given["volatility"] == {"daily": 0.04, "source": "what was given"}
    assert 100 * given["decay"]["30"] == pytest.approx(-13.4, abs=0.05)


def test_quote__young_oracle__knows_no_volatility(quote):
    result = quote("ETH3L", "1000")

    assert result.exit_code == 0, result.stderr
    assert "No volatility: give --volatility or --prices." in result.stdout


def test_quote__json__is_what_the_tables_show(quote, figures):
    result, shown = quote("ETH3L", "1000", "--json"), quote("ETH3L", "1000", "--days", "1")

    assert result.exit_code == shown.exit_code == 0, result.stderr + shown.stderr
    assert json.loads(result.stdout) == figures("ETH3L", "1000")
    shares = float(figures("ETH3L", "1000")["mint"]["shares"])
    assert f"{shares:,.6f}" in shown.stdout and "1 put in, after 1 days: 3x token" in shown.stdout


# Room


def test_quote__caps__leave_the_room_that_a_mint_has(deployed, figures):
    wallet_room = deployed.record.token("ETH3L")
    door = deployed.contract("RequestQueue", wallet_room["queue"]) if "queue" in wallet_room else None
    door = door or deployed.vault("ETH3L")
    unit = 10 ** wallet_room["assetDecimals"]

    found = figures("ETH3L", "1000")

    assert min(float(found["room"]["today"]), float(found["room"]["in_all"])) == door.call("room") / unit
    assert not any("caps" in note for note in found["notes"])


def test_quote__more_than_the_caps__says_so(figures, venue):
    notes = figures("ETH3L", "4999999" if venue == "perp_v2" else "999999")["notes"]

    assert "that is more than the caps leave room for: mint less, or after 00:00 UTC" in notes


def test_quote__paused__tells_why_nothing_comes_in(site, terms, figures):
    terms.send(site.account(2), "pause", 3_600)

    found = figures("ETH3L", "1000")

    assert found["room"]["closed"].startswith("MintsPaused (until ")
    assert any(note.startswith("minting is closed: MintsPaused") for note in found["notes"])


@AT_PERP_V2
def test_quote__venue_away_from_the_index__tells_why_nothing_comes_in(site, figures):
    site.perp.set_price("ETH", 1_900 * WAD)

    assert figures("ETH3L", "1000")["room"]["closed"].startswith("PriceDeviates")


# Mistakes


@AT_PERP_V2
@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("DOGE3L", "1"), "no token 'DOGE3L' on chain 31337: known are ETH3L, ETH3S"),
        (("ETH3L", "ten"), "'ten' is not an amount of "),
        (("ETH3L", "0"), "the amount must be above zero"),
        (("ETH3L", "1", "--target", "3"), "--target goes with --price: the chain tells it"),
        (("ETH3L", "1", "--venue-fee", "0.1%"), "--venue-fee goes with --price"),
        (("ETH3L", "1", "--volatility", "x"), "--volatility x: not a number"),
    ],
)
def test_quote__bad_input__is_one_line(quote, args, said):
    refused(quote(*args), said)


def test_quote__stale_price__says_how_old_and_what_else_there_is(site, quote):
    site.perp.rpc.warp(172_801)

    refused(quote("ETH3L", "1"), r"ETH3L cannot be quoted: (PriceStale|VenuePriceInvalid).*--target, --price")


def test_read__ruined__is_refused(site, deployed, venue):
    site.move("ETH", -40 if venue == "perp_v2" else -33)
    vault = deployed.vault("ETH3L")
    if venue == "perp_v2":
        with pytest.raises(LeverageError, match="ETH3L has lost everything"):
            quoting.read(deployed, "ETH3L", "1")
    else:
        site.perp.liquidate(deployed.record.token("ETH3L")["adapter"], "ETH")
    vault.send(site.account(5), "checkRuin")

    with pytest.raises(LeverageError, match="ETH3L is ruined: nothing can be minted any more"):
        quoting.read(deployed, "ETH3L", "1")
