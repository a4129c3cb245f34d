"""Tokens shared among keepers that do not talk to each other."""

from collections import Counter
from hashlib import sha256

import pytest

from leverage.errors import LeverageError
from leverage.shard import Shard

VAULTS = {f"T{i}": "0x" + sha256(str(i).encode()).hexdigest()[:40] for i in range(1_000)}


def owners(count):
    return {
        vault: index for index in range(1, count + 1) for vault in Shard(index, count).of(VAULTS).values()
    }


def test_of__some_parts__share_all_tokens_evenly():
    parts = [Shard(index, 5).of(VAULTS) for index in range(1, 6)]

    assert sum(len(part) for part in parts) == len(VAULTS)
    assert {symbol for part in parts for symbol in part} == VAULTS.keys()
    assert all(150 <= len(part) <= 250 for part in parts), Counter(map(len, parts))


def test_of__one_part_more__takes_only_what_it_keeps():
    before, after = owners(5), owners(6)

    moved = [vault for vault in after if after[vault] != before[vault]]

    assert {after[vault] for vault in moved} == {6}
    assert 100 <= len(moved) <= 240


def test_of__one_part__has_everything():
    assert Shard().of(VAULTS) == VAULTS


def test_has__address_in_another_case__is_the_same():
    vault = "0xABCDEFabcdef0123456789ABCDEFabcdef012345"

    assert Shard(2, 7).has(vault) == Shard(2, 7).has(vault.lower())
    assert [Shard(i, 7).has(vault) for i in range(1, 8)].count(True) == 1


@pytest.mark.parametrize("text", ["2/5", " 2/5 "])
def test_parse__part_of_some__is_read(text):
    assert Shard.parse(text) == Shard(2, 5)
    assert str(Shard.parse(text)) == "2/5"


@pytest.mark.parametrize("text", ["", "2", "0/5", "6/5", "-1/5", "2/0", "a/b", "2/5/6", "1/99999", "1.0/2"])
def test_parse__nonsense__says_what_to_write(text):
    with pytest.raises(LeverageError, match="KEEPER_SHARD = .*: write which part of how many, such as 2/5"):
        Shard.parse(text)


def test_all__count__is_every_part():
    assert Shard.all("3") == [Shard(1, 3), Shard(2, 3), Shard(3, 3)]


@pytest.mark.parametrize("text", ["", "0", "-1", "a", "1.5", "99999"])
def test_all__nonsense__says_what_to_write(text):
    with pytest.raises(LeverageError, match="KEEPER_SHARDS = .*: write into how many parts, such as 5"):
        Shard.all(text)
