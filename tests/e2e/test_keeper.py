"""The keeper on a fork with the real venue: passes, failures in words, the schedule, the lock."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from structlog.testing import capture_logs
from urllib3 import PoolManager
from urllib3.exceptions import HTTPError

from leverage import chain, keeper
from leverage.errors import LeverageError, RevertError, UnreachableError
from leverage.keeper import DONE, FAILED, economy
from leverage.types import DAY, WAD, Action, Kind, Trigger
from leverage.wallet import Wallet

pytestmark = [pytest.mark.e2e, pytest.mark.venue]


def worker(site, link, index=1, symbols=(), **changes):
    found = link.keeper(site.account(index), symbols, every=1, is_dry=False)
    for name, value in {"draw": lambda left: 0, **changes}.items():
        setattr(found, name, value)
    return found


def once(site, link, *args, **changes):
    with capture_logs() as lines:
        code = worker(site, link, *args, **changes).once()
    return code, lines


def acted(lines):
    return {line["token"]: line["trigger"] for line in lines if line["event"] == "rebalance"}


# Passes


def test_once__nothing_moved__does_nothing(site, deployed):
    code, lines = once(site, deployed)

    assert code == DONE
    assert lines == [{"event": "pass", "log_level": "info", "tokens": 2, "acted": 0, "failed": 0}]


def test_once__crash_of_twelve_percent__brings_the_long_back_to_target(site, deployed, snapshot_of):
    site.move("ETH", -12)

    code, lines = once(site, deployed)

    assert code == DONE
    assert acted(lines) == {"ETH3L": "EMERGENCY"}
    after = snapshot_of("ETH3L")
    assert abs(after.leverage - after.target) <= WAD // 50
    line = next(line for line in lines if line["event"] == "rebalance")
    wanted = {"size", "price", "leverage_before", "leverage_after", "fee", "slippage", "tip_shares"}
    assert wanted <= line.keys()
    assert line["size"] < 0 and line["caller"] == site.account(1).address


def test_once__rally_of_twelve_percent__brings_the_short_back_by_buying(site, deployed, snapshot_of):
    before = snapshot_of("ETH3S")
    site.move("ETH", 12)

    code, lines = once(site, deployed, 6)

    assert code == DONE
    assert acted(lines) == {"ETH3S": "EMERGENCY"}
    assert abs(snapshot_of("ETH3S").size) < abs(before.size)


def test_once__schedule_with_the_role__acts_in_the_exclusive_window(site, deployed):
    site.move("ETH", 4)
    site.until(130)

    stranger, _ = once(site, deployed, 6)
    code, lines = once(site, deployed)
    again, more = once(site, deployed)

    assert (stranger, code, again) == (DONE, DONE, DONE)
    assert acted(lines) == {"ETH3L": "SCHEDULED", "ETH3S": "SCHEDULED"}
    assert acted(more) == {}


def test_once__schedule_without_the_role__acts_late_for_a_tip(site, deployed):
    site.move("ETH", 4)
    site.until(120 + 1_800 + 3_600)
    (report,) = deployed.read_reports([deployed.vaults()["ETH3L"]])
    expected = economy.tip(report, Action(Kind.REBALANCE, Trigger.SCHEDULED))

    code, lines = once(site, deployed, 6)

    assert code == DONE
    assert set(acted(lines)) == {"ETH3L", "ETH3S"}
    tips = {line["token"]: line["tip_shares"] for line in lines if line["event"] == "rebalance"}
    assert all(tip > 0 for tip in tips.values())
    assert tips["ETH3L"] * report.snapshot.nav // WAD == pytest.approx(expected, rel=0.01)


def test_once__dry_run__sends_nothing(site, deployed):
    site.move("ETH", -12)
    with capture_logs() as lines:
        code = deployed.keeper(None, (), every=1, is_dry=True).once()

    assert code == DONE
    assert [line["event"] for line in lines] == ["would_rebalance", "pass"]
    assert deployed.keeper(None, ("ETH3L",), 1, True).tokens.keys() == {"ETH3L"}


def test_run__days_of_moves__keeps_every_token_near_its_target(site, deployed, snapshot_of):
    work = worker(site, deployed)
    work.clock = keeper.Clock(work.clock.now, lambda seconds: None)
    for percent in (5, -8, 11, -4, -9):
        site.move("ETH", percent)
        site.until(200)
        with capture_logs():
            work.run(passes=3)
        for symbol in ("ETH3L", "ETH3S"):
            snapshot = snapshot_of(symbol)
            assert abs(snapshot.leverage - snapshot.target) <= WAD // 20, (percent, symbol)


def test_once__gap_through_ruin__records_it(site, deployed):
    site.perp.set_price("ETH", site.perp.index_price("ETH") * 60 // 100)

    code, lines = once(site, deployed, symbols=("ETH3L",))

    assert code == DONE
    line = next(line for line in lines if line["event"] == "check_ruin")
    assert line["token"] == "ETH3L" and line["equity"] < 0
    assert deployed.vault("ETH3L").call("isRuined")
    site.perp.arbitrage("ETH")
    with pytest.raises(LeverageError, match="VaultRuined: the vault is ruined; burning pays what is left"):
        Wallet(deployed, "ETH3L", site.account(4)).mint("10", WAD // 100, 600)


# Failures


def test_once__stale_price__fails_in_words_with_numbers(site, deployed):
    site.perp.warp(172_801)

    code, lines = once(site, deployed)

    assert code == FAILED
    errors = [line["error"] for line in lines if line["event"] == "unreadable"]
    assert len(errors) == 2
    assert all("PriceStale (updatedAt " in error and "heartbeat 172800" in error for error in errors)


def test_once__one_market_stale__serves_the_other(site, deployed):
    link = site.deploy("ETH3L", "ETH3S", "BTC3L")
    holder = site.fund(4)
    Wallet(link, "BTC3L", holder).mint("10000", WAD // 100, 600)
    site.perp.warp(172_801)
    site.move("BTC", -12)

    code, lines = once(site, link)

    assert code == FAILED
    assert acted(lines) == {"BTC3L": "EMERGENCY"}


def test_once__somebody_was_faster__is_no_failure(site, deployed):
    site.move("ETH", -12)
    work = worker(site, deployed, symbols=("ETH3L",))
    honest = work.send

    def overtaken(vault, action):
        deployed.act(vault, action, deployed.outbox(site.account(6)))
        return honest(vault, action)

    work.send = overtaken
    with capture_logs() as lines:
        code = work.once()

    assert code == DONE
    assert [line["event"] for line in lines] == ["nothing_to_do", "pass"]
    assert lines[0]["reason"].startswith("NothingDue (leverage 2.99") or "NothingDue" in lines[0]["reason"]


def test_act__would_revert__costs_no_gas(site, deployed):
    account, vault = site.account(1), deployed.vaults()["ETH3L"]
    outbox = deployed.outbox(account)
    before = site.perp.rpc("eth_getTransactionCount", account.address, "latest")

    with pytest.raises(RevertError, match="NothingDue") as caught:
        deployed.act(vault, Action(Kind.REBALANCE, Trigger.BAND), outbox)

    assert caught.value.name == "NothingDue"
    assert site.perp.rpc("eth_getTransactionCount", account.address, "latest") == before
    assert deployed.act(vault, Action(Kind.CHECK_RUIN), outbox) is None


def test_node_gone__is_one_line_without_its_address(site, deployed, monkeypatch):
    def dead(*_, **__):
        raise HTTPError(f"cannot reach {site.url}/secret-key")

    monkeypatch.setattr(PoolManager, "request", dead)

    with pytest.raises(LeverageError) as caught:
        deployed.time()

    assert "secret" not in str(caught.value) and site.url not in str(caught.value)
    assert "the node did not answer eth_getBlockByNumber" in str(caught.value)
    with pytest.raises(UnreachableError):
        deployed.keeper(None, (), 1, True).once()


# Reading many


def test_read_reports__little_gas__splits_the_batch_and_loses_nothing(site, deployed):
    vaults = list(deployed.vaults().values()) * 8
    whole = deployed.read_reports(vaults)
    few = chain.Chain(deployed.record)

    split = few.read_reports(vaults, gas=2_000_000)

    assert few._batch < len(vaults)
    assert [replace(r.snapshot, timestamp=0) for r in split] == [
        replace(r.snapshot, timestamp=0) for r in whole
    ]


def test_read_reports__not_enough_for_one__says_so(site, deployed):
    (report,) = chain.Chain(deployed.record).read_reports([deployed.vaults()["ETH3L"]], gas=100_000)

    assert report.snapshot is None
    assert report.failure


def test_read_reports__no_vault_there__is_a_failure_of_its_own(site, deployed):
    good = deployed.vaults()["ETH3L"]

    reports = deployed.read_reports([good, str(site.perp.insurance_fund)])

    assert reports[0].snapshot is not None
    assert reports[1].snapshot is None and reports[1].failure


# Processes


def keeper_process(site, *args, account="TEST::1"):
    command = [str(Path(sys.executable).parent / "ape"), "run", "keeper", *args, "--network", site.url]
    command += ["--deployments", str(site.folder)] + (["--account", account] if account else [])
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


@pytest.mark.slow
def test_process__once__exits_with_the_documented_codes(site, deployed):
    quiet = keeper_process(site, "once")
    with keeper.lock(chain.lock_path(site.account(1))):
        locked = keeper_process(site, "once")
    misconfigured = keeper_process(site, "once", "--token", "DOGE3L")
    site.perp.warp(3 * DAY)
    failed = keeper_process(site, "once")

    assert (quiet.returncode, quiet.stderr) == (0, ""), quiet.stderr
    assert '"event": "pass"' in quiet.stdout and '"failed": 0' in quiet.stdout
    assert (locked.returncode, misconfigured.returncode, failed.returncode) == (3, 2, 1)
    assert "another keeper holds" in locked.stderr
    assert "no token 'DOGE3L'" in misconfigured.stderr
    assert "PriceStale" in failed.stdout
    for run in (quiet, locked, misconfigured, failed):
        assert "Traceback" not in run.stdout + run.stderr
