"""Connections to an environment's hosts, made at first use.

Their adapters are also imported at first use: importing paramiko takes longer than most verbs do.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from deploy.adapters import files
from deploy.adapters.config import loader
from deploy.cli.wiring.settings import Settings
from deploy.core.config import Environment, HostConfig
from deploy.core.ports import Host
from deploy.core.state.secrets import Know, Secret
from deploy.errors import ConfigError

if TYPE_CHECKING:
    from deploy.adapters.ssh.host import SshHost
    from deploy.adapters.ssh.login import SshConnector


class Connections:
    """Hosts over SSH, connected until `close` is called."""

    def __init__(self, settings: Settings, know: Know) -> None:
        self._settings = settings
        self._know = know

    @cached_property
    def _hosts(self) -> tuple[SshHost, ...]:
        from deploy.adapters.ssh.host import SshHost

        environment = self._settings.environment()
        return tuple(SshHost(host, self._connector) for host in environment.hosts)

    @cached_property
    def _connector(self) -> SshConnector:
        environment = self._settings.environment()
        return self._connect(environment, loader.path_of(environment.ssh_key))

    def _connect(self, environment: Environment, key: Path) -> SshConnector:
        from deploy.adapters.ssh.login import SshConnector

        with suppress(ConfigError):  # the login says what is wrong with the key
            self._know(Secret(files.read_text(key)))
        known_hosts = str(loader.path_of(environment.known_hosts))
        return SshConnector(known_hosts=known_hosts, key=str(key))

    def host_as(self, config: HostConfig, user: str, key: str) -> Host:
        """Returns a host for a login other than the deploy user's."""
        from deploy.adapters.ssh.host import SshHost

        environment = self._settings.environment()
        path = Path(key).expanduser() if key else loader.path_of(environment.ssh_key)
        connector = self._connect(environment, path)
        host = SshHost(replace(config, user=user), connector)
        self._others += [host, connector]
        return host

    @cached_property
    def _others(self) -> list[SshHost | SshConnector]:
        return []

    def deploy_key(self) -> str:
        """Returns the public key of the deploy user, as a line of authorized_keys."""
        from deploy.adapters.ssh.login import public_line

        return public_line(str(loader.path_of(self._settings.environment().ssh_key)))

    def hosts(self) -> tuple[Host, ...]:
        """Returns the environment's hosts."""
        return self._hosts

    @contextmanager
    def preview(self) -> Iterator[str]:
        """Yields a URL on this machine that is forwarded to the first host's preview route."""
        from deploy.adapters.ssh.port_forward import forwarded

        host, port = self._hosts[0], self._settings.environment().edge.preview_port
        with forwarded(lambda: host.dial(port)) as local:
            yield f"http://127.0.0.1:{local}"

    def close(self) -> None:
        """Ends every connection."""
        for host in self.__dict__.get("_hosts", ()):
            host.close()
        for other in self.__dict__.get("_others", ()):
            other.close()
        if "_connector" in self.__dict__:
            self._connector.close()
