"""A host over SSH: one connection, shared by threads; never accepts a host key by itself.

It opens at first use. A lost connection stays lost until `close()`: a lock that was held through it
is gone, so no later command may slip through on a new one; the next run observes and plans anew.
"""

from __future__ import annotations

import http.client
import logging
import secrets
import shlex
import socket
import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress

import paramiko

from deploy.adapters.ssh_failure import SshFailure, shown, why_lost
from deploy.core import shell
from deploy.core.config import HostConfig
from deploy.core.ports import Answer, Completed
from deploy.errors import HostKeyError

SESSIONS = 9
"""Sessions at once on one connection; sshd's MaxSessions is 10 (https://man.openbsd.org/sshd_config)."""

KEEPALIVE_S = 15
SILENCE_S = 45
"""How long sent bytes may stay unacknowledged until the connection counts as lost."""
GRACE_S = 10.0
"""What an end may take to reach us once it is due."""

# Without a handler paramiko's thread prints its tracebacks to stderr; each of them also reaches us
# as an exception.
logging.getLogger("paramiko").addHandler(logging.NullHandler())


class _PinnedKeysOnly(paramiko.MissingHostKeyPolicy):
    """Refuses a host without a pinned key."""

    def __init__(self, refuse: Callable[[paramiko.PKey], HostKeyError]) -> None:
        self._refuse = refuse

    def missing_host_key(
        self, client: paramiko.SSHClient, hostname: str, key: paramiko.PKey
    ) -> None:
        raise self._refuse(key)


