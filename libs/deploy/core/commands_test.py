"""Runs the scripts for real, under another root and with a made-up `docker` on the PATH."""

from __future__ import annotations

import io
import json
import os
import subprocess
import tarfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from deploy.core import commands

DOCKER = """#!/bin/sh
echo "$@" >> "$FAKE/calls"
case "$1" in
  login) cat > "$FAKE/password"; echo "$DOCKER_CONFIG" > "$FAKE/config"
    exit "$(cat "$FAKE/login" 2>/dev/null || echo 0)";;
  pull) [ -d "$DOCKER_CONFIG" ] || exit 9; exit "$(cat "$FAKE/pull" 2>/dev/null || echo 0)";;
  exec) cat "$FAKE/../edge/conf/routes.next.conf" > "$FAKE/judged"
    exit "$(cat "$FAKE/judge" 2>/dev/null || echo 0)";;
  version) [ -e "$FAKE/down" ] && exit 1; echo "engine 28.5.2";;
  compose) echo 2.40.3;;
  info) echo "$FAKE";;
  network) echo "network py-cicd";;
  image) echo "image app@sha256:1234";;
  ps) echo 0c1d;;
  inspect) echo 'container {"Id": "0c1d"}';;
esac
"""


@dataclass
class Machine:
    """This machine with another root for what our scripts touch, and a `docker` that writes down its calls."""

    root: Path

    @property
    def fake(self) -> Path:
        return self.root / "fake"

    def argv(self, argv: Sequence[str]) -> list[str]:
        return [word.replace(commands.ROOT, str(self.root)) for word in argv]

    def environment(self) -> dict[str, str]:
        path = f"{self.fake}:{os.environ['PATH']}"
        return {**os.environ, "PATH": path, "FAKE": str(self.fake)}

    def run(self, argv: Sequence[str], stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            self.argv(argv),
            input=stdin,
            capture_output=True,
            env=self.environment(),
            check=False,
            timeout=30,
        )

    def start(self, argv: Sequence[str]) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            self.argv(argv),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=self.environment(),
        )

    def calls(self) -> list[str]:
        found = self.fake / "calls"
        return found.read_text().splitlines() if found.exists() else []

    def read(self, name: str) -> str:
        return (self.root / name).read_text()


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    found = Machine(tmp_path / "root with a space")
    found.fake.mkdir(parents=True)
    docker = found.fake / "docker"
    docker.write_text(DOCKER)
    docker.chmod(0o755)
    return found


# The lock.

Hold = Callable[[str], subprocess.Popen[bytes]]


@pytest.fixture
def hold(machine: Machine) -> Iterator[Hold]:
    held: list[subprocess.Popen[bytes]] = []

    def take(token: str) -> subprocess.Popen[bytes]:
        process = machine.start(commands.hold(token, json.dumps({"who": f"'{token}' $HOME"})))
        held.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        return process

    yield take
    for process in held:
        _let_go(process)
        assert process.stdout is not None
        process.stdout.close()


