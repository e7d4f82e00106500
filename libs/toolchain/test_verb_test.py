"""Tests of what `ship test` prints at the end, and of its reports."""

from pathlib import Path

import pytest

from toolchain.reports import Suite, TestTime, Totals
from toolchain.stages import Stage
from toolchain.test_verb import (
    document,
    fresh_reports,
    parser,
    render,
)
from toolchain.timing import Phase, Stopwatch


def test_the_last_line_is_only_the_counts() -> None:
    totals = Totals((Suite("a", 3, ("a::bad",), ("a::left",)), Suite("b", 2, (), ())))
    assert render(totals, [Stage.TEST, Stage.INTEGRATION]).splitlines() == [
        "failed: tests",
        "failed: integration tests",
        "failed: a::bad",
        "skipped (counts as failed): a::left",
        "5 passed, 2 failed",
    ]


@pytest.mark.parametrize(
    ("failed_tests", "stages", "closing"),
    [
        ((), [], "1 passed, 0 failed"),
        ((), [Stage.LINT], "1 passed, 1 failed"),
        ((), [Stage.LINT, Stage.CHECK], "1 passed, 2 failed"),
        ((), [Stage.TEST], "1 passed, 1 failed"),  # Pants or pytest crashed
        (("a::bad",), [Stage.CHECK, Stage.TEST], "1 passed, 2 failed"),
        (("a::bad",), [Stage.TEST, Stage.INTEGRATION], "1 passed, 1 failed"),
    ],
)
def test_the_last_line_says_0_failed_only_if_every_stage_passed(
    failed_tests: tuple[str, ...], stages: list[Stage], closing: str
) -> None:
    totals = Totals((Suite("a", 1, failed_tests, ()),))
    assert render(totals, stages).splitlines()[-1] == closing


def test_the_document_states_success_or_the_failed_stages() -> None:
    watch = Stopwatch(phases=[Phase("lint", 1.0, 3.5)])
    times = (TestTime("a::slow", 2.5),)
    good = document(Totals((Suite("a", 3, (), ()),), times), [], 0, watch)
    assert (good["ok"], good["error"], good["passed"], good["failed"]) == (True, None, 3, 0)
    assert (good["seconds"], good["phases"]) == (2.5, {"lint": 2.5})
    assert good["slowest"] == [{"name": "a::slow", "seconds": 2.5}]
    bad = document(Totals(()), [Stage.LINT], 1, watch)
    assert bad["error"] == {
        "type": "TestsFailedError",
        "message": "lint: 0 passed, 1 failed",
        "hint": "./ship test TARGET",
    }
    assert bad["failed"] == 1


def test_the_help_has_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parser().parse_args(["--help"])
    assert "--changed-since main" in capsys.readouterr().out


def test_a_run_counts_only_its_own_reports_and_publishes_them_for_ci(tmp_path: Path) -> None:
    published = tmp_path / "dist" / "test" / "reports"
    published.mkdir(parents=True)
    (published / "of_another_run.xml").touch()
    with fresh_reports(tmp_path) as reports:
        assert list(reports.iterdir()) == []
        (reports / "own.xml").touch()
    assert [path.name for path in published.iterdir()] == ["own.xml"]
    assert [path.name for path in published.parent.iterdir()] == ["reports"]
