"""`python3 -m exporter`: serves this host's metrics on the loopback until it is told to end."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from exporter import containers, host, nginx
from exporter.edge import Follower, Tally
from exporter.engine import Engine, EngineError
from exporter.exposition import Family, render

# The engine needs seconds to add up what fills its disk.
USE_EVERY_S = 120.0


class Exporter:
    """Everything that is measured at a scrape."""

    def __init__(
        self, engine: Engine, root: Path, status_url: str, certificate: Path, login: Path
    ) -> None:
        self._engine = engine
        self._root = root
        self._status_url = status_url
        self._certificate = certificate
        self._login = login
        self._tally = Tally()
        self._use: list[Family] = []

    def begin(self) -> None:
        """Starts to follow the edges' logs and to add up the disk."""
        follower = Follower(self._engine, self._tally, now=time.time())
        threading.Thread(target=follower.run, daemon=True).start()
        threading.Thread(target=self._add_up, daemon=True).start()

    def collect(self) -> str:
        """Returns the exposition; what an engine that is down can't tell is left out, and `engine_up` is 0."""
        up = Family("engine_up", "gauge", "1 while the engine answers, else 0.")
        families = [
            *host.credentials(self._certificate, self._login),
            *nginx.collect(self._status_url),
        ]
        try:
            families += [*host.disk(self._engine, self._root), *containers.collect(self._engine)]
            up.add(1.0)
        except (EngineError, OSError) as error:
            print(f"engine: {error}", file=sys.stderr, flush=True)
            up.add(0.0)
        return render([up, *families, *self._tally.families(), *self._use])

    def _add_up(self) -> None:
        while True:
            try:
                self._use = host.use(self._engine)
            except EngineError as error:
                print(f"engine: {error}", file=sys.stderr, flush=True)
            time.sleep(USE_EVERY_S)


def serve(exporter: Exporter, address: str, port: int) -> ThreadingHTTPServer:
    """Makes the server; port 0 takes a free one."""

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
            """Quiet."""

    server = ThreadingHTTPServer((address, port), Handler)
    server.daemon_threads = True
    return server


def main() -> None:
    """Reads what it is told by its environment and serves."""
    told = os.environ
    exporter = Exporter(
        Engine(told.get("ENGINE_SOCKET", "/var/run/docker.sock")),
        Path(told.get("HOST_ROOT", "/host")),
        told["EDGE_STATUS_URL"],
        Path(told["CERTIFICATE"]),
        Path(told["REGISTRY_LOGIN"]),
    )
    server = serve(exporter, told.get("ADDRESS", "127.0.0.1"), int(told["PORT"]))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    exporter.begin()
    server.serve_forever()


if __name__ == "__main__":
    main()
