import io
import socket
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
from docker.errors import ImageNotFound

from deploy.adapters.docker import DockerEngine
from deploy.errors import EngineError


@pytest.fixture
def no_engine(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Points DOCKER_HOST at an address where no engine listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        monkeypatch.setenv("DOCKER_HOST", f"tcp://127.0.0.1:{taken.getsockname()[1]}")
        yield


@pytest.mark.usefixtures("no_engine")
def test_error_of_a_stopped_engine_names_the_next_command() -> None:
    with pytest.raises(
        EngineError, match="does not answer while looking for py-cicd/app:x"
    ) as raised:
        DockerEngine().has("py-cicd/app:x")
    assert (raised.value.hint, raised.value.exit_code) == ("./ship doctor --fix", 2)
    with pytest.raises(EngineError, match="while loading an image"):
        DockerEngine().load(io.BytesIO())


class Names:
    """Collects what a name record hears."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    def made(self, reference: str) -> None:
        self.heard.append(f"made {reference}")

    def used(self, reference: str) -> None:
        self.heard.append(f"used {reference}")

    def removed(self, reference: str) -> None:
        self.heard.append(f"removed {reference}")


class Api:
    """Stands in for the engine's API."""

    def __init__(self, *names: str) -> None:
        self.names = set(names)

    def inspect_image(self, reference: str) -> dict[str, str]:
        if reference not in self.names:
            raise ImageNotFound("no such image")
        return {}

    def load_image(self, archive: object, *, quiet: bool) -> list[dict[str, str]]:
        return [{"stream": "Loaded image: py-cicd/base-edge:1\n"}]

    def tag(self, image: str, repository: str, tag: str) -> None:
        self.names.add(f"{repository}:{tag}")

    def remove_image(self, reference: str, *, noprune: bool) -> None:
        assert noprune
        self.names.discard(reference)

    def push(self, *arguments: object, **options: object) -> list[dict[str, object]]:
        return [{"status": "Pushed", "id": "1"}, {"aux": {"Tag": "t", "Digest": "sha256:2"}}]


def test_engine_reports_the_names_that_it_makes_uses_and_removes() -> None:
    names = Names()
    engine = DockerEngine(names)
    engine._connected = SimpleNamespace(api=Api("py-cicd/app:there"))  # type: ignore[assignment]
    assert engine.has("py-cicd/app:there")
    assert not engine.has("py-cicd/app:2")
    engine.load(io.BytesIO())
    engine.tag("py-cicd/app:there", "py-cicd/app", "there")  # not made here
    engine.tag("py-cicd/app:there", "127.0.0.1:1/app", "t")
    engine.push("127.0.0.1:1/app", "t", ("user", "password"), lambda line: None)
    engine.untag("127.0.0.1:1/app:t")
    assert names.heard == [
        "used py-cicd/app:there",
        "made py-cicd/base-edge:1",
        "made 127.0.0.1:1/app:t",
        "made 127.0.0.1:1/app@sha256:2",
        "removed 127.0.0.1:1/app:t",
    ]
