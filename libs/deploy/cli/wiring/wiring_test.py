"""What a call works with is made when it is needed: a checkout without a sandbox can still build."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.adapters.base_images import Bases, read_recipe
from deploy.cli.wiring import ROOT, Wiring, files
from deploy.cli.wiring.images import RECIPES
from deploy.cli.wiring.requests import Requests
from deploy.core.state.redaction import Redaction
from deploy.errors import HostAuthError, UsageError
from deploy.testing.build_context import MemoryRegistry

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
    """Of a machine that has no sandbox."""
    monkeypatch.setenv("XDG_STATE_HOME", os.fspath(tmp_path))
    with Wiring.here("sandbox", "none", print, Redaction()) as found:
        yield found


def test_the_root_is_the_checkout() -> None:
    assert (ROOT / "pants.toml").is_file()
    assert (ROOT / "libs" / "deploy" / "cli" / "wiring").is_dir()


def test_what_needs_an_environment_says_how_to_get_one(wiring: Wiring) -> None:
    with pytest.raises(UsageError, match="there is no sandbox none") as caught:
        wiring.connections.hosts()
    assert caught.value.hint == "./ship up --yes"
    with pytest.raises(UsageError, match="there is no sandbox none"):
        _ = wiring.images.registry


def test_bases_and_requests_need_none_to_be_made(wiring: Wiring) -> None:
    assert isinstance(wiring.images.bases, Bases)
    assert isinstance(wiring.requests, Requests)


def test_adapters_are_made_without_talking_to_anybody(tmp_path: Path) -> None:
    file = tmp_path / "environment.toml"
    file.write_text(ENVIRONMENT)
    with Wiring.here(os.fspath(file), "none", print, Redaction()) as found:
        (host,) = found.connections.hosts()
        assert host.name == "host-1"
        registry = found.images.registry
        assert registry.name == "123456789012.dkr.ecr.eu-central-1.amazonaws.com"
        assert found.vault is found.vault
        assert found.context().hosts == (host,)
        config = found.settings.environment().hosts[0]
        with pytest.raises(HostAuthError, match="can't use the key"):
            found.connections.deploy_key()
        assert found.connections.host_as(config, "root", "").name == "host-1"


def test_what_hosts_run_is_published_without_a_secret_file_of_the_environment(
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
    registry = MemoryRegistry()
    keys = {name: read_recipe(RECIPES / name).key for name in ("edge", "python", "prometheus")}
    registry.digests = {f"{name}:{key}": "sha256:there" for name, key in keys.items()}
    asked: list[str] = []
    with Wiring.here(os.fspath(file), "none", asked.append, Redaction()) as found:
        found.images.__dict__ |= {"registry": registry, "engine": None}
        found.images.publish_stacks()
        assert asked == []


def test_a_report_shows_the_pictures_of_its_own_service(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "ROOT", tmp_path)
    for name in ("dist/e2e/app/it works.png", "dist/e2e/shop/other.png", "dist/e2e/stray.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"png")
    assert files.shots("app") == [("it works", b"png")]
    assert files.shots("none") == []


def test_job_images_are_read_from_the_checkout(wiring: Wiring) -> None:
    assert wiring.settings.job_images["ship"].target == "deploy/ship:image"


def test_an_unknown_service_is_told_before_anything_else(wiring: Wiring) -> None:
    with pytest.raises(UsageError, match="there is no service nothing") as caught:
        wiring.requests.deploy("nothing", None, None)
    assert caught.value.hint == f"one of: {', '.join(sorted(wiring.settings.services))}"


def test_an_unknown_environment_is_told_with_those_that_there_are(wiring: Wiring) -> None:
    with pytest.raises(UsageError, match="there is no environment nowhere") as caught:
        wiring.settings.named_environment("nowhere")
    assert "sandbox" in caught.value.hint
