"""Tests of the stages: how they call Pants, in which order, and what runs side by side."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import pytest

from toolchain.early_sandbox import EarlySandbox
from toolchain.pants_runner import PantsRunner
from toolchain.paths import Paths
from toolchain.stages import Selection, Stage, StageRun
from toolchain.tools.toolset import Toolset

ALONE = ("e2e/a_test.py:integration", "e2e/b_test.py:integration")
BESIDE = ("e2e/images_test.py:images",)


@dataclass(frozen=True)
class RecordingRunner(PantsRunner):
    """Records the calls of Pants. Goals or targets in `fails` fail."""

    fails: tuple[str, ...] = ()
    alone: tuple[str, ...] = ALONE
    beside: tuple[str, ...] = BESIDE
    lists: bool = True
    calls: list[str] = field(default_factory=list)
    threads: dict[str, int] = field(default_factory=dict)

    def run(self, args: Sequence[str], *, nice: bool = False, **extra: str) -> int:
        recorded = [arg for arg in args if not arg.startswith("--test-extra-env-vars")]
        variables = sorted(f"{name}={value}" for name, value in extra.items())
        self.calls.append(" ".join([*(["nice"] if nice else []), *variables, *recorded]))
        self.threads[args[-1]] = threading.get_ident()
        return 1 if any(goal in args for goal in self.fails) else 0

    def read(self, args: Sequence[str]) -> str | None:
        if not self.lists:
            return None
        return "\n".join(self.alone if '"-concurrent"' in args[0] else self.beside)


def runner(*fails: str, **more: tuple[str, ...] | bool) -> RecordingRunner:
    paths = Paths(checkout=Path("/repo"), cache=Path("/cache"), state=Path("/state"))
    known = {"fails": fails, **more}
    return RecordingRunner(Toolset(paths), {}, Path("/reports"), quiet_stdout=False, **known)  # type: ignore[arg-type]


ONE_AT_A_TIME = "PANTS_PANTSD=false PANTS_PROCESS_EXECUTION_LOCAL_PARALLELISM=1 SHIP_ROOT=/repo"


def test_checks_and_unit_tests_run_nicely_beside_the_integration_tests() -> None:
    pants = runner()
    assert StageRun(pants, Selection(())).run() == []
    tags = '--tag=["integration", "-long"]'
    alone = f"{ONE_AT_A_TIME} {tags} test --force {' '.join(ALONE)}"
    assert pants.calls.count(alone) == 1
    assert [call for call in pants.calls if call != alone] == [
        "nice PANTS_PANTSD=false --tag=[] lint ::",
        "nice PANTS_PANTSD=false --tag=[] check ::",
        "nice PANTS_PANTSD=false test ::",
        f"nice {ONE_AT_A_TIME} {tags} test --force {BESIDE[0]}",
    ]
    assert pants.threads["::"] == pants.threads[BESIDE[0]] != pants.threads[ALONE[-1]]


@dataclass
class Sandbox:
    """Stands in for the sandbox that starts early, and records when it starts and is removed."""

    pants: RecordingRunner

    @contextmanager
    def starting(self) -> Iterator[Mapping[str, str]]:
        self.pants.calls.append("up")
        yield {"SHIP_E2E_UP": "/up"}
        self.pants.calls.append("down")


def sandboxed(pants: RecordingRunner, *targets: str) -> StageRun:
    sandbox = cast("EarlySandbox", Sandbox(pants))
    return StageRun(pants, Selection(targets), sandbox=sandbox)


def test_the_sandbox_starts_before_anything_else_and_the_tests_learn_about_it() -> None:
    pants = runner()
    sandboxed(pants).run()
    assert (pants.calls[0], pants.calls[-1]) == ("up", "down")
    told = [call for call in pants.calls if "SHIP_E2E_UP=/up" in call]
    assert [call.endswith(" ".join(ALONE)) for call in told] == [True]


@pytest.mark.parametrize("pants", [runner(alone=(), beside=BESIDE), runner(alone=(), beside=())])
def test_no_sandbox_starts_if_no_test_uses_one(pants: RecordingRunner) -> None:
    sandboxed(pants).run()
    assert "up" not in pants.calls


def test_named_tests_make_their_own_sandbox() -> None:
    pants = runner()
    sandboxed(pants, "e2e:integration").run()
    assert "up" not in pants.calls


def test_without_integration_tests_the_unit_tests_use_the_daemon() -> None:
    pants = runner(alone=(), beside=())
    StageRun(pants, Selection(("libs::",))).run()
    assert pants.calls == ["--tag=[] lint libs::", "--tag=[] check libs::", "test libs::"]


def test_a_named_target_runs_even_if_it_is_tagged_long_and_has_nothing_beside_it() -> None:
    pants = runner(alone=("e2e:soak",))
    StageRun(pants, Selection(("e2e:soak",))).run()
    assert pants.calls[-1].endswith('--tag=["integration"] test --force e2e:soak')
    assert set(pants.threads.values()) == {threading.get_ident()}
    assert not any("nice" in call for call in pants.calls)


def test_each_goal_gets_the_affected_targets() -> None:
    pants = runner(alone=(), beside=())
    affected = {"lint": ("a.py",), "check": ("a:a", "b:b"), "test": ("a:tests", "b:tests")}
    StageRun(pants, Selection(affected=affected)).run()
    assert pants.calls == [
        "--tag=[] lint a.py",
        "--tag=[] check a:a b:b",
        "test a:tests b:tests",
    ]


def test_pants_is_not_called_when_nothing_is_affected() -> None:
    pants = runner()
    assert StageRun(pants, Selection(affected={})).run() == []
    assert pants.calls == []


@pytest.mark.parametrize("failing", [ALONE[-1], BESIDE[0]])
def test_a_failed_stage_does_not_stop_the_others(failing: str) -> None:
    pants = runner("lint", failing)
    assert StageRun(pants, Selection(())).run() == [Stage.LINT, Stage.INTEGRATION]
    assert len(pants.calls) == 5


def test_targets_that_pants_cannot_list_are_given_to_a_call_that_shows_the_error() -> None:
    pants = runner("nowhere", lists=False)
    run = StageRun(pants, Selection(("nowhere",)), (Stage.INTEGRATION,))
    assert run.run() == [Stage.INTEGRATION]
    assert [call.endswith("test --force nowhere") for call in pants.calls] == [True]


def test_nothing_is_started_after_ctrl_c() -> None:
    pants = runner()
    pants.interrupted.set()
    assert PantsRunner.run(pants, ["lint", "::"]) == 130


@dataclass
class NothingNeeded:
    """Says that all integration tests passed before."""

    asked: list[str] = field(default_factory=list)

    def needed(self, addresses: Sequence[str]) -> tuple[str, ...]:
        self.asked += addresses
        return ()


def test_integration_tests_that_are_not_needed_do_not_run() -> None:
    pants, reuse = runner(), NothingNeeded()
    assert StageRun(pants, Selection(()), reuse=reuse).run() == []
    assert pants.calls == ["--tag=[] lint ::", "--tag=[] check ::", "test ::"]
    assert reuse.asked == [*ALONE, *BESIDE]


def test_every_phase_that_ran_is_measured() -> None:
    run = StageRun(runner(), Selection(()))
    run.run()
    assert set(run.watch.seconds) == {"lint", "check", "tests", "integration tests"}
