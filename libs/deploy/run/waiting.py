"""Polls until something holds, with a deadline; never longer."""

from __future__ import annotations

from collections.abc import Callable

from deploy.core.ports import Clock


def wait_until(holds: Callable[[], bool], clock: Clock, *, deadline_s: float, every_s: float = 0.25) -> bool:
    """Asks until `holds()` is true; returns False when the deadline passed. Always asks at least once."""
    end = clock.monotonic() + deadline_s
    while not holds():
        if clock.monotonic() >= end:
            return False
        clock.sleep(every_s)
    return True
