"""Decides which integration tests `ship test` needn't run again, and keeps the results of those that ran."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from pathlib import Path

from toolchain.closure import PEEK, FileHashes, SourceGraph, parse_graph, shared_files
from toolchain.docker_daemon import DockerDaemon
from toolchain.kept_results import KeptResult, KeptResults
from toolchain.machine import is_ci
from toolchain.pants_runner import PantsRunner
from toolchain.reports import Totals
from toolchain.stages import PASSED_VARIABLES
from toolchain.tools.toolset import Toolset


class ReuseMode(Enum):
    """What a run does with kept results. All modes keep new ones."""

    NONE = auto()  # it runs everything
    REUSE = auto()  # tests with a result don't run
    RECHECK = (
        auto()
    )  # it runs everything; a test that fails in spite of its kept result is reported


def mode_of(
    environ: Mapping[str, str], *, asked: bool, recheck: bool, named: bool, terminal: bool
) -> ReuseMode | None:
    """Returns the mode, None in CI, where nothing is reused, and nothing kept except by a recheck.

    A person at a terminal reuses, unless targets are `named`; without a terminal it has to be `asked` for.
    """
    if recheck:
        return ReuseMode.RECHECK
    if is_ci(environ):
        return None
    return ReuseMode.REUSE if asked or (terminal and not named) else ReuseMode.NONE


def machine_facts(
    toolset: Toolset, daemon: DockerDaemon, environ: Mapping[str, str]
) -> tuple[str, ...]:
    """Returns what a result depends on besides files: engine, kernel, tools, and the variables that tests get."""
    variables = (f"{name}={environ.get(name)}" for name in PASSED_VARIABLES)
    kernel = f"{platform.system()} {platform.release()} {platform.machine()}"
    tools = sorted(tool.key for tool in toolset.for_tests)
    return (f"engine {daemon.version()}", kernel, *tools, *variables)


@dataclass
class ResultReuse:
    """Applies kept results to one run of one checkout. It is asked for the tests to run before they run.

    `reused` are the results that stood for a run, `wrong` those that a run refuted.
    """

    runner: PantsRunner
    results: KeptResults
    facts: Sequence[str]
    mode: ReuseMode
    reused: list[KeptResult] = field(default_factory=list)
    wrong: list[KeptResult] = field(default_factory=list)
    _keys: dict[str, str] = field(default_factory=dict)
    _graph: SourceGraph | None = None
    _read: bool = False

    @property
    def _checkout(self) -> Path:
        return self.runner.toolset.paths.checkout

    def needed(self, addresses: Sequence[str]) -> tuple[str, ...]:
        """Returns the addresses of the tests without a result to reuse. Without a graph, that is all of them."""
        if not self._read:
            output = self.runner.read(PEEK)
            self._graph, self._read = parse_graph(output) if output else None, True
        if self._graph is None:
            return tuple(addresses)
        tests = dict.fromkeys(
            test for each in addresses for test in self._graph.tests_of(each) or (each,)
        )
        keys = self._current_keys(tests)
        self._keys |= keys
        if self.mode is not ReuseMode.REUSE:
            return tuple(tests)
        found = {test: self.results.find(test, keys[test]) for test in tests}
        self.reused += [result for result in found.values() if result]
        return tuple(test for test, result in found.items() if not result)

    def record(self, totals: Totals) -> None:
        """Keeps the result of each test file that ran and is green; deletes those of files that aren't.

        A file whose inputs changed during the run gets none.
        """
        reused = {result.address for result in self.reused}
        ran = {test: key for test, key in self._keys.items() if test not in reused}
        now = self._current_keys(ran)
        suites = {suite.name: suite for suite in totals.suites}
        for test, key in ran.items():
            suite = suites.get(test.partition(":")[0])
            if suite is not None and suite.is_green:
                if now[test] == key:
                    self.results.keep(test, key, suite.passed)
                continue
            if self.mode is ReuseMode.RECHECK and (result := self.results.find(test, key)):
                self.wrong.append(result)
            self.results.delete(test, key)
        self.results.delete_old()

    def _current_keys(self, tests: Mapping[str, object]) -> dict[str, str]:
        if self._graph is None:
            return {}
        hashes, shared = FileHashes(self._checkout), shared_files(self._checkout)
        return {test: hashes.key(self._graph.files(test) | shared, self.facts) for test in tests}

    @property
    def lines(self) -> list[str]:
        """What `ship test` prints about kept results above its last line."""
        lines = [
            f"wrong: {each.address} was kept as passed on {each.date} and fails with the same inputs"
            for each in self.wrong
        ]
        if self.reused:
            count = sum(each.passed for each in self.reused)
            oldest = min(self.reused, key=lambda each: each.at)
            lines.append(f"{count} reused from {oldest.date}")
        return lines