class SshHost:
    """Host over paramiko, safe to use from several threads."""

    def __init__(
        self,
        config: HostConfig,
        *,
        known_hosts: str,
        key: str,
        connect_timeout_s: float = 10.0,
        grace_s: float = shell.KILL_AFTER_S + 10.0,
    ) -> None:
        self._config = config
        self._known_hosts = known_hosts
        self._ssh_key = key
        self._connect_timeout_s = connect_timeout_s
        self._grace_s = grace_s
        self._failure = SshFailure(config, known_hosts, key)
        self._opening = threading.Lock()
        # One channel is asked for at a time: paramiko keeps the reason of a refusal per connection, where
        # another thread's refusal would be taken for it.
        self._asking = threading.Lock()
        self._slots = threading.BoundedSemaphore(SESSIONS)
        self._client: paramiko.SSHClient | None = None

    @property
    def name(self) -> str:
        """The host's name in the environment file."""
        return self._config.name

    def run(self, argv: Sequence[str], *, stdin: bytes = b"", timeout_s: float = 60.0) -> Completed:
        """Runs argv; the host itself ends it, with its process group, at the limit."""
        code, stdout, stderr = self._execute(argv, stdin, timeout_s)
        return Completed(code, stdout.decode(errors="replace"), stderr.decode(errors="replace"))

    def put(self, path: str, content: bytes, *, mode: int = 0o644) -> None:
        """Writes a file by one command.

        SFTP takes 4 ms against 13 on loopback but seven round trips against three, so it loses from
        3 ms of distance on, and fsync is no public call of paramiko's.
        """
        argv = shell.put_argv(path, len(content), mode, secrets.token_hex(4))
        self._must(argv, content, f"can't write {path}")

    def read(self, path: str) -> bytes | None:
        """Returns a file's content, None if there is no such file."""
        code, stdout, stderr = self._execute(shell.read_argv(path), b"", 60.0)
        if code == shell.MISSING:
            return None
        if code != 0:
            raise self._failure.failed(f"can't read {path}", stderr)
        return stdout

    def append(self, path: str, line: str) -> None:
        """Adds one line to a file and fsyncs it."""
        content = (line.rstrip("\n") + "\n").encode()
        self._must(shell.append_argv(path, len(content)), content, f"can't append to {path}")

    def stream(self, argv: Sequence[str]) -> Generator[str]:
        """Yields lines of stdout and stderr as they come, without their ends.

        Raises CommandError when the command ends by itself with a non-zero code. Ends without an
        error when another thread closes the host.
        """
        client = self._connected()
        with self._session() as channel, self._translating():
            channel.settimeout(None)
            channel.exec_command(shlex.join(shell.watched(argv)))
            last = ""
            try:
                for last in _lines(channel):
                    yield last
            finally:
                _end_stdin(channel)
            if self._client is client and channel.exit_status == -1:
                raise self._failure.lost("the connection was lost")
            if channel.exit_status > 0:
                what = f"`{shown(argv)}` exited with {channel.exit_status}"
                raise self._failure.failed(what, last.encode())

    @contextmanager
    def hold(self, argv: Sequence[str], *, expect: str) -> Iterator[Completed | None]:
        """Keeps a command running; the host ends its stdin when the connection is gone."""
        with self._session() as channel:
            with self._translating():
                ended = self._start_holding(channel, argv, expect)
            try:
                yield ended
            finally:
                _end_stdin(channel)

    def _start_holding(
        self, channel: paramiko.Channel, argv: Sequence[str], expect: str
    ) -> Completed | None:
        channel.settimeout(None)
        channel.exec_command(f"{shlex.join(argv)}; exit $?")
        printed: list[str] = []
        for line in _lines(channel):
            if line == expect:
                return None
            printed.append(line)
        stderr = _read_all(channel.recv_stderr).decode(errors="replace")
        code = self._end_of(channel, time.monotonic() + GRACE_S)
        return Completed(code, "".join(f"{line}\n" for line in printed), stderr)

    def fetch(self, port: int, path: str, *, headers: Mapping[str, str] | None = None) -> Answer:
        """GETs through a channel of its own; status 0 when nobody answers."""
        transport = self._transport()
        connection = http.client.HTTPConnection("127.0.0.1", port)
        try:
            with self._asking:
                channel = transport.open_channel(
                    "direct-tcpip", ("127.0.0.1", port), ("127.0.0.1", 0), timeout=GRACE_S
                )
        except paramiko.ChannelException as error:
            return Answer(0, f"port {port}: {error}".encode())
        except (paramiko.SSHException, OSError, EOFError) as error:
            raise self._failure.lost(why_lost(error)) from error
        try:
            channel.settimeout(GRACE_S)
            connection.sock = _Tunnel(channel)
            connection.request("GET", path, headers={"Connection": "close", **(headers or {})})
            response = connection.getresponse()
            fields = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, response.read(), fields)
        except (OSError, EOFError, http.client.HTTPException) as error:
            if not transport.is_active():
                raise self._failure.lost(why_lost(error)) from error
            return Answer(0, (str(error) or type(error).__name__).encode())
        finally:
            _close(channel)

    def close(self) -> None:
        """Ends the connection and whatever is held or streamed; the next use opens another."""
        with self._opening:
            client, self._client = self._client, None
        if client is not None:
            client.close()

    def _must(self, argv: Sequence[str], stdin: bytes, failure: str) -> None:
        code, _, stderr = self._execute(argv, stdin, 60.0)
        if code != 0:
            raise self._failure.failed(failure, stderr)

    def _execute(
        self, argv: Sequence[str], stdin: bytes, timeout_s: float
    ) -> tuple[int, bytes, bytes]:
        with self._session() as channel, self._translating():
            started = time.monotonic()
            patience_s = timeout_s + self._grace_s
            channel.settimeout(patience_s)
            # `exit $?` keeps the login shell in place: ended by a signal is 128 + its number.
            channel.exec_command(f"{shlex.join(shell.limited(argv, timeout_s))}; exit $?")
            stderr: list[bytes] = []
            # Both streams share one window: a full stderr that nobody reads would stop stdout too.
            drain = _thread(lambda: _drain(channel, stderr))
            _thread(lambda: _send(channel, stdin))
            stdout = _read_all(channel.recv)
            drain.join(GRACE_S)
            code = self._end_of(channel, started + patience_s)
            if shell.timed_out(code, time.monotonic() - started, timeout_s):
                raise self._failure.too_long(argv, timeout_s)
            return code, stdout, b"".join(stderr)

    def _end_of(self, channel: paramiko.Channel, deadline: float) -> int:
        if not channel.status_event.wait(max(0.0, deadline - time.monotonic())):
            raise self._failure.lost("it stopped answering")
        if channel.exit_status == -1:
            raise self._failure.lost("the connection was lost")
        return int(channel.exit_status)

    @contextmanager
    def _session(self) -> Iterator[paramiko.Channel]:
        if not self._slots.acquire(timeout=60.0):
            raise self._failure.busy(SESSIONS)
        try:
            with self._translating():
                channel = self._open_session()
            try:
                yield channel
            finally:
                _close(channel)
        finally:
            self._slots.release()

    def _open_session(self) -> paramiko.Channel:
        # sshd frees a session a moment after we closed it, so a refusal may be of that moment only.
        deadline = time.monotonic() + self._connect_timeout_s
        while True:
            try:
                with self._asking:
                    return self._transport().open_session(timeout=self._connect_timeout_s)
            except paramiko.ChannelException:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)

    @contextmanager
    def _translating(self) -> Iterator[None]:
        """Turns what paramiko raises into our own errors; never wraps a caller's code."""
        try:
            yield
        except TimeoutError as error:
            raise self._failure.lost("it stopped answering") from error
        except paramiko.ChannelException as error:
            raise self._failure.lost(f"it refuses another session: {error.text}") from error
        except (paramiko.SSHException, OSError, EOFError) as error:
            raise self._failure.lost(why_lost(error)) from error

    def _transport(self) -> paramiko.Transport:
        transport = self._connected().get_transport()
        if transport is None or not transport.is_active():
            raise self._failure.lost("the connection was lost")
        return transport

    def _connected(self) -> paramiko.SSHClient:
        with self._opening:
            if self._client is None:
                self._client = self._connect()
            return self._client

    def _connect(self) -> paramiko.SSHClient:
        key = self._own_key()
        client = paramiko.SSHClient()
        client.set_missing_host_key_policy(_PinnedKeysOnly(self._failure.unknown_key))
        try:
            client.load_host_keys(self._known_hosts)
        except (OSError, paramiko.SSHException) as error:
            raise self._failure.unreadable_pins(error) from error
        try:
            self._log_in(client, key)
        except BaseException:
            client.close()
            raise
        return client

    def _log_in(self, client: paramiko.SSHClient, key: paramiko.PKey) -> None:
        address = (self._config.address, self._config.port)
        try:
            client.connect(
                *address,
                username=self._config.user,
                pkey=key,
                sock=_open_socket(address, self._connect_timeout_s),
                allow_agent=False,
                look_for_keys=False,
                timeout=self._connect_timeout_s,
                banner_timeout=self._connect_timeout_s,
                auth_timeout=self._connect_timeout_s,
            )
        except paramiko.BadHostKeyException as error:
            raise self._failure.changed_key(error) from error
        except paramiko.AuthenticationException as error:
            raise self._failure.refused_login(str(error)) from error
        except TimeoutError as error:
            raise self._failure.unreachable(
                f"no answer in {self._connect_timeout_s:g} s"
            ) from error
        except (paramiko.SSHException, OSError, EOFError) as error:
            raise self._failure.unreachable(str(error) or type(error).__name__) from error
        transport = client.get_transport()
        if transport is not None:
            transport.set_keepalive(KEEPALIVE_S)

    def _own_key(self) -> paramiko.PKey:
        try:
            return paramiko.PKey.from_path(self._ssh_key)
        except (OSError, ValueError, TypeError, paramiko.SSHException) as error:
            raise self._failure.unusable_key(error) from error


class _Tunnel:
    """As much of a socket as http.client uses.

    http.client closes its socket while the body is still to be read and relies on the file that it
    made of it; a paramiko channel that is closed drops what has not arrived yet. So closing waits.
    """

    def __init__(self, channel: paramiko.Channel) -> None:
        self.sendall = channel.sendall
        self.makefile = channel.makefile

    def close(self) -> None:
        """Does nothing: whoever opened the channel closes it."""


def _open_socket(address: tuple[str, int], timeout_s: float) -> socket.socket:
    sock = socket.create_connection(address, timeout=timeout_s)
    # Nagle and the other side's delayed acknowledgement make a command take 44 ms instead of 4.
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, SILENCE_S * 1000)
    return sock


def _thread(work: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def _send(channel: paramiko.Channel, content: bytes) -> None:
    # A command may end without reading its stdin; its exit code tells whether that was right.
    with suppress(OSError, EOFError):
        channel.sendall(content)
        channel.shutdown_write()


def _end_stdin(channel: paramiko.Channel) -> None:
    """Tells a command to end and waits until it did, within bounds."""
    with suppress(OSError, EOFError):
        channel.shutdown_write()
    channel.status_event.wait(GRACE_S)


def _close(channel: paramiko.Channel) -> None:
    # On a lost connection this raises too, and would hide the error that says so.
    with suppress(OSError, EOFError):
        channel.close()


def _drain(channel: paramiko.Channel, into: list[bytes]) -> None:
    # The other thread meets the same timeout or loss and reports it.
    with suppress(OSError, EOFError):
        into.append(_read_all(channel.recv_stderr))


def _read_all(receive: Callable[[int], bytes]) -> bytes:
    parts: list[bytes] = []
    while part := receive(65536):
        parts.append(part)
    return b"".join(parts)


def _lines(channel: paramiko.Channel) -> Iterator[str]:
    rest = b""
    while part := channel.recv(65536):
        *lines, rest = (rest + part).split(b"\n")
        yield from (line.decode(errors="replace") for line in lines)
    if rest:
        yield rest.decode(errors="replace")
