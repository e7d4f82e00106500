"""The stages of `ship test` and how each calls Pants.

The integration tests run one at a time and mostly wait. Beside them run lint, type checks, unit tests and the
integration tests that disturb no others, with a lower priority. The sandbox of the tests starts first (docs/adr/0035).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from toolchain.early_sandbox import FOLDER_VARIABLE, EarlySandbox
from toolchain.pants_runner import PantsRunner
from toolchain.timing import Stopwatch

# Variables of the caller's environment that integration tests get: for Docker, tools, folders and the network.
PASSED_VARIABLES = (
    FOLDER_VARIABLE,
    *("CI", "DOCKER_HOST", "HOME", "LANG", "PATH", "SHIP_ROOT", "SHIP_CHROMIUM", "SHIP_E2E_KEEP"),
    *("SHIP_TOOLS", "SSL_CERT_DIR", "SSL_CERT_FILE", "XDG_CACHE_HOME", "XDG_STATE_HOME"),
    *("http_proxy", "https_proxy", "no_proxy", "PIP_INDEX_URL", "PY_CICD_DEBIAN_MIRROR"),
)
# python_tests too: `list` doesn't expand a generator such as e2e:integration into its tests.
LIST_TESTS = ("--filter-target-type=python_test,python_tests", "list")
BESIDE, ALONE = "concurrent", "-concurrent"
"""The tag of integration tests that may run beside others, and the filter for the rest."""


class Stage(StrEnum):
    """The stages of `ship test` in their order, as `--only` names them."""

    LINT = "lint"
    CHECK = "check"
    TEST = "test"
    INTEGRATION = "integration"

    @property
    def label(self) -> str:
        """The stage's name in messages."""
        return {Stage.TEST: "tests", Stage.INTEGRATION: "integration tests"}.get(self, self.value)


@dataclass(frozen=True)
class Selection:
    """Which targets to test: the affected ones by goal, else the named ones, else all."""

    targets: tuple[str, ...] = ()
    affected: Mapping[str, tuple[str, ...]] | None = None

    def specs(self, goal: str) -> tuple[str, ...]:
        """Returns the target arguments of a goal, empty if a change affects none of its targets."""
        if self.affected is not None:
            return self.affected.get(goal, ())
        return self.targets or ("::",)

    def integration_tags(self, *more: str) -> str:
        """Returns Pants' filter of integration tests. Those tagged `long` run only if their targets are named."""
        long = () if self.targets else ("-long",)
        return f"--tag={json.dumps(['integration', *long, *more])}"


class Reuse(Protocol):
    """Knows which integration tests needn't run, because they passed with the same inputs."""

    def needed(self, addresses: Sequence[str]) -> tuple[str, ...]:
        """Returns the addresses of the tests that have to run."""
        ...


@dataclass(frozen=True)
class StageRun:
    """One run of the selected stages."""

    runner: PantsRunner
    selection: Selection
    stages: Sequence[Stage] = tuple(Stage)
    coverage: bool = False
    reuse: Reuse | None = None
    watch: Stopwatch = field(default_factory=Stopwatch)
    sandbox: EarlySandbox | None = None

    def run(self) -> list[Stage]:
        """Runs all stages, also after a failure. Returns the failed ones in their order."""
        alone, beside = self._integration_tests(ALONE), self._integration_tests(BESIDE)
        if alone and not self.selection.targets:
            # The thread starts no daemon: it would keep the integration tests' own calls of Pants waiting.
            with self._early_sandbox() as started, ThreadPoolExecutor(1) as pool:
                others = pool.submit(self._beside, beside, nice=True, PANTS_PANTSD="false")
                try:
                    integration = self._integration(alone, started)
                    passed = others.result()
                except KeyboardInterrupt:
                    self.runner.interrupted.set()
                    raise
        else:
            passed = self._beside(beside)
            integration = self._integration(alone)
        passed[Stage.INTEGRATION] &= integration
        return [stage for stage in Stage if not passed[stage]]

    @contextmanager
    def _early_sandbox(self) -> Iterator[Mapping[str, str]]:
        if self.sandbox is None:
            yield {}
            return
        with self.sandbox.starting() as variables:
            yield variables

    def _beside(
        self, integration: Sequence[str], *, nice: bool = False, **extra: str
    ) -> dict[Stage, bool]:
        """Lints and checks, then runs the unit tests and these integration tests. Returns whether each stage passed."""
        return {
            Stage.LINT: self._goal(Stage.LINT, nice=nice, **extra),
            Stage.CHECK: self._goal(Stage.CHECK, nice=nice, **extra),
            Stage.TEST: self._goal(Stage.TEST, nice=nice, **extra),
            Stage.INTEGRATION: self._integration(integration, nice=nice),
        }

    def _goal(self, stage: Stage, *, nice: bool = False, **extra: str) -> bool:
        """Runs a stage in a call of its own, because Pants skips the goals after a failed one."""
        specs = self.selection.specs(stage.value)
        if stage not in self.stages or not specs:
            return True
        options: tuple[str, ...] = ()
        if stage is not Stage.TEST:
            # It overrides pants.toml, whose filter would exclude integration tests.
            options = ("--tag=[]",)
        elif self.coverage:
            options = ("--test-use-coverage", '--coverage-py-report=["console", "xml"]')
        with self.watch.phase(stage.label):
            return self.runner.run([*options, stage.value, *specs], nice=nice, **extra) == 0

    def _integration_tests(self, tag: str) -> tuple[str, ...]:
        """Returns the addresses of the selected integration tests with this tag that have to run."""
        specs = self.selection.specs("test")
        if Stage.INTEGRATION not in self.stages or not specs:
            return ()
        listed = self.runner.read([self.selection.integration_tags(tag), *LIST_TESTS, *specs])
        if listed is None:
            return specs if tag == ALONE else ()
        addresses = tuple(listed.split())
        return self.reuse.needed(addresses) if self.reuse and addresses else addresses

    def _integration(
        self,
        addresses: Sequence[str],
        variables: Mapping[str, str] | None = None,
        *,
        nice: bool = False,
    ) -> bool:
        """Runs integration tests. Returns whether they passed, also if there are none."""
        if not addresses:
            return True
        passed = f"--test-extra-env-vars={json.dumps(PASSED_VARIABLES)}"
        # Without Pants' daemon: other settings would restart the one that the other calls share, and tests that call
        # Pants themselves would wait for a busy daemon.
        with self.watch.phase(Stage.INTEGRATION.label):
            code = self.runner.run(
                [self.selection.integration_tags(), "test", "--force", passed, *addresses],
                nice=nice,
                PANTS_PANTSD="false",
                PANTS_PROCESS_EXECUTION_LOCAL_PARALLELISM="1",
                SHIP_ROOT=str(self.runner.toolset.paths.checkout),
                **(variables or {}),
            )
        return code == 0
