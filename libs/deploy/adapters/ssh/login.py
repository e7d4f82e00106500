"""Opens SSH connections, directly or through a jump host, a few at a time. Host keys must be pinned.

The hosts of an environment share one `SshConnector`, so all hosts behind the same jump host share one connection to it.
"""

from __future__ import annotations

import logging
import random
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import paramiko

from deploy.adapters.ssh import channel as ssh_channel
from deploy.adapters.ssh.errors import SshEndpoint, SshErrors
from deploy.core.config import Jump
from deploy.errors import HostAuthError, HostKeyError, ShipError

MOST_LOGINS = 8
"""The most logins in progress; sshd starts to refuse at ten (MaxStartups 10:30:100, man.openbsd.org/sshd_config)."""

KEEPALIVE_S = 15.0
SILENCE_S = 45.0
"""The connection counts as lost if a keep-alive or sent bytes stay unanswered for this long."""

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.25, 4.0

# Without a handler paramiko's thread prints tracebacks to stderr; we also get each of them as an exception.
logging.getLogger("paramiko").addHandler(logging.NullHandler())


class _PinnedKeysOnly(paramiko.MissingHostKeyPolicy):
    """Refuses hosts without a pinned key."""

    def __init__(self, refuse: Callable[[paramiko.PKey], HostKeyError]) -> None:
        self._refuse = refuse

    def missing_host_key(
        self, client: paramiko.SSHClient, hostname: str, key: paramiko.PKey
    ) -> None:
        raise self._refuse(key)


def public_line(key: str) -> str:
    """Returns the authorized_keys line of a private key's file. Raises HostAuthError if the key can't be used."""
    try:
        found = paramiko.PKey.from_path(key)
    except (OSError, ValueError, TypeError, paramiko.SSHException) as error:
        raise HostAuthError(
            f"can't use the key {key}: {error}",
            hint="`ssh_key` in the environment file must name a private key without a passphrase",
        ) from error
    return f"{found.get_name()} {found.get_base64()} py-cicd"


