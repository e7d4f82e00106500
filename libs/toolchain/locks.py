"""Compiles the requirements to hash-pinned locks with uv; no lock names a download address."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from toolchain.arguments import Arguments
from toolchain.process import run
from toolchain.tools.all import Chain
from toolchain.tools.interpreters import (
    PYTHON_39,
    PYTHON_313,
    Interpreter,
)
from toolchain.tools.venvs import uv_environment


@dataclass(frozen=True)
class Lock:
    """One lock; paths are relative to the folder of the locks."""

    requirements: str
    lock: str
    interpreter: Interpreter = PYTHON_313
    agrees_with: str | None = None  # another lock whose versions this one takes
    annotated: bool = False  # says who needs each pin: `ship affected` asks what a new one reaches


DEFAULT = Lock("requirements.txt", "default.lock", annotated=True)
TOOLS = ("bootstrap", "coverage", "dockerfile", "mypy", "pex", "pipeline", "pytest", "ruff")
LOCKS = (
    DEFAULT,
    *(Lock(f"tools/{t}.txt", f"tools/{t}.lock", agrees_with=DEFAULT.lock) for t in TOOLS),
    Lock("tools/pants.txt", "tools/pants.lock", PYTHON_39),
)
STYLE = ("--generate-hashes", "--no-emit-index-url", "--no-header", "-q")


def compile_command(lock: Lock, chain: Chain, *, upgrade: bool) -> list[str]:
    """uv's argument list for one lock, for a call in the folder of the locks.

    Paths are relative: an annotation must not name a folder of this machine.
    """
    python = str(chain.python(lock.interpreter))
    agree = ["-c", lock.agrees_with] if lock.agrees_with else []
    return [
        *(str(chain.uv), "pip", "compile", *STYLE),
        *(["--annotation-style=line"] if lock.annotated else ["--no-annotate"]),
        *("--python", python, "--python-version", lock.interpreter.version),
        *agree,
        *(["--upgrade"] if upgrade else []),
        *(lock.requirements, "-o", lock.lock),
    ]


def compile_locks(chain: Chain, *, upgrade: bool) -> list[Path]:
    """Write all locks anew and return those that changed; without `upgrade` pins are kept."""
    changed = []
    locks = chain.places.locks
    for lock in LOCKS:
        path = locks / lock.lock
        before = path.read_text() if path.exists() else ""
        argv = compile_command(lock, chain, upgrade=upgrade)
        run(argv, f"lock {lock.requirements}", cwd=locks, env=uv_environment(os.environ))
        if path.read_text() != before:
            changed.append(path)
    return changed


def parser() -> Arguments:
    """Returns the arguments of the verb."""
    parser = Arguments("lock", __doc__, "example:\n  ./ship lock --upgrade")
    parser.add_argument("--upgrade", action="store_true", help="take the newest allowed versions")
    parser.add_argument("--yes", action="store_true", help="don't ask before set-up")
    return parser


def relock(chain: Chain, argv: Sequence[str]) -> int:
    """`ship lock`: compile all locks and print which changed."""
    args = parser().parse_args(argv)
    changed = compile_locks(chain, upgrade=args.upgrade)
    for path in changed:
        print(f"changed: {path.relative_to(chain.places.checkout)}")
    if not changed:
        print("nothing to do, the locks fit the requirements")
    return 0
