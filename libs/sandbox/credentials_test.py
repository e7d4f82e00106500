"""A sandbox's secrets in a real folder."""

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
def place(tmp_path: Path) -> Folder:
    return Folder("test", tmp_path)


def _content(place: Folder) -> dict[str, bytes]:
    return {each.name: each.read_bytes() for each in place.path.iterdir()}


def test_is_made_once(place: Folder) -> None:
    first = credentials.ensure(place)
    before = _content(place)
    assert credentials.ensure(place) == first
    assert _content(place) == before


def test_only_the_owner_can_read_what_is_secret(place: Folder) -> None:
    credentials.ensure(place)
    modes = {each.name: each.stat().st_mode & 0o777 for each in place.path.iterdir()}
    assert {name for name, mode in modes.items() if mode == 0o600} == SECRET
    assert {name for name, mode in modes.items() if mode == 0o644} == {
        "ca.crt",
        "metrics.crt",
        "registry.crt",
    }


@pytest.mark.parametrize("lost", ["ca.crt", "metrics.crt", "metrics_password", "deploy_key"])
def test_a_run_that_was_cut_short_is_finished(place: Folder, lost: str) -> None:
    credentials.ensure(place)
    before = _content(place)
    (place.path / lost).unlink()
    credentials.ensure(place)
    after = _content(place)
    assert after.keys() == before.keys()
    assert after["ca.key"] == before["ca.key"]
    key, certificate = after["metrics.key"], after["metrics.crt"]
    names = credentials.host_names(credentials.MOST_HOSTS)
    assert ca.still_good(certificate, key, after["ca.crt"], names)


def test_a_new_authority_signs_everything_anew(place: Folder) -> None:
    credentials.ensure(place)
    for lost in ("ca.key", "ca.crt"):
        (place.path / lost).unlink()
    made = credentials.ensure(place)
    names = (credentials.REGISTRY_NAME, "127.0.0.1")
    assert ca.still_good(made.registry_certificate, made.registry_key, made.authority, names)


def test_the_registry_knows_ecr_s_user_by_bcrypt(place: Folder) -> None:
    user, _, hashed = credentials.ensure(place).htpasswd.strip().partition(b":")
    assert user == b"AWS"
    assert bcrypt.checkpw(b"123456789012-auth-token", hashed)


def test_shows_nothing(place: Folder) -> None:
    assert repr(credentials.ensure(place)) == "Identity(***)"
