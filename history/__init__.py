"""What the model says of real markets and real products: docs/history.md and its plots."""
