"""Waits for what a test expects, up to a deadline; never for a fixed time."""

from __future__ import annotations

import time
from collections.abc import Callable


def wait_until(seen: Callable[[], bool], what: str, *, within_s: float = 10.0) -> None:
    """Polls until `seen` holds. Raises AssertionError that names `what` did not come."""
    deadline = time.monotonic() + within_s
    while not seen():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within_s:g} s: {what}")
        time.sleep(0.02)
