"""The first argument says which program: `ship`, `pants` or the variables of Pants for a shell."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping, Sequence

from toolchain.bringing import bring_all
from toolchain.build import pants_variables, start_pants
from toolchain.chain import Chain
from toolchain.errors import ToolchainError
from toolchain.places import find_places

USAGE = "usage: ship VERB ... | pants GOAL ... | pants-variables"


def main(argv: Sequence[str], environ: Mapping[str, str]) -> int:
    """Return the exit code, where the process has not become another program."""
    chain = Chain(find_places(environ))
    try:
        match list(argv):
            case ["pants", *args]:
                bring_all(chain.for_pants, chain.places)
                start_pants(chain, args, environ)
            case ["pants-variables"]:
                bring_all(chain.for_pants, chain.places)
                for name, value in pants_variables(chain, environ).items():
                    print(f"export {name}={shlex.quote(value)}")
            case _:
                print(USAGE, file=sys.stderr)
                return 2
    except ToolchainError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0
