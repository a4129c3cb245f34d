"""The factory: who may list a vault, and what it insists on."""

from dataclasses import astuple

import pytest
from eth_utils import keccak, to_checksum_address
from market import FEES, caps, only, policy, reverts, works

from leverage.types import CREATOR_ROLE, WAD


@pytest.fixture
def factory(world, project, owner):
    factory = project.VaultFactory.deploy(world.direct, sender=owner)
    world.direct.setTargetFunctionRole(
        factory, [keccak(text="create(bytes32,bytes,bytes,bytes)")[:4]], CREATOR_ROLE, sender=owner
    )
    return factory


def key_of(symbol):
    return keccak(text=symbol)


def predicted(factory, key, code):
    """Where CREATE2 puts a contract."""
    data = b"\xff" + bytes.fromhex(factory.address[2:]) + key + keccak(code)
    return to_checksum_address(keccak(data)[12:])


@pytest.fixture
def codes(project, world, long, factory):
    """Creation code of an adapter and of a vault that names it, or another adapter."""

    def build(symbol, adapter=None, target=3):
        kind = project.MockAdapter
        adapter_code = _code(kind, world.assets[6].address)
        adapter = adapter or predicted(factory, key_of(symbol), adapter_code)
        config = (
            symbol, symbol, target * WAD, adapter, long.oracle.address, world.direct.address,
            world.direct.address, astuple(policy(target * WAD)), astuple(FEES), astuple(caps(6)),
        )  # fmt: skip
        return adapter_code, b"", _code(project.InstantVault, config)

    return build


@pytest.fixture
def queued_codes(project, world, queued, factory):
    """The same of a queued vault and its queue; `queue` is another one that the vault names."""

    def build(symbol, queue=None):
        key = key_of(symbol)
        adapter_code = _code(project.MockDelayedVenue, world.assets[6].address)
        queue_code = _code(project.RequestQueue, world.assets[6].address)
        config = (
            symbol, symbol, 3 * WAD, predicted(factory, key, adapter_code), queued.oracle.address,
            world.direct.address, world.direct.address, astuple(policy(3 * WAD)), astuple(FEES),
            astuple(caps(6)),
        )  # fmt: skip
        queue = queue or predicted(factory, key, queue_code)
        return adapter_code, queue_code, _code(project.QueuedVault, config, queue)

    return build


def _code(kind, *arguments):
    code = bytes(kind.contract_type.deployment_bytecode.to_bytes())
    return code + bytes(kind.constructor.encode_input(*arguments))


@pytest.fixture
def create(factory, codes, owner):
    def call(symbol, sender=owner, **changes):
        return factory.create(key_of(symbol), *codes(symbol, **changes), sender=sender)

    return call


def test_create__by_the_creator__binds_and_lists(factory, create, codes, project):
    tx = create("ETH3L")

    log = only(tx, factory.VaultCreated)
    vault = project.InstantVault.at(log.vault)
    adapter_code, _, vault_code = codes("ETH3L")
    assert log.key == key_of("ETH3L")
    assert log.vault == predicted(factory, log.key, vault_code)
    assert log.adapter == vault.adapter() == predicted(factory, log.key, adapter_code)
    assert project.MockAdapter.at(log.adapter).vault() == log.vault
    assert log.token == vault.token()
    assert factory.vaultOf(log.key) == log.vault
    assert (factory.count(), factory.vaults(0, 10)) == (1, [log.vault])


def test_create__by_anybody_else__reverts(factory, create, outsider, keeper, guardian):
    for caller in (outsider, keeper, guardian):
        with reverts(factory.AccessManagedUnauthorized, caller=caller):
            create("ETH3L", sender=caller)

    assert factory.count() == 0


def test_create__a_key_again__reverts(factory, create):
    create("ETH3L")
    first = factory.vaultOf(key_of("ETH3L"))

    with reverts(factory.AlreadyCreated, key=key_of("ETH3L"), vault=first):
        create("ETH3L", target=2)

    assert factory.vaults(0, 10) == [first]


