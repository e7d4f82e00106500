"""Asks `ship affected` what a change reaches, so that `ship test` and the pipeline select alike; never decides."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toolchain.errors import ToolchainError, UsageError
from toolchain.process import tool_environment
from toolchain.tools.all import Chain


@dataclass(frozen=True)
class Reached:
    """The targets that a change reaches, by goal, and what it was measured against."""

    reason: str
    by_goal: Mapping[str, tuple[str, ...]]


def ask(chain: Chain, environ: Mapping[str, str], since: str) -> Reached:
    """Return what `ship affected` says of a change since a revision ("": since what it chooses)."""
    checkout = chain.places.checkout
    base = ["--base", since] if since else []
    done = subprocess.run(
        [str(chain.venv_python(chain.ship)), "-P", "-m", "deploy.cli", "affected", *base, "--json"],
        cwd=checkout,
        env={**tool_environment(environ), "PYTHONPATH": str(checkout / "libs")},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    return read(done.stdout, done.returncode)


def read_file(path: Path) -> Reached:
    """Return what `ship affected --out` wrote. Raise if it is not there or tells of a failure."""
    try:
        return read(path.read_text(), 2)
    except OSError as error:
        raise UsageError(
            f"{path} can't be read: {error.strerror}.",
            "Nothing was tested.",
            f"./ship affected --out {path}",
        ) from error


def read(printed: str, code: int) -> Reached:
    """Read the document of `ship affected`. Raise if there is none or it tells of a failure."""
    try:
        document: dict[str, Any] = json.loads(printed)
        # The file that --out writes is the selection alone.
        if document.get("error"):
            raise _failed(document["error"]["message"], document["error"]["hint"], code)
        found: dict[str, list[str]] = {}
        for each in document["targets"]:
            found.setdefault(each["goal"], []).append(each["address"])
        by_goal = {goal: tuple(addresses) for goal, addresses in found.items()}
        return Reached(document["reason"], by_goal)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _failed(f"ship affected ended with {code} and no answer", "", code) from error


def _failed(message: str, hint: str, code: int) -> ToolchainError:
    error = ToolchainError(f"{message}.", "Nothing was tested.", hint or "./ship affected")
    error.exit_code = code or 1
    return error
