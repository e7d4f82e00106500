"""Lines of many replicas over one channel, with the real sh and sed and a docker that prints what it is told."""

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


def environ(fakes: Path) -> dict[str, str]:
    path = f"{fakes}:{os.environ.get('PATH', '/usr/bin:/bin')}"
    return {**os.environ, "PATH": path, "FAKES": str(fakes)}


def run(fakes: Path, argv: list[str]) -> list[OutputLine | Exited]:
    done = subprocess.run(argv, env=environ(fakes), capture_output=True, check=True)
    assert done.stderr == b""
    chorus = OutputMux()
    taken = (chorus.feed(line) for line in done.stdout.decode().split("\n"))
    return [each for each in taken if each is not None]


def by_replica(heard: list[OutputLine | Exited]) -> dict[str, list[str]]:
    found = defaultdict(list)
    for each in heard:
        found[each.replica].append(each.text if isinstance(each, OutputLine) else str(each.code))
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
    done = subprocess.run(argv, env=environ(fakes), capture_output=True, check=True)
    assert done.stdout.count(b"\x80") == 9000


def test_logs_that_fail_say_so(fakes: Path) -> None:
    (fakes / "app-1").write_text("gone\n")
    (fakes / "app-1.fails").touch()
    heard = run(fakes, follow(["app-1"], since="1h", endless=False))
    assert Exited("app-1", 1) in heard


ENTRY = Entry(0, "2026-11-02T09:00:00+00:00", "ada 'b'", EXEC, "app", "r1", 0, "effect", what="id")


def executing(fakes: Path, names: list[str], command: list[str]) -> list[str]:
    """The command line, with the ledger among the fakes."""
    argv = execute(names, command, head_of(ENTRY))
    return [word.replace(ROOT, str(fakes / "root")) for word in argv]


def written(fakes: Path) -> list[tuple[str, str, int]]:
    """Who did what and how it ended, as the ledger has it: each line whole and sealed."""
    ledger = fakes / "root" / "ledger.jsonl"
    text = ledger.read_text()
    assert broken_links(text, ledger.with_name("ledger.jsonl.seal").read_text()) == ()
    return [(each.who, each.what, each.code) for each in parse_ledger(text)]


def test_a_command_runs_in_each_with_its_own_code_and_one_line_tells_the_worst(fakes: Path) -> None:
    command = ["sh", "-c", 'echo "$1 in $2"; echo why >&2; exit ${2##*-}', "sh", "a b; c"]
    names = [f"app-{number}" for number in range(10)]
    heard = by_replica(run(fakes, executing(fakes, names, command)))
    assert {name: sorted(heard[name]) for name in names} == {
        name: sorted([f"a b; c in {name}", "why", name[-1]]) for name in names
    }
    assert written(fakes) == [("ada 'b'", "id", 9)]
    run(fakes, executing(fakes, ["app-0"], ["true"]))
    assert written(fakes) == [("ada 'b'", "id", 9), ("ada 'b'", "id", 0)]


def test_a_replica_s_end_comes_after_all_that_it_said(fakes: Path) -> None:
    heard = run(fakes, executing(fakes, ["app-1"], ["sh", "-c", "echo one; printf two"]))
    assert heard == [OutputLine("app-1", "one"), OutputLine("app-1", "two"), Exited("app-1", 0)]


def test_a_command_whose_caller_is_gone_is_ended_and_written_down(fakes: Path) -> None:
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
    assert written(fakes) == [("ada 'b'", "id", INTERRUPTED)]


def test_a_command_that_can_not_be_written_down_is_a_failure(fakes: Path) -> None:
    (fakes / "root" / "ledger.jsonl").mkdir(parents=True)
    argv = executing(fakes, ["app-1"], ["true"])
    done = subprocess.run(argv, env=environ(fakes), capture_output=True, check=False)
    assert done.returncode == 1
    assert done.stdout.endswith(b"the ledger can't be written\n")
