"""docs/history.md: figures and plots of all that is reproduced."""

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jinja2

from history import defaults, ideal, plots, policies, products
from history.defaults import Choice
from history.ideal import Ideal
from history.policies import AFTER, BEFORE, CRASHES, RALLIES, SPLIT, Score

Tell = Callable[[str], None]
ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "history.md"
PLOTS = ROOT / "docs" / "history"
SHOWN = 5  # Of the settings of a sweep.
OURS = {3: ("0.05", "0.10", "0.333"), -3: ("0.05", "0.10", "0.5")}

SCORE = (
    *("tracking error per day", "mean difference per day", "turnover per year", "decay per year"),
    *("highest leverage", "rebalances per year", "ruined"),
)
CHOICE = (
    *defaults.AXES,
    *("difference before", "tracking error before", "highest leverage before"),
    *("difference after", "tracking error after", "highest leverage after"),
)


def write(tell: Tell, page: Path = PAGE, folder: Path = PLOTS) -> None:
    """The page, and its plots beside it; `tell` hears what is being replayed."""
    folder.mkdir(parents=True, exist_ok=True)
    words: dict[str, Any] = {"split": SPLIT, "bp": _basis_points, "day": _day, "x": "{:.2f}x".format}
    words["periods"] = ", ".join(period.name for period in BEFORE)
    words["after"] = " and ".join(period.name for period in AFTER)
    words["axes"] = "; ".join(f"{name} {', '.join(values)}" for name, values in defaults.AXES.items())
    for part in (_ideal, _products, _crashes, _policies, _defaults):
        words |= part(tell, folder)
    source = Path(__file__).with_name("page.md.jinja").read_text()
    template = jinja2.Environment(undefined=jinja2.StrictUndefined).from_string(source)
    page.write_text(template.render(words) + "\n")


def _ideal(tell: Tell, _: Path) -> dict[str, Any]:
    tell("replays without costs")
    rows = [_ideal_row(found) for found in (*ideal.autumn(), *ideal.march_12(), *ideal.spring())]
    return {"ideal": _table(("period", "token", "10 % rule", "ETH", "nav", "triggers"), rows)}


def _ideal_row(found: Ideal) -> tuple[str, ...]:
    ruined = found.result.ruined_at
    return (
        found.period,
        f"{found.target:+d}x",
        "yes" if found.has_emergency else "no",
        f"{found.asset - 1:+.1%}",
        f"ruined at {_clock(ruined)}" if ruined else f"{found.nav:.4g}",
        str(found.triggers),
    )


def _products(tell: Tell, folder: Path) -> dict[str, Any]:
    tell("real products")
    found, ethup = products.all_of_ftx(), products.ethup()
    plots.products(found[:2], folder / "products.png")
    plots.wandering(ethup, folder / "ethup.png")
    rows = [
        ("from", *(_day(p.time[0]) for p in found)),
        ("to", *(_day(p.time[-1]) for p in found)),
        ("the token", *(f"{p.worth:.4g}" for p in found)),
        ("model without fees and funding", *(f"{p.ideal:.4g}" for p in found)),
        ("model with fees", *(f"{p.with_fees:.4g}" for p in found)),
        ("model with fees and funding", *(f"{p.modelled:.4g}" for p in found)),
        ("the token against the model without, log", *(f"{p.gap:+.3f}" for p in found)),
        ("of that fees and funding say, log", *(f"{p.explained:+.3f}" for p in found)),
        ("left over, per day", *(f"{_basis_points(p.residual)} bp" for p in found)),
        ("correlation of daily returns, token and model", *(f"{p.correlation:.4f}" for p in found)),
        ("the same of weekly returns", *(f"{p.weekly:.4f}" for p in found)),
        ("the same of days, token and L times ETH", *(f"{p.asset_correlation:.4f}" for p in found)),
        ("a day's left-over and the next day's", *(f"{p.echo:+.2f}" for p in found)),
    ]
    head = ("", *(f"{p.name} ({p.target:+d}x)" for p in found))
    bull, bear, hedge = found
    return {"products": _table(head, rows), "bull": bull, "bear": bear, "hedge": hedge, "ethup": ethup}


def _crashes(tell: Tell, folder: Path) -> dict[str, Any]:
    rows = []
    for target, periods in ((3, CRASHES), (-3, RALLIES)):
        for period in periods:
            tell(period.name)
            lives = policies.survived(period, target)
            if period is CRASHES[0]:
                plots.crash(lives, folder / "crash.png")
            price = next(iter(lives.values()))[0].price
            worst_price = price.min() if target > 0 else price.max()
            cells = (
                f"{result.nav[-1]:.3f}, {worst:.1f}x" if result.ruined_at is None else "ruined"
                for result, worst in lives.values()
            )
            rows.append((period.name, f"{target:+d}x", f"{worst_price / price[0] - 1:+.0%}", *cells))
    return {"crashes": _table(("days around", "token", "the asset went to", *policies.POLICIES), rows)}


def _policies(tell: Tell, folder: Path) -> dict[str, Any]:
    before, after = policies.compared(BEFORE, tell), policies.compared(AFTER, tell)
    together = {key: Score.of(before[key] + after[key]) for key in before}
    plots.policies(together, folder / "policies.png")
    rows = [
        (name, f"{target:+d}x", *_score(Score.of(lives)), f"{Score.of(after[name, target]).difference:.2%}")
        for (name, target), lives in before.items()
    ]
    return {"policies": _table(("policy", "token", *SCORE, "mean difference after 2024-01-01"), rows)}


def _defaults(tell: Tell, _: Path) -> dict[str, Any]:
    tables = {}
    for name, target in (("longs", 3), ("shorts", -3)):
        found = defaults.swept(target, tell)
        place = next(place for place, choice in enumerate(found) if choice.settings == OURS[target])
        rows = [_choice_row(choice, "") for choice in found[:SHOWN]]
        rows.append(_choice_row(found[place], f" (ours, {place + 1}. of {len(found)})"))
        tables[name] = _table(CHOICE, rows)
    return tables


def _score(score: Score) -> tuple[str, ...]:
    return (
        f"{score.tracking_error:.2%}",
        f"{score.difference:.2%}",
        f"{score.turnover:.0f}x",
        f"{score.decay:+.2f}",
        f"{score.worst:.1f}x",
        f"{score.rebalances:.0f}",
        str(score.ruined),
    )


def _choice_row(choice: Choice, note: str) -> tuple[str, ...]:
    drift, *others = choice.settings
    told = (
        text
        for score in (choice.before, choice.after)
        for text in (f"{score.difference:.3%}", f"{score.tracking_error:.2%}", f"{score.worst:.1f}x")
    )
    return (f"{drift}{note}", *others, *told)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _basis_points(fraction: float) -> str:
    return f"{1e4 * fraction:.1f}"


def _day(time: int) -> str:
    return f"{datetime.fromtimestamp(int(time), UTC):%Y-%m-%d}"


def _clock(time: int) -> str:
    return f"{datetime.fromtimestamp(int(time), UTC):%H:%M}"
