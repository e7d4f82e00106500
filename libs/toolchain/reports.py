"""Counts what really ran from the JUnit reports that Pants leaves; it never runs a test."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

from toolchain.errors import ToolchainError


@dataclass(frozen=True)
class Suite:
    """One report: a test file's cases. A skipped case proved nothing, so it counts as failed."""

    name: str
    passed: int
    failed: tuple[str, ...]
    skipped: tuple[str, ...]


@dataclass(frozen=True)
class Tally:
    """The sum over suites."""

    suites: tuple[Suite, ...]

    @property
    def passed(self) -> int:
        """Cases that ran and passed."""
        return sum(suite.passed for suite in self.suites)

    @property
    def failed(self) -> int:
        """Cases that failed, stopped with an error or were skipped."""
        return sum(len(suite.failed) + len(suite.skipped) for suite in self.suites)

    @property
    def line(self) -> str:
        """The last line of `ship test`."""
        return f"{self.passed} passed, {self.failed} failed"


def read_reports(folder: Path) -> Tally:
    """Read every report below `folder`; a folder that isn't there is no suite at all."""
    return Tally(tuple(_suite(path) for path in sorted(folder.rglob("*.xml"))))


def _suite(path: Path) -> Suite:
    try:
        # Our own pytest wrote it: there is no one to protect the parser from.
        root = ET.parse(path).getroot()  # noqa: S314
    except ET.ParseError as error:
        raise ToolchainError(
            f"The report {path} can't be read: {error}.",
            "The tests ran, their count is unknown.",
            "./ship test",
        ) from error
    cases = list(root.iter("testcase"))
    failed = _names(case for case in cases if _has(case, "failure", "error"))
    skipped = _names(case for case in cases if _is_skipped(case))
    return Suite(path.stem, len(cases) - len(failed) - len(skipped), failed, skipped)


def _names(cases: Iterable[ET.Element]) -> tuple[str, ...]:
    return tuple(f"{case.get('classname')}::{case.get('name')}" for case in cases)


def _has(case: ET.Element, *tags: str) -> bool:
    return any(case.find(tag) is not None for tag in tags)


def _is_skipped(case: ET.Element) -> bool:
    skipped = case.find("skipped")
    # An expected failure did run; with xfail_strict it can't hide a pass.
    return skipped is not None and skipped.get("type") != "pytest.xfail"
