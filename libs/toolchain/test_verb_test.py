"""Tests of `ship test`: which calls of Pants it makes, and what it says at the end."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from toolchain.paths import Places
from toolchain.reports import Suite, Tally
from toolchain.test_verb import (
    Runner,
    Selection,
    document,
    fresh_reports,
    parser,
    render,
    run_stages,
)
from toolchain.tools.all import Chain


@dataclass(frozen=True)
class RecordingRunner(Runner):
    """A Pants that has the goals of `fails` fail."""

    fails: tuple[str, ...] = ()
    has_integration: bool = True
    calls: list[str] = field(default_factory=list)

    def run(self, args: Sequence[str], **extra: str) -> int:
        shown = [each for each in args if not each.startswith("--test-extra-env-vars")]
        self.calls.append(" ".join([*sorted(f"{k}={v}" for k, v in extra.items()), *shown]))
        return 1 if any(goal in args for goal in self.fails) else 0

    def lists(self, args: Sequence[str]) -> bool:
        return self.has_integration


def runner(*fails: str, has_integration: bool = True) -> RecordingRunner:
    places = Places(checkout=Path("/repo"), cache=Path("/cache"), state=Path("/state"))
    return RecordingRunner(
        Chain(places),
        {},
        Path("/reports"),
        quiet_stdout=False,
        fails=fails,
        has_integration=has_integration,
    )


def test_everything_is_linted_and_tested_and_integration_runs_alone() -> None:
    pants = runner()
    assert run_stages(pants, Selection(())) == []
    assert pants.calls == [
        "--tag=[] lint ::",
        "--tag=[] check ::",
        "test ::",
        (
            "PANTS_PANTSD=false PANTS_PROCESS_EXECUTION_LOCAL_PARALLELISM=1 SHIP_ROOT=/repo"
            ' --tag=["integration", "-long"] test --force ::'
        ),
    ]


def test_a_named_target_runs_also_when_it_is_long() -> None:
    pants = runner()
    run_stages(pants, Selection(("e2e:soak",)))
    assert pants.calls[-1].endswith('--tag=["integration"] test --force e2e:soak')


def test_without_integration_targets_there_is_no_third_call() -> None:
    pants = runner(has_integration=False)
    run_stages(pants, Selection(("libs::",)))
    assert pants.calls == ["--tag=[] lint libs::", "--tag=[] check libs::", "test libs::"]


def test_a_change_selects_what_depends_on_it() -> None:
    pants = runner(has_integration=False)
    reached = {"lint": ("a.py",), "check": ("a:a", "b:b"), "test": ("a:tests", "b:tests")}
    run_stages(pants, Selection(reached=reached))
    assert pants.calls == [
        "--tag=[] lint a.py",
        "--tag=[] check a:a b:b",
        "test a:tests b:tests",
    ]


def test_a_change_that_reaches_nothing_calls_nothing() -> None:
    pants = runner()
    assert run_stages(pants, Selection(reached={})) == []
    assert pants.calls == []


def test_a_stage_that_fails_does_not_hide_the_others() -> None:
    pants = runner("lint", "--force")
    assert run_stages(pants, Selection(())) == [
        "lint",
        "integration tests",
    ]
    assert len(pants.calls) == 4


def test_the_last_line_is_the_count_alone() -> None:
    tally = Tally((Suite("a", 3, ("a::bad",), ("a::left",)), Suite("b", 2, (), ())))
    assert render(tally, ["tests"]).splitlines() == [
        "failed: tests",
        "failed: a::bad",
        "skipped, which counts as failed: a::left",
        "5 passed, 2 failed",
    ]


def test_the_document_tells_success_and_failure() -> None:
    good = document(Tally((Suite("a", 3, (), ()),)), [], 0)
    assert (good["ok"], good["error"], good["passed"], good["failed"]) == (True, None, 3, 0)
    bad = document(Tally(()), ["lint"], 1)
    assert bad["error"] == {
        "type": "TestsFailedError",
        "message": "lint: 0 passed, 0 failed",
        "hint": "./ship test TARGET",
    }


def test_the_help_has_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parser().parse_args(["--help"])
    assert "--changed-since main" in capsys.readouterr().out


def test_a_run_counts_its_own_reports_and_leaves_them_where_ci_looks(tmp_path: Path) -> None:
    shown = tmp_path / "dist" / "test" / "reports"
    shown.mkdir(parents=True)
    (shown / "of_another_run.xml").touch()
    with fresh_reports(tmp_path) as reports:
        assert list(reports.iterdir()) == []
        (reports / "own.xml").touch()
    assert [path.name for path in shown.iterdir()] == ["own.xml"]
    assert [path.name for path in shown.parent.iterdir()] == ["reports"]
