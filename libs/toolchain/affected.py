"""Runs `ship affected` and reads its document: the targets that a change affects."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toolchain.errors import ToolchainError, UsageError
from toolchain.process import tool_environment
from toolchain.tools.toolset import Toolset


@dataclass(frozen=True)
class AffectedTargets:
    """The addresses of the targets that a change affects, by goal; `reason` names the revisions compared."""

    reason: str
    by_goal: Mapping[str, tuple[str, ...]]


def run_affected(toolset: Toolset, environ: Mapping[str, str], base: str | None) -> AffectedTargets:
    """Returns the targets affected since `base`, or since the base that `ship affected` chooses if it is None.

    Raises ToolchainError with the exit code of `ship affected` if that fails.
    """
    checkout = toolset.paths.checkout
    since = ["--base", base] if base else []
    python = str(toolset.venv_python(toolset.ship))
    done = subprocess.run(
        [python, "-P", "-m", "deploy.cli", "affected", *since, "--json"],
        cwd=checkout,
        env={**tool_environment(environ), "PYTHONPATH": str(checkout / "libs")},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    return parse_affected(done.stdout, done.returncode)


def read_affected(path: Path) -> AffectedTargets:
    """Returns the targets in a file that `ship affected --out` wrote.

    Raises UsageError if the file can't be read, ToolchainError if it records a failure.
    """
    try:
        return parse_affected(path.read_text(), UsageError.exit_code)
    except OSError as error:
        raise UsageError(
            f"{path} can't be read: {error.strerror}.",
            "Nothing was tested.",
            f"./ship affected --out {path}",
        ) from error


def parse_affected(text: str, exit_code: int) -> AffectedTargets:
    """Parses the document of `ship affected`. Raises ToolchainError if it is missing, broken or records a failure."""
    try:
        document: dict[str, Any] = json.loads(text)
        # A file that --out wrote has no key `error`: it holds the selection only.
        if document.get("error"):
            raise _failed(document["error"]["message"], document["error"]["hint"], exit_code)
        addresses: dict[str, list[str]] = {}
        for target in document["targets"]:
            addresses.setdefault(target["goal"], []).append(target["address"])
        by_goal = {goal: tuple(of_goal) for goal, of_goal in addresses.items()}
        return AffectedTargets(document["reason"], by_goal)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        failure = f"ship affected exited with {exit_code} and printed no selection"
        raise _failed(failure, None, exit_code) from error


def _failed(message: str, hint: str | None, exit_code: int) -> ToolchainError:
    error = ToolchainError(f"{message}.", "Nothing was tested.", hint or "./ship affected")
    error.exit_code = exit_code or 1
    return error
