"""Keeps what each host was last known to serve while an operation goes on; never looks at a host itself."""

from __future__ import annotations

from collections.abc import Iterable

from deploy.core.planning.steps import (
    PointTraffic,
    SetMaintenance,
    SettleEdge,
    Step,
)
from deploy.core.state.edge import EdgeRoute
from deploy.core.state.host import HostState
from deploy.run.rollout.events import (
    Event,
    StepBegun,
    StepDone,
)


class ServingState:
    """By the looks at the hosts, and by the switches that began and ended since."""

    def __init__(self, service: str, seen: Iterable[HostState]) -> None:
        self._service = service
        self._serves: dict[str, str] = {}
        self._begun: dict[str, str] = {}
        self._ended: set[str] = set()
        self.saw(seen)

    def saw(self, seen: Iterable[HostState]) -> None:
        """Takes a look for what is so; one that failed tells nothing."""
        for host in seen:
            if not host.problem:
                route = host.edge.route(self._service)
                self._serves[host.host] = _users_get(route) if route else "nothing"
                self._begun.pop(host.host, None)

    def hear(self, event: Event) -> None:
        """Takes a step's begin and end for what they tell; one that failed may have had its effect."""
        match event:
            case StepBegun(step=step) if route := _switches(step):
                self._begun[step.host] = _users_get(route)
            case StepDone(step=step) if _switches(step):
                self._serves[step.host] = self._begun.pop(step.host)
                self._ended.add(step.host)
            case _:
                pass

    def of(self, host: str) -> str:
        """Says what a host was last known to serve, and how far its switch had come."""
        serves = f"was last known to serve {self._serves.get(host, 'what it served before')}"
        if to := self._begun.get(host):
            return f"{serves}, its switch to {to} had begun and was not seen to end"
        if host in self._ended:
            return f"{serves}, its switch to that had ended"
        return f"{serves}, no switch of it had begun"


def _switches(step: Step) -> EdgeRoute | None:
    """Returns the route of a step that may change what all users get."""
    match step:
        case PointTraffic(route=route) | SettleEdge(route=route) | SetMaintenance(route=route):
            return route
        case _:
            return None


def _users_get(route: EdgeRoute) -> str:
    return "the page of a closed service" if route.maintenance else route.live or "nothing"
