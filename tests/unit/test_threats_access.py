"""THREATS 7: exits, access, tokens, configuration. The class stands in each test's docstring."""

import re
from dataclasses import astuple
from pathlib import Path
from unittest.mock import ANY

import pytest
from market import FEES, caps, policy, reverts, wad, works

from leverage import leverage_math as lm
from leverage.types import DAY, WAD

CONTRACTS = Path(__file__).resolve().parents[2] / "contracts"


def code_of(path):
    """A Solidity file without its comments."""
    return re.sub(r"//[^\n]*|/\*.*?\*/", "", path.read_text(), flags=re.S)


def products():
    return [path for path in sorted(CONTRACTS.rglob("*.sol")) if "mocks" not in path.parts]


STATES = {
    "open": {"deposit", "redeem"},
    "paused": {"redeem"},
    "stale": {"redeem"},
    "deviating": {"redeem"},
    "above the band": {"redeem", "rebalance"},
    "above the band, paused": {"redeem", "rebalance"},
    "below the band": {"deposit", "redeem", "rebalance"},
    "below the band, paused": {"redeem"},
    "underwater": set(),
    "ruined": {"redeem"},
    "ruined, paused": {"redeem"},
    "liquidated": {"redeem"},
}


@pytest.mark.parametrize("state", STATES)
def test_threat_redeem_while_paused__each_state__opens_the_doors_of_its_table(
    long, minter, redeemer, guardian, outsider, state
):
    """Redeem while paused / paused liabilities: allowed-transition table. No pause closes an exit or reopens
    a closed vault."""
    long.fund(redeemer, long.units(100))
    for words, index in {"above": 1_750, "below": 2_700, "underwater": 1_200, "ruined": 1_200}.items():
        if state.startswith(words):
            long.price(index)
    if state == "stale":
        long.wait(2 * 3_600, fresh=False)
    if state == "deviating":
        long.price(2_000, 1_900)
    if state == "liquidated":
        long.adapter.liquidate(wad(500), sender=outsider)
    if state.startswith("ruined"):
        long.vault.checkRuin(sender=outsider)
    if "paused" in state:
        long.terms.pause(DAY, sender=guardian)

    doors = {
        "deposit": lambda: long.vault.deposit.call(long.units(10), redeemer, sender=redeemer),
        "redeem": lambda: long.vault.redeem.call(wad(10), minter, minter, sender=minter),
        "rebalance": lambda: long.vault.rebalance.call(sender=outsider),
    }
    assert {name for name, act in doors.items() if works(act)} == STATES[state]


@pytest.mark.parametrize("band_max", ["4", "8", "8.000000000000000001"])
def test_threat_threshold_too_wide__beyond_the_venues_maximum__cannot_be_created(deploy, long, band_max):
    """Threshold too wide locks funds: a band that the venue liquidates before it is reached."""
    most = 10 * WAD * 8 // 10

    if wad(band_max) <= most:
        assert deploy(band_max=wad(band_max)).terms.policy().bandMax == wad(band_max)
    else:
        with reverts(
            long.terms.PolicyOutOfBounds,
            field=b"bandMax".ljust(32, b"\0"), value=wad(band_max), min=3 * WAD + 1, max=most,
        ):  # fmt: skip
            deploy(band_max=wad(band_max))


def test_threat_malicious_adapter__reenters_and_lies__other_vaults_are_untouched(
    world, minter, redeemer, attacker
):
    """Malicious adapter: a hostile token beside honest ones, of the same collateral and authority."""
    bad, good = world.markets[3, 6], world.markets[-3, 6]
    from eth_utils import keccak

    before = good.vault.snapshot()
    held = good.asset.balanceOf(good.vault), good.asset.balanceOf(good.adapter), good.vault.feesOwed()
    bad.fund(redeemer, bad.units(100))

    # It calls the honest vault's accrue in the middle of its trade, and claims to have filled for free.
    bad.adapter.setHook(good.vault, keccak(text="accrue()")[:4], sender=attacker)
    bad.adapter.lie(0, wad(1_000), 0, sender=attacker)
    bad.vault.deposit(bad.units(100), redeemer, sender=redeemer)
    bad.redeem(redeemer)

    assert good.vault.snapshot() == before
    assert held == (
        good.asset.balanceOf(good.vault), good.asset.balanceOf(good.adapter), good.vault.feesOwed()
    )  # fmt: skip
    bad.adapter.lie(1, 0, 0, sender=attacker)
    with reverts(bad.vault.PartialFill, filled=ANY, wanted=ANY):
        bad.vault.deposit(bad.units(50), redeemer, sender=redeemer)


