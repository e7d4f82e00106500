"""`ship test`: runs set-up, lint, type checks and tests, the integration tests beside the unit tests.

The last line is `N passed, N failed`, counted from the reports of the tests that ran. A failed stage without a failed
test (lint, types, a crash) counts as one failure, so that `0 failed` means that everything passed.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from toolchain import (
    affected,
    caches,
    pants_cache,
)
from toolchain.arguments import VerbParser
from toolchain.docker_daemon import stop_daemon_started_by
from toolchain.early_sandbox import EarlySandbox
from toolchain.kept_results import KeptResults
from toolchain.machine import is_ci
from toolchain.pants_cache import CacheUse
from toolchain.pants_runner import PantsRunner
from toolchain.reports import Totals, read_reports
from toolchain.reuse import ResultReuse, machine_facts, mode_of
from toolchain.setup import (
    Setup,
    link_current,
    prepare,
    should_confirm,
)
from toolchain.stages import Selection, Stage, StageRun
from toolchain.tasks import Task
from toolchain.timing import SLOWEST, Stopwatch, render_times

EXAMPLE = """examples:
  ./ship test
  ./ship test libs/deploy::
  ./ship test --changed-since main"""


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
    parser.add_argument(
        "--reuse",
        action="store_true",
        help="don't run integration tests that passed with the same inputs (default at a terminal without TARGETS)",
    )
    parser.add_argument(
        "--recheck",
        action="store_true",
        help="run everything; fail with the date if a kept result was wrong",
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
    if args.reuse and args.recheck:
        parser().error("--reuse and --recheck exclude each other")
    if args.reuse and is_ci(environ):
        parser().error("--reuse is for a person's machine, and CI is set")
    if deleted := caches.enforce_limit(environ):
        print(deleted, file=sys.stderr, flush=True)
    watch = Stopwatch()
    with watch.phase("set-up"):
        prepare(_tasks(setup, args.only), confirm=should_confirm(argv, environ))
        link_current(setup.toolset)
    try:
        return _run_tests(setup, args, environ, watch)
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


def _run_tests(
    setup: Setup, args: argparse.Namespace, environ: Mapping[str, str], watch: Stopwatch
) -> int:
    checkout = setup.toolset.paths.checkout
    selection = _selection(setup, args, environ)
    stages = _stages(args)
    with fresh_reports(checkout) as reports:
        runner = PantsRunner(setup.toolset, environ, reports, quiet_stdout=args.json)
        reuse = _reuse(setup, args, runner) if Stage.INTEGRATION in stages else None
        sandbox = EarlySandbox(checkout, reports / "up", environ)
        run = StageRun(runner, selection, stages, args.coverage, reuse, watch, sandbox)
        failed = run.run()
        totals = read_reports(reports)
    if reuse:
        reuse.record(totals)
    if runner.cache_uses:
        use = sum(runner.cache_uses, CacheUse())
        pants_cache.write(use, checkout / "dist" / "ci" / "cache", environ.get("CI_JOB_NAME"))
        print(use.line, file=sys.stderr, flush=True)
    exit_code = 1 if failed or totals.failed else 0
    out = sys.stderr if args.json else sys.stdout
    lines = render_times(watch, totals.times[:SLOWEST])
    print("\n".join([*lines, render(totals, failed, reuse)]), file=out, flush=True)
    if args.json:
        print(json.dumps(document(totals, failed, exit_code, watch, reuse)))
    return exit_code


def _reuse(setup: Setup, args: argparse.Namespace, runner: PantsRunner) -> ResultReuse | None:
    """Returns what reuses and keeps results, None in CI."""
    terminal = os.isatty(0) and os.isatty(2)
    mode = mode_of(
        runner.environ,
        asked=args.reuse,
        recheck=args.recheck,
        named=bool(args.targets),
        terminal=terminal,
    )
    if mode is None:
        return None
    facts = machine_facts(setup.toolset, setup.daemon, runner.environ)
    return ResultReuse(runner, KeptResults(setup.toolset.paths.kept_results), facts, mode)


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


def render(totals: Totals, failed: Sequence[Stage], reuse: ResultReuse | None = None) -> str:
    """Returns a line for each failed stage and case, what was reused, then the counts alone on the last line."""
    lines = [f"failed: {stage.label}" for stage in failed]
    for suite in totals.suites:
        lines += [f"failed: {name}" for name in suite.failed]
        lines += [f"skipped (counts as failed): {name}" for name in suite.skipped]
    return "\n".join([*lines, *(reuse.lines if reuse else ()), closing_line(totals, failed)])


def failures(totals: Totals, failed: Sequence[Stage]) -> int:
    """Returns the number of failed tests and of failed stages that no failed test explains."""
    tests = {Stage.TEST, Stage.INTEGRATION} if totals.failed else set()
    return totals.failed + len(set(failed) - tests)


def closing_line(totals: Totals, failed: Sequence[Stage]) -> str:
    """Returns the last line of `ship test`."""
    return f"{totals.passed} passed, {failures(totals, failed)} failed"


def document(
    totals: Totals,
    failed: Sequence[Stage],
    exit_code: int,
    watch: Stopwatch,
    reuse: ResultReuse | None = None,
) -> dict[str, object]:
    """Returns the document that `--json` prints."""
    error = None
    if exit_code:
        causes = ", ".join(stage.label for stage in failed) or "skipped tests"
        message = f"{causes}: {closing_line(totals, failed)}"
        error = {"type": "TestsFailedError", "message": message, "hint": "./ship test TARGET"}
    return {
        "ok": not exit_code,
        "exit_code": exit_code,
        "error": error,
        "passed": totals.passed,
        "failed": failures(totals, failed),
        "seconds": watch.total_s,
        "phases": watch.seconds,
        "slowest": [asdict(each) for each in totals.times[:SLOWEST]],
        "reused": [asdict(each) for each in reuse.reused] if reuse else [],
        "wrong": [asdict(each) for each in reuse.wrong] if reuse else [],
        "suites": [asdict(suite) for suite in totals.suites],
    }
