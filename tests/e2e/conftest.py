"""A venue on a fork, with the protocol on it: see tests/sites.py."""

from sites import deployed, site, snapshot_of, venue

__all__ = ["deployed", "site", "snapshot_of", "venue"]
