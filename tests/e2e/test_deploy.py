"""One deployment: what it leaves behind, that it survives crashes, and what it refuses."""

import json
from contextlib import contextmanager
from dataclasses import replace
from io import StringIO

import pytest
from rich.console import Console

from devnet import Anvil, Rpc
from leverage import chain, config
from leverage.artifacts import artifact
from leverage.chain import Chain
from leverage.config import ConfigError
from leverage.deploy import create2_address, create_address, deploy
from leverage.errors import LeverageError
from leverage.preflight import DeployError
from leverage.record import Record
from leverage.types import ADMIN_ROLE, CREATOR_ROLE, DAY, GUARDIAN_ROLE, KEEPER_ROLE, WAD
from leverage.verify import summary, verify

pytestmark = [pytest.mark.e2e, pytest.mark.venue]


def role(link, number, holder):
    return link.named("Authority").call("hasRole", number, holder)


def nonce(site, index=0):
    return int(site.perp.rpc("eth_getTransactionCount", site.account(index).address, "latest"), 16)


@pytest.fixture
def multisig(site):
    """A contract to be admin: any will do."""
    return str(site.perp.insurance_fund)


# What it leaves behind


def test_deploy__every_token__is_wired_and_verified(site):
    link = site.deploy()

    settings = site.settings()
    assert set(link.record.tokens) == set(settings.tokens)
    for symbol, token in settings.tokens.items():
        vault = link.vault(symbol)
        assert vault.call("nav") == WAD
        assert vault.call("target") == token.target
        assert link.record.token(symbol)["assetDecimals"] == 6
    factory = link.named("VaultFactory")
    assert factory.call("vaults", 0, 99) == [entry["vault"] for entry in link.record.tokens.values()]
    assert link.record.data["finished"] and "pending" not in link.record.data


def test_deploy__multisig_admin__deployer_keeps_nothing(site, multisig):
    me = site.account(0).address
    settings = site.settings(
        admin=multisig, treasury=multisig, admin_delay=2 * DAY, multisig=True, creator=multisig
    )

    link = site.deploy("ETH3L", settings=settings)

    assert role(link, ADMIN_ROLE, multisig) == [True, 2 * DAY]
    assert role(link, ADMIN_ROLE, me) == [False, 0]
    assert role(link, CREATOR_ROLE, me) == [False, 0]
    assert role(link, CREATOR_ROLE, multisig) == [True, 0]
    assert role(link, KEEPER_ROLE, site.account(1).address) == [True, 0]
    assert role(link, GUARDIAN_ROLE, site.account(2).address) == [True, 0]


def test_deploy__timelock__stands_before_every_setter(site, multisig):
    settings = site.settings(admin=multisig, admin_delay=2 * DAY, creator=multisig)
    link = site.deploy("ETH3L", settings=settings)
    terms = link.contract("VaultTerms", link.record.token("ETH3L")["terms"])

    for call in (("setFees", (0, 0, 0)), ("setTreasury", multisig), ("setCaps", (0, 0)), ("rearmPause",)):
        for sender in (multisig, site.account(0).address):
            with pytest.raises(
                LeverageError, match="AccessManager(NotScheduled|UnauthorizedCall)|Unauthorized"
            ):
                terms.call(*call, sender=sender)


def test_deploy__deployer_is_admin__gets_the_delay_as_well(site):
    me = site.account(0).address
    settings = site.settings(admin_delay=DAY)
    link = site.deploy("ETH3L", settings=settings)
    before = nonce(site)

    again = site.deploy("ETH3L", settings=settings)

    assert role(link, ADMIN_ROLE, me) == [True, DAY]
    assert nonce(site) == before and again.record.data["finished"]
    terms = link.contract("VaultTerms", link.record.token("ETH3L")["terms"])
    with pytest.raises(LeverageError, match="AccessManager"):
        terms.call("setFees", (0, 0, 0), sender=me)


