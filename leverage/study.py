"""What a backtest or a sweep was asked for, read, checked and done: tokens over the data of their markets."""

import json
import tomllib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from itertools import product
from math import prod
from pathlib import Path

from leverage import backtest, config, presets, sweep
from leverage.backtest import Costs, Reaction
from leverage.errors import LeverageError
from leverage.market import Bars, Funding, times
from leverage.report.cases import Case, Outcome
from leverage.types import WAD

MILLION = 1e6
MOST = 100_000  # Combinations of a sweep.


class StudyError(LeverageError):
    """Something that cannot be replayed as it was asked for."""


@dataclass(frozen=True)
class Candidate:
    """A token under a policy. `policy` says which: a preset's name and what is set over it."""

    symbol: str
    policy: str
    table: config.Token


@dataclass(frozen=True)
class Market:
    """A market's bars, and its funding in their time."""

    name: str
    bars: Bars
    funding: Funding | None

    def notes(self) -> list[str]:
        """What there is of it."""
        prices = f"{self.name} prices: {self.bars}"
        if self.funding is None:
            return [prices, f"{self.name} funding: none given, none paid"]
        return [prices, f"{self.name} funding: {self.funding}{self._uncovered(self.funding)}"]

    def _uncovered(self, funding: Funding) -> str:
        """How much of the time the payments leave out."""
        if not len(funding):
            return ""
        before, after = int(funding.time[0]) - self.bars.start, self.bars.end - int(funding.time[-1])
        gaps = {"before": before - funding.interval, "after": after - funding.interval}
        told = [f"for {times.span(gap)} {side}" for side, gap in gaps.items() if gap > 0]
        return f"; nothing is paid {' and '.join(told)}" if told else ""


@dataclass(frozen=True)
class Study:
    """Candidates with their markets, and what is assumed of the venue."""

    candidates: Sequence[Candidate]
    markets: dict[str, Market]
    reaction: Reaction
    costs: Costs
    capital: float

    @property
    def period(self) -> str:
        """From the first bar to the last."""
        bars = [market.bars for market in self.markets.values()]
        return f"{times.clock(min(b.start for b in bars))} to {times.clock(max(b.end for b in bars))} UTC"

    def notes(self) -> list[str]:
        """What was assumed, and what the data lack."""
        seen = {
            Reaction.EXTREMES: "each bar is seen at its open, its adverse extreme, the other, and its close",
            Reaction.CLOSES: "bars are seen at their closes alone",
        }
        costs = [f"capital {self.capital:,.0f}", f"the venue takes {self.costs.fee:.3%} of what is traded"]
        if self.costs.impact:
            costs.append(f"a trade of a million fills {self.costs.impact * MILLION:.3%} worse")
        if self.costs.skew:
            costs.append(f"its price is {self.costs.skew:+.3%} off the index")
        data = [note for market in self.markets.values() for note in market.notes()]
        return [*data, ", ".join(costs), seen[self.reaction]]

    def token(self, candidate: Candidate) -> backtest.Token:
        """A candidate with this capital at this venue."""
        table = candidate.table
        return backtest.Token(
            table.target / WAD, table.policy_struct(), table.fees_struct(), self.costs, self.capital
        )

    def replay(self, tell: Callable[[], None] = lambda: None) -> list[Case]:
        """Each candidate's replay, whole; `tell` is called after each."""
        cases = []
        for candidate in self.candidates:
            market, token = self.markets[candidate.table.market], self.token(candidate)
            result = backtest.run(market.bars, token, market.funding, self.reaction)
            cases.append(Case.of(candidate.symbol, candidate.policy, token, result))
            tell()
        return cases

    def sweep(
        self, scheduler: str | None = None, tell: Callable[[int], None] = lambda done: None
    ) -> list[Outcome]:
        """Each candidate's figures; `tell` hears how many are done."""
        found: list[Outcome] = []
        for market in self.markets.values():
            own = [candidate for candidate in self.candidates if candidate.table.market == market.name]
            tokens = [self.token(candidate) for candidate in own]
            told = partial(_shifted, tell, len(found))
            summaries = sweep.run(
                market.bars, tokens, market.funding, self.reaction, scheduler=scheduler, progress=told
            )
            found += [
                Outcome(candidate.symbol, candidate.policy, token.target, summary)
                for candidate, token, summary in zip(own, tokens, summaries, strict=True)
            ]
        return found


def read(
    policies: Sequence[str],
    variants: Iterable[Sequence[str]] = ((),),
    *,
    symbols: Sequence[str],
    targets: Sequence[str],
    market: str,
    prices: Sequence[str],
    funding: Sequence[str],
    start: str | None,
    end: str | None,
    interval: str | None,
    reaction: str,
    settings: Sequence[str],
    capital: float,
    fee: float,
    impact: float,
    skew: float,
    files: Sequence[Path],
) -> Study:
    """A study from a command's options, the impact that of a trade of a million. A variant is settings."""
    if not 0 < capital < float("inf"):
        raise StudyError(f"--capital {capital:g}: must be above zero")
    for name, value in (("--fee", fee), ("--impact", impact)):
        if not 0 <= value < 1:
            raise StudyError(f"{name} {value:g}: must be from 0 to below 1")
    if not -1 < skew < 1:
        raise StudyError(f"--skew {skew:g}: must be above -1 and below 1")
    candidates = [
        Candidate(symbol, " ".join([preset, *settings, *variant]), table)
        for preset in dict.fromkeys(policies)
        for variant in variants
        for symbol, table in _tokens(symbols, targets, preset, [*settings, *variant], market, files).items()
    ]
    names = list(dict.fromkeys(candidate.table.market for candidate in candidates))
    since, until = (None if text is None else times.parse_time(text) for text in (start, end))
    step = None if interval is None else times.parse_interval(interval)
    bars, rates = _by_market("--prices", prices, names), _by_market("--funding", funding, names)
    markets = {}
    for name in names:
        if name not in bars:
            raise StudyError(f"no prices of {name}: add --prices {name}=FILE")
        own = Bars.read(bars[name])
        own = (own.resample(step) if step else own).window(since, until)
        paid = Funding.read(rates[name]).window(own.start, own.end) if name in rates else None
        markets[name] = Market(name, own, paid)
    return Study(candidates, markets, Reaction(reaction), Costs(fee, impact / MILLION, skew), capital)


def grid(varied: Sequence[str]) -> list[list[str]]:
    """All combinations of KEY=VALUE,VALUE,... and KEY=LOW:HIGH:STEP, each as settings KEY=VALUE."""
    axes = [_values(text) for text in varied]
    if (count := prod(map(len, axes))) > MOST:
        raise StudyError(f"{count:,} combinations: vary less, {MOST:,} is the most")
    keys = [text.partition("=")[0].strip() for text in varied]
    return [[f"{key}={value}" for key, value in zip(keys, chosen, strict=True)] for chosen in product(*axes)]


def _values(varied: str) -> list[str]:
    """The values of one key, as TOML."""
    text = varied.partition("=")[2].strip()
    try:
        if text.count(":") == 2:
            low, high, step = map(Decimal, text.split(":"))
            count = int((high - low) / step) + 1
            if count > MOST:
                raise StudyError(f"--vary {varied}: {count:,} values, {MOST:,} is the most")
            return [f"{low + step * place:f}" for place in range(count)]
        values = tomllib.loads(f"values = [{text}]", parse_float=Decimal)["values"]
        if not values:
            raise ValueError("no value")
    except (ArithmeticError, ValueError):
        raise StudyError(f"--vary {varied}: write KEY=VALUE,VALUE or KEY=LOW:HIGH:STEP") from None
    return [str(value) if isinstance(value, Decimal) else json.dumps(value) for value in values]


def _shifted(tell: Callable[[int], None], before: int, done: int) -> None:
    tell(before + done)


def _tokens(
    symbols: Sequence[str],
    targets: Sequence[str],
    preset: str,
    settings: Sequence[str],
    market: str,
    files: Sequence[Path],
) -> dict[str, config.Token]:
    if not symbols and not targets:
        raise StudyError(
            f"which token? Name one of {', '.join(config.load(*files).tokens)}, or give --target"
        )
    try:
        leverages = [config.to_wad(target) / Decimal(WAD) for target in targets]
    except ValueError as error:
        raise StudyError(f"--target {' '.join(targets)}: {error}") from None
    return presets.tokens(symbols, leverages, preset, settings, market, files)


def _by_market(option: str, given: Sequence[str], names: Sequence[str]) -> dict[str, Path]:
    """The file of each market: MARKET=FILE, or FILE alone where there is one market."""
    found: dict[str, Path] = {}
    for text in given:
        name, is_named, path = text.partition("=")
        if is_named and name in names:
            found[name] = Path(path)
        elif len(names) == 1 and len(given) == 1:
            found[names[0]] = Path(text)
        else:
            raise StudyError(
                f"{option} {text}: write {option} {names[0]}=FILE; the tokens' markets are {', '.join(names)}"
            )
    return found
