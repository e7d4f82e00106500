"""`python3 -m exporter`: serves this host's metrics on the loopback until SIGTERM."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from engine_api.client import SOCKET, EngineApiError, EngineClient
from exporter import containers, host, nginx
from exporter.edge import LogFollower, RequestCounter
from exporter.exposition import Family, render

DISK_USE_EVERY_S = 120.0
"""The engine needs seconds to measure its disk use, so no scrape waits for it."""

_NO_SHUTDOWN_S = 3600.0


class Exporter:
    """Collects all metrics of this host.

    `root` is where the host's file system is mounted, `status_url` is nginx's stub_status page, `certificate` is the
    PEM file of this host's metrics, and `login` is the file whose time is when a registry last accepted a login.
    """

    def __init__(
        self, engine: EngineClient, root: Path, status_url: str, certificate: Path, login: Path
    ) -> None:
        self._engine = engine
        self._root = root
        self._status_url = status_url
        self._certificate = certificate
        self._login = login
        self._requests = RequestCounter()
        self._disk_use: list[Family] = []

    def start(self) -> None:
        """Starts the threads that follow the edges' logs and measure the disk use."""
        follower = LogFollower(self._engine, self._requests, now=time.time())
        threading.Thread(target=follower.run, daemon=True).start()
        threading.Thread(target=self._measure_disk_use, daemon=True).start()

    def collect(self) -> str:
        """Returns the text for a scrape. While the engine is down, its metrics are missing and `engine_up` is 0."""
        up = Family("engine_up", "gauge", "1 while the engine answers, else 0.")
        families = [
            *host.credentials(self._certificate, self._login),
            *host.watchdog(self._login.with_name("watchdog.problem")),
            *nginx.collect(self._status_url),
        ]
        try:
            families += [*host.disk(self._engine, self._root), *containers.collect(self._engine)]
            up.add(1.0)
        except (EngineApiError, OSError) as error:
            print(f"engine: {error}", file=sys.stderr, flush=True)
            up.add(0.0)
        return render([up, *families, *self._requests.families(), *self._disk_use])

    def _measure_disk_use(self) -> None:
        while True:
            try:
                self._disk_use = host.disk_use(self._engine)
            except EngineApiError as error:
                print(f"engine: {error}", file=sys.stderr, flush=True)
            time.sleep(DISK_USE_EVERY_S)


def serve(exporter: Exporter, address: str, port: int) -> ThreadingHTTPServer:
    """Returns an HTTP server with `/metrics` at this address. Port 0 takes a free one."""

    class Handler(BaseHTTPRequestHandler):
        timeout = 10

        def do_GET(self) -> None:
            if self.path != "/metrics":
                self.send_error(404)
                return
            body = exporter.collect().encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
            """Logs nothing."""

    server = ThreadingHTTPServer((address, port), Handler)
    server.daemon_threads = True
    return server


def main() -> None:
    """Reads the settings from the environment and serves."""
    settings = os.environ
    exporter = Exporter(
        EngineClient(settings.get("ENGINE_SOCKET", SOCKET)),
        Path(settings.get("HOST_ROOT", "/host")),
        settings["EDGE_STATUS_URL"],
        Path(settings["CERTIFICATE"]),
        Path(settings["REGISTRY_LOGIN"]),
    )
    server = serve(exporter, settings.get("ADDRESS", "127.0.0.1"), int(settings["PORT"]))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    exporter.start()
    # SIGTERM ends the process, so the server needn't look twice a second whether to shut down.
    server.serve_forever(poll_interval=_NO_SHUTDOWN_S)


if __name__ == "__main__":
    main()
