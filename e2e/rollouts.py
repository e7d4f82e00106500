"""Rollouts of the fixture service on a sandbox, run through ./ship of a clone that has the service."""

from __future__ import annotations

import itertools
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import docker

from e2e.live_sandbox import Clone, LiveSandbox
from e2e.ship import Ship, ShipCall, ShipResult

SERVICE = "fixture"
HOST_NAME = "fixture.test"
CI_VARIABLE = "PROOF_SECRET"


@dataclass(frozen=True)
class Rollouts:
    """The fixture's image in the sandbox's registry, and a clone whose ./ship knows the service.

    Releases differ in their variables and, if a test needs it, in their image: `image` or `another_image()`.
    """

    sandbox: LiveSandbox
    ship: Ship
    image: str
    folder: Path
    _number: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    @classmethod
    def on(cls, sandbox: LiveSandbox, folder: Path) -> Rollouts:
        """Makes a clone in which the fixture is a service; builds and publishes its image."""
        clone = Clone.of(sandbox.ship.root, folder / "clone")
        service = clone.root / "services" / SERVICE
        service.mkdir()
        shutil.copy2(clone.root / "e2e" / "fixture" / "service.toml", service)
        clone.commit("Make the fixture a service")
        ship = sandbox.ship.of(clone.root)
        ship = replace(ship, environ={**ship.environ, CI_VARIABLE: "of-the-proof"})
        return cls(sandbox, ship, _publish(ship), folder)

    def another_image(self) -> str:
        """Publishes another image of the fixture that behaves the same; returns its reference."""
        Clone(self.ship.root).replace("e2e/fixture/web.py", "LONGEST_S = 30.0", "LONGEST_S = 30.5")
        return _publish(self.ship)

    def forget(self, image: str) -> None:
        """Removes an image from the first host, so that the next rollout pulls it, unless replicas run it."""
        self.sandbox.host().run("sh", "-c", 'docker image rm --force "$1" || true', "rm", image)

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
        """Writes an environment file and returns its path.

        `env` are the service's variables, `hosts` those of the sandbox's hosts to deploy to, `relayed` the ports of
        relays by host, `settings` a TOML text for the service's override. `secret` gives the service a secret.
        """
        folder = self.folder / f"environment-{next(self._number)}"
        file = self.sandbox.variant(folder)
        text = only_hosts(file.read_text(), hosts)
        known = folder / "known_hosts"
        for host, port in (relayed or {}).items():
            before = port_of(text, host)
            text = text.replace(f"\nport = {before}\n", f"\nport = {port}\n")
            keys = known.read_text()
            known.write_text(keys.replace(f"]:{before} ", f"]:{port} "))
        variables = "".join(f'{name} = "{value}"\n' for name, value in (env or {}).items())
        override = f"\n[services.{service}]\n{settings}\n[services.{service}.env]\n{variables}"
        if secret:
            override += (
                f'\n[services.{service}.secrets]\n{CI_VARIABLE} = {{ env = "{CI_VARIABLE}" }}\n'
            )
        file.write_text(text + override)
        return file

    def change_edge(self) -> None:
        """Gives later releases another edge: adds a comment to nginx.conf."""
        file = self.ship.root / "deploy" / "nginx" / "nginx.conf"
        text = file.read_text().partition("\n# turn ")[0].rstrip("\n")
        file.write_text(f"{text}\n# turn {next(self._number)}\n")

    def start(self, words: tuple[str, ...], env: Path, events: Path | None = None) -> ShipCall:
        """Starts a command that writes its events to a file."""
        file = events or self.folder / f"events-{next(self._number):03d}.jsonl"
        return self.ship.start(*words, "--events", str(file), env=env)

    def deploy(self, env: Path, *more: str, events: Path | None = None) -> ShipResult:
        """Deploys the image with this environment and waits for the end."""
        words = ("deploy", SERVICE, "--image", self.image, *more)
        return self.start(words, env, events).wait()

    def of_pipeline(self, address: str) -> Rollouts:
        """Returns rollouts that run as a job of the pipeline at this address."""
        environ = {**self.ship.environ, "CI_PIPELINE_URL": address}
        return replace(self, ship=replace(self.ship, environ=environ))

    @contextmanager
    def registry_down(self) -> Iterator[None]:
        """Pauses the sandbox's registry while the context lives."""
        registry = docker.from_env(version="auto").containers.get(
            f"py-cicd-{self.sandbox.name}-registry"
        )
        registry.pause()
        try:
            yield
        finally:
            registry.unpause()

    def live(self, env: Path) -> str | None:
        """Returns the live release; None if there is none or the hosts differ."""
        (service,) = self.ship("status", SERVICE, env=env).expect_success().document["services"]
        release: str | None = service["release"]
        return release


def _publish(ship: Ship) -> str:
    (published,) = ship("publish", SERVICE).expect_success().document["images"]
    return str(published["image"])


def only_hosts(text: str, names: tuple[str, ...]) -> str:
    """Returns the text of an environment file with only these hosts."""
    head, *blocks = re.split(r"(?m)^(?=\[\[hosts\]\]$)", text)
    kept = [block for block in blocks if any(f'name = "{name}"\n' in block for name in names)]
    assert len(kept) == len(names), f"not all of {names} are there"
    return head + "".join(kept)


def port_of(text: str, host: str) -> int:
    """Returns the port of a host's sshd from the text of an environment file."""
    block = next(part for part in text.split("[[hosts]]") if f'name = "{host}"\n' in part)
    found = re.search(r"(?m)^port = (\d+)$", block)
    assert found, block
    return int(found[1])
