"""The search for a profit around a lagging oracle and a pushed pool, on the real venue."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from eth_abi import decode, encode
from eth_utils import keccak

from bench.attack import PRICE, Attack, Holdings, Outcome, RefusedError, attacks, play
from bench.rig import FREE, HOLDER, MAX_UINT, USER, Fund, Rig, default_deviation
from devnet import RevertError
from devnet.perp_v2 import ENDLESS, NO_REFERRAL, NOTHING_TO_TRADE
from devnet.perp_v2_build import ARBITRAGEUR, ATTACKER, WAD, sqrt_price_x96
from devnet.rpc import Receipt

MARKET = "ETH"
TARGETS = (3 * WAD, -3 * WAD)
FUND = 100_000 * WAD  # The other holder's.
RICH = 10**12  # Of collateral: what those who trade in the pool have at the venue.
PERCENT = WAD // 100
LAGS = tuple(percent * PERCENT for percent in (-3, -1, 0, 1, 3))
STAKES = (WAD // 10, WAD, 5 * WAD)
WIDEST = WAD // 5  # The largest deviation that the oracle takes: nothing is refused for the lag.
PUSHES = {
    WIDEST: tuple(percent * PERCENT for percent in (-6, -2, 2, 6)),
    default_deviation(MARKET): tuple(percent * PERCENT for percent in (-1, 1)),
}
POSITION_CHANGED = (
    "0x" + keccak(text="PositionChanged(address,address,int256,int256,uint256,int256,int256,uint256)").hex()
)
MAX_TICKS_SLOT = 212  # Of the exchange's storage: by market, how far the price may move within 15 s.
ALL_TICKS = 2 * 887_272


class RealWorld:
    """A fund on Perp v2. `by_shares`: the attacker comes by `mint` and leaves by `withdraw`."""

    def __init__(self, rig: Rig, fund: Fund, by_shares: bool = False):
        self.rig = rig
        self.perp = rig.perp
        self.fund = fund
        self.by_shares = by_shares
        self.scale = WAD // rig.perp.unit
        self._own_size = 0
        self._own_cash = 0
        self._read: Holdings | None = None

    @contextmanager
    def undone(self) -> Iterator[None]:
        """One attack: afterwards it has not happened."""
        kept = self._own_size, self._own_cash, self._read
        with self.rig.undone():
            yield
        self._own_size, self._own_cash, self._read = kept

    def holdings(self) -> Holdings:
        if self._read is None:
            size, cash = self.fund.adapter.call("position")
            money = self.perp.settlement_token.call("balanceOf", USER) * self.scale
            token = self.fund.token
            self._read = Holdings(
                size, cash, token.call("totalSupply"), money, token.call("balanceOf", USER), 0
            )
        return replace(self._read, money=self._read.money + self._own_cash, own_size=self._own_size)

    def market(self, price: int) -> None:
        self._trade_to(ARBITRAGEUR, price)

    def oracle(self, price: int) -> None:
        self.perp.markets[MARKET].aggregator.send("set", price // 10**10, sender=ARBITRAGEUR)

    def push(self, price: int) -> None:
        receipt = self._trade_to(ATTACKER, price)
        if receipt is None:
            return
        log = next(log for log in receipt["logs"] if log["topics"][0] == POSITION_CHANGED)
        size, notional, fee = decode(["int256", "int256", "uint256"], bytes.fromhex(log["data"][2:194]))
        self._own_size += size
        self._own_cash += notional - fee

    def mint(self, amount: int) -> None:
        if self.by_shares:
            # Whatever nav is, his stake is about this large.
            self._do("mint", amount * self.holdings().supply // FUND, USER)
        else:
            self._do("deposit", amount // self.scale, USER)

    def burn(self) -> None:
        shares = self.holdings().shares
        if self.by_shares:
            self._do("withdraw", self.fund.vault.call("previewRedeem", shares), USER, USER)
        else:
            self._do("redeem", shares, USER, USER)

    def _do(self, function: str, *args: Any) -> None:
        try:
            self.fund.vault.send(function, *args, sender=USER)
        except RevertError as revert:
            raise RefusedError(str(revert)) from None
        self._read = None

    def _trade_to(self, trader: str, price: int) -> Receipt | None:
        """Take the pool to a price; None when it is there."""
        market = self.perp.markets[MARKET]
        goal, here = sqrt_price_x96(price), market.pool.call("slot0")[0]
        if goal == here:
            return None
        order = (market.base_token, goal < here, True, ENDLESS, 0, MAX_UINT, goal, NO_REFERRAL)
        try:
            return self.perp.clearing_house.send("openPosition", order, sender=trader)
        except RevertError as revert:
            if str(revert) == NOTHING_TO_TRADE:
                return None
            raise


@contextmanager
def prepared() -> Iterator[tuple[Rig, dict[tuple[int, int], Fund]]]:
    """A venue without fees that lets everybody trade, and on it a fund for each deviation and target."""
    with Rig.started(markets=(MARKET,), lean=True) as rig:
        perp = rig.perp
        perp.set_exchange_fee(MARKET, 0)
        _open_price_window(rig)
        for trader in (ARBITRAGEUR, ATTACKER):
            perp.deposit(trader, RICH * perp.unit)
        funds = {}
        for deviation in PUSHES:
            oracle = rig.oracle(MARKET, deviation)
            for target in TARGETS:
                fund = funds[deviation, target] = rig.fund(MARKET, target, oracle=oracle, fees=FREE)
                for account in (HOLDER, USER):
                    rig.give(account, 10 * FUND * perp.unit // WAD, fund.vault)
                fund.vault.send("deposit", FUND * perp.unit // WAD, HOLDER, sender=HOLDER)
                perp.arbitrage(MARKET)
        # The venue's price window, funding and averages all stand still from here on.
        rig.live(1800, MARKET)
        assert perp.index_price(MARKET) == PRICE
        yield rig, funds


def _open_price_window(rig: Rig) -> None:
    """Let the price move any distance at any time: the venue shall not be what stops the attacker."""
    exchange, base_token = rig.perp.exchange, rig.perp.markets[MARKET].base_token
    slot = keccak(encode(["address", "uint256"], [base_token, MAX_TICKS_SLOT])).hex()
    rig.rpc("anvil_setStorageAt", exchange, f"0x{slot}", f"0x{ALL_TICKS:064x}")
    assert exchange.call("getMaxTickCrossedWithinBlock", base_token) == ALL_TICKS


def search(world: RealWorld, grid: Iterable[Attack]) -> Iterator[Outcome]:
    """Each attack on the same fund."""
    world.holdings()
    for attack in grid:
        with world.undone():
            yield play(world, attack, FUND)


def run(report: Callable[[str], None] = print) -> dict[str, Any]:
    """The best profit and the worst that happens to the other holders."""
    outcomes: list[tuple[str, Outcome]] = []
    with prepared() as (rig, funds):
        for (deviation, target), fund in funds.items():
            name = f"{target // WAD:+d}x, deviation {deviation / WAD:.0%}"
            plans = [("", attacks(LAGS, STAKES, PUSHES[deviation]))]
            if deviation == WIDEST:
                plans.append((", by shares", attacks(LAGS, (WAD,), (2 * PERCENT,))))
            for suffix, grid in plans:
                world = RealWorld(rig, fund, by_shares=bool(suffix))
                for i, outcome in enumerate(search(world, grid)):
                    if i % 50 == 0:
                        report(f"attacks on {name}{suffix}: {i} of {len(grid)}")
                    outcomes.append((name + suffix, outcome))
    best = max(outcomes, key=_profit)
    worst = min(outcomes, key=lambda row: row[1].holders)
    return {
        "stale_oracle_bp": best[1].profit,
        "stale_oracle_holders_bp": worst[1].holders,
        "stale_oracle": {
            "attacks": len(outcomes),
            "refused": sum(outcome.refused > 0 for _, outcome in outcomes),
            "best_carried_out": _told(*max((row for row in outcomes if not row[1].refused), key=_profit)),
            "worst_for_holders": _told(*worst),
        },
    }


def _profit(row: tuple[str, Outcome]) -> float:
    return row[1].profit


def _told(name: str, outcome: Outcome) -> str:
    return f"{name}: {outcome.attack}: profit {outcome.profit:+.9f} bp, holders {outcome.holders:+.9f} bp"
