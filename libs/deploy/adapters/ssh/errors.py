"""What goes wrong with a host over SSH, in words: what failed, what remains, what next; never decides."""

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
class Endpoint:
    """An sshd and the login there. `name` stands in messages; `port` and `address` are as the `jump` sees them."""

    name: str
    user: str
    address: str
    port: int
    jump: Jump | None = None

    @classmethod
    def of_host(cls, config: HostConfig) -> Endpoint:
        """A host's own."""
        return cls(config.name, config.user, config.address, config.port, config.jump)

    @classmethod
    def of_jump(cls, jump: Jump) -> Endpoint:
        """The machine in between."""
        return cls(f"jump {jump}", jump.user, jump.address, jump.port)


class SshFailure:
    """Makes the errors of one sshd."""

    def __init__(self, endpoint: Endpoint, known_hosts: str, ssh_key: str) -> None:
        self.name = endpoint.name
        self._at = endpoint
        self._known_hosts = known_hosts
        self._ssh_key = ssh_key

    def ssh(self) -> str:
        """Writes what a person would type to get there."""
        pinned = ["-i", self._ssh_key, "-o", f"UserKnownHostsFile={self._known_hosts}"]
        at, options = self._at, ["-p", str(self._at.port), *pinned]
        if jump := at.jump:
            login = f"{jump.user}@{jump.address}"
            through = ["ssh", "-p", str(jump.port), *pinned, "-W", "%h:%p", login]
            options += ["-o", f"ProxyCommand={shlex.join(through)}"]
        return shlex.join(["ssh", *options, f"{at.user}@{at.address}", "true"])

    def unreachable(self, reason: str) -> HostUnreachableError:
        where = f"{self._at.address}:{self._at.port}"
        through = f" through {self._at.jump}" if self._at.jump else ""
        message = (
            f"{self.name}: can't connect to {where}{through}: {reason}; nothing was changed there"
        )
        return HostUnreachableError(message, hint=f"try `{self.ssh()}`, then run this again")

    def lost(self, reason: str) -> HostUnreachableError:
        message = f"{self.name}: {reason}; what ran there ends at its own time limit"
        return HostUnreachableError(message, hint=f"try `{self.ssh()}`, then run this again")

    def refused_login(self, reason: str) -> HostAuthError:
        user = self._at.user
        return HostAuthError(
            f"{self.name}: refused the login of {user} with {self._ssh_key}: {reason}",
            hint=f"add {self._ssh_key}.pub to {user}'s authorized_keys there; try `{self.ssh()}`",
        )

    def unknown_key(self, key: paramiko.PKey) -> HostKeyError:
        return HostKeyError(
            f"{self.name}: {self._known_hosts} pins no key of {self._pin_name()}; it presented "
            f"{key.get_name()} {key.fingerprint}, which was not accepted",
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
        file, port = shlex.quote(self._known_hosts), self._at.port
        remove = f"ssh-keygen -R '{self._pin_name()}' -f {file} && " if replace else ""
        return (
            "compare with `ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub` on the host's own "
            f"console; only if equal, pin it: `{remove}"
            f"{self._scan(port)} >> {file}`"
        )

    def _scan(self, port: int) -> str:
        scan = f"ssh-keyscan -t ed25519 -p {port} {self._at.address}"
        if (jump := self._at.jump) is None:
            return scan
        # ssh-keyscan knows no jumps: the one in between asks.
        login = f"{jump.user}@{jump.address}"
        return shlex.join(["ssh", "-p", str(jump.port), "-i", self._ssh_key, login, scan])

    def _pin_name(self) -> str:
        at = self._at
        return at.address if at.port == 22 else f"[{at.address}]:{at.port}"

    def failed(self, what: str, stderr: bytes) -> CommandError:
        text = shell.last_lines(stderr.decode(errors="replace"))
        reason = text.splitlines()[-1] if text else "it printed no reason"
        message = f"{self.name}: {what}: {reason}"
        return CommandError(message, stderr=text, hint=f"look on it: `{self.ssh()}`")

    def too_long(self, argv: Sequence[str], timeout_s: float) -> CommandTimeoutError:
        message = f"{self.name}: `{shown(argv)}` ran longer than {timeout_s:g} s and was ended"
        hint = f"look at its load and disk (`{self.ssh()}`), then run this again"
        return CommandTimeoutError(message, hint=hint)

    def unusable_key(self, error: Exception) -> HostAuthError:
        return HostAuthError(
            f"{self.name}: can't use the key {self._ssh_key}: {error}",
            hint="`ssh_key` in the environment file names a private key without passphrase",
        )

    def unreadable_pins(self, error: Exception) -> HostKeyError:
        return HostKeyError(
            f"{self.name}: can't read the pinned host keys in {self._known_hosts}: {error}",
            hint=self.how_to_pin(),
        )

    def busy(self, sessions: int) -> HostUnreachableError:
        return HostUnreachableError(
            f"{self.name}: {sessions} sessions are open and none ended within 60 s",
            hint="end what follows it (ship logs -f, ship exec), then run this again",
        )


def why_lost(error: Exception) -> str:
    return f"the connection was lost ({error})" if str(error) else "the connection was lost"


def shown(argv: Sequence[str]) -> str:
    line = shlex.join(argv)
    return line if len(line) <= 120 else f"{line[:117]}..."
