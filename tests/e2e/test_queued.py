"""Synthetix, where orders fill later: deployment, keeper and wallet on a fork with the real venue."""

import re
from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from leverage import chain, keeper
from leverage.errors import LeverageError
from leverage.keeper import DONE, FAILED, ORDER_SECONDS
from leverage.keeper.transactions import MOST_GAS
from leverage.preflight import DeployError
from leverage.prices import PriceServiceError
from leverage.service.status import requests
from leverage.types import DAY, WAD, Action, Kind, Stage
from leverage.verify import summary, verify
from leverage.wallet import Trade

pytestmark = [pytest.mark.e2e, pytest.mark.venue]

CRASH, RALLY = -12, 12
NOBODY = "0x00000000000000000000000000000000DeaDBeef"


@pytest.fixture
def venue():
    return "synthetix"


@pytest.fixture
def worker(site, deployed):
    """The keeper, or another; it sleeps by letting the chain's time pass."""

    def make(index=1, symbols=("ETH3L",), link=deployed):
        found = link.keeper(site.account(index), symbols, every=15, is_dry=False)
        found.draw = lambda left: 0
        return replace(found, clock=site.clock)

    return make


@pytest.fixture
def once(worker):
    def run(*args, **options):
        with capture_logs() as lines:
            code = worker(*args, **options).once()
        return code, lines

    return run


@pytest.fixture
def request_mint(site, deployed):
    """A holder asks to mint, and goes away."""

    def ask(amount=1_000, symbol="ETH3L", index=5):
        account, entry = site.fund(index), deployed.record.token(symbol)
        queue = deployed.contract("RequestQueue", entry["queue"])
        asset = deployed.contract("LeveragedToken", entry["asset"])
        asset.send(account, "approve", queue.address, amount * WAD)
        queue.send(account, "requestDeposit", amount * WAD, account.address, account.address)
        return queue

    return ask


@pytest.fixture
def report_of(deployed):
    def read(symbol="ETH3L"):
        (report,) = deployed.read_reports([deployed.record.token(symbol)["vault"]])
        return report

    return read


def events(lines):
    return [line["event"] for line in lines]


def stranger_executes(site, deployed, symbol="ETH3L"):
    site.perp.execute(deployed.record.token(symbol)["adapter"], "ETH")


# Deployment


def test_deploy__synthetix__is_wired_recorded_and_verified(site):
    link = site.deploy("ETH3L", "ETH3S")

    entry, settings = link.record.token("ETH3L"), site.settings()
    queue = link.contract("RequestQueue", entry["queue"])
    assert queue.call("vault") == entry["vault"] and queue.call("share") == entry["token"]
    assert (entry["assetSymbol"], entry["assetDecimals"]) == ("sUSD", 18)
    assert entry["priceId"] == "0x" + site.perp.markets["ETH"].feed_id.hex()
    policy = link.contract("VaultTerms", entry["terms"]).call("policy")
    assert (policy["min_notional"], policy["max_notional"]) == (300 * WAD, 2_000_000 * WAD)
    assert {"QueuedVault", "RequestQueue", "SynthetixPerpsV2Adapter"} <= link.record.abis.keys()
    assert verify(link, settings, ["ETH3L", "ETH3S"]) == []
    assert len(summary(link, settings, ["ETH3L"])) == 2


def test_deploy__synthetix_again__sends_nothing(site):
    first = site.deploy("ETH3L")
    before, text = site.perp.rpc("eth_blockNumber"), first.record.path.read_text()

    site.deploy("ETH3L")

    assert site.perp.rpc("eth_blockNumber") == before
    assert first.record.path.read_text() == text


def test_deploy__queued_vault__fits_into_one_transaction(site):
    """EIP-7825: adapter, queue, vault, terms and token are created at once."""
    link = site.deploy("ETH3L")
    block = site.perp.rpc("eth_getBlockByNumber", hex(link.record.token("ETH3L")["block"]), False)

    assert int(block["gasUsed"], 16) <= MOST_GAS


def test_deploy__other_queue_than_compiled__is_refused(site):
    link = site.deploy("ETH3L")
    site.perp.rpc("anvil_setCode", link.record.token("ETH3L")["queue"], "0x6001600155")

    with pytest.raises(DeployError, match="ETH3L queue at 0x.* is not the RequestQueue compiled here"):
        site.deploy("ETH3L")


