"""Runs an app under the real gunicorn for a test, on free ports."""

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Thread
from typing import Any

_DEADLINE_S = 30.0


@dataclass(frozen=True)
class HttpResponse:
    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class GunicornServer:
    """A running gunicorn. `lines` grows with every line that it prints."""

    process: subprocess.Popen[str]
    reader: Thread = field(init=False)
    lines: list[str] = field(default_factory=list)
    port: int = 0
    metrics_port: int = 0

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> HttpResponse:
        """Sends a GET over a new connection."""
        return self._request(self.port, "GET", path, headers)

    def metrics(self, accept: str = "text/plain") -> str:
        headers = {"Accept": accept}
        return self._request(self.metrics_port, "GET", "/metrics", headers).body.decode()

    def log_lines(self) -> list[dict[str, Any]]:
        """Returns every printed line that is a JSON object."""
        return [json.loads(line) for line in list(self.lines) if line.startswith("{")]

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    def wait(self) -> int:
        """Waits until the process exits and returns its code. `lines` is complete afterwards."""
        code = self.process.wait(_DEADLINE_S)
        self.reader.join(_DEADLINE_S)
        return code

    def close(self) -> None:
        """Kills the process if it still runs, and closes its pipe."""
        if self.process.poll() is None:
            self.process.kill()
        self.wait()

    def liveness(self) -> HttpResponse:
        """Returns what the engine's health check gets."""
        return self._request(self.metrics_port, "GET", "/livez", None)

    def _request(
        self, port: int, method: str, path: str, headers: Mapping[str, str] | None
    ) -> HttpResponse:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_DEADLINE_S)
        try:
            connection.request(method, path, headers=dict(headers or {}))
            response = connection.getresponse()
            return HttpResponse(response.status, dict(response.getheaders()), response.read())
        finally:
            connection.close()


def start(app: str, environ: Mapping[str, str], arguments: tuple[str, ...] = ()) -> GunicornServer:
    """Starts `app` ("module:factory()") and returns without waiting until it is ready.

    The child gets this process's import path and `environ`, but no other variable that services read.
    """
    child_environ = {
        **importable_environ(),
        "BIND_ADDRESS": "127.0.0.1",
        "PORT": "0",
        "METRICS_PORT": "0",
        **environ,
    }
    argv = [sys.executable, "-m", "gunicorn", "-c", "python:telemetry.gunicorn_conf"]
    process = subprocess.Popen(
        [*argv, *arguments, app],
        env=child_environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    server = GunicornServer(process)
    server.reader = Thread(target=_collect, args=(server,), daemon=True)
    server.reader.start()
    return server


def importable_environ() -> dict[str, str]:
    """Returns an environment in which a child process finds the same modules as this process."""
    return {
        "PATH": os.environ.get("PATH", ""),
        "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry),
        "PYTHONUNBUFFERED": "1",
    }


@contextmanager
def running(app: str, environ: Mapping[str, str]) -> Iterator[GunicornServer]:
    """Yields a server that is ready, and kills it afterwards if it still runs."""
    server = start(app, environ)
    try:
        wait_until(lambda: _find_ports(server) and _ready(server), server)
        yield server
    finally:
        server.close()


def wait_until(condition: Callable[[], bool], server: GunicornServer | None = None) -> None:
    """Polls `condition`. Raises AssertionError after 30 s or if `server` has exited."""
    deadline = time.monotonic() + _DEADLINE_S
    while not condition():
        printed = "\n".join(server.lines) if server else ""
        if server is not None and server.process.poll() is not None:
            raise AssertionError(f"the server exited with {server.process.returncode}:\n{printed}")
        if time.monotonic() > deadline:
            raise AssertionError(f"condition still false after {_DEADLINE_S:g} s\n{printed}")
        time.sleep(0.02)


def _collect(server: GunicornServer) -> None:
    assert server.process.stdout is not None
    with server.process.stdout as printed:
        for line in printed:
            server.lines.append(line)


def _find_ports(server: GunicornServer) -> bool:
    for line in server.log_lines():
        match = re.search(r"(Listening|Metrics) at: http://[\d.]+:(\d+)", line["message"])
        if match and match[1] == "Listening":
            server.port = int(match[2])
        elif match:
            server.metrics_port = int(match[2])
    return bool(server.port and server.metrics_port)


def _ready(server: GunicornServer) -> bool:
    try:
        return server.get("/readyz").status == 200
    except OSError:
        return False
