"""Builds and publishes images with a real engine and a real registry: what an image depends on, and what it has."""

from __future__ import annotations

import gzip
import io
import json
import logging
import os
import shutil
import socket
import subprocess
import tarfile
import tempfile
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
from deploy.adapters.docker import DockerEngine
from deploy.adapters.file_cache import FileCache
from deploy.adapters.git.image_history import GitHistory
from deploy.adapters.pants.packager import PantsPackager
from deploy.adapters.probe import HttpProbe
from deploy.core.config import RegistryConfig
from deploy.core.images.oci import BuiltImage
from deploy.errors import RegistryAuthError
from deploy.run.images import BuildContext, build, ensure_published, publish, smoke_test
from e2e.live_sandbox import Clone, checkout
from toolchain.builds import building
from toolchain.paths import find_paths
from toolchain.tools.debian import mirror

ACCOUNT = "123456789012"
PASSWORD = f"{ACCOUNT}-auth-token"  # the password in moto's tokens
HEALTHCHECK_LIMIT_BYTES = 8192

# The budgets of the service's image. Layers are compressed as the engine does for a push.
LAYERS_LIMIT = 12  # the base included
FILES_LIMIT = 2200
COMPRESSED_LIMIT_MB = 18.0
LINE_LIMIT_KB = 20.0  # pushed after a change of one line
DISTRIBUTION_LIMIT_MB = 1.2  # the largest layer that a change of one pin pushes


@pytest.fixture(scope="module", autouse=True)
def _keep_images() -> Iterator[None]:
    """Keeps `ship down` of another sandbox from removing images meanwhile."""
    with building(find_paths(os.environ).state):
        yield


@pytest.fixture(scope="module")
def engine() -> DockerEngine:
    return DockerEngine()


@pytest.fixture(scope="module")
def bases(engine: DockerEngine) -> Bases:
    """The base images of the checkout under test, from the tool cache if it has them."""
    cache = find_paths(os.environ).cache
    recipes = checkout() / "deploy" / "base"
    return Bases(recipes, cache, engine, print, mirror=mirror(os.environ))


@dataclass(frozen=True)
class BuildClone:
    """A clone of the checkout and all that builds its image, with a build memory of its own."""

    clone: Clone
    context: BuildContext

    def build(self) -> BuiltImage:
        return build(loader.load_services(self.clone.root)["app"], self.context)

    def publish(self, registry: EcrRegistry) -> str:
        service = loader.load_services(self.clone.root)["app"]
        return ensure_published(service, self.context, registry)


