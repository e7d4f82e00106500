"""`ship test`: set-up, lint and check, the tests, then those that need an engine, one at a time.

It ends with `N passed, N failed` alone on a line, counted from the reports of what really ran.
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
from pathlib import Path

from toolchain import (
    affected,
    caches,
    pants_cache,
)
from toolchain.arguments import Arguments
from toolchain.build import pants_command, pants_environment
from toolchain.engine import stop_if_ours
from toolchain.pants_cache import CacheUse
from toolchain.progress import Task
from toolchain.reports import Tally, read_reports
from toolchain.setup import (
    Setup,
    link_current,
    prepare,
    should_ask,
)
from toolchain.tools.all import Chain

EXAMPLE = """examples:
  ./ship test
  ./ship test libs/deploy::
  ./ship test --changed-since main"""
STAGES = ("lint", "check", "test", "integration")
NAMES = {"test": "tests"}
# What an integration test needs of the caller's environment: the engine, the tools, the folders.
PASSED_ON = (
    *("CI", "DOCKER_HOST", "HOME", "LANG", "PATH", "SHIP_ROOT", "SHIP_CHROMIUM", "SHIP_E2E_KEEP"),
    *(
        "SHIP_TOOLS",
        "SSL_CERT_DIR",
        "SSL_CERT_FILE",
        "XDG_CACHE_HOME",
        "XDG_STATE_HOME",
        "http_proxy",
    ),
    *("https_proxy", "no_proxy", "PIP_INDEX_URL", "PY_CICD_DEBIAN_MIRROR"),
)


@dataclass(frozen=True)
class Selection:
    """Which targets: named ones, or by goal what a change reaches, or all."""

    targets: tuple[str, ...] = ()
    reached: Mapping[str, tuple[str, ...]] | None = None

    def specs(self, goal: str) -> tuple[str, ...]:
        """What stands after a goal; none where a change reaches nothing for it."""
        if self.reached is not None:
            return self.reached.get(goal, ())
        return self.targets or ("::",)

    @property
    def integration_tags(self) -> str:
        """Targets tagged `long` run only when they are named."""
        return '["integration"]' if self.targets else '["integration", "-long"]'


def parser() -> Arguments:
    """The arguments of the verb."""
    parser = Arguments("test", __doc__, EXAMPLE)
    parser.add_argument("targets", nargs="*", metavar="TARGETS", help="default: everything (::)")
    parser.add_argument(
        "--changed-since",
        metavar="REF",
        nargs="?",
        const="",
        help="only what a change since REF reaches (without REF: since what ./ship affected says)",
    )
    parser.add_argument(
        "--selection", metavar="FILE", help="only what ship affected --out wrote into this file"
    )
    parser.add_argument(
        "--only", choices=STAGES, help="one stage of lint, check, test, integration"
    )
    parser.add_argument(
        "--coverage", action="store_true", help="measure it, into dist/coverage as Cobertura"
    )
    parser.add_argument(
        "--no-integration", action="store_true", help="leave out what needs an engine"
    )
    parser.add_argument("--yes", action="store_true", help="don't ask before set-up")
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")
    parser.add_argument("--env", default="sandbox", metavar="NAME", help="no effect here")
    return parser


def verify(setup: Setup, argv: Sequence[str], environ: Mapping[str, str]) -> int:
    """Return 0 when lint, check and every test that was selected passed."""
    args = parser().parse_args(argv)
    named = (bool(args.targets), args.changed_since is not None, bool(args.selection))
    if sum(named) > 1:
        parser().error("TARGETS, --changed-since and --selection exclude each other")
    if over := caches.bound(environ):
        print(over, file=sys.stderr, flush=True)
    prepare(_tasks(setup, args.only), ask=should_ask(argv, environ))
    link_current(setup.chain)
    try:
        return _verified(setup, args, environ)
    finally:
        stop_if_ours(setup.chain.places, by="test")


def _tasks(setup: Setup, only: str | None) -> list[Task]:
    """What the stages need: only integration tests need packages of the machine and an engine."""
    if only in (None, "integration"):
        return setup.tasks_for_all("test")
    return setup.tasks_for(setup.chain.all)


def _verified(setup: Setup, args: argparse.Namespace, environ: Mapping[str, str]) -> int:
    selection = Selection(tuple(args.targets))
    if args.changed_since is not None:
        reached = affected.ask(setup.chain, environ, args.changed_since)
        print(f"tested is what a change reaches: {reached.reason}", file=sys.stderr, flush=True)
        selection = Selection(reached=reached.by_goal)
    if args.selection:
        reached = affected.read_file(Path(args.selection))
        print(f"tested is what a change reaches: {reached.reason}", file=sys.stderr, flush=True)
        selection = Selection(reached=reached.by_goal)
    stages: tuple[str, ...] = (args.only,) if args.only else STAGES
    if args.no_integration:
        stages = tuple(each for each in stages if each != "integration")
    with fresh_reports(setup.chain.places.checkout) as reports:
        runner = Runner(setup.chain, environ, reports, quiet_stdout=args.json)
        broken = run_stages(runner, selection, stages, coverage=args.coverage)
        tally = read_reports(reports)
    if runner.cache_uses:
        use = sum(runner.cache_uses, CacheUse())
        folder = setup.chain.places.checkout / "dist" / "ci" / "cache"
        pants_cache.write(use, folder, environ.get("CI_JOB_NAME", ""))
        print(use.line, file=sys.stderr, flush=True)
    exit_code = 1 if broken or tally.failed else 0
    print(render(tally, broken), file=sys.stderr if args.json else sys.stdout, flush=True)
    if args.json:
        print(json.dumps(document(tally, broken, exit_code)))
    return exit_code


@contextlib.contextmanager
def fresh_reports(checkout: Path) -> Iterator[Path]:
    """A folder for this run's reports alone; at the end they lie in dist/test/reports."""
    folder = checkout / "dist" / "test" / f"run-{os.getpid()}"
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shown = folder.with_name("reports")
        shutil.rmtree(shown, ignore_errors=True)
        shutil.move(folder, shown)


