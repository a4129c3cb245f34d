"""The queued vault on Synthetix Perps V2, where TLX was measured: gas, what others feel, waiting."""

from collections.abc import Callable, Sequence
from typing import Any

from bench.queued_rig import FILL_DELAY, MARKET, RUNNER, QueuedFund, QueuedRig, Spent
from bench.rig import ADMIN, HOLDER, MAX_UINT, USER, default_fees
from devnet import RevertError
from devnet.venue import WAD, actor
from leverage.types import KEEPER_ROLE

TARGETS = (3 * WAD, -3 * WAD)
HELD = 100_000 * WAD
SMALL, LARGE = HELD // 100, HELD // 10  # What each of ten users brings.
USERS = [actor(f"user {i}") for i in range(10)]
SKEW = -10_000 * WAD
EXITS = {"burn_50": 50, "burn_90": 90}
KEEPERS_TIME = 900  # Seconds of the day: in the part of the schedule that is the keeper's alone.
LIFE = 32  # Seconds of an order, to when it can be cancelled.

Say = Callable[[str], None]


# Gas


def gas(report: Say = print) -> dict[str, Any]:
    """Of one user among ten who come first time, and of a rebalance: the worst of long and short."""
    rows: dict[str, Any] = {}
    with QueuedRig.started() as rig:
        for target in TARGETS:
            name = f"{target // WAD:+d}x"
            report(f"gas of the {name} token")
            with rig.undone():
                fund = _in_use(rig, target)
                for size, each in (("small", SMALL), ("large", LARGE)):
                    with rig.undone():
                        rows[f"{size}: enter, {name}"] = _ten(rig, fund, each, entering=USERS)
                        rows[f"{size}: leave, {name}"] = _ten(rig, fund, leaving=USERS)
                    with rig.undone():
                        _ten(rig, fund, each, entering=USERS[:5])
                        half = _ten(rig, fund, each, entering=USERS[5:], leaving=USERS[:5])
                        rows[f"{size}: five in, five out, {name}"] = half
            for direction, percent in (("up", 103), ("down", 97)):
                with rig.undone():
                    fund = _in_use(rig, target)
                    spent = _rebalance(rig, fund, percent)
                    rows[f"rebalance {direction}, {name}"] = {**vars(spent), "whole": spent.both}
    batches = [row for row in rows.values() if "request_claim" in row]
    return {
        "gas": {
            "request_claim": max(row["request_claim"] for row in batches),
            "per_user_10": max(row["per_user"] for name, row in rows.items() if name.startswith("small")),
            "rebalance": max(row["whole"] for row in rows.values() if "whole" in row),
        },
        "gas_rows": rows,
    }


