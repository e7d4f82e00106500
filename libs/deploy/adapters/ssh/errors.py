"""Errors of SSH connections as text: what failed, what state remains, what to do next."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass

import paramiko

from deploy.core.commands import shell
from deploy.core.config import HostConfig, Jump
from deploy.errors import (
    CommandError,
    CommandTimeoutError,
    HostAuthError,
    HostKeyError,
    HostUnreachableError,
)


@dataclass(frozen=True)
class SshEndpoint:
    """An SSH server and the user to log in as.

    `name` is used in messages. If there is a `jump`, `address` and `port` are as the jump host reaches them.
    """

    name: str
    user: str
    address: str
    port: int
    jump: Jump | None = None
    is_jump: bool = False

    @classmethod
    def of_host(cls, config: HostConfig) -> SshEndpoint:
        """Returns the endpoint of a host."""
        return cls(config.name, config.user, config.address, config.port, config.jump)

    @classmethod
    def of_jump(cls, jump: Jump) -> SshEndpoint:
        """Returns the endpoint of a jump host."""
        return cls(f"jump {jump}", jump.user, jump.address, jump.port, is_jump=True)


class SshErrors:
    """Creates the errors of one endpoint."""

    def __init__(self, endpoint: SshEndpoint, known_hosts: str, ssh_key: str) -> None:
        self.name = endpoint.name
        self._endpoint = endpoint
        self._known_hosts = known_hosts
        self._ssh_key = ssh_key

    def ssh(self) -> str:
        """Returns the ssh command that tries the same connection by hand."""
        pinned = ["-i", self._ssh_key, "-o", f"UserKnownHostsFile={self._known_hosts}"]
        endpoint, options = self._endpoint, ["-p", str(self._endpoint.port), *pinned]
        if jump := endpoint.jump:
            login = f"{jump.user}@{jump.address}"
            proxy = ["ssh", "-p", str(jump.port), *pinned, "-W", "%h:%p", login]
            options += ["-o", f"ProxyCommand={shlex.join(proxy)}"]
        return shlex.join(["ssh", *options, f"{endpoint.user}@{endpoint.address}", "true"])

    def unreachable(self, reason: str) -> HostUnreachableError:
        address = f"{self._endpoint.address}:{self._endpoint.port}"
        through = f" through {self._endpoint.jump}" if self._endpoint.jump else ""
        message = (
            f"{self.name}: can't connect to {address}{through}: {reason}; nothing was changed there"
        )
        return HostUnreachableError(message, hint=f"try `{self.ssh()}`, then run this again")

    def lost(self, reason: str) -> HostUnreachableError:
        message = f"{self.name}: {reason}; a command that was running there ends at its time limit"
        return HostUnreachableError(message, hint=f"try `{self.ssh()}`, then run this again")

    def refused_login(self, reason: str) -> HostAuthError:
        user = self._endpoint.user
        add_key = f"add {self._ssh_key}.pub to {user}'s authorized_keys there; try `{self.ssh()}`"
        new = f"`./ship host bootstrap {self.name}` sets up a new server; on another, "
        return HostAuthError(
            f"{self.name}: refused the login of {user} with {self._ssh_key}: {reason}",
            hint=add_key if self._endpoint.is_jump else f"{new}{add_key}",
        )

    def unknown_key(self, key: paramiko.PKey) -> HostKeyError:
        return HostKeyError(
            f"{self.name}: {self._known_hosts} pins no key of {self._pin_name()}; it presented "
            f"{key.get_name()} {key.fingerprint}, and the connection was refused",
            hint=self.how_to_pin(),
        )

    def changed_key(self, error: paramiko.BadHostKeyException) -> HostKeyError:
        return HostKeyError(
            f"{self.name}: the host key of {self._pin_name()} is not the one pinned in "
            f"{self._known_hosts}: expected {error.expected_key.fingerprint}, it presented "
            f"{error.key.fingerprint}; the connection was refused",
            hint=f"find out why it changed; {self.how_to_pin(replace=True)}",
        )

    def how_to_pin(self, *, replace: bool = False) -> str:
        """Returns the commands that compare and pin the host key. `replace` also removes the pinned one."""
        file, port = shlex.quote(self._known_hosts), self._endpoint.port
        remove = f"ssh-keygen -R '{self._pin_name()}' -f {file} && " if replace else ""
        return (
            "compare with `ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub` on the host's own "
            f"console; only if equal, pin it: `{remove}"
            f"{self._scan(port)} >> {file}`"
        )

    def _scan(self, port: int) -> str:
        scan = f"ssh-keyscan -t ed25519 -p {port} {self._endpoint.address}"
        if (jump := self._endpoint.jump) is None:
            return scan
        # ssh-keyscan can't go through a jump host, so it runs on the jump host.
        login = f"{jump.user}@{jump.address}"
        return shlex.join(["ssh", "-p", str(jump.port), "-i", self._ssh_key, login, scan])

    def _pin_name(self) -> str:
        endpoint = self._endpoint
        address, port = endpoint.address, endpoint.port
        return address if port == 22 else f"[{address}]:{port}"

    def failed(self, what: str, stderr: bytes) -> CommandError:
        text = shell.last_lines(stderr.decode(errors="replace"))
        reason = text.splitlines()[-1] if text else "it printed no reason"
        message = f"{self.name}: {what}: {reason}"
        return CommandError(message, stderr=text, hint=f"log in and look: `{self.ssh()}`")

    def too_long(self, argv: Sequence[str], timeout_s: float) -> CommandTimeoutError:
        message = f"{self.name}: `{shown(argv)}` ran longer than {timeout_s:g} s and was ended"
        hint = f"check the host's load and disk (`{self.ssh()}`), then run this again"
        return CommandTimeoutError(message, hint=hint)

    def too_much(self, argv: Sequence[str], reason: str) -> CommandError:
        message = f"{self.name}: `{shown(argv)}` was given up: {reason}"
        return CommandError(message, hint=f"log in and look what it prints: `{self.ssh()}`")

    def unusable_key(self, error: Exception) -> HostAuthError:
        return HostAuthError(
            f"{self.name}: can't use the key {self._ssh_key}: {error}",
            hint="`ssh_key` in the environment file must name a private key without a passphrase",
        )

    def unreadable_pins(self, error: Exception) -> HostKeyError:
        return HostKeyError(
            f"{self.name}: can't read the pinned host keys in {self._known_hosts}: {error}",
            hint=self.how_to_pin(),
        )

    def busy(self, sessions: int) -> HostUnreachableError:
        return HostUnreachableError(
            f"{self.name}: {sessions} SSH sessions are open and none ended within 60 s",
            hint="end what follows the host (ship logs -f, ship exec), then run this again",
        )


def why_lost(error: Exception) -> str:
    return f"the connection was lost ({error})" if str(error) else "the connection was lost"


def shown(argv: Sequence[str]) -> str:
    """Returns a command as text, shortened to 120 characters."""
    line = shlex.join(argv)
    return line if len(line) <= 120 else f"{line[:117]}..."
