"""The commands, as a user types them: what they say, and the one line that each mistake costs."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from devnet import Rpc
from leverage import config
from leverage.types import WAD
from scripts.deploy import cli as deploy_cli
from scripts.keeper import cli as keeper_cli
from scripts.token import cli as token_cli

pytestmark = [pytest.mark.e2e, pytest.mark.venue]

APE = str(Path(sys.executable).parent / "ape")
MINTER = "TEST::4"


class Shell:
    """Runs commands against the site's chain, in this process."""

    def __init__(self, site):
        self.site = site

    def __call__(self, cli, *args, network=None, folder=None, env=None):
        where = ["--network", network or self.site.url, "--deployments", str(folder or self.site.folder)]
        return CliRunner(mix_stderr=False).invoke(cli, [*args, *where], env=env)

    def token(self, *args, account=MINTER, **options):
        return self(token_cli, *args, *(["--account", account] if account else []), **options)


@pytest.fixture
def shell(site, deployed):
    return Shell(site)


@pytest.fixture
def bare(site):
    """A shell on a chain without the protocol."""
    return Shell(site)


def refused(result, said, code=1):
    """It ended with this code and one line that says so."""
    assert result.exit_code == code, result.output
    lines = [line for line in result.stderr.splitlines() if line.startswith("Error:")]
    assert len(lines) == 1, result.stderr
    assert re.search(said, lines[0]), lines[0]
    assert "Traceback" not in result.output + result.stderr
    return lines[0]


# Mint and burn


def test_mint__then_burn_all__brings_most_of_it_back(site, shell):
    minted = shell.token("mint", "ETH3L", "1,000")
    held = shell.token("info", "ETH3L")
    burned = shell.token("burn", "ETH3L", "all")

    assert minted.exit_code == 0, minted.output
    assert re.search(r"^1,000 USDC → 99\d\.\d+ ETH3L$", minted.output, re.M)
    assert "worth" in held.output and "leverage  3.000x of 3x" in held.output
    assert burned.exit_code == 0, burned.output
    assert re.search(r"^10,9\d\d\.\d+ ETH3L → 10,[89]\d\d\.\d+ USDC$", burned.output, re.M), burned.output


def test_mint__min_out__is_what_the_vault_enforces(shell):
    done = shell.token("mint", "ETH3S", "100", "--min-out", "99")
    greedy = shell.token("mint", "ETH3S", "100", "--min-out", "101")

    assert done.exit_code == 0, done.output
    refused(greedy, r"--min-out 101: only 99\.\d+ ETH3S would come out now")


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("mint", "DOGE3L", "1"), "no token 'DOGE3L' on chain 31337: known are ETH3L, ETH3S"),
        (("mint", "ETH3L", "0"), "0 USDC: the amount must be above zero"),
        (("mint", "ETH3L", "-5"), "No such option"),
        (("mint", "ETH3L", "ten"), "'ten' is not an amount of USDC"),
        (("mint", "ETH3L", "NaN"), "'NaN' is not an amount of USDC"),
        (("mint", "ETH3L", "1.1234567"), "at most 6 digits after the point"),
        (("mint", "ETH3L", "2000000"), r"holds 980,000 USDC, not 2,000,000"),
        (("mint", "ETH3L", "1", "--slippage", "x"), "not a number"),
        (("mint", "ETH3L", "1", "--slippage", "2"), "--slippage 2: must be from 0 to below 1"),
        (
            ("mint", "ETH3L", "1", "--deadline", "-60"),
            r"DeadlinePassed \(deadline \d+, now \d+\): send it again",
        ),
        (("burn", "ETH3L", "99999999"), r"holds 9,9\d\d\.\d+ ETH3L, not 99,999,999"),
        (("burn", "ETH3L", "0"), "0 ETH3L: the amount must be above zero"),
        (("burn", "ETH3L", "1", "--deadline", "-60"), "DeadlinePassed"),
        (("claim", "ETH3L"), "ETH3L is minted and burned at once: there is nothing to claim"),
        (("cancel", "ETH3L"), "ETH3L is minted and burned at once: there is nothing to cancel"),
    ],
)
def test_token__bad_input__is_one_line(shell, args, said):
    refused(shell.token(*args), said, code=2 if "No such option" in said else 1)


