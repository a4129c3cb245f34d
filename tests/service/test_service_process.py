"""`ape run keeper run` as an operator runs it: what it does, shows and tells, and how it ends."""

import re
import signal
import time
import urllib.error
import urllib.request
from decimal import Decimal

import pytest
from click.testing import CliRunner
from processes import SECONDS, Running
from prometheus_client.parser import text_string_to_metric_families

from leverage import config
from leverage.types import WAD
from scripts.keeper import cli

pytestmark = [pytest.mark.e2e, pytest.mark.venue]


def run(site, *args, **env):
    """The service with the account that has the keeper role, its pages on a free port."""
    where = ["--network", site.url, "--deployments", str(site.folder)]
    return Running(
        "ape", "run", "keeper", "run", "--account", "TEST::1", "--metrics-port", "0", *where, *args, env=env
    )


def get(port, path):
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/{path}", timeout=SECONDS) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def value(port, name, token=None):
    """A metric as it is now."""
    found = [
        sample.value
        for family in text_string_to_metric_families(get(port, "metrics")[1])
        for sample in family.samples
        if sample.name == name and sample.labels.get("token") == token
    ]
    return found[0] if found else None


def until(condition):
    """Wait until it is so."""
    end = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < end, "it did not come to be"
        time.sleep(0.1)


@pytest.mark.slow
def test_run__crash__is_acted_on_shown_and_told(site, deployed, notes):
    with run(site, "--min-balance", "1000000", "--alert-blocks", "0", KEEPER_WEBHOOK=notes.url) as service:
        port = service.wait_for("serving")["port"]
        until(lambda: get(port, "health") == (200, "ok\n"))
        quiet = value(port, "keeper_leverage", "ETH3L")
        site.move("ETH", -12)
        done = service.wait_for("rebalance")
        until(lambda: value(port, "keeper_actions_total", "ETH3L") == 1)
        until(lambda: value(port, "keeper_late_seconds", "ETH3L") == 0)
        notes.wait(1)
        code = service.stop()

    assert (done["token"], done["trigger"]) == ("ETH3L", "EMERGENCY")
    assert quiet == pytest.approx(3, abs=0.01)
    assert code == 0
    assert [
        line["log_level"] if "log_level" in line else line["level"]
        for line in service.events("failed", "bug")
    ] == []
    told = notes.posted[0]
    assert (told["alert"], told["state"]) == ("balance low", "begins")
    assert site.account(1).address in told["text"] and told["text"].startswith("[chain 31337] ")
    assert notes.url not in service.text


@pytest.mark.slow
def test_run__killed__goes_on_where_the_chain_is(site, deployed, snapshot_of):
    with run(site) as service:
        service.wait_for("serving")
        killed = service.stop(signal.SIGKILL)
    site.move("ETH", -12)

    with run(site) as again:
        port = again.wait_for("serving")["port"]
        done = again.wait_for("rebalance")
        until(lambda: value(port, "keeper_to_band", "ETH3L") > 0)
        figures = {name: value(port, name, "ETH3L") for name in ("keeper_to_band", "keeper_to_liquidation")}
        interrupted = again.stop(signal.SIGINT)

    assert killed == -signal.SIGKILL
    assert (done["token"], interrupted) == ("ETH3L", 0)
    assert len(again.events("rebalance")) == 1
    assert abs(snapshot_of("ETH3L").leverage - 3 * WAD) <= WAD // 50
    assert figures["keeper_to_band"] == pytest.approx(0.11, abs=0.01)
    assert figures["keeper_to_liquidation"] == pytest.approx(0.289, abs=0.01)


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("--webhook", "hook.example/a-secret"), "--webhook: not a URL that begins with http:// or https://"),
        (
            ("--metrics-port", "70000"),
            "--metrics-port 70000: .*; choose another, or 0 for any port",
        ),
        (("--metrics-host", "nowhere.invalid"), "--metrics-host nowhere.invalid"),
        (("--watch", "0x12"), "--watch 0x12: not an address"),
        (("--shard", "6/5"), "KEEPER_SHARD = '6/5': write which part of how many, such as 2/5"),
        (("--min-balance", "-1"), "-1 is below zero"),
        (("--alert-blocks", "-1"), "-1 is not in the range"),
    ],
)
def test_run__bad_setting__is_one_line_and_code_2(site, deployed, args, said):
    where = ["--network", site.url, "--deployments", str(site.folder), "--account", "TEST::1"]
    options = [] if "--metrics-port" in args else ["--metrics-port", "0"]

    result = CliRunner(mix_stderr=False).invoke(cli, ["run", *where, *options, *args])

    assert result.exit_code == 2
    lines = [line for line in result.stderr.splitlines() if line.startswith("Error:")]
    assert len(lines) == 1 and re.search(said, lines[0]), result.stderr
    assert "secret" not in result.stderr + result.stdout and "Traceback" not in result.stderr


def test_once__parts_of_the_tokens__look_at_each_token_once(site, deployed):
    where = ["--network", site.url, "--deployments", str(site.folder), "--account", "TEST::1"]
    site.move("ETH", -12)

    results = [
        CliRunner(mix_stderr=False).invoke(cli, ["once", *where], env={"KEEPER_SHARD": f"{part}/3"})
        for part in (1, 2, 3)
    ]

    assert [result.exit_code for result in results] == [0, 0, 0]
    looked = [int(re.search(r'"tokens": (\d)', result.stdout)[1]) for result in results]
    assert sum(looked) == 2
    assert sum(result.stdout.count('"event": "rebalance"') for result in results) == 1


def test_maintenance__perp_v2__is_what_the_venue_itself_says(site, deployed):
    configured = config.load().venues["perp_v2"].maintenance
    setting = site.perp.config.call("getMmRatio")

    assert configured == setting * 10**12
    assert int(deployed.record.token("ETH3L")["maintenance"]) == configured
    assert Decimal(configured) / WAD == Decimal("0.0625")