def _in_use(rig: QueuedRig, target: int) -> QueuedFund:
    """A fund with holders, and with fees, payouts and shares that wait in the queue."""
    fund = rig.queued_fund(target, fees=default_fees())
    rig.authority.send("grantRole", KEEPER_ROLE, RUNNER, 0, sender=ADMIN)
    rig.enter(fund, HOLDER, HELD)
    rig.enter(fund, USER, HELD)
    rig.request_redeem(fund, USER, fund.token.call("balanceOf", USER) // 2)
    rig.run_order(fund)
    # Shares of his stay in the queue, so that nobody after him is the first to write there.
    rig.request_redeem(fund, USER, fund.token.call("balanceOf", USER) // 2)
    rig.run_order(fund)
    for user in USERS:
        rig.give(user, 10 * LARGE, fund.queue)
    return fund


def _ten(
    rig: QueuedRig,
    fund: QueuedFund,
    each: int = 0,
    *,
    entering: Sequence[str] = (),
    leaving: Sequence[str] = (),
) -> dict[str, Any]:
    """A batch of users: gas of a request with its claim, and of everything, each by the number of users."""
    requests = sum(rig.request_deposit(fund, user, each) for user in entering)
    requests += sum(rig.request_redeem(fund, user, fund.token.call("balanceOf", user)) for user in leaving)
    spent = rig.run_order(fund)
    users = [*entering, *leaving]
    claims = sum(rig.claim(fund, user) for user in users)
    return {
        "request_claim": (requests + claims) // len(users),
        "per_user": (requests + claims + spent.both) // len(users),
        "request": requests // len(users),
        "claim": claims // len(users),
        **vars(spent),
    }


def _rebalance(rig: QueuedRig, fund: QueuedFund, percent: int) -> Spent:
    """The second of two days' scheduled rebalances: no slot is written for the first time."""
    for _ in range(2):
        rig.perp.move(MARKET, rig.perp.index_price(MARKET) * percent // 100)
        rig.wait_for(KEEPERS_TIME)
        spent = rig.run_order(fund)
    return spent


# What others feel


def neutrality(report: Say = print) -> dict[str, Any]:
    """The others' nav in bp, leverage as a fraction, and who can leave: the worst of long and short."""
    nav: dict[str, list[float]] = {}
    leverage: dict[str, list[float]] = {}
    exits: list[float] = []
    with QueuedRig.started(lean=True) as rig:
        for target in TARGETS:
            name = f"{target // WAD:+d}x"
            report(f"neutrality of the {name} token")
            with rig.undone():
                fund = rig.queued_fund(target)
                rig.enter(fund, HOLDER, HELD)
                change = _change(rig, fund, lambda f: _asks_in(rig, f, HELD))
                _note(nav, leverage, "mint_1x", change)
            for key, percent in EXITS.items():
                with rig.undone():
                    fund = _shared(rig, target, percent)
                    _note(nav, leverage, key, _change(rig, fund, lambda f: _asks_out(rig, f)))
            with rig.undone():
                fund = _shared(rig, target, 50)
                rig.perp.set_skew(MARKET, SKEW)
                _note(nav, leverage, "burn_50_skewed", _change(rig, fund, lambda f: _asks_out(rig, f)))
            with rig.undone():
                exits.append(_exit(rig, _shared(rig, target, 50)))
    return {
        "neutrality_bp": {key: max(values, key=abs) for key, values in nav.items()},
        "leverage_after": {key: max(values, key=abs) for key, values in leverage.items()},
        "max_exit": min(exits),
    }


def _shared(rig: QueuedRig, target: int, percent: int) -> QueuedFund:
    """A free fund, `percent` of it the user's."""
    fund = rig.queued_fund(target)
    rig.enter(fund, HOLDER, HELD * (100 - percent) // 100)
    rig.enter(fund, USER, HELD * percent // 100)
    return fund


def _asks_in(rig: QueuedRig, fund: QueuedFund, assets: int) -> None:
    rig.give(USER, assets, fund.queue)
    rig.request_deposit(fund, USER, assets)


def _asks_out(rig: QueuedRig, fund: QueuedFund) -> None:
    rig.request_redeem(fund, USER, fund.token.call("balanceOf", USER))


def _change(rig: QueuedRig, fund: QueuedFund, ask: Callable[[QueuedFund], None]) -> tuple[float, float]:
    """From just before the settlement to just after it, at one price: nav in bp, leverage as a fraction.

    Funding runs in the seconds before; it is nobody's doing.
    """
    ask(fund)
    fund.vault.send("commit", sender=RUNNER)
    rig.perp.warp(FILL_DELAY - 1, fresh=False)
    rig.rpc.warp(1)
    before = fund.vault.call("nav"), fund.vault.call("leverage"), rig.rpc.timestamp()
    update = rig.perp.price_update(MARKET)
    rig.next_block(0)
    rig.rpc.send(RUNNER, fund.vault, fund.vault.data("settle", update), value=1)
    after = fund.vault.call("nav"), fund.vault.call("leverage"), rig.rpc.timestamp()
    assert after[2] == before[2]
    return (after[0] - before[0]) * 10_000 / before[0], (after[1] - before[1]) / before[1]


def _note(
    nav: dict[str, list[float]], leverage: dict[str, list[float]], key: str, change: tuple[float, float]
) -> None:
    nav.setdefault(key, []).append(change[0])
    leverage.setdefault(key, []).append(change[1])


def _exit(rig: QueuedRig, fund: QueuedFund) -> float:
    """Everybody leaves: which part of the supply is gone. Nothing may stay behind."""
    supply = fund.token.call("totalSupply")
    for account in (HOLDER, USER, RUNNER):
        if shares := fund.token.call("balanceOf", account):
            rig.request_redeem(fund, account, shares)
    rig.run_order(fund)
    for account in (HOLDER, USER, RUNNER):
        rig.claim(fund, account)
    left = fund.state()
    if (left.size, left.cash) != (0, 0) or rig.perp.settlement_token.call("balanceOf", fund.queue):
        raise RuntimeError(f"something stayed behind: {left}")
    return 1 - left.supply / supply


# Waiting


def blocked(report: Say = print) -> dict[str, Any]:
    """Seconds of an order's life, unexecuted to its end, in which a user is refused something."""
    refused: set[int] = set()
    with QueuedRig.started(lean=True) as rig:
        report("users beside an order that waits")
        fund = rig.queued_fund(TARGETS[0])
        for account in (HOLDER, USER):
            rig.enter(fund, account, HELD)
            rig.give(account, HELD, fund.queue)
        # Something to claim, of either kind.
        rig.request_deposit(fund, HOLDER, LARGE)
        rig.request_redeem(fund, USER, LARGE)
        rig.run_order(fund)
        rig.request_deposit(fund, HOLDER, LARGE)
        fund.vault.send("commit", sender=RUNNER)
        shares, queue = fund.token.call("balanceOf", USER) // 2, fund.queue
        acts: list[tuple[str, tuple[Any, ...], str]] = [
            ("requestDeposit", (LARGE, USER, USER), USER),
            ("requestRedeem", (shares, HOLDER, USER), USER),
            ("deposit", (queue.call("maxDeposit", HOLDER), HOLDER), HOLDER),
            ("redeem", (queue.call("maxRedeem", USER), USER, USER), USER),
        ]
        ids = {"requestDeposit": "cancelDepositRequest", "requestRedeem": "cancelRedeemRequest"}
        for second in range(LIFE):
            with rig.undone():
                for function, arguments, account in acts:
                    try:
                        queue.send(function, *arguments, sender=account)
                        if cancel := ids.get(function):
                            controller = arguments[1]
                            batch = _tail(queue, function, controller)
                            queue.send(cancel, batch, account, controller, sender=controller)
                    except RevertError:
                        refused.add(second)
            rig.rpc.warp(1)
    return {"blocked_s": len(refused)}


def _tail(queue: Any, function: str, controller: str) -> int:
    """The batch of a request just made."""
    view = "pendingDepositRequest" if function == "requestDeposit" else "pendingRedeemRequest"
    return next(batch for batch in range(MAX_UINT) if batch and queue.call(view, batch, controller))
