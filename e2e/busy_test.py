"""A busy replica is left alone; a hung one is restarted, one at a time, and finishes what it has begun."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from http.client import HTTPConnection, HTTPException

import pytest

from e2e.live_sandbox import LiveSandbox
from e2e.rollouts import HOST_NAME, SERVICE, Rollouts
from e2e.ship import until

REPLICAS, THREADS = 2, 16  # of e2e/fixture/Dockerfile
BUSY_S, HUNG_S = 15, 25
"""How long the streams and the silent requests take: longer than Docker's three checks, two seconds apart."""

SETTINGS = f"replicas = {REPLICAS}\nhealth = {{ interval_s = 2, hung_after_s = 3 }}\n"


@pytest.fixture(scope="module")
def live(sandbox: LiveSandbox, rollouts: Rollouts) -> LiveSandbox:
    """The sandbox, on which the fixture is live with few replicas that are checked often."""
    rollouts.deploy(rollouts.environment(settings=SETTINGS)).expect_success()
    return sandbox


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    """Enough threads for all requests at once."""
    with ThreadPoolExecutor(80) as pool:
        yield pool


def _get(sandbox: LiveSandbox, path: str, begun: list[str] | None = None) -> bytes:
    """Returns the body of a whole answer with status 200, else raises AssertionError or HTTPException.

    Adds the path to `begun` once the answer has begun.
    """
    address = sandbox.url.removeprefix("http://")
    connection = HTTPConnection(address, timeout=90)
    try:
        connection.request("GET", path, headers={"Host": HOST_NAME})
        answer = connection.getresponse()
        if begun is not None:
            begun.append(path)
        body = answer.read()
        assert answer.status == 200, f"{path}: {answer.status}"
        return body
    finally:
        connection.close()


def _lost(requests: list[Future[bytes]]) -> list[str]:
    wait(requests)
    errors = (request.exception() for request in requests)
    return [f"{type(error).__name__}: {error}" for error in errors if error is not None]


def _starts(sandbox: LiveSandbox) -> list[str]:
    """Returns when each of the fixture's replicas was started last."""
    host = sandbox.host()
    names = host.run(
        "docker", "ps", "-q", "--filter", f"label=py-cicd.service={SERVICE}"
    ).split()  # fmt: skip
    return host.run(
        "docker", "inspect", "--format", "{{.Name}} {{.State.StartedAt}}", *names
    ).split("\n")


def _watchdogs_words(sandbox: LiveSandbox) -> list[str]:
    """Returns what the watchdog did to the fixture's replicas, from the ledger, oldest first."""
    watchdogs = "grep -F watchdog /srv/py-cicd/ledger.jsonl || true"
    entries = map(json.loads, sandbox.host().run("sh", "-c", watchdogs).splitlines())
    return [
        entry["what"]
        for entry in entries
        if (entry["who"], entry["service"]) == ("watchdog", SERVICE)
    ]


def test_replicas_whose_threads_all_serve_streams_are_not_restarted(
    live: LiveSandbox, pool: ThreadPoolExecutor
) -> None:
    before, begun = _starts(live), list[str]()
    streams = [
        pool.submit(_get, live, f"/events?s={BUSY_S}", begun) for _ in range(REPLICAS * THREADS + 2)
    ]
    until(lambda: len(begun) >= REPLICAS * THREADS, within_s=BUSY_S - 2)
    waiting = [pool.submit(_get, live, "/") for _ in range(30)]
    assert _lost([*streams, *waiting]) == []
    assert all(stream.result().endswith(b"data: end\n\n") for stream in streams)
    assert _starts(live) == before
    assert _watchdogs_words(live) == []


def test_hung_replicas_are_restarted_one_at_a_time_and_finish_their_requests(
    live: LiveSandbox, pool: ThreadPoolExecutor
) -> None:
    silent = [pool.submit(_get, live, f"/slow?s={HUNG_S}") for _ in range(REPLICAS * THREADS)]
    until(lambda: any("restart" in what for what in _watchdogs_words(live)), within_s=60)
    assert _lost(silent) == []
    until(lambda: any("start" in what for what in _watchdogs_words(live)[1:]), within_s=30)
    first, second, *_ = _watchdogs_words(live)
    name = first.split()[1].removesuffix(":")
    assert first == f"restart {name}: its health check fails"
    # With its requests done it may have recovered, and been healthy again, before it ended.
    assert second.startswith(f"start {name}: it ")
    until(lambda: _answers(live), within_s=30)
    assert live.ship("history", "app", "--verify").expect_success().document["ok"]


def _answers(sandbox: LiveSandbox) -> bool:
    try:
        return bool(_get(sandbox, "/"))
    except (AssertionError, HTTPException, OSError):
        return False
