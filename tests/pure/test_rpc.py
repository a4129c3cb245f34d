"""JSON-RPC in words: what a node says, what it does not say, and URLs that stay secret."""

import json

import pytest
from urllib3 import HTTPResponse, PoolManager
from urllib3.exceptions import MaxRetryError, ReadTimeoutError

from leverage import rpc as rpc_
from leverage.errors import LeverageError, RevertError, UnreachableError
from leverage.rpc import Rpc, number, octets, result_of

URL = "https://node.example/v3/s3cret"


@pytest.fixture
def node(monkeypatch):
    """A node whose answers are those given, one after another; an exception is raised in its place."""
    answers = []
    asked = []

    def request(pool, method, url, body=None, **_):
        asked.append(json.loads(body))
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(answer, Exception):
            raise answer
        status, found = answer if isinstance(answer, tuple) else (200, answer)
        if isinstance(found, dict):
            found = json.dumps({"jsonrpc": "2.0", "id": asked[-1]["id"], **found}).encode()
        return HTTPResponse(found, status=status, preload_content=True)

    monkeypatch.setattr(PoolManager, "request", request)
    found = Rpc(URL, "it", pause=0.0)
    found.answers, found.asked = answers, asked
    return found


def test_rpc__result__is_returned(node):
    node.answers.append({"result": "0x10"})

    assert node("eth_blockNumber") == "0x10"
    assert node.asked[0]["method"] == "eth_blockNumber" and node.asked[0]["params"] == []


def test_rpc__result_is_null__is_none(node):
    node.answers.append({"result": None})

    assert node("eth_getTransactionReceipt", "0x1") is None


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (ReadTimeoutError(None, URL, "timed out"), "it did not answer eth_call .ReadTimeoutError"),
        (MaxRetryError(None, URL), "it did not answer eth_call .MaxRetryError"),
        (ConnectionResetError("gone"), "it did not answer eth_call .ConnectionResetError"),
        ((429, b"later"), "it refused eth_call: too many requests"),
        ({"error": {"code": -32005, "message": "limit"}}, "it refused eth_call: too many requests"),
        ((502, b"<html>"), "it answered eth_call with nonsense .HTTP 502"),
        (b"{}", "it answered eth_call with nonsense .HTTP 200"),
        (b'{"id": 4711, "result": "0x"}', "it answered eth_call with nonsense"),
    ],
)
def test_rpc__no_answer__is_tried_again_and_then_told_without_the_url(node, answer, said):
    node.answers.append(answer)

    with pytest.raises(UnreachableError, match=said) as caught:
        node("eth_call", {}, "latest")

    assert len(node.asked) == rpc_.TRIES
    assert "s3cret" not in str(caught.value) and "example" not in str(caught.value)


def test_rpc__third_try__is_enough(node):
    node.answers += [(429, b""), ConnectionResetError(), {"result": "0x1"}]

    assert node("eth_chainId") == "0x1"


def test_rpc__error__is_not_tried_again(node):
    node.answers.append({"error": {"code": -32601, "message": "method not found\nat line 3"}})

    with pytest.raises(LeverageError, match="^it refused eth_foo: method not found$") as caught:
        node("eth_foo")

    assert not isinstance(caught.value, UnreachableError) and len(node.asked) == 1


@pytest.mark.parametrize(
    "error",
    [
        {
            "message": "execution reverted",
            "data": "0x08c379a0" + "20".zfill(64) + "2".zfill(64) + "6e6f".ljust(64, "0"),
        },
        {
            "message": "reverted",
            "data": {"data": "0x08c379a0" + "20".zfill(64) + "2".zfill(64) + "6e6f".ljust(64, "0")},
        },
        {
            "message": "VM execution error",
            "data": "Reverted 0x08c379a0" + "20".zfill(64) + "2".zfill(64) + "6e6f".ljust(64, "0"),
        },
    ],
    ids=["plain", "nested", "in a text"],
)
def test_result_of__revert__is_in_words_however_nodes_wrap_it(error):
    with pytest.raises(RevertError, match="^reverted: no$"):
        result_of({"error": error}, "eth_call")


def test_result_of__revert_without_data__is_a_revert():
    with pytest.raises(RevertError, match="execution reverted: SafeMath"):
        result_of({"error": {"message": "execution reverted: SafeMath"}}, "eth_call")


@pytest.mark.parametrize("value", [None, 7, "", "0x", "zz", "-0x1", "0x1" + "0" * 64])
def test_number__nonsense__is_the_nodes_fault(value):
    with pytest.raises(UnreachableError, match="sent a nonce that is no number"):
        number(value, "a nonce")


def test_octets__nonsense__is_the_nodes_fault():
    assert octets("0x0a", "data") == b"\n"
    with pytest.raises(UnreachableError, match="sent data that is no data"):
        octets("0xz", "data")


@pytest.mark.parametrize(
    "url", ["", "node", "ws://node", "http://", "https://$KEY:x@[", "file:///etc/passwd"]
)
def test_named_by__no_url__is_refused_without_showing_it(monkeypatch, url):
    monkeypatch.setenv("KEY", "s3cret")

    with pytest.raises(LeverageError, match="^--send-rpc: not a URL that begins with http:// or https://$"):
        Rpc.named_by(url, "--send-rpc")


def test_named_by__variables__are_of_the_environment(node, monkeypatch):
    monkeypatch.setenv("RELAY_KEY", "abc")
    monkeypatch.delenv("OTHER", raising=False)

    assert (
        Rpc.named_by("https://relay/${RELAY_KEY}?k=$RELAY_KEY", "--send-rpc")._url
        == "https://relay/abc?k=abc"
    )
    with pytest.raises(LeverageError, match="--send-rpc: set OTHER in the environment"):
        Rpc.named_by("https://relay/$OTHER", "--send-rpc")