def _let_go(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None
    process.stdin.close()
    process.wait(timeout=10)


def test_the_lock_is_one_holders_until_its_stdin_ends(machine: Machine, hold: Hold) -> None:
    first = hold("one")
    assert machine.run(commands.hold("two", "{}")).returncode == commands.LOCK_TAKEN
    assert json.loads(machine.read("holder.json")) == {"who": "'one' $HOME"}
    _let_go(first)
    hold("two")
    assert machine.read("token") == "two"


def test_an_effect_is_the_holders_alone(machine: Machine, hold: Hold) -> None:
    _let_go(hold("one"))
    assert machine.run(commands.effect("one", ["echo", "a b"], 5)).stdout == b"a b\n"
    hold("two")
    refused = machine.run(commands.effect("one", ["touch", str(machine.root / "done")], 5))
    assert refused.returncode == commands.FENCED
    assert not (machine.root / "done").exists()
    assert machine.run(commands.effect("two", ["cat"], 5), b"in").stdout == b"in"


def test_the_next_holder_waits_for_what_the_last_one_still_does(
    machine: Machine, hold: Hold, tmp_path: Path
) -> None:
    _let_go(hold("one"))
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    slow = machine.start(
        commands.effect("one", ["sh", "-c", 'echo begun; cat "$1"', "sh", str(gate)], 20)
    )
    assert slow.stdout is not None
    assert slow.stdout.readline() == b"begun\n"
    next_one = machine.start(commands.hold("two", "{}"))
    assert machine.read("token") == "one"
    gate.write_text("let go\n")
    assert next_one.stdout is not None
    assert next_one.stdout.readline() == b"held\n"
    assert slow.stdout.read() == b"let go\n"
    for process in (slow, next_one):
        _let_go(process)
        assert process.stdout is not None
        process.stdout.close()
    assert machine.read("token") == "two"


def test_an_effect_ends_by_its_limit(machine: Machine, hold: Hold) -> None:
    hold("one")
    assert machine.run(commands.effect("one", ["sleep", "60"], 0.2)).returncode == 124


# Files.


def test_a_folder_is_placed_whole(machine: Machine) -> None:
    folder = commands.release_folder("app", "r000001-abc")
    for text in ("first", "second"):
        tar = commands.tar_of((("a", text, 0o644), ("b/c", "deep", 0o600)))
        assert machine.run(commands.place(folder), tar).returncode == 0
    placed = machine.root / "services/app/releases/r000001-abc"
    assert (placed / "a").read_text() == "second"
    assert (placed / "b/c").stat().st_mode & 0o777 == 0o600


def test_a_tar_that_is_cut_off_leaves_the_folder_as_it_was(machine: Machine) -> None:
    folder = commands.release_folder("app", "r000001-abc")
    tar = commands.tar_of((("a", "x" * 5000, 0o644), ("b", "y", 0o644)))
    assert machine.run(commands.place(folder), tar).returncode == 0
    assert machine.run(commands.place(folder), tar.replace(b"x", b"z")[:3000]).returncode != 0
    assert machine.read("services/app/releases/r000001-abc/a") == "x" * 5000


def test_an_overlay_leaves_what_it_does_not_name(machine: Machine) -> None:
    machine.run(commands.overlay(f"{commands.ROOT}/edge"), commands.tar_of((("a", "1", 0o644),)))
    machine.run(commands.overlay(f"{commands.ROOT}/edge"), commands.tar_of((("b", "2", 0o644),)))
    assert (machine.read("edge/a"), machine.read("edge/b")) == ("1", "2")


def test_a_tar_holds_the_bytes_of_its_texts() -> None:
    with tarfile.open(fileobj=io.BytesIO(commands.tar_of((("é", "ü\n", 0o600),)))) as archive:
        member = archive.getmembers()[0]
        content = archive.extractfile(member)
        assert content is not None
        assert (member.name, member.mode, content.read()) == ("é", 0o600, "ü\n".encode())


def test_a_line_of_the_ledger_is_never_glued_to_a_torn_one(machine: Machine) -> None:
    for line in (b"one\n", b"tw", b"three\n"):
        assert machine.run(commands.append_ledger(), line).returncode == 0
    assert machine.read("ledger.jsonl") == "one\ntw\nthree\n"


# Docker.


def test_a_pull_logs_in_by_stdin_and_forgets_the_login(machine: Machine) -> None:
    done = machine.run(
        commands.pull("AWS", "registry.example", ["a@sha256:1", "b@sha256:2"]), b"secret\n"
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


@pytest.mark.parametrize(("what", "code"), [("login", commands.LOGIN_REFUSED), ("pull", 1)])
def test_a_refused_pull_forgets_the_login_too(machine: Machine, what: str, code: int) -> None:
    (machine.fake / what).write_text("1")
    done = machine.run(commands.pull("AWS", "registry.example", ["a@sha256:1"]), b"secret\n")
    assert done.returncode == code
    assert not list(machine.root.glob("login.*"))


@pytest.fixture
def edge(machine: Machine) -> Machine:
    conf = machine.root / "edge/conf"
    conf.mkdir(parents=True)
    (conf / "nginx.conf").write_text("include /etc/nginx/py-cicd/routes.conf;\n")
    (conf / "routes.conf").write_text("old\n")
    return machine


def test_routes_are_judged_then_replaced_then_taken_up(edge: Machine) -> None:
    assert edge.run(commands.replace_routes(4), b"new\n").returncode == 0
    assert edge.read("fake/judged") == "new\n"
    assert edge.read("edge/conf/routes.conf") == "new\n"
    exec_, kill = edge.calls()
    assert exec_.endswith("nginx -t -q -c /etc/nginx/py-cicd/nginx.next.conf")
    assert kill == f"kill --signal HUP {commands.EDGE}"
    assert sorted(path.name for path in (edge.root / "edge/conf").iterdir()) == [
        "nginx.conf",
        "routes.conf",
    ]


def test_routes_that_nginx_refuses_change_nothing(edge: Machine) -> None:
    (edge.fake / "judge").write_text("1")
    assert edge.run(commands.replace_routes(4), b"new\n").returncode == commands.NGINX_REFUSED
    assert edge.read("edge/conf/routes.conf") == "old\n"
    assert len(edge.calls()) == 1


def test_routes_that_are_cut_off_are_not_even_judged(edge: Machine) -> None:
    assert edge.run(commands.replace_routes(4), b"ne").returncode == 1
    assert edge.read("edge/conf/routes.conf") == "old\n"
    assert edge.calls() == []


def test_a_look_prints_a_line_a_fact(machine: Machine) -> None:
    for release in ("r000001-a", "r000002-b"):
        tar = commands.tar_of((("release.json", json.dumps({"id": release}) + "\n", 0o644),))
        machine.run(commands.place(commands.release_folder("app", release)), tar)
    machine.run(
        commands.overlay(commands.EDGE_CONF),
        commands.tar_of((("routes.conf", "# 1\n# 2\n", 0o644),)),
    )
    machine.run(commands.overlay(commands.TARGETS), commands.tar_of((("app.json", "[]\n", 0o644),)))
    machine.run(commands.append_ledger(), b"first\n")
    machine.run(commands.append_ledger(), b"tor")
    lines = machine.run(commands.look()).stdout.decode().splitlines()
    disk = lines.pop(2)
    assert int(disk.removeprefix("disk ")) > 0
    assert lines == [
        "engine 28.5.2",
        "compose 2.40.3",
        "network py-cicd",
        "image app@sha256:1234",
        'container {"Id": "0c1d"}',
        'release {"id": "r000001-a"}',
        'release {"id": "r000002-b"}',
        "routes # 1",
        "targets 37517e5f3dc66819f61f5a7bb8ace1921282415f10551d2defa5c3eb0985b570  app.json",
        "ledger first",
        "ledger tor",
    ]


def test_a_look_at_a_bare_host_is_no_failure(machine: Machine) -> None:
    done = machine.run(commands.look())
    assert done.returncode == 0
    assert b"release" not in done.stdout


def test_a_look_at_an_engine_that_is_down_is_a_failure(machine: Machine) -> None:
    (machine.fake / "down").touch()
    assert machine.run(commands.look()).returncode == 1
