"""Builds and publishes the images of this checkout, and makes the stacks that hosts run.

The adapters of ECR and Docker are imported at first use: importing their libraries takes longer than most verbs do.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, assert_never

from deploy.adapters import files
from deploy.adapters.base_images import Bases, read_recipe
from deploy.adapters.config import loader
from deploy.adapters.file_cache import FileCache
from deploy.adapters.git.image_history import GitHistory
from deploy.adapters.pants.packager import PantsPackager
from deploy.cli.wiring.settings import ROOT, Settings
from deploy.core.config import Environment, Service
from deploy.core.images.oci import BuiltImage, short_id
from deploy.core.ports import Clock, Probe, Say
from deploy.core.stacks.definitions import (
    EXPORTER_PACKAGES,
    WATCHDOG_PACKAGES,
    StackName,
    base_of,
    edge_stack,
    exporter_stack,
    metrics_stack,
    stack_names,
    watchdog_stack,
)
from deploy.core.state.secrets import Know, Secret
from deploy.core.state.stack import Stack
from deploy.errors import ConfigError, EngineError
from deploy.run import images
from sandbox import state
from toolchain.builds import building, no_build
from toolchain.errors import ToolchainError
from toolchain.paths import find_paths
from toolchain.tools.debian import mirror

if TYPE_CHECKING:
    from deploy.adapters.aws.ecr import EcrRegistry
    from deploy.adapters.docker import DockerEngine
    from deploy.adapters.image_record import ImageRecord
    from deploy.core.images.ports import NameRecord

RECIPES = ROOT / "deploy" / "base"


class Images:
    """Builds with this machine's engine and Pants, publishes to the environment's registry."""

    def __init__(
        self, settings: Settings, probe: Probe, clock: Clock, say: Say, know: Know
    ) -> None:
        self._settings = settings
        self._probe = probe
        self._clock = clock
        self._say = say
        self._know = know
        self.keeps_record = True
        """Whether images that are made here belong to the sandbox, so that `ship down` removes them."""
        self._published: dict[str, str] = {}
        self._inputs: dict[str, tuple[str, ...]] = {}

    @cached_property
    def registry(self) -> EcrRegistry:
        """The environment's registry."""
        from deploy.adapters.aws.ecr import EcrRegistry

        registry = self._settings.environment().registry
        if registry.credentials:
            loader.path_of(registry.credentials)
        return EcrRegistry(registry, self._know)

    @cached_property
    def engine(self) -> DockerEngine:
        """This machine's Docker engine. It records the names of images that it makes for a sandbox."""
        from deploy.adapters.docker import DockerEngine

        return DockerEngine(self._name_record())

    def _name_record(self) -> NameRecord | None:
        if not self.keeps_record or self._settings.env != "sandbox":
            return None
        name = self._settings.sandbox_name
        return self.record.of(name) if name in state.names() else None

    @cached_property
    def record(self) -> ImageRecord:
        """The names of images that this user's sandboxes made or use."""
        from deploy.adapters.image_record import ImageRecord

        return ImageRecord(find_paths(os.environ).state / "images.json")

    def remove_names(self) -> tuple[list[str], dict[str, str]]:
        """Removes the names of images that removed sandboxes made, and that nobody uses.

        Returns them, and the reason for each that stays. While an image is being built, all stay until the next call.
        """
        from deploy.adapters.docker import DockerEngine

        removed, left = self._settings.sandbox_name, state.names()
        with no_build(find_paths(os.environ).state) as alone:
            if alone:
                return self.record.release(removed, left, DockerEngine().untag)
        kept = self.record.release(removed, left, _refuse)[1]
        return [], kept

    @cached_property
    def bases(self) -> Bases:
        """The base images of this checkout."""
        try:
            debian = mirror(os.environ)
        except ToolchainError as error:
            raise ConfigError(error.failed, hint=error.next_command) from error
        return Bases(RECIPES, self._cache, self.engine, self._say, mirror=debian)

    @property
    def _cache(self) -> Path:
        return find_paths(os.environ).cache

    def build(self, name: str) -> BuiltImage:
        """Returns the image of a service in this checkout; builds it unless nothing changed."""
        with building(find_paths(os.environ).state):
            return images.build(*self._to_build(name))

    def is_built(self, name: str) -> bool:
        """Returns whether the image of a service in this checkout was built before."""
        return images.is_built(self._settings.services[name], self._build_context)

    def read_inputs(self, names: Iterable[str]) -> None:
        """Starts Pants and asks it for the input files of these services' images, for `build_for_any`."""
        for name in names:
            service = self._settings.services[name]
            self._inputs[name] = self._build_context.packager.inputs(service.image)

    def build_for_any(self, name: str) -> BuiltImage:
        """Does the same as `build` before there is an environment: an image is the same for all of them."""
        service, inputs = self._settings.services[name], self._inputs.get(name, ())
        with building(find_paths(os.environ).state):
            return images.build(service, self._build_context, inputs)

    def publish(self, name: str) -> str:
        """Returns a service's image as `name@sha256:...`; builds and pushes it if the registry lacks it."""
        with building(find_paths(os.environ).state):
            return images.ensure_published(*self._to_build(name), self.registry)

    def _to_build(self, name: str) -> tuple[Service, images.BuildContext]:
        if (image := self._settings.job_images.get(name)) is None:
            return self._settings.service(name), self._build_context
        context = replace(
            self._build_context,
            ensure_base=lambda: [self.bases.ensure(base) for base in image.bases],
            smoke_test=images.job_test(image),
        )
        return image.service, context

    def publish_stacks(self) -> None:
        """Pushes the images of the stacks at once, so that a deploy needs no right to push.

        Reads none of the environment's secret files, which only deploying jobs have.
        """
        names = stack_names(self._settings.environment())
        bases = tuple(dict.fromkeys(base_of(name) for name in names))
        _ = self.engine, self.registry  # made once, before threads share them
        with (
            building(find_paths(os.environ).state),
            ThreadPoolExecutor(max_workers=len(bases)) as pool,
        ):
            for pushed in [pool.submit(self._base_digest, base, push=True) for base in bases]:
                pushed.result()

    def known(self, name: str, image_id: str) -> str:
        """Returns an image's reference: by digest if the registry has it, else by its local id."""
        digest = self.registry.digest_of(name, short_id(image_id))
        return f"{self.registry.name}/{name}@{digest or image_id}"

    def stacks(self, environment: Environment, *, push: bool) -> tuple[Stack, ...]:
        """Returns the stacks that hosts run beside the services. Without `push` no image is published."""
        names = stack_names(environment)
        with ThreadPoolExecutor(max_workers=1) as pool:
            # It takes about as long as the registry's answers.
            password_hash = pool.submit(_password_hash, environment, self._know)
            images = [self._base_digest(base_of(name), push=push) for name in names]
        return tuple(
            self._stack(name, environment, image, password_hash.result())
            for name, image in zip(names, images, strict=True)
        )

    def _stack(
        self, name: StackName, environment: Environment, image: str, password_hash: str
    ) -> Stack:
        deploy = ROOT / "deploy"
        match name:
            case StackName.EDGE:
                return edge_stack(
                    image,
                    files.read_text(deploy / "edge.yml"),
                    files.read_text(deploy / "edge-on-host.yml"),
                    files.read_text(deploy / "nginx" / "nginx.conf"),
                    environment.edge,
                )
            case StackName.WATCHDOG:
                watchdog_yml = files.read_text(deploy / "watchdog.yml")
                return watchdog_stack(image, watchdog_yml, _modules(WATCHDOG_PACKAGES))
            case StackName.METRICS:
                return _metrics_stack(image, environment, password_hash, self._know)
            case StackName.EXPORTER:
                return exporter_stack(image, _modules(EXPORTER_PACKAGES), environment.edge)
            case _:
                assert_never(name)

    @cached_property
    def _build_context(self) -> images.BuildContext:
        return images.BuildContext(
            packager=PantsPackager(ROOT),
            history=GitHistory(ROOT),
            cache=FileCache(self._cache / "images"),
            engine=self.engine,
            probe=self._probe,
            clock=self._clock,
            say=self._say,
            ensure_base=lambda: self.bases.ensure("python"),
            smoke_test=images.smoke_test,
        )

    def _base_digest(self, name: str, *, push: bool) -> str:
        key = read_recipe(RECIPES / name).key
        if name not in self._published:  # two stacks share a base; save a round trip
            if push:
                self._published[name] = images.publish_base(
                    name,
                    key,
                    lambda: self.bases.ensure(name),
                    lambda: self.engine,
                    self.registry,
                    self._say,
                )
            else:
                digest = self.registry.digest_of(name, key)
                self._published[name] = f"{self.registry.name}/{name}@{digest or key}"
        return self._published[name]


