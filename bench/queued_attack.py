"""The search for a profit around a lagging oracle and a pushed skew, on a venue that fills later."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from bench.attack import PRICE, Attack, Holdings, Outcome, RefusedError, attacks, play
from bench.queued_rig import MARKET, RUNNER, QueuedFund, QueuedRig
from bench.rig import HOLDER, USER
from devnet import RevertError
from devnet.venue import WAD, actor

TARGETS = (3 * WAD, -3 * WAD)
FUND = 100_000 * WAD  # The other holder's.
PERCENT = WAD // 100
LAGS = tuple(tenths * WAD // 1000 for tenths in (-30, -9, -5, 0, 5, 9, 30))
STAKES = (WAD // 10, 5 * WAD)
PUSHES = (-WAD // 200, WAD // 200)
PUSHER = actor("pusher")
RICH = 10**9 * WAD
CANCEL_DELAY = 31  # Seconds.


class QueuedWorld:
    """A fund on Synthetix: Pyth knows the truth when an order fills, the oracle on chain is told later."""

    def __init__(self, rig: QueuedRig, fund: QueuedFund):
        self.rig = rig
        self.venue = rig.perp
        self.fund = fund
        self._truth = PRICE

    def holdings(self) -> Holdings:
        state, market = self.fund.state(), self.venue.markets[MARKET].market
        own = self.venue.position(PUSHER, MARKET)
        margin, _ = market.call("remainingMargin", PUSHER)
        index = self.venue.index_price(MARKET)
        money = self.venue.settlement_token.call("balanceOf", USER) + margin - own.size * index // WAD
        shares = self.fund.token.call("balanceOf", USER)
        return Holdings(state.size, self._cash(state.cash), state.supply, money, shares, own.size)

    def _cash(self, at_venue: int) -> int:
        """The holders' cash: at the venue and in the queue, where nobody else has any here."""
        return at_venue + self.venue.settlement_token.call("balanceOf", self.fund.queue)

    def market(self, price: int) -> None:
        self._truth = price

    def oracle(self, price: int) -> None:
        self.venue.move(MARKET, price)

    def push(self, price: int) -> None:
        market = self.venue.markets[MARKET].market
        scale = self.venue.perps_settings.call("skewScale", self.venue.markets[MARKET].key)
        size = (price - self._truth) * scale // self._truth - market.call("marketSkew")
        if size == 0:
            return
        try:
            self.venue.submit(PUSHER, MARKET, size)
        except RevertError as revert:
            raise RefusedError(str(revert)) from None
        self.venue.warp(self.venue.delay(MARKET), fresh=False)
        self.venue.execute(PUSHER, MARKET, price=self._truth)

    def mint(self, amount: int) -> None:
        self.rig.request_deposit(self.fund, USER, amount)
        self._fill("cancelDepositRequest", "pendingDepositRequest")

    def burn(self) -> None:
        self.rig.request_redeem(self.fund, USER, self.fund.token.call("balanceOf", USER))
        self._fill("cancelRedeemRequest", "pendingRedeemRequest")

    def _fill(self, cancel: str, pending: str) -> None:
        """The order for a request, executed at the truth; if it cannot be, the request is taken back."""
        try:
            self.fund.vault.send("commit", sender=RUNNER)
        except RevertError as revert:
            self._take_back(cancel, pending)
            raise RefusedError(str(revert)) from None
        try:
            self.rig.settle(self.fund, self._truth)
        except RevertError as revert:
            self.venue.warp(CANCEL_DELAY, fresh=False)
            self.fund.vault.send("settle", [], sender=RUNNER)
            self._take_back(cancel, pending)
            raise RefusedError(str(revert)) from None
        self.rig.claim(self.fund, USER)

    def _take_back(self, cancel: str, pending: str) -> None:
        queue = self.fund.queue
        batch = next(id_ for id_ in range(1, 100) if queue.call(pending, id_, USER))
        queue.send(cancel, batch, USER, USER, sender=USER)


@contextmanager
def prepared() -> Iterator[tuple[QueuedRig, dict[int, QueuedFund]]]:
    """A venue without fees and funding, and on it a fund for each target, with one other holder."""
    with QueuedRig.started(lean=True) as rig:
        venue = rig.perp
        for name in ("takerFeeOffchainDelayedOrder", "makerFeeOffchainDelayedOrder"):
            venue.set_parameter(MARKET, name, 0)
        venue.set_max_funding_velocity(MARKET, 0)
        venue.set_keeper_fee(0)
        venue.deposit(PUSHER, MARKET, RICH)
        funds = {}
        for target in TARGETS:
            fund = funds[target] = rig.queued_fund(target)
            rig.enter(fund, HOLDER, FUND)
            rig.give(USER, 10 * FUND, fund.queue)
        venue.set_skew(MARKET, 0)
        yield rig, funds


def grid() -> list[Attack]:
    return attacks(LAGS, STAKES, PUSHES)


def run(report: Callable[[str], None] = print) -> dict[str, Any]:
    """The best profit and the worst that happens to the other holder, in bp."""
    outcomes: list[tuple[str, Outcome]] = []
    with prepared() as (rig, funds):
        for target, fund in funds.items():
            name = f"{target // WAD:+d}x"
            for i, attack in enumerate(grid()):
                if i % 20 == 0:
                    report(f"attacks on {name}: {i} of {len(grid())}")
                with rig.undone():
                    outcomes.append((name, play(QueuedWorld(rig, fund), attack, FUND)))
    best = max(outcomes, key=lambda row: row[1].profit)
    worst = min(outcomes, key=lambda row: row[1].holders)
    done = [row for row in outcomes if not row[1].refused]
    return {
        "stale_oracle_bp": best[1].profit,
        "stale_oracle_holders_bp": worst[1].holders,
        "stale_oracle": {
            "attacks": len(outcomes),
            "carried_out": len(done),
            "best": f"{best[0]}: {best[1].attack}",
            "best_carried_out_bp": max(row[1].profit for row in done),
            "worst_for_holders": f"{worst[0]}: {worst[1].attack}",
        },
    }
