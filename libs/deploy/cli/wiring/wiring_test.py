"""Adapters are made at first use, so that a checkout without a sandbox can still build."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.adapters.base_images import Bases, read_recipe
from deploy.adapters.journeys import Journeys
from deploy.cli.wiring import ROOT, Wiring, files
from deploy.cli.wiring.commands import Commands
from deploy.cli.wiring.images import RECIPES
from deploy.cli.wiring.settings import Settings
from deploy.core.config import Service
from deploy.core.state.redaction import Redaction
from deploy.errors import HostAuthError, UsageError
from deploy.testing.build_context import BuildRegistry

ENVIRONMENT = """\
name = "test"
known_hosts = "known_hosts"
ssh_key = "key"
[registry]
account = "123456789012"
region = "eu-central-1"
[[hosts]]
name = "host-1"
address = "192.0.2.1"
"""


@pytest.fixture
def wiring(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Wiring]:
    """On a machine without a sandbox."""
    monkeypatch.setenv("XDG_STATE_HOME", os.fspath(tmp_path))
    with Wiring.here("sandbox", "none", print, Redaction()) as found:
        yield found


def test_the_root_is_the_checkout() -> None:
    assert (ROOT / "pants.toml").is_file()
    assert (ROOT / "libs" / "deploy" / "cli" / "wiring").is_dir()


def test_a_missing_sandbox_error_names_the_command_that_makes_one(wiring: Wiring) -> None:
    with pytest.raises(UsageError, match="there is no sandbox none") as caught:
        wiring.connections.hosts()
    assert caught.value.hint == "./ship up --yes"
    with pytest.raises(UsageError, match="there is no sandbox none"):
        _ = wiring.images.registry


def test_bases_and_commands_need_no_environment(wiring: Wiring) -> None:
    assert isinstance(wiring.images.bases, Bases)
    assert isinstance(wiring.commands, Commands)


def test_making_the_adapters_connects_to_nothing(tmp_path: Path) -> None:
    file = tmp_path / "environment.toml"
    file.write_text(ENVIRONMENT)
    with Wiring.here(os.fspath(file), "none", print, Redaction()) as found:
        (host,) = found.connections.hosts()
        assert host.name == "host-1"
        registry = found.images.registry
        assert registry.name == "123456789012.dkr.ecr.eu-central-1.amazonaws.com"
        assert found.secrets is found.secrets
        assert found.context().hosts == (host,)
        config = found.settings.environment().hosts[0]
        with pytest.raises(HostAuthError, match="can't use the key"):
            found.connections.deploy_key()
        assert found.connections.host_as(config, "root", "").name == "host-1"


def test_the_journeys_of_ship_up_report_to_the_pushgateway(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "environment.toml"
    metrics = """\
[metrics]
prometheus_url = "http://127.0.0.1:9090"
pushgateway_url = "http://127.0.0.1:9091"
ca = "ca"
cert = "cert"
key = "key"
password_file = "password"
"""
    file.write_text(ENVIRONMENT.replace("[[hosts]]", f"{metrics}[[hosts]]"))
    ran: list[Journeys] = []

    def run(journeys: Journeys, url: str) -> bool:
        assert url == "http://host-1"
        ran.append(journeys)
        return True

    monkeypatch.setattr(Journeys, "run", run)
    with Wiring.here(os.fspath(file), "none", print, Redaction()) as found:
        # Not those of the checkout, which has none where Pants runs this test.
        service = Service("shop", "services/shop:image", journeys="e2e/shop_test.py")
        found.settings.__dict__["services"] = {"shop": service}
        found.run_journeys("http://host-1")
    (journeys,) = ran
    assert journeys.file == "e2e/shop_test.py"
    assert (journeys.pushgateway, journeys.environment) == ("http://127.0.0.1:9091", "test")
    assert not journeys.monitored  # a single run: no alert when no further one follows


def test_credentials_that_the_process_handles_are_known_to_the_filter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "environment.toml"
    file.write_text(ENVIRONMENT)
    (tmp_path / "key").write_text("the-private-key-of-the-login\n")
    monkeypatch.setenv("CI_JOB_TOKEN", "glcbt-64-abcdef")
    redaction = Redaction()
    with Wiring.here(os.fspath(file), "none", print, redaction) as found:
        found.connections.hosts()
        assert redaction("glcbt-64-abcdef the-private-key-of-the-login") == "*** ***"


def test_files_of_the_stacks_are_known_to_the_filter(tmp_path: Path) -> None:
    file = tmp_path / "environment.toml"
    metrics = """\