def _refuse(reference: str) -> None:
    del reference
    raise EngineError("a build that runs may use it; the next ./ship down removes it")


def _password_hash(environment: Environment, know: Know) -> str:
    """Returns the bcrypt hash of the password of the hosts' Prometheus, "" for an environment without one."""
    import bcrypt

    if environment.metrics is None:
        return ""
    password = files.read_text(loader.path_of(environment.metrics.password_file)).strip()
    know(Secret(password))
    return bcrypt.hashpw(password.encode(), bcrypt.gensalt(10)).decode()


def _metrics_stack(image: str, environment: Environment, password_hash: str, know: Know) -> Stack:
    metrics = environment.metrics
    assert metrics is not None, "only environments with [metrics] have this stack"
    password = files.read_text(loader.path_of(metrics.password_file)).strip()
    key = files.read_text(loader.path_of(metrics.key))
    know(Secret(key))
    return metrics_stack(
        image,
        metrics,
        cert=files.read_text(loader.path_of(metrics.cert)),
        key=key,
        password=password,
        password_hash=password_hash,
        interval_s=metrics.interval_s,
    )


def _modules(packages: Iterable[str]) -> dict[str, str]:
    """Returns the texts of packages under libs/, without their tests, by path (`watchdog/record.py`)."""
    return {
        f"{package}/{name}": text
        for package in packages
        for name, text in files.read_package(ROOT / "libs" / package).items()
    }
