"""Nodes that are down, slow, elsewhere, out of their mind, tired or late: nothing is done twice or wrong."""

import json

import pytest
from faulty import FaultyRpc, deaf_after, down, lagging, limited, resulting, saying, slow

from devnet import Anvil
from leverage.errors import LeverageError, UnreachableError
from leverage.keeper import DONE, FAILED
from leverage.keeper.watch import BEHIND, WrongChainError
from leverage.rpc import Rpc
from leverage.types import Trigger

pytestmark = [pytest.mark.e2e, pytest.mark.venue]

EMERGENCY = [Trigger.EMERGENCY]


def lines_of(lines, event):
    return [line for line in lines if line["event"] == event]


# Down


def test_down__before_the_pass__fails_in_words_and_the_next_pass_does_it(bench):
    bench.crash()
    worker = bench.keeper()
    bench.fault(down)
    with pytest.raises(UnreachableError, match="the node did not answer eth_chainId"):
        worker.once()
    assert bench.triggers() == []

    bench.fault(None)

    assert worker.once() == DONE
    assert bench.triggers() == EMERGENCY


@pytest.mark.parametrize(
    "method",
    [
        "eth_call",
        "eth_getTransactionCount",
        "eth_estimateGas",
        "eth_maxPriorityFeePerGas",
        "eth_getBalance",
        "eth_sendRawTransaction",
    ],
)
def test_down__from_a_moment_on__nothing_is_sent_and_the_next_pass_does_it_once(bench, method):
    bench.crash()
    worker = bench.keeper()
    bench.fault(deaf_after(method, is_done=False))
    try:
        assert worker.once() == FAILED
    except UnreachableError:
        assert method == "eth_call"  # Not even the state could be read.
    assert bench.triggers() == []
    bench.fault(None)

    assert worker.once() == DONE

    assert bench.triggers() == EMERGENCY and bench.sent_by() == 1


def test_down__the_moment_it_was_sent__the_next_pass_finds_it_done(bench):
    bench.crash()
    worker = bench.keeper()
    bench.fault(deaf_after("eth_sendRawTransaction"))

    assert worker.once() == FAILED

    bench.fault(None)
    assert bench.triggers() == EMERGENCY
    assert worker.once() == DONE
    assert bench.triggers() == EMERGENCY and bench.sent_by() == 1


def test_down__one_answer_in_three__is_asked_again_and_done(bench):
    bench.crash()
    asked = iter(range(10**6))
    worker = bench.keeper()
    bench.fault(lambda request, forward: None if next(asked) % 3 == 0 else forward(request))

    assert worker.once() == DONE
    assert bench.triggers() == EMERGENCY and bench.sent_by() == 1


# Slow


def test_slow__within_the_limit__is_done(bench):
    bench.crash()
    worker = bench.keeper()
    bench.fault(slow(0.05))

    assert worker.once() == DONE
    assert bench.triggers() == EMERGENCY


def test_slow__beyond_the_limit__ends_in_words_instead_of_hanging(bench):
    bench.node = Rpc(bench.proxy.url, seconds=0.2)
    worker = bench.keeper()
    bench.fault(slow(1))

    with pytest.raises(UnreachableError, match="did not answer eth_chainId .ReadTimeoutError"):
        worker.once()


# Somewhere else


def test_wrong_chain__at_the_start__is_refused(bench):
    bench.fault(resulting("0x1", "eth_chainId"))

    with pytest.raises(WrongChainError, match="the node is of chain 1, not of 31337"):
        bench.keeper()


def test_wrong_chain__later__nothing_is_sent(bench):
    bench.crash()
    worker = bench.keeper()
    bench.fault(resulting("0xa", "eth_chainId"))

    with pytest.raises(WrongChainError, match="the node is of chain 10, not of 31337"):
        worker.once()
    assert bench.sent_by() == 0


def test_wrong_chain__to_send_through__is_refused(bench):
    with FaultyRpc(bench.site.url) as other:
        other.fault = resulting("0x89", "eth_chainId")

        with pytest.raises(WrongChainError, match="that of --send-rpc is of chain 137"):
            bench.keeper(relay=Rpc(other.url, "--send-rpc"))


# Nonsense

NONSENSE = [
    b"",
    b"<html>502 Bad Gateway</html>",
    b'{"jsonrpc": "2.0", "id": 1, "resu',
    b"[]",
    b"null",
    b'{"jsonrpc": "2.0", "id": 999999, "result": "0x1"}',
    b"\xff\xfe\x00",
]


@pytest.mark.parametrize("body", NONSENSE)
def test_nonsense__in_place_of_json__fails_in_words(bench, body):
    worker = bench.keeper()
    bench.fault(saying(body))

    with pytest.raises(UnreachableError, match="the node answered eth_chainId with nonsense .HTTP 200"):
        worker.once()


@pytest.mark.parametrize("result", [None, "0xzz", "0x" + "ff" * 640], ids=["null", "letters", "too much"])
@pytest.mark.parametrize(
    "method",
    [
        "eth_call",
        "eth_getBlockByNumber",
        "eth_getTransactionCount",
        "eth_estimateGas",
        "eth_maxPriorityFeePerGas",
        "eth_getBalance",
        "eth_sendRawTransaction",
        "eth_getTransactionReceipt",
    ],
)
def test_nonsense__in_one_answer__fails_in_words_or_is_done_once(bench, method, result):
    bench.crash()
    worker = bench.keeper()
    bench.fault(resulting(result, method))
    try:
        worker.once()
    except LeverageError as error:
        assert "\n" not in str(error)
    assert len(bench.triggers()) <= 1
    bench.fault(None)

    worker.once()

    assert bench.triggers() == EMERGENCY


# Tired


def test_too_many_requests__a_few_times__is_asked_again(bench):
    bench.crash()
    worker = bench.keeper()
    bench.fault(limited(2))

    assert worker.once() == DONE
    assert bench.triggers() == EMERGENCY


@pytest.mark.parametrize(
    "fault",
    [
        limited(10**6),
        lambda request, forward: {
            "id": request["id"],
            "error": {"code": -32005, "message": "limit exceeded"},
        },
    ],
)
def test_too_many_requests__always__says_so(bench, fault):
    worker = bench.keeper()
    bench.fault(fault)

    with pytest.raises(UnreachableError, match="refused eth_chainId: too many requests"):
        worker.once()


# Late


def test_late__behind_the_other_node__is_said_and_the_pass_goes_on(bench):
    bench.crash()
    for _ in range(30):
        bench.site.perp.rpc("evm_mine")
    worker = bench.keeper(relay=Rpc(bench.site.url, "--send-rpc"))
    bench.fault(lagging(BEHIND + 5))
    log = []
    worker.listeners.append(log.append)

    assert worker.once() == FAILED

    assert any("one of them is late" in getattr(event, "error", "") for event in log)
    bench.fault(None)
    assert bench.triggers() == EMERGENCY


def test_late__shows_as_due_what_has_been_done__does_it_no_second_time(bench):
    bench.crash()
    bench.once(6)
    worker = bench.keeper(relay=Rpc(bench.site.url, "--send-rpc"))
    bench.fault(lagging(1))

    worker.once()

    bench.fault(None)
    assert bench.triggers() == EMERGENCY


def test_late__with_an_old_nonce__is_refused_by_the_network(bench):
    """The keeper itself did it a block ago, and its node has not heard of that."""
    bench.crash()
    bench.once()
    sent = bench.sent_by()
    worker = bench.keeper()
    bench.fault(lagging(1))

    worker.once()

    bench.fault(None)
    assert bench.triggers() == EMERGENCY and bench.sent_by() == sent


def test_late__goes_back_within_a_process__is_said(bench):
    for _ in range(BEHIND + 1):
        bench.site.perp.rpc("evm_mine")
    worker = bench.keeper()
    log = []
    worker.listeners.append(log.append)
    assert worker.once() == DONE
    bench.fault(lagging(BEHIND + 1))

    assert worker.once() == FAILED
    assert any("the node went back from block" in getattr(event, "error", "") for event in log)


# Of two minds


def test_two_nodes__of_different_chains_with_one_id__sends_nothing(bench):
    bench.crash()
    with Anvil.start() as other:
        worker = bench.keeper(relay=Rpc(other.url, "--send-rpc"))

        with pytest.raises(WrongChainError, match="the two nodes disagree about block"):
            worker.once()
    assert bench.sent_by() == 0


def test_two_nodes__one_for_sending_alone__gets_what_is_sent_and_the_other_does_not(bench):
    bench.crash()
    with FaultyRpc(bench.site.url) as relay:
        code, _ = bench.once(relay=Rpc(relay.url, "--send-rpc"))

        assert code == DONE and bench.triggers() == EMERGENCY
        assert relay.count("eth_sendRawTransaction") == 1
        assert bench.proxy.count("eth_sendRawTransaction") == 0


def test_two_nodes__the_one_for_sending_knows_no_other_method__is_enough(bench):
    bench.crash()

    def bare(request, forward):
        if request["method"] in ("eth_sendRawTransaction", "eth_chainId"):
            return forward(request)
        return {"id": request["id"], "error": {"code": -32601, "message": "method not found"}}

    with FaultyRpc(bench.site.url) as relay:
        relay.fault = bare
        code, _ = bench.once(relay=Rpc(relay.url, "--send-rpc"))

    assert code == DONE and bench.triggers() == EMERGENCY


def test_two_nodes__the_one_for_sending_keeps_it_to_itself__is_sent_through_a_good_one_once(bench):
    bench.crash()
    with FaultyRpc(bench.site.url) as relay:
        relay.fault = resulting("0x" + "00" * 32, "eth_sendRawTransaction")
        code, lines = bench.once(relay=Rpc(relay.url, "--send-rpc"))
    assert code == FAILED and bench.triggers() == []
    assert "has no receipt after 60 s" in json.dumps(lines)

    code, _ = bench.once()

    assert code == DONE
    assert bench.triggers() == EMERGENCY and bench.sent_by() == 1
