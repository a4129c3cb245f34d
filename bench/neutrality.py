"""What an entrance as large as the fund, and exits of 50, 90 and 100 %, do to everybody else."""

from collections.abc import Callable
from typing import Any

from bench.rig import FREE, HOLDER, USER, Fund, Rig
from devnet.perp_v2_build import WAD

MARKET = "ETH"
TARGETS = (3 * WAD, -3 * WAD)
HELD = 100_000  # Of collateral.
EXITS = {"burn_50": 50, "burn_90": 90}


def run(report: Callable[[str], None] = print) -> dict[str, Any]:
    """Change of the others' nav in bp, and of leverage as a fraction: the worst of long and short."""
    nav: dict[str, list[float]] = {}
    leverage: dict[str, list[float]] = {}
    residue: dict[str, Any] = {}
    with Rig.started(markets=(MARKET,), lean=True) as rig:
        for target in TARGETS:
            name = f"{target // WAD:+d}x"
            report(f"neutrality of the {name} token")
            with rig.undone():
                fund = _funded(rig, target, HELD)
                _note(nav, leverage, "mint_1x", *_change(rig, fund, lambda f: _enter(rig, f, HELD)))
            for key, percent in EXITS.items():
                with rig.undone():
                    fund = _funded(rig, target, HELD * (100 - percent) // 100, HELD * percent // 100)
                    _note(nav, leverage, key, *_change(rig, fund, _leave))
            with rig.undone():
                residue[name] = _emptied(rig, _funded(rig, target, 0, HELD))
    return {
        "neutrality_bp": {key: max(values, key=abs) for key, values in nav.items()},
        "leverage_after": {key: max(values, key=abs) for key, values in leverage.items()},
        "burn_100": residue,
    }


def _funded(rig: Rig, target: int, *amounts: int) -> Fund:
    """A free fund held by the holder and then the user, who paid whole units each; the pool at the index."""
    fund = rig.fund(MARKET, target, fees=FREE)
    for account, amount in zip((HOLDER, USER), amounts, strict=False):
        rig.give(account, 10 * HELD * rig.perp.unit, fund.vault)
        if amount:
            fund.vault.send("deposit", amount * rig.perp.unit, account, sender=account)
            rig.perp.arbitrage(MARKET)
    if len(amounts) == 1:
        rig.give(USER, 10 * HELD * rig.perp.unit, fund.vault)
    return fund


def _enter(rig: Rig, fund: Fund, amount: int) -> None:
    fund.vault.send("deposit", amount * rig.perp.unit, USER, sender=USER)


def _leave(fund: Fund) -> None:
    fund.vault.send("redeem", fund.token.call("balanceOf", USER), USER, USER, sender=USER)


def _change(rig: Rig, fund: Fund, act: Callable[[Fund], None]) -> tuple[float, float]:
    """Change of nav in bp and of leverage as a fraction, at the same index price and in the same second."""
    before = fund.vault.call("nav"), fund.vault.call("leverage"), rig.rpc.timestamp()
    act(fund)
    after = fund.vault.call("nav"), fund.vault.call("leverage"), rig.rpc.timestamp()
    assert after[2] == before[2]
    return (after[0] - before[0]) * 10_000 / before[0], (after[1] - before[1]) / before[1]


def _note(
    nav: dict[str, list[float]], leverage: dict[str, list[float]], key: str, of_nav: float, of_leverage: float
) -> None:
    nav.setdefault(key, []).append(of_nav)
    leverage.setdefault(key, []).append(of_leverage)


def _emptied(rig: Rig, fund: Fund) -> dict[str, int]:
    """Everybody leaves: what stays behind, WAD, and whether the next one can enter."""
    _leave(fund)
    size, cash = fund.adapter.call("position")
    supply = fund.token.call("totalSupply")
    rig.perp.arbitrage(MARKET)
    _enter(rig, fund, HELD)
    return {"size": size, "cash": cash, "supply": supply, "nav_of_the_next": fund.vault.call("nav")}
