"""`python3 -m bench`: starts the benchmark with the libraries of ship, whichever Python was called.

`python3 -m bench telemetry` measures what metrics, logs and traces add to a request, and `python3 -m bench gate
[ROLLOUTS]` simulates how often the gate is right; neither needs an engine.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
WITHOUT_ENGINE = {"telemetry": "bench.telemetry", "gate": "bench.gate_rates"}


def start() -> None:
    """Sets up what is missing and becomes the benchmark."""
    sys.path.insert(0, str(ROOT / "libs"))
    from toolchain.errors import ToolchainError
    from toolchain.paths import find_paths
    from toolchain.process import tool_environment
    from toolchain.setup import (
        Setup,
        prepare,
        should_confirm,
    )
    from toolchain.tools.toolset import Toolset

    setup = Setup.here(Toolset(find_paths(os.environ)), os.environ)
    module = WITHOUT_ENGINE.get(sys.argv[1] if sys.argv[1:] else "")
    tasks = setup.tasks_for(setup.toolset.for_ship) if module else setup.tasks_for_all("up")
    try:
        prepare(tasks, confirm=should_confirm(sys.argv[1:], os.environ))
    except ToolchainError as error:
        sys.exit(str(error))
    python = str(setup.toolset.venv_python(setup.toolset.ship))
    paths = ":".join(str(each) for each in (ROOT, ROOT / "libs"))
    env = {**tool_environment(os.environ), "PYTHONPATH": paths, "SHIP_ROOT": str(ROOT)}
    os.execve(python, [python, "-P", "-m", module or "bench.run", *sys.argv[2:]], env)


if __name__ == "__main__":
    start()
