"""What the files of this checkout and the named environment say; never connects to anything."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from deploy.adapters import files
from deploy.adapters.config import loader
from deploy.core.config import Environment, HostConfig, JobImage, Service
from deploy.errors import UsageError
from sandbox import state

if TYPE_CHECKING:
    from sandbox.monitoring import Watch

ROOT = Path(os.environ.get("SHIP_CHECKOUT") or Path(__file__).resolve().parents[4])
"""The checkout. ./ship says which; this library may lie in an image instead."""


@dataclass
class Settings:
    """The services of this checkout and the environment of --env."""

    env: str
    sandbox_name: str

    @cached_property
    def services(self) -> dict[str, Service]:
        """All services of this checkout, by name."""
        return dict(loader.load_services(ROOT))

    @cached_property
    def job_images(self) -> dict[str, JobImage]:
        """The images that jobs of the pipeline run in, by name."""
        return loader.load_job_images(ROOT / "deploy" / "images.toml")

    def environment(self) -> Environment:
        """The environment that was named, read at every call: `up` makes it on its way."""
        return loader.load_environment(self._environment_file(), services=self.services)

    def named_environment(self, name: str) -> Environment:
        """Another environment than the one of --env."""
        return replace(self, env=name).environment()

    def _environment_file(self) -> Path:
        if self.env.endswith(".toml"):
            return Path(self.env)
        if self.env == "sandbox":
            if (found := state.path(self.sandbox_name)) is None:
                raise UsageError(f"there is no sandbox {self.sandbox_name}", hint="./ship up --yes")
            return found
        path = ROOT / "deploy" / "environments" / f"{self.env}.toml"
        if not path.exists():
            known = ", ".join(
                sorted({"sandbox", *(each.stem for each in path.parent.glob("*.toml"))})
            )
            raise UsageError(f"there is no environment {self.env}", hint=f"one of: {known}")
        return path

    def service(self, name: str) -> Service:
        """The service of that name as the environment has it. Raises UsageError for an unknown one."""
        if name not in self.services:
            raise UsageError(
                f"there is no service {name}", hint=f"one of: {', '.join(sorted(self.services))}"
            )
        return loader.for_environment(self.services[name], self.environment())

    def names(self, asked: Sequence[str]) -> list[str]:
        """The services that were named, all if none was."""
        for name in asked:
            self.service(name)
        return list(asked) or sorted(self.services)

    def host_config(self, name: str) -> HostConfig:
        """The host of that name. Raises UsageError for an unknown one."""
        known = {host.name: host for host in self.environment().hosts}
        if name not in known:
            raise UsageError(
                f"{self.env} has no host {name}", hint=f"one of: {', '.join(sorted(known))}"
            )
        return known[name]

    def urls(self) -> dict[str, str]:
        """Where people look."""
        environment = self.environment()
        urls = dict.fromkeys(sorted(self.services), environment.hosts[0].url)
        if (metrics := environment.metrics) is None:
            return urls
        watching = {"prometheus": metrics.prometheus_url, "alertmanager": metrics.alertmanager_url}
        return urls | {name: url for name, url in watching.items() if url}

    def watch(self) -> Watch:
        """The rules and the routes of alerts that a sandbox is watched by, as this checkout has them."""
        from sandbox.monitoring import Watch

        folder = ROOT / "observability"
        return Watch(
            rules=files.read_text(folder / "prometheus" / "rules.yml"),
            alertmanager=files.read_text(folder / "alertmanager" / "alertmanager.yml"),
        )
