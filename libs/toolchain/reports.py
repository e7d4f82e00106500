"""Counts the tests that ran, from the JUnit reports that Pants writes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

from toolchain.errors import ToolchainError


@dataclass(frozen=True)
class TestTime:
    """How long a test took, with its fixtures, as pytest measured it."""

    __test__ = False  # no class of tests

    name: str
    seconds: float


@dataclass(frozen=True)
class Suite:
    """The cases of one test file, by its path. Skipped cases count as failed, because they proved nothing."""

    name: str
    passed: int
    failed: tuple[str, ...]
    skipped: tuple[str, ...]
    seconds: float = 0.0

    @property
    def is_green(self) -> bool:
        """Whether tests ran and all of them passed."""
        return bool(self.passed) and not self.failed and not self.skipped


@dataclass(frozen=True)
class Totals:
    """The counts over all suites, and the time of each test, the longest first."""

    suites: tuple[Suite, ...]
    times: tuple[TestTime, ...] = ()

    @property
    def passed(self) -> int:
        """How many cases passed."""
        return sum(suite.passed for suite in self.suites)

    @property
    def failed(self) -> int:
        """How many cases failed, stopped with an error or were skipped."""
        return sum(len(suite.failed) + len(suite.skipped) for suite in self.suites)


def read_reports(folder: Path) -> Totals:
    """Reads all reports below `folder`; a missing folder has none. Raises ToolchainError for a broken report.

    A report of several test files, which Pants writes for a batch, gives one suite for each file.
    """
    files: dict[str, list[ET.Element]] = {}
    for path in sorted(folder.rglob("*.xml")):
        for case in _cases(path):
            files.setdefault(_test_file(case, path), []).append(case)
    cases = [case for of_file in files.values() for case in of_file]
    times = [TestTime(_name(case), round(float(case.get("time") or 0), 2)) for case in cases]
    return Totals(
        tuple(_suite(name, files[name]) for name in sorted(files)),
        tuple(sorted(times, key=lambda each: (-each.seconds, each.name))),
    )


def _cases(path: Path) -> list[ET.Element]:
    try:
        root = ET.parse(path).getroot()  # noqa: S314 - our own pytest wrote the file
    except ET.ParseError as error:
        raise ToolchainError(
            f"The test report {path} is not valid XML: {error}.",
            "The tests ran, but their number is unknown.",
            "./ship test",
        ) from error
    return list(root.iter("testcase"))


def _test_file(case: ET.Element, report: Path) -> str:
    """Returns the path of a case's test file, else the report's name.

    A case is named by its module and perhaps a class. If a module can't be imported, it is the case itself.
    """
    parts = (case.get("classname") or case.get("name") or "").split(".")
    ends = [at for at, part in enumerate(parts, start=1) if part.endswith("_test")]
    return "/".join(parts[: ends[0]]) + ".py" if ends else report.stem


def _suite(name: str, cases: list[ET.Element]) -> Suite:
    failed = _names(case for case in cases if _has(case, "failure", "error"))
    skipped = _names(case for case in cases if _is_skipped(case))
    passed = len(cases) - len(failed) - len(skipped)
    seconds = sum(float(case.get("time") or 0) for case in cases)
    return Suite(name, passed, failed, skipped, round(seconds, 2))


def _names(cases: Iterable[ET.Element]) -> tuple[str, ...]:
    return tuple(_name(case) for case in cases)


def _name(case: ET.Element) -> str:
    return f"{case.get('classname')}::{case.get('name')}"


def _has(case: ET.Element, *tags: str) -> bool:
    return any(case.find(tag) is not None for tag in tags)


def _is_skipped(case: ET.Element) -> bool:
    skipped = case.find("skipped")
    # An expected failure did run, and with xfail_strict an unexpected pass is a failure.
    return skipped is not None and skipped.get("type") != "pytest.xfail"
