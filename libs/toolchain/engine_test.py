"""Tests of the engine's address, ping, and of what is stopped and what never is."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from toolchain.engine import Engine, _start_time, start, stop_if_ours, this_engine
from toolchain.engine_fixture import ServedEngine
from toolchain.errors import PersonNeededError
from toolchain.machine import Machine
from toolchain.paths import Places


@pytest.fixture
def places(tmp_path: Path) -> Places:
    (tmp_path / "state").mkdir()
    return Places(tmp_path, tmp_path / "cache", tmp_path / "state")


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "60"]) as process:
        yield process
        process.kill()


def test_docker_host_names_the_engine() -> None:
    assert this_engine({}).is_local
    assert this_engine({"DOCKER_HOST": ""}).is_local
    assert not this_engine({"DOCKER_HOST": "tcp://127.0.0.1:1"}).is_local


def test_a_ping_tells_an_engine_from_none(tmp_path: Path) -> None:
    with ServedEngine(tmp_path / "docker.sock") as served:
        assert served.engine.answers()
        assert served.engine.containers() == 1
    assert not served.engine.answers()
    assert not ServedEngine.nobody(tmp_path).answers()


def test_an_engine_that_answers_is_not_started_nor_ours(tmp_path: Path, places: Places) -> None:
    with ServedEngine(tmp_path / "docker.sock") as served:
        start(served.engine, Machine(tmp_path, (), is_root=True), places)
    assert list(places.state.iterdir()) == []


def test_an_engine_elsewhere_is_the_users_to_start(tmp_path: Path, places: Places) -> None:
    elsewhere = Engine(f"unix://{tmp_path}/other.sock")
    with pytest.raises(PersonNeededError, match="unset DOCKER_HOST"):
        start(elsewhere, Machine(tmp_path, (), is_root=True), places)


def test_without_a_record_nothing_is_stopped(places: Places) -> None:
    assert not stop_if_ours(places, by="up")


def test_another_process_with_the_recorded_number_lives_on(
    places: Places, sleeper: subprocess.Popen[bytes]
) -> None:
    record = places.state / "engine.json"
    record.write_text(json.dumps({"pid": sleeper.pid, "started": "1", "by": "up"}))
    assert not stop_if_ours(places, by="up")
    assert sleeper.poll() is None
    assert not record.exists()


def test_what_another_verb_started_goes_on(
    places: Places, sleeper: subprocess.Popen[bytes]
) -> None:
    record = places.state / "engine.json"
    ours = {"pid": sleeper.pid, "started": _start_time(sleeper.pid), "by": "test"}
    record.write_text(json.dumps(ours))
    assert not stop_if_ours(places, by="up")
    assert sleeper.poll() is None
    assert record.exists()


def test_the_start_time_tells_processes_apart(sleeper: subprocess.Popen[bytes]) -> None:
    assert _start_time(sleeper.pid) != _start_time(os.getpid())
    sleeper.kill()
    sleeper.wait()
    assert _start_time(sleeper.pid) is None
