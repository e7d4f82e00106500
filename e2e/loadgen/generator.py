"""The load generator, a program of its own: sends requests on a fixed schedule and writes one line per request.

`python -m e2e.loadgen.generator PROFILE` reads a LoadProfile as JSON and writes the lines of a Record until its stdin
ends. The load is open-loop: slow responses don't slow the schedule down. Failed requests are not retried. A keep-alive
client opens another connection if it finds its own closed before it writes, as browsers do.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TextIO
from urllib.parse import urlsplit

from e2e.loadgen.http_client import Connection, NoResponseError
from e2e.loadgen.record import Row

TIMEOUT_S = 60.0
"""As long as nginx waits for a replica, so that a late response doesn't count as lost."""
MAX_IN_FLIGHT = 500
TICK_S = 0.005


@dataclass(frozen=True)
class Stream:
    """One kind of request. `host` is the Host header."""

    name: str
    method: str
    path: str
    host: str


@dataclass(frozen=True)
class LoadProfile:
    """The load on `url`: `rate` requests per second, from all streams in turn, every second one on a fresh connection.

    In addition, `pausing` clients keep one connection each and send a request every 0.5 to `longest_pause_s` seconds,
    and `slow` requests are always in flight. If `closed` is set there is no schedule: so many clients send their next
    request when the last one is answered. `out` is the path of the record.
    """

    url: str
    out: str
    streams: tuple[Stream, ...]
    rate: float = 50.0
    pausing: int = 0
    longest_pause_s: float = 15.0
    slow: int = 0
    slow_path: str = "/slow?s=5"
    closed: int = 0

    def dump(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def parse(cls, text: str) -> LoadProfile:
        data = json.loads(text)
        return cls(**{**data, "streams": tuple(Stream(**stream) for stream in data["streams"])})


@dataclass
class Generator:
    """Sends the requests of a profile and writes their rows to `file`."""

    profile: LoadProfile
    file: TextIO
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    _idle: list[Connection] = field(default_factory=list)
    _number: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    _epoch_offset_s: float = field(default_factory=lambda: time.time() - time.monotonic())

    async def run(self) -> None:
        """Sends requests until `stopping` is set, then waits for those in flight."""
        profile = self.profile
        async with asyncio.TaskGroup() as group:
            for number in range(profile.pausing):
                stream = profile.streams[number % len(profile.streams)]
                group.create_task(self._send_with_pauses(stream))
            fixture = next((s for s in profile.streams if s.name.startswith("fixture")), None)
            for _ in range(profile.slow if fixture else 0):
                assert fixture is not None
                stream = Stream("fixture:slow", "GET", profile.slow_path, fixture.host)
                group.create_task(self._send_back_to_back(stream, "slow"))
            for number in range(profile.closed):
                stream = profile.streams[number % len(profile.streams)]
                group.create_task(self._send_back_to_back(stream, "closed"))
            if not profile.closed:
                group.create_task(self._send_on_schedule(group))
            group.create_task(self._flush_regularly())

    async def _send_on_schedule(self, group: asyncio.TaskGroup) -> None:
        begun, next_number = time.monotonic(), 0
        slots = asyncio.Semaphore(MAX_IN_FLIGHT)
        while not self.stopping.is_set():
            due_now = int((time.monotonic() - begun) * self.profile.rate)
            for number in range(next_number, due_now):
                stream = self.profile.streams[number % len(self.profile.streams)]
                fresh = (number // len(self.profile.streams)) % 2 == 0
                due = begun + number / self.profile.rate
                await slots.acquire()
                group.create_task(self._send_scheduled(stream, due, slots, fresh=fresh))
            next_number = max(next_number, due_now)
            await asyncio.sleep(TICK_S)

    async def _send_scheduled(
        self, stream: Stream, due: float, slots: asyncio.Semaphore, *, fresh: bool
    ) -> None:
        try:
            if fresh:
                await self._send(stream, due, "fresh", self._connect)
                return
            connection = await self._send(stream, due, "kept", self._take_idle)
            if connection is not None and connection.usable():
                self._idle.append(connection)
        finally:
            slots.release()

    async def _send_with_pauses(self, stream: Stream) -> None:
        """One client with one connection that pauses between its requests."""
        connection: Connection | None = None
        longest_s = self.profile.longest_pause_s
        while not await self._stops_within(random.uniform(0.5, longest_s)):  # noqa: S311 - no secret
            connection = await self._send_on(connection, stream, "pausing")
        if connection is not None:
            connection.close()

    async def _send_back_to_back(self, stream: Stream, way: str) -> None:
        connection: Connection | None = None
        while not self.stopping.is_set():
            connection = await self._send_on(connection, stream, way)
            if connection is None:
                await asyncio.sleep(0.05)  # no busy loop while the server is down

    async def _stops_within(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await self.stopping.wait()
        except TimeoutError:
            return False
        return True

    async def _connect(self) -> Connection:
        parts = urlsplit(self.profile.url)
        return await Connection.connect(parts.hostname or "", parts.port or 80, timeout_s=TIMEOUT_S)

    async def _take_idle(self) -> Connection:
        while self._idle:
            if (connection := self._idle.pop(0)).usable():
                return connection
        return await self._connect()

    async def _send_on(
        self, kept: Connection | None, stream: Stream, way: str
    ) -> Connection | None:
        """Sends a request that is due now, on the kept connection if the server left it open."""

        async def reuse() -> Connection:
            return kept if kept is not None and kept.usable() else await self._connect()

        return await self._send(stream, time.monotonic(), way, reuse)

    async def _send(
        self, stream: Stream, due: float, way: str, connect: Callable[[], Awaitable[Connection]]
    ) -> Connection | None:
        """Sends one request and writes its row. Returns the connection if it may be reused."""
        token, connection = f"proof-{next(self._number):08d}", None
        status, release, replica, error = 0, "", "", ""
        try:
            connection = await connect()
            response = await connection.send(
                render_request(stream, token, close=way == "fresh"), timeout_s=TIMEOUT_S
            )
            status = response.status
            release = response.headers.get("x-release", "")
            replica = response.headers.get("x-replica", "")
            if stream.method == "POST" and status == 200 and token.encode() not in response.body:
                error = "another's answer"
        except NoResponseError as failure:
            error, connection = str(failure), None
        seconds, epoch_due = time.monotonic() - due, due + self._epoch_offset_s
        row = Row(epoch_due, seconds, stream.name, way, status, release, replica, error)
        self.file.write(row.line() + "\n")
        if connection is not None and way == "fresh":
            connection.close()
        return connection

    async def _flush_regularly(self) -> None:
        while not await self._stops_within(0.25):
            self.file.flush()


def render_request(stream: Stream, token: str, *, close: bool) -> bytes:
    """Renders a request. A POST carries the token as its body."""
    body = token if stream.method == "POST" else ""
    lines = [
        f"{stream.method} {stream.path} HTTP/1.1",
        f"Host: {stream.host}",
        f"X-Request-Id: {token}",
        *(["Content-Type: text/plain", f"Content-Length: {len(body)}"] if body else []),
        *(["Connection: close"] if close else []),
    ]
    return ("\r\n".join(lines) + "\r\n\r\n" + body).encode()


async def run_until_stdin_ends(profile: LoadProfile, file: TextIO) -> None:
    """Runs a profile until stdin ends."""
    generator, reader = Generator(profile, file), asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    protocol = asyncio.StreamReaderProtocol(reader)
    await loop.connect_read_pipe(lambda: protocol, sys.stdin.buffer)

    async def stop_at_end() -> None:
        await reader.read()
        generator.stopping.set()

    stopper = asyncio.create_task(stop_at_end())
    await generator.run()
    await stopper


def main(profile: LoadProfile) -> None:
    """Runs a profile and writes its record."""
    with Path(profile.out).open("w", encoding="utf-8") as file:
        asyncio.run(run_until_stdin_ends(profile, file))


if __name__ == "__main__":
    main(LoadProfile.parse(Path(sys.argv[1]).read_text()))
