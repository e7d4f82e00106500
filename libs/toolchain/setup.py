"""Set-up: finds out what a verb lacks, asks once and installs it. Prints and does nothing if nothing is missing."""

from __future__ import annotations

import functools
import os
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from toolchain import apt
from toolchain.docker_daemon import DockerDaemon, configured_daemon, start_daemon
from toolchain.errors import PersonNeededError
from toolchain.machine import LocalMachine, is_ci, local_machine
from toolchain.prerequisites import Batch, Package, missing_packages
from toolchain.progress import Progress
from toolchain.tasks import Task, left_s, run_tasks
from toolchain.tools.tool import Tool, install_tool
from toolchain.tools.toolset import Toolset

VERBS_THAT_TEST = ("test", "doctor")  # they also need the tools that only tests use
ENGINE = "engine"
"""The name of the task that starts the Docker engine."""


@dataclass(frozen=True)
class Setup:
    """The machine, the tools and the Docker daemon that set-up works on."""

    machine: LocalMachine
    toolset: Toolset
    daemon: DockerDaemon

    @classmethod
    def here(cls, toolset: Toolset, environ: Mapping[str, str]) -> Setup:
        """Returns the set-up of this machine."""
        return cls(local_machine(environ), toolset, configured_daemon(environ))

    def tasks_for(self, tools: Sequence[Tool]) -> list[Task]:
        """Returns the tasks that install the missing ones of `tools`. They need neither root nor Docker."""
        caches = self.toolset.paths.caches
        missing = [tool for tool in tools if not tool.is_installed(*caches)]
        return [
            Task(
                f"install {tool.title}",
                tool.download_mb,
                tool.seconds,
                functools.partial(install_tool, tool, *caches),
                name=tool.id,
                needs=(*tool.needs, _name(Batch.DOWNLOADS)),
                may_wait=tool.id == self.toolset.ruff.id,
            )
            for tool in missing
        ]

    def tasks_for_all(self, verb: str) -> list[Task]:
        """Returns all that set-up has to do for a verb: Debian packages, tools, and starting the Docker daemon."""
        tools = self.toolset.for_tests if verb in VERBS_THAT_TEST else self.toolset.all
        tasks = [*self._package_tasks(), *self.tasks_for(tools)]
        if not self.daemon.answers():
            start = functools.partial(
                start_daemon, self.daemon, self.machine, self.toolset.paths, verb=verb
            )
            needs = (_name(Batch.BUILDS),)
            tasks.append(Task("start the Docker engine", 0, 5, start, name=ENGINE, needs=needs))
        return tasks

    def _package_tasks(self) -> list[Task]:
        """Returns a task for each batch of missing packages. Each needs the one before it, because apt has a lock."""
        missing = missing_packages(self.machine, self.daemon)
        tasks: list[Task] = []
        for batch in Batch:
            if packages := [package for package in missing if package.batch is batch]:
                tasks.append(self._package_task(batch, packages, after=tasks))
        return tasks

    def _package_task(
        self, batch: Batch, packages: Sequence[Package], after: Sequence[Task]
    ) -> Task:
        size_mb = sum(package.download_mb for package in packages)
        return Task(
            f"install {', '.join(package.name for package in packages)} with apt",
            size_mb,
            5 + size_mb // 4,
            functools.partial(apt.install, self.machine, packages, refresh=not after),
            name=_name(batch),
            needs=tuple(task.key for task in after),
            may_wait=batch is Batch.TESTS,
        )


def _name(batch: Batch) -> str:
    return f"apt/{batch.value}"


def link_current(toolset: Toolset) -> None:
    """Points the symbolic links that pants.toml names at the tools of this checkout.

    An installed `pants` finds the tools there without `./pants`.
    """
    for name, target in toolset.current.items():
        point_link(toolset.paths.cache / "current" / name, target)


def point_link(link: Path, target: Path) -> None:
    """Makes `link` a symbolic link to `target`. Another process sees the old one or the new one."""
    if link.is_symlink() and link.readlink() == target:
        return
    link.parent.mkdir(parents=True, exist_ok=True)
    temporary = link.with_name(f".{link.name}.{os.getpid()}")
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(target)
    temporary.replace(link)


def prepare(
    tasks: Sequence[Task], *, confirm: bool, out: TextIO | None = None, defer: bool = False
) -> None:
    """Runs the tasks. With `confirm`, lists them first and raises PersonNeededError unless the user answers yes.

    With `defer`, those that may wait are listed but left to the verb, which runs them beside its own.
    """
    out = out or sys.stderr
    if tasks and confirm:
        _confirm(tasks, out)
    if not (now := [task for task in tasks if not (defer and task.may_wait)]):
        return
    begun = time.monotonic()
    print(f"set-up: {_summary(now)}", file=out, flush=True)
    run_tasks(now, Progress(now, functools.partial(print, file=out, flush=True)))
    print(f"set-up took {time.monotonic() - begun:.0f} s", file=out, flush=True)


def should_confirm(argv: Sequence[str], environ: Mapping[str, str]) -> bool:
    """Returns whether to ask before set-up: only a person at a terminal, and not with --yes."""
    if "--yes" in argv or is_ci(environ):
        return False
    return os.isatty(0) and os.isatty(2)


def _confirm(tasks: Sequence[Task], out: TextIO) -> None:
    print("Set-up will:", file=out)
    for task in tasks:
        size = f", {task.download_mb} MB" if task.download_mb else ""
        print(f"  {task.title}{size}", file=out)
    print(f"{_summary(tasks)}. Continue? [Y/n] ", end="", file=out, flush=True)
    answer = sys.stdin.readline()
    if not answer or answer.strip().lower() not in ("", "y", "yes"):
        raise PersonNeededError(
            "Set-up was declined.", "Nothing was changed.", "run the same command with --yes"
        )


def _summary(tasks: Sequence[Task]) -> str:
    size_mb = sum(task.download_mb for task in tasks)
    return f"{len(tasks)} tasks, {size_mb} MB to download, about {left_s(tasks, {}):.0f} s"
