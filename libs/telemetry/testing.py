"""Runs an app under the real gunicorn for a test, on free ports; production never imports it."""

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
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Server:
    """A running gunicorn; `lines` grows with every line it prints."""

    process: subprocess.Popen[str]
    reader: Thread = field(init=False)
    lines: list[str] = field(default_factory=list)
    port: int = 0
    metrics_port: int = 0

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> Answer:
        """On a connection of its own."""
        return self._ask(self.port, "GET", path, headers)

    def ask(self, method: str, path: str, headers: Mapping[str, str] | None = None) -> Answer:
        return self._ask(self.port, method, path, headers)

    def metrics(self, accept: str = "text/plain") -> str:
        return self._ask(self.metrics_port, "GET", "/metrics", {"Accept": accept}).body.decode()

    def logged(self) -> list[dict[str, Any]]:
        """Every line that is a JSON object."""
        return [json.loads(line) for line in list(self.lines) if line.startswith("{")]

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    def wait(self) -> int:
        """The exit code; from then on `lines` is whole."""
        code = self.process.wait(_DEADLINE_S)
        self.reader.join(_DEADLINE_S)
        return code

    def end(self) -> None:
        """Kills what still runs and lets go of the pipe."""
        if self.process.poll() is None:
            self.process.kill()
        self.wait()

    def _ask(self, port: int, method: str, path: str, headers: Mapping[str, str] | None) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_DEADLINE_S)
        try:
            connection.request(method, path, headers=dict(headers or {}))
            response = connection.getresponse()
            return Answer(response.status, dict(response.getheaders()), response.read())
        finally:
            connection.close()


def start(app: str, environ: Mapping[str, str], arguments: tuple[str, ...] = ()) -> Server:
    """Starts `app` ("module:factory()") and returns at once. The child sees this process's import
    path, `environ` and nothing else that services read."""
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
    server = Server(process)
    server.reader = Thread(target=_collect, args=(server,), daemon=True)
    server.reader.start()
    return server


def importable_environ() -> dict[str, str]:
    """The environment of a child that finds the modules this process finds, and no more."""
    return {
        "PATH": os.environ.get("PATH", ""),
        "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry),
        "PYTHONUNBUFFERED": "1",
    }


@contextmanager
def running(app: str, environ: Mapping[str, str]) -> Iterator[Server]:
    """A server that is ready; it is killed at the end if it still runs."""
    server = start(app, environ)
    try:
        wait_until(lambda: _find_ports(server) and _ready(server), server)
        yield server
    finally:
        server.end()


def wait_until(condition: Callable[[], bool], server: Server | None = None) -> None:
    """Polls; raises AssertionError at the deadline, or when `server` has ended."""
    deadline = time.monotonic() + _DEADLINE_S
    while not condition():
        printed = "\n".join(server.lines) if server else ""
        if server is not None and server.process.poll() is not None:
            raise AssertionError(f"the server ended with {server.process.returncode}:\n{printed}")
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {_DEADLINE_S:g} s\n{printed}")
        time.sleep(0.02)


def _collect(server: Server) -> None:
    assert server.process.stdout is not None
    with server.process.stdout as printed:
        for line in printed:
            server.lines.append(line)


def _find_ports(server: Server) -> bool:
    for line in server.logged():
        found = re.search(r"(Listening|Metrics) at: http://[\d.]+:(\d+)", line["message"])
        if found and found.group(1) == "Listening":
            server.port = int(found.group(2))
        elif found:
            server.metrics_port = int(found.group(2))
    return bool(server.port and server.metrics_port)


def _ready(server: Server) -> bool:
    try:
        return server.get("/readyz").status == 200
    except OSError:
        return False
