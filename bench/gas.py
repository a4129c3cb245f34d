"""What mint, burn and rebalance cost, beside the least contract that makes the same venue calls."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from bench.rig import ADMIN, DAY, HOLDER, KEEPER, TREASURY, USER, Fund, Rig, gas_of
from bench.trace import gas_by_part
from devnet import Contract
from devnet.perp_v2_build import WAD
from leverage import abi
from leverage.types import KEEPER_ROLE

ACTIONS = ("mint", "burn", "rebalance")
MARKET = "ETH"
TARGETS = (3 * WAD, -3 * WAD)
HELD, OWN, ADDED = 100_000, 40_000, 10_000  # Of collateral: the holder's, the user's, and what the user adds.
KEEPERS_TIME = 900  # Seconds of the day: in the part of the schedule that is the keeper's alone.
NOON = DAY // 2  # Late enough for the largest tip.
BLOCK = 12

# Calls into the venue whose whole cost is one part of the breakdown.
VENUE_PARTS = {
    "openPosition": "venue: trade",
    "deposit": "venue: deposit",
    "withdraw": "venue: withdraw",
    "getTakerPositionSize": "venue: position views",
    "getTakerOpenNotional": "venue: position views",
    "getPnlAndPendingFee": "venue: position views",
    "getBalance": "venue: position views",
    "getPendingFundingPayment": "venue: position views",
    "getMarketInfoByTrader": "venue: fee ratio",
    "slot0": "pool reads",
    "liquidity": "pool reads",
    "tickBitmap": "pool reads",
}


@dataclass(frozen=True)
class Call:
    """A transaction to measure."""

    sender: str
    contract: Contract
    function: str
    arguments: tuple[Any, ...] = ()


@dataclass(frozen=True)
class Pair:
    """The same action on both funds."""

    ours: Call
    lean: Call


def run(report: Callable[[str], None] = print) -> dict[str, Any]:
    """Gas of each action, ours and lean; the worst ratio of long and short, up and down, is the figure."""
    rows: dict[str, dict[str, Any]] = {}
    breakdown: dict[str, dict[str, Any]] = {}
    with Rig.started(markets=(MARKET,)) as rig:
        for target in TARGETS:
            report(f"gas of the {target // WAD:+d}x token")
            with rig.undone():
                fund, lean = _prepare(rig, target)
                for name, pair in _situations(rig, fund, lean):
                    rows[f"{name}, {target // WAD:+d}x"] = _measured(rig, pair)
                    action = name.split(",")[0]
                    if action in ACTIONS and action not in breakdown:
                        breakdown[action] = _breakdown(rig, fund, lean, pair)
    figures = {
        action: max((row for name, row in rows.items() if name.split(",")[0] == action), key=_ratio)
        for action in ACTIONS
    }
    return {**figures, "breakdown": breakdown, "variants": rows}


def _ratio(row: dict[str, Any]) -> float:
    return row["ratio"]


def _prepare(rig: Rig, target: int) -> tuple[Fund, Contract]:
    """Both funds with the same holders, a day after the last action, no slot still to be written first."""
    perp = rig.perp
    market = perp.markets[MARKET]
    fund = rig.fund(MARKET, target)
    lean = rig.deploy("LeanVault", perp.clearing_house, market.base_token, market.aggregator, target)
    rig.authority.send("grantRole", KEEPER_ROLE, KEEPER, 0, sender=ADMIN)
    for account, assets in ((HOLDER, HELD * perp.unit), (USER, OWN * perp.unit)):
        rig.give(account, 10 * assets, fund.vault, lean)
        fund.vault.send("deposit", assets, account, sender=account)
        perp.arbitrage(MARKET)
        lean.send("mint", assets, sender=account)
        perp.arbitrage(MARKET)
        rig.live(DAY, MARKET)
    perp.move(MARKET, perp.index_price(MARKET) * 102 // 100)
    rig.live(_until(rig, KEEPERS_TIME), MARKET)
    for vault in (fund.vault, lean):
        vault.send("rebalance", sender=KEEPER)
        perp.arbitrage(MARKET)
    for token in (fund.token, lean):
        token.send("transfer", KEEPER, WAD, sender=USER)
    assert fund.token.call("balanceOf", TREASURY) > 0
    rig.live(DAY, MARKET)
    perp.warp(BLOCK)
    return fund, lean


def _situations(rig: Rig, fund: Fund, lean: Contract) -> Iterator[tuple[str, Pair]]:
    """What is measured, each in its own state of the chain."""
    assets = ADDED * rig.perp.unit
    yield (
        "mint",
        Pair(Call(USER, fund.vault, "deposit", (assets, USER)), Call(USER, lean, "mint", (assets,))),
    )
    shares, lean_shares = (token.call("balanceOf", USER) // 4 for token in (fund.token, lean))
    yield (
        "burn",
        Pair(
            Call(USER, fund.vault, "redeem", (shares, USER, USER)), Call(USER, lean, "burn", (lean_shares,))
        ),
    )
    for direction, percent in (("up", 103), ("down", 97)):
        for name, caller, second in (("rebalance", KEEPER, KEEPERS_TIME), ("late rebalance", USER, NOON)):
            with rig.undone():
                rig.perp.move(MARKET, rig.perp.index_price(MARKET) * percent // 100)
                rig.live(_until(rig, second), MARKET)
                rig.perp.warp(BLOCK)
                yield (
                    f"{name}, {direction}",
                    Pair(Call(caller, fund.vault, "rebalance"), Call(caller, lean, "rebalance")),
                )


def _until(rig: Rig, second: int) -> int:
    """From now to that second of the next day."""
    return DAY - rig.rpc.timestamp() % DAY + second


def _measured(rig: Rig, pair: Pair) -> dict[str, Any]:
    ours, lean = (_gas(rig, call) for call in (pair.ours, pair.lean))
    return {"ours": ours, "lean": lean, "ratio": round(ours / lean, 4)}


def _gas(rig: Rig, call: Call) -> int:
    with rig.undone():
        rig.next_block(0)
        return gas_of(call.contract.send(call.function, *call.arguments, sender=call.sender))


# Where it goes


def _breakdown(rig: Rig, fund: Fund, lean: Contract, pair: Pair) -> dict[str, dict[str, int]]:
    part_of = _part_of(rig, fund, lean)
    ours, theirs = (
        gas_by_part(
            rig.rpc, call.sender, call.contract, call.contract.data(call.function, *call.arguments), part_of
        )
        for call in (pair.ours, pair.lean)
    )
    for parts, call in ((ours, pair.ours), (theirs, pair.lean)):
        if sum(parts.values()) != _gas(rig, call):
            raise RuntimeError(f"the parts of {call.function} do not add up to its gas")
    order = sorted(ours | theirs, key=lambda part: theirs[part] - ours[part])
    return {part: {"ours": ours[part], "lean": theirs[part]} for part in order}


def _part_of(rig: Rig, fund: Fund, lean: Contract) -> Callable[[str, str], tuple[str, bool]]:
    """The part that a call belongs to, by callee and selector, and whether the calls below it do, too."""
    perp = rig.perp
    venue = (perp.clearing_house, perp.vault, perp.account_balance, perp.exchange, perp.market_registry)
    by_function = {
        (contract.lower(), selector): VENUE_PARTS[name]
        for contract in (*venue, perp.markets[fund.market].pool)
        for name, selector in _selectors(contract)
        if name in VENUE_PARTS
    }
    whole = {
        perp.settlement_token: "asset transfers",
        fund.token: "share token",
        fund.oracle: "oracle",
        perp.markets[fund.market].aggregator: "oracle",
        fund.vault.call("terms"): "terms",
    }
    by_address = {address.lower(): part for address, part in whole.items()}
    apart = {fund.vault.lower(): "vault", lean.lower(): "vault", fund.adapter.lower(): "adapter"}

    def part_of(to: str, selector: str) -> tuple[str, bool]:
        part = by_function.get((to, selector)) or by_address.get(to)
        return (part, True) if part else (apart[to], False)

    return part_of


def _selectors(contract: Contract) -> Iterator[tuple[str, str]]:
    for entry in contract.artifact.abi:
        if entry["type"] == "function":
            yield entry["name"], "0x" + abi.selector(entry).hex()
