"""Runs a pipeline's jobs with an emulator of GitLab's runner and checks the pipeline's files.

docs/gitlab.md lists what the emulator doesn't reproduce.
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

from e2e.live_sandbox import Clone, checkout

OPTIONS = ("--force-shell-executor", "--concurrency", "1")
HEADER = "name;stage;when;"


@cache
def tools() -> Mapping[str, Sequence[str]]:
    """Returns the command line of each tool for pipelines that the set-up installed, by name."""
    argv = ["python3", str(checkout() / "libs" / "toolchain"), "pipeline-tools"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, env=_clean_environ())
    assert done.returncode == 0, done.stderr
    found: Mapping[str, Sequence[str]] = json.loads(done.stdout)
    return found


@dataclass(frozen=True)
class EmulatorRun:
    """The exit code of a run of the emulator, and the output of the run and its jobs."""

    code: int
    output: str


@dataclass(frozen=True)
class GitlabProject:
    """A clone that looks like a checkout of a GitLab project: it has an origin whose default branch is main."""

    clone: Clone

    @classmethod
    def over(cls, clone: Clone) -> GitlabProject:
        """Gives a clone the branch and the origin that GitLab's runner gives one."""
        git = ["git", "-C", str(clone.root)]
        for words in (
            ["checkout", "-q", "-B", "main"],
            ["remote", "set-url", "origin", "git@gitlab.example.com:group/project.git"],
            ["symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/main"],
        ):
            subprocess.run([*git, *words], check=True)
        return cls(clone)

    def pushed(self) -> GitlabProject:
        """Records in the clone that its origin has the last commit; returns itself."""
        git = ["git", "-C", str(self.clone.root)]
        subprocess.run([*git, "update-ref", "refs/remotes/origin/main", "HEAD"], check=True)
        return self

    def jobs(self, variables: Mapping[str, str], file: str = ".gitlab-ci.yml") -> list[str]:
        """Returns the jobs of a pipeline with these variables, in order, as `stage: name (when)`."""
        run = self.run("--list-csv", "--file", file, variables=variables)
        assert run.code == 0, run.output
        lines = run.output.splitlines()
        start = next(at for at, line in enumerate(lines) if line.startswith(HEADER))
        return [
            f"{row['stage']}: {row['name']}"
            + ("" if row["when"] == "on_success" else f" ({row['when']})")
            for row in csv.DictReader(lines[start:], delimiter=";")
        ]

    def run(self, *words: str, variables: Mapping[str, str], within_s: float = 600) -> EmulatorRun:
        """Runs the emulator; an empty value unsets a variable. Each job is a process of this machine's shell.

        Jobs run one at a time, since they share one checkout and its Pants daemon. A runner gives each job its own.
        """
        known = ["--ignore-predefined-vars", ",".join(variables)]
        given: list[str] = []
        for name, value in variables.items():
            given += ["--variable", f"{name}={value}"] if value else ["--unset-variable", name]
        done = subprocess.run(
            [*tools()["gitlab-ci-local"], *OPTIONS, *words, *known, *given],
            cwd=self.clone.root,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            check=False,
            timeout=within_s,
            env=_clean_environ() | {"NO_COLOR": "1", "FORCE_COLOR": "0"},
        )
        return EmulatorRun(done.returncode, done.stdout)


def _clean_environ() -> dict[str, str]:
    """Returns the caller's environment without the variables that change how Python or a pipeline runs."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PYTHON", "PEX", "CI_", "GITLAB"))
    }


def pipeline_files(root: Path) -> list[Path]:
    """Returns the committed files of the pipeline."""
    return [root / ".gitlab-ci.yml", *sorted((root / ".gitlab" / "ci").glob("*.yml"))]


def script_lines(text: str) -> Iterator[str]:
    """Yields the shell lines of a pipeline file, committed or written by `ship pipeline`.

    Raises AssertionError for a script in another form, which would otherwise go unchecked.
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


def parse_job(text: str, name: str) -> Mapping[str, Any]:
    """Returns the scalar values of a job that `ship pipeline` wrote, which stand one per line as JSON."""
    _, found, rest = text.partition(f"\n{json.dumps(name)}:\n")
    assert found, f"there is no job {name}"
    lines = rest.partition('\n"')[0].splitlines()
    items = [
        line.strip().partition(": ") for line in lines if line.startswith("  ") and line[2] != " "
    ]
    return {key: json.loads(value) for key, _, value in items if value}


def shellcheck(line: str) -> str:
    """Returns ShellCheck's complaints about a line; empty if there are none."""
    argv = [*tools()["shellcheck"], "--shell=sh", "--severity=style", "--format=gcc", "-"]
    done = subprocess.run(argv, input=line + "\n", capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def schema_problems(paths: Sequence[Path]) -> str:
    """Checks files against GitLab's schema; returns the problems, empty if there are none."""
    return _check_schema(
        "--builtin-schema", "vendor.gitlab-ci", "--data-transform", "gitlab-ci", paths=paths
    )


def editor_problems(schema: Path, paths: Sequence[Path]) -> str:
    """Checks files against a JSON Schema for editors; returns the problems, empty if there are none."""
    return _check_schema("--schemafile", str(schema), paths=paths)


def _check_schema(*words: str, paths: Sequence[Path]) -> str:
    argv = [*tools()["check-jsonschema"], *words, *map(str, paths)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, env=_clean_environ())
    print(done.stdout, done.stderr, file=sys.stderr)
    return "" if done.returncode == 0 else done.stdout
