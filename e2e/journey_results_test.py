"""Pushes results of journeys to a real Pushgateway and reads its metrics."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator
from urllib.request import urlopen

import pytest

from e2e.journey_results import (
    MAX_JOURNEYS,
    JourneyResults,
    push,
)
from e2e.ship import until
from observability.promtool import program


def run(*outcomes: bool) -> JourneyResults:
    results = JourneyResults()
    for number, passed in enumerate(outcomes):
        results.add(f"test_walk_{number}[phone]", passed=passed, seconds=1.5, steps=3)
    results.vitals.add("/", "lcp", 0.4)
    results.vitals.add("/", "lcp", 0.2)
    results.vitals.add("/secret/17", "cls", 0.01)
    return results


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    with (tmp_path_factory.mktemp("gateway") / "log").open("wb") as log:
        argv = [program("pushgateway"), f"--web.listen-address={address}"]
        process = subprocess.Popen(argv, stdout=log, stderr=log)
    try:
        until(lambda: _answers(f"http://{address}"), within_s=30)
        yield f"http://{address}"
    finally:
        process.terminate()
        process.wait(30)


def _answers(url: str) -> bool:
    try:
        with urlopen(f"{url}/-/ready", timeout=5):  # noqa: S310 - our own
            return True
    except OSError:
        return False


def samples(url: str) -> dict[str, float]:
    with urlopen(f"{url}/metrics", timeout=5) as answer:  # noqa: S310 - our own
        lines = answer.read().decode().splitlines()
    return {
        name: float(value)
        for name, _, value in (line.rpartition(" ") for line in lines)
        if name.startswith("e2e_")
    }


def settings(url: str) -> dict[str, str]:
    return {"SHIP_E2E_PUSHGATEWAY": url, "SHIP_E2E_ENVIRONMENT": "blue"}


def test_results_are_grouped_by_suite_and_environment(gateway: str) -> None:
    assert push(run(True, True), "journeys", settings(gateway)) is None
    found = samples(gateway)
    group = 'environment="blue",instance="",job="e2e"'
    assert found[f'e2e_journeys{{{group},suite="journeys"}}'] == 2
    assert found[f'e2e_journey_steps{{{group},journey="walk_0",suite="journeys"}}'] == 3
    assert found[f'e2e_web_vital_seconds{{{group},page="/",suite="journeys",vital="lcp"}}'] == 0.4
    assert found[f'e2e_layout_shift{{{group},page="other",suite="journeys"}}'] == 0.01


def test_failed_run_keeps_the_time_of_the_last_success(gateway: str) -> None:
    group = 'environment="red",instance="",job="e2e",suite="journeys"'
    environ = settings(gateway) | {"SHIP_E2E_ENVIRONMENT": "red"}
    push(run(True), "journeys", environ)
    before = samples(gateway)[f"e2e_last_success_timestamp_seconds{{{group}}}"]
    push(run(True, False), "journeys", environ)
    after = samples(gateway)
    assert after[f"e2e_last_success_timestamp_seconds{{{group}}}"] == before
    assert after[f"e2e_failed_journeys{{{group}}}"] == 1
    assert after[f"e2e_last_run_timestamp_seconds{{{group}}}"] > before


def test_only_runs_of_a_monitor_say_that_more_will_follow(gateway: str) -> None:
    environ = settings(gateway) | {"SHIP_E2E_ENVIRONMENT": "green"}
    name = 'e2e_monitored{environment="green",instance="",job="e2e",suite="journeys"}'
    push(run(True), "journeys", environ)
    assert name not in samples(gateway)
    push(run(True), "journeys", environ | {"SHIP_E2E_MONITORED": "1"})
    push(run(True), "journeys", environ)
    assert samples(gateway)[name] == 1


def test_push_without_a_gateway_returns_the_problem() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        closed = f"http://127.0.0.1:{taken.getsockname()[1]}"
    refused = push(run(True), "journeys", settings(closed))
    assert refused is not None
    assert "refused" in refused
    wrong = push(run(True), "journeys", settings("nonsense"))
    assert wrong is not None
    assert "should start with" in wrong
    assert push(run(True), "journeys", {}) is None


def test_journeys_beyond_the_limit_share_one_label() -> None:
    results = run(*[True] * (MAX_JOURNEYS + 20))
    assert len(results.journeys) == MAX_JOURNEYS + 1
    assert 'journey="other"' in results.render_metrics(now=1.0)


def test_variants_are_one_journey_that_fails_if_one_variant_fails() -> None:
    results = JourneyResults()
    for variant, passed in (("phone", True), ("desktop", False)):
        results.add(f"test_walk[{variant}]", passed=passed, seconds=1.0, steps=1)
    (journey,) = results.journeys.values()
    assert (journey.passed, journey.seconds, journey.steps) == (False, 2.0, 2)