@pytest.mark.parametrize(
    ("market", "said"),
    [
        (None, "ETH3L: markets.ETH.chains.31337.market is missing"),
        (NOBODY, "ETH3L: an address of the venue is 0x.*, where chain 31337 has no contract"),
        ("feed", "ETH3L: SynthetixPerpsV2Adapter does not fit this venue"),
    ],
)
def test_deploy__wrong_market__is_refused_before_anything_is_sent(site, market, said):
    settings = site.settings()
    addresses = settings.markets["ETH"].chains[31337]
    if market is None:
        del addresses["market"]
    else:
        addresses["market"] = addresses["feed"] if market == "feed" else market

    with pytest.raises(LeverageError, match=said):
        site.deploy("ETH3L", settings=settings)

    assert not (site.folder / "31337.json").exists()


# The keeper


def test_once__request__is_committed_executed_and_settled_in_one_pass(
    site, deployed, request_mint, once, report_of
):
    queue, before = request_mint(), site.perp.rpc.timestamp()

    code, lines = once()

    assert code == DONE and "commit" in events(lines) and events(lines)[-2:] == ["settle", "pass"]
    assert site.perp.rpc.timestamp() - before <= 4
    assert report_of().waiting.order.stage == Stage.NONE
    assert queue.call("maxMint", site.account(5).address) > 990 * WAD
    settled = next(line for line in lines if line["event"] == "settle")
    assert settled["emitted"] == "Settled" and settled["shares_minted"] > 0


def test_once__again__does_nothing(request_mint, once):
    request_mint()
    once()

    code, lines = once()

    assert (code, events(lines)) == (DONE, ["pass"])


def test_once__crash__brings_the_long_back_to_target(site, once, report_of):
    site.move("ETH", CRASH)

    code, lines = once()

    assert code == DONE
    commit = next(line for line in lines if line["event"] == "commit")
    assert commit["trigger"] == "EMERGENCY" and commit["size_delta"] < 0
    after = report_of().snapshot
    assert abs(after.leverage - after.target) <= WAD // 50


def test_once__two_vaults__are_served_side_by_side(site, once, request_mint, report_of):
    request_mint(symbol="ETH3L")
    request_mint(symbol="ETH3S")

    code, lines = once(symbols=("ETH3L", "ETH3S"))

    assert code == DONE
    assert events(lines).count("commit") == events(lines).count("settle") == 2
    assert events(lines).index("settle") > 1 and lines[-1]["acted"] == 2


def test_once__stranger_executed_first__takes_note_without_a_proof(
    site, deployed, request_mint, worker, report_of
):
    request_mint()
    work = worker()
    deployed.prices = lambda *args: pytest.fail("asked for a price")
    vault = deployed.vaults()["ETH3L"]
    deployed.act(vault, Action(Kind.COMMIT), deployed.outbox(site.account(6)))
    site.perp.warp(site.perp.delay("ETH"))
    stranger_executes(site, deployed)
    assert report_of().waiting.order.stage == Stage.FILLED

    with capture_logs() as lines:
        code = work.once()

    assert code == DONE and "settle" in events(lines)
    assert report_of().waiting.order.stage == Stage.NONE


def test_run__stranger_executes_while_the_keeper_waits__settles(
    site, deployed, request_mint, worker, report_of
):
    request_mint()
    work = worker()

    def sleep(seconds):
        site.clock.sleep(seconds)
        order = report_of().waiting.order
        if order.stage == Stage.WAITING and site.perp.rpc.timestamp() >= order.fillable_from:
            stranger_executes(site, deployed)

    work.clock = replace(work.clock, sleep=sleep)
    with capture_logs() as lines:
        work.run(passes=5)

    assert events(lines) == ["sent", "commit", "sent", "settle"]


def test_run__no_price_for_half_a_minute__cancels_and_retries(
    site, deployed, request_mint, worker, report_of
):
    queue = request_mint()
    work, honest = worker(), deployed.prices
    deployed.prices = lambda *args: (_ for _ in ()).throw(PriceServiceError("price service did not answer"))
    with capture_logs() as lines:
        work.run(passes=9)
    failed = next(line for line in lines if line["event"] == "settle")
    deployed.prices = honest
    with capture_logs() as later:
        work.run(passes=20)

    assert failed["emitted"] == "OrderFailed"
    assert {line["error"] for line in lines if line["event"] == "failed"} == {"price service did not answer"}
    assert "commit" in events(later) and "Settled" in [line.get("emitted") for line in later]
    assert queue.call("maxMint", site.account(5).address) > 990 * WAD


