"""Runs the commands for the lock, effects and ledger on this machine, below another root."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from deploy.core.bootstrap import PRIVATE
from deploy.core.commands import locks
from deploy.core.state.ledger import (
    Entry,
    broken_links,
    head_of,
    parse_ledger,
)
from deploy.testing.local_root import LocalRoot

ENTRY = Entry(
    3, "2026-11-02T09:00:00+00:00", "a 'b' \"$c\" \\ é", "deploy", "app", "r1", 1, "effect"
)
HEAD = head_of(ENTRY)


@pytest.fixture
def machine(tmp_path: Path) -> LocalRoot:
    return LocalRoot.at(tmp_path / "root with a space")


TakeLock = Callable[[str], subprocess.Popen[bytes]]


@pytest.fixture
def take_lock(machine: LocalRoot) -> Iterator[TakeLock]:
    held: list[subprocess.Popen[bytes]] = []

    def take(token: str) -> subprocess.Popen[bytes]:
        process = machine.start(locks.take(token, json.dumps({"who": f"'{token}' $HOME"})))
        held.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        return process

    yield take
    for process in held:
        _release(process)
        assert process.stdout is not None
        process.stdout.close()


def _release(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None
    process.stdin.close()
    process.wait(timeout=10)


def test_lock_is_held_until_stdin_ends(machine: LocalRoot, take_lock: TakeLock) -> None:
    first = take_lock("one")
    assert machine.run(locks.take("two", "{}")).returncode == locks.LOCK_TAKEN
    assert json.loads(machine.read("holder.json")) == {"who": "'one' $HOME"}
    _release(first)
    take_lock("two")
    assert machine.read("token") == "two"


def test_nobody_else_can_enter_the_folder_or_read_its_private_files(
    machine: LocalRoot, take_lock: TakeLock
) -> None:
    """Files and modes of earlier versions are closed, too."""
    machine.root.chmod(0o755)
    logs = machine.root / "services/app/rollouts"
    logs.mkdir(parents=True)
    for path in (machine.root / "lock", machine.root / "secrets.key", logs / "000001.json"):
        path.touch()
        path.chmod(0o644)
    take_lock("one")
    machine.run(locks.record("one", HEAD))
    found = {
        path.name: path.stat().st_mode & 0o777 for path in machine.root.iterdir() if path.is_file()
    }
    assert found == dict.fromkeys(PRIVATE, 0o600)
    assert machine.root.stat().st_mode & 0o777 == 0o700
    assert (logs / "000001.json").stat().st_mode & 0o077 == 0


def test_the_holder_that_is_named_is_the_process_that_holds_the_lock(
    machine: LocalRoot, take_lock: TakeLock
) -> None:
    def holder() -> dict[str, str]:
        return locks.parse_holder(machine.run(locks.holder()).stdout.decode())

    first = take_lock("one")
    assert holder() == {"who": "'one' $HOME"}
    _release(first)
    other = machine.start(["flock", str(machine.root / "lock"), "sh", "-c", "echo held; cat"])
    assert other.stdout is not None
    assert other.stdout.readline() == b"held\n"
    assert machine.run(locks.take("two", "{}")).returncode == locks.LOCK_TAKEN
    found = holder()
    _release(other)
    other.stdout.close()
    assert re.fullmatch(r"process \d+ of \w+, which is no deploy", found["who"])
    assert found["verb"] in ("flock", "sh", "cat")


def test_query_of_the_lock_refuses_no_holder(machine: LocalRoot) -> None:
    query = machine.start(["flock", "--shared", str(machine.root / "lock"), "sleep", "0.1"])
    held = machine.start(locks.take("one", "{}"))
    assert held.stdout is not None
    assert held.stdout.readline() == b"held\n"
    for process in (query, held):
        process.communicate()


def test_entries_can_be_recorded_without_the_lock(machine: LocalRoot, take_lock: TakeLock) -> None:
    take_lock("one")
    machine.run(locks.record_unlocked(HEAD))
    machine.run(locks.record_unlocked(HEAD))
    text = machine.read("ledger.jsonl")
    assert [replace(entry, at="") for entry in parse_ledger(text)] == [ENTRY, ENTRY]
    assert broken_links(text, machine.read("ledger.jsonl.seal")) == ()


def test_only_the_holder_can_run_effects(machine: LocalRoot, take_lock: TakeLock) -> None:
    _release(take_lock("one"))
    assert machine.run(locks.effect("one", HEAD, ["echo", "a b"], 5)).stdout == b"a b\n"
    take_lock("two")
    refused = machine.run(locks.effect("one", HEAD, ["touch", str(machine.root / "done")], 5))
    assert refused.returncode == locks.FENCED
    assert not (machine.root / "done").exists()
    assert machine.run(locks.effect("two", HEAD, ["cat"], 5), b"in").stdout == b"in"


def test_next_holder_waits_for_a_running_effect_of_the_last_one(
    machine: LocalRoot, take_lock: TakeLock, tmp_path: Path
) -> None:
    _release(take_lock("one"))
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    slow = machine.start(
        locks.effect("one", HEAD, ["sh", "-c", 'echo begun; cat "$1"', "sh", str(fifo)], 20)
    )
    assert slow.stdout is not None
    assert slow.stdout.readline() == b"begun\n"
    next_one = machine.start(locks.take("two", "{}"))
    assert machine.read("token") == "one"
    fifo.write_text("continue\n")
    assert next_one.stdout is not None
    assert next_one.stdout.readline() == b"held\n"
    assert slow.stdout.read() == b"continue\n"
    for process in (slow, next_one):
        _release(process)
        assert process.stdout is not None
        process.stdout.close()
    assert machine.read("token") == "two"


def test_effect_ends_at_its_time_limit(machine: LocalRoot, take_lock: TakeLock) -> None:
    take_lock("one")
    assert machine.run(locks.effect("one", HEAD, ["sleep", "60"], 0.2)).returncode == 124


def test_every_effect_is_recorded_with_its_exit_code(
    machine: LocalRoot, take_lock: TakeLock
) -> None:
    take_lock("one")
    assert machine.run(locks.effect("one", HEAD, ["sh", "-c", "exit 7"], 5)).returncode == 7
    assert machine.run(locks.effect("one", HEAD, ["sleep", "60"], 0.2)).returncode == 124
    assert machine.run(locks.record("one", HEAD)).returncode == 0
    text = machine.read("ledger.jsonl")
    found = parse_ledger(text)
    assert [entry.code for entry in found] == [7, 124, 0]
    assert replace(found[2], at="") == ENTRY
    assert [entry.at for entry in found] == sorted(entry.at for entry in found)
    assert all(datetime.fromisoformat(entry.at).utcoffset() == timedelta() for entry in found)
    assert broken_links(text, machine.read("ledger.jsonl.seal")) == ()


def test_refused_effect_is_not_recorded(machine: LocalRoot, take_lock: TakeLock) -> None:
    take_lock("two")
    for argv in (locks.effect("one", HEAD, ["true"], 5), locks.record("one", HEAD)):
        assert machine.run(argv).returncode == locks.FENCED
    assert not (machine.root / "ledger.jsonl").exists()


def test_line_after_a_torn_one_is_complete(machine: LocalRoot, take_lock: TakeLock) -> None:
    take_lock("one")
    machine.run(locks.record("one", HEAD))
    with (machine.root / "ledger.jsonl").open("a") as ledger:
        ledger.write('{"torn": ')
    machine.run(locks.record("one", HEAD))
    text = machine.read("ledger.jsonl")
    assert text.splitlines()[1] == '{"torn": '
    assert [replace(entry, at="") for entry in parse_ledger(text)] == [ENTRY, ENTRY]
    assert broken_links(text, machine.read("ledger.jsonl.seal")) == (2,)


def test_concurrent_effects_make_one_chain_of_lines(
    machine: LocalRoot, take_lock: TakeLock
) -> None:
    take_lock("one")
    started = [machine.start(locks.effect("one", HEAD, ["true"], 5)) for _ in range(8)]
    for process in started:
        _release(process)
        assert process.stdout is not None
        process.stdout.close()
    text = machine.read("ledger.jsonl")
    assert len(parse_ledger(text)) == 8
    assert broken_links(text, machine.read("ledger.jsonl.seal")) == ()


def test_seal_reveals_a_missing_end(machine: LocalRoot, take_lock: TakeLock) -> None:
    take_lock("one")
    for _ in range(3):
        machine.run(locks.record("one", HEAD))
    lines, seal = machine.read("ledger.jsonl").splitlines(), machine.read("ledger.jsonl.seal")
    assert broken_links("\n".join(lines[:2]) + "\n", seal) == (3,)
    assert broken_links("", seal) == (1,)
    changed = lines[2].replace("deploy", "delete")
    assert broken_links("\n".join([*lines[:2], changed]) + "\n", seal) == (3,)


def test_effect_that_cannot_be_recorded_keeps_its_exit_code_and_says_so(
    machine: LocalRoot, take_lock: TakeLock
) -> None:
    _release(take_lock("one"))
    (machine.root / "ledger.jsonl").mkdir()
    for code in (0, 3):
        done = machine.run(locks.effect("one", HEAD, ["sh", "-c", f"exit {code}"], 5))
        assert done.returncode == code
        assert b"the ledger can't be written" in done.stderr
    assert machine.run(locks.record("one", HEAD)).returncode != 0
