"""The only place that names all adapters: makes what a verb needs, when it needs it; holds no logic."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import bcrypt

import sandbox
from deploy import __version__
from deploy.adapters import aws_secrets, sources
from deploy.adapters.bases import Bases
from deploy.adapters.clock import SystemClock
from deploy.adapters.ecr import EcrRegistry
from deploy.adapters.engine import Engine
from deploy.adapters.exports import Exports, Receivers
from deploy.adapters.forward import forwarded
from deploy.adapters.git import Checkout
from deploy.adapters.gitlab import GitlabDeployments, pipeline_facts, require_pinned_job_image
from deploy.adapters.history import GitHistory
from deploy.adapters.identity import web_identity
from deploy.adapters.journeys import Journeys
from deploy.adapters.memory import FileMemory
from deploy.adapters.pants import Pants
from deploy.adapters.probe import HttpProbe
from deploy.adapters.prometheus import Prometheus
from deploy.adapters.revisions import GitRevisions
from deploy.adapters.ssh import SshHost
from deploy.adapters.ssh_login import Logins, public_line
from deploy.adapters.targets import PantsTargets
from deploy.adapters.variables import FileSecrets, VariableSecrets
from deploy.core.bootstrap import DockerSource
from deploy.core.config import Environment, HostConfig, Service
from deploy.core.images import BuiltImage, short_id
from deploy.core.part import Part
from deploy.core.parts import edge_part, exporter_part, keeper_part, metrics_part
from deploy.core.ports import Host, Say, SecretStore
from deploy.core.redaction import Redaction
from deploy.core.releases import Origin
from deploy.core.selected import Selected, read_published, read_selection
from deploy.errors import ConfigError, JourneysFailedError, UsageError
from deploy.run import images
from deploy.run.affected import Grounds
from deploy.run.deploy import Abort, Promotion, Request, Rollback, Scale, World
from deploy.run.vault import Vault
from toolchain.debian import mirror
from toolchain.engine import stop_if_ours
from toolchain.errors import ToolchainError
from toolchain.places import find_places
from toolchain.reports import read_reports

ROOT = Path(__file__).resolve().parents[3]


@dataclass
class Wiring:
    """What one call of the command line works with. Adapters are made at first use and closed at the end."""

    env: str
    sandbox_name: str
    say: Say
    redaction: Redaction

    @classmethod
    @contextmanager
    def here(
        cls, env: str, sandbox_name: str, say: Say, redaction: Redaction | None = None
    ) -> Iterator[Wiring]:
        """Yields a wiring whose connections are closed afterwards; `redaction` is told of every secret's value."""
        wiring = cls(env, sandbox_name, say, redaction or Redaction())
        try:
            with web_identity():
                yield wiring
        finally:
            wiring._close()

    clock = SystemClock()
    probe = HttpProbe()

    @cached_property
    def services(self) -> dict[str, Service]:
        """All services of this checkout, by name."""
        return dict(sources.load_services(ROOT))

    def environment(self) -> Environment:
        """The environment that was named, read at every call: `up` makes it on its way."""
        return sources.load_environment(self._environment_file(), services=self.services)

    def named_environment(self, name: str) -> Environment:
        """Another environment than the one of --env."""
        return replace(self, env=name).environment()

    def require_job_image(self) -> None:
        """Raises UsageError in a pipeline whose jobs run in an image that is not pinned."""
        require_pinned_job_image()

    def _environment_file(self) -> Path:
        if self.env.endswith(".toml"):
            return Path(self.env)
        if self.env == "sandbox":
            if (found := sandbox.path(self.sandbox_name)) is None:
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
        return sources.for_environment(self.services[name], self.environment())

    def names(self, asked: Sequence[str]) -> list[str]:
        """The services that were named, all if none was."""
        for name in asked:
            self.service(name)
        return list(asked) or sorted(self.services)

    @cached_property
    def _hosts(self) -> tuple[SshHost, ...]:
        environment = self.environment()
        return tuple(SshHost(host, self._logins) for host in environment.hosts)

    @cached_property
    def _logins(self) -> Logins:
        environment = self.environment()
        return Logins(known_hosts=environment.known_hosts, key=environment.ssh_key)

    def host_config(self, name: str) -> HostConfig:
        """The host of that name. Raises UsageError for an unknown one."""
        known = {host.name: host for host in self.environment().hosts}
        if name not in known:
            raise UsageError(
                f"{self.env} has no host {name}", hint=f"one of: {', '.join(sorted(known))}"
            )
        return known[name]

    def host_as(self, config: HostConfig, user: str, key: str) -> Host:
        """A host with another login than the deploy user's."""
        environment = self.environment()
        path = str(Path(key).expanduser()) if key else environment.ssh_key
        logins = Logins(known_hosts=environment.known_hosts, key=path)
        host = SshHost(replace(config, user=user), logins)
        self._others += [host, logins]
        return host

    @cached_property
    def _others(self) -> list[SshHost | Logins]:
        return []

    def deploy_key(self) -> str:
        """The public line of the key that deploys log in with."""
        return public_line(self.environment().ssh_key)

    def docker_source(self, line: str, key: str) -> DockerSource | None:
        """Docker's own apt repository, if one is given. Raises UsageError for half of it."""
        if bool(line) != bool(key):
            raise UsageError("--docker-source and --docker-key go together")
        return DockerSource(line, sources.read_text(Path(key)).encode()) if line else None

    def hosts(self) -> tuple[Host, ...]:
        """The environment's hosts, connected at first use."""
        return self._hosts

    @cached_property
    def registry(self) -> EcrRegistry:
        """The environment's registry."""
        return EcrRegistry(self.environment().registry)

    @cached_property
    def vault(self) -> Vault:
        """The values of secrets, from the stores that the environment names."""
        environment = self.environment()
        account = aws_secrets.Account(environment.secrets, environment.registry)
        stores: dict[str, SecretStore] = {
            "env": VariableSecrets(os.environ),
            "file": FileSecrets(os.environ),
            "ssm": aws_secrets.ParameterStore(account),
            "secretsmanager": aws_secrets.SecretsManager(account),
        }
        return Vault(stores, self.redaction)

    def metrics(self) -> Prometheus:
        """The environment's Prometheus. Raises ConfigError where it has none."""
        metrics = self.environment().metrics
        if metrics is None:
            raise ConfigError(f"environment {self.env} has no [metrics]")
        return Prometheus(metrics.prometheus_url)

    def urls(self) -> dict[str, str]:
        """Where people look."""
        environment = self.environment()
        urls = dict.fromkeys(sorted(self.services), environment.hosts[0].url)
        if (metrics := environment.metrics) is None:
            return urls
        watching = {"prometheus": metrics.prometheus_url, "alertmanager": metrics.alertmanager_url}
        return urls | {name: url for name, url in watching.items() if url}

    def watch(self) -> sandbox.Watch:
        """The rules and the routes of alerts that a sandbox is watched by, as this checkout has them."""
        folder = ROOT / "observability"
        return sandbox.Watch(
            rules=sources.read_text(folder / "prometheus" / "rules.yml"),
            alertmanager=sources.read_text(folder / "alertmanager" / "alertmanager.yml"),
        )

    def selection(self, file: str) -> Selected:
        """What `ship affected --out` wrote. Raises UsageError."""
        hint = f"./ship affected --out {file}"
        return read_selection(sources.read_text(Path(file), hint=hint), file)

    def published(self, file: str) -> Mapping[str, str]:
        """What `ship publish --out` wrote: images by service. Raises UsageError."""
        hint = f"./ship publish --selection FILE --out {file}"
        return read_published(sources.read_text(Path(file), hint=hint), file)

    def write(self, file: str, text: str) -> None:
        """Writes a file that was asked for. Raises UsageError where that can't be."""
        path = Path(file)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        except OSError as error:
            raise UsageError(f"{file} can't be written: {error.strerror}") from error

    @cached_property
    def exports(self) -> Exports:
        """Who is told of a deploy beside this console."""
        metrics = self.environment().metrics
        pushgateway = metrics.pushgateway_url if metrics else ""
        receivers = Receivers.of(os.environ, pushgateway=pushgateway)
        return Exports(receivers, ROOT / "dist" / "deploys", self.say)

    def shots(self) -> list[tuple[str, bytes]]:
        """The pictures that the last browser journeys of this checkout left."""
        kept = sorted((ROOT / "dist" / "e2e").glob("*.png"))[:12]
        return [(each.stem, each.read_bytes()) for each in kept]

    def put(self, path: str, text: str) -> Path:
        """Writes a file below dist/, or where it is told to."""
        target = Path(path) if path else ROOT / "dist" / "report.html"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
        return target

    def world(self) -> World:
        """Everything outside that a deploy touches."""
        environment = self.environment()
        asked = Prometheus(environment.metrics.prometheus_url) if environment.metrics else None
        return World(
            environment,
            self.hosts(),
            self.registry,
            self.probe,
            self.clock,
            metrics=asked,
            publish=self.exports,
            vault=self.vault,
        )

    def grounds(self) -> Grounds:
        """Everything outside that test selection asks. Environments other than sandboxes verify releases."""
        files = (ROOT / "deploy" / "environments").glob("*.toml")
        verifying = sorted(each.stem for each in files) if self.env == "sandbox" else [self.env]
        return Grounds(
            pipeline_facts(),
            GitRevisions(ROOT, self.say),
            PantsTargets(ROOT),
            GitlabDeployments.of_job(),
            self.services,
            verifying,
            self.say,
        )

    def failed_reports(self, folder: str) -> list[str]:
        """The names of the test reports in a folder that tell of a failure. Raises UsageError for none."""
        try:
            suites = read_reports(Path(folder)).suites
        except ToolchainError as error:
            raise UsageError(error.failed, hint=error.next_command) from error
        if not suites:
            raise UsageError(f"there are no test reports in {folder}", hint="./ship test")
        return [each.name for each in suites if each.failed]

    @cached_property
    def checkout(self) -> Checkout:
        """This checkout's revision and state."""
        return Checkout(ROOT)

    def request(
        self,
        name: str,
        image: str | None,
        replicas: int | None,
        *,
        why: str = "",
        push: bool = True,
    ) -> Request:
        """What a deploy of this service asks for; builds and publishes the image unless one is named.

        Without `push` nothing is published: an image that the registry lacks stands as its local id.
        """
        service = self.service(name)
        if replicas is not None:
            service = replace(service, replicas=replicas)
        environment = self.environment()
        # Before anything is built: what is missing shows at once, and no child process inherits one.
        self.vault.find(name, service.secrets)
        if image is None and self.checkout.dirty and not environment.allow_dirty:
            raise UsageError(
                f"the checkout has changes that are not committed; {environment.name} takes committed source only",
                hint="commit them, or deploy to the sandbox",
            )
        if image is not None:
            self.registry.require(image)
        reference = image or (
            self.publish(name) if push else self._known(name, self.build(name).id)
        )
        dirty = image is None and self.checkout.dirty
        origin = self._origin(why, dirty=dirty)
        replica = sources.read_text(ROOT / "deploy" / "replica.yml")
        return Request(
            service,
            reference,
            replica,
            self._parts(environment, push=push),
            origin,
            pipeline=sources.pipeline(),
        )

    def rollback(self, name: str, to: str, *, why: str = "") -> Rollback:
        """What a rollback of this service asks for."""
        return Rollback(self.service(name), self.origin(why), to, pipeline=sources.pipeline())

    def promotion(self, name: str, release: str, *, why: str = "") -> Promotion:
        """What a promotion of this service's candidate asks for."""
        return Promotion(self.service(name), self.origin(why), release, pipeline=sources.pipeline())

    def abort(self, name: str, release: str, *, why: str = "") -> Abort:
        """What the end of this service's candidate asks for."""
        return Abort(self.service(name), self.origin(why), release, pipeline=sources.pipeline())

    def scale(self, name: str, replicas: int, *, why: str = "") -> Scale:
        """What another scale of this service asks for."""
        return Scale(self.service(name), self.origin(why), replicas, pipeline=sources.pipeline())

    @property
    def pipeline(self) -> str:
        """The address of the pipeline that runs this, "" outside of one."""
        return sources.pipeline()

    def origin(self, why: str) -> Origin:
        """Who acts now, and why, from what revision."""
        return self._origin(why, dirty=False)

    def _origin(self, why: str, *, dirty: bool) -> Origin:
        return Origin(
            revision=self.checkout.revision,
            dirty=dirty,
            who=sources.who(),
            when=self.clock.now(),
            why=why,
            tool_version=__version__,
        )

    def _known(self, name: str, image_id: str) -> str:
        digest = self.registry.digest_of(name, short_id(image_id))
        return f"{self.registry.name}/{name}@{digest or image_id}"

    def _parts(self, environment: Environment, *, push: bool) -> tuple[Part, ...]:
        deploy = ROOT / "deploy"
        edge = edge_part(
            self._base_digest("edge", push=push),
            sources.read_text(deploy / "edge.yml"),
            sources.read_text(deploy / "edge-on-host.yml"),
            sources.read_text(deploy / "nginx" / "nginx.conf"),
            environment.edge,
        )
        metrics = environment.metrics
        keeper = keeper_part(
            self._base_digest("python", push=push),
            sources.read_text(deploy / "keeper.yml"),
            {
                file.name: sources.read_text(file)
                for file in sorted((ROOT / "libs" / "keeper").glob("*.py"))
                if not file.name.endswith("_test.py")
            },
        )
        if metrics is None:
            return (edge, keeper)
        password = sources.read_text(Path(metrics.password_file)).strip()
        return (
            edge,
            keeper,
            metrics_part(
                self._base_digest("prometheus", push=push),
                metrics,
                cert=sources.read_text(Path(metrics.cert)),
                key=sources.read_text(Path(metrics.key)),
                password=password,
                password_hash=bcrypt.hashpw(password.encode(), bcrypt.gensalt(10)).decode(),
                interval_s=metrics.interval_s,
            ),
            exporter_part(
                self._base_digest("python", push=push),
                sources.read_package(ROOT / "libs" / "exporter"),
                environment.edge,
            ),
        )

    @cached_property
    def engine(self) -> Engine:
        """This machine's Docker engine."""
        return Engine()

    @cached_property
    def bases(self) -> Bases:
        """The base images of this checkout."""
        recipes = ROOT / "deploy" / "base"
        try:
            debian = mirror(os.environ)
        except ToolchainError as error:
            raise ConfigError(error.failed, hint=error.next_command) from error
        return Bases(recipes, self._cache, self.engine, self.say, mirror=debian)

    @property
    def _cache(self) -> Path:
        return find_places(os.environ).cache

    def build(self, name: str) -> BuiltImage:
        """The service's image of this checkout, built unless nothing changed."""
        return images.build(self.service(name), self._workshop)

    def publish(self, name: str) -> str:
        """The service's image of this checkout as `name@sha256:...`, built and pushed where it isn't."""
        return images.publish(self.build(name), self.engine, self.registry, self.say)

    def publish_parts(self) -> None:
        """Pushes what hosts run beside the services, so that a deploy needs no right to push."""
        self._parts(self.environment(), push=True)

    @cached_property
    def _workshop(self) -> images.Workshop:
        return images.Workshop(
            packager=Pants(ROOT),
            history=GitHistory(ROOT),
            memory=FileMemory(self._cache / "images"),
            engine=self.engine,
            probe=self.probe,
            clock=self.clock,
            say=self.say,
            ensure_base=lambda: self.bases.ensure("python"),
        )

    def _base_digest(self, name: str, *, push: bool) -> str:
        key, ensure = self.bases.key(name), lambda: self.bases.ensure(name)
        if not push:
            digest = self.registry.digest_of(name, key)
            return f"{self.registry.name}/{name}@{digest or key}"
        return images.publish_base(name, key, ensure, self.engine, self.registry, self.say)

    def journeys(self, file: str, keep: Path, *, report: bool = False) -> Journeys:
        """The journeys in a file of this checkout, with a folder for what they leave.

        With `report` they tell the environment's Pushgateway how they went.
        """
        environment = self.environment()
        metrics = environment.metrics if report else None
        gateway = metrics.pushgateway_url if metrics else ""
        return Journeys(ROOT, file, keep, pushgateway=gateway, environment=environment.name)

    @contextmanager
    def preview(self) -> Iterator[str]:
        """A URL of this machine that leads to the first host's preview route while the context lives."""
        host, port = self._hosts[0], self.environment().edge.preview_port
        with forwarded(lambda: host.dial(port)) as local:
            yield f"http://127.0.0.1:{local}"

    def run_journeys(self, url: str) -> None:
        """Runs every service's browser journeys against a URL. Raises ShipError with where the evidence lies."""
        kept = ROOT / "dist" / "e2e"
        files = sorted({each.journeys for each in self.services.values() if each.journeys})
        if not all(self.journeys(file, kept).run(url) for file in files):
            raise JourneysFailedError(
                "the browser journeys failed; the release is live",
                hint=f"screenshots and traces are in {kept.relative_to(ROOT)}",
            )

    def stop_engine_if_ours(self) -> bool:
        """Stops the Docker engine if `up` started it. Returns whether it did."""
        return stop_if_ours(by="up")

    def _close(self) -> None:
        for host in self.__dict__.get("_hosts", ()):
            host.close()
        for other in self.__dict__.get("_others", ()):
            other.close()
        if "_logins" in self.__dict__:
            self._logins.close()
