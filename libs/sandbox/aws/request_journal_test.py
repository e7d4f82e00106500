"""ECR repositories, parameters and secrets across restarts of the AWS server, used through boto3."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import boto3
import pytest
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.ecr.models import ecr_backends
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from moto.secretsmanager.models import secretsmanager_backends
from moto.ssm.models import ssm_backends
from werkzeug.serving import make_server

from deploy.testing.servers.http_server import serving
from sandbox.aws.request_journal import REPOSITORIES_FILE, SECRETS_FILE, RequestJournal
from sandbox.credentials import ACCOUNT, REGION
from sandbox.state import Folder


class Clients(NamedTuple):
    ecr: Any
    ssm: Any
    secretsmanager: Any


def reset_moto() -> None:
    """Clears moto's state, which all servers in this process share."""
    for backends in (ecr_backends, ssm_backends, secretsmanager_backends):
        backends[ACCOUNT][REGION].reset()


@contextmanager
def restarted(folder: Folder) -> Iterator[Clients]:
    """Yields clients of a server that has just started, in the state that its folder records."""
    reset_moto()
    journal = RequestJournal(DomainDispatcherApplication(create_backend_app), folder)
    journal.replay()
    server = make_server("127.0.0.1", 0, journal, threaded=True)
    session: Any = boto3.Session("sandbox", "sandbox", region_name=REGION)
    url = f"http://127.0.0.1:{server.server_port}"
    clients = Clients(*(session.client(name, endpoint_url=url) for name in Clients._fields))
    with serving(server), ExitStack() as closing:
        for client in clients:
            closing.callback(client.close)
        closing.callback(reset_moto)
        yield clients


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder("test", tmp_path)


def parameter(ssm: Any, name: str) -> dict[str, Any]:
    (found,) = ssm.get_parameters(Names=[name], WithDecryption=True)["Parameters"]
    return {key: found[key] for key in ("Value", "Version", "LastModifiedDate")}


def test_a_sandbox_s_account_is_moto_s() -> None:
    assert ACCOUNT == DEFAULT_ACCOUNT_ID


def test_values_and_versions_survive_a_restart(folder: Folder) -> None:
    with restarted(folder) as (_, ssm, manager):
        ssm.put_parameter(Name="/app/one", Value="first", Type="SecureString")
        ssm.put_parameter(Name="/app/one", Value="second", Type="SecureString", Overwrite=True)
        ssm.put_parameter(Name="/gone", Value="x", Type="SecureString")
        ssm.delete_parameter(Name="/gone")
        manager.create_secret(Name="app/db", SecretString="first")
        manager.put_secret_value(SecretId="app/db", SecretString="second")
        one, db = parameter(ssm, "/app/one"), manager.get_secret_value(SecretId="app/db")
    with restarted(folder) as (_, ssm, manager):
        assert parameter(ssm, "/app/one") == one
        assert one["Version"] == 2
        assert ssm.get_parameters(Names=["/gone"])["InvalidParameters"] == ["/gone"]
        again = manager.get_secret_value(SecretId="app/db")
        assert (again["SecretString"], again["VersionId"]) == ("second", db["VersionId"])


def test_a_failed_request_is_not_recorded_and_only_the_owner_reads_the_file(
    folder: Folder,
) -> None:
    with restarted(folder) as (_, ssm, _):
        ssm.put_parameter(Name="/app/one", Value="first", Type="SecureString")
        with pytest.raises(ssm.exceptions.ParameterAlreadyExists):
            ssm.put_parameter(Name="/app/one", Value="second", Type="SecureString")
    file = folder.path / SECRETS_FILE
    assert file.stat().st_mode & 0o777 == 0o600
    assert len(json.loads(file.read_text())) == 1


def test_only_the_last_request_of_each_kind_is_kept_for_a_repository(folder: Folder) -> None:
    with restarted(folder) as (ecr, _, _):
        ecr.create_repository(repositoryName="app")
        ecr.put_image_tag_mutability(repositoryName="app", imageTagMutability="IMMUTABLE")
        ecr.put_image_tag_mutability(repositoryName="app", imageTagMutability="MUTABLE")
        ecr.create_repository(repositoryName="gone")
        ecr.delete_repository(repositoryName="gone")
    file = folder.path / REPOSITORIES_FILE
    assert file.stat().st_mode & 0o777 == 0o600
    recorded = json.loads(file.read_text())
    assert {name: list(actions) for name, actions in recorded.items()} == {
        "app": ["CreateRepository", "PutImageTagMutability"]
    }
    assert recorded["app"]["PutImageTagMutability"]["imageTagMutability"] == "MUTABLE"


def test_files_of_an_older_version_are_replayed(folder: Folder) -> None:
    repositories = {
        "app": {
            "CreateRepository": {"repositoryName": "app", "imageTagMutability": "MUTABLE"},
            "PutImageTagMutability": {"repositoryName": "app", "imageTagMutability": "IMMUTABLE"},
        }
    }
    parameter_body = {"Name": "/app/one", "Value": "first", "Type": "SecureString"}
    secret_body = {"Name": "app/db", "SecretString": "x", "ClientRequestToken": "a" * 32}
    secrets = [
        {
            "target": "AmazonSSM.PutParameter",
            "body": parameter_body,
            "at": "2026-01-02T03:04:05+00:00",
        },
        {"target": "secretsmanager.CreateSecret", "body": secret_body},
    ]
    folder.write("ecr.json", json.dumps(repositories, indent=2).encode(), mode=0o600)
    folder.write("secrets.json", json.dumps(secrets).encode(), mode=0o600)
    with restarted(folder) as (ecr, ssm, manager):
        (app,) = ecr.describe_repositories()["repositories"]
        assert (app["repositoryName"], app["imageTagMutability"]) == ("app", "IMMUTABLE")
        found = parameter(ssm, "/app/one")
        assert (found["Value"], found["Version"]) == ("first", 1)
        assert found["LastModifiedDate"].isoformat().startswith("2026-01-02")
        assert manager.get_secret_value(SecretId="app/db")["VersionId"] == "a" * 32
