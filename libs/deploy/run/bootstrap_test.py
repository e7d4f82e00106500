"""Tests of checking and applying settings, on a server whose commands are scripted."""

from __future__ import annotations

import os
import pwd
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import cast

import pytest

from deploy.core.bootstrap import Activation, File, Folder, InEffect, JsonFile, Packages
from deploy.core.ports import Completed, Host
from deploy.errors import CommandError
from deploy.run.bootstrap import CheckedSetting, Server, check, make, problem_of
from deploy.testing.fleet.clock import SimulatedClock

SSHD = File("sshd settings", "/etc/sshd", "new\n", activation=Activation.RELOAD_SSH)
NO_FILE = Completed(1, "", "no such file")


class ScriptedHost:
    """A host that records its commands; `answer` decides how each ends."""

    name = "host-1"

    def __init__(self, answer: Callable[[str], Completed | None]) -> None:
        self.commands: list[str] = []
        self._answer = answer

    def run(self, argv: Sequence[str], *, stdin: bytes = b"", timeout_s: float = 60.0) -> Completed:
        del timeout_s
        command = " ".join([*argv, stdin.decode()]).strip()
        self.commands.append(command)
        return self._answer(command) or Completed(0, "", "")


def server(answer: Callable[[str], Completed | None], *, sudo: bool = False) -> Server:
    return Server(cast("Host", ScriptedHost(answer)), sudo)


def commands(of: Server) -> list[str]:
    return cast("ScriptedHost", of.host).commands


def test_setting_that_holds_has_no_problem() -> None:
    same = server(lambda _: Completed(0, "new\n", ""))
    assert list(check(same, [SSHD])) == [CheckedSetting("sshd settings")]


@pytest.mark.parametrize(
    ("setting", "done", "problem"),
    [
        (SSHD, NO_FILE, "/etc/sshd is missing"),
        (SSHD, Completed(0, "old\n", ""), "/etc/sshd has other content"),
        (Packages("packages", ("nftables",)), Completed(1, "", ""), "nftables not installed"),
        (
            Folder("folder", "/srv", "deploy"),
            Completed(0, "root 700\n", ""),
            "/srv belongs to root",
        ),
        (
            Folder("folder", "/srv", "deploy"),
            Completed(0, "deploy 755\n", ""),
            "/srv has mode 755, so other users can enter it",
        ),
        (JsonFile("json", "/d.json", {"a": 1}), Completed(0, '{"b": 2}', ""), "/d.json lacks a"),
        (JsonFile("json", "/d.json", {}), Completed(0, "[", ""), "/d.json is not a JSON object"),
        (InEffect("effect", ("x",), ("a 1",)), Completed(0, "b 2\n", ""), "not in effect: a 1"),
        (InEffect("effect", ("x",), ("a 1",)), Completed(3, "", ""), "exit code 3"),
        (InEffect("effect", ("x",), ("a 1",)), Completed(0, "A   1\n", ""), None),
    ],
)
def test_problem_of_a_setting(setting: File, done: Completed, problem: str | None) -> None:
    assert problem_of(server(lambda _: done), setting) == problem


class ThisMachine(ScriptedHost):
    """Runs the commands here."""

    def run(self, argv: Sequence[str], *, stdin: bytes = b"", timeout_s: float = 60.0) -> Completed:
        done = subprocess.run(
            argv, input=stdin, capture_output=True, check=False, timeout=timeout_s
        )
        return Completed(done.returncode, done.stdout.decode(), done.stderr.decode())


def test_private_files_that_others_can_read_are_found_and_closed(tmp_path: Path) -> None:
    owner = pwd.getpwuid(os.getuid()).pw_name
    folder = Folder("folder", str(tmp_path), owner, ("lock", "token"))
    here = Server(cast("Host", ThisMachine(lambda _: None)), sudo=False)
    tmp_path.chmod(0o700)
    for name, mode in (("lock", 0o644), ("token", 0o600), ("registry-login", 0o644)):
        (tmp_path / name).touch()
        (tmp_path / name).chmod(mode)
    assert problem_of(here, folder) == f"other users can read lock in {tmp_path}"
    (tmp_path / "lock").chmod(0o600)
    assert problem_of(here, folder) is None


def test_setting_is_applied_and_activated() -> None:
    written: list[str] = []

    def answer(command: str) -> Completed | None:
        if command.endswith("new"):
            written.append(command)
        return Completed(0, "new\n", "") if written else NO_FILE

    changed = server(lambda command: answer(command) if "/etc/sshd" in command else None)
    assert list(make(changed, [SSHD], SimulatedClock())) == [
        CheckedSetting("sshd settings", "/etc/sshd is missing", changed=True)
    ]
    assert "systemctl reload ssh" in commands(changed)
    assert "systemctl restart ssh" not in commands(changed)


def test_sshd_settings_that_sshd_refuses_are_undone() -> None:
    refusing = server(
        lambda command: {"sshd -t": Completed(255, "", "line 1: bad option")}.get(
            command, NO_FILE if command.startswith("sh -c") and "new" not in command else None
        )
    )
    with pytest.raises(CommandError, match="sshd refuses its settings: line 1: bad option"):
        list(make(refusing, [SSHD], SimulatedClock()))
    assert commands(refusing)[-1] == "rm -f /etc/sshd"


def test_setting_that_still_does_not_hold_is_an_error() -> None:
    lines = InEffect(
        "kernel settings in effect", ("sysctl", "a"), ("a = 1",), Activation.LOAD_SYSCTL
    )
    stuck = server(lambda _: Completed(0, "a = 0\n", ""))
    with pytest.raises(CommandError, match="in effect: was changed, but not in effect: a = 1"):
        list(make(stuck, [lines], SimulatedClock()))


def test_commands_of_another_user_run_with_sudo() -> None:
    other = server(lambda _: Completed(1, "", "a password is required"), sudo=True)
    with pytest.raises(CommandError, match=r"host-1: `true` failed \(1\): a password is required"):
        other.run_checked(["true"])
    assert commands(other) == ["sudo -n true"]