@dataclass
class _JumpConnection:
    """The shared connection to a jump host; `error` is the outcome of the last of the `attempts`, if it failed."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    client: paramiko.SSHClient | None = None
    attempts: int = 0
    error: ShipError | None = None


class SshConnector:
    """Opens connections with one private key and one file of pinned host keys. Safe to use from several threads.

    An sshd that closes the connection before it sends its banner has too many logins in progress (MaxStartups). The
    login is then tried again, with growing pauses, for `patience_s`.
    """

    def __init__(
        self,
        *,
        known_hosts: str,
        key: str,
        at_once: int = MOST_LOGINS,
        connect_timeout_s: float = 10.0,
        patience_s: float = 20.0,
        keepalive_s: float = KEEPALIVE_S,
        silence_s: float = SILENCE_S,
    ) -> None:
        self._known_hosts = known_hosts
        self._ssh_key = key
        self._starting = threading.BoundedSemaphore(at_once)
        self.connect_timeout_s = connect_timeout_s
        self._patience_s = patience_s
        self._keepalive_s = keepalive_s
        self._silence_s = silence_s
        self._jumps: dict[Jump, _JumpConnection] = {}
        self._jumps_lock = threading.Lock()

    def errors_of(self, endpoint: SshEndpoint) -> SshErrors:
        """Returns the factory of an endpoint's errors."""
        return SshErrors(endpoint, self._known_hosts, self._ssh_key)

    def connect(self, endpoint: SshEndpoint) -> paramiko.SSHClient:
        """Returns a client that is logged in. Raises HostUnreachableError, HostKeyError, HostAuthError."""
        errors = self.errors_of(endpoint)
        give_up = time.monotonic() + self._patience_s
        pause_s = FIRST_PAUSE_S
        while True:
            jump = self._jump_transport(endpoint.jump) if endpoint.jump else None
            client, begun = self._new_client(errors), time.monotonic()
            try:
                with self._starting:
                    begun = time.monotonic()
                    self._log_in(client, endpoint, jump, errors)
            except BaseException as error:
                # The connection to the jump host may have died unnoticed: the next attempt opens another one.
                retry = self._turned_away(client, begun) or (jump and not jump.is_active())
                client.close()
                if not (retry and isinstance(error, ShipError)) or (
                    time.monotonic() + pause_s > give_up
                ):
                    raise
            else:
                self._keep_alive(client)
                return client
            time.sleep(pause_s * random.uniform(0.5, 1.5))  # noqa: S311 - spreads out logins that were refused together
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    def close(self) -> None:
        """Closes the connections to jump hosts, and with them those through them. The next login opens another one."""
        with self._jumps_lock:
            connections = list(self._jumps.values())
        for connection in connections:
            with connection.lock:
                client, connection.client = connection.client, None
            if client is not None:
                client.close()

    def _jump_transport(self, jump: Jump) -> paramiko.Transport:
        with self._jumps_lock:
            connection = self._jumps.setdefault(jump, _JumpConnection())
        attempts_before = connection.attempts
        with connection.lock:
            if connection.client is not None and (transport := _active(connection.client)):
                return transport
            # Threads that waited for a failed attempt share its error: fifty attempts in a row would take minutes.
            if connection.attempts != attempts_before and connection.error is not None:
                raise connection.error
            connection.attempts, connection.error = connection.attempts + 1, None
            try:
                connection.client = self.connect(SshEndpoint.of_jump(jump))
            except ShipError as error:
                connection.error = error
                raise
            transport = _active(connection.client)
            if transport is None:
                raise self.errors_of(SshEndpoint.of_jump(jump)).lost("the connection was lost")
            return transport

    def _new_client(self, errors: SshErrors) -> paramiko.SSHClient:
        client = paramiko.SSHClient()
        client.set_missing_host_key_policy(_PinnedKeysOnly(errors.unknown_key))
        try:
            client.load_host_keys(self._known_hosts)
        except (OSError, paramiko.SSHException) as error:
            raise errors.unreadable_pins(error) from error
        return client

    def _log_in(
        self,
        client: paramiko.SSHClient,
        endpoint: SshEndpoint,
        jump: paramiko.Transport | None,
        errors: SshErrors,
    ) -> None:
        address, limit = (endpoint.address, endpoint.port), self.connect_timeout_s
        key = self._private_key(errors)
        try:
            client.connect(
                *address,
                username=endpoint.user,
                pkey=key,
                sock=_open_through(jump, address, limit) if jump else self._socket(address),
                allow_agent=False,
                look_for_keys=False,
                timeout=limit,
                banner_timeout=limit,
                auth_timeout=limit,
            )
        except paramiko.BadHostKeyException as error:
            raise errors.changed_key(error) from error
        except paramiko.AuthenticationException as error:
            raise errors.refused_login(str(error)) from error
        except TimeoutError as error:
            raise errors.unreachable(f"no answer in {limit:g} s") from error
        except (paramiko.SSHException, OSError, EOFError) as error:
            raise errors.unreachable(str(error) or type(error).__name__) from error

    def _turned_away(self, client: paramiko.SSHClient, begun: float) -> bool:
        """Returns whether sshd accepted the connection and closed it before it sent its banner."""
        transport = client.get_transport()
        within_timeout = time.monotonic() - begun < self.connect_timeout_s
        return transport is not None and not transport.remote_version and within_timeout

    def _private_key(self, errors: SshErrors) -> paramiko.PKey:
        try:
            return paramiko.PKey.from_path(self._ssh_key)
        except (OSError, ValueError, TypeError, paramiko.SSHException) as error:
            raise errors.unusable_key(error) from error

    def _socket(self, address: tuple[str, int]) -> socket.socket:
        sock = socket.create_connection(address, timeout=self.connect_timeout_s)
        # With Nagle's algorithm and delayed acknowledgements a command takes 44 ms instead of 4.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            silence_ms = int(self._silence_s * 1000)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, silence_ms)
        return sock

    def _keep_alive(self, client: paramiko.SSHClient) -> None:
        if (transport := _active(client)) is not None:
            arguments = (transport, self._keepalive_s, self._silence_s)
            threading.Thread(target=_send_keepalives, args=arguments, daemon=True).start()


def _send_keepalives(transport: paramiko.Transport, every_s: float, silence_s: float) -> None:
    """Sends keep-alives that require an answer, and closes a connection that gives none.

    paramiko's own keep-alive requires no answer, so a host that vanished behind a jump host would go unnoticed.
    """
    while transport.is_active():
        limit = threading.Timer(silence_s, transport.close)
        limit.daemon = True
        limit.start()
        try:
            transport.global_request("keepalive@openssh.com", wait=True)
        except (paramiko.SSHException, OSError, EOFError):
            return
        finally:
            limit.cancel()
        transport.join(every_s)  # a transport is a thread that lives as long as its connection


def _active(client: paramiko.SSHClient) -> paramiko.Transport | None:
    transport = client.get_transport()
    return transport if transport is not None and transport.is_active() else None


class _JumpSocket:
    """A channel of the jump host as the socket of the next connection. Closing it never raises."""

    def __init__(self, channel: paramiko.Channel) -> None:
        self._channel = channel
        self.send = channel.send
        self.recv = channel.recv
        self.settimeout = channel.settimeout

    @property
    def _closed(self) -> bool:  # paramiko reads this attribute of its sockets
        return self._channel.closed

    def close(self) -> None:
        """Closes the channel, even if the connection to the jump host is lost."""
        ssh_channel.close(self._channel)


def _open_through(jump: paramiko.Transport, address: tuple[str, int], timeout_s: float) -> Any:
    """Opens a channel to an address as the jump host sees it. Returns Any because paramiko's types expect a socket."""
    try:
        channel = jump.open_channel("direct-tcpip", address, ("127.0.0.1", 0), timeout=timeout_s)
    except paramiko.ChannelException as error:
        raise OSError(f"the jump host reports: {error}") from error
    return _JumpSocket(channel)
