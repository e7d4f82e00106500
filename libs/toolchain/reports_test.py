"""Tests of the counts, from reports as pytest writes them."""

from pathlib import Path

import pytest

from toolchain.errors import ToolchainError
from toolchain.reports import read_reports

REPORT = """<?xml version="1.0" encoding="utf-8"?><testsuites name="pytest tests">
<testsuite name="pytest" errors="1" failures="1" skipped="2" tests="6" time="0.1">
<testcase classname="a_test" name="good" time="0.01" />
<testcase classname="a_test" name="also_good" time="0.01"><system-out>x</system-out></testcase>
<testcase classname="a_test" name="bad" time="0.01"><failure message="no">no</failure></testcase>
<testcase classname="" name="a_test" time="0.0"><error message="collection">no</error></testcase>
<testcase classname="a_test" name="left" time="0"><skipped type="pytest.skip" message="x"/></testcase>
<testcase classname="a_test" name="known" time="0"><skipped type="pytest.xfail" message="x"/></testcase>
</testsuite></testsuites>"""


def test_every_case_is_counted_once(tmp_path: Path) -> None:
    (tmp_path / "a_test.py.tests.xml").write_text(REPORT)
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "b_test.xml").write_text(REPORT)
    totals = read_reports(tmp_path)
    assert (totals.passed, totals.failed) == (6, 6)
    (suite,) = totals.suites
    assert suite.name == "a_test.py"
    assert suite.failed == ("a_test::bad", "::a_test") * 2
    assert suite.skipped == ("a_test::left",) * 2
    assert not suite.is_green


BATCH = """<testsuites><testsuite name="pytest">
<testcase classname="libs.one.a_test" name="quick" time="0.01" />
<testcase classname="libs.one.a_test.TestThings" name="slow" time="2.5" />
<testcase classname="libs.one.b_test" name="bad" time="1.25"><failure>no</failure></testcase>
<testcase classname="" name="libs.one.c_test" time="0"><error message="collection">no</error></testcase>
</testsuite></testsuites>"""


def test_each_file_of_a_batch_has_its_own_result(tmp_path: Path) -> None:
    (tmp_path / "batch-of-libs.one.a_test.py.tests+2-files.xml").write_text(BATCH)
    totals = read_reports(tmp_path)
    assert [(suite.name, suite.passed, suite.is_green) for suite in totals.suites] == [
        ("libs/one/a_test.py", 2, True),
        ("libs/one/b_test.py", 0, False),
        ("libs/one/c_test.py", 0, False),
    ]


def test_tests_are_sorted_by_their_time(tmp_path: Path) -> None:
    (tmp_path / "a.xml").write_text(BATCH)
    assert [(each.name, each.seconds) for each in read_reports(tmp_path).times[:2]] == [
        ("libs.one.a_test.TestThings::slow", 2.5),
        ("libs.one.b_test::bad", 1.25),
    ]


def test_a_missing_folder_counts_no_tests(tmp_path: Path) -> None:
    assert read_reports(tmp_path / "none").suites == ()


def test_a_truncated_report_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.xml").write_text("<testsuites><testsuite>")
    with pytest.raises(ToolchainError, match="is not valid XML"):
        read_reports(tmp_path)
