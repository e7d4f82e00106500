"""Checks from outside that a service is closed for maintenance."""

from __future__ import annotations

from collections.abc import Callable

from deploy.core.ports import Answer, Clock
from deploy.errors import VerifyError
from deploy.run.hosts.waiting import wait_until

DEADLINE_S = 15.0
IN_A_ROW = 3


def await_closed(request: Callable[[], Answer], clock: Clock, where: str) -> None:
    """Requests until new connections get 503 with Retry-After. Raises VerifyError at the deadline."""
    last = Answer(0)

    def closed() -> bool:
        nonlocal last
        for _ in range(IN_A_ROW):
            last = request()
            if last.status != 503 or "retry-after" not in last.headers:
                return False
        return True

    if not wait_until(closed, clock, deadline_s=DEADLINE_S, every_s=0.2):
        raise VerifyError(f"{where} is not closed: it answers HTTP {last.status}")
