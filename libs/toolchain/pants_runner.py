"""Runs Pants for `ship test`, shows its output and collects its cache counters."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from toolchain import pants_cache
from toolchain.pants import pants_command, pants_environment
from toolchain.pants_cache import CacheUse
from toolchain.tools.toolset import Toolset

INTERRUPTED = 130
NICE = ("nice", "-n", "10")


@dataclass(frozen=True)
class PantsRunner:
    """Runs Pants with visible output and collects its cache counters in `cache_uses`.

    Several threads may call it. After Ctrl-C it starts nothing more.
    """

    toolset: Toolset
    environ: Mapping[str, str]
    reports: Path
    quiet_stdout: bool
    cache_uses: list[CacheUse] = field(default_factory=list)
    interrupted: threading.Event = field(default_factory=threading.Event)

    def run(self, args: Sequence[str], *, nice: bool = False, **extra: str) -> int:
        """Runs Pants and returns its exit code. On Ctrl-C, which Pants receives too, waits until Pants has ended.

        With `nice`, it leaves the processor to other programs that want it.
        """
        if self.interrupted.is_set():
            return INTERRUPTED
        checkout = self.toolset.paths.checkout
        reports = self.reports.relative_to(checkout)  # Pants refuses absolute paths
        # The live display of Pants needs a terminal. Without one, stderr is a pipe, from which we read the counters.
        stats = () if sys.stderr.isatty() else ("--stats-log",)
        process = subprocess.Popen(
            [
                *(NICE if nice else ()),
                *pants_command(self.toolset, [f"--test-report-dir={reports}", *stats, *args]),
            ],
            cwd=checkout,
            env={**self._env, **extra},
            stdin=subprocess.DEVNULL,
            stdout=sys.stderr if self.quiet_stdout else None,
            stderr=subprocess.PIPE if stats else None,
            text=True,
            errors="replace",
        )
        reader = self._start_reader(process)
        raised = False
        while True:
            try:
                code = process.wait()
            except KeyboardInterrupt:
                raised = True
                self.interrupted.set()
                continue
            if reader:
                reader.join()
            if raised:
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

    def read(self, args: Sequence[str]) -> str | None:
        """Returns what Pants prints on stdout, None if it fails. A later call with the same targets shows the error."""
        done = subprocess.run(
            pants_command(self.toolset, args),
            cwd=self.toolset.paths.checkout,
            env=self._env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
            check=False,
        )
        return None if done.returncode else done.stdout

    @property
    def _env(self) -> dict[str, str]:
        return pants_environment(self.toolset, self.environ)
