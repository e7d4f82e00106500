"""The files that verbs read and write: selections, published images, evidence, reports."""

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
    """Reads the output of `ship affected --out`. Raises UsageError if it can't."""
    hint = f"./ship affected --out {file}"
    return read_selection(files.read_text(Path(file), hint=hint), file)


def published(file: str) -> PublishedImages:
    """Reads the output of `ship publish --out`. Raises UsageError if it can't."""
    hint = f"./ship publish --selection FILE --out {file}"
    return read_published(files.read_text(Path(file), hint=hint), file)


def write(file: str, text: str) -> None:
    """Writes a file that an option names. Raises UsageError if it can't be written."""
    path = Path(file)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{file} can't be written: {error.strerror}") from error


def put(path: str, text: str) -> Path:
    """Writes a report to `path`, or to dist/report.html if `path` is empty."""
    target = Path(path) if path else ROOT / "dist" / "report.html"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text, encoding="utf-8")
    return target


def evidence(service: str) -> str:
    """Returns the default folder for the screenshots and traces of a service's journeys."""
    return f"dist/e2e/{service}"


def shots(service: str) -> list[tuple[str, bytes]]:
    """Returns (name, PNG) of the screenshots of a service's last journeys, twelve at most."""
    kept = sorted((ROOT / evidence(service)).glob("*.png"))[:12]
    return [(each.stem, each.read_bytes()) for each in kept]


def failed_reports(folder: str) -> list[str]:
    """Returns the paths of the test files with a failure. Raises UsageError if the folder has no reports."""
    try:
        suites = read_reports(Path(folder)).suites
    except ToolchainError as error:
        raise UsageError(error.failed, hint=error.next_command) from error
    if not suites:
        raise UsageError(f"there are no test reports in {folder}", hint="./ship test")
    return [each.name for each in suites if each.failed]


def docker_source(line: str, key: str) -> DockerSource | None:
    """Returns Docker's apt repository, None if none is given. Raises UsageError if only one of the two is."""
    if bool(line) != bool(key):
        raise UsageError("--docker-source and --docker-key must be given together")
    return DockerSource(line, files.read_text(Path(key)).encode()) if line else None
