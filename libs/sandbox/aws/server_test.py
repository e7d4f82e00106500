"""ECR's API of the AWS server, used through boto3, with a fake registry behind it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
import pytest
from moto.ecr.models import ecr_backends
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

from deploy.testing.servers.http_server import QuietHandler, http_server, serving
from sandbox.aws.ecr_sync import EcrSync
from sandbox.aws.push_proxy import Push
from sandbox.aws.request_journal import RequestJournal
from sandbox.aws.server import AwsApplication
from sandbox.credentials import ACCOUNT, REGION
from sandbox.state import Folder

if TYPE_CHECKING:
    from mypy_boto3_ecr import ECRClient

TYPE = "application/vnd.docker.distribution.manifest.v2+json"


class FakeRegistry:
    """Stores pushed manifests and answers the four API calls that `EcrSync` makes."""

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
def _serving(registry: FakeRegistry) -> Iterator[str]:
    class Handler(QuietHandler):
        def respond(self) -> None:
            status, body = registry.answer(self.command, self.path)
            self.reply(status, body, {"Content-Type": TYPE})

    with http_server(Handler) as server:
        yield server.url


@contextmanager
def started_application(folder: Folder, registry_url: str) -> Iterator[AwsApplication]:
    """Yields an AWS application that has just started, in the state that its folder records."""
    backend = ecr_backends[ACCOUNT][REGION]
    backend.repositories.clear()
    journal = RequestJournal(DomainDispatcherApplication(create_backend_app), folder)
    journal.replay()
    with closing(EcrSync(registry_url, "", backend)) as sync:
        yield AwsApplication(journal, sync)
    # moto's state is shared by all servers in this process.
    backend.repositories.clear()


@contextmanager
def client_of(application: AwsApplication) -> Iterator[ECRClient]:
    """Serves an application and yields a client of it."""
    server = make_server("127.0.0.1", 0, application, threaded=True)
    session = boto3.Session("sandbox", "sandbox", region_name=REGION)
    client = session.client("ecr", endpoint_url=f"http://127.0.0.1:{server.server_port}")
    with serving(server), closing(client):
        yield client


@contextmanager
def restarted(folder: Folder, registry_url: str) -> Iterator[ECRClient]:
    """Yields a client of an AWS server that has just started, in the state that its folder records."""
    with started_application(folder, registry_url) as application, client_of(application) as client:
        yield client


@pytest.fixture
def registry() -> FakeRegistry:
    return FakeRegistry()


@pytest.fixture
def url(registry: FakeRegistry) -> Iterator[str]:
    with _serving(registry) as url:
        yield url


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder("test", tmp_path)


def test_a_pushed_image_is_described_with_its_digest(
    registry: FakeRegistry, url: str, folder: Folder
) -> None:
    with restarted(folder, url) as ecr:
        ecr.create_repository(repositoryName="shop/app")
        assert ecr.describe_images(repositoryName="shop/app")["imageDetails"] == []
        pushed = registry.push("shop/app", "one", "1")
        (found,) = ecr.describe_images(repositoryName="shop/app")["imageDetails"]
        assert (found["imageDigest"], found["imageTags"]) == (pushed, ["one"])
        answer = ecr.batch_get_image(repositoryName="shop/app", imageIds=[{"imageTag": "one"}])
        assert answer["images"][0]["imageManifest"].encode() == registry.tags["shop/app"]["one"]


def test_unknown_tags_and_repositories_are_ecr_s_errors(
    registry: FakeRegistry, url: str, folder: Folder
) -> None:
    with restarted(folder, url) as ecr:
        ecr.create_repository(repositoryName="app")
        registry.push("app", "one", "1")
        with pytest.raises(ecr.exceptions.ImageNotFoundException):
            ecr.describe_images(repositoryName="app", imageIds=[{"imageTag": "two"}])
        with pytest.raises(ecr.exceptions.RepositoryNotFoundException):
            ecr.describe_images(repositoryName="nothing")


def test_settings_and_images_survive_a_restart(
    registry: FakeRegistry, url: str, folder: Folder
) -> None:
    rule = {
        "rulePriority": 1,
        "selection": {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": 9},
        "action": {"type": "expire"},
    }
    policy = json.dumps({"rules": [rule]})
    pushed = registry.push("app", "one", "1")
    with restarted(folder, url) as ecr:
        ecr.create_repository(repositoryName="app", imageTagMutability="IMMUTABLE")
        ecr.put_lifecycle_policy(repositoryName="app", lifecyclePolicyText=policy)
    with restarted(folder, url) as ecr:
        (found,) = ecr.describe_repositories(repositoryNames=["app"])["repositories"]
        assert found["imageTagMutability"] == "IMMUTABLE"
        assert ecr.get_lifecycle_policy(repositoryName="app")["lifecyclePolicyText"] == policy
        (image,) = ecr.describe_images(repositoryName="app")["imageDetails"]
        assert image["imageDigest"] == pushed


def test_deleted_images_are_deleted_from_the_registry_too(
    registry: FakeRegistry, url: str, folder: Folder
) -> None:
    with restarted(folder, url) as ecr:
        ecr.create_repository(repositoryName="app")
        registry.push("app", "one", "1")
        kept = registry.push("app", "two", "2")
        ecr.batch_delete_image(repositoryName="app", imageIds=[{"imageTag": "one"}])
        assert list(registry.tags["app"]) == ["two"]
        (image,) = ecr.describe_images(repositoryName="app")["imageDetails"]
        assert image["imageDigest"] == kept
        ecr.delete_repository(repositoryName="app", force=True)
        assert registry.tags["app"] == {}
    with restarted(folder, url) as ecr:
        assert ecr.describe_repositories()["repositories"] == []


def test_requests_succeed_while_the_registry_is_down(folder: Folder) -> None:
    registry = FakeRegistry()
    with _serving(registry) as url, restarted(folder, url) as ecr:
        ecr.create_repository(repositoryName="app")
    with restarted(folder, url) as ecr:
        assert ecr.describe_images(repositoryName="app")["imageDetails"] == []


def test_a_push_is_refused_as_ecr_refuses_it(
    registry: FakeRegistry, url: str, folder: Folder
) -> None:
    with started_application(folder, url) as application, client_of(application) as ecr:
        missing = application.check_push(Push("app"))
        assert missing is not None
        assert (missing.status, missing.code) == (404, "NAME_UNKNOWN")
        ecr.create_repository(repositoryName="app", imageTagMutability="IMMUTABLE")
        pushed = registry.push("app", "one", "1")
        # ECR doesn't compare: it refuses an equal image too.
        refused = application.check_push(Push("app", "one"))
        assert refused is not None
        assert (refused.status, refused.code) == (400, "TAG_INVALID")
        assert application.check_push(Push("app", pushed)) is None
        assert application.check_push(Push("app", "two")) is None
        assert application.check_push(Push("app")) is None