def test_create__a_vault_with_another_adapter__reverts(factory, create, codes, project, world, owner):
    other = project.MockAdapter.deploy(world.assets[6], sender=owner)
    adapter_code, _, vault_code = codes("ETH3L", adapter=other.address)

    with reverts(
        factory.AdapterNotBound,
        adapter=predicted(factory, key_of("ETH3L"), adapter_code),
        vault=predicted(factory, key_of("ETH3L"), vault_code),
    ):
        create("ETH3L", adapter=other.address)
    assert other.vault() == "0x" + "00" * 20
    create("ETH3L")

    assert factory.count() == 1


def test_create__an_adapter_bound_before__reverts(create, long):
    with reverts(long.adapter.AlreadyBound, vault=long.vault):
        create("ETH3L", adapter=long.adapter.address)


def test_create__code_that_fails__says_why_and_leaves_no_trace(factory, create, long):
    with reverts(long.vault.TargetOutOfRange, target=6 * WAD):
        create("ETH6L", target=6)

    assert factory.count() == 0
    assert factory.vaultOf(key_of("ETH6L")) == "0x" + "00" * 20


def test_create__a_queued_vault__is_bound_to_its_queue(factory, queued_codes, project, owner):
    key, codes = key_of("ETH3Q"), queued_codes("ETH3Q")

    tx = factory.create(key, *codes, sender=owner)

    vault = project.QueuedVault.at(factory.vaultOf(key))
    queue = project.RequestQueue.at(vault.queue())
    assert queue.address == predicted(factory, key, codes[1])
    assert (queue.vault(), queue.share()) == (vault.address, vault.token())
    assert project.LeveragedToken.at(vault.token()).vault(queue.asset()) == queue.address
    assert only(tx, factory.VaultCreated).vault == vault.address


def test_create__a_queued_vault_with_another_queue__reverts(factory, queued_codes, project, world, owner):
    other = project.RequestQueue.deploy(world.assets[6], sender=owner)
    key, codes = key_of("ETH3Q"), queued_codes("ETH3Q", queue=other.address)

    with reverts(
        factory.QueueNotBound,
        queue=predicted(factory, key, codes[1]),
        vault=predicted(factory, key, codes[2]),
    ):
        factory.create(key, *codes, sender=owner)

    assert factory.count() == 0
    assert other.vault() == "0x" + "00" * 20


def test_create__a_queue_for_a_vault_without_one__reverts(factory, codes, queued_codes, owner):
    adapter_code, _, vault_code = codes("ETH3L")
    queue_code = queued_codes("ETH3L")[1]

    assert not works(
        lambda: factory.create(key_of("ETH3L"), adapter_code, queue_code, vault_code, sender=owner)
    )
    assert factory.count() == 0


def test_threat_redeploy_index_bug__listing_and_keys__are_a_bijection(factory, create, project):
    """THREATS 7, redeploy index bug: after creations and refusals, index, key and address name one vault."""
    symbols = ["A", "B", "C", "D", "E"]
    for symbol in symbols:
        create(symbol)
        assert not works(lambda symbol=symbol: create(symbol))

    listed = factory.vaults(0, 100)

    assert factory.count() == len(listed) == len(set(listed)) == len(symbols)
    assert listed == [factory.vaultOf(key_of(symbol)) for symbol in symbols]
    for symbol, vault in zip(symbols, listed, strict=True):
        token = project.LeveragedToken.at(project.InstantVault.at(vault).token())
        assert (token.symbol(), token.vault()) == (symbol, vault)
    assert factory.vaults(1, 2) == listed[1:3]
    assert factory.vaults(4, 9) == listed[4:]
    assert factory.vaults(5, 1) == factory.vaults(0, 0) == []
    assert factory.vaults(2, 2**256 - 1) == listed[2:]
