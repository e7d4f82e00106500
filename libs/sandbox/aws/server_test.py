"""The control plane against a registry that keeps what it is given, asked with boto3 as ECR is."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
import pytest
from moto.ecr.models import ecr_backends
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

from sandbox.aws.ecr_sync import Mirror
from sandbox.aws.server import ControlPlane, Memory
from sandbox.credentials import ACCOUNT, REGION
from sandbox.state import Folder

if TYPE_CHECKING:
    from mypy_boto3_ecr import ECRClient

TYPE = "application/vnd.docker.distribution.manifest.v2+json"


class Registry:
    """The four calls of the registry's API that the mirror makes, over what was pushed."""

    def __init__(self) -> None:
        self.tags: dict[str, dict[str, bytes]] = {}

    def push(self, repository: str, tag: str, layer: str) -> str:
        config = {"mediaType": "application/json", "size": 2, "digest": f"sha256:{'0' * 64}"}
        layers = [{"mediaType": "application/gzip", "size": 9, "digest": f"sha256:{layer * 64}"}]
        manifest = json.dumps(
            {"schemaVersion": 2, "mediaType": TYPE, "config": config, "layers": layers}, indent=3
        ).encode()
        self.tags.setdefault(repository, {})[tag] = manifest
        return digest(manifest)

    def answer(self, method: str, path: str) -> tuple[int, bytes]:
        repository, kind, reference = path.removeprefix("/v2/").rsplit("/", 2)
        known = self.tags.get(repository, {})
        if kind == "tags":
            return (
                (200, json.dumps({"tags": list(known) or None}).encode()) if known else (404, b"")
            )
        named = {tag for tag, body in known.items() if reference in (tag, digest(body))}
        if not named:
            return 404, b""
        body = known[min(named)]
        if method == "DELETE":
            self.tags[repository] = {tag: known[tag] for tag in known.keys() - named}
            return 202, b""
        return 200, body


def digest(body: bytes) -> str:
    return "sha256:" + hashlib.sha256(body).hexdigest()


@contextmanager
def _serving(registry: Registry) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = registry.answer(self.command, self.path)
            self.send_response(status)
            self.send_header("Content-Type", TYPE)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_DELETE = do_GET  # noqa: N815

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            del format, args

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def _control_plane(place: Folder, registry: str) -> Iterator[ECRClient]:
    """A control plane that has just started and remembers nothing but what its folder says."""
    backend = ecr_backends[ACCOUNT][REGION]
    backend.repositories.clear()
    inner = DomainDispatcherApplication(create_backend_app)
    mirror = Mirror(registry, "", backend)
    application = ControlPlane(inner, mirror, Memory(place))
    application.replay()
    server = make_server("127.0.0.1", 0, application, threaded=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    session = boto3.Session("sandbox", "sandbox", region_name=REGION)
    client = session.client("ecr", endpoint_url=f"http://127.0.0.1:{server.server_port}")
    try:
        yield client
    finally:
        client.close()
        server.shutdown()
        thread.join()
        server.server_close()
        mirror.close()


@pytest.fixture
def registry() -> Registry:
    return Registry()


@pytest.fixture
def url(registry: Registry) -> Iterator[str]:
    with _serving(registry) as served:
        yield served


@pytest.fixture
def place(tmp_path: Path) -> Folder:
    return Folder("test", tmp_path)


def test_an_image_that_was_pushed_is_described_with_its_digest(
    registry: Registry, url: str, place: Folder
) -> None:
    with _control_plane(place, url) as ecr:
        ecr.create_repository(repositoryName="shop/app")
        assert ecr.describe_images(repositoryName="shop/app")["imageDetails"] == []
        pushed = registry.push("shop/app", "one", "1")
        (found,) = ecr.describe_images(repositoryName="shop/app")["imageDetails"]
        assert (found["imageDigest"], found["imageTags"]) == (pushed, ["one"])
        asked = ecr.batch_get_image(repositoryName="shop/app", imageIds=[{"imageTag": "one"}])
        assert asked["images"][0]["imageManifest"].encode() == registry.tags["shop/app"]["one"]


def test_an_unknown_tag_and_an_unknown_repository_are_ecr_s_errors(
    registry: Registry, url: str, place: Folder
) -> None:
    with _control_plane(place, url) as ecr:
        ecr.create_repository(repositoryName="app")
        registry.push("app", "one", "1")
        with pytest.raises(ecr.exceptions.ImageNotFoundException):
            ecr.describe_images(repositoryName="app", imageIds=[{"imageTag": "two"}])
        with pytest.raises(ecr.exceptions.RepositoryNotFoundException):
            ecr.describe_images(repositoryName="nothing")


def test_a_restart_forgets_neither_settings_nor_images(
    registry: Registry, url: str, place: Folder
) -> None:
    rule = {
        "rulePriority": 1,
        "selection": {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": 9},
        "action": {"type": "expire"},
    }
    policy = json.dumps({"rules": [rule]})
    pushed = registry.push("app", "one", "1")
    with _control_plane(place, url) as ecr:
        ecr.create_repository(repositoryName="app", imageTagMutability="IMMUTABLE")
        ecr.put_lifecycle_policy(repositoryName="app", lifecyclePolicyText=policy)
    with _control_plane(place, url) as ecr:
        (found,) = ecr.describe_repositories(repositoryNames=["app"])["repositories"]
        assert found["imageTagMutability"] == "IMMUTABLE"
        assert ecr.get_lifecycle_policy(repositoryName="app")["lifecyclePolicyText"] == policy
        (image,) = ecr.describe_images(repositoryName="app")["imageDetails"]
        assert image["imageDigest"] == pushed


def test_what_is_deleted_is_gone_from_the_registry_and_stays_so(
    registry: Registry, url: str, place: Folder
) -> None:
    with _control_plane(place, url) as ecr:
        ecr.create_repository(repositoryName="app")
        registry.push("app", "one", "1")
        kept = registry.push("app", "two", "2")
        ecr.batch_delete_image(repositoryName="app", imageIds=[{"imageTag": "one"}])
        assert list(registry.tags["app"]) == ["two"]
        (image,) = ecr.describe_images(repositoryName="app")["imageDetails"]
        assert image["imageDigest"] == kept
        ecr.delete_repository(repositoryName="app", force=True)
        assert registry.tags["app"] == {}
    with _control_plane(place, url) as ecr:
        assert ecr.describe_repositories()["repositories"] == []


def test_a_registry_that_is_away_hides_nothing_that_was_known(place: Folder) -> None:
    registry = Registry()
    with _serving(registry) as url, _control_plane(place, url) as ecr:
        ecr.create_repository(repositoryName="app")
    with _control_plane(place, url) as ecr:
        assert ecr.describe_images(repositoryName="app")["imageDetails"] == []
