"""`ship test`: runs set-up, lint, type checks and tests, then the integration tests one at a time.

The last line is `N passed, N failed`, counted from the reports of the tests that ran.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path

from toolchain import (
    affected,
    caches,
    pants_cache,
)
from toolchain.arguments import VerbParser
from toolchain.docker_daemon import stop_daemon_started_by
from toolchain.pants import pants_command, pants_environment
from toolchain.pants_cache import CacheUse
from toolchain.reports import Totals, read_reports
from toolchain.setup import (
    Setup,
    link_current,
    prepare,
    should_confirm,
)
from toolchain.tasks import Task
from toolchain.tools.toolset import Toolset

EXAMPLE = """examples:
  ./ship test
  ./ship test libs/deploy::
  ./ship test --changed-since main"""
# Variables of the caller's environment that integration tests get: for Docker, tools, folders and the network.
PASSED_VARIABLES = (
    *("CI", "DOCKER_HOST", "HOME", "LANG", "PATH", "SHIP_ROOT", "SHIP_CHROMIUM", "SHIP_E2E_KEEP"),
    *("SHIP_TOOLS", "SSL_CERT_DIR", "SSL_CERT_FILE", "XDG_CACHE_HOME", "XDG_STATE_HOME"),
    *("http_proxy", "https_proxy", "no_proxy", "PIP_INDEX_URL", "PY_CICD_DEBIAN_MIRROR"),
)


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

    @property
    def integration_tags(self) -> str:
        """The tags of integration tests. Those tagged `long` run only if their targets are named."""
        return '["integration"]' if self.targets else '["integration", "-long"]'


def parser() -> VerbParser:
    """Returns the verb's argument parser."""
    parser = VerbParser("test", __doc__, EXAMPLE)
    parser.add_argument("targets", nargs="*", metavar="TARGETS", help="default: everything (::)")
    parser.add_argument(
        "--changed-since",
        metavar="REF",
        nargs="?",
        const="",
        help="only targets affected since REF (without REF: since the base of ./ship affected)",
    )
    parser.add_argument(
        "--selection",
        metavar="FILE",
        help="only targets in this file, which ship affected --out wrote",
    )
    parser.add_argument("--only", choices=[stage.value for stage in Stage], help="only this stage")
    parser.add_argument(
        "--coverage",
        action="store_true",
        help="measure coverage and write it to dist/coverage as Cobertura XML",
    )
    parser.add_argument(
        "--no-integration", action="store_true", help="skip the tests that need a Docker engine"
    )
    parser.add_argument("--yes", action="store_true", help="don't ask before set-up")
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")
    parser.add_argument("--env", default="sandbox", metavar="NAME", help="no effect here")
    return parser


def run_tests(setup: Setup, argv: Sequence[str], environ: Mapping[str, str]) -> int:
    """Runs the verb. Returns 0 if lint, check and all selected tests passed, else 1."""
    args = parser().parse_args(argv)
    selectors = (bool(args.targets), args.changed_since is not None, bool(args.selection))
    if sum(selectors) > 1:
        parser().error("TARGETS, --changed-since and --selection exclude each other")
    if deleted := caches.enforce_limit(environ):
        print(deleted, file=sys.stderr, flush=True)
    prepare(_tasks(setup, args.only), confirm=should_confirm(argv, environ))
    link_current(setup.toolset)
    try:
        return _run_tests(setup, args, environ)
    finally:
        stop_daemon_started_by("test", setup.toolset.paths)


def _tasks(setup: Setup, only: str | None) -> list[Task]:
    """Returns the set-up tasks: a single stage other than `integration` needs neither Debian packages nor Docker."""
    if only in (None, Stage.INTEGRATION):
        return setup.tasks_for_all("test")
    return setup.tasks_for(setup.toolset.for_tests if only == Stage.TEST else setup.toolset.all)


def _stages(args: argparse.Namespace) -> tuple[Stage, ...]:
    stages = (Stage(args.only),) if args.only else tuple(Stage)
    if args.no_integration:
        return tuple(stage for stage in stages if stage is not Stage.INTEGRATION)
    return stages


def _run_tests(setup: Setup, args: argparse.Namespace, environ: Mapping[str, str]) -> int:
    checkout = setup.toolset.paths.checkout
    selection = _selection(setup, args, environ)
    with fresh_reports(checkout) as reports:
        runner = PantsRunner(setup.toolset, environ, reports, quiet_stdout=args.json)
        failed = run_stages(runner, selection, _stages(args), coverage=args.coverage)
        totals = read_reports(reports)
    if runner.cache_uses:
        use = sum(runner.cache_uses, CacheUse())
        pants_cache.write(use, checkout / "dist" / "ci" / "cache", environ.get("CI_JOB_NAME"))
        print(use.line, file=sys.stderr, flush=True)
    exit_code = 1 if failed or totals.failed else 0
    print(render(totals, failed), file=sys.stderr if args.json else sys.stdout, flush=True)
    if args.json:
        print(json.dumps(document(totals, failed, exit_code)))
    return exit_code


def _selection(setup: Setup, args: argparse.Namespace, environ: Mapping[str, str]) -> Selection:
    if args.changed_since is not None:
        targets = affected.run_affected(setup.toolset, environ, args.changed_since or None)
    elif args.selection:
        targets = affected.read_affected(Path(args.selection))
    else:
        return Selection(tuple(args.targets))
    print(f"testing affected targets only: {targets.reason}", file=sys.stderr, flush=True)
    return Selection(affected=targets.by_goal)


@contextlib.contextmanager
def fresh_reports(checkout: Path) -> Iterator[Path]:
    """Yields an empty folder for the reports of this run, which becomes dist/test/reports at the end."""
    folder = checkout / "dist" / "test" / f"run-{os.getpid()}"
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        published = folder.with_name("reports")
        shutil.rmtree(published, ignore_errors=True)
        shutil.move(folder, published)


