"""The first argument says which program: `ship`, `pants`, or the variables of Pants for a shell."""

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
from toolchain.build import pants_variables, start_pants
from toolchain.errors import ToolchainError, UsageError
from toolchain.paths import find_places
from toolchain.process import tool_environment
from toolchain.progress import Task
from toolchain.setup import (
    Setup,
    link_current,
    prepare,
    should_ask,
)
from toolchain.tools.all import Chain

USAGE = (
    "usage: python3 libs/toolchain "
    "(ship VERB | pants GOAL | pants-variables | tools | pipeline-tools | lock [--upgrade])"
)
# What a verb of `deploy.cli` needs beyond its libraries; `up` needs the whole machine set up.
BUILDING = ("build", "publish", "plan", "deploy", "affected", "monitor")
# What the tool as an image (deploy/ship) does by itself: hosts and the registry, no build and no browser.
DEPLOYING = frozenset({
    "abort", "confirm", "deploy", "dora", "exec", "history", "host", "logs", "maintenance", "plan", "promote", "report",
    "revert", "rollback", "scale", "status", "watch",
})  # fmt: skip

# -P: a file of the caller's folder must never stand in for a library.
MODULE = ("-P", "-m")


def main(argv: Sequence[str], environ: Mapping[str, str]) -> int:
    """Return the exit code, where the process has not become another program."""
    setup = Setup.here(Chain(find_places(environ)), environ)
    try:
        return _main(setup, argv, environ)
    except ToolchainError as error:
        _tell(error, as_json="--json" in argv)
        return error.exit_code
    except KeyboardInterrupt:
        again = "the same command again finishes the job"
        _tell(ToolchainError("Interrupted.", "What was complete stays.", again), "--json" in argv)
        return 1


def _main(setup: Setup, argv: Sequence[str], environ: Mapping[str, str]) -> int:
    chain = setup.chain
    match list(argv):
        case ["ship", "doctor", *args]:
            return doctor.doctor(setup, args, environ)
        case ["ship", "test", *args]:
            return test_verb.verify(setup, args, environ)
        case ["ship", "caches", *args]:
            return caches.caches(args)
        case ["ship", "lock", *args] | ["lock", *args]:
            prepare(setup.tasks_for(chain.all), ask=should_ask(args, environ))
            return locks.relock(chain, args)
        case ["ship", verb, *args] if verb in DEPLOYING and environ.get("SHIP_PYTHON"):
            start_brought(environ["SHIP_PYTHON"], chain, [verb, *args], environ)
        case ["ship", *args]:
            if args and args[0] in BUILDING and (over := caches.bound(environ)):
                print(over, file=sys.stderr, flush=True)
            prepare(tasks_of_verb(setup, args), ask=should_ask(args, environ))
            start_ship(chain, args, environ)
        case ["pants", *args]:
            prepare(setup.tasks_for(chain.for_pants), ask=False)
            link_current(chain)
            bring_bases(setup, args, environ)
            start_pants(chain, args, environ)
        case ["tools"]:
            prepare(setup.tasks_for(chain.for_tests), ask=False)
        case ["pipeline-tools"]:
            prepare(setup.tasks_for(chain.for_tests), ask=False)
            print(json.dumps(chain.pipeline_tools))
        case ["pants-variables"]:
            prepare(setup.tasks_for(chain.for_pants), ask=False)
            link_current(chain)
            for name, value in pants_variables(chain, environ).items():
                if name not in environ:
                    print(f"export {name}={shlex.quote(value)}")
        case _:
            raise UsageError(USAGE, "Nothing was done.", "./ship --help")
    return 0


def tasks_of_verb(setup: Setup, args: Sequence[str]) -> list[Task]:
    """What the verb lacks: a help text needs the libraries alone, `up` the whole machine."""
    chain = setup.chain
    verb = args[0] if args else ""
    if verb == "up" and "--help" not in args and "-h" not in args:
        return setup.tasks_for_all("up")
    return setup.tasks_for(chain.all if verb in BUILDING else chain.for_ship)


def start_ship(chain: Chain, args: Sequence[str], environ: Mapping[str, str]) -> None:
    """Become the command line of the deploy library, in the caller's own folder."""
    argv = deploy_command(chain, "deploy.cli", args)
    os.execve(argv[0], argv, deploy_environment(chain, environ))


def start_brought(
    python: str, chain: Chain, args: Sequence[str], environ: Mapping[str, str]
) -> None:
    """Become the command line that the image of this job came with, for this checkout."""
    checkout = {"SHIP_CHECKOUT": str(chain.places.checkout)}
    os.execve(python, [python, *MODULE, "deploy.cli", *args], tool_environment(environ) | checkout)


def bring_bases(setup: Setup, args: Sequence[str], environ: Mapping[str, str]) -> None:
    """Have the base images in the engine before Pants packages an image on top of them."""
    chain = setup.chain
    missing = missing_bases(args, chain.places.checkout / "pants.toml", setup.engine)
    if missing:
        prepare(setup.tasks_for(chain.for_ship), ask=False)
        argv = deploy_command(chain, "deploy.cli.bases", missing)
        code = subprocess.run(argv, env=deploy_environment(chain, environ), check=False).returncode
        if code != 0:
            raise ToolchainError(
                "The base images could not be built.", "Nothing was packaged.", "./ship doctor"
            )


def deploy_command(chain: Chain, module: str, args: Sequence[str]) -> list[str]:
    """The argument list that starts a module of the deploy library."""
    return [str(chain.venv_python(chain.ship)), *MODULE, module, *args]


def deploy_environment(chain: Chain, environ: Mapping[str, str]) -> dict[str, str]:
    """The caller's environment, with our libraries."""
    checkout = chain.places.checkout
    ours = {"PYTHONPATH": str(checkout / "libs"), "SHIP_CHECKOUT": str(checkout)}
    return tool_environment(environ) | ours


def _tell(error: ToolchainError, as_json: bool) -> None:
    print(error, file=sys.stderr)
    if as_json:
        named = {"type": type(error).__name__, "message": error.failed, "hint": error.next_command}
        print(json.dumps({"ok": False, "exit_code": error.exit_code, "error": named}))
