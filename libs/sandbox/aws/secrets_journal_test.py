"""Parameters and secrets over a restart of the control plane, asked with boto3 as AWS is."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from moto.secretsmanager.models import secretsmanager_backends
from moto.ssm.models import ssm_backends
from werkzeug.serving import make_server

from sandbox.aws.secrets_journal import MEMORY, KeptSecrets
from sandbox.credentials import ACCOUNT, REGION
from sandbox.state import Folder


@contextmanager
def restarted(place: Folder) -> Iterator[tuple[Any, Any]]:
    """Clients of a moto that has just started and remembers nothing but what its folder says."""
    ssm_backends[ACCOUNT][REGION].reset()
    secretsmanager_backends[ACCOUNT][REGION].reset()
    kept = KeptSecrets(DomainDispatcherApplication(create_backend_app), place)
    kept.replay()
    server = make_server("127.0.0.1", 0, kept, threaded=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    session: Any = boto3.Session("sandbox", "sandbox", region_name=REGION)
    url = f"http://127.0.0.1:{server.server_port}"
    clients = tuple(session.client(name, endpoint_url=url) for name in ("ssm", "secretsmanager"))
    try:
        yield clients[0], clients[1]
    finally:
        for client in clients:
            client.close()
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def place(tmp_path: Path) -> Folder:
    return Folder("test", tmp_path)


def parameter(ssm: Any, name: str) -> dict[str, Any]:
    (found,) = ssm.get_parameters(Names=[name], WithDecryption=True)["Parameters"]
    return {key: found[key] for key in ("Value", "Version", "LastModifiedDate")}


def test_a_sandbox_s_account_is_moto_s() -> None:
    assert ACCOUNT == DEFAULT_ACCOUNT_ID


def test_a_restart_forgets_neither_values_nor_versions(place: Folder) -> None:
    with restarted(place) as (ssm, manager):
        ssm.put_parameter(Name="/app/one", Value="first", Type="SecureString")
        ssm.put_parameter(Name="/app/one", Value="second", Type="SecureString", Overwrite=True)
        ssm.put_parameter(Name="/gone", Value="x", Type="SecureString")
        ssm.delete_parameter(Name="/gone")
        manager.create_secret(Name="app/db", SecretString="first")
        manager.put_secret_value(SecretId="app/db", SecretString="second")
        one, db = parameter(ssm, "/app/one"), manager.get_secret_value(SecretId="app/db")
    with restarted(place) as (ssm, manager):
        assert parameter(ssm, "/app/one") == one
        assert one["Version"] == 2
        assert ssm.get_parameters(Names=["/gone"])["InvalidParameters"] == ["/gone"]
        again = manager.get_secret_value(SecretId="app/db")
        assert (again["SecretString"], again["VersionId"]) == ("second", db["VersionId"])


def test_what_is_kept_is_for_its_owner_alone(place: Folder) -> None:
    with restarted(place) as (ssm, _):
        ssm.put_parameter(Name="/app/one", Value="first", Type="SecureString")
        with pytest.raises(ssm.exceptions.ParameterAlreadyExists):
            ssm.put_parameter(Name="/app/one", Value="second", Type="SecureString")
    kept = place.path / MEMORY
    assert kept.stat().st_mode & 0o777 == 0o600
    assert len(json.loads(kept.read_text())) == 1
