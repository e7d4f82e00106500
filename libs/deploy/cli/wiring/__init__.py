"""Connects the use cases to the adapters. The only package that names adapters.

Adapters and use cases are imported when a verb uses them: most verbs need few of them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deploy.adapters.clock import SystemClock
from deploy.adapters.config import loader
from deploy.adapters.gitlab.web_identity import web_identity
from deploy.cli.wiring.connections import Connections
from deploy.cli.wiring.settings import ROOT, Settings
from deploy.core.ports import Say, SecretStore
from deploy.core.state.redaction import Redaction, credentials_in
from deploy.errors import ConfigError, JourneysFailedError

if TYPE_CHECKING:
    from deploy.adapters.git.checkout import GitCheckout
    from deploy.adapters.git.revisions import GitRevisions
    from deploy.adapters.journeys import Journeys
    from deploy.adapters.probe import HttpProbe
    from deploy.adapters.prometheus import Prometheus
    from deploy.adapters.rollout_exports import Exports
    from deploy.cli.wiring.commands import Commands
    from deploy.cli.wiring.images import Images
    from deploy.cli.wiring.names import ProjectNames
    from deploy.core.ci.target_graph import TargetGraphs
    from deploy.core.reports.dora import FourKeys
    from deploy.core.reports.page import Page
    from deploy.run.affected import SelectionContext
    from deploy.run.rollout.deploy import DeployContext
    from deploy.run.steps.secrets import SecretResolver

__all__ = ["ROOT", "Wiring"]

MAX_KEPT_GRAPHS = 24
"""Each takes about 500 kB."""


@dataclass
class Wiring:
    """The adapters of one command, made at first use and closed at the end."""

    env: str
    sandbox_name: str
    say: Say
    redaction: Redaction

    @classmethod
    @contextmanager
    def here(
        cls, env: str, sandbox_name: str, say: Say, redaction: Redaction | None = None
    ) -> Iterator[Wiring]:
        """Yields a wiring and closes its connections. Every secret that is read is added to `redaction`."""
        wiring = cls(env, sandbox_name, say, redaction or Redaction())
        for credential in credentials_in(os.environ):
            wiring.redaction.know(credential)
        try:
            with web_identity():
                yield wiring
        finally:
            if "connections" in wiring.__dict__:
                wiring.connections.close()

    clock = SystemClock()

    @cached_property
    def probe(self) -> HttpProbe:
        """Sends HTTP requests from this machine."""
        from deploy.adapters.probe import HttpProbe

        return HttpProbe()

    @cached_property
    def settings(self) -> Settings:
        """The services and the environment."""
        return Settings(self.env, self.sandbox_name)

    @cached_property
    def connections(self) -> Connections:
        """The environment's hosts."""
        return Connections(self.settings, self.redaction.know)

    @cached_property
    def images(self) -> Images:
        """The images of this checkout."""
        from deploy.cli.wiring.images import Images

        return Images(self.settings, self.probe, self.clock, self.say, self.redaction.know)

    @cached_property
    def commands(self) -> Commands:
        """Makes the commands of this call."""
        from deploy.cli.wiring.commands import Commands

        return Commands(self.settings, self.images, lambda: self.secrets, self.checkout, self.clock)

    @cached_property
    def checkout(self) -> GitCheckout:
        """The revision and state of this checkout."""
        from deploy.adapters.git.checkout import GitCheckout

        return GitCheckout(ROOT)

    @cached_property
    def secrets(self) -> SecretResolver:
        """Reads secrets from the environment's stores."""
        from deploy.adapters.aws import secret_stores
        from deploy.adapters.env_secrets import FileSecrets, VariableSecrets
        from deploy.run.steps.secrets import SecretResolver

        environment = self.settings.environment()
        if environment.secrets.credentials:
            loader.path_of(environment.secrets.credentials)
        account = secret_stores.Account(
            environment.secrets, environment.registry, self.redaction.know
        )
        stores: dict[str, SecretStore] = {
            "env": VariableSecrets(os.environ),
            "file": FileSecrets(os.environ),
            "ssm": secret_stores.ParameterStore(account),
            "secretsmanager": secret_stores.SecretsManager(account),
        }
        return SecretResolver(stores, self.redaction)

    def metrics(self) -> Prometheus:
        """Returns the environment's Prometheus. Raises ConfigError if it has none."""
        from deploy.adapters.prometheus import Prometheus

        metrics = self.settings.environment().metrics
        if metrics is None:
            raise ConfigError(f"environment {self.env} has no [metrics]")
        return Prometheus(metrics.prometheus_url)

    @cached_property
    def exports(self) -> Exports:
        """Sends finished deploys to the configured receivers."""
        from deploy.adapters.rollout_exports import Exports, Receivers

        metrics = self.settings.environment().metrics
        pushgateway = metrics.pushgateway_url if metrics else None
        receivers = Receivers.of(os.environ, pushgateway=pushgateway)
        return Exports(receivers, ROOT / "dist" / "deploys", self.say, self.keys)

    def keys(self, service: str, days: float = 30.0) -> FourKeys:
        """Returns a service's four keys of DORA, from the hosts' ledgers and this checkout's commits."""
        from deploy.core.reports.dora import four_keys
        from deploy.run.queries.history import history

        operations = [each.entry for each in history(self.connections.hosts(), service)]
        committed = self.checkout.commit_time
        return four_keys(operations, now=self.clock.now(), committed=committed, days=days)

    def render_page(self, page: Page) -> str:
        """Returns a report's page as HTML."""
        from deploy.adapters import report_page

        return report_page.render_page(page)

    def context(self) -> DeployContext:
        """Returns everything that a deploy needs."""
        from deploy.adapters.prometheus import Prometheus
        from deploy.run.rollout.deploy import DeployContext

        environment = self.settings.environment()
        metrics = Prometheus(environment.metrics.prometheus_url) if environment.metrics else None
        return DeployContext(
            environment,
            self.connections.hosts(),
            self.images.registry,
            self.probe,
            self.clock,
            metrics=metrics,
            publish=self.exports,
            secrets=self.secrets,
        )

    def selection_context(self) -> SelectionContext:
        """Returns what test selection needs. Releases are verified in every environment but sandboxes."""
        from deploy.adapters.git.revisions import GitRevisions
        from deploy.adapters.gitlab.deployments import GitlabDeployments, pipeline_facts
        from deploy.run.affected import SelectionContext

        files = (ROOT / "deploy" / "environments").glob("*.toml")
        verifying = sorted(each.stem for each in files) if self.env == "sandbox" else [self.env]
        revisions = GitRevisions(ROOT, self.say)
        return SelectionContext(
            pipeline_facts(),
            revisions,
            self._target_graphs(revisions),
            GitlabDeployments.of_job(),
            self.settings.services,
            verifying,
            self.say,
        )

    def _target_graphs(self, revisions: GitRevisions) -> TargetGraphs:
        """Returns the target graphs of this checkout, which this machine keeps unless it runs CI jobs.

        A job's selection must not depend on a cache that jobs of other branches can write.
        """
        from deploy.adapters.file_cache import FileCache
        from deploy.adapters.pants.kept_graphs import KeptTargetGraphs
        from deploy.adapters.pants.target_graph import PantsTargetGraphs, settings_outside
        from toolchain.paths import find_paths

        graphs = PantsTargetGraphs(ROOT, revisions.unpacked, self.say)
        if os.environ.get("CI"):
            return graphs
        cache = FileCache(find_paths(os.environ).cache / "graphs", limit=MAX_KEPT_GRAPHS)
        return KeptTargetGraphs(graphs, revisions, cache, settings_outside(ROOT, os.environ))

    def require_job_image(self) -> None:
        """Raises UsageError in a pipeline whose job image is not pinned by digest."""
        from deploy.adapters.gitlab.deployments import require_pinned_job_image

        require_pinned_job_image()

    def journeys(
        self, file: str, keep: Path, *, report: bool = False, monitored: bool = False
    ) -> Journeys:
        """Returns the browser journeys in a file of this checkout; evidence goes to the folder `keep`.

        With `report` they send their results to the environment's Pushgateway, those of a monitor as `monitored`.
        """
        from deploy.adapters.journeys import Journeys

        environment = self.settings.environment()
        metrics = environment.metrics if report else None
        gateway = metrics.pushgateway_url if metrics else None
        return Journeys(
            ROOT,
            file,
            keep,
            pushgateway=gateway,
            environment=environment.name,
            monitored=monitored,
        )

    def run_journeys(self, url: str) -> None:
        """Runs every service's journeys against a URL and reports them to the environment's Pushgateway.

        Raises JourneysFailedError that names the evidence.
        """
        kept = ROOT / "dist" / "e2e"
        files = sorted({each.journeys for each in self.settings.services.values() if each.journeys})
        if not all(self.journeys(file, kept, report=True).run(url) for file in files):
            raise JourneysFailedError(
                "the browser journeys failed; the release is live",
                hint=f"screenshots and traces are in {kept.relative_to(ROOT)}",
            )

    def tell_demo(self, sandbox: str, options: Sequence[str]) -> dict[str, Any]:
        """Tells the story of `ship demo` on a sandbox of this name. Returns its document."""
        from deploy.adapters.demo import run_demo

        return run_demo(ROOT, sandbox, options)

    @contextmanager
    def names(self, env: str, sandbox: str) -> Iterator[ProjectNames]:
        """Yields the names that complete a command line for this environment and sandbox."""
        from deploy.cli.wiring.names import ProjectNames

        with Wiring.here(env, sandbox, self.say, self.redaction) as named:
            yield ProjectNames(named.settings, lambda: named.connections)

    def end_build_daemon(self) -> str:
        """Ends the daemon that Pants keeps for this checkout. Returns none, ended, or busy if it serves a build."""
        from toolchain.pants_daemon import end_pants_daemon

        return end_pants_daemon(ROOT).name.lower()

    def caches(self) -> dict[str, str]:
        """Returns the caches of this machine, each with what it holds. Other checkouts and sandboxes use them too."""
        from toolchain.paths import find_paths

        cache = find_paths(os.environ).cache
        return {
            str(cache): "tools, Debian packages, archives of the base images",
            str(cache.parent / "pants"): "results and tools of Pants",
            "the engine's layers without a name": "the cache of image builds",
        }

    def stop_engine_if_ours(self) -> bool:
        """Stops the Docker engine if `ship up` started it. Returns whether it did."""
        from toolchain.docker_daemon import stop_daemon_started_by

        return stop_daemon_started_by("up")