@dataclass(frozen=True)
class PantsRunner:
    """Runs Pants with visible output and collects its cache counters in `cache_uses`."""

    toolset: Toolset
    environ: Mapping[str, str]
    reports: Path
    quiet_stdout: bool
    cache_uses: list[CacheUse] = field(default_factory=list)

    def run(self, args: Sequence[str], **extra: str) -> int:
        """Runs Pants and returns its exit code. On Ctrl-C, which Pants receives too, waits until Pants has ended."""
        checkout = self.toolset.paths.checkout
        reports = self.reports.relative_to(checkout)  # Pants refuses absolute paths
        # The live display of Pants needs a terminal. Without one, stderr is a pipe, from which we read the counters.
        stats = () if sys.stderr.isatty() else ("--stats-log",)
        process = subprocess.Popen(
            pants_command(self.toolset, [f"--test-report-dir={reports}", *stats, *args]),
            cwd=checkout,
            env={**self._env, **extra},
            stdin=subprocess.DEVNULL,
            stdout=sys.stderr if self.quiet_stdout else None,
            stderr=subprocess.PIPE if stats else None,
            text=True,
            errors="replace",
        )
        reader = self._start_reader(process)
        interrupted = False
        while True:
            try:
                code = process.wait()
            except KeyboardInterrupt:
                interrupted = True
                continue
            if reader:
                reader.join()
            if interrupted:
                raise KeyboardInterrupt
            return code

    def _start_reader(self, process: subprocess.Popen[str]) -> threading.Thread | None:
        """Starts a thread that prints the stderr of Pants except the counters at its end, which it collects."""
        stream = process.stderr
        if stream is None:
            return None

        def read() -> None:
            counters = []
            for line in stream:
                if pants_cache.is_counter(line):
                    counters.append(line)
                elif not pants_cache.is_stats_output(line):
                    print(line, end="", file=sys.stderr, flush=True)
            if counters:
                self.cache_uses.append(pants_cache.read_counters(counters))

        thread = threading.Thread(target=read, daemon=True)
        thread.start()
        return thread

    def lists(self, args: Sequence[str]) -> bool:
        """Returns whether a call of `pants list` prints a target or fails: a later call then shows the error."""
        argv = pants_command(self.toolset, args)
        done = subprocess.run(
            argv,
            cwd=self.toolset.paths.checkout,
            env=self._env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            check=False,
        )
        return done.returncode != 0 or bool(done.stdout.strip())

    @property
    def _env(self) -> dict[str, str]:
        return pants_environment(self.toolset, self.environ)


def run_stages(
    runner: PantsRunner,
    selection: Selection,
    stages: Sequence[Stage] = tuple(Stage),
    *,
    coverage: bool = False,
) -> list[Stage]:
    """Runs all stages, also after a failure. Returns the failed ones."""
    # --tag=[] overrides pants.toml, whose filter would exclude integration tests from lint and check.
    # One call for each goal, because Pants skips the goals after a failed one. The daemon makes the calls cheap.
    measured = ("--test-use-coverage", '--coverage-py-report=["console", "xml"]')
    calls = {
        Stage.LINT: ("--tag=[]", "lint"),
        Stage.CHECK: ("--tag=[]", "check"),
        Stage.TEST: (*(measured if coverage else ()), "test"),
    }
    failed = [
        stage
        for stage, args in calls.items()
        if stage in stages
        and (specs := selection.specs(args[-1]))
        and runner.run([*args, *specs]) != 0
    ]
    if Stage.INTEGRATION in stages and not _run_integration(runner, selection):
        failed.append(Stage.INTEGRATION)
    return failed


def _run_integration(runner: PantsRunner, selection: Selection) -> bool:
    """Runs the selected integration tests. Returns whether they passed, also if there are none."""
    specs = selection.specs("test")
    tags = f"--tag={selection.integration_tags}"
    # python_tests too: `list` doesn't expand a generator such as e2e:integration into its tests.
    list_tests = ["--filter-target-type=python_test,python_tests", "list"]
    if not specs or not runner.lists([tags, *list_tests, *specs]):
        return True
    variables = f"--test-extra-env-vars={json.dumps(PASSED_VARIABLES)}"
    # Without Pants' daemon: other settings would restart the one that the other calls share, and tests that call
    # Pants themselves would wait for a busy daemon.
    code = runner.run(
        [tags, "test", "--force", variables, *specs],
        PANTS_PANTSD="false",
        PANTS_PROCESS_EXECUTION_LOCAL_PARALLELISM="1",
        SHIP_ROOT=str(runner.toolset.paths.checkout),
    )
    return code == 0


def render(totals: Totals, failed: Sequence[Stage]) -> str:
    """Returns a line for each failed stage and case, then the counts alone on the last line."""
    lines = [f"failed: {stage.label}" for stage in failed]
    for suite in totals.suites:
        lines += [f"failed: {name}" for name in suite.failed]
        lines += [f"skipped (counts as failed): {name}" for name in suite.skipped]
    return "\n".join([*lines, totals.line])


def document(totals: Totals, failed: Sequence[Stage], exit_code: int) -> dict[str, object]:
    """Returns the document that `--json` prints."""
    error = None
    if exit_code:
        causes = ", ".join(stage.label for stage in failed) or "skipped tests"
        message = f"{causes}: {totals.line}"
        error = {"type": "TestsFailedError", "message": message, "hint": "./ship test TARGET"}
    counts = {"passed": totals.passed, "failed": totals.failed}
    suites = [asdict(suite) for suite in totals.suites]
    return {"ok": not exit_code, "exit_code": exit_code, "error": error, **counts, "suites": suites}
