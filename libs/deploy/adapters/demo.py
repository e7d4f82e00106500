"""Runs the demo of a checkout, in this program's Python."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def run_demo(root: Path, sandbox: str, options: Sequence[str]) -> dict[str, Any]:
    """Tells the story on a sandbox. Returns the document that it prints; `problem` says what didn't go as told."""
    paths = (root, root / "libs", root / "services")
    environ = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(map(str, paths)),
        "SHIP_ROOT": str(root),
    }
    argv = [sys.executable, "-m", "e2e.demo", sandbox, *options]
    done = subprocess.run(
        argv, cwd=root, env=environ, stdout=subprocess.PIPE, text=True, check=False
    )
    try:
        document: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        return {"problem": f"it ended with exit code {done.returncode}"}
    return document
