"""`ship lock`: compiles the requirements to hash-pinned locks with uv. The locks contain no download addresses."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from toolchain.arguments import VerbParser
from toolchain.process import run
from toolchain.tools.interpreters import (
    PYTHON_39,
    PYTHON_313,
    Interpreter,
)
from toolchain.tools.toolset import Toolset
from toolchain.tools.venvs import uv_environment


@dataclass(frozen=True)
class Lock:
    """One lock file and its requirements. Paths are relative to the folder of the locks."""

    requirements: str
    lock: str
    interpreter: Interpreter = PYTHON_313
    constraints: str | None = None  # another lock, whose versions this one must use
    annotated: bool = False  # names what requires each pin; `ship affected` reads that


DEFAULT = Lock("requirements.txt", "default.lock", annotated=True)
TOOLS = (
    "bootstrap",
    "coverage",
    "dockerfile",
    "mypy",
    "pex",
    "pipeline",
    "pytest",
    "ruff",
    "shellcheck",
)
LOCKS = (
    DEFAULT,
    *(Lock(f"tools/{t}.txt", f"tools/{t}.lock", constraints=DEFAULT.lock) for t in TOOLS),
    Lock("tools/pants.txt", "tools/pants.lock", PYTHON_39),
)
STYLE = ("--generate-hashes", "--no-emit-index-url", "--no-header", "-q")


def compile_command(lock: Lock, toolset: Toolset, *, upgrade: bool) -> list[str]:
    """Returns uv's argv for one lock, to be run in the folder of the locks.

    Paths are relative, because uv writes them into the annotations.
    """
    python = str(toolset.python(lock.interpreter))
    constraints = ["-c", lock.constraints] if lock.constraints else []
    return [
        *(str(toolset.uv), "pip", "compile", *STYLE),
        *(["--annotation-style=line"] if lock.annotated else ["--no-annotate"]),
        *("--python", python, "--python-version", lock.interpreter.version),
        *constraints,
        *(["--upgrade"] if upgrade else []),
        *(lock.requirements, "-o", lock.lock),
    ]


def compile_locks(toolset: Toolset, *, upgrade: bool) -> list[Path]:
    """Compiles all locks and returns those that changed. Keeps existing pins unless `upgrade` is set."""
    changed = []
    locks = toolset.paths.locks
    for lock in LOCKS:
        path = locks / lock.lock
        before = path.read_text() if path.exists() else ""
        argv = compile_command(lock, toolset, upgrade=upgrade)
        run(argv, f"compile {lock.requirements}", cwd=locks, env=uv_environment(os.environ))
        if path.read_text() != before:
            changed.append(path)
    return changed


def parser() -> VerbParser:
    """Returns the parser of the verb's arguments."""
    parser = VerbParser("lock", __doc__, "example:\n  ./ship lock --upgrade")
    parser.add_argument("--upgrade", action="store_true", help="take the newest allowed versions")
    parser.add_argument("--yes", action="store_true", help="don't ask before set-up")
    return parser


def relock(toolset: Toolset, argv: Sequence[str]) -> int:
    """Compiles all locks and prints which changed."""
    args = parser().parse_args(argv)
    changed = compile_locks(toolset, upgrade=args.upgrade)
    for path in changed:
        print(f"changed: {path.relative_to(toolset.paths.checkout)}")
    if not changed:
        print("nothing changed: the locks match the requirements")
    return 0
