"""What a person wants to know of every token, as a table."""

from collections.abc import Mapping
from datetime import UTC, datetime

from rich.markup import escape
from rich.table import Table

from leverage.keeper.core import decided
from leverage.types import WAD, Report, Waiting


def status(reports: Mapping[str, Report]) -> Table:
    """Nav, leverage and what is due, symbol by symbol."""
    table = Table("token", "price", "nav", "leverage", "equity", "due", "last (UTC)", caption="")
    for column in table.columns:
        column.no_wrap = True
    for symbol, report in reports.items():
        s, policy = report.snapshot, report.policy
        for note in (report.failure, requests(report.waiting)):
            table.caption = f"{table.caption}\n{symbol}: {escape(note)}".strip() if note else table.caption
        if s is None or policy is None:
            table.add_row(symbol, "unreadable")
            continue
        action = decided(report, is_keeper=True)
        due = "-" if action is None else action.trigger.name if action.trigger else str(action.kind)
        last = datetime.fromtimestamp(s.rebalancing.time, UTC)
        table.add_row(
            symbol,
            f"{s.price / WAD:,.2f}",
            f"{s.nav / WAD:.4f}",
            f"{s.leverage / WAD:.2f}x of {s.target / WAD:g}x",
            f"{s.equity / WAD:,.0f}",
            "ruined" if s.ruined else due,
            f"{last:%m-%d %H:%M}" if s.rebalancing.time else "-",
        )
    return table


def requests(waiting: Waiting | None) -> str:
    """What waits for the next order, and where the present one is."""
    if waiting is None:
        return ""
    parts = [f"{waiting.assets / 10**waiting.decimals:,.0f} in"] if waiting.assets else []
    parts += [f"{waiting.shares / WAD:,.2f} out"] if waiting.shares else []
    parts += [f"order {waiting.order.stage.name.lower()}"] if waiting.order.stage else []
    return ", ".join(parts)
