"""Whether a node can be believed."""

import pytest

from leverage.errors import LeverageError, UnreachableError
from leverage.keeper.watch import BEHIND, LATE, Watch, WrongChainError

NOW = 2_000_000_000


class Node:
    """At a block of a chain, `late` seconds old."""

    def __init__(self, height, chain_id=10, late=2, fork=""):
        self.height, self.chain_id, self.late, self.fork = height, chain_id, late, fork

    def __call__(self, method, *params):
        if method == "eth_chainId":
            return hex(self.chain_id)
        number = self.height if params[0] == "latest" else int(params[0], 16)
        if number > self.height:
            return None
        return {"number": hex(number), "timestamp": hex(NOW - self.late), "hash": f"0x{number}{self.fork}"}


def look(node, relay=None, **options):
    return Watch(node, 10, relay, date=lambda: NOW, **options).look()


def test_look__nothing_wrong__says_nothing():
    assert look(Node(100)) == []
    assert look(Node(100), Node(100 + BEHIND)) == []
    assert look(Node(3), Node(3)) == []


def test_look__clock_ten_minutes_wrong__says_nothing():
    assert look(Node(100, late=600)) == [] and look(Node(100, late=-600)) == []


def test_look__old_block__is_said_with_its_age():
    assert look(Node(100, late=LATE + 1)) == [
        "the node's latest block is 901 s old, or this machine's clock is wrong"
    ]


def test_look__chain_of_ones_own__has_a_time_of_its_own():
    assert Watch(Node(100, late=10**6), 10, date=None).look() == []


def test_look__head_goes_back_further_than_a_reorg__is_said():
    node = Node(100)
    watch = Watch(node, 10, date=None)
    watch.look()
    node.height = 100 - BEHIND
    assert watch.look() == []
    node.height -= 1

    assert watch.look() == ["the node went back from block 100 to 89"]


@pytest.mark.parametrize(("ours", "theirs"), [(100, 111), (111, 100)])
def test_look__two_nodes_apart__is_said(ours, theirs):
    assert look(Node(ours), Node(theirs)) == [
        f"the node is at block {ours}, that of --send-rpc at {theirs}: one of them is late"
    ]


def test_look__another_chain__is_refused():
    with pytest.raises(WrongChainError, match="the node is of chain 1, not of 10"):
        look(Node(100, chain_id=1))
    with pytest.raises(WrongChainError, match="that of --send-rpc is of chain 137, not of 10"):
        look(Node(100), Node(100, chain_id=137))


def test_look__two_histories_below_any_reorg__are_refused():
    with pytest.raises(WrongChainError, match="the two nodes disagree about block 90"):
        look(Node(100), Node(100, fork="b"))


def test_look__relay_that_only_takes_transactions__is_no_trouble():
    class Relay(Node):
        def __call__(self, method, *params):
            if method != "eth_chainId":
                raise LeverageError("method not found")
            return super().__call__(method)

    assert look(Node(100), Relay(0)) == []


@pytest.mark.parametrize("block", [None, {}, {"number": "0x1"}, "0x1"])
def test_look__no_block__is_the_nodes_fault(block):
    def node(method, *params):
        return "0xa" if method == "eth_chainId" else block

    with pytest.raises(UnreachableError, match="a block that is none"):
        look(node)