def test_deploy__record__serves_a_page(site):
    link = site.deploy("ETH3L")

    data = json.loads(link.record.path.read_text())
    entry = data["tokens"]["ETH3L"]
    assert {"vault", "token", "terms", "adapter", "oracle", "asset", "name", "target"} <= entry.keys()
    assert {"InstantVault", "LeveragedToken", "VaultTerms", "Lens"} <= data["abis"].keys()
    assert data["chainId"] == site.chain_id


def test_deploy__again__sends_nothing(site):
    first = site.deploy("ETH3L", "BTC3S")
    before, text = nonce(site), first.record.path.read_text()

    site.deploy("ETH3L", "BTC3S")

    assert nonce(site) == before
    assert first.record.path.read_text() == text


def test_deploy__another_token_later__is_added(site):
    site.deploy("ETH3L")

    link = site.deploy("ETH3L", "BTC3L")

    assert set(link.record.tokens) == {"ETH3L", "BTC3L"}
    assert link.vault("BTC3L").call("nav") == WAD


def test_deploy__later_by_the_creator__needs_no_admin(site, multisig):
    settings = site.settings(admin=multisig, admin_delay=DAY, creator=site.account(5).address)
    site.deploy("ETH3L", settings=settings)

    link = site.deploy("ETH3L", "ETH3S", settings=settings, by=5)

    assert set(link.record.tokens) == {"ETH3L", "ETH3S"}


def test_deploy__later_by_nobody__names_what_the_admin_must_do(site, multisig):
    settings = site.settings(admin=multisig, admin_delay=DAY, creator=multisig)
    site.deploy("ETH3L", settings=settings)

    with pytest.raises(DeployError, match=f"is not admin: first let {multisig} call grantRole 3 "):
        site.deploy("ETH3L", "ETH3S", settings=settings)


def test_summary__after_deploy__shows_roles_limits_and_nav(site):
    link = site.deploy("ETH3L")
    console = Console(width=140, file=StringIO())
    for table in summary(link, site.settings(), ["ETH3L"]):
        console.print(table)

    text = console.file.getvalue()
    for word in ("admin", "keeper", "guardian", "ETH3L", "2x-4x", "10 10 1 bp", "20,000,000 USDC", "1.0000"):
        assert word in text


# Crashes


class CrashError(BaseException):
    """The process dies: nothing may catch it."""


@contextmanager
def crashing(monkeypatch, where: str, at: int):
    """Die before or after the `at`-th transaction: between it and the write of the record, either way."""
    original, calls = Chain.send, iter(range(10**6))

    def counted(self, *args):
        number = next(calls)
        if number == at and where == "before":
            raise CrashError
        result = original(self, *args)
        if number == at:
            raise CrashError
        return result

    with monkeypatch.context() as patch:
        patch.setattr(Chain, "send", counted)
        yield


@pytest.mark.slow
@pytest.mark.parametrize("where", ["before", "after"])
def test_deploy__crash_at_every_step__resumes_without_a_lost_or_doubled_transaction(
    site, multisig, monkeypatch, where
):
    settings = site.settings(admin=multisig, admin_delay=DAY, creator=multisig)
    start = nonce(site)
    snapshot = site.perp.rpc("evm_snapshot")
    link = site.deploy("ETH3L", settings=settings)
    sent, expected = nonce(site) - start, {name: e["address"] for name, e in link.record.contracts.items()}

    step = 0
    while True:
        assert site.perp.rpc("evm_revert", snapshot)
        snapshot = site.perp.rpc("evm_snapshot")
        link.record.path.unlink()
        try:
            with crashing(monkeypatch, where, step):
                site.deploy("ETH3L", settings=settings)
            break
        except CrashError:
            pass
        resumed = site.deploy("ETH3L", settings=settings)
        assert nonce(site) - start == sent, step
        assert {name: e["address"] for name, e in resumed.record.contracts.items()} == expected, step
        assert resumed.record.data["finished"]
        step += 1

    assert step >= 10


def test_deploy__crash__another_account_may_not_go_on(site, monkeypatch):
    with pytest.raises(CrashError), crashing(monkeypatch, "after", 2):
        site.deploy("ETH3L")

    with pytest.raises(DeployError, match="began this deployment: go on with that account"):
        site.deploy("ETH3L", by=5)