def test_act__no_price_service_recorded__leaves_the_execution_to_others(
    site, deployed, request_mint, report_of
):
    request_mint()
    del deployed.record.token("ETH3L")["priceService"]
    vault = deployed.vaults()["ETH3L"]
    deployed.act(vault, Action(Kind.COMMIT), deployed.outbox(site.account(1)))
    site.perp.warp(site.perp.delay("ETH"))

    with pytest.raises(LeverageError, match="no price service is recorded for ETH3L: others must execute"):
        deployed.act(vault, keeper.decided(report_of(), False), deployed.outbox(site.account(1)))
    stranger_executes(site, deployed)
    done = deployed.act(vault, Action(Kind.SETTLE), deployed.outbox(site.account(1)))

    assert done["emitted"] == "Settled"


def test_once__market_suspended__fails_in_words_and_the_order_waits(site, request_mint, worker, report_of):
    request_mint()
    work = worker()
    sleep = work.clock.sleep
    work.clock = replace(work.clock, sleep=lambda s: (sleep(s), site.perp.pause_market("ETH")))

    before = site.perp.rpc.timestamp()
    with capture_logs() as lines:
        code = work.once()

    assert code == FAILED
    assert site.perp.rpc.timestamp() - before <= ORDER_SECONDS + 3
    site.perp.resume_market("ETH")
    assert report_of().waiting.order.stage == Stage.WAITING
    assert any("suspen" in line["error"].lower() for line in lines if line["event"] == "failed")


def test_once__venue_takes_no_more__lets_those_who_leave_go_alone(
    site, deployed, request_mint, once, report_of
):
    """E-7: deposits that do not fit keep nobody in."""
    request_mint(5_000)
    entry, holder = deployed.record.token("ETH3L"), site.account(4)
    queue = deployed.contract("RequestQueue", entry["queue"])
    queue.send(holder, "requestRedeem", 1_000 * WAD, holder.address, holder.address)
    market = site.perp.markets["ETH"].market
    site.perp.set_parameter("ETH", "maxMarketValue", market.call("marketSizes")[0])

    code, lines = once()

    commit = next(line for line in lines if line["event"] == "commit")
    assert code == DONE and (commit["assets"], commit["shares"]) == (0, 1_000 * WAD)
    assert queue.call("maxWithdraw", holder.address) > 990 * WAD
    assert report_of().waiting.assets == 5_000 * WAD


def test_once__dust__waits_for_company(request_mint, once):
    """At 3x the venue's default takes no order below 100."""
    with pytest.raises(LeverageError, match=r"RequestTooSmall \(assets .*\): ask for more"):
        request_mint(amount=99)
    request_mint(amount=100)

    code, lines = once()

    assert code == DONE and "commit" in events(lines)


def test_once__schedule_without_the_role__leaves_it_to_the_keeper(site, once):
    site.move("ETH", 4)
    site.until(130)

    stranger, lines = once(6)
    code, more = once()

    assert (stranger, events(lines)) == (DONE, ["pass"])
    assert code == DONE and next(x for x in more if x["event"] == "commit")["trigger"] == "SCHEDULED"


def test_once__position_liquidated__records_the_ruin(site, deployed, once):
    site.move("ETH", -30)
    site.move("ETH", -5)
    site.perp.liquidate(deployed.record.token("ETH3L")["adapter"], "ETH")

    code, lines = once()

    assert code == DONE and "check_ruin" in events(lines)
    assert deployed.vault("ETH3L").call("isRuined")


def test_once__price_stale_while_an_order_waits__ends_it_all_the_same(site, deployed, request_mint, worker):
    """The index that values the vault is too old; to take note of a fill none is needed."""
    request_mint()
    vault = deployed.vaults()["ETH3L"]
    deployed.act(vault, Action(Kind.COMMIT), deployed.outbox(site.account(6)))
    site.perp.warp(site.perp.delay("ETH"))
    stranger_executes(site, deployed)
    site.perp.warp(3 * DAY, fresh=False)
    report = deployed.read_reports([vault])[0]

    action = keeper.decided(report, is_keeper=False)

    assert report.snapshot is None and "PriceStale" in report.failure
    assert (action.kind, action.proof_from) == (Kind.SETTLE, 0)


def test_status__queued__tells_what_waits(request_mint, report_of):
    request_mint()

    assert requests(report_of().waiting) == "1,000 in"


# The wallet


