"""Factories of services, images and stacks for tests."""

from __future__ import annotations

import hashlib
from dataclasses import replace

from deploy.core.config import Edge, Gate, Health, Rollout, Route, Service
from deploy.core.stacks.definitions import edge_stack
from deploy.core.state.ledger import Entry
from deploy.core.state.release import Origin
from deploy.core.state.stack import Stack
from deploy.testing.fleet.fleet import FleetRegistry

EDGE = Edge()
REGISTRY = FleetRegistry().name
REPLICA = "services: {replica: {image: made-up}}\n"
ORIGIN = Origin("3f9c2ab1d2e3", False, "ada", "2026-11-02T09:00:00+00:00", "", "0.0.0")

ENTRY = Entry(1, ORIGIN.when, ORIGIN.who, "deploy", "app", "r000001-3f9c2ab", 1, "begun")


def image(label: str, name: str = "app") -> str:
    """Returns an image reference with a digest that depends on the label."""
    return f"{REGISTRY}/{name}@sha256:{hashlib.sha256(label.encode()).hexdigest()}"


def service(
    name: str = "app", *, replicas: int = 3, path: str = "/", host: str = "", color: str = ""
) -> Service:
    """Returns a service. A different `color` is a different configuration."""
    return Service(
        name=name,
        image=f"services/{name}:image",
        replicas=replicas,
        route=Route(path, host),
        health=Health(interval_s=1, min_healthy_s=0.3, startup_deadline_s=20, drain_s=5),
        rollout=Rollout(watch_s=1),
        gate=Gate(enabled=False),
        env={"COLOR": color} if color else {},
    )


def stacks_of_earlier_version() -> tuple[Stack, ...]:
    """What hosts ran before the watchdog replaced the keeper."""
    edge, watchdog, metrics = stacks()
    return edge, replace(watchdog, name="keeper", key="keeper-1"), metrics


def stacks(version: str = "1") -> tuple[Stack, ...]:
    """Returns the stacks of a host: edge, watchdog and metrics."""
    edge = edge_stack(image(f"edge {version}", "edge"), "{}", '{"services": {}}', "events {}", EDGE)
    files = (("compose.yml", '{"services": {}}', 0o644),)
    return (
        edge,
        Stack("watchdog", image("python", "python"), "watchdog-1", files),
        Stack("metrics", image("prometheus", "prometheus"), "metrics-1", files),
    )
