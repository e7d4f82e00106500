"""deploy/compose.yml and deploy/nginx without the tool: `docker compose up -d --scale app=5`, as always."""

from __future__ import annotations

import io
import tarfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from e2e.loadgen.load import (
    Connection,
    Load,
    replicas_seen,
)
from e2e.ship import until
from e2e.stack import HostContainer, Stack

FOLDER = "/srv/by-hand"
PORT = 8090


@dataclass(frozen=True)
class ByHand:
    """A person at a shell of the host, with the project's two files and the two images."""

    host: HostContainer
    image: str
    edge: str

    @property
    def url(self) -> str:
        return f"http://{self.host.address}:{PORT}"

    def compose(self, *words: str) -> None:
        names = {"IMAGE": self.image, "PART_IMAGE": self.edge, "EDGE_HTTP_PORT": str(PORT)}
        told = [f"{name}={value}" for name, value in names.items()]
        self.host.run("env", "-C", FOLDER, *told, "docker", "compose", *words)

    def scale(self, count: int) -> None:
        self.compose("up", "--detach", "--scale", f"app={count}")


@pytest.fixture(scope="module")
def by_hand(stack: Stack) -> Iterator[ByHand]:
    host = stack.host()
    host.put(FOLDER, _packed(stack.ship.root / "deploy"))
    by_hand = ByHand(host, stack.service()["image"], host.image_of("edge"))
    try:
        yield by_hand
    finally:
        by_hand.compose("down", "--timeout", "1")
        host.run("rm", "-rf", FOLDER)


def test_five_replicas_serve(by_hand: ByHand) -> None:
    by_hand.scale(5)
    assert len(replicas_seen(by_hand.url, wanted=5, within_s=30)) == 5
    connection = Connection(by_hand.url)
    for path in ("/", "/info", "/monitor", "/api/monitor"):
        assert connection.get(path, time.monotonic(), fresh=True).status == 200


@pytest.mark.parametrize("count", [2, 7])
def test_nginx_follows_the_scale(by_hand: ByHand, count: int) -> None:
    by_hand.scale(count)
    until(lambda: len(_seen_lately(by_hand.url)) == count, within_s=30, every_s=0.5)
    with Load(by_hand.url, rate=60) as load:
        until(lambda: len(load.report.answers) > 20 * count, within_s=20)
    assert not load.report.lost, str(load.report)
    assert len(load.report.replicas) == count


def _seen_lately(url: str) -> frozenset[str]:
    connection = Connection(url)
    asked = [connection.get("/version", time.monotonic(), fresh=True) for _ in range(60)]
    return frozenset(answer.replica for answer in asked)


def _packed(folder: Path) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name in ("compose.yml", "replica.yml", "edge.yml", "nginx"):
            archive.add(folder / name, name)
    return buffer.getvalue()
