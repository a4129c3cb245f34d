"""Revert data in words: the name, the numbers, what to do."""

import importlib

import pytest
from eth_abi import encode
from eth_utils import keccak

from leverage import errors

ABI = [
    {
        "type": "error",
        "name": "PriceStale",
        "inputs": [{"name": n, "type": "uint256"} for n in ("updatedAt", "age")],
    },
    {"type": "error", "name": "LeverageTooHigh", "inputs": [{"name": "leverage", "type": "int256"}]},
    {
        "type": "error",
        "name": "PolicyOutOfBounds",
        "inputs": [{"name": "field", "type": "bytes32"}]
        + [{"name": name, "type": "uint256"} for name in ("value", "min", "max")],
    },
    {"type": "error", "name": "NothingDue", "inputs": []},
]
TABLE = errors.error_table([ABI])


def data(signature: str, *values: object) -> bytes:
    types = signature.split("(")[1].rstrip(")")
    return keccak(text=signature)[:4] + encode(types.split(",") if types else [], values)


@pytest.mark.parametrize(
    ("raw", "name", "said"),
    [
        (
            data("PriceStale(uint256,uint256)", 7, 9_000),
            "PriceStale",
            "PriceStale (updatedAt 7, age 9000): the price feed has not been updated; try again when it has",
        ),
        (data("LeverageTooHigh(int256)", -45 * 10**17), "LeverageTooHigh", "LeverageTooHigh (leverage -4.5)"),
        (
            data("PolicyOutOfBounds(bytes32,uint256,uint256,uint256)", b"bandMax", 9 * 10**18, 3, 8 * 10**18),
            "PolicyOutOfBounds",
            "PolicyOutOfBounds (field bandMax, value 9, min 3, max 8)",
        ),
        (data("NothingDue()"), "NothingDue", "NothingDue"),
        (data("Error(string)", "CH_NEFCI"), "", "reverted: CH_NEFCI"),
        (data("Panic(uint256)", 0x11), "Panic", "reverted: arithmetic overflow"),
        (b"", "", "reverted without a reason (out of gas, or not the contract that was expected)"),
        (b"\1\2\3\4", "", "reverted with unknown data 0x01020304"),
        (keccak(text="PriceStale(uint256,uint256)")[:4], "", "reverted with unknown data 0x"),
    ],
)
def test_revert__any_data__is_one_line(raw, name, said):
    error = errors.revert(raw, TABLE)

    assert error.name == name
    assert said in str(error)
    assert "\n" not in str(error)


def test_revert__numbers__are_there_by_name():
    error = errors.revert(data("PriceStale(uint256,uint256)", 7, 9_000), TABLE)

    assert error.fields == {"updatedAt": 7, "age": 9_000}


def test_revert__data_cut_short__makes_nothing_up():
    """With Ape in the process eth_abi reads missing words as zeros."""
    importlib.import_module("ape.utils.abi")
    raw = keccak(text="PriceStale(uint256,uint256)")[:4]

    error = errors.revert(raw, TABLE)

    assert (error.name, str(error)) == ("", f"reverted with unknown data 0x{raw.hex()}")
