"""Tests of the entry points: what each verb needs, how errors are printed."""

import json
import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from toolchain.docker_daemon import DockerDaemon
from toolchain.machine import LocalMachine
from toolchain.main import SHIP_PYTHON_LINK, main, remember_python, tasks_of_verb
from toolchain.paths import find_paths
from toolchain.setup import Setup
from toolchain.tools.tool import RECORD, Tool
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


def test_tools_wait_for_what_downloads_them_and_apt_runs_once_at_a_time(setup: Setup) -> None:
    needs = {task.key: task.needs for task in tasks_of_verb(setup, ["up"])}
    assert needs["apt/downloads"] == ()
    assert needs["apt/builds"] == ("apt/downloads",)
    assert needs["apt/tests"] == ("apt/downloads", "apt/builds")
    assert needs["engine"] == ("apt/builds",)
    assert needs["pythons/3.13"] == ("apt/downloads",)
    assert needs["venvs/ship"] == ("tools/bootstrap-tools", "pythons/3.13", "apt/downloads")
    assert needs["tools/pex"] == ("venvs/pex", "apt/downloads")
    known = {*needs, "apt/downloads"}
    assert {need for each in needs.values() for need in each} <= known


def test_up_begins_before_the_browser_is_installed(setup: Setup) -> None:
    waiting = [task.title for task in tasks_of_verb(setup, ["up"]) if task.may_wait]
    assert waiting == [
        "install rsync, chromium with apt",
        "install ruff (fixes and formats code)",
    ]


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


# `./ship` starts with the Python of the last run.

SHIP = Path(__file__).parents[2] / "ship"
PRINT_ARGUMENTS = """#!/bin/sh
echo "${0##*/}" "$@" "PYTHONPATH=$PYTHONPATH"
"""


