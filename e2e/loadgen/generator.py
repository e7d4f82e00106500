"""A bounded open-loop load on two services, as a program of its own; it retries nothing and never slows its schedule.

`python -m e2e.loadgen.generator PLAN` reads a Plan as JSON and writes a Record's lines until its stdin ends. A
keep-alive client that finds its connection closed before it writes opens another, as browsers do; that is all it mends.
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

from e2e.loadgen.http_client import LostError, Wire
from e2e.loadgen.record import Row

TIMEOUT_S = 60.0
"""As long as nginx waits for a replica: what is only late is not lost."""
MOST_AT_ONCE = 500
TICK_S = 0.005


@dataclass(frozen=True)
class Stream:
    """One kind of request, open loop. `host` is the Host header."""

    name: str
    method: str
    path: str
    host: str


@dataclass(frozen=True)
class Plan:
    """What is asked of `url`: `rate` requests a second over all streams in turn, every second one fresh.

    Beside them `pausing` clients keep a connection each and ask every 0.5 to `longest_pause_s` seconds, and `slow`
    requests are always under way. With `closed` clients there is no schedule: each asks anew when it is answered.
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
    def parse(cls, text: str) -> Plan:
        data = json.loads(text)
        return cls(**{**data, "streams": tuple(Stream(**each) for each in data["streams"])})


@dataclass
class Traffic:
    """A plan that is being carried out; rows go to `file`."""

    plan: Plan
    file: TextIO
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    _idle: list[Wire] = field(default_factory=list)
    _number: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    _offset: float = field(default_factory=lambda: time.time() - time.monotonic())

    async def run(self) -> None:
        """Asks until `ended`, then lets what is under way end."""
        plan = self.plan
        async with asyncio.TaskGroup() as group:
            for number in range(plan.pausing):
                stream = plan.streams[number % len(plan.streams)]
                group.create_task(self._pausing(stream))
            slow = next((each for each in plan.streams if each.name.startswith("fixture")), None)
            for _ in range(plan.slow if slow else 0):
                assert slow is not None
                stream = Stream("fixture:slow", "GET", plan.slow_path, slow.host)
                group.create_task(self._again_and_again(stream, "slow"))
            for number in range(plan.closed):
                stream = plan.streams[number % len(plan.streams)]
                group.create_task(self._again_and_again(stream, "closed"))
            if not plan.closed:
                group.create_task(self._scheduled(group))
            group.create_task(self._flushed())

    async def _scheduled(self, group: asyncio.TaskGroup) -> None:
        begun, turn, places = time.monotonic(), 0, asyncio.Semaphore(MOST_AT_ONCE)
        while not self.ended.is_set():
            due_now = int((time.monotonic() - begun) * self.plan.rate)
            for number in range(turn, due_now):
                stream = self.plan.streams[number % len(self.plan.streams)]
                fresh = (number // len(self.plan.streams)) % 2 == 0
                due = begun + number / self.plan.rate
                await places.acquire()
                group.create_task(self._one(stream, due, places, fresh=fresh))
            turn = max(turn, due_now)
            await asyncio.sleep(TICK_S)

    async def _one(
        self, stream: Stream, due: float, places: asyncio.Semaphore, *, fresh: bool
    ) -> None:
        try:
            if fresh:
                await self._asked(stream, due, "fresh", self._fresh)
                return
            wire = await self._asked(stream, due, "kept", self._kept)
            if wire is not None and wire.usable():
                self._idle.append(wire)
        finally:
            places.release()

    async def _pausing(self, stream: Stream) -> None:
        """One client with one connection, and pauses."""
        wire: Wire | None = None
        longest_s = self.plan.longest_pause_s
        while not await self._over(random.uniform(0.5, longest_s)):  # noqa: S311 - no secret
            kept = wire

            async def mine(kept: Wire | None = kept) -> Wire:
                return kept if kept is not None and kept.usable() else await self._fresh()

            wire = await self._asked(stream, time.monotonic(), "pausing", mine)
        if wire is not None:
            wire.close()

    async def _again_and_again(self, stream: Stream, way: str) -> None:
        wire: Wire | None = None
        while not self.ended.is_set():
            kept = wire

            async def mine(kept: Wire | None = kept) -> Wire:
                return kept if kept is not None and kept.usable() else await self._fresh()

            wire = await self._asked(stream, time.monotonic(), way, mine)
            if wire is None:
                await asyncio.sleep(0.05)  # a server that is gone is not asked in a tight loop

    async def _over(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await self.ended.wait()
        except TimeoutError:
            return False
        return True

    async def _fresh(self) -> Wire:
        parts = urlsplit(self.plan.url)
        return await Wire.connect(parts.hostname or "", parts.port or 80, timeout_s=TIMEOUT_S)

    async def _kept(self) -> Wire:
        while self._idle:
            if (wire := self._idle.pop(0)).usable():
                return wire
        return await self._fresh()

    async def _asked(
        self, stream: Stream, due: float, way: str, connect: Callable[[], Awaitable[Wire]]
    ) -> Wire | None:
        """Asks once and writes the row. Returns the connection where it is of further use."""
        token, wire = f"proof-{next(self._number):08d}", None
        status, release, replica, error = 0, "", "", ""
        try:
            wire = await connect()
            reply = await wire.ask(
                request(stream, token, close=way == "fresh"), timeout_s=TIMEOUT_S
            )
            status = reply.status
            release = reply.headers.get("x-release", "")
            replica = reply.headers.get("x-replica", "")
            if stream.method == "POST" and status == 200 and token.encode() not in reply.body:
                error = "another's answer"
        except LostError as lost:
            error, wire = str(lost), None
        seconds = time.monotonic() - due
        row = Row(due + self._offset, seconds, stream.name, way, status, release, replica, error)
        self.file.write(row.line() + "\n")
        if wire is not None and way == "fresh":
            wire.close()
        return wire

    async def _flushed(self) -> None:
        while not await self._over(0.25):
            self.file.flush()


def request(stream: Stream, token: str, *, close: bool) -> bytes:
    """Writes a request; a POST carries its token as its body."""
    body = token if stream.method == "POST" else ""
    lines = [
        f"{stream.method} {stream.path} HTTP/1.1",
        f"Host: {stream.host}",
        f"X-Request-Id: {token}",
        *(["Content-Type: text/plain", f"Content-Length: {len(body)}"] if body else []),
        *(["Connection: close"] if close else []),
    ]
    return ("\r\n".join(lines) + "\r\n\r\n" + body).encode()


async def carry_out(plan: Plan, file: TextIO) -> None:
    """Runs a plan until stdin ends."""
    traffic, reader = Traffic(plan, file), asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    protocol = asyncio.StreamReaderProtocol(reader)
    await loop.connect_read_pipe(lambda: protocol, sys.stdin.buffer)

    async def end() -> None:
        await reader.read()
        traffic.ended.set()

    ending = asyncio.create_task(end())
    await traffic.run()
    await ending


def main(plan: Plan) -> None:
    """Runs a plan and keeps its record."""
    with Path(plan.out).open("w", encoding="utf-8") as file:
        asyncio.run(carry_out(plan, file))


if __name__ == "__main__":
    main(Plan.parse(Path(sys.argv[1]).read_text()))
