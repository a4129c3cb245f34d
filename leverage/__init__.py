"""Leveraged tokens over perpetual futures: the formulas, the policy, the keeper, and the way to a chain."""

from leverage.policy import decide
from leverage.types import (
    Action,
    Caps,
    Fees,
    Kind,
    Order,
    Policy,
    Rebalancing,
    Report,
    Sizes,
    Snapshot,
    Stage,
    Trigger,
    Waiting,
)

__all__ = [
    "Action",
    "Caps",
    "Fees",
    "Kind",
    "Order",
    "Policy",
    "Rebalancing",
    "Report",
    "Sizes",
    "Snapshot",
    "Stage",
    "Trigger",
    "Waiting",
    "decide",
]
