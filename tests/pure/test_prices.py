"""The price service: what an answer of Pyth's Hermes says, and the one line that each failure costs."""

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from leverage import prices
from leverage.prices import PriceServiceError

ETH = "0xff61491a931112ddf1bd8147cd1b641375f79f5825126d665480874634fd0ace"
# As the service answers GET /v2/updates/price/latest, the signed update cut short.
RECORDED = {
    "binary": {"encoding": "hex", "data": ["504e41550100000003b801000000040d00"]},
    "parsed": [
        {
            "id": "ff61491a931112ddf1bd8147cd1b641375f79f5825126d665480874634fd0ace",
            "price": {
                "price": "345612345678",
                "conf": "123456789",
                "expo": -8,
                "publish_time": 1726576867,
            },
            "ema_price": {
                "price": "344987654321",
                "conf": "111111111",
                "expo": -8,
                "publish_time": 1726576867,
            },
            "metadata": {
                "slot": 172351235,
                "proof_available_time": 1726576868,
                "prev_publish_time": 1726576866,
            },
        }
    ],
}
PUBLISHED = 1726576867
PROOF = [bytes.fromhex("504e41550100000003b801000000040d00")]


class Service:
    """A server that answers what it is told to, one request after the other."""

    def __init__(self):
        self.answers: list[tuple[int, object]] = []
        self.paths: list[str] = []
        self.keys: list[str | None] = []
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):  # noqa: N802
                service.paths.append(self.path)
                service.keys.append(self.headers["Authorization"])
                status, answer = service.answers.pop(0) if len(service.answers) > 1 else service.answers[0]
                body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
                self.send_response(status)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args):
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(
            target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True
        ).start()


@pytest.fixture
def service():
    found = Service()
    yield found
    found.server.shutdown()
    found.server.server_close()


def published(second: int) -> dict:
    answer = json.loads(json.dumps(RECORDED))
    answer["parsed"][0]["price"]["publish_time"] = second
    return answer


def test_fetch__recorded_answer__is_the_proof(service):
    service.answers = [(200, RECORDED)]

    assert prices.fetch(service.url + "/", ETH, PUBLISHED) == PROOF
    (path,) = service.paths
    assert path == f"/v2/updates/price/latest?ids%5B%5D={ETH}&encoding=hex&parsed=true"


def test_fetch__key_in_the_environment__goes_along(service, monkeypatch):
    service.answers = [(200, RECORDED)]
    monkeypatch.delenv(prices.KEY, raising=False)
    prices.fetch(service.url, ETH, 0)
    monkeypatch.setenv(prices.KEY, "a-key")
    prices.fetch(service.url, ETH, 0)

    assert service.keys == [None, "Bearer a-key"]


def test_fetch__price_of_before__is_waited_for(service):
    slept = []
    service.answers = [(200, published(PUBLISHED - 2)), (200, published(PUBLISHED - 1)), (200, RECORDED)]

    assert prices.fetch(service.url, ETH, PUBLISHED, slept.append) == PROOF
    assert len(slept) == 2


def test_fetch__price_stays_old__says_of_when_it_is(service):
    service.answers = [(200, RECORDED)]

    with pytest.raises(PriceServiceError, match=f"latest price is of {PUBLISHED}, not of {PUBLISHED + 1} or"):
        prices.fetch(service.url, ETH, PUBLISHED + 1, lambda seconds: None)


def test_fetch__url_from_the_environment__is_not_shown(service, monkeypatch):
    monkeypatch.setenv("HERMES_URL", service.url + "/secret-key")
    service.answers = [(200, RECORDED), (403, {})]

    assert prices.fetch("$HERMES_URL", ETH, 0) == PROOF
    with pytest.raises(PriceServiceError) as caught:
        prices.fetch("$HERMES_URL", ETH, 0)

    assert service.paths[0].startswith("/secret-key/v2/")
    assert str(caught.value) == "price service 127.0.0.1 answered 403 Forbidden: is PYTH_API_KEY set?"


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ((500, {}), "answered 500 Internal Server Error"),
        ((429, {}), "answered 429 Too Many Requests"),
        ((200, b"<html>"), r"did not answer \(JSONDecodeError\)"),
        ((200, []), f"no price {ETH} in its answer"),
        ((200, {**RECORDED, "parsed": []}), f"no price {ETH} in its answer"),
        ((200, {**RECORDED, "binary": {"data": ["zz"]}}), f"no price {ETH} in its answer"),
        ((200, {"parsed": None}), f"no price {ETH} in its answer"),
    ],
)
def test_fetch__bad_answer__is_one_line(service, answer, said):
    service.answers = [answer]

    with pytest.raises(PriceServiceError, match=said) as caught:
        prices.fetch(service.url, ETH, 0)

    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/key", "nonsense", "$NOT_SET/x", "ftp://here/key"])
def test_fetch__nobody_there__is_one_line_without_the_url(url):
    with pytest.raises(PriceServiceError, match="did not answer") as caught:
        prices.fetch(url, ETH, 0)

    assert "key" not in str(caught.value) and "\n" not in str(caught.value)
