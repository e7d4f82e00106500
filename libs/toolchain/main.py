"""Dispatches on the first argument: `ship`, `pants`, or one of the commands that scripts use."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence

from toolchain import (
    caches,
    doctor,
    locks,
    test_verb,
)
from toolchain.base_images import missing_bases
from toolchain.errors import ToolchainError, UsageError
from toolchain.pants import exec_pants, pants_variables
from toolchain.paths import find_paths
from toolchain.process import tool_environment
from toolchain.progress import Task
from toolchain.setup import (
    Setup,
    link_current,
    prepare,
    should_confirm,
)
from toolchain.tools.toolset import Toolset

USAGE = (
    "usage: python3 libs/toolchain "
    "(ship VERB | pants GOAL | pants-variables | tools | pipeline-tools | lock [--upgrade])"
)
# Verbs of `deploy.cli` that start Pants, so they need all tools. `up` also needs Debian packages and Docker.
PANTS_VERBS = ("build", "publish", "plan", "deploy", "affected", "monitor")
# Verbs that the image of the tool (deploy/ship) runs itself: they use hosts and the registry, no build and no browser.
IMAGE_VERBS = frozenset({
    "abort", "confirm", "deploy", "dora", "exec", "history", "host", "logs", "maintenance", "plan", "promote", "report",
    "revert", "rollback", "scale", "status", "watch",
})  # fmt: skip

# -P: a file in the caller's folder must not be imported instead of a library.
RUN_MODULE = ("-P", "-m")


def main(argv: Sequence[str], environ: Mapping[str, str]) -> int:
    """Runs the command. Returns its exit code, unless this process is replaced by another program."""
    setup = Setup.here(Toolset(find_paths(environ)), environ)
    try:
        return _main(setup, argv, environ)
    except ToolchainError as error:
        return _report(error, as_json="--json" in argv)
    except KeyboardInterrupt:
        interrupted = ToolchainError(
            "Interrupted.", "Finished steps are kept.", "run the same command again to finish"
        )
        return _report(interrupted, as_json="--json" in argv)


def _main(setup: Setup, argv: Sequence[str], environ: Mapping[str, str]) -> int:
    toolset = setup.toolset
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
        case ["ship", verb, *args] if verb in IMAGE_VERBS and environ.get("SHIP_PYTHON"):
            exec_ship_of_image(environ["SHIP_PYTHON"], toolset, [verb, *args], environ)
        case ["ship", *args]:
            if args and args[0] in PANTS_VERBS and (deleted := caches.enforce_limit(environ)):
                print(deleted, file=sys.stderr, flush=True)
            prepare(tasks_of_verb(setup, args), confirm=should_confirm(args, environ))
            exec_ship(toolset, args, environ)
        case ["pants", *args]:
            prepare(setup.tasks_for(toolset.for_pants), confirm=False)
            link_current(toolset)
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


def tasks_of_verb(setup: Setup, args: Sequence[str]) -> list[Task]:
    """Returns the set-up tasks of a verb of `deploy.cli`. A help text needs only the libraries."""
    toolset = setup.toolset
    verb = args[0] if args else None
    if verb == "up" and "--help" not in args and "-h" not in args:
        return setup.tasks_for_all("up")
    return setup.tasks_for(toolset.all if verb in PANTS_VERBS else toolset.for_ship)


def exec_ship(toolset: Toolset, args: Sequence[str], environ: Mapping[str, str]) -> None:
    """Replaces this process by the command line of the deploy library, in the caller's folder."""
    argv = deploy_command(toolset, "deploy.cli", args)
    os.execve(argv[0], argv, deploy_environment(toolset, environ))


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
