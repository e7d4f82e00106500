"""One HTTP/1.1 client connection on asyncio, as little work as can be; it never sends a request twice."""

from __future__ import annotations

import asyncio
import select
from dataclasses import dataclass, field

_END = b"\r\n\r\n"


class LostError(Exception):
    """No whole answer came; the text names why."""


@dataclass(frozen=True)
class Reply:
    """A whole answer. `headers` have lower-case names."""

    status: int
    headers: dict[str, str]
    body: bytes


@dataclass
class _Reading:
    """What has arrived of an answer."""

    seen: bytearray = field(default_factory=bytearray)
    status: int = 0
    headers: dict[str, str] | None = None

    def whole(self, *, ended: bool) -> Reply | None:
        """Returns the answer once it is complete, None before. `ended`: nothing more will come."""
        if self.headers is None:
            head, found, rest = bytes(self.seen).partition(_END)
            if not found:
                return None
            first, *lines = head.decode("latin-1").split("\r\n")
            self.status = int(first.split(" ", 2)[1])
            pairs = (line.partition(":") for line in lines)
            self.headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
            self.seen = bytearray(rest)
        if "chunked" in self.headers.get("transfer-encoding", ""):
            complete = self.seen.endswith(b"0\r\n\r\n")
        elif (length := self.headers.get("content-length")) is not None:
            complete = len(self.seen) >= int(length)
        else:
            complete = ended
        return Reply(self.status, self.headers, bytes(self.seen)) if complete else None


class Wire(asyncio.Protocol):
    """A connection that asks one thing at a time. `ask` raises LostError; `usable` says whether to ask again."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._reading: _Reading | None = None
        self._answer: asyncio.Future[Reply] | None = None
        self._open = True

    @classmethod
    async def connect(cls, host: str, port: int, *, timeout_s: float) -> Wire:
        """Opens a connection. Raises LostError."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(timeout_s):
                _, wire = await loop.create_connection(cls, host, port)
        except (OSError, TimeoutError) as error:
            raise LostError(f"connect: {type(error).__name__}") from error
        return wire

    async def ask(self, request: bytes, *, timeout_s: float) -> Reply:
        """Sends a request and returns the whole answer. Raises LostError, and then is of no more use."""
        assert self._transport is not None
        self._reading = _Reading()
        answer: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._answer = answer
        self._transport.write(request)
        try:
            async with asyncio.timeout(timeout_s):
                reply = await answer
        except TimeoutError as error:
            self.close()
            raise LostError("no answer in time") from error
        if reply.headers.get("connection", "").lower() == "close":
            self.close()
        return reply

    def usable(self) -> bool:
        """False once the server has closed it, also where the loop hasn't heard of that yet: so do browsers."""
        if not self._open or self._transport is None:
            return False
        poll = select.poll()
        poll.register(self._transport.get_extra_info("socket").fileno(), select.POLLIN)
        if poll.poll(0):  # readable while nothing was asked: the server closed it
            self.close()
        return self._open

    def close(self) -> None:
        self._open = False
        if self._transport is not None:
            self._transport.close()

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        if self._reading is not None:
            self._reading.seen += data
            self._look(ended=False)

    def eof_received(self) -> None:
        self._open = False

    def connection_lost(self, exc: Exception | None) -> None:
        self._open = False
        if self._reading is not None:
            self._look(ended=exc is None)
        if self._answer is not None and not self._answer.done():
            why = type(exc).__name__ if exc else "closed before the answer was whole"
            self._answer.set_exception(LostError(why))

    def _look(self, *, ended: bool) -> None:
        assert self._reading is not None
        if (reply := self._reading.whole(ended=ended)) is not None:
            self._reading = None
            if self._answer is not None and not self._answer.done():
                self._answer.set_result(reply)
