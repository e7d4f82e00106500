"""Waits for a condition that a test expects, with a deadline."""

from __future__ import annotations

import time
from collections.abc import Callable


def wait_until(condition: Callable[[], bool], expected: str, *, within_s: float = 10.0) -> None:
    """Polls until `condition` holds. Raises AssertionError with `expected` after the deadline."""
    deadline = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within_s:g} s: {expected}")
        time.sleep(0.02)
