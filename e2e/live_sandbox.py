"""A sandbox that the tests deploy to: its environment, its hosts, and clones of the checkout to deploy from."""

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
import docker.errors
from docker.models.containers import Container

from e2e.ship import Ship


def checkout(environ: Mapping[str, str] = os.environ) -> Path:
    """Returns the checkout under test: SHIP_ROOT, since Pants runs tests in a copy, else this file's."""
    return Path(environ.get("SHIP_ROOT") or Path(__file__).resolve().parents[1])


def state_folder(sandbox: str, environ: Mapping[str, str] = os.environ) -> Path:
    """Returns the folder in which a sandbox keeps its keys and its environment file."""
    home = environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(home) / "py-cicd" / sandbox


def fetch(url: str) -> dict[str, Any]:
    """Fetches a JSON document from the sandbox."""
    with urlopen(url, timeout=10) as answer:  # noqa: S310 - an address of our own
        document: dict[str, Any] = json.load(answer)
    return document


@contextmanager
def terminated_as_interrupt() -> Iterator[None]:
    """Turns SIGTERM (a timeout of Pants, the end of a job) into KeyboardInterrupt, so that clean-up runs."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@dataclass(frozen=True)
class LiveSandbox:
    """One sandbox, by name. Everything else is read from it."""

    ship: Ship

    @classmethod
    def named(cls, prefix: str, logs: Path) -> LiveSandbox:
        """Returns a sandbox that doesn't exist yet, with a unique name."""
        return cls(Ship(checkout(), f"{prefix}-{secrets.token_hex(3)}", logs))

    @property
    def name(self) -> str:
        return self.ship.sandbox

    @property
    def environment_file(self) -> Path:
        return state_folder(self.name) / "environment.toml"

    def environment(self) -> dict[str, Any]:
        return tomllib.loads(self.environment_file.read_text())

    def variant(self, folder: Path, more: str = "", **changed: tuple[str, str]) -> Path:
        """Copies the environment file with its keys into a folder, changes it, and returns its path.

        Each of `changed` is (old, new), where `old` occurs once in the text. `more` is appended.
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
        """Returns what `ship status --json` reports about the app."""
        found: dict[str, Any] = self.ship("status", "app").expect_success().document["services"][0]
        return found

    def replicas_up(self) -> list[dict[str, str]]:
        """Returns the labels of each of the app's replicas that Prometheus scraped in the last 20 seconds."""
        up = 'up{service="app",track="stable"}'
        # A restart of Prometheus leaves series of removed replicas behind for a while.
        recent = f"{up} == 1 and timestamp({up}) > time() - 20"
        return [series["metric"] for series in self.query(recent)]

    def query(self, query: str) -> list[dict[str, Any]]:
        """Runs a query in the environment's Prometheus; returns `metric` and `value` of each series."""
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

    def own_image_names(self) -> set[str]:
        """Returns the names in the engine that this sandbox made and that no other uses."""
        record = json.loads((state_folder(self.name).parent / "images.json").read_text())
        return {
            name for name, each in record.items() if each["made"] and each["users"] == [self.name]
        }

    def has_image(self, name: str) -> bool:
        """Returns whether the engine has an image of this name."""
        try:
            _engine().images.get(name)
        except docker.errors.ImageNotFound:
            return False
        return True

    def remains(self) -> list[str]:
        """Returns the names of everything of this sandbox that is left in the engine or on disk."""
        engine = _engine()
        label: dict[str, str | list[str] | bool] = {"label": f"py-cicd.sandbox={self.name}"}
        left = [str(item.name) for item in engine.containers.list(all=True, filters=label)]
        left += [str(item.name) for item in engine.networks.list(filters=label)]
        left += [str(item.name) for item in engine.volumes.list(filters=label)]
        folder = state_folder(self.name)
        return [*left, *([str(folder)] if folder.exists() else [])]


@dataclass(frozen=True)
class HostContainer:
    """The container that plays a host of a sandbox."""

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
        """The host's address on the sandbox's network, which this machine can reach."""
        self.container.reload()
        networks = self.container.attrs["NetworkSettings"]["Networks"]
        return str(next(iter(networks.values()))["IPAddress"])

    def stack_containers(self, stack: str, *, stopped: bool = False) -> list[str]:
        """Returns the sorted names of a stack's running containers; with `stopped`, also of those that don't run."""
        every = ("--all",) if stopped else ()
        label = ("--filter", f"label=py-cicd.name={stack}", "--format", "{{.Names}}")
        return sorted(self.run("docker", "ps", *every, *label).split())

    def image_of(self, stack: str) -> str:
        """Returns the image that a stack of the host runs, such as the edge's."""
        (name,) = self.stack_containers(stack)
        return self.run("docker", "inspect", "--format", "{{.Config.Image}}", name).strip()

    def replica_pid(self, container: str) -> str:
        """Returns the process id, on the host, of a replica's PID 1."""
        return self.run("docker", "inspect", "--format", "{{.State.Pid}}", container).strip()


def _engine() -> docker.DockerClient:
    return docker.from_env(version="auto")


@dataclass(frozen=True)
class Clone:
    """A clone of the checkout, to change and to deploy from. Tests put it at a path with a space."""

    root: Path

    @classmethod
    def of(cls, source: Path, root: Path) -> Clone:
        """Clones what is committed and copies over it what isn't."""
        clone = cls._made(source, root)
        listed = _git(source, "ls-files", "-z", "--modified", "--others", "--exclude-standard")
        for name in filter(None, listed.split("\0")):
            if (source / name).is_file():
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(source / name, root / name)
        clone.commit("What is not committed yet")
        return clone

    @classmethod
    def at(cls, source: Path, root: Path, revision: str) -> Clone:
        """Clones a revision of the checkout. Raises AssertionError if the checkout's history lacks it."""
        shallow = _git(source, "rev-parse", "--is-shallow-repository").strip() == "true"
        known = _git(source, "rev-list", "--all", "HEAD").split()
        complete = not shallow and any(full.startswith(revision) for full in known)
        assert complete, (
            f"{source} lacks revision {revision}: this test needs the full history. "
            f"Run: git -C {source} fetch --unshallow"
        )
        clone = cls._made(source, root)
        _git(root, "checkout", "-q", revision)
        return clone

    @classmethod
    def _made(cls, source: Path, root: Path) -> Clone:
        subprocess.run(["git", "clone", "-q", "--no-hardlinks", str(source), str(root)], check=True)
        return cls(root)

    def replace(self, path: str, old: str, new: str) -> None:
        """Changes a file. Raises AssertionError unless `old` occurs in it exactly once."""
        file = self.root / path
        text = file.read_text()
        assert text.count(old) == 1, f"{path} has {old!r} {text.count(old)} times"
        file.write_text(text.replace(old, new))

    def commit(self, message: str) -> str:
        """Commits every change, or an empty commit; returns the revision."""
        identity = ["-c", "user.name=A tester", "-c", "user.email=tester@example.org"]
        _git(self.root, "add", "--all")
        _git(self.root, *identity, "commit", "-q", "--allow-empty", "-m", message)
        return _git(self.root, "rev-parse", "HEAD").strip()

    def restore(self) -> None:
        """Discards changes that aren't committed."""
        _git(self.root, "checkout", "-q", "--", ".")


def _git(root: Path, *words: str) -> str:
    argv = ["git", "-c", "safe.directory=*", "-C", str(root), *words]
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout
