"""Start of `./ship` and `./pants`: picks a Python that is new enough, never does more."""

import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
SYSTEM_PYTHON = "/usr/bin/python3"

if sys.version_info < (3, 11):  # noqa: UP036 - this line is what tells the user
    if os.path.realpath(sys.executable) != os.path.realpath(SYSTEM_PYTHON) and os.path.exists(
        SYSTEM_PYTHON
    ):
        os.execv(SYSTEM_PYTHON, [SYSTEM_PYTHON, HERE, *sys.argv[1:]])
    sys.exit("py-cicd needs Python 3.11 or newer to start. Nothing was changed. Install python3.")

# The folder of this file would let our modules shadow others: the folder above is the source root.
sys.path[0] = os.path.dirname(HERE)

from toolchain.main import main  # noqa: E402 - the path above comes first

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], dict(os.environ)))
