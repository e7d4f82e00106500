import json
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import boto3
import pytest

from deploy.adapters.aws.aws_fixture import credentials_file, moto_server
from deploy.adapters.aws.ecr import EcrRegistry
from deploy.core.config import RegistryConfig
from deploy.core.state.secrets import Secret
from deploy.errors import ImageNotFoundError, RegistryAuthError, RegistryError
from deploy.testing.servers.registry import RegistryServer

ACCOUNT = "123456789012"
NAME = f"{ACCOUNT}.dkr.ecr.us-east-1.amazonaws.com"
DIGEST = f"sha256:{'a' * 64}"


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    with moto_server() as url:
        yield url


@pytest.fixture
def registry_server() -> Iterator[RegistryServer]:
    with RegistryServer(f"{ACCOUNT}-auth-token").serving() as server:
        yield server


@pytest.fixture
def config(moto: str, registry_server: RegistryServer, tmp_path: Path) -> RegistryConfig:
    return RegistryConfig(
        ACCOUNT, "us-east-1", moto, registry_server.address, credentials_file(tmp_path)
    )


def test_repository_is_created_once_with_immutable_tags_scan_and_lifecycle(
    config: RegistryConfig, moto: str
) -> None:
    registry = EcrRegistry(config)
    assert registry.ensure_repository("app") is True
    assert registry.ensure_repository("app") is False
    client = boto3.client(
        "ecr",
        region_name="us-east-1",
        endpoint_url=moto,
        aws_access_key_id="x",
        aws_secret_access_key="y",
    )
    (made,) = client.describe_repositories(repositoryNames=["app"])["repositories"]
    assert made["imageTagMutability"] == "IMMUTABLE"
    assert made["imageScanningConfiguration"]["scanOnPush"] is True
    policy = json.loads(client.get_lifecycle_policy(repositoryName="app")["lifecyclePolicyText"])
    assert [rule["selection"]["tagStatus"] for rule in policy["rules"]] == ["untagged", "any"]


def test_login_returns_registry_user_and_password(config: RegistryConfig) -> None:
    assert EcrRegistry(config).login() == (NAME, "AWS", f"{ACCOUNT}-auth-token")


def test_credentials_and_the_password_are_made_known_before_they_are_used(
    config: RegistryConfig,
) -> None:
    known: list[Secret] = []
    EcrRegistry(config, known.append).login()
    values = [secret.reveal() for secret in known]
    assert f"{ACCOUNT}-auth-token" in values
    assert "secret" in values, "the secret key of the credentials file"


def test_credentials_of_the_default_chain_are_made_known(
    config: RegistryConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIA")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a-secret-key-of-the-chain")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "a-session-token")
    known: list[Secret] = []
    EcrRegistry(replace(config, credentials=None), known.append).login()
    values = {secret.reveal() for secret in known}
    assert {"a-secret-key-of-the-chain", "a-session-token", f"{ACCOUNT}-auth-token"} <= values


def test_credentials_of_an_assumed_role_are_made_known(
    config: RegistryConfig, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    token = tmp_path / "token"
    token.write_text("a.token")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/push")
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(token))
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", str(config.endpoint_url))
    known: list[Secret] = []
    EcrRegistry(replace(config, credentials=None), known.append).login()
    assert len({secret.reveal() for secret in known}) >= 3  # the role's key and token, the password


def test_digest_comes_from_the_registry(
    config: RegistryConfig, registry_server: RegistryServer
) -> None:
    registry = EcrRegistry(config)
    assert registry.digest_of("app", "0123") is None
    registry_server.digests["app:0123"] = DIGEST
    assert registry.digest_of("app", "0123") == DIGEST


def test_configuration_of_a_tag_is_returned(
    config: RegistryConfig, registry_server: RegistryServer
) -> None:
    registry = EcrRegistry(config)
    assert registry.configuration_of("app", "0123") is None
    registry_server.digests["app:0123"] = DIGEST
    assert registry.configuration_of("app", "0123") is None
    registry_server.manifest = json.dumps({"config": {"digest": DIGEST}}).encode()
    assert registry.configuration_of("app", "0123") == DIGEST


def test_wrong_password_is_a_refused_login(
    config: RegistryConfig, registry_server: RegistryServer
) -> None:
    registry_server.password = "another"
    with pytest.raises(RegistryAuthError) as raised:
        EcrRegistry(config).digest_of("app", "0123")
    assert raised.value.exit_code == 2
    assert "auth-token" not in raised.value.message


def test_server_error_of_the_registry_is_reported(
    config: RegistryConfig, registry_server: RegistryServer
) -> None:
    registry_server.broken = 503
    with pytest.raises(RegistryError, match=r"error of its own \(5xx\): HTTP 503"):
        EcrRegistry(config).digest_of("app", "0123")


def test_unreachable_registry_is_reported(config: RegistryConfig, moto: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        away = RegistryConfig(
            ACCOUNT, "us-east-1", moto, f"127.0.0.1:{taken.getsockname()[1]}", config.credentials
        )
        with pytest.raises(RegistryError, match="can't be reached"):
            EcrRegistry(away).digest_of("app", "0123")


def test_unreachable_aws_api_is_reported(config: RegistryConfig) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{taken.getsockname()[1]}"
        away = RegistryConfig(ACCOUNT, "us-east-1", endpoint, config.push_via, config.credentials)
        with pytest.raises(RegistryError, match="AWS can't be reached"):
            EcrRegistry(away).login()


def test_missing_or_foreign_images_are_refused(
    config: RegistryConfig, registry_server: RegistryServer
) -> None:
    registry = EcrRegistry(config)
    registry_server.digests["app:0123"] = DIGEST
    registry.require(f"{NAME}/app@{DIGEST}")
    missing = f"{NAME}/app@sha256:{'b' * 64}"
    for image, what in (
        (missing, "has no image"),
        (f"elsewhere.example/app@{DIGEST}", "is not an image of"),
        (f"{NAME}/app:latest", "is not an image of"),
    ):
        with pytest.raises(ImageNotFoundError, match=what) as raised:
            registry.require(image)
        assert raised.value.exit_code == 2


def test_missing_credentials_are_reported(
    moto: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(RegistryAuthError, match="no AWS credentials"):
        EcrRegistry(RegistryConfig(ACCOUNT, "us-east-1", moto)).login()


def test_registry_is_reached_by_its_name_by_default() -> None:
    assert EcrRegistry(RegistryConfig(ACCOUNT, "us-east-1")).push_name == NAME


def test_size_is_the_sum_of_configuration_and_layers(
    config: RegistryConfig, registry_server: RegistryServer
) -> None:
    registry_server.digests["app:1"] = DIGEST
    registry = EcrRegistry(config)
    assert registry.size_of(f"{NAME}/app@{DIGEST}") == 1230
    assert registry.size_of("elsewhere/app:latest") == 0
    index, arm = f"sha256:{'1' * 64}", {"os": "linux", "architecture": "arm64"}
    platforms = [{"digest": index, "platform": arm}]
    platforms += [{"digest": DIGEST, "platform": arm | {"architecture": "amd64"}}]
    registry_server.digests["app:2"] = index
    registry_server.manifests[index] = json.dumps({"manifests": platforms}).encode()
    assert registry.size_of(f"{NAME}/app@{index}") == 1230
    registry_server.manifest = b"no manifest"
    assert registry.size_of(f"{NAME}/app@{DIGEST}") == 0
    registry_server.broken = 401
    with pytest.raises(RegistryAuthError, match=r"refused the login \(401\)"):
        registry.size_of(f"{NAME}/app@{DIGEST}")
