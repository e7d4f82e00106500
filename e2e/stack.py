"""A stack of a test's own: a sandbox with the service deployed, and eyes inside its hosts."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import subprocess
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any
from urllib.parse import quote
from urllib.request import urlopen

import docker
from docker.models.containers import Container

from e2e.ship import Ship


def checkout(environ: Mapping[str, str] = os.environ) -> Path:
    """The checkout under test: SHIP_ROOT, since Pants runs tests in a copy, else the one this file is in."""
    return Path(environ.get("SHIP_ROOT") or Path(__file__).resolve().parents[1])


def state_folder(sandbox: str, environ: Mapping[str, str] = os.environ) -> Path:
    """Where a sandbox keeps its keys and its environment file."""
    home = environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(home) / "py-cicd" / sandbox


def fetch(url: str) -> dict[str, Any]:
    """Gets a JSON document of the stack."""
    with urlopen(url, timeout=10) as answer:  # noqa: S310 - an address of our own
        document: dict[str, Any] = json.load(answer)
    return document


@contextmanager
def terminated_as_interrupt() -> Iterator[None]:
    """Lets a SIGTERM (a timeout of Pants, the end of a job) run what cleans up."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@dataclass(frozen=True)
class Stack:
    """One sandbox, by name; everything else is asked of it."""

    ship: Ship

    @classmethod
    def named(cls, prefix: str, notes: Path) -> Stack:
        """A stack that isn't there yet, with a name nobody has."""
        return cls(Ship(checkout(), f"{prefix}-{secrets.token_hex(3)}", notes))

    @property
    def name(self) -> str:
        return self.ship.sandbox

    @property
    def environment_file(self) -> Path:
        return state_folder(self.name) / "environment.toml"

    def environment(self) -> dict[str, Any]:
        return tomllib.loads(self.environment_file.read_text())

    def variant(self, folder: Path, more: str = "", **changed: tuple[str, str]) -> Path:
        """Copies the environment with its keys into a folder; returns the changed environment file.

        Each of `changed` is (old, new), `old` once in the text; `more` is added at the end.
        """
        shutil.copytree(state_folder(self.name), folder, dirs_exist_ok=True)
        file = folder / "environment.toml"
        text = file.read_text()
        for old, new in changed.values():
            assert text.count(old) == 1, f"{old!r} is there {text.count(old)} times"
            text = text.replace(old, new)
        file.write_text(f"{text}\n{more}\n")
        return file

    def service(self) -> dict[str, Any]:
        """The service's part of `ship status --json`."""
        found: dict[str, Any] = self.ship("status", "app").must().document["services"][0]
        return found

    def replicas_up(self) -> list[dict[str, str]]:
        """The labels of each replica that the environment's Prometheus found up lately."""
        up = 'up{service="app",track="stable"}'
        lately = (
            f"{up} == 1 and timestamp({up}) > time() - 20"  # a restart of it leaves ghosts behind
        )
        return [each["metric"] for each in self.query(lately)]

    def query(self, query: str) -> list[dict[str, Any]]:
        """What the environment's Prometheus answers: `metric` and `value` of each series."""
        url = self.environment()["metrics"]["prometheus_url"]
        found: list[dict[str, Any]] = fetch(f"{url}/api/v1/query?query={quote(query)}")["data"][
            "result"
        ]
        return found

    @property
    def url(self) -> str:
        return str(self.environment()["hosts"][0]["url"])

    @property
    def release(self) -> str:
        return str(self.service()["release"])

    def host(self, number: int = 1) -> HostContainer:
        return HostContainer(_engine().containers.get(f"py-cicd-{self.name}-host-{number}"))

    def remains(self) -> list[str]:
        """Names everything of this sandbox that the engine or the disk still holds."""
        engine = _engine()
        ours: dict[str, str | list[str] | bool] = {"label": f"py-cicd.sandbox={self.name}"}
        left = [str(each.name) for each in engine.containers.list(all=True, filters=ours)]
        left += [str(each.name) for each in engine.networks.list(filters=ours)]
        left += [str(each.name) for each in engine.volumes.list(filters=ours)]
        folder = state_folder(self.name)
        return [*left, *([str(folder)] if folder.exists() else [])]


@dataclass(frozen=True)
class HostContainer:
    """A host of a sandbox, seen from the machine that it runs on."""

    container: Container

    def run(self, *argv: str) -> str:
        """Runs a command as root on the host. Raises AssertionError with its output if it fails."""
        done = self.container.exec_run(list(argv))
        assert isinstance(done.output, bytes)
        text = done.output.decode(errors="replace")
        assert done.exit_code == 0, f"{' '.join(argv)}: {done.exit_code}\n{text}"
        return text

    def put(self, folder: str, archive: bytes) -> None:
        """Unpacks a tar archive into a folder of the host."""
        self.run("mkdir", "-p", folder)
        assert self.container.put_archive(folder, archive)

    @property
    def address(self) -> str:
        """Its address on the sandbox's network, which this machine reaches."""
        self.container.reload()
        networks = self.container.attrs["NetworkSettings"]["Networks"]
        return str(next(iter(networks.values()))["IPAddress"])

    def image_of(self, part: str) -> str:
        """The image that the edge or the host's Prometheus runs."""
        labelled = f"label=py-cicd.name={part}"
        found = self.run("docker", "ps", "--quiet", "--filter", labelled).strip()
        return self.run("docker", "inspect", "--format", "{{.Config.Image}}", found).strip()

    def replica_pid(self, container: str) -> str:
        """The process id, on the host, of a replica's PID 1."""
        return self.run("docker", "inspect", "--format", "{{.State.Pid}}", container).strip()


def _engine() -> docker.DockerClient:
    return docker.from_env(version="auto")


@dataclass(frozen=True)
class Clone:
    """A clone of the checkout to change and deploy from; its path has a space."""

    root: Path

    @classmethod
    def of(cls, source: Path, root: Path) -> Clone:
        """Clones what is committed, and copies over it what isn't yet."""
        subprocess.run(["git", "clone", "-q", "--no-hardlinks", str(source), str(root)], check=True)
        clone = cls(root)
        listed = _git(source, "ls-files", "-z", "--modified", "--others", "--exclude-standard")
        for name in filter(None, listed.split("\0")):
            if (source / name).is_file():
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(source / name, root / name)
        clone.commit("What is not committed yet")
        return clone

    def replace(self, path: str, old: str, new: str) -> None:
        """Changes a file. Raises AssertionError where `old` isn't in it once."""
        file = self.root / path
        text = file.read_text()
        assert text.count(old) == 1, f"{path} has {old!r} {text.count(old)} times"
        file.write_text(text.replace(old, new))

    def commit(self, message: str) -> str:
        """Commits everything, if there is anything; returns the revision."""
        identity = ["-c", "user.name=A tester", "-c", "user.email=tester@example.org"]
        _git(self.root, "add", "--all")
        _git(self.root, *identity, "commit", "-q", "--allow-empty", "-m", message)
        return _git(self.root, "rev-parse", "HEAD").strip()

    def restore(self) -> None:
        """Takes back what isn't committed."""
        _git(self.root, "checkout", "-q", "--", ".")


def _git(root: Path, *words: str) -> str:
    argv = ["git", "-c", "safe.directory=*", "-C", str(root), *words]
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout
