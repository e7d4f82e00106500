"""One connection of the in-process SSH server: sessions that really run commands, forwards; for tests."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import threading
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
class Faults:
    """What breaks from now on."""

    refuse_login: bool = False
    silent: bool = False
    """Takes connections and says nothing."""
    cut_at: str = ""
    """Cuts the connection instead of running a command that contains this."""
    cut_after: int | None = None
    """Cuts the connection once a command printed that many bytes."""
    stall_at: str = ""
    """Never answers a command that contains this."""
    hang_up: int = 0
    """Hangs up on that many connections before it says who it is."""
    login_s: float = 0.0
    """How long a login takes at least."""
    deaf: bool = False
    """Answers nothing any more and leaves connections open, as a machine does that lost its power."""


class Link(paramiko.ServerInterface):
    """One connection."""

    def __init__(
        self, sock: socket.socket, host_key: paramiko.PKey, user_key: paramiko.PKey, faults: Faults
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
        self._transport = paramiko.Transport(sock)
        self._transport.add_server_key(host_key)
        self._transport.start_server(event=threading.Event(), server=self)
        self._accepting = start_thread(self._accept)

    def cut(self) -> None:
        """Ends the connection without a word."""
        self._transport.close()

    def close(self) -> None:
        """Ends the connection and what it started."""
        self.cut()
        for command in self._commands:
            _end_session(command.pid)
        for thread in (self._accepting, *self._threads):
            thread.join(10)

    @property
    def logging_in(self) -> bool:
        """True from the first byte until the login is over, which is what MaxStartups counts."""
        return self._transport.is_active() and not self._transport.is_authenticated()

    # What paramiko asks.

    def check_global_request(self, kind: str, msg: paramiko.Message) -> bool:
        # This thread serves the whole connection.
        while self._faults.deaf and self._transport.is_active():
            threading.Event().wait(0.02)
        return False

    def get_allowed_auths(self, username: str) -> str:
        return "publickey"

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        threading.Event().wait(self._faults.login_s)
        good = key == self._user_key and not self._faults.refuse_login
        return AUTH_SUCCESSFUL if good else AUTH_FAILED

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
            self._start(lambda: self._run(channel, line))
        return True

    def check_channel_direct_tcpip_request(
        self, chanid: int, origin: tuple[str, int], destination: tuple[str, int]
    ) -> int:
        try:
            self._forwards[chanid] = socket.create_connection(destination, timeout=5)
        except OSError:
            return OPEN_FAILED_CONNECT_FAILED
        return OPEN_SUCCEEDED

    # What it does then.

    def _start(self, work: Callable[[], None]) -> None:
        self._threads.append(start_thread(work))

    def _accept(self) -> None:
        while self._transport.is_alive():
            channel = self._transport.accept(0.1)
            if channel is None:
                continue
            self._channels.append(channel)  # paramiko closes what nobody refers to
            if sock := self._forwards.pop(channel.chanid, None):
                self._forward(channel, sock)

    def _forward(self, channel: paramiko.Channel, sock: socket.socket) -> None:
        def out() -> None:
            _pump(channel.recv, sock.sendall)
            with suppress(OSError):
                sock.shutdown(socket.SHUT_WR)

        def back() -> None:
            _pump(sock.recv, channel.sendall)
            with suppress(OSError, EOFError):
                channel.close()
            sock.close()

        self._start(out)
        self._start(back)

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
            # Nobody listens any more: the command's next write fails, as behind sshd.
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
    """Kills what a command left running; `timeout` puts itself into a group of its own."""
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
    """Copies until either side ends."""
    with suppress(OSError, EOFError, ValueError):
        while content := receive(65536):
            send(content)


def start_thread(work: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread
