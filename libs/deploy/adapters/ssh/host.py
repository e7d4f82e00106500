"""A host over one SSH connection, which threads share.

It connects at first use. A lost connection stays lost until `close()`: the lock that was held through it is gone, so no
later command may run over a new connection. The next run observes and plans again.
"""

from __future__ import annotations

import http.client
import secrets
import shlex
import threading
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager

import paramiko

from deploy.adapters.limits import MAX_BYTES, TooMuchError
from deploy.adapters.ssh import channel as ssh_channel
from deploy.adapters.ssh.channel import END_S
from deploy.adapters.ssh.errors import (
    SshEndpoint,
    shown,
    why_lost,
)
from deploy.adapters.ssh.login import SshConnector
from deploy.core.commands import shell
from deploy.core.config import HostConfig
from deploy.core.ports import Answer, Completed

SESSIONS = 9
"""The most sessions on one connection; sshd's MaxSessions is 10 (https://man.openbsd.org/sshd_config)."""


class SshHost:
    """Host over paramiko, safe to use from several threads."""

    def __init__(
        self,
        config: HostConfig,
        connector: SshConnector,
        *,
        grace_s: float = shell.KILL_AFTER_S + 10.0,
    ) -> None:
        self._endpoint = SshEndpoint.of_host(config)
        self._connector = connector
        self._grace_s = grace_s
        self._errors = connector.errors_of(self._endpoint)
        self._connect_lock = threading.Lock()
        # Only one channel is opened at a time: paramiko stores the reason of a refusal per connection, so
        # another thread's refusal could be mistaken for this one's.
        self._channel_lock = threading.Lock()
        self._slots = threading.BoundedSemaphore(SESSIONS)
        self._client: paramiko.SSHClient | None = None

    @property
    def name(self) -> str:
        """The host's name in the environment file."""
        return self._endpoint.name

    def run(self, argv: Sequence[str], *, stdin: bytes = b"", timeout_s: float = 60.0) -> Completed:
        """Runs argv. At the time limit the host ends the command's process group."""
        code, stdout, stderr = self._execute(argv, stdin, timeout_s)
        return Completed(code, stdout.decode(errors="replace"), stderr.decode(errors="replace"))

    def put(self, path: str, content: bytes, *, mode: int = 0o644) -> None:
        """Writes a file with one command.

        SFTP takes 4 ms instead of 13 on the loopback, but seven round trips instead of three, so it is slower from a
        distance of 3 ms on; and paramiko has no public call for fsync.
        """
        argv = shell.put_argv(path, len(content), mode, secrets.token_hex(4))
        self._run_or_raise(argv, content, f"can't write {path}")

    def read(self, path: str) -> bytes | None:
        """Returns a file's content, None if there is no such file."""
        code, stdout, stderr = self._execute(shell.read_argv(path), b"", 60.0)
        if code == shell.MISSING:
            return None
        if code != 0:
            raise self._errors.failed(f"can't read {path}", stderr)
        return stdout

    def append(self, path: str, line: str) -> None:
        """Appends a line to a file and fsyncs it."""
        content = (line.rstrip("\n") + "\n").encode()
        self._run_or_raise(
            shell.append_argv(path, len(content)), content, f"can't append to {path}"
        )

    def stream(self, argv: Sequence[str]) -> Generator[str]:
        """Yields the lines of stdout and stderr as they arrive, without line ends.

        Raises CommandError if the command exits with a non-zero code. Ends without an error when another thread closes
        the host.
        """
        client = self._connected()
        with self._session() as channel, self._translating():
            channel.settimeout(None)
            channel.exec_command(shlex.join(shell.watched(argv)))
            last = ""
            try:
                for last in ssh_channel.lines(channel):
                    yield last
            finally:
                ssh_channel.end_stdin(channel)
            if self._client is client and channel.exit_status == -1:
                raise self._errors.lost("the connection was lost")
            if channel.exit_status > 0:
                what = f"`{shown(argv)}` exited with {channel.exit_status}"
                raise self._errors.failed(what, last.encode())

    @contextmanager
    def keep_running(self, argv: Sequence[str], *, expect: str) -> Iterator[Completed | None]:
        """Keeps a command running while the context lasts; sshd closes its stdin when the connection is lost."""
        with self._session() as channel:
            with self._translating():
                ended = self._await_started(channel, argv, expect)
            try:
                yield ended
            finally:
                ssh_channel.end_stdin(channel)

    def _await_started(
        self, channel: paramiko.Channel, argv: Sequence[str], expect: str
    ) -> Completed | None:
        channel.settimeout(None)
        channel.exec_command(f"{shlex.join(argv)}; exit $?")
        printed, size = [], 0
        for line in ssh_channel.lines(channel):
            if line == expect:
                return None
            printed.append(line)
            size += len(line)
            if size > MAX_BYTES:
                raise self._errors.too_much(argv, str(TooMuchError()))
        deadline = time.monotonic() + END_S
        stderr = ssh_channel.read_all(channel, channel.recv_stderr, deadline)
        code = self._end_of(channel, deadline)
        return Completed(
            code, "".join(f"{line}\n" for line in printed), stderr.decode(errors="replace")
        )

    def connect(self) -> None:
        """Connects, unless it is connected."""
        with self._translating():
            self._transport()

    def fetch(
        self,
        port: int,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        address: str = "127.0.0.1",
    ) -> Answer:
        """Sends a GET from the host to a port of its loopback or another address; status 0 if nothing answers."""
        transport = self._transport()
        try:
            channel = self.dial(port, address)
        except paramiko.ChannelException as error:
            return Answer(0, f"port {port}: {error}".encode())
        try:
            return ssh_channel.get(channel, address, port, path, headers or {})
        except (OSError, EOFError, http.client.HTTPException) as error:
            if not transport.is_active():
                raise self._errors.lost(why_lost(error)) from error
            return Answer(0, (str(error) or type(error).__name__).encode())
        finally:
            ssh_channel.close(channel)

    def dial(self, port: int, address: str = "127.0.0.1") -> paramiko.Channel:
        """Opens a channel to a port of an address as the host sees it.

        Raises ChannelException if nothing listens there.
        """
        try:
            with self._channel_lock:
                return self._transport().open_channel(
                    "direct-tcpip", (address, port), ("127.0.0.1", 0), timeout=END_S
                )
        except paramiko.ChannelException:
            raise
        except (paramiko.SSHException, OSError, EOFError) as error:
            raise self._errors.lost(why_lost(error)) from error

    def close(self) -> None:
        """Closes the connection, which ends the commands that run over it. The next use opens another one."""
        with self._connect_lock:
            client, self._client = self._client, None
        if client is not None:
            client.close()

    def _run_or_raise(self, argv: Sequence[str], stdin: bytes, failure: str) -> None:
        code, _, stderr = self._execute(argv, stdin, 60.0)
        if code != 0:
            raise self._errors.failed(failure, stderr)

    def _execute(
        self, argv: Sequence[str], stdin: bytes, timeout_s: float
    ) -> tuple[int, bytes, bytes]:
        with self._session() as channel, self._translating():
            started = time.monotonic()
            deadline_s = timeout_s + self._grace_s
            channel.settimeout(deadline_s)
            # `exit $?` keeps the login shell running, so that an end by a signal is 128 + its number.
            channel.exec_command(f"{shlex.join(shell.limited(argv, timeout_s))}; exit $?")
            try:
                stdout, stderr = ssh_channel.both_outputs(channel, stdin, started + deadline_s)
            except TooMuchError as error:
                raise self._errors.too_much(argv, str(error)) from error
            code = self._end_of(channel, started + deadline_s)
            if shell.timed_out(code, time.monotonic() - started, timeout_s):
                raise self._errors.too_long(argv, timeout_s)
            return code, stdout, stderr

    def _end_of(self, channel: paramiko.Channel, deadline: float) -> int:
        if not channel.status_event.wait(max(0.0, deadline - time.monotonic())):
            raise self._errors.lost("it stopped answering")
        if channel.exit_status == -1:
            raise self._errors.lost("the connection was lost")
        return int(channel.exit_status)

    @contextmanager
    def _session(self) -> Iterator[paramiko.Channel]:
        if not self._slots.acquire(timeout=60.0):
            raise self._errors.busy(SESSIONS)
        try:
            with self._translating():
                channel = self._open_session()
            try:
                yield channel
            finally:
                ssh_channel.close(channel)
        finally:
            self._slots.release()

    def _open_session(self) -> paramiko.Channel:
        # sshd frees a session shortly after we close it, so a refusal may be temporary.
        deadline = time.monotonic() + self._connector.connect_timeout_s
        while True:
            try:
                with self._channel_lock:
                    return self._transport().open_session(timeout=self._connector.connect_timeout_s)
            except paramiko.ChannelException:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)

    @contextmanager
    def _translating(self) -> Iterator[None]:
        """Translates paramiko's exceptions. Must not wrap code of the caller."""
        try:
            yield
        except TimeoutError as error:
            raise self._errors.lost("it stopped answering") from error
        except paramiko.ChannelException as error:
            raise self._errors.lost(f"it refuses another SSH session: {error.text}") from error
        except (paramiko.SSHException, OSError, EOFError) as error:
            raise self._errors.lost(why_lost(error)) from error

    def _transport(self) -> paramiko.Transport:
        transport = self._connected().get_transport()
        if transport is None or not transport.is_active():
            raise self._errors.lost("the connection was lost")
        return transport

    def _connected(self) -> paramiko.SSHClient:
        with self._connect_lock:
            if self._client is None:
                self._client = self._connector.connect(self._endpoint)
            return self._client
