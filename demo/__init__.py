"""The product's life, played on a local chain with real prices. Run it with `make demo`."""
