"""Measures the resources, the health and the restarts of a host's containers, from the engine's documents."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Protocol

from exporter.exposition import Family


class ContainerDocuments(Protocol):
    """The part of the engine's API that is read here."""

    def get(self, path: str) -> Any: ...

    def deployed_containers(self) -> list[dict[str, Any]]: ...


def collect(engine: ContainerDocuments) -> list[Family]:
    """Returns the metrics of every container that the deploy tool started. Raises what `engine` raises."""
    cpu = Family("container_cpu_seconds_total", "counter", "CPU time that a container used.")
    memory = Family(
        "container_memory_bytes", "gauge", "Memory that a container uses, without the page cache."
    )
    limit = Family("container_memory_limit_bytes", "gauge", "Memory that a container may use.")
    running = Family("container_running", "gauge", "1 while a container runs, else 0.")
    healthy = Family(
        "container_healthy", "gauge", "1 while its health check passes, or if it has none; else 0."
    )
    started = Family(
        "container_start_time_seconds", "gauge", "When a container last started, Unix time."
    )
    restarts = Family(
        "container_restarts_total", "counter", "How often the engine restarted a container."
    )
    killed = Family(
        "container_oom_killed", "gauge", "1 if it was last killed for lack of memory, else 0."
    )
    for listed in engine.deployed_containers():
        labels = labels_of(listed)
        document = engine.get(f"/containers/{listed['Id']}/json")
        state = document["State"]
        runs = state["Status"] == "running"
        running.add(float(runs), labels)
        healthy.add(
            float(runs and state.get("Health", {}).get("Status", "healthy") == "healthy"), labels
        )
        started.add(seconds_of(state["StartedAt"]), labels)
        restarts.add(float(document["RestartCount"]), labels)
        killed.add(float(bool(state.get("OOMKilled"))), labels)
        if runs:
            _usage(engine.get(_stats(listed["Id"])), labels, cpu, memory, limit)
    return [cpu, memory, limit, running, healthy, started, restarts, killed]


def labels_of(listed: Mapping[str, Any]) -> dict[str, str]:
    """Returns the labels of a container's metrics, with the same names that the replicas' own metrics use."""
    docker_labels = listed["Labels"]
    name = listed["Names"][0].lstrip("/")
    return {
        "kind": "replica"
        if docker_labels.get("py-cicd.release")
        else docker_labels["py-cicd.name"],
        "service": docker_labels.get("py-cicd.service", ""),
        "release": docker_labels.get("py-cicd.release", ""),
        "replica": name if docker_labels.get("py-cicd.release") else "",
        "container": name,
    }


def seconds_of(text: str) -> float:
    """Returns the engine's time in seconds since 1970, 0 for a container that never started."""
    return max(datetime.fromisoformat(text).timestamp(), 0.0)


def _stats(identity: str) -> str:
    # Without one-shot the engine waits a second to read twice.
    return f"/containers/{identity}/stats?stream=0&one-shot=1"


def _usage(
    stats: Mapping[str, Any], labels: Mapping[str, str], cpu: Family, memory: Family, limit: Family
) -> None:
    used = stats.get("memory_stats", {})
    if "usage" not in used:
        return  # the container ended between two requests
    # As `docker stats` does: the page cache is inactive_file in cgroup v2, total_inactive_file in v1.
    cache = used.get("stats", {})
    idle = cache.get("inactive_file", 0) or cache.get("total_inactive_file", 0)
    cpu.add(stats["cpu_stats"]["cpu_usage"]["total_usage"] / 1e9, labels)
    memory.add(float(max(used["usage"] - idle, 0)), labels)
    limit.add(float(used["limit"]), labels)
