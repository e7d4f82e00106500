"""What verbs take from the toolchain: parsers for docs/cli.md, and set-up as tasks beside their own."""

from __future__ import annotations

import os
from argparse import ArgumentParser
from collections.abc import Callable, Mapping, Sequence

from deploy.errors import ShipError
from toolchain import caches, doctor, locks, tasks, test_verb
from toolchain.errors import ToolchainError
from toolchain.paths import find_paths
from toolchain.progress import Progress
from toolchain.setup import Setup
from toolchain.tasks import Task
from toolchain.tools.toolset import Toolset

__all__ = ["Task", "missing_tasks", "parsers", "run_tasks"]


def parsers() -> Mapping[str, ArgumentParser]:
    """Returns the parsers by verb."""
    return {
        "doctor": doctor.parser(),
        "test": test_verb.parser(),
        "lock": locks.parser(),
        "caches": caches.parser(),
    }


def missing_tasks() -> list[Task]:
    """Returns the tasks of set-up that `ship up` still lacks: those that needn't be done before it begins."""
    toolset = Toolset(find_paths(os.environ))
    return Setup.here(toolset, os.environ).tasks_for_all("up")


def run_tasks(listed: Sequence[Task], say: Callable[[str], None]) -> None:
    """Runs tasks as `toolchain.tasks.run_tasks` does and says how they go. An error of set-up becomes a ShipError."""
    try:
        tasks.run_tasks(listed, Progress(listed, say))
    except ToolchainError as error:
        failed = ShipError(f"{error.failed} {error.remains}", hint=error.next_command)
        failed.exit_code = error.exit_code
        raise failed from error
