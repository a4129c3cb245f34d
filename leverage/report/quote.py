"""A quote for the reader: tables for a terminal, and the same as JSON."""

from collections.abc import Iterator
from dataclasses import asdict
from decimal import Decimal
from typing import Any

from rich import box
from rich.markup import escape
from rich.table import Table

from leverage import leverage_math as lm
from leverage import quote as q
from leverage.quote import Quote
from leverage.types import WAD

UNKNOWN = "unknown"
YEAR = 365  # Days.
WIDTH = 40  # Columns of what the figures are about.


def tables(quote: Quote, days: float) -> Iterator[Table]:
    """The mint, the fees, the risks, and how the token compares after `days`."""
    yield _mint(quote)
    yield _fees(quote)
    yield _gaps(quote)
    yield _decay(quote)
    yield _comparison(quote, days)


def to_dict(quote: Quote, days: float) -> dict[str, Any]:
    """All of it for a program: amounts as exact decimals in text, statistics as numbers, fractions of 1."""
    mint, c = quote.mint, quote.conditions

    def assets(amount: int | None) -> str | None:
        return None if amount is None else _exact(amount, quote.decimals)

    def wad(amount: int | None) -> float | None:
        return None if amount is None else amount / WAD

    funding = wad(c.funding)
    on_nav = None if c.funding is None else q.funding_on_nav(quote.target, c.funding)
    room = quote.room
    return {
        "symbol": quote.symbol,
        "source": quote.source,
        "target": quote.target / WAD,
        "leverage": quote.leverage / WAD,
        "price": _exact(quote.price, 18),
        "nav": _exact(quote.nav, 18),
        "mint": {
            "asset": quote.asset,
            "assets": assets(mint.assets),
            "mint_fee": assets(mint.fee),
            "trade": assets(mint.trade),
            "venue_fee": assets(mint.venue_fee),
            "deposit": assets(mint.deposit),
            "shares": _exact(mint.shares, 18),
            "cost": q.cost_of_mint(mint),
        },
        "room": room
        and {
            "today": assets(room.today),
            "in_all": assets(room.in_all),
            "least": assets(room.least),
            "closed": room.closed,
        },
        "fees": {
            "mint": wad(quote.fees.mint),
            "burn": wad(quote.fees.burn),
            "round_trip": q.round_trip(quote.fees),
            "management_per_day": wad(quote.fees.management_per_day),
            "management_per_year": q.compounded(quote.fees.management_per_day / WAD),
            "venue_per_notional": wad(mint.venue_rate),
        },
        "funding": {"per_day_of_notional": funding, "per_day_of_nav": on_nav},
        "volatility": quote.volatility and asdict(quote.volatility),
        "decay": {
            str(d): q.decay(quote.target, quote.volatility.daily, d) - 1 if quote.volatility else None
            for d in q.HORIZONS
        },
        "gap": {
            "maintenance": wad(c.maintenance),
            "to_liquidation": wad(q.gap(quote.venue_leverage, c.maintenance)),
            "to_ruin": wad(q.gap(quote.leverage, 0)),
            "to_ruin_from_band": wad(q.gap(_signed(quote, quote.band[1]), 0)),
            "to_band": [wad(q.move_to_edge(quote.leverage, edge)) for edge in quote.band],
        },
        "comparison": {
            "days": days,
            "rows": [asdict(outcome) for outcome in q.compare(quote, days)],
        },
        "notes": list(quote.notes),
    }


# Tables


def _mint(quote: Quote) -> Table:
    mint, room = quote.mint, quote.room
    table = _table(
        f"Minting {quote.symbol} now ({quote.source})", quote.asset, "% of it", caption="\n".join(quote.notes)
    )

    def units(amount: int) -> str:
        return f"{Decimal(amount) / 10**quote.decimals:,.6f}"

    def row(name: str, amount: int | None) -> None:
        known = (units(amount), _percent(amount / mint.assets, 4)) if amount is not None else (UNKNOWN,)
        table.add_row(name, *known)

    row("put in", mint.assets)
    row("mint fee", mint.fee)
    row("trade at the venue", mint.trade)
    if mint.trade:
        row("  of that venue fee", mint.venue_fee)
        row("  of that fill against the index", mint.trade - (mint.venue_fee or 0))
    if mint.deposit:
        row("deposit for who executes the order", mint.deposit)
    row("left, in shares", mint.assets - mint.fee - (mint.trade or 0) - mint.deposit)
    table.add_section()
    table.add_row("shares", f"{Decimal(mint.shares) / WAD:,.6f}", f"at nav {quote.nav / WAD:.6f}")
    table.add_row("they join at", f"{quote.leverage / WAD:.3f}x", f"target {quote.target / WAD:g}x")
    if room:
        table.add_section()
        table.add_row("room under the daily cap", units(room.today))
        table.add_row("room under the total cap", units(room.in_all))
        if room.least:
            table.add_row("least that may be requested", units(room.least))
    return table


