"""ABI entries as data: signatures, calldata, and results as dictionaries with the names that Python uses."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from eth_abi.abi import decode, encode
from eth_utils import keccak, to_checksum_address

Entry = Mapping[str, Any]


def find(abi: Iterable[Entry], kind: str, name: str, inputs: int | None = None) -> Entry:
    """The entry of a function, event or error; overloads are told apart by their number of `inputs`."""
    for entry in abi:
        if entry.get("type") == kind and entry.get("name") == name:
            if inputs is None or len(entry["inputs"]) == inputs:
                return entry
    raise KeyError(f"{kind} {name} with {inputs} inputs")


def canonical(field: Entry) -> str:
    """A field's type as signatures spell it, structs as tuples."""
    if not field["type"].startswith("tuple"):
        return str(field["type"])
    return f"({','.join(canonical(part) for part in field['components'])}){field['type'][5:]}"


def signature(entry: Entry) -> str:
    """`name(type,...)`."""
    return f"{entry['name']}({','.join(canonical(field) for field in entry['inputs'])})"


def selector(entry: Entry) -> bytes:
    """First four bytes of the calldata or revert data."""
    return bytes(keccak(text=signature(entry))[:4])


def calldata(entry: Entry, arguments: Sequence[Any]) -> bytes:
    """Selector and arguments."""
    return selector(entry) + encode_fields(entry["inputs"], arguments)


def encode_fields(fields: Sequence[Entry], values: Sequence[Any]) -> bytes:
    """Values without a selector, such as a constructor's."""
    return bytes(encode([canonical(field) for field in fields], values))


def decode_fields(fields: Sequence[Entry], data: bytes) -> list[Any]:
    """Values in order; structs become dictionaries with snake_case names, addresses get their checksum."""
    values = decode([canonical(field) for field in fields], data)
    return [_named(field, value) for field, value in zip(fields, values, strict=True)]


def result(entry: Entry, data: bytes) -> Any:
    """What a function returned: one value, or a list of several."""
    values = decode_fields(entry["outputs"], data)
    return values[0] if len(values) == 1 else values


def topics(abi: Iterable[Entry], names: Iterable[str]) -> dict[str, Entry]:
    """Topic → entry of the events of these names, as far as there are such."""
    wanted = set(names)
    events = (entry for entry in abi if entry.get("type") == "event" and entry["name"] in wanted)
    return {"0x" + keccak(text=signature(entry)).hex(): entry for entry in events}


def event_fields(entry: Entry, log: Mapping[str, Any]) -> dict[str, Any]:
    """An event's fields by name, as `decode_fields`; what is indexed must have a type of one word."""
    indexed = [field for field in entry["inputs"] if field["indexed"]]
    plain = [field for field in entry["inputs"] if not field["indexed"]]
    words = bytes.fromhex("".join(topic[2:] for topic in log["topics"][1:]))
    values = decode_fields(indexed, words) + decode_fields(plain, bytes.fromhex(log["data"][2:]))
    return {snake(field["name"]): value for field, value in zip(indexed + plain, values, strict=True)}


def snake(name: str) -> str:
    """`bandMax` as `band_max`."""
    return re.sub(r"(?<=[a-z0-9])([A-Z])", lambda match: "_" + match[0].lower(), name)


def _named(field: Entry, value: Any) -> Any:
    kind = field["type"]
    if kind.endswith("]"):
        element = {**field, "type": kind[: kind.rindex("[")]}
        return [_named(element, item) for item in value]
    if kind == "tuple":
        parts = zip(field["components"], value, strict=True)
        return {snake(part["name"]): _named(part, item) for part, item in parts}
    return str(to_checksum_address(value)) if kind == "address" else value
