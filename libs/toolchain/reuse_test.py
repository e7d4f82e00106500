"""Tests of reuse: which results are kept and used, what changes a key, and what a rerun refutes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from toolchain.closure import parse_graph, shared_files
from toolchain.docker_daemon import DockerDaemon
from toolchain.kept_results import KEPT_DAYS, KeptResults
from toolchain.pants_runner import PantsRunner
from toolchain.paths import Paths
from toolchain.reports import Suite, Totals
from toolchain.reuse import ResultReuse, ReuseMode, machine_facts, mode_of
from toolchain.tools.toolset import Toolset

A, B = "e2e/a_test.py:integration", "e2e/b_test.py:integration"
TARGETS = [
    {"address": "e2e:integration", "target_type": "python_tests", "dependencies": [A, B]},
    {"address": A, "target_type": "python_test", "sources": ["e2e/a_test.py"], "dependencies": ["libs/x"]},
    {"address": B, "target_type": "python_test", "sources": ["e2e/b_test.py"]},
    {"address": "libs/x", "target_type": "python_sources", "dependencies": ["libs/x/x.py"]},
    {"address": "libs/x/x.py", "target_type": "python_source", "sources": ["libs/x/x.py"]},
]  # fmt: skip
GREEN = Totals((Suite("e2e/a_test.py", 2, (), ()), Suite("e2e/b_test.py", 3, (), ())))
RED_A = Totals((Suite("e2e/a_test.py", 1, ("e2e.a_test::bad",), ()), GREEN.suites[1]))
DAY_S = 24 * 3600


@dataclass(frozen=True)
class PeekingRunner(PantsRunner):
    """Prints the graph of a checkout; None if Pants fails."""

    output: str | None = field(default_factory=lambda: json.dumps(TARGETS))

    def read(self, args: Sequence[str]) -> str | None:
        assert "peek" in args
        return self.output


@dataclass
class Checkout:
    """A checkout with two integration tests, and the results of its user."""

    root: Path
    now: float = 1e9
    facts: tuple[str, ...] = ("engine 1",)
    output: str | None = field(default_factory=lambda: json.dumps(TARGETS))

    @property
    def results(self) -> KeptResults:
        return KeptResults(self.root.parent / "kept-results", lambda: self.now)

    def write(self, path: str, text: str) -> None:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def start(self, mode: ReuseMode = ReuseMode.REUSE) -> ResultReuse:
        toolset = Toolset(Paths(self.root, self.root.parent / "cache", self.root.parent / "state"))
        runner = PeekingRunner(toolset, {}, self.root, quiet_stdout=False, output=self.output)
        return ResultReuse(runner, self.results, self.facts, mode)

    def run(self, totals: Totals = GREEN, mode: ReuseMode = ReuseMode.REUSE) -> tuple[str, ...]:
        """Runs all tests with these results; returns the addresses of those that weren't reused."""
        reuse = self.start(mode)
        needed = reuse.needed(["e2e:integration"])
        ran = {address.partition(":")[0] for address in needed}
        reuse.record(Totals(tuple(suite for suite in totals.suites if suite.name in ran)))
        return needed


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    made = Checkout(tmp_path / "repo")
    for path in (
        "e2e/a_test.py",
        "e2e/b_test.py",
        "libs/x/x.py",
        "pants.toml",
        "ship",
        "e2e/BUILD",
    ):
        made.write(path, f"# {path}\n")
    return made


def test_green_tests_are_not_run_again(checkout: Checkout) -> None:
    assert checkout.run() == (A, B)
    reuse = checkout.start()
    assert reuse.needed(["e2e:integration"]) == ()
    assert reuse.needed([A]) == ()
    assert len(reuse.lines) == 1
    assert reuse.lines[0].startswith("7 reused from 2001-09-")


def test_only_tests_whose_files_changed_run(checkout: Checkout) -> None:
    checkout.run()
    checkout.write("libs/x/x.py", "changed\n")
    assert checkout.run() == (A,)
    checkout.write("libs/x/x.py", "# libs/x/x.py\n")
    assert checkout.run() == ()


@pytest.mark.parametrize(
    "path",
    ["pants.toml", "ship", "deploy/nginx/nginx.conf", "libs/toolchain/main.py", "libs/new/BUILD", "3rdparty/a.lock"],
)  # fmt: skip
def test_a_file_that_every_test_depends_on_runs_all(checkout: Checkout, path: str) -> None:
    checkout.run()
    checkout.write(path, "changed\n")
    assert checkout.run() == (A, B)


def test_another_machine_runs_all(checkout: Checkout) -> None:
    checkout.run()
    checkout.facts = ("engine 2",)
    assert checkout.run() == (A, B)


