"""Searches the command lines and environments of all processes of this machine for given texts.

The sandbox's hosts and their containers run on this machine, so their processes are among them.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

_INTERVAL_S = 0.05


@dataclass(frozen=True)
class Sighting:
    """A process with a needle in its argv or its environment.

    `where` is "argv" or "environ". `parent` and `leader` are the command lines of its parent and its session's leader.
    """

    needle: str
    where: str
    argv: str
    parent: str
    leader: str


@dataclass
class ProcessWatch:
    """Scans all processes every 50 ms while the context lives.

    `sightings` are the processes with a needle. `argvs` are all command lines that were scanned, so that a test can
    check that the processes it cares about were among them. `scans` counts the rounds.
    """

    needles: Sequence[str]
    sightings: set[Sighting] = field(default_factory=set)
    argvs: set[str] = field(default_factory=set)
    scans: int = 0
    _known: dict[str, str] = field(default_factory=dict)
    _stopping: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopping.wait(_INTERVAL_S):
            self.scans += 1
            for process in Path("/proc").glob("[0-9]*"):
                self._scan(process)

    def _scan(self, process: Path) -> None:
        argv = _read(process / "cmdline")
        if not argv or self._known.get(process.name) == argv:
            return  # a kernel thread, or scanned before: the environment changes only together with argv
        self._known[process.name] = argv
        self.argvs.add(argv)
        environ = _read(process / "environ")
        for needle in self.needles:
            for where, text in (("argv", argv), ("environ", environ)):
                if needle in text:
                    self.sightings.add(Sighting(needle, where, argv, *_relatives(process)))


def _relatives(process: Path) -> tuple[str, str]:
    """Returns the command lines of a process's parent and of its session's leader."""
    # The 2nd and the 4th field after the name in brackets: https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html
    fields = _read(process / "stat").rpartition(")")[2].split()
    if len(fields) < 4:
        return "", ""
    return _read(process.parent / fields[1] / "cmdline"), _read(
        process.parent / fields[3] / "cmdline"
    )


def _read(file: Path) -> str:
    """Reads a file of /proc; returns "" if the process has ended or may not be read."""
    try:
        return file.read_bytes().decode(errors="replace").replace("\0", " ").strip()
    except OSError:
        return ""
