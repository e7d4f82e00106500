"""One connection of the in-process SSH server: its sessions, which run commands, and its port forwards."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import paramiko
from paramiko.common import (
    AUTH_FAILED,
    AUTH_SUCCESSFUL,
    OPEN_FAILED_ADMINISTRATIVELY_PROHIBITED,
    OPEN_FAILED_CONNECT_FAILED,
    OPEN_SUCCEEDED,
)

MAX_SESSIONS = 10


@dataclass
class SshFaults:
    """The faults of an SSH server; a change takes effect at once."""

    refuse_login: bool = False
    silent: bool = False
    """Accepts connections and sends nothing."""
    cut_at: str = ""
    """Cuts the connection instead of running a command with this text."""
    cut_after: int | None = None
    """Cuts the connection after commands have printed this many bytes."""
    trickle_s: float = 0.0
    """Sends stdout byte by byte, with this pause between."""
    stall_at: str = ""
    """Does not run a command with this text, and does not answer it."""
    drop_logins: int = 0
    """Drops this many connections before it sends its banner."""
    login_s: float = 0.0
    """The least time that a login takes."""
    deaf: bool = False
    """Stops answering and leaves connections open, like a machine that lost power."""


class _Transport(paramiko.Transport):
    """Starts commands after the reply to their requests, as sshd does.

    A command that ends before paramiko has sent the reply would close its channel first, which no client expects.
    """

    def __init__(self, sock: socket.socket) -> None:
        super().__init__(sock)
        self._after_reply: list[Callable[[], None]] = []

    def after_reply(self, work: Callable[[], None]) -> None:
        """Calls `work` when the next message is sent. To be called by this thread, which handles requests."""
        self._after_reply.append(work)

    def _send_user_message(self, data: paramiko.Message) -> None:
        super()._send_user_message(data)  # type: ignore[misc]
        if threading.current_thread() is self:
            while self._after_reply:
                self._after_reply.pop(0)()


class Connection(paramiko.ServerInterface):
    """One client's connection."""

    def __init__(
        self,
        sock: socket.socket,
        host_key: paramiko.PKey,
        user_key: paramiko.PKey,
        faults: SshFaults,
    ) -> None:
        self._user_key = user_key
        self._faults = faults
        self._sessions = 0
        self._counting = threading.Lock()
        self._printed = 0
        self._commands: list[subprocess.Popen[bytes]] = []
        self._threads: list[threading.Thread] = []
        self._channels: list[paramiko.Channel] = []
        self._forwards: dict[int, socket.socket] = {}
        self._transport = _Transport(sock)
        self._transport.add_server_key(host_key)
        self._transport.start_server(event=threading.Event(), server=self)
        self._accepting = start_thread(self._accept)

    def cut(self) -> None:
        """Closes the connection without a message."""
        self._transport.close()

    def close(self) -> None:
        """Closes the connection and kills the commands that it started."""
        self.cut()
        for command in self._commands:
            _end_session(command.pid)
        for thread in (self._accepting, *self._threads):
            thread.join(10)

    @property
    def logging_in(self) -> bool:
        """Whether the login is still in progress, which is what MaxStartups counts."""
        return self._transport.is_active() and not self._transport.is_authenticated()

    # Called by paramiko.

    def check_global_request(self, kind: str, msg: paramiko.Message) -> bool:
        # Blocking this thread blocks the whole connection.
        while self._faults.deaf and self._transport.is_active():
            threading.Event().wait(0.02)
        return False

    def get_allowed_auths(self, username: str) -> str:
        return "publickey"

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        threading.Event().wait(self._faults.login_s)
        accepted = key == self._user_key and not self._faults.refuse_login
        return AUTH_SUCCESSFUL if accepted else AUTH_FAILED

    def check_channel_request(self, kind: str, chanid: int) -> int:
        with self._counting:
            if kind != "session":
                return OPEN_FAILED_ADMINISTRATIVELY_PROHIBITED
            if self._sessions >= MAX_SESSIONS:
                return OPEN_FAILED_CONNECT_FAILED
            self._sessions += 1
            return OPEN_SUCCEEDED

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        line = command.decode()
        if self._faults.cut_at and self._faults.cut_at in line:
            self._start(self.cut)
        elif not (self._faults.stall_at and self._faults.stall_at in line):
            self._transport.after_reply(lambda: self._start(lambda: self._run(channel, line)))
        return True

    def check_channel_direct_tcpip_request(
        self, chanid: int, origin: tuple[str, int], destination: tuple[str, int]
    ) -> int:
        try:
            self._forwards[chanid] = socket.create_connection(destination, timeout=5)
        except OSError:
            return OPEN_FAILED_CONNECT_FAILED
        return OPEN_SUCCEEDED

    def _start(self, work: Callable[[], None]) -> None:
        self._threads.append(start_thread(work))

    def _accept(self) -> None:
        while self._transport.is_alive():
            channel = self._transport.accept(0.1)
            if channel is None:
                continue
            self._channels.append(channel)  # paramiko closes channels without references
            if sock := self._forwards.pop(channel.chanid, None):
                self._forward(channel, sock)

    def _forward(self, channel: paramiko.Channel, sock: socket.socket) -> None:
        def upload() -> None:
            _pump(channel.recv, sock.sendall)
            with suppress(OSError):
                sock.shutdown(socket.SHUT_WR)

        def download() -> None:
            _pump(sock.recv, channel.sendall)
            with suppress(OSError, EOFError):
                channel.close()
            sock.close()

        self._start(upload)
        self._start(download)

    def _run(self, channel: paramiko.Channel, line: str) -> None:
        pipe = subprocess.PIPE
        with subprocess.Popen(
            ["/bin/sh", "-c", line],
            bufsize=0,
            stdin=pipe,
            stdout=pipe,
            stderr=pipe,
            start_new_session=True,
        ) as command:
            self._commands.append(command)
            stdin, stdout, stderr = (
                _open(end) for end in (command.stdin, command.stdout, command.stderr)
            )
            self._start(lambda: _feed(channel, stdin))
            drained = start_thread(lambda: _pump(_reader(stderr.fileno()), channel.sendall_stderr))
            _pump(_reader(stdout.fileno()), self._counted(channel))
            drained.join()
            # The channel is gone: the command's next write fails, as with sshd.
            stdout.close()
            stderr.close()
            code = command.wait()
        with self._counting:
            self._sessions -= 1
        with suppress(OSError, EOFError):
            channel.send_exit_status(code if code >= 0 else 128 - code)
            channel.close()

    def _counted(self, channel: paramiko.Channel) -> Callable[[bytes], None]:
        def send(content: bytes) -> None:
            if self._faults.trickle_s:
                for byte in content:
                    channel.sendall(bytes([byte]))
                    time.sleep(self._faults.trickle_s)
            else:
                channel.sendall(content)
            self._printed += len(content)
            if self._faults.cut_after is not None and self._printed >= self._faults.cut_after:
                self.cut()

        return send


def _feed(channel: paramiko.Channel, stdin: IO[bytes]) -> None:
    _pump(channel.recv, stdin.write)
    with suppress(OSError):
        stdin.close()


def _end_session(session: int) -> None:
    """Kills the processes of a session. A process group isn't enough: `timeout` makes its own."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(ProcessLookupError, PermissionError):
                if os.getsid(int(entry.name)) == session:
                    os.kill(int(entry.name), signal.SIGKILL)


def _open(end: IO[bytes] | None) -> IO[bytes]:
    assert end is not None
    return end


def _reader(descriptor: int) -> Callable[[int], bytes]:
    return lambda size: os.read(descriptor, size)


def _pump(receive: Callable[[int], bytes], send: Callable[[bytes], object]) -> None:
    """Copies until one side is closed."""
    with suppress(OSError, EOFError, ValueError):
        while content := receive(65536):
            send(content)


def start_thread(work: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread
