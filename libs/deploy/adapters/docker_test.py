import io
import socket
from collections.abc import Iterator

import pytest

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
