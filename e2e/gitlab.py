"""An emulator of GitLab's runner over a clone, and the other tools that look at a pipeline; never a real GitLab.

What it doesn't reproduce stands in docs/gitlab.md.
"""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from e2e.stack import Clone, checkout

HOW = ("--force-shell-executor", "--concurrency", "1")
HEADER = "name;stage;when;"


@cache
def tools() -> Mapping[str, Sequence[str]]:
    """How to start each of the tools that the set-up brought, by name."""
    argv = ["python3", str(checkout() / "libs" / "toolchain"), "pipeline-tools"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, env=_plain())
    assert done.returncode == 0, done.stderr
    found: Mapping[str, Sequence[str]] = json.loads(done.stdout)
    return found


@dataclass(frozen=True)
class Ran:
    """How a run of the emulator ended, and what it and its jobs wrote."""

    code: int
    said: str


@dataclass(frozen=True)
class Gitlab:
    """A project of GitLab's: a clone with an origin whose default branch is main."""

    clone: Clone

    @classmethod
    def over(cls, clone: Clone) -> Gitlab:
        """Makes a clone look as GitLab's runner leaves one."""
        git = ["git", "-C", str(clone.root)]
        for words in (
            ["checkout", "-q", "-B", "main"],
            ["remote", "set-url", "origin", "git@gitlab.example.com:group/project.git"],
            ["symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/main"],
        ):
            subprocess.run([*git, *words], check=True)
        return cls(clone)

    def pushed(self) -> Gitlab:
        """Tells the clone that its origin has what is committed."""
        git = ["git", "-C", str(self.clone.root)]
        subprocess.run([*git, "update-ref", "refs/remotes/origin/main", "HEAD"], check=True)
        return self

    def jobs(self, variables: Mapping[str, str], file: str = ".gitlab-ci.yml") -> list[str]:
        """The jobs that a pipeline with these variables has, as `stage: name (when)`, in order."""
        ran = self.run("--list-csv", "--file", file, variables=variables)
        assert ran.code == 0, ran.said
        lines = ran.said.splitlines()
        start = next(at for at, line in enumerate(lines) if line.startswith(HEADER))
        return [
            f"{row['stage']}: {row['name']}"
            + ("" if row["when"] == "on_success" else f" ({row['when']})")
            for row in csv.DictReader(lines[start:], delimiter=";")
        ]

    def run(self, *words: str, variables: Mapping[str, str], within_s: float = 600) -> Ran:
        """Runs the emulator; "" unsets a variable. Every job is a process of this machine's shell.

        One at a time: they share one checkout and its Pants daemon, where a runner gives each its own.
        """
        known = ["--ignore-predefined-vars", ",".join(variables)]
        given = [
            each
            for name, value in variables.items()
            for each in (("--variable", f"{name}={value}") if value else ("--unset-variable", name))
        ]
        done = subprocess.run(
            [*tools()["gitlab-ci-local"], *HOW, *words, *known, *given],
            cwd=self.clone.root,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            check=False,
            timeout=within_s,
            env=_plain() | {"NO_COLOR": "1", "FORCE_COLOR": "0"},
        )
        return Ran(done.returncode, done.stdout)


def _plain() -> dict[str, str]:
    """The caller's environment without what leads a Python or a pipeline astray."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PYTHON", "PEX", "CI_", "GITLAB"))
    }


def files(root: Path) -> list[Path]:
    """The pipeline's own files."""
    return [root / ".gitlab-ci.yml", *sorted((root / ".gitlab" / "ci").glob("*.yml"))]


def scripts(text: str) -> Iterator[str]:
    """Yields every line that a shell is given, of the files here and of those that `ship pipeline` writes.

    Raises AssertionError for a script in another form, which would go unchecked.
    """
    lines = iter(text.splitlines())
    for line in lines:
        key, _, inline = line.strip().partition(":")
        if key not in {"script", "before_script", "after_script"}:
            continue
        if inline.strip():
            yield from json.loads(inline)
            continue
        first = next(lines)
        assert first.startswith("    - "), first
        yield first.removeprefix("    - ")
        following = next(lines, "")
        assert not following.startswith("    - "), f"two commands in one job: {following}"


def job_of(text: str, name: str) -> Mapping[str, Any]:
    """The plain values of a job that `ship pipeline` wrote: one a line, as JSON."""
    _, found, rest = text.partition(f"\n{json.dumps(name)}:\n")
    assert found, f"there is no job {name}"
    lines = rest.partition('\n"')[0].splitlines()
    parted = [
        line.strip().partition(": ") for line in lines if line.startswith("  ") and line[2] != " "
    ]
    return {key: json.loads(value) for key, _, value in parted if value}


def shellcheck(line: str) -> str:
    """What ShellCheck says of a line, "" for nothing."""
    argv = [*tools()["shellcheck"], "--shell=sh", "--severity=style", "--format=gcc", "-"]
    done = subprocess.run(argv, input=line + "\n", capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def schema_problems(paths: Sequence[Path]) -> str:
    """What GitLab's own schema says of files, "" for nothing."""
    argv = [*tools()["check-jsonschema"], "--builtin-schema", "vendor.gitlab-ci"]
    argv += ["--data-transform", "gitlab-ci", *map(str, paths)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, env=_plain())
    print(done.stdout, done.stderr, file=sys.stderr)
    return "" if done.returncode == 0 else done.stdout
