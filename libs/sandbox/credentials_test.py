"""Credentials in a real folder."""

from __future__ import annotations

from pathlib import Path

import bcrypt
import pytest

from sandbox import ca, credentials
from sandbox.state import Folder

SECRET = {
    "aws_credentials",
    "ca.key",
    "deploy_key",
    "htpasswd",
    "metrics.key",
    "metrics_password",
    "registry.key",
}


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder("test", tmp_path)


def _content(folder: Folder) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.path.iterdir()}


def test_credentials_are_made_once(folder: Folder) -> None:
    first = credentials.ensure(folder)
    before = _content(folder)
    assert credentials.ensure(folder) == first
    assert _content(folder) == before


def test_only_the_owner_can_read_secrets(folder: Folder) -> None:
    credentials.ensure(folder)
    modes = {file.name: file.stat().st_mode & 0o777 for file in folder.path.iterdir()}
    assert {name for name, mode in modes.items() if mode == 0o600} == SECRET
    assert {name for name, mode in modes.items() if mode == 0o644} == {
        "ca.crt",
        "metrics.crt",
        "registry.crt",
    }


@pytest.mark.parametrize("missing", ["ca.crt", "metrics.crt", "metrics_password", "deploy_key"])
def test_the_next_run_completes_an_interrupted_one(folder: Folder, missing: str) -> None:
    credentials.ensure(folder)
    before = _content(folder)
    (folder.path / missing).unlink()
    credentials.ensure(folder)
    after = _content(folder)
    assert after.keys() == before.keys()
    assert after["ca.key"] == before["ca.key"]
    key, certificate = after["metrics.key"], after["metrics.crt"]
    names = credentials.host_names(credentials.MAX_HOSTS)
    assert ca.is_valid(certificate, key, after["ca.crt"], names)


def test_a_new_ca_signs_all_certificates_again(folder: Folder) -> None:
    credentials.ensure(folder)
    for missing in ("ca.key", "ca.crt"):
        (folder.path / missing).unlink()
    made = credentials.ensure(folder)
    names = (credentials.REGISTRY_NAME, "127.0.0.1")
    assert ca.is_valid(made.registry_certificate, made.registry_key, made.ca_certificate, names)


def test_htpasswd_has_ecr_s_user_with_a_bcrypt_hash(folder: Folder) -> None:
    user, _, hashed = credentials.ensure(folder).htpasswd.strip().partition(b":")
    assert user == b"AWS"
    assert bcrypt.checkpw(b"123456789012-auth-token", hashed)


def test_repr_hides_credentials(folder: Folder) -> None:
    assert repr(credentials.ensure(folder)) == "Credentials(***)"
