"""Facts about this machine: programs, files, distribution, whether systemd runs."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

SYSTEM_PATHS = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")
TESTED_SYSTEMS = {("debian", "12"), ("debian", "13")}


@dataclass(frozen=True)
class LocalMachine:
    """The machine that set-up runs on. `root` is / except in tests; `program_folders` are relative to it."""

    root: Path
    program_folders: tuple[str, ...]
    is_root: bool
    architecture: str = "x86_64"

    def has_program(self, *names: str) -> bool:
        """Returns whether at least one of the programs is installed."""
        folders = os.pathsep.join(
            str(self.root / path.lstrip("/")) for path in self.program_folders
        )
        return any(shutil.which(name, path=folders) for name in names)

    def has_file(self, path: str) -> bool:
        """Returns whether a file with this absolute path exists and isn't empty."""
        file = self.root / path.lstrip("/")
        return file.is_file() and file.stat().st_size > 0

    @property
    def system(self) -> tuple[str, str]:
        """Distribution and version from os-release, such as ("debian", "12")."""
        try:
            lines = (self.root / "etc" / "os-release").read_text().splitlines()
        except OSError:
            return ("unknown", "")
        fields = dict(line.split("=", 1) for line in lines if "=" in line)
        return (fields.get("ID", "").strip('"'), fields.get("VERSION_ID", "").strip('"'))

    @property
    def runs_systemd(self) -> bool:
        """Whether systemd manages the services of this machine."""
        return (self.root / "run" / "systemd" / "system").is_dir()

    @property
    def as_root(self) -> tuple[str, ...]:
        """The prefix of a command that needs root."""
        return () if self.is_root else ("sudo",)


def is_ci(environ: Mapping[str, str]) -> bool:
    """Returns whether this is a CI job: the variable CI is set, and not to 0 or false."""
    return environ.get("CI", "").lower() not in ("", "0", "false")


def local_machine(environ: Mapping[str, str]) -> LocalMachine:
    """Returns this machine. Programs are also searched in the system folders that PATH lacks."""
    path = [folder for folder in environ.get("PATH", "").split(os.pathsep) if folder]
    return LocalMachine(
        root=Path("/"),
        program_folders=tuple(dict.fromkeys([*path, *SYSTEM_PATHS])),
        is_root=os.geteuid() == 0,
        architecture=platform.machine(),
    )
