"""ape run quote without a chain: what it shows, and the one line that each mistake costs."""

import gzip
import json
import math
import re

import pytest
from click.testing import CliRunner

from scripts.quote import cli

KNOWN = ("--venue-fee", "0.1%", "--funding", "0.03%", "--maintenance", "0.0625", "--volatility", "4%")


def quote(*args):
    return CliRunner(mix_stderr=False).invoke(cli, ["ETH3L", "1000", "--price", "2,000", *args])


def figures(*args):
    result = quote("--json", *args)
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


def refused(result, said):
    assert result.exit_code == 1, result.output
    assert re.search(said, result.stderr), result.stderr
    assert len(result.stderr.splitlines()) == 1 and "Traceback" not in result.stderr


def test_quote__without_a_chain__costs_the_configured_fees_and_the_venue_fee_of_its_size():
    mint = figures(*KNOWN)["mint"]

    assert float(mint["mint_fee"]) == 1
    assert float(mint["trade"]) == pytest.approx(3 * 999 / 1.003 / 1_000)
    assert float(mint["shares"]) == pytest.approx(999 - float(mint["trade"]), abs=1e-15)


def test_quote__without_a_chain__tells_what_is_given():
    found = figures(*KNOWN)

    assert found["decay"]["30"] == pytest.approx(math.exp(-3 * 0.04**2 * 30) - 1)
    assert found["gap"]["to_liquidation"] == pytest.approx(-0.28889, abs=1e-5)
    assert found["gap"]["to_band"] == pytest.approx([1 / 3, -1 / 9], abs=1e-3)
    assert found["funding"] == {"per_day_of_notional": 0.0003, "per_day_of_nav": pytest.approx(0.0009)}
    assert [row["move"] for row in found["comparison"]["rows"]] == sorted(
        row["move"] for row in found["comparison"]["rows"]
    )


def test_quote__nothing_but_a_price__says_what_is_unknown():
    result, found = quote(), figures()

    assert "Taken as zero, as unknown: volatility, funding, venue fee" in " ".join(result.stdout.split())
    assert "No volatility: give --volatility or --prices." in result.stdout
    assert found["mint"]["trade"] is None and found["funding"]["per_day_of_nav"] is None
    assert found["decay"] == {"1": None, "7": None, "30": None} and found["volatility"] is None


def test_quote__token_that_is_not_configured__takes_a_target_and_the_defaults():
    result = CliRunner().invoke(
        cli, ["DOGE2S", "1000", "--price", "0.1", "--target", "-2", "--volatility", "0.05", "--json"]
    )

    found = json.loads(result.stdout)
    assert found["target"] == -2 and found["fees"]["mint"] == 0.001
    assert found["decay"]["1"] == pytest.approx(math.exp(-3 * 0.05**2) - 1)


def test_quote__prices__give_the_volatility_of_their_last_thirty_days(tmp_path):
    """Forty days of hours: quiet ones of 1 % at first, then thirty days of 2 %, up and down in turn."""
    path, price, lines = tmp_path / "prices.csv.gz", 2_000.0, ["timestamp,open,high,low,close"]
    for hour in range(40 * 24):
        step = 0.01 if hour < 10 * 24 else 0.02
        opened, price = price, price * math.exp(step if hour % 2 else -step)
        high, low = max(opened, price), min(opened, price)
        lines.append(f"{1_600_000_000 // 3600 * 3600 + 3600 * hour},{opened},{high},{low},{price}")
    path.write_bytes(gzip.compress("\n".join(lines).encode()))

    volatility = figures("--prices", str(path))["volatility"]

    assert volatility["daily"] == pytest.approx(0.02 * math.sqrt(24))
    assert volatility["source"].startswith("the last 30 d of prices.csv.gz, to 2020-10-23")


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("--target", "7"), "--target 7: must be 1 to 5, or -1 to -5"),
        (("--target", "x"), "--target x: not a number"),
        (("--price", "0"), "--price 0: must be above zero"),
        (("--price", "NaN"), "--price NaN: not a finite number"),
        (("--volatility", "5"), "--volatility 5: must be from 0 to below 1; 0.04 is 4%"),
        (("--volatility", "-1%"), "--volatility -1%: must be from 0 to below 1"),
        (("--volatility", "4%", "--prices", "x.csv"), "--volatility and --prices: give one of them"),
        (("--prices", "missing.csv"), "missing.csv"),
        (("--venue-fee", "100%"), "--venue-fee 100%: must be from 0 to below 1"),
        (("--maintenance", "-1"), "--maintenance -1: must be from 0 to below 1"),
        (("--funding", "high"), "--funding high: not a number"),
        (("--days", "0"), "--days 0: must be above zero"),
    ],
)
def test_quote__bad_input__is_one_line(args, said):
    refused(quote(*args), said)


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (
            ("DOGE3L", "1000"),
            "no token 'DOGE3L' in the configuration: pass its --target; there are ETH3L, ETH3S",
        ),
        (("ETH3L", "ten"), "'ten' is not an amount of collateral"),
        (("ETH3L", "0"), "the amount must be above zero"),
    ],
)
def test_quote__wrong_token_or_amount__is_one_line(args, said):
    refused(CliRunner(mix_stderr=False).invoke(cli, [*args, "--price", "2000"]), said)
