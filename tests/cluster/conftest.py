"""A Redis server for a test, and the protocol on a fork: see tests/sites.py."""

import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator

import pytest
import redis
from processes import end_with_us
from sites import deployed, site, snapshot_of, venue

__all__ = ["deployed", "site", "snapshot_of", "venue"]

SECONDS = 30


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of a Redis server that keeps nothing."""
    binary = shutil.which("redis-server")
    if binary is None:
        where = os.environ["PATH"]
        pytest.skip(f"NOT RUN: no redis-server in {where}; `make redis` installs it where apt-get has it")
    folder = tmp_path_factory.mktemp("redis")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    options = [
        "--port",
        str(port),
        "--bind",
        "127.0.0.1",
        "--save",
        "",
        "--appendonly",
        "no",
        "--dir",
        str(folder),
    ]
    server = subprocess.Popen([binary, *options], stdout=subprocess.DEVNULL, preexec_fn=end_with_us)
    try:
        _wait(redis.Redis(port=port))
        yield f"redis://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(SECONDS)


def _wait(client: redis.Redis) -> None:
    end = time.monotonic() + SECONDS
    while True:
        try:
            client.ping()
            return
        except redis.ConnectionError:
            assert time.monotonic() < end, "Redis did not start"
            time.sleep(0.05)


@pytest.fixture
def queue(broker: str, request: pytest.FixtureRequest) -> dict[str, str]:
    """What tells Silverback of a queue of the test's own."""
    queue = {"url": f"{broker}/0", "queue_name": request.node.name, "socket_timeout": None}
    results = {"redis_url": f"{broker}/1", "result_ex_time": 600}
    return {
        "SILVERBACK_BROKER_CLASS": "taskiq_redis:ListQueueBroker",
        "SILVERBACK_BROKER_KWARGS": json.dumps(queue),
        "SILVERBACK_RESULT_BACKEND_CLASS": "taskiq_redis:RedisAsyncResultBackend",
        "SILVERBACK_RESULT_BACKEND_KWARGS": json.dumps(results),
    }
