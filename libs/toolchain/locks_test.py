"""Tests of the commands that compile the locks, and of the locks' content."""

import re
from pathlib import Path

import pytest

from toolchain.locks import DEFAULT, LOCKS, Lock, compile_command
from toolchain.paths import find_paths
from toolchain.tools.toolset import Toolset


def names(lock: Lock) -> str:
    return lock.lock


@pytest.fixture
def toolset(tmp_path: Path) -> Toolset:
    return Toolset(find_paths({"HOME": str(tmp_path)}))


@pytest.mark.parametrize("lock", LOCKS, ids=names)
def test_a_lock_pins_every_package_by_hash_and_contains_no_address(
    lock: Lock, toolset: Toolset
) -> None:
    text = (toolset.paths.locks / lock.lock).read_text()
    assert "://" not in text
    pins = re.findall(r"(?m)^([a-z0-9-]+)(?:\[[^]]*\])?==\S+ \\\n    --hash=sha256:", text)
    lines = [line for line in text.splitlines() if re.match(r"\S", line)]
    assert len(pins) == len(lines) > 0


def test_tools_use_the_versions_of_the_libraries(toolset: Toolset) -> None:
    command = compile_command(
        next(lock for lock in LOCKS if "pytest" in lock.lock), toolset, upgrade=False
    )
    assert command[command.index("-c") + 1] == DEFAULT.lock
    assert "--generate-hashes" in command
    assert "--upgrade" not in command


def test_the_default_lock_names_what_requires_each_pin_but_no_folders(
    toolset: Toolset,
) -> None:
    text = (toolset.paths.locks / DEFAULT.lock).read_text()
    assert len(re.findall(r"(?m)^    # via \S", text)) == len(re.findall(r"(?m)^\S", text))
    assert not re.search(r"(?m)^    # via .*/", text)
