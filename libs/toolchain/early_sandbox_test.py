"""The sandbox that starts before the integration tests, with a program in the place of ./ship."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from toolchain.early_sandbox import CODE, FOLDER_VARIABLE, LOG, NAME, EarlySandbox


def early(tmp_path: Path, up: str) -> EarlySandbox:
    program = tmp_path / "ship"
    program.write_text(f'#!/bin/sh\necho "$@" >> calls\n[ "$1" = down ] || {{ {up}; }}\n')
    program.chmod(0o755)
    return EarlySandbox(tmp_path, tmp_path / "up", dict(os.environ))


def calls(tmp_path: Path) -> list[str]:
    return (tmp_path / "calls").read_text().splitlines()


def awaited(file: Path) -> str:
    deadline = time.monotonic() + 30
    while not file.exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return file.read_text()


def test_tests_learn_the_name_and_how_it_ended(tmp_path: Path) -> None:
    with early(tmp_path, "echo broken; exit 3").starting() as variables:
        folder = Path(variables[FOLDER_VARIABLE])
        assert awaited(folder / CODE) == "3"
        assert (folder / LOG).read_text() == "broken\n"
        name = (folder / NAME).read_text()
    assert calls(tmp_path) == [f"up --yes --sandbox {name}", f"down --sandbox {name}"]


def test_it_is_removed_if_the_tests_end_before_it_is_up(tmp_path: Path) -> None:
    sandbox = early(tmp_path, "exec sleep 100")

    def interrupted() -> None:
        with sandbox.starting():
            awaited(tmp_path / "calls")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    name = (sandbox.folder / NAME).read_text()
    assert calls(tmp_path) == [f"up --yes --sandbox {name}", f"down --sandbox {name}"]
    assert awaited(sandbox.folder / CODE) != "0"
