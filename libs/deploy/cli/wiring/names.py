"""The names that complete a command line: services, environments, sandboxes, hosts, releases."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from deploy.cli.wiring.settings import ROOT, Settings
from deploy.errors import ShipError
from sandbox import state

if TYPE_CHECKING:
    from deploy.cli.wiring.connections import Connections

PATIENCE_S = 3.0
"""How long a person who presses Tab waits for the hosts."""


class ProjectNames:
    """The names of a checkout and one of its environments. What can't be read has no names: completion never fails."""

    def __init__(self, settings: Settings, connections: Callable[[], Connections]) -> None:
        self._settings = settings
        self._connections = connections

    def services(self) -> Iterable[str]:
        """The services, by their folders: reading their files would take longer than a person waits."""
        return sorted(file.parent.name for file in ROOT.glob("services/*/service.toml"))

    def environments(self) -> Iterable[str]:
        """The environments of this checkout."""
        files = (ROOT / "deploy" / "environments").glob("*.toml")
        return sorted({"sandbox", *(file.stem for file in files)})

    def sandboxes(self) -> Iterable[str]:
        """The sandboxes of this user."""
        return state.names()

    def hosts(self) -> Iterable[str]:
        """The hosts of the environment."""
        try:
            return [host.name for host in self._settings.environment().hosts]
        except ShipError:
            return []

    def releases(self, service: str | None) -> Iterable[str]:
        """The releases of a service, or of all, the newest first. None if the hosts don't answer soon."""
        names = [service] if service else self.services()
        return [release for name in names for release in _soon(lambda name=name: self._read(name))]  # type: ignore[misc]

    def _read(self, service: str) -> list[str]:
        from deploy.run.queries.history import history

        found = history(self._connections().hosts(), service)
        newest_first = (each.entry.release for each in reversed(found))
        return [release for release in dict.fromkeys(newest_first) if release]


def _soon(read: Callable[[], list[str]]) -> list[str]:
    found: list[str] = []

    def run() -> None:
        try:
            found.extend(read())
        except ShipError:
            return

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(PATIENCE_S)
    return list(found)
