"""What each figure may be."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

GAS_RATIO = {"mint": 1.40, "burn": 1.40, "rebalance": 1.25}
NAV_BP = 0.01
LEVERAGE = 0.001
PROFIT_BP = 0.0
HOLDERS_BP = -0.01
TOKENS = 1000
# A request with its claim, everything per user of ten, a whole rebalance. TLX: 2.66, 3.61 and 3.00 M.
QUEUED_GAS = {"request_claim": 250_000, "per_user_10": 500_000, "rebalance": 2_300_000}
CALL_GAS = 50_000_000
# Blocks, in the median, from a price that crosses the band to its rebalance; seconds to look at 1,000 tokens.
REACT_BLOCKS, SCAN_1000_S = 1, 5.0
# Seconds for a year of minutes, and for 1,000 policies over three years of five minutes on two cores.
YEAR_1M_S, SWEEP_1000_S = 0.25, 60.0
# Histories that chain and twin live through, and by how much they may differ.
TWIN_HISTORIES, TWIN_DIFF = 205, 0
# Largest relative difference between the fast engine and the exact twin.
FAST_VS_TWIN = 1e-9
DUST = 10**12  # WAD: a millionth of a unit of collateral.


@dataclass(frozen=True)
class Row:
    """A figure, what it may be, and whether it is."""

    name: str
    value: str
    limit: str
    ok: bool


def rows(figures: Mapping[str, Any]) -> list[Row]:
    """A row for each figure that was measured and has a limit."""
    found: list[Row] = []
    for venue in [name for name in figures if isinstance(figures[name], Mapping) and name != "seconds"]:
        measured = figures[venue]
        for key, check in CHECKS.items():
            if key in measured:
                found += (Row(f"{venue}.{row.name}", row.value, row.limit, row.ok) for row in check(measured))
    return found


def _gas(measured: Mapping[str, Any]) -> Iterator[Row]:
    if "request_claim" in measured["gas"]:
        for key, limit in QUEUED_GAS.items():
            value = measured["gas"][key]
            yield Row(f"gas.{key}", f"{value:,}", f"≤ {limit:,}", value <= limit)
        return
    for action, limit in GAS_RATIO.items():
        row = measured["gas"][action]
        text = f"{row['ratio']:.3f}  ({row['ours']:,} / {row['lean']:,})"
        yield Row(f"gas.{action}.ratio", text, f"≤ {limit:.2f}", row["ratio"] <= limit)


def _neutrality(measured: Mapping[str, Any]) -> Iterator[Row]:
    for key, value in measured["neutrality_bp"].items():
        yield Row(f"neutrality_bp.{key}", f"{value:+.9f}", f"± {NAV_BP}", abs(value) <= NAV_BP)


def _leverage(measured: Mapping[str, Any]) -> Iterator[Row]:
    for key, value in measured["leverage_after"].items():
        yield Row(f"leverage_after.{key}", f"{value:+.2e}", f"± {LEVERAGE}", abs(value) <= LEVERAGE)


def _emptied(measured: Mapping[str, Any]) -> Iterator[Row]:
    for name, left in measured["burn_100"].items():
        is_empty = left["size"] == 0 and left["supply"] == 0 and 0 <= left["cash"] < DUST
        yield Row(
            f"burn_100 {name}", f"size {left['size']}, cash {left['cash']}", "no more than dust", is_empty
        )


def _profit(measured: Mapping[str, Any]) -> Iterator[Row]:
    value = measured["stale_oracle_bp"]
    yield Row("stale_oracle_bp", f"{value:+.9f}", f"≤ {PROFIT_BP:g}", value <= PROFIT_BP)


def _holders(measured: Mapping[str, Any]) -> Iterator[Row]:
    value = measured["stale_oracle_holders_bp"]
    yield Row("stale_oracle_holders_bp", f"{value:+.9f}", f"≥ {HOLDERS_BP}", value >= HOLDERS_BP)


def _exit(measured: Mapping[str, Any]) -> Iterator[Row]:
    value = measured["max_exit"]
    yield Row("max_exit", f"{value:.0%}", "= 100%", value == 1)


def _blocked(measured: Mapping[str, Any]) -> Iterator[Row]:
    value = measured["blocked_s"]
    yield Row("blocked_s", f"{value}", "= 0", value == 0)


def _lens(measured: Mapping[str, Any]) -> Iterator[Row]:
    lens = measured["lens"]
    text = f"{lens['tokens']:,} in {lens['calls']} calls, {lens['seconds']} s"
    yield Row("lens.tokens", text, f"≥ {TOKENS:,}", lens["tokens"] >= TOKENS)
    yield Row("lens.gas_max", f"{lens['gas_max']:,}", f"≤ {CALL_GAS:,}", lens["gas_max"] <= CALL_GAS)


def _year(measured: Mapping[str, Any]) -> Iterator[Row]:
    value = measured["year_1m_s"]
    yield Row("year_1m_s", f"{value:.3f}", f"≤ {YEAR_1M_S:g}", value <= YEAR_1M_S)


def _sweep(measured: Mapping[str, Any]) -> Iterator[Row]:
    value = measured["sweep_1000_s"]
    yield Row("sweep_1000_s", f"{value:.1f}", f"≤ {SWEEP_1000_S:g}", value <= SWEEP_1000_S)


def _fast(measured: Mapping[str, Any]) -> Iterator[Row]:
    value = measured["fast_vs_twin_rel"]
    yield Row("fast_vs_twin_rel", f"{value:.1e}", f"≤ {FAST_VS_TWIN:g}", value <= FAST_VS_TWIN)


def _twin(measured: Mapping[str, Any]) -> Iterator[Row]:
    histories, diff = measured["twin_histories"], measured["twin_max_diff_wei"]
    yield Row("twin_histories", f"{histories}", f"≥ {TWIN_HISTORIES}", histories >= TWIN_HISTORIES)
    yield Row("twin_max_diff_wei", f"{diff}", f"= {TWIN_DIFF}", diff == TWIN_DIFF)


def _react(measured: Mapping[str, Any]) -> Iterator[Row]:
    value = measured["react_blocks"]
    yield Row("react_blocks", f"{value:g}", f"≤ {REACT_BLOCKS}", value <= REACT_BLOCKS)


def _scan(measured: Mapping[str, Any]) -> Iterator[Row]:
    seconds, gas = measured["scan_1000_s"], max(row["gas_max"] for row in measured["scan"].values())
    yield Row("scan_1000_s", f"{seconds:.2f}", f"≤ {SCAN_1000_S:g}", seconds <= SCAN_1000_S)
    yield Row("scan.gas_max", f"{gas:,}", f"≤ {CALL_GAS:,}", gas <= CALL_GAS)


CHECKS = {
    "gas": _gas,
    "neutrality_bp": _neutrality,
    "leverage_after": _leverage,
    "burn_100": _emptied,
    "stale_oracle_bp": _profit,
    "stale_oracle_holders_bp": _holders,
    "lens": _lens,
    "max_exit": _exit,
    "blocked_s": _blocked,
    "year_1m_s": _year,
    "sweep_1000_s": _sweep,
    "fast_vs_twin_rel": _fast,
    "twin_max_diff_wei": _twin,
    "react_blocks": _react,
    "scan_1000_s": _scan,
}
