"""`python3 -m bench`: starts the benchmark with the libraries of ship, whichever Python was called.

`python3 -m bench telemetry` measures what metrics, logs and traces add to a request, and needs no engine.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def start() -> None:
    """Sets up what is missing and becomes the benchmark."""
    sys.path.insert(0, str(ROOT / "libs"))
    from toolchain.chain import Chain
    from toolchain.errors import ToolchainError
    from toolchain.places import find_places
    from toolchain.preparing import Setup, prepare, should_ask
    from toolchain.running import tool_environment

    setup = Setup.here(Chain(find_places(os.environ)), os.environ)
    try:
        prepare(setup.tasks_for_all("up"), ask=should_ask(sys.argv[1:], os.environ))
    except ToolchainError as error:
        sys.exit(str(error))
    python = str(setup.chain.venv_python(setup.chain.ship))
    paths = ":".join(str(each) for each in (ROOT, ROOT / "libs"))
    env = {**tool_environment(os.environ), "PYTHONPATH": paths, "SHIP_ROOT": str(ROOT)}
    module = "bench.telemetry" if sys.argv[1:] == ["telemetry"] else "bench.run"
    os.execve(python, [python, "-P", "-m", module], env)


if __name__ == "__main__":
    start()
