"""Keeps track of what each host was last known to serve, for errors about hosts that can't be reached any more."""

from __future__ import annotations

from collections.abc import Iterable

from deploy.core.planning.steps import PointTraffic, SetMaintenance, SettleEdge, Step
from deploy.core.state.edge import EdgeRoute
from deploy.core.state.host import HostState
from deploy.run.rollout.events import Event, StepBegun, StepDone


class ServingState:
    """What each host serves, from observations and from the switches that began and ended since."""

    def __init__(self, service: str, observed: Iterable[HostState]) -> None:
        self._service = service
        self._serves: dict[str, str] = {}
        self._switching_to: dict[str, str] = {}
        self._switched: set[str] = set()
        self.on_observation(observed)

    def on_observation(self, hosts: Iterable[HostState]) -> None:
        """Updates all hosts that could be observed; the others keep their last known state."""
        for host in hosts:
            if not host.problem:
                route = host.edge.route(self._service)
                self._serves[host.host] = _served_to_users(route) if route else "nothing"
                self._switching_to.pop(host.host, None)

    def on_event(self, event: Event) -> None:
        """Follows switches. A switch that failed may have taken effect, so it stays open."""
        match event:
            case StepBegun(step=step) if route := _switches_to(step):
                self._switching_to[step.host] = _served_to_users(route)
            case StepDone(step=step) if _switches_to(step):
                self._serves[step.host] = self._switching_to.pop(step.host)
                self._switched.add(step.host)
            case _:
                pass

    def of(self, host: str) -> str:
        """Returns in words what a host was last known to serve, and how far its switch had come."""
        serves = f"it last served {self._serves.get(host, 'what it served before')}"
        if target := self._switching_to.get(host):
            return f"{serves}, and its switch to {target} had begun and may have taken effect"
        if host in self._switched:
            return f"{serves}, and its switch to that had ended"
        return f"{serves}, and no switch had begun"


def _switches_to(step: Step) -> EdgeRoute | None:
    """Returns the new route if the step may change what all users get."""
    match step:
        case PointTraffic(route=route) | SettleEdge(route=route) | SetMaintenance(route=route):
            return route
        case _:
            return None


def _served_to_users(route: EdgeRoute) -> str:
    return "the maintenance page" if route.maintenance else route.live or "nothing"
