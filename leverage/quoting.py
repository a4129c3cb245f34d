"""What a quote is made of: read from a token's chain, or from the configuration alone."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from leverage import leverage_math as lm
from leverage import policy
from leverage.chain import Chain, Contract
from leverage.conditions import WINDOW, rounds, venue_of
from leverage.config import Config, ConfigError, to_wad
from leverage.errors import LeverageError, RevertError
from leverage.market import Bars
from leverage.market.times import clock, span
from leverage.quote import Conditions, Mint, Quote, Room, Volatility
from leverage.statistics import volatility
from leverage.types import DAY, WAD, Fees, Policy, Snapshot, Waiting
from leverage.wallet import SHARE_DECIMALS, parse_amount


def read(chain: Chain, symbol: str, amount: str, daily: Volatility | None = None) -> Quote:
    """A mint of `symbol` for `amount` of collateral, as the chain's latest block has it.

    Without a volatility it is told from the oracle's rounds.
    """
    entry = chain.record.token(symbol)
    number, _ = chain.block()
    now = chain.at(number)
    (report,) = now.read_reports([entry["vault"]])
    if report.snapshot is None or report.policy is None:
        raise LeverageError(
            f"{symbol} cannot be quoted: {report.failure}; without a chain there is --target, --price"
        )
    if report.snapshot.ruined:
        raise LeverageError(f"{symbol} is ruined: nothing can be minted any more")
    if report.snapshot.supply and report.snapshot.equity <= 0:
        raise LeverageError(f"{symbol} has lost everything: nothing can be minted until that is recorded")
    s, assets = report.snapshot, parse_amount(amount, entry["assetDecimals"], entry["assetSymbol"])
    fees = Fees(**now.contract("VaultTerms", entry["terms"]).call("fees"))
    venue, notes = venue_of(now, symbol).conditions(), []
    if report.waiting is None:
        mint, room = _instant(now, entry, s, fees, assets), _instant_room(now, entry, s)
    else:
        mint = _queued(now, entry, s, report.policy, report.waiting, fees, venue, assets)
        room = _queued_room(now, entry, s, report.waiting)
        notes.append(
            "the fill comes some seconds later: cost and shares are those of an order now, with what waits"
        )
        if report.policy.tip_rate:
            notes.append("who moves the batch on gets a tip that grows with its wait, to 1 % of it at most")
    return Quote(
        symbol=symbol,
        source=f"chain {chain.record.chain_id}, block {number}",
        asset=entry["assetSymbol"],
        decimals=entry["assetDecimals"],
        target=s.target,
        leverage=s.leverage if s.supply else s.target,
        venue_leverage=_venue_leverage(now, entry, s),
        price=s.price,
        nav=s.nav,
        band=(report.policy.band_min, report.policy.band_max),
        fees=fees,
        mint=mint,
        conditions=venue,
        room=room,
        volatility=daily or _from_rounds(now, symbol, s.timestamp),
        notes=(*notes, *_warnings(room, assets, mint)),
    )


def plan(
    settings: Config,
    symbol: str,
    amount: str,
    price: str,
    daily: Volatility | None = None,
    target: str | None = None,
    venue_fee: str | None = None,
    funding: str | None = None,
    maintenance: str | None = None,
) -> Quote:
    """The same before there is a chain: with the configuration's fees, and what one knows of the venue."""
    token = settings.tokens.get(symbol)
    if token is None and target is None:
        known = ", ".join(settings.tokens)
        raise ConfigError(f"no token {symbol!r} in the configuration: pass its --target; there are {known}")
    leverage = token.target if token and target is None else _wad("--target", target)
    if not WAD <= abs(leverage) <= 5 * WAD:
        raise LeverageError(f"--target {target}: must be 1 to 5, or -1 to -5")
    index = _wad("--price", price)
    if index <= 0:
        raise LeverageError(f"--price {price}: must be above zero")
    rate = None if venue_fee is None else _fraction("--venue-fee", venue_fee)
    told = Conditions(
        None if maintenance is None else _fraction("--maintenance", maintenance),
        None if funding is None else _wad("--funding", funding),
    )
    base = token or settings.defaults
    rules, fees = base.policy.policy(leverage), Fees(**base.fees.model_dump())
    assets = parse_amount(amount, SHARE_DECIMALS, "collateral")
    mint = _planned(assets, lm.fee_up(assets, fees.mint), leverage, index, rate)
    return Quote(
        symbol=symbol,
        source="configuration, no chain",
        asset="collateral",
        decimals=SHARE_DECIMALS,
        target=leverage,
        leverage=leverage,
        venue_leverage=leverage,
        price=index,
        nav=WAD,
        band=(rules.band_min, rules.band_max),
        fees=fees,
        mint=mint,
        conditions=told,
        volatility=daily,
    )


