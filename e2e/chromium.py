"""Finds this machine's Chromium and the flags to start it with."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# For root and small containers, which have no browser sandbox, no large /dev/shm and no graphics card.
FLAGS = ("--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu")
_USUAL_PATH = "/usr/local/bin:/usr/bin:/bin"


class NoBrowserError(Exception):
    """This machine has no Chromium."""


def find_chromium(environ: Mapping[str, str] = os.environ) -> str:
    """Returns the path of the browser: SHIP_CHROMIUM, else the first known name on the PATH.

    Raises NoBrowserError if there is none.
    """
    if configured := environ.get("SHIP_CHROMIUM"):
        return configured
    path = f"{environ.get('PATH', '')}:{_USUAL_PATH}"
    for name in NAMES:
        if found := shutil.which(name, path=path):
            return found
    raise NoBrowserError("this machine has no Chromium; install it with: ./ship doctor --fix")
