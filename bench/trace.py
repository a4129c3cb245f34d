"""Where the gas of a transaction went: by contract and function, and by kind of work in our own contracts."""

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from devnet import Rpc
from devnet.rpc import TX_GAS

Frame = dict[str, Any]

CALLS = {"CALL", "STATICCALL", "DELEGATECALL", "CALLCODE", "CREATE", "CREATE2"}
PRECOMPILES = 0x100  # Addresses below are not contracts: no step is recorded inside.
STEPS_ONLY = {"disableMemory": True, "disableStack": True, "disableStorage": True}
KINDS = {"SSTORE": "storage", "SLOAD": "storage", "TSTORE": "storage", "TLOAD": "storage"} | {
    f"LOG{topics}": "events" for topics in range(5)
}


def gas_by_part(
    rpc: Rpc, sender: str, to: str, data: str, part_of: Callable[[str, str], tuple[str, bool]]
) -> Counter[str]:
    """Gas of a transaction by part, if it were mined in the second of the latest block.

    `part_of(callee, selector)` names a frame's part, and whether the calls that it makes belong to it, too.
    The parts of frames that keep their calls apart are told by kind of work.
    """
    transaction = {"from": sender, "to": to, "data": data, "gas": hex(TX_GAS)}
    top = rpc("debug_traceCall", transaction, "latest", {"tracer": "callTracer"})
    parts: Counter[str] = Counter()
    split: dict[int, str] = {}
    for frame in _frames(top, lambda frame: not part_of(frame["to"], frame["input"][:10])[1]):
        part, is_whole = part_of(frame["to"], frame["input"][:10])
        parts[part] += _used(frame)
        if not is_whole:
            parts[part] -= sum(_used(child) for child in frame.get("calls", ()))
            split[id(frame)] = part

    steps = rpc("debug_traceCall", transaction, "latest", STEPS_ONLY)["structLogs"]
    for frame, kind, gas in _work(steps, top):
        part = split.get(id(frame))
        if part is not None:
            parts[part] -= gas
            parts[f"{part}: {kind}"] += gas
    # What the steps do not explain are the calls, and for the first frame what a transaction itself costs.
    for part in set(split.values()):
        parts[f"{part}: calls"] = parts.pop(part)
    return parts


def _frames(frame: Frame, goes_on: Callable[[Frame], bool]) -> Iterator[Frame]:
    yield frame
    if goes_on(frame):
        for child in frame.get("calls", ()):
            yield from _frames(child, goes_on)


def _work(steps: list[dict[str, Any]], top: Frame) -> Iterator[tuple[Frame, str, int]]:
    """Each step that is not a call: its frame, its kind of work, its gas."""
    entered = (frame for frame in _frames(top, lambda _: True) if int(frame["to"], 16) >= PRECOMPILES)
    stack: list[Frame] = []
    for step in steps:
        if step["depth"] > len(stack):
            stack.append(next(entered))
        del stack[step["depth"] :]
        if step["op"] not in CALLS:
            yield stack[-1], KINDS.get(step["op"], "computing"), step["gasCost"]


def _used(frame: Frame) -> int:
    return int(frame["gasUsed"], 16)