def volatility_of(text: str | None, prices: Path | None) -> Volatility | None:
    """A volatility per day that was given: as a number, or with prices to tell it from."""
    if text is not None and prices is not None:
        raise LeverageError("--volatility and --prices: give one of them")
    if text is not None:
        return Volatility(_fraction("--volatility", text) / WAD, "what was given")
    if prices is None:
        return None
    bars = Bars.read(prices)
    late = bars.window(max(bars.start, bars.end - WINDOW), bars.end)
    if len(late) < 2:
        raise LeverageError(f"{prices}: a volatility takes two prices or more")
    source = f"the last {span(late.end - late.start)} of {prices.name}, to {clock(late.end)}"
    return Volatility(volatility(late.time, late.close, DAY), source)


def _planned(assets: int, fee: int, target: int, price: int, venue_rate: int | None) -> Mint:
    """A mint into an empty fund, of collateral with 18 decimals, whose trade costs the venue's fee alone."""
    net = assets - fee
    if venue_rate is None:
        return Mint(assets, fee, net)
    gross = lm.size_to_leverage(target, net, 0, price)
    cost = abs(lm.notional(gross, price)) * venue_rate // WAD
    size = lm.size_net_of_cost(gross, price, target, cost)
    trade = lm.fee_up(abs(lm.notional(size, price)), venue_rate)
    return Mint(assets, fee, net - trade, trade, trade, venue_rate)


# Where fills are instant


def _instant(now: Chain, entry: Mapping[str, Any], s: Snapshot, fees: Fees, assets: int) -> Mint:
    """As the vault previews it, to the wei."""
    scale, vault = _scale(entry), now.contract(entry["kind"], entry["vault"])
    shares = vault.call("previewDeposit", assets)
    fee = lm.fee_up(assets, fees.mint)
    trade = max(0, assets - fee - shares * s.nav // WAD // scale)
    leverage = s.leverage if s.supply else s.target
    size = lm.size_to_leverage(leverage, (assets - fee) * scale, 0, s.price)
    fill = _adapter(now, entry).call("quote", size)
    rate = fill["fee"] * WAD // (abs(lm.notional(size, s.price)) or 1)
    # Fees of a fill that is better than the index are partly paid by that: the rest is the entrant's.
    return Mint(assets, fee, shares, trade, min(trade, fill["fee"] // scale), rate)


def _instant_room(now: Chain, entry: Mapping[str, Any], s: Snapshot) -> Room:
    vault = now.contract(entry["kind"], entry["vault"])
    caps = now.contract("VaultTerms", entry["terms"]).call("caps")
    today = max(0, caps["daily"] - vault.call("mintedToday"))
    in_all = max(0, caps["total"] - _held(entry, s))
    return Room(today, in_all, closed=_closed(vault))


# Where fills come later


def _queued(
    now: Chain,
    entry: Mapping[str, Any],
    s: Snapshot,
    rules: Policy,
    waiting: Waiting,
    fees: Fees,
    venue: Conditions,
    assets: int,
) -> Mint:
    """As if the order went now, with all that waits: its cost is shared by size among its direction."""
    scale = _scale(entry)
    together = replace(waiting, assets=waiting.assets + assets)
    net = together.assets - lm.fee_up(together.assets, fees.mint)
    _, leaving = policy.going(s, rules, s.timestamp, together)
    sizes = policy.sized(s, s.target, 0, net * scale, leaving)
    order = lm.order(sizes)
    fill = _adapter(now, entry).call("quoteAt", order, s.price)
    cost = max(0, lm.cost_of(fill["size"], fill["cash"], s.price))

    def mine(of_order: int) -> int:
        """What of an order's cost, WAD, falls on this mint, in assets."""
        entrants = lm.cost_share(of_order, sizes.enter, sizes) if order else 0
        return lm.ceil_div(lm.ceil_div(entrants * assets, together.assets), scale)

    fee, trade, deposit = lm.fee_up(assets, fees.mint), mine(cost), mine(venue.deposit)
    left = max(0, assets - fee - trade - deposit) * scale
    return Mint(
        assets,
        fee,
        lm.to_shares_down(left, s.equity, s.supply),
        trade,
        min(trade, mine(fill["fee"])),
        fill["fee"] * WAD // (abs(lm.notional(fill["size"], s.price)) or 1),
        deposit,
    )


def _queued_room(now: Chain, entry: Mapping[str, Any], s: Snapshot, waiting: Waiting) -> Room:
    vault, queue = now.contract(entry["kind"], entry["vault"]), now.contract("RequestQueue", entry["queue"])
    try:
        today, in_all, least = vault.call("roomFor", waiting.assets + queue.call("inFlight")[0])
    except RevertError as error:
        return Room(0, 0, closed=str(error))
    return Room(today, in_all, least, _closed(queue))


# Parts


def _fraction(option: str, text: str) -> int:
    """A fraction from 0 to below 1, or so many %, as WAD."""
    value = _wad(option, text)
    if not 0 <= value < WAD:
        raise LeverageError(f"{option} {text}: must be from 0 to below 1; 0.04 is 4%")
    return value


def _wad(option: str, text: str | None) -> int:
    """A number, or so many %, as WAD."""
    number = (text or "").strip()
    try:
        return to_wad(number[:-1]) // 100 if number.endswith("%") else to_wad(number.replace(",", ""))
    except ValueError as error:
        raise LeverageError(f"{option} {text}: {error}") from None


def _closed(door: Contract) -> str:
    """Why nothing may come in, if so."""
    try:
        door.call("room")
    except RevertError as error:
        return str(error)
    return ""


def _warnings(room: Room, assets: int, mint: Mint) -> list[str]:
    if room.closed:
        return [f"minting is closed: {room.closed}"]
    if assets > room.most:
        return ["that is more than the caps leave room for: mint less, or after 00:00 UTC"]
    if assets < room.least:
        return ["that is less than the least that may be requested"]
    return [] if mint.shares else ["the costs take all of it"]


def _venue_leverage(now: Chain, entry: Mapping[str, Any], s: Snapshot) -> int:
    """Of the venue account: the fund's cash elsewhere does not keep it from liquidation."""
    if not s.size:
        return s.target
    p = _adapter(now, entry).call("position")
    return lm.leverage(p["size"], s.price, lm.equity(p["cash"], p["size"], s.price))


def _from_rounds(now: Chain, symbol: str, time: int) -> Volatility | None:
    found = rounds(now, symbol, time)
    if not found.is_enough:
        return None
    source = f"{len(found.time)} rounds of the oracle over {span(found.time[-1] - found.time[0])}"
    daily = volatility(np.array(found.time), np.array(found.price, float), DAY)
    return Volatility(daily, source)


def _adapter(now: Chain, entry: Mapping[str, Any]) -> Contract:
    return now.contract(entry["adapterKind"], entry["adapter"])


def _scale(entry: Mapping[str, Any]) -> int:
    """WAD per base unit of collateral."""
    return int(10 ** (18 - entry["assetDecimals"]))


def _held(entry: Mapping[str, Any], s: Snapshot) -> int:
    """Equity in assets, as it counts against the cap."""
    return max(0, s.equity) // _scale(entry) if s.supply else 0
