"""Tests that botocore assumes a role with the job's token, with an HTTP server as STS."""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs

import pytest

from deploy.adapters.aws.ecr import EcrRegistry
from deploy.adapters.gitlab.web_identity import (
    FILE,
    SESSION,
    web_identity,
)
from deploy.core.config import RegistryConfig
from deploy.errors import ConfigError, RegistryAuthError
from deploy.testing.servers.http_server import QuietHandler, http_server

ROLE = "arn:aws:iam::123456789012:role/py-cicd-deploy"
EXPIRED = """<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type>
<Code>ExpiredTokenException</Code><Message>Token expired: current date/time must be before the expiration</Message>
</Error></ErrorResponse>"""


@pytest.fixture
def sts() -> Iterator[tuple[str, list[dict[str, list[str]]]]]:
    requests: list[dict[str, list[str]]] = []

    class Handler(QuietHandler):
        def respond(self) -> None:
            requests.append(parse_qs(self.read_body().decode()))
            self.reply(400, EXPIRED.encode(), {"Content-Type": "text/xml"})

    with http_server(Handler) as server:
        yield server.url, requests


def test_token_file_is_private_and_removed() -> None:
    environ = {"SHIP_ID_TOKEN": "token", "AWS_ROLE_ARN": ROLE, "CI_PROJECT_ID": "7"}
    with web_identity(environ):
        file = Path(environ[FILE])
        assert (file.read_text(), file.stat().st_mode & 0o777) == ("token", 0o600)
        assert environ[SESSION] == "gitlab-7-"
    assert not file.exists()
    assert set(environ) == {"SHIP_ID_TOKEN", "AWS_ROLE_ARN", "CI_PROJECT_ID"}


def test_environment_is_unchanged_without_a_token() -> None:
    environ = {"AWS_PROFILE": "mine"}
    with web_identity(environ):
        assert environ == {"AWS_PROFILE": "mine"}


def test_token_without_a_role_is_reported() -> None:
    with (
        pytest.raises(ConfigError, match="AWS_ROLE_ARN is not set") as error,
        web_identity({"SHIP_ID_TOKEN": "token"}),
    ):
        pass
    assert error.value.exit_code == 2


def test_expired_token_is_reported_in_one_line(
    sts: tuple[str, list[dict[str, list[str]]]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    url, requests = sts
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", FILE, SESSION):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", url)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("SHIP_ID_TOKEN", "a.job.token")
    monkeypatch.setenv("AWS_ROLE_ARN", ROLE)
    with (
        web_identity(),
        pytest.raises(RegistryAuthError, match=r"ExpiredTokenException.*[^\n]$") as error,
    ):
        EcrRegistry(RegistryConfig("123456789012", "eu-central-1")).login()
    assert error.value.exit_code == 2
    assert requests[0]["RoleArn"] == [ROLE]
    assert requests[0]["WebIdentityToken"] == ["a.job.token"]
