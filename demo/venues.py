"""Which play fits which venue."""

from demo.instant import InstantPlay
from demo.play import Play
from demo.queued import QueuedPlay

PLAYS: dict[str, type[Play]] = {"perp_v2": InstantPlay, "synthetix": QueuedPlay}
