"""Finds this machine's Chromium and says how it is started; it never downloads one."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# Root and small containers: no sandbox of its own, no large /dev/shm, no graphics card.
FLAGS = ("--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu")
_USUAL_PATH = "/usr/local/bin:/usr/bin:/bin"


class NoBrowserError(Exception):
    """This machine has no Chromium."""


def find_chromium(environ: Mapping[str, str] = os.environ) -> str:
    """Returns the path of the browser: SHIP_CHROMIUM, else the first known name on the PATH."""
    told = environ.get("SHIP_CHROMIUM")
    path = f"{environ.get('PATH', '')}:{_USUAL_PATH}"
    found = told or next((each for name in NAMES if (each := shutil.which(name, path=path))), None)
    if found is None:
        raise NoBrowserError("no Chromium on this machine: ./ship doctor --fix brings one")
    return found
