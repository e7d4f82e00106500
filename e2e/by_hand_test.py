"""deploy/compose.yml and deploy/nginx work without the deploy tool: `docker compose up -d --scale app=5`."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from e2e.live_sandbox import HostContainer, LiveSandbox
from e2e.loadgen.process import running_gets
from e2e.loadgen.replicas import find_replicas, get
from e2e.ship import until

FOLDER = "/srv/by-hand"
PORT = 8090


@dataclass(frozen=True)
class ByHand:
    """A person at a shell of the host, with the project's compose files and two images."""

    host: HostContainer
    image: str
    edge: str

    @property
    def url(self) -> str:
        return f"http://{self.host.address}:{PORT}"

    def compose(self, *words: str) -> None:
        variables = {"IMAGE": self.image, "PART_IMAGE": self.edge, "EDGE_HTTP_PORT": str(PORT)}
        assignments = [f"{name}={value}" for name, value in variables.items()]
        self.host.run("env", "-C", FOLDER, *assignments, "docker", "compose", *words)

    def scale(self, count: int) -> None:
        self.compose("up", "--detach", "--scale", f"app={count}")


@pytest.fixture(scope="module")
def by_hand(sandbox: LiveSandbox) -> Iterator[ByHand]:
    host = sandbox.host()
    host.put(FOLDER, _packed(sandbox.ship.root / "deploy"))
    by_hand = ByHand(host, sandbox.service()["image"], host.image_of("edge"))
    try:
        yield by_hand
    finally:
        by_hand.compose("down", "--timeout", "1")
        host.run("rm", "-rf", FOLDER)


def test_five_replicas_serve(by_hand: ByHand) -> None:
    by_hand.scale(5)
    assert len(find_replicas(by_hand.url, count=5, within_s=30)) == 5
    for path in ("/", "/info", "/monitor", "/api/monitor"):
        assert get(by_hand.url, path).status == 200


@pytest.mark.parametrize("count", [2, 7])
def test_nginx_follows_the_scale(by_hand: ByHand, count: int) -> None:
    by_hand.scale(count)
    until(lambda: len(_current_replicas(by_hand.url)) == count, within_s=30, every_s=0.5)
    with running_gets(by_hand.url, rate=60) as load:
        load.await_rows(20 * count + 1)
    assert not load.record.lost, str(load.record)
    assert len(load.record.replicas) == count


def _current_replicas(url: str) -> frozenset[str]:
    return frozenset(get(url).replica for _ in range(60))


def _packed(folder: Path) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name in ("compose.yml", "replica.yml", "edge.yml", "nginx"):
            archive.add(folder / name, name)
    return buffer.getvalue()
