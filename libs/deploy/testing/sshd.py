"""An SSH server in this process that really runs commands here and can be told to break; for tests.

It behaves as OpenSSH's does where the deploy tool can see it: a closed channel or a lost connection
ends a command's stdin and its pipes but never the command itself, and a connection bears ten sessions.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
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

from deploy.core.config import HostConfig

MAX_SESSIONS = 10

logging.getLogger("paramiko").addHandler(logging.NullHandler())


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


class SshServer:
    """The server, its keys, and the files a client needs to reach it."""

    def __init__(self, folder: Path, name: str = "host-1") -> None:
        self.faults = Faults()
        self.key_file = folder / f"{name}_key"
        self.known_hosts = folder / f"{name}_known_hosts"
        self.connections = 0
        self._name = name
        self._user_key = paramiko.ECDSAKey.generate()
        self._user_key.write_private_key_file(str(self.key_file))
        self._host_key = paramiko.ECDSAKey.generate()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._port = int(self._listener.getsockname()[1])
        self._links: list[_Link] = []
        self._idle: list[socket.socket] = []
        self.pin()
        self._accepting = _thread(self._accept)

    @property
    def config(self) -> HostConfig:
        """How the environment file would describe it."""
        return HostConfig(
            name=self._name,
            address="127.0.0.1",
            port=self._port,
            user="deploy",
            url="http://127.0.0.1",
            metrics_address="127.0.0.1:9443",
        )

    def pin(self) -> None:
        """Writes the current host key to known_hosts."""
        line = f"[127.0.0.1]:{self._port} {self._host_key.get_name()} {self._host_key.get_base64()}"
        self.known_hosts.write_text(f"{line}\n", encoding="utf-8")

    def change_key(self) -> None:
        """Presents another host key from the next connection on."""
        self._host_key = paramiko.ECDSAKey.generate()

    def cut(self) -> None:
        """Cuts every connection."""
        for link in self._links:
            link.cut()

    def close(self) -> None:
        """Ends the server, its connections and every command that it started."""
        with suppress(OSError):  # wakes accept; closing alone does not
            self._listener.shutdown(socket.SHUT_RDWR)
        self._accepting.join()
        self._listener.close()
        for sock in self._idle:
            sock.close()
        for link in self._links:
            link.close()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            if self.faults.silent:
                self._idle.append(sock)
                continue
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._links.append(_Link(sock, self._host_key, self._user_key, self.faults))


@contextmanager
def ssh_server(folder: Path, name: str = "host-1") -> Iterator[SshServer]:
    """Yields a server that ends with the context."""
    server = SshServer(folder, name)
    try:
        yield server
    finally:
        server.close()


class _Link(paramiko.ServerInterface):
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
        self._accepting = _thread(self._accept)

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

    # What paramiko asks.

    def get_allowed_auths(self, username: str) -> str:
        return "publickey"

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
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
        self._threads.append(_thread(work))

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
            drained = _thread(lambda: _pump(_reader(stderr.fileno()), channel.sendall_stderr))
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


def _thread(work: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread
