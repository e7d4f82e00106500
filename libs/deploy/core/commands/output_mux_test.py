"""Multiplexes the lines of many replicas with the real sh and awk and a fake `docker`."""

from __future__ import annotations

import os
import subprocess
from collections import defaultdict
from pathlib import Path

import pytest

from deploy.core.commands import shell
from deploy.core.commands.output_mux import (
    INTERRUPTED,
    Exited,
    OutputLine,
    OutputMux,
    execute,
    follow,
)
from deploy.core.commands.paths import ROOT
from deploy.core.state.ledger import (
    EXEC,
    Entry,
    broken_links,
    head_of,
    parse_ledger,
)

DOCKER = r"""#!/bin/sh
# logs ... NAME prints the file NAME; exec NAME COMMAND runs the command here.
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


def environ(fakes: Path) -> dict[str, str]:
    path = f"{fakes}:{os.environ.get('PATH', '/usr/bin:/bin')}"
    return {**os.environ, "PATH": path, "FAKES": str(fakes)}


def run(fakes: Path, argv: list[str]) -> list[OutputLine | Exited]:
    done = subprocess.run(argv, env=environ(fakes), capture_output=True, check=True)
    assert done.stderr == b""
    mux = OutputMux()
    fed = (mux.feed(line) for line in done.stdout.decode().split("\n"))
    return [output for output in fed if output is not None]


def by_replica(outputs: list[OutputLine | Exited]) -> dict[str, list[str]]:
    texts = defaultdict(list)
    for output in outputs:
        text = output.text if isinstance(output, OutputLine) else str(output.code)
        texts[output.replica].append(text)
    return texts


def test_lines_of_twenty_replicas_are_not_mixed(fakes: Path) -> None:
    long = "0123456789 äöü € " * 700
    printed = {
        f"app-r000001-{n}": [f"{n} begins", f"{n} {long}", "", f"{n} ends"] for n in range(20)
    }
    for name, lines in printed.items():
        (fakes / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    received = by_replica(run(fakes, follow(printed, since="10m", endless=True)))
    assert {name: [line for line in received[name] if line != "0"] for name in printed} == printed
    assert all("0" in received[name] for name in printed)


def test_last_line_without_newline_is_kept_apart(fakes: Path) -> None:
    for number in range(8):
        (fakes / f"app-{number}").write_text(f"half of {number}")
    names = [f"app-{number}" for number in range(8)]
    received = by_replica(run(fakes, follow(names, since="1h", endless=False)))
    assert {name: sorted(received[name]) for name in names} == {
        name: ["0", f"half of {name[-1]}"] for name in names
    }


def test_bytes_that_are_not_utf_8_pass_unchanged(fakes: Path) -> None:
    (fakes / "app-1").write_bytes(b"\x80" * 9000 + b"\n")
    argv = follow(["app-1"], since="1h", endless=False)
    done = subprocess.run(argv, env=environ(fakes), capture_output=True, check=True)
    assert done.stdout.count(b"\x80") == 9000


def test_failed_docker_logs_has_its_exit_code(fakes: Path) -> None:
    (fakes / "app-1").write_text("gone\n")
    (fakes / "app-1.fails").touch()
    received = run(fakes, follow(["app-1"], since="1h", endless=False))
    assert Exited("app-1", 1) in received


ENTRY = Entry(0, "2026-11-02T09:00:00+00:00", "ada 'b'", EXEC, "app", "r1", 0, "effect", what="id")


def executing(fakes: Path, names: list[str], command: list[str]) -> list[str]:
    """Returns argv of the command, with the ledger below `fakes`."""
    argv = execute(names, command, head_of(ENTRY))
    return [word.replace(ROOT, str(fakes / "root")) for word in argv]


def recorded(fakes: Path) -> list[tuple[str, str, int]]:
    """Returns (who, what, exit code) of the ledger's entries, and checks that the ledger is intact."""
    ledger = fakes / "root" / "ledger.jsonl"
    text = ledger.read_text()
    assert broken_links(text, ledger.with_name("ledger.jsonl.seal").read_text()) == ()
    return [(entry.who, entry.what, entry.code) for entry in parse_ledger(text)]


def test_command_runs_in_each_replica_and_the_ledger_has_the_highest_exit_code(fakes: Path) -> None:
    command = ["sh", "-c", 'echo "$1 in $2"; echo why >&2; exit ${2##*-}', "sh", "a b; c"]
    names = [f"app-{number}" for number in range(10)]
    received = by_replica(run(fakes, executing(fakes, names, command)))
    assert {name: sorted(received[name]) for name in names} == {
        name: sorted([f"a b; c in {name}", "why", name[-1]]) for name in names
    }
    assert recorded(fakes) == [("ada 'b'", "id", 9)]
    run(fakes, executing(fakes, ["app-0"], ["true"]))
    assert recorded(fakes) == [("ada 'b'", "id", 9), ("ada 'b'", "id", 0)]


def test_exit_comes_after_all_lines_of_its_replica(fakes: Path) -> None:
    received = run(fakes, executing(fakes, ["app-1"], ["sh", "-c", "echo one; printf two"]))
    assert received == [OutputLine("app-1", "one"), OutputLine("app-1", "two"), Exited("app-1", 0)]


def test_command_of_a_vanished_caller_is_ended_and_recorded(fakes: Path) -> None:
    command = ["sh", "-c", "echo begun; exec sleep 600"]
    argv = shell.watched(executing(fakes, ["app-1", "app-2"], command))
    pipe = subprocess.PIPE
    with subprocess.Popen(argv, env=environ(fakes), stdin=pipe, stdout=pipe) as caller:
        assert caller.stdout is not None
        assert caller.stdin is not None
        begun = [caller.stdout.readline() for _ in range(2)]
        assert sorted(begun) == [b"app-1 + begun\n", b"app-2 + begun\n"]
        caller.stdin.close()
        caller.wait(60)
    assert recorded(fakes) == [("ada 'b'", "id", INTERRUPTED)]


def test_command_that_cannot_be_recorded_fails(fakes: Path) -> None:
    (fakes / "root" / "ledger.jsonl").mkdir(parents=True)
    argv = executing(fakes, ["app-1"], ["true"])
    done = subprocess.run(argv, env=environ(fakes), capture_output=True, check=False)
    assert done.returncode == 1
    assert done.stdout.endswith(b"the ledger can't be written\n")
