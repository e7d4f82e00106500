"""The role of a job, taken by botocore with the job's token, from a real STS server."""

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
from deploy.core.config import Registry
from deploy.errors import ConfigError, RegistryAuthError
from deploy.testing.servers.http_server import QuietHandler, http_server

ROLE = "arn:aws:iam::123456789012:role/py-cicd-deploy"
EXPIRED = """<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type>
<Code>ExpiredTokenException</Code><Message>Token expired: current date/time must be before the expiration</Message>
</Error></ErrorResponse>"""


@pytest.fixture
def sts() -> Iterator[tuple[str, list[dict[str, list[str]]]]]:
    asked: list[dict[str, list[str]]] = []

    class Handler(QuietHandler):
        def respond(self) -> None:
            asked.append(parse_qs(self.read_body().decode()))
            self.reply(400, EXPIRED.encode(), {"Content-Type": "text/xml"})

    with http_server(Handler) as server:
        yield server.url, asked


def test_the_token_is_a_file_of_ours_alone_and_goes() -> None:
    environ = {"SHIP_ID_TOKEN": "token", "AWS_ROLE_ARN": ROLE, "CI_PROJECT_ID": "7"}
    with web_identity(environ):
        file = Path(environ[FILE])
        assert (file.read_text(), file.stat().st_mode & 0o777) == ("token", 0o600)
        assert environ[SESSION] == "gitlab-7-"
    assert not file.exists()
    assert set(environ) == {"SHIP_ID_TOKEN", "AWS_ROLE_ARN", "CI_PROJECT_ID"}


def test_without_a_token_nothing_changes() -> None:
    environ = {"AWS_PROFILE": "mine"}
    with web_identity(environ):
        assert environ == {"AWS_PROFILE": "mine"}


def test_a_token_without_a_role_is_told() -> None:
    with (
        pytest.raises(ConfigError, match="AWS_ROLE_ARN is not set") as error,
        web_identity({"SHIP_ID_TOKEN": "token"}),
    ):
        pass
    assert error.value.exit_code == 2


def test_a_token_that_expired_is_told_in_one_line(
    sts: tuple[str, list[dict[str, list[str]]]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    url, asked = sts
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
        EcrRegistry(Registry("123456789012", "eu-central-1")).login()
    assert error.value.exit_code == 2
    assert asked[0]["RoleArn"] == [ROLE]
    assert asked[0]["WebIdentityToken"] == ["a.job.token"]
