"""Command line: `python3 -m pex_layers deps FILE.pex VENV LAYERS` or `srcs FILE.pex VENV LAYERS PACKAGE`.

It fills /out/1, /out/2 and so on.
"""

from __future__ import annotations

import sys
from pathlib import Path

from pex_layers.split import split_dependencies, split_sources
from pex_layers.venv import make_venv

OUT = Path("/out")


def main(arguments: list[str]) -> None:
    """Unpacks what the arguments say."""
    match arguments:
        case ["deps", pex, venv, layers]:
            make_venv(Path(pex), "deps", Path(venv))
            split_dependencies(Path(venv), OUT, int(layers))
        case ["srcs", pex, venv, layers, own]:
            make_venv(Path(pex), "srcs", Path(venv))
            split_sources(Path(venv), OUT, int(layers), own)
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