@dataclass(frozen=True)
class Runner:
    """Calls Pants with its output visible, and hears what it exits with."""

    chain: Chain
    environ: Mapping[str, str]
    reports: Path
    quiet_stdout: bool
    cache_uses: list[CacheUse] = field(default_factory=list)

    def run(self, args: Sequence[str], **extra: str) -> int:
        """Run to the end; Ctrl-C goes to Pants too, which ends its tests, and we wait for that."""
        reports = self.reports.relative_to(self.chain.places.checkout)  # Pants takes no other
        # A terminal shows what Pants does as it does it; where nobody watches, its counters are read.
        counted = () if sys.stderr.isatty() else ("--stats-log",)
        process = subprocess.Popen(
            pants_command(self.chain, [f"--test-report-dir={reports}", *counted, *args]),
            cwd=self.chain.places.checkout,
            env={**self._env, **extra},
            stdin=subprocess.DEVNULL,
            stdout=sys.stderr if self.quiet_stdout else None,
            stderr=subprocess.PIPE if counted else None,
            text=True,
            errors="replace",
        )
        listening = self._listen(process)
        interrupted = False
        while True:
            try:
                code = process.wait()
            except KeyboardInterrupt:
                interrupted = True
                continue
            if listening:
                listening.join()
            if interrupted:
                raise KeyboardInterrupt
            return code

    def _listen(self, process: subprocess.Popen[str]) -> threading.Thread | None:
        """Passes on what Pants says but for its counters, which it says last."""
        stream = process.stderr
        if stream is None:
            return None

        def pass_on() -> None:
            counters = []
            for line in stream:
                if pants_cache.is_counter(line):
                    counters.append(line)
                elif not pants_cache.is_noise(line):
                    print(line, end="", file=sys.stderr, flush=True)
            if counters:
                self.cache_uses.append(pants_cache.read_counters(counters))

        thread = threading.Thread(target=pass_on, daemon=True)
        thread.start()
        return thread

    def lists(self, args: Sequence[str]) -> bool:
        """Whether Pants prints any target."""
        argv = pants_command(self.chain, args)
        done = subprocess.run(
            argv,
            cwd=self.chain.places.checkout,
            env=self._env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            check=False,
        )
        return done.returncode != 0 or bool(done.stdout.strip())

    @property
    def _env(self) -> dict[str, str]:
        return pants_environment(self.chain, self.environ)


def run_stages(
    runner: Runner,
    selection: Selection,
    stages: Sequence[str] = STAGES,
    *,
    coverage: bool = False,
) -> list[str]:
    """Run all stages, also after one that failed, and return the names of those that did."""
    # The tag filter of pants.toml would keep lint and check from the integration tests, too.
    # Pants leaves out the goals after one that failed, so each is a call: the daemon is warm.
    measured = ("--test-use-coverage", '--coverage-py-report=["console", "xml"]')
    calls = {
        "lint": ("--tag=[]", "lint"),
        "check": ("--tag=[]", "check"),
        "test": (*(measured if coverage else ()), "test"),
    }
    broken = [
        NAMES.get(name, name)
        for name, args in calls.items()
        if name in stages
        and (specs := selection.specs(args[-1]))
        and runner.run([*args, *specs]) != 0
    ]
    specs = selection.specs("test")
    tagged = [f"--tag={selection.integration_tags}"]
    # A name such as e2e:integration is one of python_tests; `list` doesn't open it.
    only_tests = ["--filter-target-type=python_test,python_tests", "list"]
    wanted = "integration" in stages and specs
    if not wanted or not runner.lists([*tagged, *only_tests, *specs]):
        return broken
    extra = f"--test-extra-env-vars={json.dumps(PASSED_ON)}"
    # A daemon of its own settings would end the one that the other calls share, and a test calls
    # Pants itself, which waits for a daemon that is busy: so this call has none.
    code = runner.run(
        [*tagged, "test", "--force", extra, *specs],
        PANTS_PANTSD="false",
        PANTS_PROCESS_EXECUTION_LOCAL_PARALLELISM="1",
        SHIP_ROOT=str(runner.chain.places.checkout),
    )
    return [*broken, *(["integration tests"] if code != 0 else [])]


def render(tally: Tally, broken: Sequence[str]) -> str:
    """Which stages and cases failed, then the count alone on the last line."""
    lines = [f"failed: {stage}" for stage in broken]
    for suite in tally.suites:
        lines += [f"failed: {name}" for name in suite.failed]
        lines += [f"skipped, which counts as failed: {name}" for name in suite.skipped]
    return "\n".join([*lines, tally.line])


def document(tally: Tally, broken: Sequence[str], exit_code: int) -> dict[str, object]:
    """The JSON document of the verb."""
    error = None
    if exit_code:
        named = ", ".join(broken) or "skipped tests"
        message = f"{named}: {tally.line}"
        error = {"type": "TestsFailedError", "message": message, "hint": "./ship test TARGET"}
    counts = {"passed": tally.passed, "failed": tally.failed}
    suites = [asdict(suite) for suite in tally.suites]
    return {"ok": not exit_code, "exit_code": exit_code, "error": error, **counts, "suites": suites}
