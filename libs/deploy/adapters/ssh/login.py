"""Logs in to sshds, straight or through a jump, few at a time; never runs a command, never accepts a key by itself.

Hosts of an environment share one `Logins`: all that lie behind the same jump use one connection to it, so its
sshd sees one login however many hosts there are.
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
from deploy.adapters.ssh.errors import Endpoint, SshFailure
from deploy.core.config import Jump
from deploy.errors import HostAuthError, HostKeyError, ShipError

AT_ONCE = 8
"""Logins under way at once: sshd begins to refuse at ten (MaxStartups 10:30:100, man.openbsd.org/sshd_config)."""

KEEPALIVE_S = 15.0
SILENCE_S = 45.0
"""How long the other side may leave a keep-alive, or sent bytes, unanswered until the connection counts as lost."""

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.25, 4.0

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


def public_line(key: str) -> str:
    """Returns the public half of a private key's file as it stands in authorized_keys. Raises HostAuthError."""
    try:
        found = paramiko.PKey.from_path(key)
    except (OSError, ValueError, TypeError, paramiko.SSHException) as error:
        raise HostAuthError(
            f"can't use the key {key}: {error}",
            hint="`ssh_key` in the environment file names a private key without passphrase",
        ) from error
    return f"{found.get_name()} {found.get_base64()} py-cicd"