def test_wallet__mint_and_burn_without_a_keeper__does_it_all_itself(site, deployed):
    site.fund(5)
    said = []
    wallet = site.wallet(deployed, "ETH3L", 5, said.append)
    before = site.perp.rpc.timestamp()

    minted = wallet.mint("1000", 0, 600)
    burned = wallet.burn("all", 0, 600)

    assert isinstance(minted, Trade) and minted.assets == 1_000 * WAD
    assert 990 * WAD < minted.shares < 999 * WAD
    assert 980 * WAD < burned.assets < 1_000 * WAD
    assert re.match(
        r"deposit \d+ requested, for about 99\d\.?\d* ETH3L at the present price; it gets", said[0]
    )
    assert "its order is under way" in said and "waits for a keeper" in said
    assert site.perp.rpc.timestamp() - before <= 2 * 31


def test_wallet__keeper_is_there__waits_for_it(site, deployed, worker):
    site.fund(5)
    wallet, work = site.wallet(deployed, "ETH3S", 5), worker(symbols=("ETH3S",))
    sleep, sent = wallet.clock.sleep, []
    wallet.clock = replace(wallet.clock, sleep=lambda s: (sleep(s), work.run(passes=1)))
    wallet.chain = replaced(deployed, act=lambda *args: sent.append(args))

    with capture_logs():
        wallet.mint("1000", 0, 600)

    assert sent == []


def replaced(link, **methods):
    """The same chain with other methods."""
    twin = chain.Chain(link.record)
    vars(twin).update(methods)
    return twin


def test_wallet__status_claim_and_cancel__at_each_stage(site, deployed, request_mint, once):
    request_mint()
    wallet = site.wallet(deployed, "ETH3L", 5)
    waits = wallet.status()
    cancelled = wallet.cancel()
    request_mint(2_000)
    deployed.act(deployed.vaults()["ETH3L"], Action(Kind.COMMIT), deployed.outbox(site.account(6)))
    under_way = wallet.status()
    with pytest.raises(LeverageError, match="RequestInFlight .*: its order is under way"):
        wallet.cancel()
    once()
    settled = wallet.status()
    claimed = wallet.claim()

    (name,) = waits
    assert name.startswith("deposit ") and waits[name] == "1,000 sUSD waits for the next order"
    assert cancelled == [f"{name} cancelled: 1,000 sUSD taken back"]
    assert list(under_way.values()) == ["2,000 sUSD is in an order"]
    assert re.fullmatch(r"199\d\.\d+ ETH3L to claim".replace("199", "1,99"), settled["minted"])
    assert len(claimed) == 1 and claimed[0].startswith("2,000 sUSD → 1,99")
    assert wallet.status() == {"requests": "none"} and wallet.claim() == ["nothing to claim"]
    assert wallet.cancel() == ["nothing to cancel"]


def test_wallet__nobody_and_nothing_moves_it__says_what_to_do(site, deployed):
    site.fund(5)
    wallet = site.wallet(deployed, "ETH3L", 5)
    wallet.chain = replaced(deployed, act=lambda *args: None)

    with pytest.raises(LeverageError, match="deposit . still waits after 30 s: look at its status, claim it"):
        wallet.mint("1000", 0, 30)

    assert "waits for the next order" in str(wallet.status())


def test_wallet__price_service_is_down__says_so_and_goes_on(site, deployed):
    site.fund(5)
    said, honest = [], deployed.prices
    wallet = site.wallet(deployed, "ETH3L", 5, said.append)
    failures = iter([PriceServiceError("price service here did not answer")])

    def prices(*args):
        for failure in failures:
            raise failure
        return honest(*args)

    deployed.prices = prices
    wallet.mint("1000", 0, 600)

    assert "cannot settle yet: price service here did not answer" in said


def test_wallet__min_out__cannot_be_promised(site, deployed):
    wallet = site.wallet(deployed, "ETH3L", 4)

    for trade in (wallet.mint, wallet.burn):
        with pytest.raises(LeverageError, match="the price is that of the later fill"):
            trade("1", 0, 600, "0.9")


def test_wallet__over_the_cap__says_what_is_left(site, deployed):
    site.fund(5, 2_000_000)

    with pytest.raises(LeverageError, match=r"leave room for 99\d,\d+(\.\d+)? sUSD now, 1500000 is too much"):
        site.wallet(deployed, "ETH3L", 5).mint("1500000", 0, 600)


def test_wallet__info__tells_what_burning_would_bring(site, deployed):
    lines = site.wallet(deployed, "ETH3L", 4).info()

    assert re.search(r"^9,9\d\d\.\d+ worth 9,9\d\d\.\d+ sUSD$", lines["yours"])
    assert "leverage" in lines and lines["caps"] == "1,000,000 per day, 4,000,000 in total"
