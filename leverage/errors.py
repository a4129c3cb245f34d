"""What went wrong, in one line: the project's exceptions, and revert data turned into words."""

import traceback
from collections.abc import Iterable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

from eth_abi.abi import decode
from eth_abi.exceptions import DecodingError
from eth_utils import keccak

from leverage.abi import canonical, selector
from leverage.types import WAD

STRING = keccak(text="Error(string)")[:4]
PANIC = keccak(text="Panic(uint256)")[:4]
PANICS = {0x01: "assertion failed", 0x11: "arithmetic overflow", 0x12: "division by zero"}

# What to do about an error, where its own words do not say it.
ADVICE = {
    "PriceStale": "the price feed has not been updated; try again when it has",
    "PriceFromFuture": "the price feed is ahead of the chain; try again later",
    "PriceNotPositive": "the price feed is broken; minting stays closed until it is repaired",
    "PriceDeviates": "the venue's price is too far from the index; try again when they agree",
    "SequencerDown": "the rollup's sequencer is down; try again later",
    "SequencerGracePeriod": "the rollup's sequencer has just come back; try again after the grace period",
    "MintsPaused": "minting is paused; burning works",
    "VaultRuined": "the vault is ruined; burning pays what is left",
    "DailyCapExceeded": "mint less, or after 00:00 UTC",
    "TotalCapExceeded": "mint less",
    "TooFewShares": "the price moved; allow more slippage or try again",
    "TooFewAssets": "the price moved; allow more slippage or try again",
    "DeadlinePassed": "send it again",
    "ZeroAmount": "the amount is too small to be worth anything",
    "ERC20InsufficientBalance": "the balance is too small",
    "BatchTooSmall": "it waits for more requests or the next rebalance",
    "RequestTooSmall": "ask for more",
    "RequestInFlight": "its order is under way; it ends within a minute",
    "CashInTransit": "the venue has not released the money yet; try again later",
    "OrderPending": "an order is under way; it ends within a minute",
    "PriceBeyondLimit": "the venue's price is too far from the index; try again when they agree",
    "VenuePriceInvalid": "the venue itself does not trust its price; try again later",
    "OnlyRole": "the account lacks the role",
    "AccessManagedUnauthorized": "the account lacks the role",
    "PolicyOutOfBounds": "change the policy in config/markets.toml",
    "FeeOutOfBounds": "change the fees in config/markets.toml",
}


# Errors all of whose numbers are WAD; the rest are base units of collateral, seconds and addresses.
IN_WAD = {
    "BatchTooSmall",
    "FeeOutOfBounds",
    "LeverageTooHigh",
    "MarginShort",
    "NothingDue",
    "NothingFilled",
    "PartialFill",
    "PositionGone",
    "PriceBeyondLimit",
    "PriceDeviates",
    "TargetOutOfRange",
    "TooFewShares",
    "TooManyShares",
    "TradeTooSmall",
    "Underwater",
}


class LeverageError(Exception):
    """Something a person can act on; the text is one line."""


def unexpected(error: Exception) -> str:
    """What to say of an error that nobody foresaw: where it arose. Its own text might tell a secret."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return f"unexpected {type(error).__name__}{where}: please report it"


class UnreachableError(LeverageError):
    """The node did not answer at all."""


class RevertError(LeverageError):
    """The chain refused a call. `name` and `fields` are the Solidity error's."""

    def __init__(self, text: str, name: str = "", fields: Mapping[str, Any] | None = None):
        super().__init__(text)
        self.name = name
        self.fields = fields or {}


Errors = Mapping[bytes, Mapping[str, Any]]


def error_table(abis: Iterable[Iterable[Mapping[str, Any]]]) -> Errors:
    """Selector → ABI entry of every custom error in `abis`."""
    entries = (entry for abi in abis for entry in abi if entry.get("type") == "error")
    return {selector(entry): entry for entry in entries}


def revert(data: bytes, errors: Errors) -> RevertError:
    """Revert data as an exception: the error's name, its numbers, and what to do."""
    if not data:
        return RevertError("reverted without a reason (out of gas, or not the contract that was expected)")
    head, arguments = data[:4], data[4:]
    try:
        if head == STRING:
            return RevertError(f"reverted: {decode(['string'], arguments)[0]}")
        if head == PANIC:
            code = decode(["uint256"], arguments)[0]
            return RevertError(f"reverted: {PANICS.get(code, f'panic {code:#x}')}", "Panic")
        entry = errors.get(head)
        # NOTE: Ape teaches eth_abi, for the whole process, to read missing words as zeros.
        if entry and len(arguments) >= 32 * len(entry["inputs"]):
            values = decode([canonical(field) for field in entry["inputs"]], arguments)
            names = (field["name"].rstrip("_") for field in entry["inputs"])
            fields = dict(zip(names, values, strict=True))
            return RevertError(_sentence(entry["name"], fields), entry["name"], fields)
    except DecodingError:
        pass
    return RevertError(f"reverted with unknown data 0x{data[:68].hex()}")


def _sentence(name: str, fields: Mapping[str, Any]) -> str:
    named = ", ".join(f"{field} {_show(name, value)}" for field, value in fields.items())
    return name + (f" ({named})" if named else "") + (f": {ADVICE[name]}" if name in ADVICE else "")


def _show(error: str, value: Any) -> str:
    if isinstance(value, bytes):
        text = value.rstrip(b"\0")
        readable = text and text.isascii() and text.decode().isprintable()
        return text.decode() if readable else "0x" + value.hex()
    # Policy bounds mix seconds with WAD; no number of seconds is this large.
    if isinstance(value, int) and (error in IN_WAD or error == "PolicyOutOfBounds" and value >= 10**12):
        return f"{Decimal(value) / WAD:f}"
    return str(value)
