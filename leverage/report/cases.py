"""What a report is about: tokens, each replayed under a policy, and where the data came from."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from leverage.backtest import Result, Token
from leverage.statistics import Summary, summarise


@dataclass(frozen=True)
class Outcome:
    """What became of one token under one policy, in figures."""

    symbol: str
    policy: str
    target: float
    summary: Summary

    @property
    def name(self) -> str:
        return f"{self.symbol} · {self.policy}"

    def to_dict(self) -> dict[str, Any]:
        """The figures for programs: fractions, and times in unix seconds."""
        return {"token": self.symbol, "policy": self.policy, "target": self.target, **asdict(self.summary)}


@dataclass(frozen=True)
class Case(Outcome):
    """An outcome and how it came about."""

    token: Token
    result: Result

    @classmethod
    def of(cls, symbol: str, policy: str, token: Token, result: Result) -> "Case":
        """A replay with its figures."""
        return cls(symbol, policy, token.target, summarise(result, token), token, result)


@dataclass(frozen=True)
class Report:
    """All cases of one backtest. `notes` say what was assumed, and what the data lack."""

    title: str
    cases: Sequence[Case]
    notes: Sequence[str]

    def to_dict(self) -> dict[str, Any]:
        """All of it for programs."""
        return {
            "title": self.title,
            "notes": list(self.notes),
            "cases": [case.to_dict() for case in self.cases],
        }
