"""Deploys with plain Docker Compose: docker build, docker push, docker compose up --scale app=5, an nginx upstream."""

from __future__ import annotations

import io
import shutil
import tarfile
from dataclasses import dataclass
from pathlib import Path

import docker
from docker.models.containers import Container

from bench.registry import RegistryAccount
from e2e.live_sandbox import HostContainer
from e2e.loadgen.replicas import find_replicas

HERE = Path(__file__).parent / "plain"
FOLDER = "/srv/plain"
PORT = 8070
REPLICAS = 5


@dataclass(frozen=True)
class PlainCompose:
    """Deploys the app on a host of a sandbox as a person at its shell would. All that it creates is named `plain`."""

    engine: docker.DockerClient
    account: RegistryAccount
    host: HostContainer
    registry: str
    nginx: str

    @property
    def url(self) -> str:
        return f"http://{self.host.address}:{PORT}"

    def build(self, sources: Path, tag: str, base: str, index: str, pip: str) -> str:
        """Builds the image with pip from `index`. Returns its name on this machine."""
        name = f"{self.account.address}/plain:{tag}"
        self.engine.images.build(
            path=str(sources),
            tag=name,
            rm=True,
            network_mode="host",
            buildargs={"BASE": base, "INDEX": index, "PIP": pip},
        )
        return name

    def push(self, name: str) -> dict[str, int]:
        """Pushes an image. Returns the size of each of its blobs in the registry, by digest."""
        login = {"username": self.account.user, "password": self.account.password}
        for line in self.engine.images.push(name, auth_config=login, stream=True, decode=True):
            if "error" in line:
                raise RuntimeError(str(line["error"]))
        return self.account.blobs("plain", name.rpartition(":")[2])

    def install(self) -> None:
        """Copies the compose file and nginx.conf to the host and logs its Docker in to the registry."""
        self.host.put(FOLDER, _packed(HERE, ("compose.yml", "nginx.conf")))
        self.host.put(FOLDER, _packed_text("password", self.account.password))
        login = f"docker login -u {self.account.user} --password-stdin {self.registry} < {FOLDER}/password"
        self.host.run("sh", "-c", login)

    def up(self, tag: str) -> None:
        """Pulls the image and starts, or replaces, five replicas and nginx."""
        image = f"{self.registry}/plain:{tag}"
        variables = [f"IMAGE={image}", f"NGINX={self.nginx}", f"RELEASE={tag}", f"PORT={PORT}"]
        compose = ["env", "-C", FOLDER, *variables, "docker", "compose", "-p", "plain"]
        self.host.run(*compose, "up", "-d", "--quiet-pull", "--scale", f"app={REPLICAS}")

    def await_up(self) -> None:
        """Waits until the app answers through nginx."""
        if not find_replicas(self.url, count=1, within_s=60):
            raise RuntimeError(f"{self.url} doesn't answer")

    def start(self, name: str) -> Container:
        """Starts one container of an image on this machine."""
        return self.engine.containers.run(name, detach=True, labels={"py-cicd.bench": "plain"})

    def remove(self) -> None:
        """Removes everything that it created on the host."""
        variables = ["IMAGE=none", "NGINX=none"]
        self.host.run(
            "env", "-C", FOLDER, *variables, "docker", "compose", "-p", "plain", "down", "-t", "1"
        )
        self.host.run("docker", "logout", self.registry)
        self.host.run("rm", "-rf", FOLDER)


def lay_out(checkout: Path, folder: Path) -> Path:
    """Copies the Dockerfile and the sources of the app into a new build folder, which it returns."""
    unwanted = shutil.ignore_patterns(
        "*_test.py", "*_fixture.py", "BUILD", "__pycache__", "Dockerfile"
    )
    shutil.copytree(checkout / "services" / "app", folder / "app", ignore=unwanted)
    shutil.copytree(checkout / "libs" / "telemetry", folder / "telemetry", ignore=unwanted)
    for name in ("Dockerfile", "requirements.txt"):
        shutil.copy(HERE / name, folder / name)
    return folder


def _packed(folder: Path, names: tuple[str, ...]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name in names:
            archive.add(folder / name, name)
    return buffer.getvalue()


def _packed_text(name: str, text: str) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        entry = tarfile.TarInfo(name)
        entry.size, entry.mode = len(text.encode()), 0o600
        archive.addfile(entry, io.BytesIO(text.encode()))
    return buffer.getvalue()
