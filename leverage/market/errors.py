"""The one kind of mistake that market data can have."""

from leverage.errors import LeverageError


class DataError(LeverageError):
    """Market data that cannot be used; the text says where, and what to do."""
