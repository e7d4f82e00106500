"""The configuration files of this checkout and of the environment of --env."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from deploy.adapters import files
from deploy.adapters.config import loader
from deploy.core.addresses import service_url
from deploy.core.config import Environment, HostConfig, JobImage, Route, Service
from deploy.core.setting_sources import Given, Setting, settings_of
from deploy.errors import UsageError
from sandbox import state

if TYPE_CHECKING:
    from sandbox.monitoring import MonitoringConfig

ROOT = Path(os.environ.get("SHIP_CHECKOUT") or Path(__file__).resolve().parents[4])
"""The checkout. ./ship passes its path, because this library may be installed in an image instead."""


@dataclass
class Settings:
    """The services of this checkout and the environment of --env."""

    env: str
    sandbox_name: str

    @cached_property
    def services(self) -> dict[str, Service]:
        """The services of this checkout, by name."""
        return dict(loader.load_services(ROOT))

    @cached_property
    def job_images(self) -> dict[str, JobImage]:
        """The images that jobs of the pipeline run in, by name."""
        return loader.load_job_images(ROOT / "deploy" / "images.toml")

    def environment(self) -> Environment:
        """Reads the environment of --env. Not cached: `ship up` creates it while it runs."""
        environment = loader.load_environment(self._environment_file(), services=self.services)
        loader.require_distinct_routes(self.services.values(), environment)
        return environment

    def named_environment(self, name: str) -> Environment:
        """Reads another environment."""
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
        """Returns a service with the environment's overrides. Raises UsageError for an unknown name."""
        if name not in self.services:
            raise UsageError(
                f"there is no service {name}", hint=f"one of: {', '.join(sorted(self.services))}"
            )
        return loader.for_environment(self.services[name], self.environment())

    def sources(self, name: str) -> tuple[Setting, ...]:
        """Returns what a service's settings come to, and the file of each. Raises UsageError for an unknown name."""
        merged, environment = self.service(name), self.environment()
        own = Path("services") / name / "service.toml"
        file = self._environment_file()
        shown = file.relative_to(ROOT) if file.is_relative_to(ROOT) else file
        return settings_of(
            merged,
            Given(own.as_posix(), loader.read_given(ROOT / own)),
            Given(shown.as_posix(), environment.overrides.get(name, {})),
        )

    def routes(self, environment: Environment) -> dict[str, Route]:
        """Returns the route of each service in an environment."""
        return {
            name: loader.for_environment(service, environment).route
            for name, service in self.services.items()
        }

    def names(self, names: Sequence[str]) -> list[str]:
        """Returns these services' names, or all if none is given. Raises UsageError for an unknown name."""
        for name in names:
            self.service(name)
        return list(names) or sorted(self.services)

    def host_config(self, name: str) -> HostConfig:
        """Returns a host's configuration. Raises UsageError for an unknown name."""
        known = {host.name: host for host in self.environment().hosts}
        if name not in known:
            raise UsageError(
                f"{self.env} has no host {name}", hint=f"one of: {', '.join(sorted(known))}"
            )
        return known[name]

    def urls(self) -> dict[str, str]:
        """Returns the URLs that people open, by name."""
        environment = self.environment()
        urls = {
            name: service_url(environment.hosts[0].url, route)
            for name, route in sorted(self.routes(environment).items())
        }
        if (metrics := environment.metrics) is None:
            return urls
        monitoring = {
            "prometheus": metrics.prometheus_url,
            "alertmanager": metrics.alertmanager_url,
        }
        return urls | {name: url for name, url in monitoring.items() if url}

    def monitoring(self) -> MonitoringConfig:
        """Returns this checkout's alert rules and Alertmanager configuration, for a sandbox."""
        from sandbox.monitoring import MonitoringConfig

        folder = ROOT / "observability"
        return MonitoringConfig(
            rules=files.read_text(folder / "prometheus" / "rules.yml"),
            alertmanager=files.read_text(folder / "alertmanager" / "alertmanager.yml"),
        )