def test_token__no_account__says_how_to_name_one(shell):
    refused(shell.token("mint", "ETH3L", "1", account=None), "which account. pass --account")
    refused(
        shell.token("mint", "ETH3L", "1", account="nobody"), "Account with alias 'nobody' not found", code=2
    )


def test_token__status_where_fills_are_instant__has_no_requests(shell):
    result = shell.token("status", "ETH3L")

    assert result.exit_code == 0
    assert "requests  none: ETH3L is minted and burned at once" in result.output


def test_token__nothing_held__says_so(shell):
    refused(shell.token("burn", "ETH3L", "all", account="TEST::7"), "holds no ETH3L")


def test_mint__over_the_cap__says_what_is_left(site, deployed, shell):
    site.fund(4, 10_000_000)

    refused(
        shell.token("mint", "ETH3L", "6000000"),
        r"the caps of ETH3L leave room for 4,990,010 USDC now, 6000000 is too much",
    )


def test_mint__stale_price__says_how_old(site, shell):
    site.perp.warp(172_801)

    refused(
        shell.token("mint", "ETH3L", "1"),
        r"PriceStale \(updatedAt \d+, age \d+, heartbeat 172800\): the price feed",
    )


def test_burn__stale_price__works(site, shell):
    site.perp.warp(172_801)

    assert shell.token("burn", "ETH3L", "100").exit_code == 0
    assert "PriceStale" in shell.token("info", "ETH3L").output


def test_mint__venue_away_from_the_index__says_how_far(site, shell):
    site.perp.set_price("ETH", 1_900 * WAD)

    refused(
        shell.token("mint", "ETH3L", "1"),
        r"PriceDeviates \(price 1900, venuePrice [\d.]+, maxDeviation 0.02\)",
    )


def test_mint__paused__says_until_when_and_burn_works(site, deployed, shell):
    terms = deployed.contract("VaultTerms", deployed.record.token("ETH3L")["terms"])
    terms.send(site.account(2), "pause", 3_600)

    refused(shell.token("mint", "ETH3L", "1"), r"MintsPaused \(until \d+\): minting is paused; burning works")
    assert "minting paused" in shell.token("info", "ETH3L").output
    assert shell.token("burn", "ETH3L", "1").exit_code == 0


# Networks


def test_network__no_node_there__is_one_line_without_its_url(bare):
    line = refused(
        bare.token("info", "ETH3L", network="http://127.0.0.1:9/key"), "no node answers for network"
    )

    assert "9/key" not in line


@pytest.mark.parametrize("network", ["nowhere", "ethereum:nowhere", "ethereum:local:nowhere"])
def test_network__unknown__is_one_line(bare, network):
    line = refused(bare.token("info", "ETH3L", network=network), "Invalid value for '--network'", code=2)

    assert len(line) < 200


def test_network__rpc_variable_not_set__names_it(bare, monkeypatch):
    monkeypatch.delenv("OPTIMISM_RPC_URL", raising=False)
    args = ("once", "--account", "TEST::1")

    refused(bare(keeper_cli, *args, network="optimism:mainnet:node"), r"\$OPTIMISM_RPC_URL", code=2)


def test_network__nothing_deployed__says_how_to(bare):
    refused(
        bare.token("info", "ETH3L"),
        r"nothing is deployed on chain 31337: .*31337.json is missing; run `ape run deploy`",
    )


def test_network__record_is_broken__names_the_file(site, bare):
    (site.folder / "31337.json").write_text("{")

    refused(bare.token("info", "ETH3L"), "31337.json: not valid JSON")


# Deploy


