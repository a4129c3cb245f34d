"""Prices and funding rates of the past: from files, checked, and from exchanges."""

from leverage.market.bars import Bars, Gaps
from leverage.market.errors import DataError
from leverage.market.funding import Funding

__all__ = ["Bars", "DataError", "Funding", "Gaps"]
