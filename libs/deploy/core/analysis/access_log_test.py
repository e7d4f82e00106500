"""The count of an access log by the very shell and awk, on lines as nginx writes them."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from deploy.core.analysis.access_log import MARK, VERIFYING, count_requests, parse_counts

NEW, OLD = "app_r000002_abc", "app_r000001_abc"
type Count = Callable[..., str]


def line(upstream: str = NEW, status: int = 200, seconds: str = "0.012", **more: str) -> str:
    """One line of nginx.conf's log_format."""
    told = {
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
    head = json.dumps(told, separators=(",", ":"))[:-1]
    return f'{head},"status":{status},"bytes":9,"seconds":{seconds}' + "}"


@pytest.fixture
def count(tmp_path: Path) -> Count:
    """Runs the script with a docker that knows one edge and its log."""

    def run(*lines: str) -> str:
        (tmp_path / "log").write_text("\n".join(lines) + "\n", encoding="utf-8")
        docker = tmp_path / "docker"
        script = 'case $1 in ps) echo edge;; logs) echo "$@" >> asked; cat log; echo err >&2;; esac'
        docker.write_text(f"#!/bin/sh\ncd {tmp_path}\n{script}\n", encoding="utf-8")
        docker.chmod(0o755)
        done = subprocess.run(
            count_requests(1763964000.5, 1763964010.25),
            env={"PATH": f"{tmp_path}:/usr/bin:/bin"},
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stderr == ""
        return done.stdout

    return run


@pytest.fixture
def asked(tmp_path: Path) -> Path:
    return tmp_path / "asked"


def counted(text: str) -> set[str]:
    return set(text.splitlines())


def test_requests_are_counted_by_upstream_address_status_and_time(
    count: Count, asked: Path
) -> None:
    text = count(
        line(),
        line(),
        line(status=502, upstream_address="10.213.0.129:8080, 10.213.0.130:8080"),
        line(OLD, seconds="0.123"),
        line(OLD, seconds="1.234", upstream_address=""),
    )
    assert counted(text) == {
        f"users {NEW} 10.213.0.129:8080 200 12 2",
        f"users {NEW} 10.213.0.130:8080 502 12 1",
        f"users {OLD} 10.213.0.129:8080 200 125 1",
        f"users {OLD} - 200 1250 1",
    }
    assert asked.read_text() == "logs --since 1763964000.500 --until 1763964010.250 edge\n"
    assert parse_counts(text)["users", NEW].all.errors == 1


def test_synthetic_requests_are_told_apart_and_our_own_look_is_none(count: Count) -> None:
    text = count(line(request_id=f"{MARK}7"), line(request_id=VERIFYING), line())
    assert counted(text) == {
        f"synthetic {NEW} 10.213.0.129:8080 200 12 1",
        f"users {NEW} 10.213.0.129:8080 200 12 1",
    }


def test_synthetic_requests_of_another_verdict_are_none(tmp_path: Path) -> None:
    mine, other = line(request_id=f"{MARK}a-1"), line(request_id=f"{MARK}b-1")
    (tmp_path / "docker").write_text(
        f"#!/bin/sh\ncase $1 in ps) echo edge;; logs) cat {tmp_path}/log;; esac\n"
    )
    (tmp_path / "docker").chmod(0o755)
    (tmp_path / "log").write_text(f"{mine}\n{other}\n{mine}\n")
    done = subprocess.run(
        count_requests(0, 9, f"{MARK}a-"),
        env={"PATH": f"{tmp_path}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == f"synthetic {NEW} 10.213.0.129:8080 200 12 2\n"


def test_what_no_release_answered_is_passed_over(count: Count) -> None:
    assert count(line(upstream=""), line(status=499), "nginx: [warn] something", "") == ""


def test_a_path_can_not_pass_for_another_field(count: Count) -> None:
    text = count(line(path='/x","status":599,"upstream":"app_evil'))
    assert counted(text) == {f"users {NEW} 10.213.0.129:8080 200 12 1"}
