"""Tests of the locks: the commands that make them, and what no lock may hold."""

import re
from pathlib import Path

import pytest

from toolchain.locks import DEFAULT, LOCKS, Lock, compile_command
from toolchain.paths import find_places
from toolchain.tools.all import Chain


def names(lock: Lock) -> str:
    return lock.lock


@pytest.fixture
def chain(tmp_path: Path) -> Chain:
    return Chain(find_places({"HOME": str(tmp_path)}))


@pytest.mark.parametrize("lock", LOCKS, ids=names)
def test_a_lock_pins_every_package_by_hash_and_names_no_address(lock: Lock, chain: Chain) -> None:
    text = (chain.places.locks / lock.lock).read_text()
    assert "://" not in text
    pins = re.findall(r"(?m)^([a-z0-9-]+)(?:\[[^]]*\])?==\S+ \\\n    --hash=sha256:", text)
    lines = [line for line in text.splitlines() if re.match(r"\S", line)]
    assert len(pins) == len(lines) > 0


def test_the_tools_agree_with_the_libraries(chain: Chain) -> None:
    command = compile_command(
        next(lock for lock in LOCKS if "pytest" in lock.lock), chain, upgrade=False
    )
    assert command[command.index("-c") + 1] == DEFAULT.lock
    assert "--generate-hashes" in command
    assert "--upgrade" not in command


def test_the_libraries_lock_says_who_needs_each_pin_and_names_no_folder_of_a_machine(
    chain: Chain,
) -> None:
    text = (chain.places.locks / DEFAULT.lock).read_text()
    assert len(re.findall(r"(?m)^    # via \S", text)) == len(re.findall(r"(?m)^\S", text))
    assert not re.search(r"(?m)^    # via .*/", text)