def test_record__write_interrupted__keeps_the_old_one(tmp_path, monkeypatch):
    record = Record.new(tmp_path / "1.json", 1, "0x")
    record.save()
    record.contracts["Lens"] = {"address": "0x", "kind": "Lens", "arguments": []}
    monkeypatch.setattr("os.fsync", lambda fd: (_ for _ in ()).throw(OSError("disk full")))

    with pytest.raises(OSError, match="disk full"):
        record.save()

    assert Record.load(tmp_path / "1.json").contracts == {}


# What it refuses


def changed(site, path, value):
    """The site's configuration with one value put in."""
    overlay = site.tables()
    *folders, key = path.replace("#", str(site.chain_id)).split("/")
    table = overlay
    for folder in folders:
        table = table.setdefault(folder, {})
    if value is None:
        del table[key]
    else:
        table[key] = value
    above = site.folder / "changed.toml"
    above.write_text(config.to_toml(overlay))
    return config.load(config.DEFAULT_PATH, above)


NOBODY = "0x00000000000000000000000000000000DeaDBeef"


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("networks/#", None, "chain # is not configured: add \\[networks.#\\]"),
        ("networks/#/multisig", True, "networks.#.admin = 0x.* has no code, so it is no multisig"),
        (
            "venues/perp_v2/chains/#/clearing_house",
            NOBODY,
            "an address of the venue is 0x.*, where chain # has no",
        ),
        ("venues/perp_v2/chains/#/clearing_house", None, "markets.ETH.chains.#.clearing_house is missing"),
        (
            "markets/ETH/chains/#/feed",
            NOBODY,
            "markets.ETH.chains.#.feed is 0x.*, where chain # has no contract",
        ),
        (
            "markets/ETH/chains/#/sequencer_feed",
            NOBODY,
            "chains.#.sequencer_feed is 0x.*, where chain # has no",
        ),
        ("markets/ETH/feed_decimals", 18, "feed has 8 decimals, not feed_decimals = 18"),
        (
            "tokens/ETH3L/target",
            "5",
            "the band reaches 9.99x, the venue allows 10x with a fifth of it in reserve",
        ),
        (
            "tokens/ETH3L/policy",
            {"tip_rate": "1"},
            "PolicyOutOfBounds .field tipRate, value 1, min 0, max 0.1.",
        ),
        ("tokens/ETH3L/fees", {"mint": "0.5"}, "FeeOutOfBounds .field mint, value 0.5, max 0.01."),
    ],
)
def test_deploy__bad_configuration__is_refused_before_a_token_exists(site, path, value, said):
    with pytest.raises(LeverageError, match=said.replace("#", str(site.chain_id))) as caught:
        site.deploy("ETH3L", settings=changed(site, path, value))

    assert "\n" not in str(caught.value)
    if "OutOfBounds" not in said:
        assert nonce(site) == 0


def test_deploy__unknown_token__names_those_that_are(site):
    with pytest.raises(ConfigError, match="no token 'DOGE3L' in the configuration: there are ETH3L"):
        site.deploy("DOGE3L")


def test_deploy__wrong_venue_contract__is_refused_with_the_adapter_name(site):
    settings = changed(site, "venues/perp_v2/chains/#/clearing_house", str(site.perp.insurance_fund))

    with pytest.raises(DeployError, match="ETH3L: PerpV2Adapter does not fit this venue"):
        site.deploy("ETH3L", settings=settings)


def test_deploy__stale_feed__is_refused_with_its_age(site):
    site.perp.warp(172_801)

    with pytest.raises(DeployError, match=r"feed answers \d+, 17\d{4} s old; heartbeat = 172800: not usable"):
        site.deploy("ETH3L")


def test_deploy__no_money_for_gas__is_refused(site):
    site.perp.rpc("anvil_setBalance", site.account(0).address, "0x0")

    with pytest.raises(DeployError, match="has no money for gas"):
        site.deploy("ETH3L")


