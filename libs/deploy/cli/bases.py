"""`python -m deploy.cli.bases NAME ...`: builds the base images that a plain `./pants package` needs."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from deploy.cli.output.console import Console
from deploy.cli.wiring import Wiring
from deploy.errors import ShipError


def main(names: Sequence[str]) -> int:
    """Builds or loads the base images that the engine lacks. Returns the exit code."""
    console = Console.for_stream(os.environ)
    try:
        with Wiring.here("sandbox", "sandbox", console.say) as wiring:
            wiring.images.bases.ensure_all(names)
    except ShipError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
