"""Entry point of `./ship` and `./pants`: makes sure that Python is new enough, then calls `main`."""

import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
SYSTEM_PYTHON = "/usr/bin/python3"

if sys.version_info < (3, 11):  # noqa: UP036 - an older Python gets here and must be refused
    if os.path.realpath(sys.executable) != os.path.realpath(SYSTEM_PYTHON) and os.path.exists(
        SYSTEM_PYTHON
    ):
        os.execv(SYSTEM_PYTHON, [SYSTEM_PYTHON, HERE, *sys.argv[1:]])
    sys.exit("py-cicd needs Python 3.11 or newer. Nothing was changed. Next: install python3")

# Without byte code, compiling takes half of a command's time. `ship` sets a folder in the cache for it, so even with
# PYTHONDONTWRITEBYTECODE set it can be written: the checkout stays clean.
if sys.argv[1:2] == ["ship-in-venv"]:
    sys.dont_write_bytecode = False

# Replaces this folder by its parent, the source root: otherwise our modules would shadow others.
sys.path[0] = os.path.dirname(HERE)

from toolchain.main import main  # noqa: E402 - needs the path set above

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], dict(os.environ)))
