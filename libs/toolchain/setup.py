"""Set-up: finds what a verb lacks, asks once, brings it. All there is nothing said and nothing done."""

from __future__ import annotations

import contextlib
import functools
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TextIO

from toolchain import apt
from toolchain.engine import Engine, start, this_engine
from toolchain.errors import PersonNeededError
from toolchain.machine import Machine, is_ci, this_machine
from toolchain.prerequisites import missing_packages
from toolchain.progress import Task, carry_out
from toolchain.tools.all import Chain
from toolchain.tools.tool import Piece, bring


@dataclass(frozen=True)
class Setup:
    """The machine, the checkout and the engine that set-up works on."""

    machine: Machine
    chain: Chain
    engine: Engine

    @classmethod
    def here(cls, chain: Chain, environ: Mapping[str, str]) -> Setup:
        """Set-up of this machine."""
        return cls(this_machine(environ), chain, this_engine(environ))

    def tasks_for(self, pieces: Sequence[Piece]) -> list[Task]:
        """What is missing of `pieces` alone: no root and no engine is needed."""
        caches = self.chain.places.caches
        missing = [piece for piece in pieces if not piece.is_whole(*caches)]
        return [
            Task(p.title, p.download_mb, p.seconds, functools.partial(bring, p, *caches))
            for p in missing
        ]

    def tasks_for_all(self, by: str) -> list[Task]:
        """All that is missing: packages, then pieces, then the engine, which the verb `by` starts."""
        packages = missing_packages(self.machine, self.engine)
        size = sum(package.download_mb for package in packages)
        names = ", ".join(package.name for package in packages)
        install = functools.partial(apt.install, self.machine, packages)
        begin = functools.partial(start, self.engine, self.machine, self.chain.places, by=by)
        return [
            *([Task(f"apt installs {names}", size, 15 + size // 3, install)] if packages else []),
            *self.tasks_for(self.chain.for_tests if by in ("test", "doctor") else self.chain.all),
            *([] if self.engine.answers() else [Task("the Docker engine starts", 0, 5, begin)]),
        ]


def link_current(chain: Chain) -> None:
    """Point the fixed names that pants.toml knows at this checkout's tools.

    An installed `pants` that never saw ./pants finds them there.
    """
    folder = chain.places.cache / "current"
    folder.mkdir(parents=True, exist_ok=True)
    for name, target in chain.current.items():
        link = folder / name
        if not link.is_symlink() or link.readlink() != target:
            aside = folder / f".{name}.{os.getpid()}"
            with contextlib.suppress(FileNotFoundError):
                aside.unlink()
            aside.symlink_to(target)
            aside.replace(link)


def prepare(tasks: Sequence[Task], *, ask: bool, out: TextIO | None = None) -> None:
    """Show and do the tasks; `ask` waits for a yes first. Raise if the answer is no."""
    if not tasks:
        return
    if ask:
        _ask(tasks, out or sys.stderr)
    carry_out(tasks, out)


def should_ask(argv: Sequence[str], environ: Mapping[str, str]) -> bool:
    """Only a person at a terminal is asked."""
    if "--yes" in argv or is_ci(environ):
        return False
    return os.isatty(0) and os.isatty(2)


def _ask(tasks: Sequence[Task], out: TextIO) -> None:
    print("This machine lacks:", file=out)
    for task in tasks:
        print(
            f"  {task.title}" + (f", {task.download_mb} MB" if task.download_mb else ""), file=out
        )
    size, seconds = sum(task.download_mb for task in tasks), sum(task.seconds for task in tasks)
    print(f"{size} MB to download, about {seconds} s. Go on? [Y/n] ", end="", file=out, flush=True)
    answer = sys.stdin.readline()
    if not answer or answer.strip().lower() not in ("", "y", "yes"):
        raise PersonNeededError(
            "Set-up was declined.", "Nothing was changed.", "the same with --yes"
        )
