"""What an image depends on, shown on a real engine, a real build and a real registry."""

from __future__ import annotations

import io
import logging
import os
import shutil
import socket
import subprocess
import tarfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

import bcrypt
import docker
import pytest
from moto.server import ThreadedMotoServer

from deploy.adapters.aws.ecr import EcrRegistry
from deploy.adapters.base_images import Bases
from deploy.adapters.clock import SystemClock
from deploy.adapters.config import loader
from deploy.adapters.docker import Engine
from deploy.adapters.file_cache import FileMemory
from deploy.adapters.git.image_history import GitHistory
from deploy.adapters.pants.packager import Pants
from deploy.adapters.probe import HttpProbe
from deploy.core.config import Registry
from deploy.core.images.oci import BuiltImage
from deploy.errors import RegistryAuthError
from deploy.run.images import BuildContext, build, publish, smoke_test
from e2e.stack import Clone, checkout
from toolchain.paths import find_paths
from toolchain.tools.debian import mirror

ACCOUNT = "123456789012"
PASSWORD = f"{ACCOUNT}-auth-token"  # what moto gives
BASE_LIMIT_MB = 60
APP_LIMIT_MB = 25
HEALTHCHECK_LIMIT_BYTES = 8192


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine()


@pytest.fixture(scope="module")
def bases(engine: Engine) -> Bases:
    """The bases of the checkout under test, from the tool cache where they are there."""
    cache = find_paths(os.environ).cache
    recipes = checkout() / "deploy" / "base"
    return Bases(recipes, cache, engine, print, mirror=mirror(os.environ))


@dataclass(frozen=True)
class Shop:
    """A clone with what builds its image, which remembers nothing of other clones."""

    clone: Clone
    workshop: BuildContext

    def build(self) -> BuiltImage:
        return build(loader.load_services(self.clone.root)["app"], self.workshop)


