"""`python3 -m bench`: compares a deploy with this project to plain Docker Compose. Needs a Docker engine.

`python3 -m bench telemetry` measures the time that metrics, logs and traces add to a request. `python3 -m bench gate
[ROLLOUTS]` simulates how often the gate decides correctly. `python3 -m bench page [RUN EARLIER]` writes
docs/benchmarks.md from two results. Any Python can start these: they run in ship's virtual
environment.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
MODULES_WITHOUT_DOCKER = {
    "telemetry": "bench.telemetry",
    "gate": "bench.gate_rates",
    "page": "bench.page",
}


def start() -> None:
    """Runs set-up and replaces this process by the benchmark."""
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
    module = MODULES_WITHOUT_DOCKER.get(sys.argv[1] if sys.argv[1:] else "")
    tasks = setup.tasks_for(setup.toolset.for_ship) if module else setup.tasks_for_all("up")
    try:
        prepare(tasks, confirm=should_confirm(sys.argv[1:], os.environ))
    except ToolchainError as error:
        sys.exit(str(error))
    python = str(setup.toolset.venv_python(setup.toolset.ship))
    paths = ":".join(str(folder) for folder in (ROOT, ROOT / "libs"))
    env = {**tool_environment(os.environ), "PYTHONPATH": paths, "SHIP_ROOT": str(ROOT)}
    os.execve(python, [python, "-P", "-m", module or "bench.run", *sys.argv[2:]], env)


if __name__ == "__main__":
    start()
