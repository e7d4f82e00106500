"""Dispatches on the first argument: `ship`, `pants`, or one of the commands that scripts use.

`ship` starts in a tenth of a second if nothing has to be set up, so modules are imported where they are used.
"""

from __future__ import annotations

import contextlib
import json
import os
import runpy
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from toolchain.errors import ToolchainError, UsageError
from toolchain.paths import find_paths
from toolchain.process import tool_environment
from toolchain.tools.toolset import Toolset

if TYPE_CHECKING:
    from toolchain.setup import Setup
    from toolchain.tasks import Task
    from toolchain.tools.tool import Tool

NOTHING_SET_UP = """\
Nothing is set up on this machine yet.
next: ./ship up        sets it up and brings up the services on a sandbox; lists first what it will install
      ./ship doctor    lists what is missing
      ./ship --help    lists all verbs"""
USAGE = (
    "usage: python3 libs/toolchain "
    "(ship VERB | pants GOAL | pants-variables | tools | pipeline-tools | lock [--upgrade])"
)
# Verbs of `deploy.cli` that start Pants, so they need all tools. `up` also needs Debian packages and Docker.
PANTS_VERBS = ("build", "publish", "plan", "deploy", "affected", "monitor")
# Verbs that the image of the tool (deploy/ship) runs itself: they use hosts and the registry, no build and no browser.
IMAGE_VERBS = frozenset({
    "abort", "config", "confirm", "deploy", "dora", "exec", "history", "host", "logs", "maintenance", "plan", "promote",
    "report", "revert", "rollback", "scale", "status", "watch",
})  # fmt: skip
OWN_VERBS = ("doctor", "test", "caches", "lock")
SHIP_PYTHON_LINK = "current/ship-python"  # `./ship` reads it

# -P: a file in the caller's folder must not be imported instead of a library.
RUN_MODULE = ("-P", "-m")


def main(argv: Sequence[str], environ: Mapping[str, str]) -> int:
    """Runs the command. Returns its exit code, unless this process is replaced by another program."""
    toolset = Toolset(find_paths(environ))
    try:
        match list(argv):
            case ["ship-in-venv", *args]:
                return run_in_venv(toolset, args, environ)
            case _:
                return _main(toolset, argv, environ)
    except ToolchainError as error:
        return _report(error, as_json="--json" in argv)
    except KeyboardInterrupt:
        interrupted = ToolchainError(
            "Interrupted.", "Finished steps are kept.", "run the same command again to finish"
        )
        return _report(interrupted, as_json="--json" in argv)


def run_in_venv(toolset: Toolset, args: Sequence[str], environ: Mapping[str, str]) -> int:
    """Runs `ship`, started with the Python that ran `deploy.cli` last.

    If that isn't the Python of this checkout's locks, or a part of it is missing, the machine's own Python runs `ship`:
    set-up may replace the one that runs this.
    """
    if is_ship_python(toolset) and are_installed(toolset, toolset.for_ship):
        return _main(toolset, ["ship", *args], environ)
    try:
        os.execvpe("python3", ["python3", os.path.dirname(__file__), "ship", *args], dict(environ))
    except OSError as error:
        raise ToolchainError(
            f"Could not start python3: {error.strerror}.",
            "Nothing was changed.",
            "install python3 and run the same command again",
        ) from error


def _main(toolset: Toolset, argv: Sequence[str], environ: Mapping[str, str]) -> int:
    match list(argv):
        case ["ship", verb, *args] if verb in IMAGE_VERBS and environ.get("SHIP_PYTHON"):
            exec_ship_of_image(environ["SHIP_PYTHON"], toolset, [verb, *args], environ)
        case ["ship", "completion", "words", *_] if not are_installed(toolset, toolset.for_ship):
            return 1  # a press of Tab installs nothing
        case ["ship"] if not are_installed(toolset, toolset.for_ship):
            print(NOTHING_SET_UP)
        case ["ship", verb, *_] if verb in OWN_VERBS:
            return _run_own(toolset, argv, environ)
        case ["ship", *args]:
            if args and args[0] in PANTS_VERBS:
                _enforce_cache_limit(environ)
            set_up(toolset, args, environ)
            run_ship(toolset, args, environ)
        case _:
            return _run_own(toolset, argv, environ)
    return 0


def _run_own(toolset: Toolset, argv: Sequence[str], environ: Mapping[str, str]) -> int:
    """Runs what the toolchain does itself."""
    from toolchain import builds, caches, doctor, locks, test_verb
    from toolchain.base_images import PACKAGING_GOALS
    from toolchain.pants import exec_pants, pants_variables
    from toolchain.setup import Setup, link_current, prepare, should_confirm

    setup = Setup.here(toolset, environ)
    match list(argv):
        case ["ship", "doctor", *args]:
            return doctor.doctor(setup, args, environ)
        case ["ship", "test", *args]:
            return test_verb.run_tests(setup, args, environ)
        case ["ship", "caches", *args]:
            return caches.caches(args)
        case ["ship", "lock", *args] | ["lock", *args]:
            prepare(setup.tasks_for(toolset.all), confirm=should_confirm(args, environ))
            return locks.relock(toolset, args)
        case ["pants", *args]:
            prepare(setup.tasks_for(toolset.for_pants), confirm=False)
            link_current(toolset)
            if not PACKAGING_GOALS.isdisjoint(args):
                builds.mark_program(toolset.paths.state)
            build_missing_bases(setup, args, environ)
            exec_pants(toolset, args, environ)
        case ["tools"]:
            prepare(setup.tasks_for(toolset.for_tests), confirm=False)
        case ["pipeline-tools"]:
            prepare(setup.tasks_for(toolset.for_tests), confirm=False)
            print(json.dumps(toolset.pipeline_tools))
        case ["pants-variables"]:
            prepare(setup.tasks_for(toolset.for_pants), confirm=False)
            link_current(toolset)
            for name, value in pants_variables(toolset, environ).items():
                if name not in environ:
                    print(f"export {name}={shlex.quote(value)}")
        case _:
            raise UsageError(USAGE, "Nothing was done.", "./ship --help")
    return 0


