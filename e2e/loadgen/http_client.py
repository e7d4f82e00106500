"""A minimal HTTP/1.1 client connection on asyncio. It sends every request once and retries nothing."""

from __future__ import annotations

import asyncio
import select
from dataclasses import dataclass, field

_END_OF_HEADERS = b"\r\n\r\n"


class NoResponseError(Exception):
    """No complete response arrived; the message says why."""


@dataclass(frozen=True)
class Response:
    """A complete response. Header names are lower case."""

    status: int
    headers: dict[str, str]
    body: bytes


@dataclass
class _ResponseParser:
    """The bytes of a response that have arrived so far."""

    received: bytearray = field(default_factory=bytearray)
    status: int = 0
    headers: dict[str, str] | None = None

    def parse(self, *, at_end: bool) -> Response | None:
        """Returns the response once it is complete, None before. `at_end`: the server sends nothing more."""
        if self.headers is None:
            head, found, rest = bytes(self.received).partition(_END_OF_HEADERS)
            if not found:
                return None
            first, *lines = head.decode("latin-1").split("\r\n")
            self.status = int(first.split(" ", 2)[1])
            pairs = (line.partition(":") for line in lines)
            self.headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
            self.received = bytearray(rest)
        if "chunked" in self.headers.get("transfer-encoding", ""):
            complete = self.received.endswith(b"0\r\n\r\n")
        elif (length := self.headers.get("content-length")) is not None:
            complete = len(self.received) >= int(length)
        else:
            complete = at_end
        return Response(self.status, self.headers, bytes(self.received)) if complete else None


class Connection(asyncio.Protocol):
    """One client connection, for one request at a time."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._parser: _ResponseParser | None = None
        self._response: asyncio.Future[Response] | None = None
        self._open = True

    @classmethod
    async def connect(cls, host: str, port: int, *, timeout_s: float) -> Connection:
        """Opens a connection. Raises NoResponseError if that fails."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(timeout_s):
                _, connection = await loop.create_connection(cls, host, port)
        except (OSError, TimeoutError) as error:
            raise NoResponseError(f"connect: {type(error).__name__}") from error
        return connection

    async def send(self, request: bytes, *, timeout_s: float) -> Response:
        """Sends a request and returns the response. Raises NoResponseError; the connection is then unusable."""
        assert self._transport is not None
        self._parser = _ResponseParser()
        response: asyncio.Future[Response] = asyncio.get_running_loop().create_future()
        self._response = response
        self._transport.write(request)
        try:
            async with asyncio.timeout(timeout_s):
                reply = await response
        except TimeoutError as error:
            self.close()
            raise NoResponseError("no answer in time") from error
        if reply.headers.get("connection", "").lower() == "close":
            self.close()
        return reply

    def usable(self) -> bool:
        """Returns whether another request may be sent.

        False as soon as the server has closed the connection, even before the event loop notices. Browsers check the
        same before they reuse a connection.
        """
        if not self._open or self._transport is None:
            return False
        poll = select.poll()
        poll.register(self._transport.get_extra_info("socket").fileno(), select.POLLIN)
        if poll.poll(0):  # readable although no request is under way: the server closed it
            self.close()
        return self._open

    def close(self) -> None:
        self._open = False
        if self._transport is not None:
            self._transport.close()

    # Callbacks of asyncio.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        if self._parser is not None:
            self._parser.received += data
            self._deliver(at_end=False)

    def eof_received(self) -> None:
        self._open = False

    def connection_lost(self, exc: Exception | None) -> None:
        self._open = False
        if self._parser is not None:
            self._deliver(at_end=exc is None)
        if self._response is not None and not self._response.done():
            why = type(exc).__name__ if exc else "closed before the answer was whole"
            self._response.set_exception(NoResponseError(why))

    def _deliver(self, *, at_end: bool) -> None:
        """Hands the response over if it is complete."""
        assert self._parser is not None
        if (response := self._parser.parse(at_end=at_end)) is not None:
            self._parser = None
            if self._response is not None and not self._response.done():
                self._response.set_result(response)
