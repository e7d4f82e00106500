"""Facts about this machine, read from its files; it never changes the machine."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

SYSTEM_PATHS = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")
TRIED = {("debian", "12"), ("debian", "13")}


@dataclass(frozen=True)
class Machine:
    """`root` is / but for tests; `paths` are the folders of programs, relative to it."""

    root: Path
    paths: tuple[str, ...]
    is_root: bool
    architecture: str = "x86_64"

    def has_program(self, *names: str) -> bool:
        """Whether one of the programs is there."""
        folders = os.pathsep.join(str(self.root / path.lstrip("/")) for path in self.paths)
        return any(shutil.which(name, path=folders) for name in names)

    def has_file(self, path: str) -> bool:
        """Whether a file of this absolute path is there and not empty."""
        file = self.root / path.lstrip("/")
        return file.is_file() and file.stat().st_size > 0

    @property
    def system(self) -> tuple[str, str]:
        """Distribution and version as in os-release, such as ("debian", "12")."""
        try:
            lines = (self.root / "etc" / "os-release").read_text().splitlines()
        except OSError:
            return ("unknown", "")
        fields = dict(line.split("=", 1) for line in lines if "=" in line)
        return (fields.get("ID", "").strip('"'), fields.get("VERSION_ID", "").strip('"'))

    @property
    def runs_systemd(self) -> bool:
        """Whether systemd is what starts services here."""
        return (self.root / "run" / "systemd" / "system").is_dir()

    @property
    def as_root(self) -> tuple[str, ...]:
        """What stands before a command that needs root."""
        return () if self.is_root else ("sudo",)


def is_ci(environ: Mapping[str, str]) -> bool:
    """Whether nobody watches: CI is set to something that isn't a no."""
    return environ.get("CI", "").lower() not in ("", "0", "false")


def this_machine(environ: Mapping[str, str]) -> Machine:
    """The machine that this runs on; the system's folders count also where PATH lacks them."""
    path = [folder for folder in environ.get("PATH", "").split(os.pathsep) if folder]
    return Machine(
        root=Path("/"),
        paths=tuple(dict.fromkeys([*path, *SYSTEM_PATHS])),
        is_root=os.geteuid() == 0,
        architecture=platform.machine(),
    )
