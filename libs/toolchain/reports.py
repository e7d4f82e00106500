"""Counts the tests that ran, from the JUnit reports that Pants writes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

from toolchain.errors import ToolchainError


@dataclass(frozen=True)
class Suite:
    """The cases of one test file. Skipped cases count as failed, because they proved nothing."""

    name: str
    passed: int
    failed: tuple[str, ...]
    skipped: tuple[str, ...]


@dataclass(frozen=True)
class Totals:
    """The counts over all suites."""

    suites: tuple[Suite, ...]

    @property
    def passed(self) -> int:
        """How many cases passed."""
        return sum(suite.passed for suite in self.suites)

    @property
    def failed(self) -> int:
        """How many cases failed, stopped with an error or were skipped."""
        return sum(len(suite.failed) + len(suite.skipped) for suite in self.suites)

    @property
    def line(self) -> str:
        """The last line of `ship test`."""
        return f"{self.passed} passed, {self.failed} failed"


def read_reports(folder: Path) -> Totals:
    """Reads all reports below `folder`; a missing folder has none. Raises ToolchainError for a broken report."""
    return Totals(tuple(_suite(path) for path in sorted(folder.rglob("*.xml"))))


def _suite(path: Path) -> Suite:
    try:
        root = ET.parse(path).getroot()  # noqa: S314 - our own pytest wrote the file
    except ET.ParseError as error:
        raise ToolchainError(
            f"The test report {path} is not valid XML: {error}.",
            "The tests ran, but their number is unknown.",
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
    # An expected failure did run, and with xfail_strict an unexpected pass is a failure.
    return skipped is not None and skipped.get("type") != "pytest.xfail"
