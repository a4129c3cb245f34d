"""Venues and rigs for the tests of adapters."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any

import pytest
from eth_abi import encode
from eth_utils import keccak
from rigs import VAULT, DelayedRig, MockDelayedRig, MockRig, PerpV2Rig, Rig, undone
from synthetix_rig import SynthetixRig

import devnet
from devnet import Anvil, Contract, PerpV2, RevertError, Rpc, Synthetix

INSTANT = ["mock-6", "mock-8", "mock-18", "perp_v2-6", "perp_v2-18"]
DELAYED = ["delayed-6", "delayed-18", "synthetix"]


@pytest.fixture(scope="session")
def forked() -> Iterator[Callable[[int], PerpV2]]:
    """Perp v2 with collateral of some decimals, on a fork of the chain that holds it."""
    venues: dict[int, PerpV2] = {}
    with ExitStack() as stack:

        def connect(decimals: int) -> PerpV2:
            if decimals not in venues:
                # Six is what a public venue has: that one may be an operator's own (FORK_RPC_URL).
                build = {} if decimals == 6 else {"decimals": decimals}
                venues[decimals] = stack.enter_context(devnet.forked(**build))
            return venues[decimals]

        yield connect


@pytest.fixture(scope="session")
def synthetix() -> Iterator[Synthetix]:
    """Synthetix, on a fork of the chain that holds it."""
    with devnet.forked("synthetix") as venue:
        yield venue


@pytest.fixture(scope="session")
def bare_chain() -> Iterator[Rpc]:
    """A chain without a venue."""
    with Anvil.start(frozen_clock=True) as anvil:
        yield Rpc(anvil.url)


@contextmanager
def built(request: pytest.FixtureRequest) -> Iterator[Rig]:
    """The rig that a parameter names. What happens to its chain is undone."""
    venue, _, decimals = request.param.partition("-")
    if venue == "perp_v2":
        perp = request.getfixturevalue("forked")(int(decimals))
        with undone(perp.rpc):
            yield PerpV2Rig(perp)
    elif venue == "synthetix":
        synthetix = request.getfixturevalue("synthetix")
        with undone(synthetix.rpc):
            yield SynthetixRig.build(synthetix)
    else:
        rpc = request.getfixturevalue("bare_chain")
        with undone(rpc):
            yield {"mock": MockRig, "delayed": MockDelayedRig}[venue].build(rpc, int(decimals))


@pytest.fixture(params=INSTANT + DELAYED)
def unbound(request: pytest.FixtureRequest) -> Iterator[Rig]:
    """An adapter without a vault, on each venue."""
    with built(request) as rig:
        yield rig


@pytest.fixture
def rig(unbound: Rig) -> Rig:
    """An adapter whose vault is VAULT."""
    unbound.adapter.send("bind", sender=VAULT)
    return unbound


@pytest.fixture(params=DELAYED)
def delayed_rig(request: pytest.FixtureRequest) -> Iterator[DelayedRig]:
    """An adapter whose vault is VAULT, on each venue where orders wait."""
    with built(request) as rig:
        assert isinstance(rig, DelayedRig)
        rig.adapter.send("bind", sender=VAULT)
        yield rig


@pytest.fixture
def mock_rig(bare_chain: Rpc) -> Iterator[MockDelayedRig]:
    """The same on the ideal venue, for what has a knob there."""
    with undone(bare_chain):
        rig = MockDelayedRig.build(bare_chain, 6)
        rig.adapter.send("bind", sender=VAULT)
        yield rig


@pytest.fixture
def perp_rig(forked: Callable[[int], PerpV2]) -> Iterator[PerpV2Rig]:
    """The same on Perp v2 with 6 decimals, for what is peculiar to it."""
    perp = forked(6)
    with undone(perp.rpc):
        rig = PerpV2Rig(perp)
        rig.adapter.send("bind", sender=VAULT)
        yield rig


@pytest.fixture
def reverts() -> Callable[..., AbstractContextManager[None]]:
    """`with reverts(contract, "OnlyVault", caller, vault):` or, without a contract, a venue's reason."""

    @contextmanager
    def expect(contract: Contract | None, error: str, *args: Any) -> Iterator[None]:
        with pytest.raises(RevertError) as caught:
            yield
        if contract is None:
            assert str(caught.value) == error
            return
        entry = next(e for e in contract.artifact.abi if e["type"] == "error" and e["name"] == error)
        types = [field["type"] for field in entry["inputs"]]
        wanted = keccak(text=f"{error}({','.join(types)})")[:4] + encode(types, args)
        assert caught.value.data == "0x" + wanted.hex(), caught.value

    return expect
