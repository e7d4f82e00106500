"""Files that verbs read and write for people and for later jobs; never those of an environment."""

from __future__ import annotations

from pathlib import Path

from deploy.adapters import files
from deploy.cli.wiring.settings import ROOT
from deploy.core.bootstrap import DockerSource
from deploy.core.ci.selection_file import (
    PublishedImages,
    SavedSelection,
    read_published,
    read_selection,
)
from deploy.errors import UsageError
from toolchain.errors import ToolchainError
from toolchain.reports import read_reports


def selection(file: str) -> SavedSelection:
    """What `ship affected --out` wrote. Raises UsageError."""
    hint = f"./ship affected --out {file}"
    return read_selection(files.read_text(Path(file), hint=hint), file)


def published(file: str) -> PublishedImages:
    """What `ship publish --out` wrote. Raises UsageError."""
    hint = f"./ship publish --selection FILE --out {file}"
    return read_published(files.read_text(Path(file), hint=hint), file)


def write(file: str, text: str) -> None:
    """Writes a file that was asked for. Raises UsageError where that can't be."""
    path = Path(file)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{file} can't be written: {error.strerror}") from error


def put(path: str, text: str) -> Path:
    """Writes a file below dist/, or where it is told to."""
    target = Path(path) if path else ROOT / "dist" / "report.html"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text, encoding="utf-8")
    return target


def evidence(service: str) -> str:
    """Where `ship e2e` keeps what a service's journeys leave, unless it is told another folder."""
    return f"dist/e2e/{service}"


def shots(service: str) -> list[tuple[str, bytes]]:
    """The pictures that a service's own journeys left last."""
    kept = sorted((ROOT / evidence(service)).glob("*.png"))[:12]
    return [(each.stem, each.read_bytes()) for each in kept]


def failed_reports(folder: str) -> list[str]:
    """The names of the test reports in a folder that tell of a failure. Raises UsageError for none."""
    try:
        suites = read_reports(Path(folder)).suites
    except ToolchainError as error:
        raise UsageError(error.failed, hint=error.next_command) from error
    if not suites:
        raise UsageError(f"there are no test reports in {folder}", hint="./ship test")
    return [each.name for each in suites if each.failed]


def docker_source(line: str, key: str) -> DockerSource | None:
    """Docker's own apt repository, if one is given. Raises UsageError for half of it."""
    if bool(line) != bool(key):
        raise UsageError("--docker-source and --docker-key go together")
    return DockerSource(line, files.read_text(Path(key)).encode()) if line else None
