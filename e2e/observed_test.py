"""What a person sees of a stack: one id finds a request everywhere, a fault fires its alert, the runbook mends it."""

from __future__ import annotations

import json
import os
import re
import secrets
import subprocess
from typing import Any
from urllib.request import Request, urlopen

from e2e.ship import until
from e2e.stack import Stack, fetch

FIRES_WITHIN_S = 120.0
ENDS_WITHIN_S = 90.0
SEEN_WITHIN_S = 60.0


def test_one_id_finds_a_requests_lines_its_metric_and_its_trace(stack: Stack) -> None:
    request_id = secrets.token_hex(16)
    # The label of an exemplar is the last request's of its bucket: a quiet stack, and a route that nobody asks.
    request = Request(f"{stack.url}/info", headers={"X-Request-Id": request_id})  # noqa: S310
    with urlopen(request, timeout=10) as answer:  # noqa: S310 - our own stack
        assert answer.headers["X-Request-Id"] == request_id
        replica = answer.headers["X-Replica"]
    (line,) = _log_lines(stack, request_id)
    assert line["replica"] == replica
    assert json.loads(line["line"])["trace_id"] == request_id
    edge = _edge_line(stack, request_id)
    assert (edge["trace_id"], edge["replica"], edge["status"]) == (request_id, replica, 200)
    seen = _metrics_of(stack, replica)
    assert re.search(rf'route="/info".*# {{trace_id="{request_id}"}}', seen), "no exemplar"


def test_a_killed_replica_fires_an_alert_that_its_runbook_mends(stack: Stack) -> None:
    host, victim = stack.host(), _replicas(stack)[-1]
    watchdog = _named(stack, "watchdog")
    # Otherwise the replica would be back before the alert fires.
    host.run("docker", "stop", "--time", "1", watchdog)
    try:
        host.run("docker", "kill", victim)
        alert = until(lambda: _alert(stack, "ReplicasMissing"), within_s=FIRES_WITHIN_S)
        assert alert["labels"]["service"] == "app"
        assert alert["labels"]["host"] == "host-1"
        assert "1 of its replicas" in alert["annotations"]["summary"]
        book = alert["annotations"]["runbook"]
        _run(stack, _commands(stack, book, "Fix")[0], SERVICE="app", HOST="host-1")
        until(lambda: not _alert(stack, "ReplicasMissing"), within_s=ENDS_WITHIN_S)
    finally:
        host.run("docker", "start", watchdog)
    assert stack.service()["replicas"] == {"wanted": 5, "ready": 5}


def test_the_monitor_tells_how_the_journeys_and_the_pages_do(stack: Stack) -> None:
    done = stack.ship("monitor", "--once").must().document
    assert done["ok"]
    told = until(lambda: stack.query("e2e_web_vital_seconds"), within_s=SEEN_WITHIN_S)
    vitals = {(each["metric"]["page"], each["metric"]["vital"]) for each in told}
    assert {("/", "ttfb"), ("/", "lcp"), ("/monitor", "ttfb")} <= vitals
    assert all(
        0 < float(each["value"][1]) < 30 for each in told if each["metric"]["vital"] != "inp"
    )
    assert stack.query("e2e_layout_shift")
    (failed,) = stack.query("e2e_failed_journeys")
    assert failed["value"][1] == "0"
    assert len(stack.query("e2e_journey_success == 1")) > 10


def _replicas(stack: Stack) -> list[str]:
    return [each["name"] for each in stack.service()["hosts"][0]["replicas"]]


def _named(stack: Stack, part: str) -> str:
    label = f"label=py-cicd.name={part}"
    found = stack.host().run("docker", "ps", "--filter", label, "--format", "{{.Names}}")
    return found.split()[0]


def _log_lines(stack: Stack, word: str) -> list[dict[str, Any]]:
    call = stack.ship.start("logs", "app", "--grep", word, "--since", "2m")
    assert call.process.wait(60) == 0, call.said()
    return [json.loads(line) for line in call.out.read_text().splitlines()[:-1]]


def _edge_line(stack: Stack, request_id: str) -> dict[str, Any]:
    lines = stack.host().run("docker", "logs", "--since", "2m", _named(stack, "edge")).splitlines()
    line: dict[str, Any] = json.loads(next(each for each in lines if request_id in each))
    return line


def _metrics_of(stack: Stack, replica: str) -> str:
    asks = (
        "import urllib.request as u; accept = {'Accept': 'application/openmetrics-text; version=1.0.0'};"
        " print(u.urlopen(u.Request('http://127.0.0.1:9100/metrics', headers=accept)).read().decode())"
    )
    return stack.host().run("docker", "exec", replica, "python3", "-c", asks)


def _alert(stack: Stack, name: str) -> dict[str, Any] | None:
    """The alert as Alertmanager has it, None where it doesn't fire."""
    url = stack.environment()["metrics"]["alertmanager_url"]
    firing: Any = fetch(f"{url}/api/v2/alerts?active=true&filter=alertname%3D{name}")
    return firing[0] if firing else None


def _commands(stack: Stack, book: str, part: str) -> list[str]:
    """The commands of a runbook's part, a text a block."""
    text = (stack.ship.root / book).read_text()
    section = text.partition(f"\n## {part}\n")[2].partition("\n## ")[0]
    return re.findall(r"```sh\n(.*?)```", section, re.DOTALL)


def _run(stack: Stack, commands: str, **variables: str) -> None:
    environ = {**os.environ, **variables, "ENV": str(stack.environment_file)}
    done = subprocess.run(
        ["sh", "-eu", "-c", commands],
        cwd=stack.ship.root,
        env=environ,
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
