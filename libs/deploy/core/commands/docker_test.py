"""Runs the scripts on this machine, below another root and with a fake `docker`."""

from __future__ import annotations

import fcntl
import io
import json
import socket
import tarfile
import time
from pathlib import Path

import pytest

from deploy.core.commands import docker, files, paths, snapshot
from deploy.testing.local_root import LocalRoot


@pytest.fixture
def machine(tmp_path: Path) -> LocalRoot:
    return LocalRoot.at(tmp_path / "root with a space")


# Files.


def test_place_replaces_the_whole_folder(machine: LocalRoot) -> None:
    folder = paths.release_folder("app", "r000001-abc")
    for text in ("first", "second"):
        tar = files.tar_of((("a", text, 0o644), ("b/c", "deep", 0o600)))
        assert machine.run(files.place(folder), tar).returncode == 0
    placed = machine.root / "services/app/releases/r000001-abc"
    assert (placed / "a").read_text() == "second"
    assert (placed / "b/c").stat().st_mode & 0o777 == 0o600


def test_truncated_tar_leaves_the_folder_unchanged(machine: LocalRoot) -> None:
    folder = paths.release_folder("app", "r000001-abc")
    tar = files.tar_of((("a", "x" * 5000, 0o644), ("b", "y", 0o644)))
    assert machine.run(files.place(folder), tar).returncode == 0
    assert machine.run(files.place(folder), tar.replace(b"x", b"z")[:3000]).returncode != 0
    assert machine.read("services/app/releases/r000001-abc/a") == "x" * 5000


def test_overlay_keeps_other_files(machine: LocalRoot) -> None:
    machine.run(files.overlay(f"{paths.ROOT}/edge"), files.tar_of((("a", "1", 0o644),)))
    machine.run(files.overlay(f"{paths.ROOT}/edge"), files.tar_of((("b", "2", 0o644),)))
    assert (machine.read("edge/a"), machine.read("edge/b")) == ("1", "2")


def test_seed_keeps_existing_files(machine: LocalRoot) -> None:
    folder = f"{paths.ROOT}/edge"
    machine.run(files.overlay(folder), files.tar_of((("conf/a", "1", 0o644),)))
    tar = files.tar_of((("conf/a", "2", 0o644), ("conf/b", "2", 0o644)))
    assert machine.run(files.seed(folder), tar).returncode == 0
    assert (machine.read("edge/conf/a"), machine.read("edge/conf/b")) == ("1", "2")


def test_tar_contains_names_modes_and_texts_as_utf_8() -> None:
    with tarfile.open(fileobj=io.BytesIO(files.tar_of((("é", "ü\n", 0o600),)))) as archive:
        member = archive.getmembers()[0]
        content = archive.extractfile(member)
        assert content is not None
        assert (member.name, member.mode, content.read()) == ("é", 0o600, "ü\n".encode())


# Docker.


def test_pull_logs_in_by_stdin_and_removes_the_login(machine: LocalRoot) -> None:
    done = machine.run(
        docker.pull("AWS", "registry.example", ["a@sha256:1", "b@sha256:2"]), b"secret\n"
    )
    assert done.returncode == 0
    assert machine.calls() == [
        "login --username AWS --password-stdin registry.example",
        "pull --quiet a@sha256:1",
        "pull --quiet b@sha256:2",
    ]
    assert machine.read("fake/password") == "secret\n"
    assert machine.read("fake/config").startswith(f"{machine.root}/login.")
    assert not list(machine.root.glob("login.*"))


@pytest.mark.parametrize(("what", "code"), [("login", docker.LOGIN_FAILED), ("pull", 1)])
def test_refused_pull_removes_the_login_too(machine: LocalRoot, what: str, code: int) -> None:
    (machine.fake / what).write_text("1")
    done = machine.run(docker.pull("AWS", "registry.example", ["a@sha256:1"]), b"secret\n")
    assert done.returncode == code
    assert not list(machine.root.glob("login.*"))


def test_rollout_log_is_private(machine: LocalRoot) -> None:
    assert machine.run(files.keep_rollout_log("app", 7), b"{}\n").returncode == 0
    log = machine.root / "services/app/rollouts/000007.json"
    assert (log.read_text(), log.stat().st_mode & 0o777) == ("{}\n", 0o600)


def test_snapshot_has_one_line_per_fact(machine: LocalRoot) -> None:
    for release in ("r000001-a", "r000002-b"):
        tar = files.tar_of((("release.json", json.dumps({"id": release}) + "\n", 0o644),))
        machine.run(files.place(paths.release_folder("app", release)), tar)
    machine.run(
        files.overlay(paths.EDGE_CONF),
        files.tar_of((("routes.conf", "# 1\n# 2\n", 0o644),)),
    )
    machine.run(files.overlay(paths.TARGETS), files.tar_of((("app.json", "[]\n", 0o644),)))
    (machine.root / "ledger.jsonl").write_text(
        'first\n{"event": "effect"}\n{"event":"judged"}\ntor'
    )
    (machine.root / "services/app/hold.json").write_text('{"release": "r000002-b"}\n')
    with socket.create_server(("127.0.0.1", 0)) as taken:
        printed = machine.run(snapshot.take()).stdout.decode().splitlines()
        port = f"0100007F:{taken.getsockname()[1]:04X}"
    assert [line for line in printed if line.startswith("socket ") and port in line]
    lines = [line for line in printed if not line.startswith("socket ")]
    data, disk, now = lines.pop(2), lines.pop(2), lines.pop(-5)
    assert data == f"data {machine.fake}"
    assert int(disk.removeprefix("disk ")) > 0
    assert abs(int(now.removeprefix("now ")) - time.time()) < 60
    assert lines == [
        "engine 28.5.2",
        "compose 2.40.3",
        "image app@sha256:1234",
        'container {"Id": "0c1d"}',
        "network py-cicd",
        'release {"id": "r000001-a"}',
        'release {"id": "r000002-b"}',
        "routes # 1",
        "targets 37517e5f3dc66819f61f5a7bb8ace1921282415f10551d2defa5c3eb0985b570  app.json",
        "lines 3",
        "ledger first",
        "ledger tor",
        'hold {"release": "r000002-b"}',
    ]


def test_snapshot_names_the_holder_of_the_lock(machine: LocalRoot) -> None:
    assert b"\nholder " not in machine.run(snapshot.take()).stdout
    (machine.root / "holder.json").write_text('{"who": "ada"}\n')
    with (machine.root / "lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert b'\nholder {"who": "ada"}\n' in machine.run(snapshot.take()).stdout
    assert b"\nholder " not in machine.run(snapshot.take()).stdout


def test_network_of_a_running_container_is_not_asked_for(machine: LocalRoot) -> None:
    container = '{"State":{"Status":"running"},"NetworkSettings":{"Networks":{"py-cicd":{}}}}'
    (machine.fake / "container").write_text(f"container {container}\n")
    assert b"\nnetwork py-cicd\n" in machine.run(snapshot.take()).stdout
    assert not [call for call in machine.calls() if call.startswith("network")]


def test_old_rollout_logs_are_removed(machine: LocalRoot) -> None:
    for number in range(1, files.KEPT_ROLLOUT_LOGS + 3):
        assert machine.run(files.keep_rollout_log("app", number), b"{}").returncode == 0
    folder = machine.root / "services/app/rollouts"
    kept = sorted(file.name for file in folder.iterdir())
    assert (kept[0], len(kept)) == ("000003.json", files.KEPT_ROLLOUT_LOGS)


def test_snapshot_of_a_bare_host_succeeds(machine: LocalRoot) -> None:
    done = machine.run(snapshot.take())
    assert done.returncode == 0
    assert b"release" not in done.stdout


def test_snapshot_fails_if_the_engine_is_down(machine: LocalRoot) -> None:
    (machine.fake / "down").touch()
    assert machine.run(snapshot.take()).returncode == 1


@pytest.mark.parametrize("command", ["ps", "image"])
def test_snapshot_fails_if_the_engine_did_not_list_all(machine: LocalRoot, command: str) -> None:
    """While an engine starts, one client may fail and the next one succeed: that host isn't empty."""
    (machine.fake / f"broken-{command}").touch()
    done = machine.run(snapshot.take())
    assert done.returncode == 1
    assert done.stderr == b"it did not list its containers and images\n"
