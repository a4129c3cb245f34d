"""The keeper on a deployed venue, with a faulty RPC between it and its node."""

from collections.abc import Iterator

import pytest
from benches import Bench
from faulty import FaultyRpc
from sites import Site, deployed, site, snapshot_of, venue

from leverage import chain

__all__ = ["deployed", "site", "snapshot_of", "venue"]


@pytest.fixture
def bench(
    site: Site,
    deployed: chain.Chain,
    monkeypatch: pytest.MonkeyPatch,  # noqa: F811
) -> Iterator[Bench]:
    """A bench whose keeper asks a proxy."""
    with FaultyRpc(site.url) as proxy:
        made = Bench(site, deployed, proxy)
        monkeypatch.setattr(chain, "_node", lambda provider: made.node)
        yield made
        proxy.fault = None
