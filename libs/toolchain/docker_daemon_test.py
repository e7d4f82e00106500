"""Tests of the Docker daemon: its address, the ping, and when set-up starts and stops it."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from toolchain.docker_daemon import (
    DockerDaemon,
    _start_time,
    configured_daemon,
    start_daemon,
    stop_daemon_started_by,
)
from toolchain.docker_daemon_fixture import FakeDockerDaemon
from toolchain.errors import PersonNeededError
from toolchain.machine import LocalMachine
from toolchain.paths import Paths


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    (tmp_path / "state").mkdir()
    return Paths(tmp_path, tmp_path / "cache", tmp_path / "state")


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "60"]) as process:
        yield process
        process.kill()


def test_docker_host_selects_the_daemon() -> None:
    assert configured_daemon({}).is_local
    assert configured_daemon({"DOCKER_HOST": ""}).is_local
    assert not configured_daemon({"DOCKER_HOST": "tcp://127.0.0.1:1"}).is_local


def test_a_ping_tells_whether_the_daemon_runs(tmp_path: Path) -> None:
    with FakeDockerDaemon(tmp_path / "docker.sock") as fake:
        assert fake.daemon.answers()
        assert fake.daemon.running_containers() == 1
    assert not fake.daemon.answers()
    assert not FakeDockerDaemon.absent(tmp_path).answers()


def test_a_running_daemon_is_used_and_not_recorded_as_started(tmp_path: Path, paths: Paths) -> None:
    with FakeDockerDaemon(tmp_path / "docker.sock") as fake:
        start_daemon(fake.daemon, LocalMachine(tmp_path, (), is_root=True), paths, verb="up")
    assert list(paths.state.iterdir()) == []


def test_a_daemon_named_by_docker_host_is_not_started(tmp_path: Path, paths: Paths) -> None:
    elsewhere = DockerDaemon(f"unix://{tmp_path}/other.sock")
    with pytest.raises(PersonNeededError, match="unset DOCKER_HOST"):
        start_daemon(elsewhere, LocalMachine(tmp_path, (), is_root=True), paths, verb="up")


def test_no_daemon_is_stopped_without_a_record(paths: Paths) -> None:
    assert not stop_daemon_started_by("up", paths)


def test_another_process_with_the_recorded_pid_is_not_stopped(
    paths: Paths, sleeper: subprocess.Popen[bytes]
) -> None:
    record = paths.state / "engine.json"
    record.write_text(json.dumps({"pid": sleeper.pid, "started": "1", "by": "up"}))
    assert not stop_daemon_started_by("up", paths)
    assert sleeper.poll() is None
    assert not record.exists()


def test_a_daemon_that_another_verb_started_is_not_stopped(
    paths: Paths, sleeper: subprocess.Popen[bytes]
) -> None:
    record = paths.state / "engine.json"
    recorded = {"pid": sleeper.pid, "started": _start_time(sleeper.pid), "by": "test"}
    record.write_text(json.dumps(recorded))
    assert not stop_daemon_started_by("up", paths)
    assert sleeper.poll() is None
    assert record.exists()


def test_start_times_distinguish_processes(sleeper: subprocess.Popen[bytes]) -> None:
    assert _start_time(sleeper.pid) != _start_time(os.getpid())
    sleeper.kill()
    sleeper.wait()
    assert _start_time(sleeper.pid) is None
