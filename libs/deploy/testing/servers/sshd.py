"""An SSH server in the test's process that runs commands on this machine and can inject faults.

It behaves like OpenSSH's where the deploy tool can notice: a closed channel or a lost connection closes a command's
stdin and pipes but does not end the command, a connection has at most ten sessions, and while ten logins are in
progress further connections are dropped.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import paramiko

from deploy.core.config import HostConfig
from deploy.testing.servers.sshd_session import (
    Connection,
    SshFaults,
    start_thread,
)

MAX_STARTUPS = 10
"""Logins in progress. Beyond it sshd drops connections at random (MaxStartups 10:30:100); this server drops all."""

logging.getLogger("paramiko").addHandler(logging.NullHandler())


class SshServer:
    """The server, its keys, and the files that a client needs to connect."""

    def __init__(
        self, folder: Path, name: str = "host-1", *, user_key: paramiko.ECDSAKey | None = None
    ) -> None:
        self.faults = SshFaults()
        self.key_file = folder / f"{name}_key"
        self.known_hosts = folder / f"{name}_known_hosts"
        self.connections = 0
        self.refused = 0
        self._name = name
        self.user_key = user_key or paramiko.ECDSAKey.generate()
        self.user_key.write_private_key_file(str(self.key_file))
        self._host_key = paramiko.ECDSAKey.generate()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._port = int(self._listener.getsockname()[1])
        self._accepted: list[Connection] = []
        self._idle: list[socket.socket] = []
        self.pin()
        self._accepting = start_thread(self._accept)

    @property
    def config(self) -> HostConfig:
        """The server as an environment file describes it."""
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
        """Uses a new host key for further connections."""
        self._host_key = paramiko.ECDSAKey.generate()

    def cut(self) -> None:
        """Cuts every connection."""
        for connection in self._accepted:
            connection.cut()

    def close(self) -> None:
        """Stops the server, its connections and every command that it started."""
        with suppress(OSError):  # wakes accept, which close alone would not
            self._listener.shutdown(socket.SHUT_RDWR)
        self._accepting.join()
        self._listener.close()
        for sock in self._idle:
            sock.close()
        for connection in self._accepted:
            connection.close()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            if (
                self.faults.drop_logins
                or sum(connection.logging_in for connection in self._accepted) >= MAX_STARTUPS
            ):
                self.faults.drop_logins = max(0, self.faults.drop_logins - 1)
                self.refused += 1
                sock.close()
                continue
            self.connections += 1
            if self.faults.silent:
                self._idle.append(sock)
                continue
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._accepted.append(Connection(sock, self._host_key, self.user_key, self.faults))


@contextmanager
def ssh_server(
    folder: Path, name: str = "host-1", *, user_key: paramiko.ECDSAKey | None = None
) -> Iterator[SshServer]:
    """Yields a server that runs until the context ends. It accepts `user_key`, by default a new key."""
    server = SshServer(folder, name, user_key=user_key)
    try:
        yield server
    finally:
        server.close()
