"""Measurements of the protocol on the real venue, with their limits. Run them with `make bench`."""
