"""Lines of many replicas over one channel, with the real sh and sed and a docker that prints what it is told."""

from __future__ import annotations

import os
import subprocess
from collections import defaultdict
from pathlib import Path

import pytest

from deploy.core.chorus import Chorus, Ended, Spoken, execute, follow

DOCKER = r"""#!/bin/sh
# logs ... NAME and exec NAME COMMAND, as the test wants them.
verb=$1
shift
case $verb in
logs) for name in "$@"; do :; done; cat "$FAKES/$name"; [ -e "$FAKES/$name.fails" ] && exit 1; exit 0 ;;
exec) name=$1; shift; exec "$@" "$name" ;;
esac
"""


@pytest.fixture
def fakes(tmp_path: Path) -> Path:
    (tmp_path / "docker").write_text(DOCKER)
    (tmp_path / "docker").chmod(0o755)
    return tmp_path


def run(fakes: Path, argv: list[str]) -> list[Spoken | Ended]:
    environ = {
        **os.environ,
        "PATH": f"{fakes}:{os.environ.get('PATH', '/usr/bin:/bin')}",
        "FAKES": str(fakes),
    }
    done = subprocess.run(argv, env=environ, capture_output=True, check=True)
    assert done.stderr == b""
    chorus = Chorus()
    taken = (chorus.take(line) for line in done.stdout.decode().split("\n"))
    return [each for each in taken if each is not None]


def by_replica(heard: list[Spoken | Ended]) -> dict[str, list[str]]:
    found = defaultdict(list)
    for each in heard:
        found[each.replica].append(each.text if isinstance(each, Spoken) else str(each.code))
    return found


def test_twenty_replicas_speak_at_once_and_no_line_is_mixed(fakes: Path) -> None:
    long = "0123456789 äöü € " * 700
    said = {f"app-r000001-{n}": [f"{n} begins", f"{n} {long}", "", f"{n} ends"] for n in range(20)}
    for name, lines in said.items():
        (fakes / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    heard = by_replica(run(fakes, follow(said, since="10m", endless=True)))
    assert {name: [line for line in heard[name] if line != "0"] for name in said} == said
    assert all("0" in heard[name] for name in said)


def test_a_last_line_without_its_end_spoils_no_other(fakes: Path) -> None:
    for number in range(8):
        (fakes / f"app-{number}").write_text(f"half of {number}")
    names = [f"app-{number}" for number in range(8)]
    heard = by_replica(run(fakes, follow(names, since="1h", endless=False)))
    assert {name: sorted(heard[name]) for name in names} == {
        name: ["0", f"half of {name[-1]}"] for name in names
    }


def test_bytes_that_are_no_text_come_through(fakes: Path) -> None:
    (fakes / "app-1").write_bytes(b"\x80" * 9000 + b"\n")
    argv = follow(["app-1"], since="1h", endless=False)
    environ = {
        **os.environ,
        "PATH": f"{fakes}:{os.environ.get('PATH', '/usr/bin:/bin')}",
        "FAKES": str(fakes),
    }
    done = subprocess.run(argv, env=environ, capture_output=True, check=True)
    assert done.stdout.count(b"\x80") == 9000


def test_logs_that_fail_say_so(fakes: Path) -> None:
    (fakes / "app-1").write_text("gone\n")
    (fakes / "app-1.fails").touch()
    heard = run(fakes, follow(["app-1"], since="1h", endless=False))
    assert Ended("app-1", 1) in heard


def test_a_command_runs_in_each_with_its_own_code(fakes: Path) -> None:
    command = ["sh", "-c", 'echo "$1 in $2"; echo why >&2; exit ${2##*-}', "sh", "a b; c"]
    names = [f"app-{number}" for number in range(10)]
    heard = by_replica(run(fakes, execute(names, command)))
    assert {name: sorted(heard[name]) for name in names} == {
        name: sorted([f"a b; c in {name}", "why", name[-1]]) for name in names
    }