@pytest.fixture(scope="module")
def shop(engine: Engine, bases: Bases, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    folder = tmp_path_factory.mktemp("one")
    clone = Clone.of(checkout(), folder / "clone")
    yield _shop(clone, engine, bases, folder)
    _end_daemon(clone)


def _end_daemon(clone: Clone) -> None:
    """Pants' daemon ends by itself when its notes are gone."""
    shutil.rmtree(clone.root / ".pids", ignore_errors=True)


def _shop(clone: Clone, engine: Engine, bases: Bases, notes: Path) -> Shop:
    workshop = BuildContext(
        packager=Pants(clone.root),
        history=GitHistory(clone.root),
        memory=FileMemory(notes / "memory"),
        engine=engine,
        probe=HttpProbe(),
        clock=SystemClock(),
        say=print,
        ensure_base=lambda: bases.ensure("python"),
        try_out=smoke_test,
    )
    return Shop(clone, workshop)


@pytest.fixture(scope="module")
def image(shop: Shop) -> BuiltImage:
    return shop.build()


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def ecr(moto: str, tmp_path: Path) -> Registry:
    """A control plane to log in at; where the registry itself is comes with `push_via`."""
    credentials = tmp_path / "credentials"
    credentials.write_text("[default]\naws_access_key_id = a\naws_secret_access_key = b\n")
    return Registry(ACCOUNT, "us-east-1", moto, credentials=str(credentials))


@contextmanager
def _serving(image: str, password: str) -> Iterator[str]:
    """Yields the address of a registry of its own that takes user AWS with this password."""
    users = f"AWS:{bcrypt.hashpw(password.encode(), bcrypt.gensalt(4)).decode()}\n"
    free_port: Any = {"5000/tcp": ("127.0.0.1", None)}
    container = docker.from_env().containers.create(
        image,
        environment={
            "REGISTRY_AUTH": "htpasswd",
            "REGISTRY_AUTH_HTPASSWD_REALM": "test",
            "REGISTRY_AUTH_HTPASSWD_PATH": "/var/lib/registry/users",
        },
        ports=free_port,
    )
    try:
        container.put_archive("/var/lib/registry", _packed("users", users.encode()))
        container.start()
        container.reload()
        published: Any = container.ports
        address = f"127.0.0.1:{published['5000/tcp'][0]['HostPort']}"
        _await_status(f"http://{address}/v2/", 401)
        yield address
    finally:
        container.remove(force=True, v=True)


def _packed(name: str, content: bytes) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        member = tarfile.TarInfo(name)
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    return packed.getvalue()


def _await_status(url: str, status: int) -> None:
    clock, probe = SystemClock(), HttpProbe()
    deadline = clock.monotonic() + 20
    while probe.get(url).status != status:
        assert clock.monotonic() < deadline, f"{url} does not answer {status}"
        clock.sleep(0.05)


@pytest.fixture
def uncached(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Has every `docker build` of Pants start from nothing."""
    real = shutil.which("docker")
    program = tmp_path / "bin" / "docker"
    program.parent.mkdir()
    program.write_text(
        f'#!/bin/sh\n[ "$1" = build ] && {{ shift; exec {real} build --no-cache "$@"; }}\n'
        f'exec {real} "$@"\n'
    )
    program.chmod(0o755)
    # Not on the PATH, which is part of what Pants keeps results by.
    monkeypatch.setenv("PANTS_DOCKER_EXECUTABLE_SEARCH_PATHS", f"['{program.parent}', '<PATH>']")


@pytest.mark.usefixtures("uncached")
def test_the_same_commit_in_another_folder_is_the_same_image_in_any_registry(
    shop: Shop,
    image: BuiltImage,
    engine: Engine,
    bases: Bases,
    ecr: Registry,
    tmp_path: Path,
) -> None:
    other = Clone.of(shop.clone.root, tmp_path / "another clone")
    # `Clone.of` commits once more, without a change.
    try:
        assert _shop(other, engine, bases, tmp_path).build() == image
    finally:
        _end_daemon(other)
    published = []
    for _ in range(2):  # each knows nothing of the other
        with _serving(bases.ensure("registry"), PASSWORD) as address:
            registry = EcrRegistry(replace(ecr, push_via=address))
            published.append(publish(image, engine, registry, print))
            registry.require(published[-1])
    one, two = published
    assert one == two
    assert one.startswith(f"{registry.name}/app@sha256:")


def test_a_commit_of_documents_is_the_same_image(shop: Shop, image: BuiltImage) -> None:
    (shop.clone.root / "docs" / "note.md").write_text("A note.\n")
    shop.clone.commit("Note something")
    assert shop.build() == image


def test_a_change_of_an_input_is_another_image(shop: Shop, image: BuiltImage) -> None:
    page = shop.clone.root / "services" / "app" / "templates" / "home.html"
    page.write_text(page.read_text() + "<!-- changed -->\n")
    try:
        changed = shop.build()
        assert changed.id != image.id
        assert changed.revision == f"{image.revision}-dirty"
    finally:
        shop.clone.restore()


def test_an_image_tells_its_revision_and_runs_without_rights(image: BuiltImage) -> None:
    client = docker.from_env()
    told = client.images.get(image.reference)
    labels = told.attrs["Config"]["Labels"]
    assert told.id == image.id
    assert told.attrs["Config"]["User"] == "10001:10001"
    assert labels["org.opencontainers.image.revision"] == image.revision
    assert labels["org.opencontainers.image.created"] == told.attrs["Created"]
    said = client.containers.run(
        image.reference,
        [
            "python",
            "-c",
            "import os; print(os.getuid(), [f for f in ('/bin/sh', '/usr/bin/apt') if os.path.exists(f)])",
        ],
        read_only=True,
        remove=True,
    )
    assert said.decode().strip() == "10001 []"


@pytest.fixture(scope="module")
def healthcheck(bases: Bases, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The health check of the Python base. It is static, so it also runs outside the image."""
    container = docker.from_env().containers.create(bases.ensure("python"))
    try:
        chunks, _ = container.get_archive("/usr/local/bin/healthcheck")
        packed = io.BytesIO(b"".join(chunks))
    finally:
        container.remove()
    folder = tmp_path_factory.mktemp("bin")
    with tarfile.open(fileobj=packed) as archive:
        archive.extractall(folder, filter="data")
    return folder / "healthcheck"


def test_the_health_check_is_a_small_static_program(healthcheck: Path) -> None:
    program = healthcheck.read_bytes()
    assert program.startswith(b"\x7fELF")
    assert b"ld-linux" not in program
    assert len(program) < HEALTHCHECK_LIMIT_BYTES


@pytest.mark.parametrize(
    ("answer", "code", "printed"),
    [
        ([b"HTTP/1.1 200 OK\r\n\r\n"], 0, ""),
        ([b"HTTP/1.0 2", b"00 OK\r", b"\n\r\n"], 0, ""),
        ([b"HTTP/1.1 200\r\n\r\n"], 0, ""),
        ([b"HTTP/1.1 503 Service Unavailable\r\n\r\n"], 1, "HTTP/1.1 503 Service Unavailable\n"),
        ([b"HTTP/1.1 204 No Content\r\n\r\n"], 1, "HTTP/1.1 204 No Content\n"),
        ([b"HTTP/1.1 2000 OK\r\n\r\n"], 1, "HTTP/1.1 2000 OK\n"),
        ([b"200 200 200\r\n"], 1, "200 200 200\n"),
        ([b"x" * 1000], 1, "x" * 256 + "\n"),
        ([], 1, "no answer\n"),
    ],
)
def test_the_health_check_succeeds_only_for_status_200(
    healthcheck: Path, answer: list[bytes], code: int, printed: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor() as pool:
        request = pool.submit(_answer_once, listener, answer)
        port = listener.getsockname()[1]
        done = subprocess.run([healthcheck, str(port), "/readyz"], capture_output=True, check=False)
    assert (done.returncode, done.stdout.decode()) == (code, printed)
    lines = request.result().split(b"\r\n")
    assert lines == [
        b"GET /readyz HTTP/1.0",
        b"Host: localhost",
        b"User-Agent: healthcheck",
        b"",
        b"",
    ]


def _answer_once(listener: socket.socket, answer: list[bytes]) -> bytes:
    """Answers one request in these pieces and returns the request."""
    listener.settimeout(10)
    connection, _ = listener.accept()
    with connection:
        request = connection.recv(8192)
        for piece in answer:
            connection.sendall(piece)
            time.sleep(0.05)
    return request


def test_the_health_check_names_the_reason_of_its_failure(healthcheck: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = str(silent.getsockname()[1])
        assert _output([healthcheck, port, "/"]) == (1, "timed out\n")
        assert _output([healthcheck, port, "/" + "x" * 5000]) == (1, "the path is too long\n")
    assert _output([healthcheck, port, "/"]) == (1, "connection refused\n")


@pytest.mark.parametrize(
    "arguments", [(), ("8080",), ("8080", "/", "x"), ("", "/"), ("x", "/"), ("65536", "/")]
)
def test_the_health_check_refuses_wrong_arguments(
    healthcheck: Path, arguments: tuple[str, ...]
) -> None:
    assert _output([healthcheck, *arguments]) == (1, "usage: healthcheck PORT PATH\n")


def _output(command: list[str | Path]) -> tuple[int, str]:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout


def test_an_image_stays_small(image: BuiltImage, engine: Engine, bases: Bases) -> None:
    base = engine.size_bytes(bases.ensure("python"))
    assert base < BASE_LIMIT_MB * 1e6
    assert image.size_bytes - base < APP_LIMIT_MB * 1e6


def test_a_wrong_password_publishes_nothing(
    image: BuiltImage, engine: Engine, bases: Bases, ecr: Registry
) -> None:
    with (
        _serving(bases.ensure("registry"), "another") as address,
        pytest.raises(RegistryAuthError, match="refused our login"),
    ):
        publish(image, engine, EcrRegistry(replace(ecr, push_via=address)), print)
    assert not any(tag.startswith(address) for tag in _tags(image))


def _tags(image: BuiltImage) -> list[str]:
    return list(docker.from_env().images.get(image.reference).tags)


class NoEngine:
    """Takes archives and keeps their bytes, so that every base is built."""

    def __init__(self) -> None:
        self.loaded: list[bytes] = []

    def has(self, reference: str) -> bool:
        return not reference

    def load(self, archive: IO[bytes]) -> None:
        self.loaded.append(archive.read())


def test_a_base_built_twice_is_equal_whatever_the_cache_holds(tmp_path: Path) -> None:
    engine, recipes = NoEngine(), checkout() / "deploy" / "base"
    for holds in ("nothing", "the packages of the first time"):
        assert (tmp_path / "packages").exists() == (holds != "nothing")
        Bases(recipes, tmp_path, engine, print, mirror=mirror(os.environ)).ensure("edge")
    one, two = engine.loaded
    assert one == two