def test_deploy__from_its_configuration__shows_roles_limits_and_nav(site, bare):
    site.tables()
    files = ("--config", str(config.DEFAULT_PATH), "--config", str(site.folder / "site.toml"))

    result = bare(deploy_cli, "--token", "ETH3L", "--account", "TEST::0", "--yes", *files)
    again = bare(deploy_cli, "--token", "ETH3L", "--account", "TEST::0", "--yes", *files)

    assert result.exit_code == 0, result.output
    for word in ("ETH3L at 0x", "guardian", "2x-4x", "1.0000", "verified; recorded in"):
        assert word in result.output
    assert again.exit_code == 0 and "ETH3L at 0x" not in again.output
    assert json.loads((site.folder / "31337.json").read_text())["finished"]


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("--token", "DOGE3L"), "'DOGE3L' is not in the configuration: there are ETH3L"),
        (("--market", "DOGE"), "'DOGE' is not in the configuration: there are ETH, BTC"),
        ((), r"chain 31337 is not configured: add \[networks.31337\]"),
        (("--config", "none.toml"), "none.toml: no such file"),
        (("--config", "README.md"), "README.md: not valid TOML"),
    ],
)
def test_deploy__bad_input__is_one_line(bare, args, said):
    refused(bare(deploy_cli, "--account", "TEST::0", "--yes", *args), said)


def test_deploy__no_account__is_one_line(bare):
    refused(bare(deploy_cli, "--yes"), "which account")


def test_deploy__not_confirmed__sends_nothing(site, bare):
    site.tables()
    files = ("--config", str(config.DEFAULT_PATH), "--config", str(site.folder / "site.toml"))

    result = bare(deploy_cli, "--account", "TEST::0", *files)

    assert result.exit_code == 1 and "Aborted" in result.stderr
    assert not (site.folder / "31337.json").exists()


# Keeper


def test_keeper__status__shows_what_is_due(site, shell):
    site.move("ETH", -12)

    result = shell(keeper_cli, "status", "--token", "ETH3L")

    assert result.exit_code == 0, result.output
    assert "EMERGENCY" in result.output and "ETH3S" not in result.output


def test_keeper__dry_run_without_account__decides(site, shell):
    site.move("ETH", -12)

    result = shell(keeper_cli, "once", "--dry-run")

    assert result.exit_code == 0, result.output
    lines = [json.loads(line) for line in result.stdout.splitlines() if line.startswith("{")]
    assert lines[0]["event"] == "would_rebalance" and lines[0]["token"] == "ETH3L"


def test_keeper__own_account__signs_with_the_passphrase_of_the_environment(site, shell, own_account):
    site.move("ETH", -12)

    locked = shell(keeper_cli, "once", "--account", "lev-test-keeper")
    done = shell(
        keeper_cli,
        "once",
        "--account",
        "lev-test-keeper",
        env={"APE_ACCOUNTS_lev-test-keeper_PASSPHRASE": "Secret-pass-1!"},
    )

    refused(locked, "account lev-test-keeper is locked: set APE_ACCOUNTS_lev-test-keeper_PASSPHRASE", code=2)
    assert done.exit_code == 0, done.output
    assert '"trigger": "EMERGENCY"' in done.output
    assert "Secret-pass-1!" not in done.output and own_account.key.hex() not in done.output


@pytest.fixture
def own_account(site):
    """An encrypted account of its own, as an operator has."""
    import ape
    from ape_accounts import import_account_from_private_key
    from eth_account import Account

    account = Account.create()
    container = ape.accounts.containers["accounts"]
    path = container.data_folder / "lev-test-keeper.json"
    path.unlink(missing_ok=True)
    import_account_from_private_key(
        "lev-test-keeper", "Secret-pass-1!", "0x" + account.key.hex().removeprefix("0x")
    )
    site.perp.rpc("anvil_setBalance", account.address, hex(10**20))
    yield account
    path.unlink(missing_ok=True)


