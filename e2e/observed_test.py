"""Observability of a sandbox: one id finds a request everywhere, a fault fires its alert, the runbook fixes it."""

from __future__ import annotations

import json
import os
import re
import secrets
import subprocess
from typing import Any
from urllib.request import Request, urlopen

from e2e.live_sandbox import LiveSandbox, fetch
from e2e.ship import until

FIRES_WITHIN_S = 120.0
ENDS_WITHIN_S = 90.0
PUSHED_WITHIN_S = 60.0
FIX = "Fix"
"""The heading of a runbook's section with the commands that fix the fault."""


def test_request_id_is_in_the_logs_and_the_exemplar(sandbox: LiveSandbox) -> None:
    request_id = secrets.token_hex(16)
    # A bucket keeps the exemplar of its last request, so this takes a route that nothing else requests.
    request = Request(f"{sandbox.url}/info", headers={"X-Request-Id": request_id})  # noqa: S310
    with urlopen(request, timeout=10) as answer:  # noqa: S310 - our own sandbox
        assert answer.headers["X-Request-Id"] == request_id
        replica = answer.headers["X-Replica"]
    (line,) = _log_lines(sandbox, request_id)
    assert line["replica"] == replica
    assert json.loads(line["line"])["trace_id"] == request_id
    edge = _edge_line(sandbox, request_id)
    assert (edge["trace_id"], edge["replica"], edge["status"]) == (request_id, replica, 200)
    metrics = _metrics_of(sandbox, replica)
    assert re.search(rf'route="/info".*# {{trace_id="{request_id}"}}', metrics), "no exemplar"


def test_killed_replica_fires_an_alert_that_its_runbook_fixes(sandbox: LiveSandbox) -> None:
    host, victim = sandbox.host(), _replicas(sandbox)[-1]
    (watchdog,) = host.stack_containers("watchdog")
    # It would restart the replica before the alert fires.
    host.run("docker", "stop", "--time", "1", watchdog)
    try:
        host.run("docker", "kill", victim)
        alert = until(lambda: _alert(sandbox, "ReplicasMissing"), within_s=FIRES_WITHIN_S)
        assert alert["labels"]["service"] == "app"
        assert alert["labels"]["host"] == "host-1"
        assert "1 of its replicas" in alert["annotations"]["summary"]
        runbook = alert["annotations"]["runbook"]
        _run(sandbox, _commands(sandbox, runbook, FIX)[0], SERVICE="app", HOST="host-1")
        until(lambda: not _alert(sandbox, "ReplicasMissing"), within_s=ENDS_WITHIN_S)
    finally:
        host.run("docker", "start", watchdog)
    assert sandbox.service()["replicas"] == {"wanted": 5, "ready": 5}


def test_monitor_pushes_results_of_journeys_and_web_vitals(sandbox: LiveSandbox) -> None:
    document = sandbox.ship("monitor", "--once").expect_success().document
    assert document["ok"]
    series = until(lambda: sandbox.query("e2e_web_vital_seconds"), within_s=PUSHED_WITHIN_S)
    vitals = {(each["metric"]["page"], each["metric"]["vital"]) for each in series}
    assert {("/", "ttfb"), ("/", "lcp"), ("/monitor", "ttfb")} <= vitals
    assert all(
        0 < float(each["value"][1]) < 30 for each in series if each["metric"]["vital"] != "inp"
    )
    assert sandbox.query("e2e_layout_shift")
    (failed,) = sandbox.query("e2e_failed_journeys")
    assert failed["value"][1] == "0"
    assert len(sandbox.query("e2e_journey_success == 1")) > 10


def _replicas(sandbox: LiveSandbox) -> list[str]:
    return [replica["name"] for replica in sandbox.service()["hosts"][0]["replicas"]]


def _log_lines(sandbox: LiveSandbox, word: str) -> list[dict[str, Any]]:
    call = sandbox.ship.start("logs", "app", "--grep", word, "--since", "2m")
    assert call.process.wait(60) == 0, call.stderr()
    return [json.loads(line) for line in call.out.read_text().splitlines()[:-1]]


def _edge_line(sandbox: LiveSandbox, request_id: str) -> dict[str, Any]:
    host = sandbox.host()
    (edge,) = host.stack_containers("edge")
    lines = host.run("docker", "logs", "--since", "2m", edge).splitlines()
    line: dict[str, Any] = json.loads(next(text for text in lines if request_id in text))
    return line


def _metrics_of(sandbox: LiveSandbox, replica: str) -> str:
    program = (
        "import urllib.request as u; accept = {'Accept': 'application/openmetrics-text; version=1.0.0'};"
        " print(u.urlopen(u.Request('http://127.0.0.1:9100/metrics', headers=accept)).read().decode())"
    )
    return sandbox.host().run("docker", "exec", replica, "python3", "-c", program)


def _alert(sandbox: LiveSandbox, name: str) -> dict[str, Any] | None:
    """Returns the alert from Alertmanager; None if it doesn't fire."""
    url = sandbox.environment()["metrics"]["alertmanager_url"]
    firing: Any = fetch(f"{url}/api/v2/alerts?active=true&filter=alertname%3D{name}")
    return firing[0] if firing else None


def _commands(sandbox: LiveSandbox, runbook: str, heading: str) -> list[str]:
    """Returns the shell blocks of a runbook's section."""
    text = (sandbox.ship.root / runbook).read_text()
    section = text.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    return re.findall(r"```sh\n(.*?)```", section, re.DOTALL)


def _run(sandbox: LiveSandbox, commands: str, **variables: str) -> None:
    environ = {**os.environ, **variables, "ENV": str(sandbox.environment_file)}
    done = subprocess.run(
        ["sh", "-eu", "-c", commands],
        cwd=sandbox.ship.root,
        env=environ,
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
