"""Tests of loading [secrets] from service and environment files."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.adapters.config import loader
from deploy.core.config import Environment, SecretRef, SecretStoreConfig, Service
from deploy.errors import ConfigError

SERVICE = """
name = "app"
image = "services/app:image"
"""
ENVIRONMENT = """
name = "production"
known_hosts = "known_hosts"
ssh_key = "key"
registry = { account = "123456789012", region = "us-east-1" }
hosts = [{ name = "web-1", address = "192.0.2.1" }]
"""
SECRETS = """
[secrets]
TOKEN = { env = "CI_TOKEN" }
KEY = { file = "CI_KEY" }
PASSWORD = { ssm = "/app/password", into = "env" }
USER = { secretsmanager = "app/db", field = "user" }
"""


def service(folder: Path, text: str) -> Service:
    (folder / "services" / "app").mkdir(parents=True)
    (folder / "services" / "app" / "service.toml").write_text(SERVICE + text)
    return loader.load_services(folder)["app"]


def environment(folder: Path, text: str) -> Environment:
    (folder / "production.toml").write_text(ENVIRONMENT + text)
    return loader.load_environment(folder / "production.toml")


def test_each_secret_names_a_store_and_a_key(tmp_path: Path) -> None:
    assert service(tmp_path, SECRETS).secrets == {
        "TOKEN": SecretRef("env", "CI_TOKEN"),
        "KEY": SecretRef("file", "CI_KEY"),
        "PASSWORD": SecretRef("ssm", "/app/password", into="env"),
        "USER": SecretRef("secretsmanager", "app/db", field="user"),
    }


def test_environment_overrides_secrets_name_by_name(tmp_path: Path) -> None:
    override = '[services.app.secrets]\nTOKEN = { ssm = "/token" }\nMORE = { env = "CI_MORE" }\n'
    merged = loader.for_environment(service(tmp_path, SECRETS), environment(tmp_path, override))
    assert merged.secrets["TOKEN"] == SecretRef("ssm", "/token")
    assert merged.secrets["MORE"] == SecretRef("env", "CI_MORE")
    assert merged.secrets["KEY"] == SecretRef("file", "CI_KEY")


def test_environment_configures_the_secret_stores(tmp_path: Path) -> None:
    assert environment(tmp_path, "").secrets == SecretStoreConfig()
    text = '[secrets]\nregion = "eu-west-1"\nendpoint_url = "http://127.0.0.1:1"\ncredentials = "c"'
    assert environment(tmp_path, text).secrets == SecretStoreConfig(
        "eu-west-1", "http://127.0.0.1:1", str(tmp_path / "c")
    )


def test_all_problems_are_reported_together(tmp_path: Path) -> None:
    text = """
[env]
TWICE = "plain"

[secrets]
NONE = {}
BOTH = { env = "A", ssm = "/a" }
PLAIN = "the value itself"
PORT = { env = "CI_PORT" }
TYPO = { smm = "/a" }
SPACE = { ssm = "a b" }
HOW = { env = "A", into = "argv" }
TWICE = { env = "A", into = "env" }
"""
    with pytest.raises(ConfigError) as wrong:
        service(tmp_path, text)
    stores = "should name one of env, file, ssm, secretsmanager"
    assert [
        problem.removeprefix("services/app/service.toml: ") for problem in wrong.value.problems
    ] == [
        "secrets.PLAIN: should be a table",
        "secrets.PORT: should be left out: the tool sets it",
        "secrets.TYPO.smm: unknown key; did you mean ssm? (docs/service-toml.md#secretsname)",
        "secrets.SPACE.ssm: should be the name or ARN of a parameter, such as /app/db",
        'secrets.HOW.into: should be "file" or "env"',
        f"secrets.NONE: {stores}, not 0",
        f"secrets.BOTH: {stores}, not 2",
        f"secrets.TYPO: {stores}, not 0",
        "secrets.TWICE: env.TWICE is the same variable",
    ]
    assert "the value itself" not in "".join(wrong.value.problems)


def test_environments_override_is_checked_too(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as wrong:
        environment(tmp_path, "[services.app.secrets]\nA = { env = 'A', file = 'A' }\n")
    (problem,) = wrong.value.problems
    assert problem.startswith("production.toml: services.app.secrets.A: should name one of")


def test_variable_set_by_both_file_and_override_is_reported(tmp_path: Path) -> None:
    override = "[services.app.secrets]\nA = { env = 'A', into = 'env' }\n"
    with pytest.raises(ConfigError) as wrong:
        loader.for_environment(
            service(tmp_path, "[env]\nA = 'plain'\n"), environment(tmp_path, override)
        )
    assert wrong.value.problems == ("services.app.secrets.A: env sets the same variable",)
