"""The scripts that count an access log, run by sh and awk on lines as nginx writes them."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from deploy.core.analysis.access_log import (
    JOURNEYS,
    SYNTHETIC_PREFIX,
    VERIFICATION_ID,
    Origin,
    by_second,
    count_requests,
    parse_counts,
)

NEW, OLD = "app_r000002_abc", "app_r000001_abc"
COUNT = count_requests(1763964000.5, 1763964010.25)
type Run = Callable[..., str]


def line(upstream: str = NEW, status: int = 200, seconds: str = "0.012", **more: str) -> str:
    """Returns a line in nginx.conf's log_format."""
    fields = {
        "time": "2026-11-24T05:00:00+00:00",
        "request_id": "0123456789abcdef",
        "service": "app",
        "upstream": upstream,
        "replica": "app-r000002-1",
        "release": "r000002-abc",
        "method": "GET",
        "path": "/",
        "upstream_address": "10.213.0.129:8080",
        **more,
    }
    head = json.dumps(fields, separators=(",", ":"))[:-1]
    return f'{head},"status":{status},"bytes":9,"seconds":{seconds}' + "}"


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Runs a script with a fake docker that has one edge with these lines in its log."""

    def run(*lines: str, argv: list[str] = COUNT) -> str:
        (tmp_path / "log").write_text("\n".join(lines) + "\n", encoding="utf-8")
        docker = tmp_path / "docker"
        script = 'case $1 in ps) echo edge;; logs) echo "$@" >> calls; cat log; echo err >&2;; esac'
        docker.write_text(f"#!/bin/sh\ncd {tmp_path}\n{script}\n", encoding="utf-8")
        docker.chmod(0o755)
        done = subprocess.run(
            argv,
            env={"PATH": f"{tmp_path}:/usr/bin:/bin"},
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stderr == ""
        return done.stdout

    return run


def rows(text: str) -> set[str]:
    return set(text.splitlines())


def test_requests_are_counted_by_upstream_address_status_and_time(run: Run, tmp_path: Path) -> None:
    text = run(
        line(),
        line(),
        line(status=502, upstream_address="10.213.0.129:8080, 10.213.0.130:8080"),
        line(OLD, seconds="0.123"),
        line(OLD, seconds="1.234", upstream_address=""),
    )
    assert rows(text) == {
        f"users {NEW} 10.213.0.129:8080 200 12 2",
        f"users {NEW} 10.213.0.130:8080 502 12 1",
        f"users {OLD} 10.213.0.129:8080 200 125 1",
        f"users {OLD} - 200 1250 1",
    }
    assert (
        tmp_path / "calls"
    ).read_text() == "logs --since 1763964000.500 --until 1763964010.250 edge\n"
    assert parse_counts(text)[Origin.USERS, NEW].total.errors == 1


def test_synthetic_requests_are_counted_apart_and_verification_requests_not_at_all(
    run: Run,
) -> None:
    text = run(line(request_id=f"{SYNTHETIC_PREFIX}7"), line(request_id=VERIFICATION_ID), line())
    assert rows(text) == {
        f"synthetic {NEW} 10.213.0.129:8080 200 12 1",
        f"users {NEW} 10.213.0.129:8080 200 12 1",
    }


def test_browser_journeys_are_neither_users_nor_evidence(run: Run) -> None:
    text = run(line(origin="journeys", status=502), line(origin="users"))
    assert rows(text) == {f"users {NEW} 10.213.0.129:8080 200 12 1"}


def test_synthetic_requests_of_another_analysis_are_not_counted(run: Run) -> None:
    ours, other = (line(request_id=f"{SYNTHETIC_PREFIX}{name}-1") for name in "ab")
    text = run(ours, other, ours, argv=count_requests(0, 9, f"{SYNTHETIC_PREFIX}a-"))
    assert text == f"synthetic {NEW} 10.213.0.129:8080 200 12 2\n"


def test_lines_without_a_release_or_an_answer_are_skipped(run: Run) -> None:
    assert run(line(upstream=""), line(status=499), "nginx: [warn] something", "") == ""


def test_a_path_cannot_imitate_another_field(run: Run) -> None:
    text = run(line(path='/x","status":599,"upstream":"app_evil'))
    assert rows(text) == {f"users {NEW} 10.213.0.129:8080 200 12 1"}


def test_seconds_count_users_and_synthetic_requests_apart_and_no_verification(run: Run) -> None:
    stamp = "2026-11-24T05:00:00.123456789Z "
    text = run(
        stamp + line(),
        stamp + line(request_id=f"{SYNTHETIC_PREFIX}7"),
        stamp + line(origin=JOURNEYS),
        stamp + line(request_id=VERIFICATION_ID),
        argv=by_second(0, 9),
    )
    assert rows(text) == {
        f"2026-11-24T05:00:00 users {NEW} 200 12 1",
        f"2026-11-24T05:00:00 synthetic {NEW} 200 12 2",
    }