def test_a_red_run_deletes_the_result(checkout: Checkout) -> None:
    checkout.run()
    assert checkout.run(RED_A, ReuseMode.NONE) == (A, B)
    assert checkout.run() == (A,)


@pytest.mark.parametrize("suites", [(), (Suite("e2e/a_test.py", 2, (), ("skipped",)),)])
def test_a_test_that_did_not_run_or_was_skipped_is_not_green(
    checkout: Checkout, suites: tuple[Suite, ...]
) -> None:
    checkout.run()
    checkout.run(Totals((*suites, GREEN.suites[1])), ReuseMode.NONE)
    assert checkout.run() == (A,)


def test_a_test_whose_files_change_while_it_runs_gets_no_result(checkout: Checkout) -> None:
    reuse = checkout.start()
    reuse.needed([A, B])
    checkout.write("libs/x/x.py", "changed\n")
    reuse.record(GREEN)
    checkout.write("libs/x/x.py", "# libs/x/x.py\n")
    assert checkout.run() == (A,)


def test_old_and_broken_results_count_as_missing(checkout: Checkout) -> None:
    checkout.run()
    for file in checkout.results.folder.iterdir():
        if "a_test" in file.name:
            file.write_text("{")
    assert checkout.run() == (A,)
    checkout.now += (KEPT_DAYS + 1) * DAY_S
    assert checkout.run() == (A, B)


def test_a_recheck_runs_everything_and_names_wrong_results(checkout: Checkout) -> None:
    checkout.run()
    reuse = checkout.start(ReuseMode.RECHECK)
    assert reuse.needed(["e2e:integration"]) == (A, B)
    reuse.record(RED_A)
    assert [result.address for result in reuse.wrong] == [A]
    assert reuse.lines[0].startswith(f"wrong: {A} was kept as passed on 2001-09-")
    assert checkout.run() == (A,)


@pytest.mark.parametrize("output", [None, "not JSON", "[1]"])
def test_without_a_graph_everything_runs_and_nothing_is_kept(
    checkout: Checkout, output: str | None
) -> None:
    checkout.output = output
    reuse = checkout.start()
    assert reuse.needed(["e2e:integration"]) == ("e2e:integration",)
    reuse.record(GREEN)
    assert not checkout.results.folder.exists()


CI, LAPTOP = {"CI": "true"}, dict[str, str]()


def test_only_a_person_reuses_and_ci_never_does() -> None:
    def mode(
        environ: dict[str, str], *, terminal: bool = True, asked: bool = False, named: bool = False
    ) -> ReuseMode | None:
        return mode_of(environ, asked=asked, recheck=False, named=named, terminal=terminal)

    assert mode(LAPTOP) is ReuseMode.REUSE
    assert mode(LAPTOP, named=True) is ReuseMode.NONE
    assert mode(LAPTOP, named=True, asked=True) is ReuseMode.REUSE
    assert mode(LAPTOP, terminal=False) is ReuseMode.NONE
    assert mode(LAPTOP, terminal=False, asked=True) is ReuseMode.REUSE
    assert mode(CI) is None
    assert mode(CI, asked=True) is None
    recheck = mode_of(CI, asked=False, recheck=True, named=False, terminal=False)
    assert recheck is ReuseMode.RECHECK  # it runs everything


def test_facts_contain_engine_kernel_tools_and_variables(tmp_path: Path) -> None:
    toolset = Toolset(Paths(Path(__file__).parents[2], tmp_path, tmp_path))
    daemon = DockerDaemon(f"unix://{tmp_path}/none.sock")
    facts = machine_facts(toolset, daemon, {"SHIP_CHROMIUM": "/opt/chromium"})
    assert facts[0] == "engine unknown"
    assert facts[1].startswith("Linux ")
    assert toolset.pants.key in facts
    assert "SHIP_CHROMIUM=/opt/chromium" in facts


def test_shared_files_leave_out_what_builds_write(checkout: Checkout) -> None:
    for path in ("dist/BUILD", "deploy/__pycache__/a.pyc", ".pants.d/BUILD", "deploy/compose.yml"):
        checkout.write(path, "")
    assert shared_files(checkout.root) == {"pants.toml", "ship", "e2e/BUILD", "deploy/compose.yml"}


def test_a_test_depends_on_the_files_of_its_whole_closure() -> None:
    graph = parse_graph(json.dumps(TARGETS))
    assert graph is not None
    assert graph.files(A) == {"e2e/a_test.py", "libs/x/x.py"}
    assert graph.tests_of("e2e:integration") == (A, B)
