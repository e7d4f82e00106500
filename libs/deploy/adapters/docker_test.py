import io
import socket
from collections.abc import Iterator

import pytest

from deploy.adapters.docker import Engine
from deploy.errors import EngineError


@pytest.fixture
def nobody(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An address where no engine listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        monkeypatch.setenv("DOCKER_HOST", f"tcp://127.0.0.1:{taken.getsockname()[1]}")
        yield


@pytest.mark.usefixtures("nobody")
def test_an_engine_that_does_not_run_is_told_with_what_to_do() -> None:
    with pytest.raises(
        EngineError, match="does not answer while looking for py-cicd/app:x"
    ) as raised:
        Engine().has("py-cicd/app:x")
    assert (raised.value.hint, raised.value.exit_code) == ("./ship doctor --fix", 2)
    with pytest.raises(EngineError, match="while loading an image"):
        Engine().load(io.BytesIO())