[metrics]
prometheus_url = "https://prometheus.example.com"
ca = "ca"
cert = "cert"
key = "metrics-key"
password_file = "password"
"""
    file.write_text(ENVIRONMENT.replace("[[hosts]]", f"{metrics}[[hosts]]"))
    for name in ("cert", "metrics-key", "password"):
        (tmp_path / name).write_text(f"content-of-{name}")
    registry = BuildRegistry()
    keys = {name: read_recipe(RECIPES / name).key for name in ("edge", "python", "prometheus")}
    registry.digests = {f"{name}:{key}": "sha256:there" for name, key in keys.items()}
    redaction = Redaction()
    with Wiring.here(os.fspath(file), "none", print, redaction) as found:
        found.images.__dict__ |= {"registry": registry, "engine": None}
        found.images.stacks(found.settings.environment(), push=False)
    text = "content-of-cert content-of-metrics-key content-of-password"
    assert redaction(text) == "content-of-cert *** ***"


def test_publishing_the_stacks_reads_no_secret_file(
    tmp_path: Path,
) -> None:
    file = tmp_path / "environment.toml"
    metrics = """\
[metrics]
prometheus_url = "https://prometheus.example.com"
ca = "ca.crt"
cert = "$NOT_SET"
key = "$NOT_SET"
password_file = "$NOT_SET"
"""
    file.write_text(ENVIRONMENT.replace("[[hosts]]", f"{metrics}[[hosts]]"))
    registry = BuildRegistry()
    keys = {name: read_recipe(RECIPES / name).key for name in ("edge", "python", "prometheus")}
    registry.digests = {f"{name}:{key}": "sha256:there" for name, key in keys.items()}
    messages: list[str] = []
    with Wiring.here(os.fspath(file), "none", messages.append, Redaction()) as found:
        found.images.__dict__ |= {"registry": registry, "engine": None}
        found.images.publish_stacks()
        assert messages == []


def test_a_report_shows_screenshots_of_its_own_service_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "ROOT", tmp_path)
    for name in ("dist/e2e/app/it works.png", "dist/e2e/shop/other.png", "dist/e2e/stray.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"png")
    assert files.shots("app") == [("it works", b"png")]
    assert files.shots("none") == []


def test_settings_name_the_files_that_they_are_from(tmp_path: Path) -> None:
    found = {each.key: each for each in Settings("production", "none").sources("app")}
    assert found["memory"].source == "deploy/environments/production.toml"
    assert found["route.path"].source == "services/app/service.toml"
    assert found["health.healthy_deadline_s"].source == "default"
    file = tmp_path / "other.toml"
    file.write_text(f"{ENVIRONMENT}[services.app]\nreplicas = 2\n")
    found = {each.key: each for each in Settings(os.fspath(file), "none").sources("app")}
    assert (found["replicas"].value, found["replicas"].source) == (2, os.fspath(file))


def test_job_images_are_read_from_the_checkout(wiring: Wiring) -> None:
    assert wiring.settings.job_images["ship"].target == "deploy/ship:image"


def test_an_unknown_service_is_refused_first(wiring: Wiring) -> None:
    with pytest.raises(UsageError, match="there is no service nothing") as caught:
        wiring.commands.deploy("nothing", None, None)
    assert caught.value.hint == f"one of: {', '.join(sorted(wiring.settings.services))}"


def test_an_unknown_environment_error_lists_the_known_ones(wiring: Wiring) -> None:
    with pytest.raises(UsageError, match="there is no environment nowhere") as caught:
        wiring.settings.named_environment("nowhere")
    assert "sandbox" in caught.value.hint
