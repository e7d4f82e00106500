"""Rollouts of the fixture service on a stack, as a user does them, from a clone that has it; it judges nothing."""

from __future__ import annotations

import itertools
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import docker

from e2e.ship import Call, Ended, Ship
from e2e.stack import Clone, Stack

SERVICE = "fixture"
HOST_NAME = "fixture.test"
CI_VARIABLE = "PROOF_SECRET"


@dataclass(frozen=True)
class Rollouts:
    """The fixture's image on a stack's registry, and a checkout whose ./ship knows the service.

    Releases differ in their environment, and where a test wants it, in their image: `image` or `another_image()`.
    """

    stack: Stack
    ship: Ship
    image: str
    folder: Path
    _number: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    @classmethod
    def on(cls, stack: Stack, folder: Path) -> Rollouts:
        """Builds and publishes the fixture from a clone in which it is a service."""
        clone = Clone.of(stack.ship.root, folder / "clone")
        service = clone.root / "services" / SERVICE
        service.mkdir()
        shutil.copy2(clone.root / "e2e" / "fixture" / "service.toml", service)
        clone.commit("Make the fixture a service")
        ship = stack.ship.of(clone.root)
        ship = replace(ship, environ={**ship.environ, CI_VARIABLE: "of-the-proof"})
        return cls(stack, ship, _published(ship), folder)

    def another_image(self) -> str:
        """Publishes the fixture from another text of its program, which does the same."""
        Clone(self.ship.root).replace("e2e/fixture/web.py", "LONGEST_S = 30.0", "LONGEST_S = 30.5")
        return _published(self.ship)

    def forget(self, image: str) -> None:
        """Takes an image from the first host, so that the next rollout pulls it; stays where replicas run it."""
        self.stack.host().run("sh", "-c", 'docker image rm --force "$1" || true', "rm", image)

    def environment(
        self,
        *,
        env: Mapping[str, str] | None = None,
        settings: str = "",
        hosts: tuple[str, ...] = ("host-1",),
        relayed: Mapping[str, int] | None = None,
        service: str = SERVICE,
        secret: bool = False,
    ) -> Path:
        """Makes an environment file: what this release is told, and on which of the stack's hosts.

        `relayed` are ports of relays by host; `settings` stands in the service's override; `secret` gives it one.
        """
        folder = self.folder / f"environment-{next(self._number)}"
        file = self.stack.variant(folder)
        text = only_hosts(file.read_text(), hosts)
        known = folder / "known_hosts"
        for host, port in (relayed or {}).items():
            before = port_of(text, host)
            text = text.replace(f"\nport = {before}\n", f"\nport = {port}\n")
            keys = known.read_text()
            known.write_text(keys.replace(f"]:{before} ", f"]:{port} "))
        told = "".join(f'{name} = "{value}"\n' for name, value in (env or {}).items())
        override = f"\n[services.{service}]\n{settings}\n[services.{service}.env]\n{told}"
        if secret:
            override += (
                f'\n[services.{service}.secrets]\n{CI_VARIABLE} = {{ env = "{CI_VARIABLE}" }}\n'
            )
        file.write_text(text + override)
        return file

    def change_edge(self) -> None:
        """From now on releases come with another text of nginx's, which says the same."""
        file = self.ship.root / "deploy" / "nginx" / "nginx.conf"
        text = file.read_text().partition("\n# turn ")[0].rstrip("\n")
        file.write_text(f"{text}\n# turn {next(self._number)}\n")

    def start(self, words: tuple[str, ...], env: Path, events: Path | None = None) -> Call:
        """Starts a verb, with its events in a file."""
        file = events or self.folder / f"events-{next(self._number):03d}.jsonl"
        return self.ship.start(*words, "--events", str(file), env=env)

    def deploy(self, env: Path, *more: str, events: Path | None = None) -> Ended:
        """Deploys the image with this environment, to the end."""
        words = ("deploy", SERVICE, "--image", self.image, *more)
        return self.start(words, env, events).ended()

    def of_pipeline(self, address: str) -> Rollouts:
        """The same, as a job of this pipeline does them."""
        environ = {**self.ship.environ, "CI_PIPELINE_URL": address}
        return replace(self, ship=replace(self.ship, environ=environ))

    @contextmanager
    def registry_down(self) -> Iterator[None]:
        """The stack's registry doesn't answer while the context lives."""
        registry = docker.from_env(version="auto").containers.get(
            f"py-cicd-{self.stack.name}-registry"
        )
        registry.pause()
        try:
            yield
        finally:
            registry.unpause()

    def live(self, env: Path) -> str:
        """The release that status tells to be live, "" for none or a mixed fleet."""
        (service,) = self.ship("status", SERVICE, env=env).must().document["services"]
        return str(service["release"] or "")


def _published(ship: Ship) -> str:
    (published,) = ship("publish", SERVICE).must().document["images"]
    return str(published["image"])


def only_hosts(text: str, names: tuple[str, ...]) -> str:
    """Leaves only these hosts in an environment file."""
    head, *blocks = re.split(r"(?m)^(?=\[\[hosts\]\]$)", text)
    kept = [block for block in blocks if any(f'name = "{name}"\n' in block for name in names)]
    assert len(kept) == len(names), f"not all of {names} are there"
    return head + "".join(kept)


def port_of(text: str, host: str) -> int:
    """The port of a host's sshd in an environment file."""
    block = next(part for part in text.split("[[hosts]]") if f'name = "{host}"\n' in part)
    found = re.search(r"(?m)^port = (\d+)$", block)
    assert found, block
    return int(found[1])
