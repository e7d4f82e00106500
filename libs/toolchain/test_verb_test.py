"""Tests of `ship test`: how it calls Pants and what it prints at the end."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from toolchain.paths import Paths
from toolchain.reports import Suite, Totals
from toolchain.test_verb import (
    PantsRunner,
    Selection,
    Stage,
    document,
    fresh_reports,
    parser,
    render,
    run_stages,
)
from toolchain.tools.toolset import Toolset


@dataclass(frozen=True)
class RecordingRunner(PantsRunner):
    """Records the calls of Pants. Goals in `fails` fail."""

    fails: tuple[str, ...] = ()
    has_integration: bool = True
    calls: list[str] = field(default_factory=list)

    def run(self, args: Sequence[str], **extra: str) -> int:
        recorded = [arg for arg in args if not arg.startswith("--test-extra-env-vars")]
        self.calls.append(" ".join([*sorted(f"{k}={v}" for k, v in extra.items()), *recorded]))
        return 1 if any(goal in args for goal in self.fails) else 0

    def lists(self, args: Sequence[str]) -> bool:
        return self.has_integration


def runner(*fails: str, has_integration: bool = True) -> RecordingRunner:
    paths = Paths(checkout=Path("/repo"), cache=Path("/cache"), state=Path("/state"))
    return RecordingRunner(
        Toolset(paths),
        {},
        Path("/reports"),
        quiet_stdout=False,
        fails=fails,
        has_integration=has_integration,
    )


def test_all_targets_are_linted_and_tested_and_integration_tests_run_in_their_own_call() -> None:
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


def test_a_named_target_runs_even_if_it_is_tagged_long() -> None:
    pants = runner()
    run_stages(pants, Selection(("e2e:soak",)))
    assert pants.calls[-1].endswith('--tag=["integration"] test --force e2e:soak')


def test_pants_is_not_called_for_integration_without_such_targets() -> None:
    pants = runner(has_integration=False)
    run_stages(pants, Selection(("libs::",)))
    assert pants.calls == ["--tag=[] lint libs::", "--tag=[] check libs::", "test libs::"]


def test_each_goal_gets_the_affected_targets() -> None:
    pants = runner(has_integration=False)
    affected = {"lint": ("a.py",), "check": ("a:a", "b:b"), "test": ("a:tests", "b:tests")}
    run_stages(pants, Selection(affected=affected))
    assert pants.calls == [
        "--tag=[] lint a.py",
        "--tag=[] check a:a b:b",
        "test a:tests b:tests",
    ]


def test_pants_is_not_called_when_nothing_is_affected() -> None:
    pants = runner()
    assert run_stages(pants, Selection(affected={})) == []
    assert pants.calls == []


def test_a_failed_stage_does_not_stop_the_others() -> None:
    pants = runner("lint", "--force")
    assert run_stages(pants, Selection(())) == [
        Stage.LINT,
        Stage.INTEGRATION,
    ]
    assert len(pants.calls) == 4


def test_the_last_line_is_only_the_counts() -> None:
    totals = Totals((Suite("a", 3, ("a::bad",), ("a::left",)), Suite("b", 2, (), ())))
    assert render(totals, [Stage.TEST, Stage.INTEGRATION]).splitlines() == [
        "failed: tests",
        "failed: integration tests",
        "failed: a::bad",
        "skipped (counts as failed): a::left",
        "5 passed, 2 failed",
    ]


def test_the_document_states_success_or_the_failed_stages() -> None:
    good = document(Totals((Suite("a", 3, (), ()),)), [], 0)
    assert (good["ok"], good["error"], good["passed"], good["failed"]) == (True, None, 3, 0)
    bad = document(Totals(()), [Stage.LINT], 1)
    assert bad["error"] == {
        "type": "TestsFailedError",
        "message": "lint: 0 passed, 0 failed",
        "hint": "./ship test TARGET",
    }


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