def _fees(quote: Quote) -> Table:
    table = _table("Fees, in % of nav", "per day", "per year")
    fees, c = quote.fees, quote.conditions
    management = fees.management_per_day / WAD
    table.add_row("mint, once", _percent(fees.mint / WAD), "")
    table.add_row("burn, once", _percent(fees.burn / WAD), "")
    table.add_row("mint and burn together", _percent(q.round_trip(fees), 4), "")
    table.add_row("management", _percent(management), _percent(q.compounded(management)))
    if c.funding is None:
        table.add_row("funding", UNKNOWN, UNKNOWN)
    else:
        rate = c.funding / WAD
        on_nav = q.funding_on_nav(quote.target, c.funding)
        table.add_row("funding now, of the notional", _percent(rate, 4), _percent(rate * YEAR))
        table.add_row("funding now, of nav", _percent(on_nav, 4), _percent(on_nav * YEAR))
        table.caption = "Funding above zero is paid, below zero received; it changes by the hour."
    rate_ = quote.mint.venue_rate
    if quote.volatility and rate_ is not None:
        cost = q.turnover(quote.target, quote.volatility.daily) * rate_ / WAD
        table.add_row(
            "venue fees of daily rebalances, about", _percent(cost, 4), _percent(q.compounded(cost))
        )
    return table


def _gaps(quote: Quote) -> Table:
    table = _table("One move of the index, with no rebalance inside it", "move", "index")
    maintenance, low, high = quote.conditions.maintenance, *quote.band

    def row(name: str, move: int | None) -> None:
        price = "" if move is None else f"{(quote.price + lm.notional(quote.price, move)) / WAD:,.2f}"
        table.add_row(name, "never" if move is None else _signed_percent(move / WAD), price)

    row(f"leverage at the band's edge {low / WAD:g}x", q.move_to_edge(quote.leverage, low))
    row(f"leverage at the band's edge {high / WAD:g}x", q.move_to_edge(quote.leverage, high))
    if maintenance is None:
        table.add_row("the venue liquidates", UNKNOWN, "")
    else:
        margin = f"the venue liquidates, at {_percent(maintenance / WAD)} margin"
        row(margin, q.gap(quote.venue_leverage, maintenance))
    row("nothing is left", q.gap(quote.leverage, 0))
    row(f"nothing is left, from {high / WAD:g}x", q.gap(_signed(quote, high), 0))
    return table


def _decay(quote: Quote) -> Table:
    table = _table("Decay, exp(-L(L-1)/2 variance), at an unchanged index", "left", "lost")
    vol = quote.volatility
    for days, name in zip(q.HORIZONS, ("1 day", "1 week", "1 month"), strict=True):
        if vol is None:
            table.add_row(name, UNKNOWN, UNKNOWN)
        else:
            left = q.decay(quote.target, vol.daily, days)
            table.add_row(name, _percent(left), _percent(1 - left))
    table.caption = (
        f"Volatility {_percent(vol.daily)} per day, from {escape(vol.source)}."
        if vol
        else "No volatility: give --volatility or --prices."
    )
    return table


def _comparison(quote: Quote, days: float) -> Table:
    title = f"1 put in, after {days:g} days: {quote.target / WAD:g}x token and others"
    table = _table(title, "asset", "token", "margin", "perp", name="index", width=0)
    for outcome in q.compare(quote, days):
        cells = (outcome.asset, outcome.token, outcome.margin, outcome.perp)
        table.add_row(
            _signed_percent(outcome.move),
            *("liquidated" if cell is None else f"{cell:.4f}" for cell in cells),
        )
    unknown = [
        name
        for name, value in (
            ("volatility", quote.volatility),
            ("funding", quote.conditions.funding),
            ("venue fee", quote.mint.venue_rate),
        )
        if value is None
    ]
    table.caption = (
        "Token: all its fees, funding, rebalances and decay. Margin: the same leverage, borrowed for nothing,"
        " not rebalanced. Perp: not rebalanced, venue fee in and out, funding."
        + (f" Taken as zero, as unknown: {', '.join(unknown)}." if unknown else "")
    )
    return table


# Figures


def _table(title: str, *columns: str, caption: str = "", name: str = "", width: int = WIDTH) -> Table:
    table = Table(
        title=f"[bold]{title}[/]",
        title_style="",
        title_justify="left",
        caption=escape(caption),
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
    )
    table.add_column(name, min_width=width)
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True)
    return table


def _signed(quote: Quote, gearing: int) -> int:
    """A gearing with the token's sign."""
    return gearing if quote.target > 0 else -gearing


def _exact(amount: int, decimals: int) -> str:
    return f"{Decimal(amount).scaleb(-decimals):f}"


def _percent(fraction: float, digits: int = 2) -> str:
    return f"{100 * fraction:.{digits}f} %"


def _signed_percent(fraction: float) -> str:
    return f"{100 * fraction:+.2f} %"
