"""Runs the lock, effects and their record for real, under another root."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

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


Hold = Callable[[str], subprocess.Popen[bytes]]


@pytest.fixture
def hold(machine: LocalRoot) -> Iterator[Hold]:
    held: list[subprocess.Popen[bytes]] = []

    def take(token: str) -> subprocess.Popen[bytes]:
        process = machine.start(locks.hold(token, json.dumps({"who": f"'{token}' $HOME"})))
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


def test_the_lock_is_one_holders_until_its_stdin_ends(machine: LocalRoot, hold: Hold) -> None:
    first = hold("one")
    assert machine.run(locks.hold("two", "{}")).returncode == locks.LOCK_TAKEN
    assert json.loads(machine.read("holder.json")) == {"who": "'one' $HOME"}
    _let_go(first)
    hold("two")
    assert machine.read("token") == "two"


def test_asking_whether_it_is_held_refuses_nobody(machine: LocalRoot) -> None:
    asking = machine.start(["flock", "--shared", str(machine.root / "lock"), "sleep", "0.1"])
    held = machine.start(locks.hold("one", "{}"))
    assert held.stdout is not None
    assert held.stdout.readline() == b"held\n"
    for process in (asking, held):
        process.communicate()


def test_what_is_done_without_the_lock_is_recorded_too(machine: LocalRoot, hold: Hold) -> None:
    hold("one")
    machine.run(locks.record(HEAD))
    machine.run(locks.record(HEAD))
    text = machine.read("ledger.jsonl")
    assert [replace(entry, at="") for entry in parse_ledger(text)] == [ENTRY, ENTRY]
    assert broken_links(text, machine.read("ledger.jsonl.seal")) == ()


def test_an_effect_is_the_holders_alone(machine: LocalRoot, hold: Hold) -> None:
    _let_go(hold("one"))
    assert machine.run(locks.effect("one", HEAD, ["echo", "a b"], 5)).stdout == b"a b\n"
    hold("two")
    refused = machine.run(locks.effect("one", HEAD, ["touch", str(machine.root / "done")], 5))
    assert refused.returncode == locks.FENCED
    assert not (machine.root / "done").exists()
    assert machine.run(locks.effect("two", HEAD, ["cat"], 5), b"in").stdout == b"in"


def test_the_next_holder_waits_for_what_the_last_one_still_does(
    machine: LocalRoot, hold: Hold, tmp_path: Path
) -> None:
    _let_go(hold("one"))
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    slow = machine.start(
        locks.effect("one", HEAD, ["sh", "-c", 'echo begun; cat "$1"', "sh", str(gate)], 20)
    )
    assert slow.stdout is not None
    assert slow.stdout.readline() == b"begun\n"
    next_one = machine.start(locks.hold("two", "{}"))
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


def test_an_effect_ends_by_its_limit(machine: LocalRoot, hold: Hold) -> None:
    hold("one")
    assert machine.run(locks.effect("one", HEAD, ["sleep", "60"], 0.2)).returncode == 124


def test_an_effect_leaves_its_line_whatever_it_ends_with(machine: LocalRoot, hold: Hold) -> None:
    hold("one")
    assert machine.run(locks.effect("one", HEAD, ["sh", "-c", "exit 7"], 5)).returncode == 7
    assert machine.run(locks.effect("one", HEAD, ["sleep", "60"], 0.2)).returncode == 124
    assert machine.run(locks.note("one", HEAD)).returncode == 0
    text = machine.read("ledger.jsonl")
    found = parse_ledger(text)
    assert [entry.code for entry in found] == [7, 124, 0]
    assert replace(found[2], at="") == ENTRY
    assert [entry.at for entry in found] == sorted(entry.at for entry in found)
    assert all(datetime.fromisoformat(entry.at).utcoffset() == timedelta() for entry in found)
    assert broken_links(text, machine.read("ledger.jsonl.seal")) == ()


def test_what_the_lock_refuses_leaves_no_line(machine: LocalRoot, hold: Hold) -> None:
    hold("two")
    for argv in (locks.effect("one", HEAD, ["true"], 5), locks.note("one", HEAD)):
        assert machine.run(argv).returncode == locks.FENCED
    assert not (machine.root / "ledger.jsonl").exists()


def test_a_line_is_never_glued_to_a_torn_one(machine: LocalRoot, hold: Hold) -> None:
    hold("one")
    machine.run(locks.note("one", HEAD))
    with (machine.root / "ledger.jsonl").open("a") as ledger:
        ledger.write('{"torn": ')
    machine.run(locks.note("one", HEAD))
    text = machine.read("ledger.jsonl")
    assert text.splitlines()[1] == '{"torn": '
    assert [replace(entry, at="") for entry in parse_ledger(text)] == [ENTRY, ENTRY]
    assert broken_links(text, machine.read("ledger.jsonl.seal")) == (2,)


def test_lines_of_several_effects_at_once_make_one_chain(machine: LocalRoot, hold: Hold) -> None:
    hold("one")
    started = [machine.start(locks.effect("one", HEAD, ["true"], 5)) for _ in range(8)]
    for process in started:
        _let_go(process)
        assert process.stdout is not None
        process.stdout.close()
    text = machine.read("ledger.jsonl")
    assert len(parse_ledger(text)) == 8
    assert broken_links(text, machine.read("ledger.jsonl.seal")) == ()


def test_a_missing_end_is_found_by_the_seal(machine: LocalRoot, hold: Hold) -> None:
    hold("one")
    for _ in range(3):
        machine.run(locks.note("one", HEAD))
    lines, seal = machine.read("ledger.jsonl").splitlines(), machine.read("ledger.jsonl.seal")
    assert broken_links("\n".join(lines[:2]) + "\n", seal) == (3,)
    assert broken_links("", seal) == (1,)
    changed = lines[2].replace("deploy", "delete")
    assert broken_links("\n".join([*lines[:2], changed]) + "\n", seal) == (3,)


def test_an_effect_that_can_not_be_recorded_is_told_and_keeps_its_own_end(
    machine: LocalRoot, hold: Hold
) -> None:
    _let_go(hold("one"))
    (machine.root / "ledger.jsonl").mkdir()
    for code in (0, 3):
        done = machine.run(locks.effect("one", HEAD, ["sh", "-c", f"exit {code}"], 5))
        assert done.returncode == code
        assert b"the ledger can't be written" in done.stderr
    assert machine.run(locks.note("one", HEAD)).returncode != 0