def set_up(toolset: Toolset, args: Sequence[str], environ: Mapping[str, str]) -> None:
    """Sets up what a verb of `deploy.cli` lacks. Verbs other than `up` need only tools, which are checked fast.

    `up` itself runs the tasks that may wait.
    """
    if not _is_up(args) and are_installed(toolset, tools_of_verb(toolset, args)):
        return
    from toolchain.setup import Setup, prepare, should_confirm

    tasks = tasks_of_verb(Setup.here(toolset, environ), args)
    prepare(tasks, confirm=should_confirm(args, environ), defer=_is_up(args))


def tasks_of_verb(setup: Setup, args: Sequence[str]) -> list[Task]:
    """Returns the set-up tasks of a verb of `deploy.cli`."""
    if _is_up(args):
        return setup.tasks_for_all("up")
    return setup.tasks_for(tools_of_verb(setup.toolset, args))


def tools_of_verb(toolset: Toolset, args: Sequence[str]) -> tuple[Tool, ...]:
    """Returns the tools of a verb of `deploy.cli` other than `up`. A help text needs only the libraries."""
    return toolset.all if args and args[0] in PANTS_VERBS else toolset.for_ship


def are_installed(toolset: Toolset, tools: Sequence[Tool]) -> bool:
    """Returns whether all of the tools are in one of the caches."""
    return all(tool.is_installed(*toolset.paths.caches) for tool in tools)


def _is_up(args: Sequence[str]) -> bool:
    """Returns whether a verb needs what `up` needs. `demo` runs it."""
    return list(args[:1]) in (["up"], ["demo"]) and "--help" not in args and "-h" not in args


def _enforce_cache_limit(environ: Mapping[str, str]) -> None:
    from toolchain import caches

    if deleted := caches.enforce_limit(environ):
        print(deleted, file=sys.stderr, flush=True)


def is_ship_python(toolset: Toolset) -> bool:
    """Returns whether the Python of this process is that of the virtual environment of `deploy.cli`."""
    return sys.executable == str(toolset.venv_python(toolset.ship))


def run_ship(toolset: Toolset, args: Sequence[str], environ: Mapping[str, str]) -> None:
    """Runs the command line of the deploy library, in the caller's folder.

    In this process if it has the right Python. Otherwise that Python replaces it, and the next `./ship` starts with it.
    """
    env = deploy_environment(toolset, environ)
    if is_ship_python(toolset):
        os.environ.clear()
        os.environ.update(env)
        sys.argv[1:] = args
        runpy.run_module("deploy.cli", run_name="__main__", alter_sys=True)
        return
    remember_python(toolset)
    argv = deploy_command(toolset, "deploy.cli", args)
    os.execve(argv[0], argv, env)


def remember_python(toolset: Toolset) -> None:
    """Links the Python of `deploy.cli` where `./ship` looks for it. A cache that can't be written stays as it is."""
    from toolchain.bytecode import delete_orphans
    from toolchain.setup import point_link

    with contextlib.suppress(OSError):
        point_link(toolset.paths.cache / SHIP_PYTHON_LINK, toolset.venv_python(toolset.ship))
        delete_orphans(toolset.paths.bytecode)


def exec_ship_of_image(
    python: str, toolset: Toolset, args: Sequence[str], environ: Mapping[str, str]
) -> None:
    """Replaces this process by the command line that is installed in the job's image, for this checkout."""
    env = tool_environment(environ) | {"SHIP_CHECKOUT": str(toolset.paths.checkout)}
    os.execve(python, [python, *RUN_MODULE, "deploy.cli", *args], env)


def build_missing_bases(setup: Setup, args: Sequence[str], environ: Mapping[str, str]) -> None:
    """Builds or loads the base images that Pants needs for packaging with `args`.

    Raises ToolchainError if that fails.
    """
    from toolchain.base_images import missing_bases
    from toolchain.setup import prepare

    toolset = setup.toolset
    missing = missing_bases(args, toolset.paths.checkout / "pants.toml", setup.daemon)
    if missing:
        prepare(setup.tasks_for(toolset.for_ship), confirm=False)
        argv = deploy_command(toolset, "deploy.cli.bases", missing)
        env = deploy_environment(toolset, environ)
        if subprocess.run(argv, env=env, check=False).returncode != 0:
            raise ToolchainError(
                f"Could not build the base images {', '.join(missing)}.",
                "Nothing was packaged.",
                "./ship doctor",
            )


def deploy_command(toolset: Toolset, module: str, args: Sequence[str]) -> list[str]:
    """Returns the argv that runs a module of the deploy library."""
    return [str(toolset.venv_python(toolset.ship)), *RUN_MODULE, module, *args]


def deploy_environment(toolset: Toolset, environ: Mapping[str, str]) -> dict[str, str]:
    """Returns the caller's environment with the libraries of this checkout."""
    checkout = toolset.paths.checkout
    variables = {"PYTHONPATH": str(checkout / "libs"), "SHIP_CHECKOUT": str(checkout)}
    return tool_environment(environ) | variables


def _report(error: ToolchainError, *, as_json: bool) -> int:
    print(error, file=sys.stderr)
    if as_json:
        fields = {"type": type(error).__name__, "message": error.failed, "hint": error.next_command}
        print(json.dumps({"ok": False, "exit_code": error.exit_code, "error": fields}))
    return error.exit_code
