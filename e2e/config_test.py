"""What the deploy tool accepts in service files, `docker compose config` and `nginx -t` accept.

The files have any kind of value. Those that are accepted are checked fifty at a time: one compose file and one
configuration of the edge, on a host of the sandbox. SHIP_E2E_EXAMPLES is the number of files, SHIP_E2E_SEED a number
that chooses others.
"""

from __future__ import annotations

import io
import json
import os
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, event, given, seed, settings
from hypothesis import strategies as st

from deploy.adapters.config import loader
from deploy.adapters.config.checks import problems_of_routes
from deploy.core.config import Service
from deploy.core.stacks.nginx_conf import render_edge
from deploy.core.state.edge import EdgeRoute, EdgeState, Upstream
from deploy.core.state.release import Origin, make_release
from deploy.core.yaml_text import write_yaml
from deploy.errors import ConfigError
from deploy.testing.service_files import Document, service_files, to_toml
from e2e.live_sandbox import HostContainer, LiveSandbox

BATCH = 50
EXAMPLES = int(os.environ.get("SHIP_E2E_EXAMPLES") or 500)
SEED = int(os.environ.get("SHIP_E2E_SEED") or 0)
FOLDER = "/srv/config-test"
IMAGE = f"registry.test/app@sha256:{'0' * 64}"
ORIGIN = Origin("3f9c2ab1d2e3", True, "ada", "2026-11-02T09:00:00+00:00", "", "0.0.0")
SUBNET = "10.213.0.0/16"
RELEASES = ("r000041-3f9c2ab-dirty", "r000042-3f9c2ab-dirty")


@dataclass(frozen=True)
class Checker:
    """The programs on a host of the sandbox, and the checkout's files that they read beside ours."""

    host: HostContainer
    edge: str
    replica: str = field(repr=False)
    nginx_conf: str = field(repr=False)

    def check(self, services: Sequence[Service]) -> None:
        """Raises AssertionError, with the program's words, if a program refuses what the services come to."""
        files = {
            "replica.yml": self.replica,
            "compose.yml": _compose(services, self.replica),
            "edge/nginx.conf": self.nginx_conf,
            "edge/routes.conf": _routes(services),
        }
        self.host.put(FOLDER, _packed(files))
        compose = ("docker", "compose", "--file", f"{FOLDER}/compose.yml", "config", "--quiet")
        self.host.run("env", f"IMAGE={IMAGE}", *compose)
        mount = f"{FOLDER}/edge:/etc/nginx/py-cicd:ro"
        nginx = ("nginx", "-t", "-q", "-c", "/etc/nginx/py-cicd/nginx.conf")
        run = ("docker", "run", "--rm", "--network", "none", "--tmpfs", "/tmp:mode=1777")
        self.host.run(*run, "--volume", mount, self.edge, *nginx)


@pytest.fixture(scope="module")
def checker(sandbox: LiveSandbox) -> Iterator[Checker]:
    host, deploy = sandbox.host(), sandbox.ship.root / "deploy"
    texts = [(deploy / name).read_text() for name in ("replica.yml", "nginx/nginx.conf")]
    yield Checker(host, host.image_of("edge"), *texts)
    host.run("rm", "-rf", FOLDER)


@seed(SEED)
@settings(
    max_examples=max(EXAMPLES // BATCH, 1),
    deadline=None,
    database=None,
    phases=[Phase.generate],  # a refused batch is narrowed to one service below
    suppress_health_check=list(HealthCheck),
)
@given(st.lists(service_files(), min_size=BATCH, max_size=BATCH))
def test_accepted_services_are_accepted_by_compose_and_nginx(
    checker: Checker, tmp_path_factory: pytest.TempPathFactory, documents: Sequence[Document]
) -> None:
    root = tmp_path_factory.getbasetemp() / "config"
    services = [
        found
        for number, document in enumerate(documents)
        if (found := _load(root, f"app-{number}", {"route": {"path": f"/{number}"}, **document}))
    ]
    shared = {problem.split(".")[1] for problem in problems_of_routes(services)}
    distinct = [service for service in services if service.name not in shared]
    event(f"{len(distinct) // 10 * 10} or more accepted")
    assert distinct, "no file of the batch was accepted"
    try:
        checker.check(distinct)
    except AssertionError:
        for service in distinct:
            checker.check([service])
        raise


def test_widest_accepted_values_are_accepted_together(checker: Checker, tmp_path: Path) -> None:
    longest = ".".join(["a" * 63] * 3 + ["a" * 61])
    document = {
        "memory": "16384g",
        "replicas": 63,
        "route": {"host": longest, "path": "/" + "a" * 199},
        "health": {"interval_s": 0.1, "startup_deadline_s": 86_400, "drain_s": 600},
        "env": {"A": '😀 \t $HOME ${X} " \\ é \ufeff'},
    }
    service = _load(tmp_path, "a" * 31, document)
    assert service is not None
    checker.check([service])


def _load(root: Path, name: str, document: Document) -> Service | None:
    """Returns the service, or None if the tool refuses the file."""
    folder = root / name / "services" / name
    folder.mkdir(parents=True, exist_ok=True)
    named = {"name": name, "image": f"services/{name}:image", **document}
    (folder / "service.toml").write_text(to_toml(named), encoding="utf-8", newline="")
    try:
        return loader.load_services(root / name)[name]
    except ConfigError:
        return None


def _compose(services: Sequence[Service], replica: str) -> str:
    """Returns one compose file with the replicas of a release of each service."""
    releases = [
        json.loads(make_release(service, IMAGE, 42, replica, ORIGIN, subnet=SUBNET).compose)
        for service in services
    ]
    merged: dict[str, Any] = {"name": "config-test"}
    for number, release in enumerate(releases):
        of_release = {f"{name}-{number}": each for name, each in release["services"].items()}
        merged["services"] = merged.get("services", {}) | of_release
        merged["networks"] = release["networks"]
    return write_yaml(merged)


def _routes(services: Sequence[Service]) -> str:
    """Returns the routes without their first line, whose length depends on the number of services."""
    return render_edge(_edge(services), http_port=18080, preview_port=18081).partition("\n")[2]


def _edge(services: Sequence[Service]) -> EdgeState:
    """Returns an edge that shares each service's requests between two releases."""
    upstreams = tuple(Upstream(each, ("10.213.0.1:8080", "10.213.0.2:8080")) for each in RELEASES)
    old, new = RELEASES
    return EdgeState(
        tuple(
            EdgeRoute(each.name, each.route.path, each.route.host, old, new, upstreams, share=50)
            for each in services
        )
    )


def _packed(files: Mapping[str, str]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, text in files.items():
            content = text.encode()
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()