def program(path: Path) -> Path:
    """Makes a program that prints its name and its arguments."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(PRINT_ARGUMENTS)
    path.chmod(0o755)
    return path


def start_ship(home: Path, *args: str, **environ: str) -> str:
    env = {"PATH": f"{home}/bin:{os.environ['PATH']}", "HOME": str(home), "PYTHONPATH": "/x"}
    argv = [str(SHIP), *args]
    done = subprocess.run(argv, env=env | environ, capture_output=True, text=True, check=True)
    return done.stdout.replace(str(SHIP.parent), "ROOT")


def test_ship_starts_with_the_python_of_the_last_run(tmp_path: Path) -> None:
    program(tmp_path / "bin" / "python3")
    python, cache = program(tmp_path / "a venv" / "python"), tmp_path / ".cache" / "py-cicd"
    setup_python = "python3 ROOT/libs/toolchain ship status app PYTHONPATH=/x\n"
    assert start_ship(tmp_path, "status", "app") == setup_python

    link = cache / SHIP_PYTHON_LINK
    link.parent.mkdir(parents=True)
    link.symlink_to(python)
    options = f"-X pycache_prefix={cache}/bytecode"
    assert start_ship(tmp_path, "status", "app") == (
        f"python {options} ROOT/libs/toolchain ship-in-venv status app PYTHONPATH=\n"
    )
    chosen = start_ship(tmp_path, "status", "app", PYTHONPYCACHEPREFIX="/chosen")
    assert chosen.startswith("python -X pycache_prefix=/chosen ROOT")
    assert start_ship(tmp_path, "status", "app", XDG_CACHE_HOME="/nowhere") == setup_python
    # The XDG specification: relative paths are ignored.
    assert start_ship(tmp_path, "--help", XDG_CACHE_HOME="x").startswith(f"python {options} ROOT")

    python.unlink()
    assert start_ship(tmp_path, "status", "app") == setup_python


def test_checking_the_set_up_imports_few_modules() -> None:
    listed = "import sys; import toolchain.main; print(*sys.modules)"
    argv = [sys.executable, "-c", listed]
    env = {**os.environ, "PYTHONPATH": str(SHIP.parent / "libs")}
    done = subprocess.run(argv, env=env, capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    ours = {name.removeprefix("toolchain.") for name in loaded if name.startswith("toolchain.")}
    own = {"errors", "main", "paths", "process", "tools"}
    assert {name for name in ours if not name.startswith("tools.")} == own
    assert not loaded & {"argparse", "http.client", "socket", "ssl"}


class ReplacedError(Exception):
    """This process would have been replaced by another program."""


@pytest.fixture
def ready(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Toolset:
    """The tools of a verb that doesn't build, in a cache of its own; the venv's Python runs this."""

    def replaced(program: str, argv: list[str], *_: object) -> None:
        raise ReplacedError(program, *argv[1:])

    def run_module(name: str, **_: object) -> None:
        print(name, *sys.argv[1:], os.environ["PYTHONPATH"])

    toolset = Toolset(find_paths({"HOME": str(tmp_path)}))
    for tool in toolset.for_ship:
        made(toolset, tool).parent.mkdir(parents=True)
        made(toolset, tool).touch()
    monkeypatch.setattr(os, "execvpe", replaced)
    monkeypatch.setattr(os, "execve", replaced)
    monkeypatch.setattr(runpy, "run_module", run_module)
    monkeypatch.setattr(os, "environ", os.environ.copy())
    monkeypatch.setattr(sys, "argv", ["toolchain"])
    monkeypatch.setattr(sys, "executable", str(toolset.venv_python(toolset.ship)))
    return toolset


def made(toolset: Toolset, tool: Tool) -> Path:
    """Returns the file that shows that a tool is complete."""
    return tool.folder(toolset.paths.cache) / RECORD


def test_a_verb_runs_in_the_process_that_checked_its_tools(
    ready: Toolset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["ship-in-venv", "status", "app"], {"HOME": str(tmp_path)}) == 0
    libs = ready.paths.checkout / "libs"
    assert capsys.readouterr().out == f"deploy.cli status app {libs}\n"


@pytest.mark.parametrize("name", ["bootstrap_tools", "python_313", "ship"])
def test_a_removed_tool_leads_to_set_up_with_the_machines_python(
    name: str, ready: Toolset, tmp_path: Path
) -> None:
    made(ready, getattr(ready, name)).unlink()
    with pytest.raises(ReplacedError, match=r"'python3', '.*toolchain', 'ship', 'status'"):
        main(["ship-in-venv", "status"], {"HOME": str(tmp_path)})


def test_a_python_of_another_lock_leads_to_set_up_with_the_machines_python(
    ready: Toolset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = ready.venv_python(ready.ship).parents[2] / "ship-000000000000" / "bin" / "python"
    monkeypatch.setattr(sys, "executable", str(other))
    with pytest.raises(ReplacedError, match=r"'python3', '.*toolchain', 'ship', 'test', 'a::'"):
        main(["ship-in-venv", "test", "a::"], {"HOME": str(tmp_path)})


def test_a_verb_that_builds_sets_up_what_it_lacks(
    ready: Toolset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared: list[str] = []
    monkeypatch.setattr(
        "toolchain.setup.prepare", lambda tasks, **_: prepared.extend(task.title for task in tasks)
    )
    assert main(["ship-in-venv", "build", "app"], {"HOME": str(tmp_path)}) == 0
    assert "install Pants 2.17.1" in prepared
    assert f"install {ready.ship.title}" not in prepared


def test_the_python_of_a_verb_starts_the_next_one(
    ready: Toolset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/usr/bin/python3")
    python, bytecode = ready.venv_python(ready.ship), ready.paths.bytecode
    kept, deleted = bytecode / str(tmp_path).lstrip("/"), bytecode / "deleted" / "checkout"
    kept.mkdir(parents=True)
    deleted.mkdir(parents=True)
    with pytest.raises(ReplacedError, match=r"'deploy\.cli', 'status'"):
        main(["ship", "status"], {"HOME": str(tmp_path)})
    assert (ready.paths.cache / SHIP_PYTHON_LINK).readlink() == python
    assert (kept.is_dir(), deleted.parent.exists()) == (True, False)


def test_a_cache_that_cannot_be_written_stops_no_verb(ready: Toolset) -> None:
    (ready.paths.cache / "current").touch()
    remember_python(ready)


def test_completion_installs_nothing_on_a_fresh_clone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["ship", "completion", "words", "--", "dep"], {"HOME": str(tmp_path)}) == 1
    assert capsys.readouterr() == ("", "")
    assert list(tmp_path.iterdir()) == []


def test_ship_alone_on_a_fresh_clone_says_what_to_do_and_installs_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["ship"], {"HOME": str(tmp_path)}) == 0
    assert "next: ./ship up " in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []
