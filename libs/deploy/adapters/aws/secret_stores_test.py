"""Tests of the Parameter Store and Secrets Manager against moto's HTTP server."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import pytest

from deploy.adapters.aws.aws_fixture import credentials_file, moto_server
from deploy.adapters.aws.secret_stores import (
    Account,
    ParameterStore,
    SecretsManager,
)
from deploy.core.config import RegistryConfig, SecretStoreConfig
from deploy.core.state.secrets import Found, Missing
from deploy.errors import ConfigError, SecretStoreAuthError, SecretStoreError

REGION = "us-east-1"
REGISTRY = RegistryConfig("123456789012", REGION)


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    with moto_server() as url:
        yield url


@pytest.fixture
def stores(moto: str, tmp_path: Path) -> SecretStoreConfig:
    return SecretStoreConfig(endpoint_url=moto, credentials=credentials_file(tmp_path))


@pytest.fixture
def parameters(stores: SecretStoreConfig) -> ParameterStore:
    return ParameterStore(Account(stores, REGISTRY))


@pytest.fixture
def manager(stores: SecretStoreConfig) -> SecretsManager:
    return SecretsManager(Account(stores, REGISTRY))


def client(moto: str, service: str) -> Any:
    session: Any = boto3.Session("sandbox", "secret", region_name=REGION)
    return session.client(service, endpoint_url=moto)


def value_of(found: Found | Missing) -> str:
    assert isinstance(found, Found)
    return found.value.reveal()


def version_of(found: Found | Missing) -> str:
    assert isinstance(found, Found)
    assert found.version is not None
    return found.version


def test_any_number_of_parameters_is_returned_decrypted(
    parameters: ParameterStore, moto: str
) -> None:
    names = [f"/many/{number}" for number in range(23)]
    ssm = client(moto, "ssm")
    for name in names:
        ssm.put_parameter(Name=name, Value=f"value of {name}", Type="SecureString")
    found = parameters.fetch([*names, "/not/there"])
    assert [value_of(found[name]) for name in names] == [f"value of {name}" for name in names]
    assert found["/not/there"] == Missing("does not exist in us-east-1")


def test_changed_parameter_has_another_version(parameters: ParameterStore, moto: str) -> None:
    ssm = client(moto, "ssm")
    ssm.put_parameter(Name="/one", Value="first", Type="SecureString")
    first = parameters.fetch(["/one"])["/one"]
    assert parameters.fetch(["/one"])["/one"] == first
    ssm.put_parameter(Name="/one", Value="second", Type="SecureString", Overwrite=True)
    second = parameters.fetch(["/one"])["/one"]
    assert value_of(second) == "second"
    assert version_of(first).split("-")[0] == "1"
    assert version_of(second).split("-")[0] == "2"


def test_version_of_a_secret_is_its_version_id(manager: SecretsManager, moto: str) -> None:
    api = client(moto, "secretsmanager")
    made = api.create_secret(Name="app/db", SecretString=json.dumps({"user": "app"}))
    found = manager.fetch(["app/db", made["ARN"], "none"])
    assert value_of(found["app/db"]) == value_of(found[made["ARN"]]) == '{"user": "app"}'
    assert version_of(found["app/db"]) == made["VersionId"]
    assert found["none"] == Missing("does not exist in us-east-1, or has no value")
    put = api.put_secret_value(SecretId="app/db", SecretString="second")
    assert version_of(manager.fetch(["app/db"])["app/db"]) == put["VersionId"] != made["VersionId"]


def test_binary_and_deleted_secrets_are_reported(manager: SecretsManager, moto: str) -> None:
    api = client(moto, "secretsmanager")
    api.create_secret(Name="binary", SecretBinary=b"\xff")
    api.create_secret(Name="deleted", SecretString="x")
    api.delete_secret(SecretId="deleted", RecoveryWindowInDays=7)
    found = manager.fetch(["binary", "deleted"])
    assert found["binary"] == Missing("is binary; only text is supported")
    assert isinstance(found["deleted"], Missing)
    assert "can't be read" in found["deleted"].reason


def test_region_and_credentials_default_to_the_registrys(
    stores: SecretStoreConfig, moto: str
) -> None:
    client(moto, "ssm").put_parameter(Name="/shared", Value="x", Type="SecureString")
    registry = replace(REGISTRY, credentials=stores.credentials)
    only_endpoint = SecretStoreConfig(endpoint_url=moto)
    assert value_of(ParameterStore(Account(only_endpoint, registry)).fetch(["/shared"])["/shared"])
    elsewhere = replace(stores, region="eu-west-1")
    missing = ParameterStore(Account(elsewhere, registry)).fetch(["/shared"])["/shared"]
    assert missing == Missing("does not exist in eu-west-1")


def test_missing_credentials_are_a_configuration_error(
    stores: SecretStoreConfig, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "none").write_text("[other]\naws_access_key_id = x\n")
    nobody = replace(stores, credentials=str(tmp_path / "none"))
    with pytest.raises(ConfigError, match="no AWS credentials under"):
        ParameterStore(Account(nobody, REGISTRY)).fetch(["/a"])
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "gone"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "gone"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(SecretStoreAuthError, match="no AWS credentials for ssm") as refused:
        ParameterStore(Account(replace(stores, credentials=None), REGISTRY)).fetch(["/a"])
    assert refused.value.exit_code == 2


def test_unreachable_endpoint_is_reported(stores: SecretStoreConfig) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        away = replace(stores, endpoint_url=f"http://127.0.0.1:{unused.getsockname()[1]}")
        with pytest.raises(SecretStoreError, match="AWS can't be reached for secretsmanager"):
            SecretsManager(Account(away, REGISTRY)).fetch(["a"])
