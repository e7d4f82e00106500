"""Watches every process of this machine, and so of the sandbox's hosts and their containers; never touches one."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

_EVERY_S = 0.05


@dataclass(frozen=True)
class Sighting:
    """A process that had a needle in its argv or its environment; `parent` and `leader` (of its session) are argvs."""

    needle: str
    where: str
    argv: str
    parent: str
    leader: str


@dataclass
class Processes:
    """Reads all command lines and environments over and over for as long as the context lives.

    `argvs` are the command lines that were seen: proof that it looked where it should.
    """

    needles: Sequence[str]
    seen: set[Sighting] = field(default_factory=set)
    argvs: set[str] = field(default_factory=set)
    looks: int = 0
    _known: dict[str, str] = field(default_factory=dict)
    _over: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(_EVERY_S):
            self.looks += 1
            for process in Path("/proc").glob("[0-9]*"):
                self._look(process)

    def _look(self, process: Path) -> None:
        argv = _read(process / "cmdline")
        if not argv or self._known.get(process.name) == argv:
            return  # a kernel's own, or as it was: what a process was given never changes but by another argv
        self._known[process.name] = argv
        self.argvs.add(argv)
        told = _read(process / "environ")
        for needle in self.needles:
            for where, text in (("argv", argv), ("environ", told)):
                if needle in text:
                    self.seen.add(Sighting(needle, where, argv, *_family(process)))


def _family(process: Path) -> tuple[str, str]:
    """The command lines of a process's parent and of its session's leader."""
    # https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html: after the name, in brackets, the 2nd and 4th.
    fields = _read(process / "stat").rpartition(")")[2].split()
    if len(fields) < 4:
        return "", ""
    return _read(process.parent / fields[1] / "cmdline"), _read(
        process.parent / fields[3] / "cmdline"
    )


def _read(file: Path) -> str:
    """A process that ended, or whose environment is not ours to read, has nothing to show."""
    try:
        return file.read_bytes().decode(errors="replace").replace("\0", " ").strip()
    except OSError:
        return ""