# Processes


@pytest.mark.slow
def test_help__every_command__works_without_a_chain():
    listed = subprocess.run([APE, "run", "--help"], capture_output=True, text=True, timeout=120)

    assert {"deploy", "keeper", "token", "devnet"} <= set(re.findall(r"^  (\w+)", listed.stdout, re.M))
    for command in (["deploy"], ["keeper"], ["token", "mint"], ["token", "status"], ["devnet"]):
        result = subprocess.run([APE, "run", *command, "--help"], capture_output=True, text=True, timeout=120)
        assert result.returncode == 0 and "Usage:" in result.stdout, result.stderr


@pytest.mark.slow
def test_devnet__runs_until_interrupted__and_serves_the_commands(tmp_path):
    options = ["--port", "0", "--deployments", str(tmp_path), "--dump", str(tmp_path / "chain.json")]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(
        [APE, "run", "devnet", *options], stdout=subprocess.PIPE, text=True, env=environment
    )
    try:
        output, deadline = "", time.monotonic() + 120
        while "keeper status" not in output and time.monotonic() < deadline:
            output += process.stdout.readline()
        url = re.search(r"http://127\.0\.0\.1:\d+", output)[0]
        record = json.loads((tmp_path / "31337.json").read_text())
        where = ["--network", url, "--deployments", str(tmp_path)]

        minted = subprocess.run(
            [APE, "run", "token", "mint", "BTC3S", "500", "--account", "TEST::9", *where],
            capture_output=True, text=True, timeout=120,
        )  # fmt: skip

        assert minted.returncode == 0, minted.stderr
        assert len(record["tokens"]) == 6
        assert int(Rpc(url)("eth_getCode", record["contracts"]["Lens"]["address"], "latest"), 16)
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(30)

    assert process.returncode == 130
    assert (tmp_path / "chain.json").stat().st_size > 100_000


@pytest.mark.slow
def test_devnet__synthetix__serves_prices_a_keeper_and_a_wallet(tmp_path):
    """Three processes: the chain with its price service, a keeper, and a holder who waits for it."""
    folder = ["--deployments", str(tmp_path)]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}

    def start(*args):
        return subprocess.Popen(
            [APE, "run", *args, *folder], stdout=subprocess.PIPE, text=True, env=environment
        )

    processes = [start("devnet", "--venue", "synthetix", "--port", "0")]
    try:
        output, deadline = "", time.monotonic() + 120
        while "keeper status" not in output and time.monotonic() < deadline:
            output += processes[0].stdout.readline()
        where = ["--network", re.search(r"http://127\.0\.0\.1:\d+", output)[0]]
        assert "have 1,000,000 sUSD" in output
        processes.append(start("keeper", "run", "--metrics-port", "0", "--account", "TEST::1", *where))
        processes.append(start("token", "mint", "BTC3S", "500", "--account", "TEST::9", *where))

        minted, _ = processes[-1].communicate(timeout=120)

        assert processes[-1].returncode == 0, minted
        assert re.search(r"^deposit 1 requested, for about 499\.5 BTC3S at the present price", minted, re.M)
        assert re.search(r"^500 sUSD → 49\d\.\d+ BTC3S$", minted, re.M)
    finally:
        for process in reversed(processes):
            process.send_signal(signal.SIGINT)
            process.wait(30)

    kept = [json.loads(line)["event"] for line in processes[1].stdout if line.startswith("{")]
    assert [event for event in kept if event in ("commit", "settle")] == ["commit", "settle"]


@pytest.mark.slow
def test_devnet__port_is_taken__is_one_line(site):
    port = site.url.rsplit(":", 1)[1]

    result = subprocess.run(
        [APE, "run", "devnet", "--port", port, "--once"], capture_output=True, text=True, timeout=120
    )

    assert result.returncode == 1
    assert f"Error: no chain on port {port}" in result.stderr and "Traceback" not in result.stderr
