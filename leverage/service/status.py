"""What a person wants to know of every token, as a table."""

from rich.markup import escape
from rich.table import Table

from leverage.service.measures import Sight
from leverage.types import WAD, Report, Waiting

COLUMNS = ("token", "price", "nav", "leverage", "to band", "to liq.", "equity", "due")


def status(sight: Sight) -> Table:
    """Nav, leverage, the moves of the index that a token can bear, and what is due, token by token."""
    table = Table(*COLUMNS, caption="", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column in table.columns:
        column.no_wrap = True
    for token, report in sight.reports.items():
        for note in (report.failure, requests(report.waiting)):
            table.caption = f"{table.caption}\n{token}: {escape(note)}".strip() if note else table.caption
        table.add_row(token, *_cells(sight, token, report))
    return table


def _cells(sight: Sight, token: str, report: Report) -> list[str]:
    measures = sight.measure(token)
    if report.snapshot is None or measures is None:
        return ["unreadable"]
    return [
        f"{report.snapshot.price / WAD:,.2f}",
        f"{measures.nav / WAD:.4f}",
        f"{measures.leverage / WAD:.2f}x of {measures.target / WAD:g}x",
        _percent(measures.to_band),
        _percent(measures.to_liquidation),
        f"{measures.equity / WAD:,.0f}",
        "ruined" if measures.is_ruined else _due(sight, token),
    ]


def _due(sight: Sight, token: str) -> str:
    if token not in sight.due:
        return "-"
    action, late = sight.due[token][0], sight.late(token)
    name = action.trigger.name if action.trigger else str(action.kind)
    return f"{name} {late} s" if late else name


def _percent(move: int | None) -> str:
    return "-" if move is None else f"{move * 100 / WAD:.1f} %"


def requests(waiting: Waiting | None) -> str:
    """What waits for the next order, and where the present one is."""
    if waiting is None:
        return ""
    parts = [f"{waiting.assets / 10**waiting.decimals:,.0f} in"] if waiting.assets else []
    parts += [f"{waiting.shares / WAD:,.2f} out"] if waiting.shares else []
    parts += [f"order {waiting.order.stage.name.lower()}"] if waiting.order.stage else []
    return ", ".join(parts)
