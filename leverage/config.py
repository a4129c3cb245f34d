"""config/markets.toml, checked: what a mistake there costs is one clear line, before anything is sent."""

import json
import tomllib
from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Annotated, Any, Literal

from eth_utils import is_hex_address, to_checksum_address
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from leverage import policy as rules
from leverage.errors import LeverageError
from leverage.types import WAD, Caps, Fees, Policy

DEFAULT_PATH = Path(__file__).resolve().parent.parent / "config" / "markets.toml"
BITS = {"emergency": rules.EMERGENCY, "band": rules.BAND, "scheduled": rules.SCHEDULED}
EDGE = WAD // 100


class ConfigError(LeverageError):
    """A value in the configuration that cannot be used."""


def to_wad(value: Any) -> int:
    """An exact decimal as WAD; refuses what 18 digits cannot hold."""
    if isinstance(value, bool) or not isinstance(value, int | str | Decimal):
        raise ValueError("not a number")
    try:
        scaled = Decimal(value) * WAD
    except InvalidOperation:
        raise ValueError("not a number") from None
    if not scaled.is_finite():
        raise ValueError("not a finite number")
    if scaled != scaled.to_integral_value():
        raise ValueError("more than 18 digits after the point")
    return int(scaled)


def _address(value: str) -> str:
    if not is_hex_address(value) or not value.startswith("0x"):
        raise ValueError("not an address")
    if int(value, 16) == 0:
        raise ValueError("the zero address")
    # Mixed case carries a checksum, which catches a mistyped digit.
    if value[2:] not in (value[2:].lower(), value[2:].upper()) and value != to_checksum_address(value):
        raise ValueError("the checksum in its letters does not match")
    return str(to_checksum_address(value))


def _positive(value: int) -> int:
    if value <= 0:
        raise ValueError("must be above zero")
    return value


def _not_negative(value: int) -> int:
    if value < 0:
        raise ValueError("must not be negative")
    return value


Signed = Annotated[int, BeforeValidator(to_wad)]
Wad = Annotated[Signed, AfterValidator(_not_negative)]
Share = Annotated[Signed, AfterValidator(_positive), Field(lt=WAD)]
Address = Annotated[str, AfterValidator(_address)]
Seconds = Annotated[int, Field(ge=0, strict=True)]


class Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PolicyTable(Table):
    """A token's policy, its band as moves of the index or as edges."""

    triggers: tuple[Literal["emergency", "band", "scheduled"], ...]
    period: Annotated[Seconds, Field(gt=0)]
    offset: Seconds
    exclusive: Seconds
    cooldown: Seconds
    band_against: Share
    band_favour: Share
    band_min: Wad | None = None
    band_max: Wad | None = None
    emergency_move: Share
    drift: Wad
    tolerance: Wad
    max_slippage: Share
    emergency_slippage: Share
    tip_rate: Wad
    tip_cap: Wad
    min_notional: Wad
    max_notional: Wad

    def policy(self, target: int) -> Policy:
        """The policy as the vault takes it; computed edges are rounded to 0.01x."""
        low, high = (
            (edge + EDGE // 2) // EDGE * EDGE
            for edge in rules.band_edges(target, self.band_against, self.band_favour)
        )
        taken = self.model_dump(exclude={"triggers", "band_against", "band_favour", "band_min", "band_max"})
        return Policy(
            triggers=sum(BITS[trigger] for trigger in set(self.triggers)),
            band_min=low if self.band_min is None else self.band_min,
            band_max=high if self.band_max is None else self.band_max,
            **taken,
        )


class FeesTable(Table):
    mint: Wad
    burn: Wad
    management_per_day: Wad


class CapsTable(Table):
    """Caps in units of collateral, WAD."""

    daily: Wad
    total: Wad

    def caps(self, decimals: int) -> Caps:
        """The caps in the collateral's own `decimals`."""
        return Caps(self.daily * 10**decimals // WAD, self.total * 10**decimals // WAD)


class Network(Table):
    """Who holds which role on one chain."""

    name: str
    multisig: bool = True
    admin: Address
    admin_delay: Seconds
    guardian: Address
    treasury: Address
    creator: Address | None = None
    keepers: tuple[Address, ...] = ()


class Defaults(Table):
    policy: PolicyTable
    fees: FeesTable
    caps: CapsTable


class Venue(Defaults):
    """A venue, with the defaults of its tokens. It liquidates at `maintenance` of the notional, WAD."""

    adapter: str
    vault: str
    arguments: tuple[str, ...]
    maintenance: Share | None = None
    price_service: str | None = None
    chains: dict[int, dict[str, Address]] = {}


class Market(Table):
    venue: str
    price_id: Annotated[str, Field(pattern="^0x[0-9a-f]{64}$")] | None = None
    feed_decimals: Annotated[int, Field(ge=0, le=18, strict=True)]
    heartbeat: Annotated[Seconds, Field(gt=0)]
    max_deviation: Share
    grace_period: Seconds
    chains: dict[int, dict[str, Address]] = {}


class Token(Table):
    name: str
    market: str
    target: Signed
    policy: PolicyTable
    fees: FeesTable
    caps: CapsTable

    def policy_struct(self) -> Policy:
        """The policy as the vault takes it."""
        return self.policy.policy(self.target)

    def fees_struct(self) -> Fees:
        """The fees as the vault takes them."""
        return Fees(**self.fees.model_dump())


class Config(Table):
    """The whole file, checked."""

    defaults: Defaults
    networks: dict[int, Network] = {}
    venues: dict[str, Venue]
    markets: dict[str, Market]
    tokens: dict[str, Token]

    def choose(self, symbols: Sequence[str] = (), markets: Sequence[str] = ()) -> list[str]:
        """Symbols of the tokens named, by symbol or by market; all of them when none is."""
        for name, known in [(s, self.tokens) for s in symbols] + [(m, self.markets) for m in markets]:
            if name not in known:
                raise ConfigError(f"{name!r} is not in the configuration: there are {', '.join(known)}")
        named = [s for s, token in self.tokens.items() if s in symbols or token.market in markets]
        return named if symbols or markets else list(self.tokens)


def load(*paths: Path | str, over: Mapping[str, Any] | None = None) -> Config:
    """Read the configuration; a later file adds to an earlier one and overrides it, `over` overrides all."""
    merged: dict[str, Any] = {}
    for path in paths or (DEFAULT_PATH,):
        merged = _merge(merged, _read(Path(path)))
    merged = _merge(merged, over or {})
    return parse(merged, ", ".join(Path(path).name for path in paths or (DEFAULT_PATH,)))


def parse(tables: Mapping[str, Any], source: str = "configuration") -> Config:
    """Check parsed TOML, with each token's own values put over its venue's, and those over the defaults."""
    defaults = tables.get("defaults", {})
    venues = {name: _over(defaults, venue) for name, venue in tables.get("venues", {}).items()}
    try:
        if "defaults" in tables:
            Config.model_validate({"defaults": defaults, "venues": {}, "markets": {}, "tokens": {}})
        tokens = {
            symbol: _over(_below(token, tables, venues, defaults), token)
            for symbol, token in tables.get("tokens", {}).items()
        }
        config = Config.model_validate({**tables, "venues": venues, "tokens": tokens})
    except ValidationError as error:
        raise ConfigError(f"{source}: {_first(error)}") from None
    _cross_check(config, source)
    return config


def devnet(
    venue: str, addresses: Mapping[str, Any], chain_id: int, roles: Mapping[str, Any]
) -> dict[str, Any]:
    """What a local chain adds: the venue of all markets, its `addresses` as devnet/ names them, and roles."""
    chain, wanted = str(chain_id), load().venues[venue].arguments

    def named(found: Mapping[str, Any]) -> dict[str, Any]:
        return {name: found[name] for name in wanted if name in found}

    return {
        "networks": {chain: {"name": "devnet", "multisig": False, "admin_delay": 0, **roles}},
        "venues": {venue: {"chains": {chain: named(addresses)}}},
        "markets": {
            name: {
                "venue": venue,
                "heartbeat": 172_800,
                "chains": {chain: {"feed": market["aggregator"], **named(market)}},
                **({"price_id": market["feed_id"]} if "feed_id" in market else {}),
            }
            for name, market in addresses["markets"].items()
        },
    }


def to_toml(tables: Mapping[str, Any], path: str = "") -> str:
    """Tables of text, numbers and lists as TOML."""
    lines = [
        f"{key} = {json.dumps(value)}" for key, value in tables.items() if not isinstance(value, Mapping)
    ]
    text = (f"[{path}]\n" if path and lines else "") + "".join(line + "\n" for line in lines)
    for key, value in tables.items():
        if isinstance(value, Mapping):
            text += to_toml(value, f"{path}.{key}" if path else key)
    return text


def _cross_check(config: Config, source: str) -> None:
    for name, market in config.markets.items():
        if market.venue not in config.venues:
            raise ConfigError(f"{source}: markets.{name}.venue = {market.venue!r}: no such venue")
        if config.venues[market.venue].price_service and market.price_id is None:
            raise ConfigError(
                f"{source}: markets.{name}.price_id is missing, and its venue wants signed prices"
            )
    for symbol, token in config.tokens.items():
        where = f"{source}: tokens.{symbol}"
        if token.market not in config.markets:
            raise ConfigError(f"{where}.market = {token.market!r}: no such market")
        if not WAD <= abs(token.target) <= 5 * WAD:
            raise ConfigError(f"{where}.target = {token.target / WAD:g}: must be 1x to 5x, long or short")
        policy = token.policy_struct()
        if not policy.band_min < abs(token.target) < policy.band_max:
            raise ConfigError(
                f"{where}.policy: the band {policy.band_min / WAD:g}x..{policy.band_max / WAD:g}x"
                f" does not enclose the target {token.target / WAD:g}x"
            )
        if policy.offset >= policy.period:
            raise ConfigError(
                f"{where}.policy.offset = {policy.offset}: must be below period ({policy.period})"
            )


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(), parse_float=Decimal)
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: not valid TOML: {error}") from None


def _merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        old = merged.get(key)
        merged[key] = _merge(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return merged


def _over(below: Mapping[str, Any], above: Any) -> Any:
    """A table over another; what is no table stays as it is, to be refused by its type."""
    return _merge(below, above) if isinstance(above, Mapping) else above


def _below(
    token: Any, tables: Mapping[str, Any], venues: Mapping[str, Any], defaults: Mapping[str, Any]
) -> Mapping[str, Any]:
    """What a token takes its values from: its venue, as far as it can be found."""
    try:
        venue = venues[tables["markets"][token["market"]]["venue"]]
        return {key: venue[key] for key in Defaults.model_fields}
    except (KeyError, TypeError):
        return defaults


def _first(error: ValidationError) -> str:
    """`key = value: what is wrong` of the first mistake."""
    mistake = error.errors()[0]
    key = ".".join(str(part) for part in mistake["loc"])
    if mistake["type"] == "missing":
        return f"{key} is missing"
    if mistake["type"] == "extra_forbidden":
        return f"{key}: no such key"
    value = mistake["input"]
    shown = str(value) if isinstance(value, Decimal) else repr(value)
    return f"{key} = {shown}: {mistake['msg'].removeprefix('Value error, ')}"