@pytest.fixture(scope="module")
def build_clone(
    engine: DockerEngine, bases: Bases, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[BuildClone]:
    folder = tmp_path_factory.mktemp("one")
    clone = Clone.of(checkout(), folder / "clone")
    yield _build_clone(clone, engine, bases, folder)
    _stop_daemon(clone)


def _stop_daemon(clone: Clone) -> None:
    """Removes the files of the clone's Pants daemon, which makes it exit."""
    shutil.rmtree(clone.root / ".pids", ignore_errors=True)


def _build_clone(clone: Clone, engine: DockerEngine, bases: Bases, folder: Path) -> BuildClone:
    context = BuildContext(
        packager=PantsPackager(clone.root),
        history=GitHistory(clone.root),
        cache=FileCache(folder / "cache"),
        engine=engine,
        probe=HttpProbe(),
        clock=SystemClock(),
        say=print,
        ensure_base=lambda: bases.ensure("python"),
        smoke_test=smoke_test,
    )
    return BuildClone(clone, context)


@pytest.fixture(scope="module")
def image(build_clone: BuildClone) -> BuiltImage:
    return build_clone.build()


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def ecr(moto: str, tmp_path: Path) -> RegistryConfig:
    """Settings of a registry whose logins go to moto. Tests set the address of the registry, `push_via`."""
    credentials = tmp_path / "credentials"
    credentials.write_text("[default]\naws_access_key_id = a\naws_secret_access_key = b\n")
    return RegistryConfig(ACCOUNT, "us-east-1", moto, credentials=str(credentials))


@contextmanager
def _serving(image: str, password: str) -> Iterator[str]:
    """Starts a registry that accepts user AWS with this password; yields its address."""
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
    """Makes every `docker build` of Pants ignore Docker's build cache."""
    real = shutil.which("docker")
    program = tmp_path / "bin" / "docker"
    program.parent.mkdir()
    program.write_text(
        f'#!/bin/sh\n[ "$1" = build ] && {{ shift; exec {real} build --no-cache "$@"; }}\n'
        f'exec {real} "$@"\n'
    )
    program.chmod(0o755)
    # Not through PATH, which is part of Pants' cache keys.
    monkeypatch.setenv("PANTS_DOCKER_EXECUTABLE_SEARCH_PATHS", f"['{program.parent}', '<PATH>']")


@pytest.mark.usefixtures("uncached")
def test_same_commit_in_another_folder_gives_the_same_image_in_any_registry(
    build_clone: BuildClone,
    image: BuiltImage,
    engine: DockerEngine,
    bases: Bases,
    ecr: RegistryConfig,
    tmp_path: Path,
) -> None:
    other = Clone.of(build_clone.clone.root, tmp_path / "another clone")
    # `Clone.of` has added an empty commit.
    try:
        assert _build_clone(other, engine, bases, tmp_path).build() == image
    finally:
        _stop_daemon(other)
    published = []
    for _ in range(2):  # two independent registries
        with _serving(bases.ensure("registry"), PASSWORD) as address:
            registry = EcrRegistry(replace(ecr, push_via=address))
            published.append(publish(image, engine, registry, print))
            registry.require(published[-1])
    one, two = published
    assert one == two
    assert one.startswith(f"{registry.name}/app@sha256:")


def test_two_checkouts_publish_the_same_commit_at_once(
    build_clone: BuildClone,
    image: BuiltImage,
    engine: DockerEngine,
    bases: Bases,
    ecr: RegistryConfig,
    tmp_path: Path,
) -> None:
    clone = Clone.of(build_clone.clone.root, tmp_path / "another clone")
    other = _build_clone(clone, engine, bases, tmp_path)
    one = replace(
        build_clone, context=replace(build_clone.context, cache=FileCache(tmp_path / "c"))
    )
    before = set(_tags(image))  # a killed run may have left some
    engine.untag(image.reference)  # so that both package, test and push it
    try:
        with _serving(bases.ensure("registry"), PASSWORD) as address, ThreadPoolExecutor() as pool:
            configured = replace(ecr, push_via=address)
            calls = [pool.submit(each.publish, EcrRegistry(configured)) for each in (one, other)]
            first, second = (call.result() for call in calls)
    finally:
        _stop_daemon(clone)
    assert first == second
    assert set(_tags(image)) == before


def test_commit_of_documentation_gives_the_same_image(
    build_clone: BuildClone, image: BuiltImage
) -> None:
    (build_clone.clone.root / "docs" / "note.md").write_text("A note.\n")
    build_clone.clone.commit("Note something")
    assert build_clone.build() == image


def test_change_of_an_input_gives_another_image(build_clone: BuildClone, image: BuiltImage) -> None:
    page = build_clone.clone.root / "services" / "app" / "templates" / "home.html"
    page.write_text(page.read_text() + "<!-- changed -->\n")
    try:
        changed = build_clone.build()
        assert changed.id != image.id
        assert changed.revision == f"{image.revision}-dirty"
    finally:
        build_clone.clone.restore()


def test_image_has_its_revision_as_label_and_runs_without_privileges(image: BuiltImage) -> None:
    client = docker.from_env()
    loaded = client.images.get(image.reference)
    labels = loaded.attrs["Config"]["Labels"]
    assert loaded.id == image.id
    assert loaded.attrs["Config"]["User"] == "10001:10001"
    assert labels["org.opencontainers.image.revision"] == image.revision
    assert labels["org.opencontainers.image.created"] == loaded.attrs["Created"]
    output = client.containers.run(
        image.reference,
        [
            "python",
            "-c",
            "import os; print(os.getuid(), [f for f in ('/bin/sh', '/usr/bin/apt') if os.path.exists(f)])",
        ],
        read_only=True,
        remove=True,
    )
    assert output.decode().strip() == "10001 []"


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


@dataclass(frozen=True)
class Layer:
    """A layer of an image: its bytes in a registry, and the files in it."""

    digest: str
    compressed: int
    files: frozenset[str]


def _layers(image: BuiltImage) -> list[Layer]:
    """Returns the layers of an image, the base first."""
    with tempfile.TemporaryFile() as saved:
        for chunk in docker.from_env().images.get(image.reference).save():
            saved.write(chunk)
        saved.seek(0)
        with tarfile.open(fileobj=saved) as archive:
            (manifest,) = json.loads(_member(archive, "manifest.json"))
            config = json.loads(_member(archive, manifest["Config"]))
            contents = [_member(archive, name) for name in manifest["Layers"]]
    return [
        Layer(digest, len(gzip.compress(content, 6)), _files_in(content))
        for digest, content in zip(config["rootfs"]["diff_ids"], contents, strict=True)
    ]


def _member(archive: tarfile.TarFile, name: str) -> bytes:
    reader = archive.extractfile(name)
    assert reader is not None, name
    return reader.read()


def _files_in(content: bytes) -> frozenset[str]:
    with tarfile.open(fileobj=io.BytesIO(content)) as layer:
        return frozenset(member.name for member in layer if not member.isdir())


@pytest.fixture(scope="module")
def layers(image: BuiltImage) -> list[Layer]:
    return _layers(image)


def test_image_stays_within_its_budgets(layers: list[Layer]) -> None:
    assert len(layers) <= LAYERS_LIMIT
    assert sum(len(layer.files) for layer in layers) <= FILES_LIMIT
    sizes = [layer.compressed for layer in layers]
    assert sum(sizes) <= COMPRESSED_LIMIT_MB * 1e6, sizes
    assert max(sizes[1:]) <= DISTRIBUTION_LIMIT_MB * 1e6, sizes


def test_a_distribution_is_in_one_layer(layers: list[Layer]) -> None:
    for name in ("flask", "gunicorn", "werkzeug"):
        folders = [f"site-packages/{name}/", f"site-packages/{name}-"]
        found = [
            layer.digest
            for layer in layers
            if any(folder in path for path in layer.files for folder in folders)
        ]
        assert len(found) == 1, name


def test_a_change_of_one_line_pushes_one_small_layer(
    build_clone: BuildClone, engine: DockerEngine, layers: list[Layer]
) -> None:
    known = {layer.digest for layer in layers}
    for source in ("pages.py", "templates/home.html"):
        path = build_clone.clone.root / "services" / "app" / source
        path.write_text(path.read_text() + "\n")
        try:
            changed = build_clone.build()
        finally:
            build_clone.clone.restore()
        pushed = [layer for layer in _layers(changed) if layer.digest not in known]
        assert len(pushed) == 1, [sorted(layer.files) for layer in pushed]
        configuration = engine.configuration(changed.reference)
        assert pushed[0].compressed + len(configuration) <= LINE_LIMIT_KB * 1e3


def test_publish_with_a_wrong_password_is_refused_and_leaves_no_tag(
    image: BuiltImage, engine: DockerEngine, bases: Bases, ecr: RegistryConfig
) -> None:
    with (
        _serving(bases.ensure("registry"), "another") as address,
        pytest.raises(RegistryAuthError, match=r"refused the login \(401\)"),
    ):
        publish(image, engine, EcrRegistry(replace(ecr, push_via=address)), print)
    assert not any(tag.startswith(address) for tag in _tags(image))


def _tags(image: BuiltImage) -> list[str]:
    return list(docker.from_env().images.get(image.reference).tags)


class RecordingEngine:
    """An engine that has no image and keeps the archives it is given, so that every base is built."""

    def __init__(self) -> None:
        self.loaded: list[bytes] = []

    def has(self, reference: str) -> bool:
        return not reference

    def load(self, archive: IO[bytes]) -> None:
        self.loaded.append(archive.read())


def test_base_image_is_the_same_with_an_empty_and_a_filled_package_cache(tmp_path: Path) -> None:
    engine, recipes = RecordingEngine(), checkout() / "deploy" / "base"
    for cached in (False, True):
        assert (tmp_path / "packages").exists() == cached
        Bases(recipes, tmp_path, engine, print, mirror=mirror(os.environ)).ensure("edge")
    one, two = engine.loaded
    assert one == two