def test_deploy__oracle_settings_changed_later__are_refused(site):
    site.deploy("ETH3L")

    with pytest.raises(DeployError, match="ETH oracle was deployed with .*: it cannot change"):
        site.deploy("ETH3L", "ETH3S", settings=changed(site, "markets/ETH/heartbeat", 7_200))


def test_deploy__policy_changed_since__is_told_and_left(site):
    site.deploy("ETH3L")
    heard = []
    settings = changed(site, "tokens/ETH3L/policy", {"drift": "0.07"})

    deploy(site.account(0), settings, ["ETH3L"], site.folder, heard.append)

    assert heard == [
        "differs from the configuration: ETH3L: policy.drift is 50000000000000000, not 70000000000000000"
    ]


def test_deploy__record_of_another_chain_with_this_id__is_refused(site):
    link = site.deploy("ETH3L")
    link.record.data["genesis"] = "0x" + "12" * 32
    link.record.save()

    with pytest.raises(LeverageError, match="belongs to another chain with the same id"):
        site.deploy("ETH3L")


def test_deploy__other_code_than_compiled__is_refused(site):
    link = site.deploy("ETH3L")
    site.perp.rpc("anvil_setCode", link.record.token("ETH3L")["adapter"], "0x6001600155")

    with pytest.raises(DeployError, match="ETH3L adapter at 0x.* is not the PerpV2Adapter compiled here"):
        site.deploy("ETH3L")
    with pytest.raises(LeverageError):
        verify(link, site.settings(), ["ETH3L"])


@pytest.mark.parametrize(
    ("chain_id", "change", "said"),
    [
        (1, {}, "everybody knows a test account's key"),
        (10, {}, "sequencer_feed is missing, and the chain is a rollup"),
    ],
)
def test_deploy__public_chain__has_stricter_rules(site, chain_id, change, said):
    with Anvil.start(chain_id=chain_id) as public, chain.connected_to(public.url):
        there = replace(site, chain_id=chain_id)

        with pytest.raises(LeverageError, match=said):
            there.deploy("ETH3L", settings=there.settings(admin_delay=DAY, **change))


def test_deploy__public_chain_without_a_timelock__is_refused(site):
    with Anvil.start(chain_id=1) as public, chain.connected_to(public.url):
        there = replace(site, chain_id=1)
        account = OwnKey(there.account(0).address)

        with pytest.raises(ConfigError, match="networks.1.admin_delay = 0: a public chain needs a timelock"):
            deploy(account, there.settings(), ["ETH3L"], site.folder, print)


class OwnKey:
    """An account that is no test account."""

    alias = "deployer"

    def __init__(self, address):
        self.address = address


# Addresses and code


@pytest.mark.parametrize("number", [0, 1, 127, 128, 255, 256, 70_000])
def test_create_address__any_nonce__is_where_the_chain_puts_it(number):
    with Anvil.start() as anvil:
        rpc = Rpc(anvil.url)
        (sender, *_) = rpc("eth_accounts")
        rpc("anvil_setNonce", sender, hex(number))

        receipt = rpc.send(sender, None, "0x6001600155")

        assert create_address(sender, number).lower() == receipt["contractAddress"].lower()


def test_create2_address__documented_example__agrees():
    """From EIP-1014."""
    assert create2_address("0x" + "00" * 20, bytes(32), b"\0") == "0x4D1A2e2bB4F88F0250f26Ffff098B0b30B26BF38"


def test_artifact__immutables__are_the_only_freedom(site):
    link = site.deploy("ETH3L")
    code = chain.code_at(link.record.token("ETH3L")["adapter"])
    compiled = artifact("PerpV2Adapter")
    start, _ = compiled.immutables[0]
    outside = next(i for i in range(len(code)) if all(not s <= i < s + n for s, n in compiled.immutables))

    assert code != compiled.runtime and compiled.matches(code)
    assert compiled.matches(code[:start] + bytes([code[start] ^ 1]) + code[start + 1 :])
    assert not compiled.matches(code[:outside] + bytes([code[outside] ^ 1]) + code[outside + 1 :])
    assert not compiled.matches(b"")