@pytest.mark.parametrize("habit", ["keeps a cut", "returns nothing", "wants allowances cleared"])
def test_threat_odd_tokens__as_collateral__are_credited_in_full_or_refused(
    deploy, project, owner, minter, habit
):
    """Fee-on-transfer, rebasing, USDT approve: credited differs from received; no boolean; approve race."""
    asset = project.MockOddERC20.deploy(6, sender=owner)
    market = deploy(asset=asset)
    asset.mint(minter, market.units(1_000), sender=owner)
    asset.approve(market.vault, market.units(1_000), sender=minter)
    margin = market.units(100) - lm.fee_up(market.units(100), FEES.mint)

    if habit == "keeps a cut":
        asset.setCut(wad("0.01"), sender=owner)
        with reverts(market.vault.TransferShort, got=margin - margin // 100, wanted=margin):
            market.vault.deposit(market.units(100), minter, sender=minter)
        asset.setCut(0, sender=owner)
    elif habit == "returns nothing":
        asset.setSilent(True, sender=owner)
    else:
        with reverts(asset.ClearAllowanceFirst, allowance=market.units(1_000)):
            asset.approve(market.vault, 1, sender=minter)
    market.vault.deposit(market.units(100), minter, sender=minter)
    market.vault.redeem(wad(50), minter, minter, sender=minter)
    market.vault.collectFees(sender=minter)

    assert market.near(asset.balanceOf(minter), market.units(900) + market.units("49.95"))
    assert market.vault.feesOwed() == asset.balanceOf(market.vault) == 0


def test_threat_odd_tokens__more_than_18_decimals__cannot_be_created(project, owner, world, long, treasury):
    """Decimals: WAD cannot hold them."""
    # The mock venue refuses such a token itself, so the token grows after the venue looked.
    asset = project.MockOddERC20.deploy(18, sender=owner)
    adapter = project.MockAdapter.deploy(asset, sender=owner)
    asset.setDecimals(19, sender=owner)
    config = (
        "Odd", "ODD", 3 * WAD, adapter.address, long.oracle.address, world.direct.address, treasury.address,
        astuple(policy(3 * WAD)), astuple(FEES), astuple(caps(6)),
    )  # fmt: skip

    with reverts(long.vault.UnsupportedDecimals, decimals=19, max=18):
        project.InstantVault.deploy(config, sender=owner)


@pytest.mark.parametrize("cash", [-(2**200), -(10**45), 10**45, 2**200], ids=lambda cash: f"{cash:.0e}")
@pytest.mark.parametrize("index", ["0.00000001", "2000", "90000000000"])
def test_threat_unsafe_casts__absurd_profit_or_price__reverts_or_is_exact(long, outsider, cash, index):
    """Unsafe casts: a negative price or profit that wraps into a huge nav."""
    long.price(index)
    long.adapter.fund(cash, sender=outsider)
    equity = lm.equity(long.cash(), long.size(), wad(index))

    for view, expected in ((long.vault.equity, equity), (long.vault.nav, lm.nav(equity, wad(10_000)))):
        assert view() == expected if works(view) else abs(equity) > 2**100
    for act in (long.vault.accrue, long.vault.checkRuin):
        assert works(lambda act=act: act(sender=outsider)) or abs(equity) > 2**100
    assert long.vault.mark().nav <= 2**100


def test_threat_transient_slot__own_code__has_no_raw_transient_storage():
    """Transient-slot collision: one tstore slot for a guard and an amount. Only the guard has one."""
    for path in products():
        assert not re.search(r"\b(tstore|tload|TransientSlot|transient)\b", code_of(path)), path.name


def test_threat_transient_slot__after_a_mint_in_the_same_transaction__guards_again(long, redeemer):
    """Transient-slot collision: the guard is clear after each call, and set within the next."""
    for _ in range(2):
        long.deposit(redeemer, 1)
    assert long.vault.nav() > 0


def test_threat_tx_origin__own_code__never_asks_for_it():
    """tx.origin as MEV guard: fails after EIP-7702."""
    for path in products():
        assert "tx.origin" not in code_of(path), path.name


def test_threat_empty_timelock__every_restricted_door__is_tried_in_the_tests_of_the_terms(project):
    """Empty timelock: docs promise, code has none. Each restricted function has its test."""
    source = code_of(CONTRACTS / "VaultTerms.sol")
    restricted = set(re.findall(r"function (\w+)\([^)]*\)\s+external\s+restricted", source))

    from test_terms import SETTERS

    assert restricted == set(SETTERS)
    vault = code_of(CONTRACTS / "LeveragedVault.sol") + code_of(CONTRACTS / "InstantVault.sol")
    assert not re.search(r"\b(restricted|onlyOwner|onlyRole)\b", vault)


def test_threat_pause_undone_by_its_own_require__the_check_of_ruin__leaves_its_mark(long, outsider):
    """Pause undone by its own require: the failing check reverts the transaction that set the flag."""
    long.price(1_200)

    tx = long.vault.checkRuin(sender=outsider)

    assert not tx.failed
    assert long.vault.isRuined()
    assert long.vault.snapshot().ruined
