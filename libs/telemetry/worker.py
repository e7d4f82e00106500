"""gunicorn worker that drains on SIGTERM without losing a connection."""

import os
from threading import Timer
from time import monotonic
from typing import Any

from gunicorn.workers.gthread import ThreadWorker  # type: ignore[import-untyped]

from telemetry.instrument import Telemetry, telemetry_of
from telemetry.settings import Settings


class DrainingWorker(ThreadWorker):  # type: ignore[misc]
    """A gthread worker that stops in three steps, all within gunicorn's `graceful_timeout`:

    1. On SIGTERM `/readyz` answers 503 and every response says `Connection: close`. New connections
       are still accepted.
    2. After `DRAIN_NOTICE_S` it accepts the connections that wait in the accept queue and closes the
       listening socket. From then on new connections are refused, and nginx sends such a request to
       another replica, whatever its method. Plain gunicorn leaves the socket open instead and
       resets the connections that queue on it.
    3. It finishes the requests in flight and exits.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._outstanding = 0  # used on the main thread only
        self._draining = False

    def outstanding(self) -> int:
        """Returns the number of connections that occupy a thread or wait for one."""
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
            self.method_queue.defer(self._start_drain)

    def _start_drain(self) -> None:
        notice_s = Settings.from_environ(os.environ).drain_notice_s
        self.log.info("draining: unready, still accepting connections for %g s", notice_s)
        self.max_keepalived = 0  # makes gthread send Connection: close with every response
        self._cap_keepalive(monotonic() + notice_s)
        timer = Timer(notice_s, self.method_queue.defer, [self._stop_accepting])
        timer.daemon = True
        timer.start()

    def _stop_accepting(self) -> None:
        for listener in self.sockets:
            self._drain_accept_queue(listener)
        self.set_accept_enabled(False)
        for listener in self.sockets:
            listener.close()
        self.alive = False
        self.log.info("draining: no longer accepting connections, %d left", self.nr_conns)

    def _drain_accept_queue(self, listener: Any) -> None:
        accepted = -1
        while accepted != self.nr_conns:  # accept() doesn't report that the queue is empty
            accepted = self.nr_conns
            self.accept(listener)
