"""Tells a hung replica from a busy one."""

from collections.abc import Callable
from time import monotonic


class Progress:
    """When a request of this process last went on: when one started, sent a chunk of its body, or ended."""

    __slots__ = ("at_s",)

    def __init__(self) -> None:
        self.at_s = monotonic()

    def mark(self) -> None:
        """Notes that a request goes on now. Threads call it without a lock: any of their times will do."""
        self.at_s = monotonic()


class Liveness:
    """Knows whether a worker is hung: all its threads are taken and no request went on for `hung_after_s`.

    A worker whose threads all serve slow streams is busy, and a restart would cut them. `outstanding` returns how many
    connections occupy a thread or wait for one.
    """

    def __init__(
        self,
        progress: Progress,
        threads: int,
        outstanding: Callable[[], int],
        hung_after_s: float,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._progress = progress
        self._threads = threads
        self._outstanding = outstanding
        self._hung_after_s = hung_after_s
        self._clock = clock

    def problem(self) -> str:
        """Returns what is wrong, "" if the worker lives."""
        silent_s = self._clock() - self._progress.at_s
        if self._outstanding() < self._threads or silent_s < self._hung_after_s:
            return ""
        return f"hung: all {self._threads} threads are taken, and no request went on for {silent_s:.0f} s"