@dataclass
class _Gate:
    """The shared connection to one jump; `error` is what the last of its `attempts` ended with."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    client: paramiko.SSHClient | None = None
    attempts: int = 0
    error: ShipError | None = None


class Logins:
    """Opens connections with one key, against one file of pinned keys; safe to use from several threads.

    An sshd that hangs up before it says who it is has too many logins under way (MaxStartups): it is asked again, with
    growing pauses, for `patience_s`.
    """

    def __init__(
        self,
        *,
        known_hosts: str,
        key: str,
        at_once: int = AT_ONCE,
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
        self._gates: dict[Jump, _Gate] = {}
        self._gates_lock = threading.Lock()

    def failure(self, endpoint: Endpoint) -> SshFailure:
        """Returns what makes the errors of an sshd."""
        return SshFailure(endpoint, self._known_hosts, self._ssh_key)

    def log_in(self, endpoint: Endpoint) -> paramiko.SSHClient:
        """Returns a client that is logged in. Raises HostUnreachableError, HostKeyError, HostAuthError."""
        failure = self.failure(endpoint)
        give_up = time.monotonic() + self._patience_s
        pause_s = FIRST_PAUSE_S
        while True:
            gate = self._through(endpoint.jump) if endpoint.jump else None
            client, begun = self._prepared(failure), time.monotonic()
            try:
                with self._starting:
                    begun = time.monotonic()
                    self._connect(client, endpoint, gate, failure)
            except BaseException as error:
                # A jump's connection that had just died may have been taken for alive: the next try opens another.
                again = self._turned_away(client, begun) or (gate and not gate.is_active())
                client.close()
                if not (again and isinstance(error, ShipError)) or (
                    time.monotonic() + pause_s > give_up
                ):
                    raise
            else:
                self._keep_alive(client)
                return client
            time.sleep(pause_s * random.uniform(0.5, 1.5))  # noqa: S311 - to part those who were refused together
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    def close(self) -> None:
        """Ends the connections to jumps, and with them what goes through; the next login opens another."""
        with self._gates_lock:
            gates = list(self._gates.values())
        for gate in gates:
            with gate.lock:
                client, gate.client = gate.client, None
            if client is not None:
                client.close()

    def _through(self, jump: Jump) -> paramiko.Transport:
        with self._gates_lock:
            gate = self._gates.setdefault(jump, _Gate())
        seen = gate.attempts
        with gate.lock:
            if gate.client is not None and (open_ := _active(gate.client)):
                return open_
            # Whoever waited while an attempt failed shares its end: fifty in a row would take minutes.
            if gate.attempts != seen and gate.error is not None:
                raise gate.error
            gate.attempts, gate.error = gate.attempts + 1, None
            try:
                gate.client = self.log_in(Endpoint.of_jump(jump))
            except ShipError as error:
                gate.error = error
                raise
            transport = _active(gate.client)
            if transport is None:
                raise self.failure(Endpoint.of_jump(jump)).lost("the connection was lost")
            return transport

    def _prepared(self, failure: SshFailure) -> paramiko.SSHClient:
        client = paramiko.SSHClient()
        client.set_missing_host_key_policy(_PinnedKeysOnly(failure.unknown_key))
        try:
            client.load_host_keys(self._known_hosts)
        except (OSError, paramiko.SSHException) as error:
            raise failure.unreadable_pins(error) from error
        return client

    def _connect(
        self,
        client: paramiko.SSHClient,
        endpoint: Endpoint,
        gate: paramiko.Transport | None,
        failure: SshFailure,
    ) -> None:
        address, limit = (endpoint.address, endpoint.port), self.connect_timeout_s
        key = self._own_key(failure)
        try:
            client.connect(
                *address,
                username=endpoint.user,
                pkey=key,
                sock=_through(gate, address, limit) if gate else self._socket(address),
                allow_agent=False,
                look_for_keys=False,
                timeout=limit,
                banner_timeout=limit,
                auth_timeout=limit,
            )
        except paramiko.BadHostKeyException as error:
            raise failure.changed_key(error) from error
        except paramiko.AuthenticationException as error:
            raise failure.refused_login(str(error)) from error
        except TimeoutError as error:
            raise failure.unreachable(f"no answer in {limit:g} s") from error
        except (paramiko.SSHException, OSError, EOFError) as error:
            raise failure.unreachable(str(error) or type(error).__name__) from error

    def _turned_away(self, client: paramiko.SSHClient, begun: float) -> bool:
        """Says whether the other side took the connection and hung up without its banner."""
        transport = client.get_transport()
        at_once = time.monotonic() - begun < self.connect_timeout_s
        return transport is not None and not transport.remote_version and at_once

    def _own_key(self, failure: SshFailure) -> paramiko.PKey:
        try:
            return paramiko.PKey.from_path(self._ssh_key)
        except (OSError, ValueError, TypeError, paramiko.SSHException) as error:
            raise failure.unusable_key(error) from error

    def _socket(self, address: tuple[str, int]) -> socket.socket:
        sock = socket.create_connection(address, timeout=self.connect_timeout_s)
        # Nagle and the other side's delayed acknowledgement make a command take 44 ms instead of 4.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            silence_ms = int(self._silence_s * 1000)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, silence_ms)
        return sock

    def _keep_alive(self, client: paramiko.SSHClient) -> None:
        if (transport := _active(client)) is not None:
            asked = (transport, self._keepalive_s, self._silence_s)
            threading.Thread(target=_ask_for_life, args=asked, daemon=True).start()


def _ask_for_life(transport: paramiko.Transport, every_s: float, silence_s: float) -> None:
    """Asks the other side for an answer now and then, and ends a connection that gives none.

    paramiko's own keep-alive wants no answer, so that a machine that vanished behind a jump would never be missed.
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


class _Through:
    """A channel of the jump's as the socket of the next connection; closing it is never an error."""

    def __init__(self, channel: paramiko.Channel) -> None:
        self._channel = channel
        self.send = channel.send
        self.recv = channel.recv
        self.settimeout = channel.settimeout

    @property
    def _closed(self) -> bool:  # paramiko asks its sockets so
        return self._channel.closed

    def close(self) -> None:
        """Closes it, also where the jump is gone already."""
        ssh_channel.close(self._channel)


def _through(gate: paramiko.Transport, address: tuple[str, int], timeout_s: float) -> Any:
    """Opens a channel to an address as the jump sees it; Any, since paramiko's types know sockets alone."""
    try:
        channel = gate.open_channel("direct-tcpip", address, ("127.0.0.1", 0), timeout=timeout_s)
    except paramiko.ChannelException as error:
        raise OSError(f"the jump says: {error}") from error
    return _Through(channel)
