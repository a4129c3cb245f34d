"""Rebalancing rules by name (config/presets.toml), put over the configuration's own."""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

from leverage import config
from leverage.config import ConfigError
from leverage.types import WAD, Policy

DEFAULT_PATH = config.DEFAULT_PATH.parent / "presets.toml"
OURS = "ours"
OF = 3  # The leverage that a preset's edges are given for.
CENT = Decimal("0.01")


@dataclass(frozen=True)
class Preset:
    """Rules as a [policy] table, which may be short of keys, and the edges of |leverage| for a 3x token."""

    name: str
    note: str
    table: Mapping[str, Any]
    edges: tuple[Decimal, ...]

    def policy(self, target: Decimal) -> dict[str, Any]:
        """The table for a token of that leverage; its edges are rounded to 0.01x, as computed ones are."""
        scaled = ((edge * abs(target) / OF).quantize(CENT) for edge in self.edges)
        return {**self.table, **dict(zip(("band_min", "band_max"), scaled, strict=False))}


@cache
def load(path: Path = DEFAULT_PATH) -> dict[str, Preset]:
    """The presets of a file by name."""
    tables = tomllib.loads(path.read_text(), parse_float=Decimal)
    found = {}
    for name, table in tables.items():
        rules = {key: value for key, value in table.items() if key not in ("note", "edges_of_3x")}
        found[name] = Preset(name, table["note"], rules, tuple(map(Decimal, table.get("edges_of_3x", ()))))
    return found


def named(name: str) -> Preset:
    """The preset of that name."""
    if name not in load():
        raise ConfigError(f"no policy {name!r}: there are {', '.join(load())}")
    return load()[name]


def tokens(
    symbols: Sequence[str] = (),
    targets: Sequence[Decimal] = (),
    preset: str = OURS,
    settings: Sequence[str] = (),
    market: str = "ETH",
    files: Sequence[Path] = (),
) -> dict[str, config.Token]:
    """Tokens by symbol, with the rules of a preset and `key=value` settings over them.

    `symbols` are the configuration's; each of `targets` makes a token of its own in `market`, such as +3x.
    A setting is a line of TOML as in a token's [policy]; for another table its key is dotted: fees.mint=0.
    """
    known = config.load(*files)
    chosen: dict[str, dict[str, Any]] = {symbol: {} for symbol in (known.choose(symbols) if symbols else ())}
    for target in targets:
        symbol = f"{target.normalize():+f}x"
        chosen[symbol] = {"name": symbol, "market": market, "target": target}
    rules = named(preset)
    for symbol, table in chosen.items():
        target = table["target"] if "target" in table else Decimal(known.tokens[symbol].target) / WAD
        table["policy"] = rules.policy(target)
        for setting in settings:
            _set(table, setting)
    found = config.load(*files, over={"tokens": chosen}).tokens
    return {symbol: found[symbol] for symbol in chosen}


def policy(preset: str, target: Decimal, settings: Sequence[str] = ()) -> Policy:
    """A preset's policy for a token of that leverage."""
    (token,) = tokens(targets=[target], preset=preset, settings=settings).values()
    return token.policy_struct()


def _set(table: dict[str, Any], setting: str) -> None:
    """Put one setting into a token's table."""
    key, _, text = setting.partition("=")
    *place, name = key.strip().split(".")
    try:
        value = tomllib.loads(f"value = {text}", parse_float=Decimal)["value"]
    except tomllib.TOMLDecodeError:
        raise ConfigError(
            f"{setting!r}: write key=value as in config/markets.toml, such as drift=0.02"
        ) from None
    if place not in ([], ["policy"], ["fees"], ["caps"]):
        raise ConfigError(f"{setting!r}: there are policy, fees and caps to set, such as fees.mint=0")
    table.setdefault(place[0] if place else "policy", {})[name] = value
