"""A gthread worker that announces its end before it closes its doors; it drops no connection that
the kernel has already accepted."""

import os
from threading import Timer
from time import monotonic
from typing import Any

from gunicorn.workers.gthread import ThreadWorker  # type: ignore[import-untyped]

from telemetry.instrument import Telemetry, telemetry_of
from telemetry.settings import Settings


class DrainingWorker(ThreadWorker):  # type: ignore[misc]
    """SIGTERM, step by step. At once: `/readyz` is 503, every answer says `Connection: close`, and
    new connections are still taken. After `DRAIN_NOTICE_S`: what waits in the accept queue is
    taken, then the listening socket closes, so that a new connection is refused at once, which
    nginx passes to another replica whatever the method; gunicorn alone leaves the socket open and
    resets what queued on it. Then requests in flight finish, and the process ends; all within
    gunicorn's `graceful_timeout`."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._outstanding = 0  # touched on the main thread only
        self._draining = False

    def outstanding(self) -> int:
        """Connections that hold a thread or wait for one."""
        return self._outstanding

    def telemetry(self) -> Telemetry | None:
        return telemetry_of(getattr(self, "wsgi", None))

    def enqueue_req(self, conn: Any) -> None:
        self._outstanding += 1
        super().enqueue_req(conn)

    def finish_request(self, conn: Any, fs: Any) -> None:
        self._outstanding -= 1
        super().finish_request(conn, fs)

    def handle_exit(self, sig: int, frame: Any) -> None:
        telemetry = self.telemetry()
        if telemetry is None or not self.booted:
            super().handle_exit(sig, frame)
        elif not self._draining:
            self._draining = True
            telemetry.lifecycle.begin_drain()
            self.method_queue.defer(self._announce_end)

    def _announce_end(self) -> None:
        notice_s = Settings.from_environ(os.environ).drain_notice_s
        self.log.info("draining: not ready, still serving for %g s", notice_s)
        self.max_keepalived = 0  # gthread then ends every answer with Connection: close
        self._cap_keepalive(monotonic() + notice_s)
        closing = Timer(notice_s, self.method_queue.defer, [self._close_doors])
        closing.daemon = True
        closing.start()

    def _close_doors(self) -> None:
        for listener in self.sockets:
            self._accept_all(listener)
        self.set_accept_enabled(False)
        for listener in self.sockets:
            listener.close()
        self.alive = False
        self.log.info("draining: doors closed, %d connections left", self.nr_conns)

    def _accept_all(self, listener: Any) -> None:
        accepted = -1
        while accepted != self.nr_conns:  # accept() swallows the error that says "none waits"
            accepted = self.nr_conns
            self.accept(listener)
