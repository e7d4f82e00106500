"""Renders the secret files of a release, and runs the script that places them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from deploy.core.commands import files as host_files
from deploy.core.commands import paths, secret_files
from deploy.core.config import SecretRef
from deploy.core.state.release import (
    Release,
    dump_release,
    make_release,
    parse_release,
)
from deploy.core.state.secrets import Pinned, Secret
from deploy.testing import factories
from deploy.testing.local_root import LocalRoot

AS_FILE = Pinned("DB", "ssm", "/db", "", "file", "3")
AS_ENV = Pinned("API", "env", "API", "", "env", "hmac-1")
VALUES = {"DB": Secret("first\nsecond"), "API": Secret('5$ "green"')}
FOLDER = "services/app/releases/r000042-3f9c2ab"


def made(*pins: Pinned) -> Release:
    service = replace(factories.service(replicas=2), secrets={pin.name: pin.ref for pin in pins})
    image = factories.image("one")
    return make_release(
        service,
        image,
        42,
        factories.REPLICA,
        factories.ORIGIN,
        subnet="10.213.0.0/16",
        secrets=pins,
    )


def files(*pins: Pinned) -> dict[str, tuple[str, int]]:
    rendered = secret_files.render_secret_files(pins, VALUES, group="1000", salt="s")
    return {path: (text, mode) for path, text, mode in rendered}


def test_file_has_exactly_the_value_and_replicas_join_its_group() -> None:
    rendered = files(AS_FILE)
    assert rendered["files/DB"] == ("first\nsecond", 0o640)
    text, mode = rendered["replica.json"]
    assert mode == 0o600
    extended = {"file": "../replica.yml", "service": "replica"}
    assert json.loads(text) == {
        "services": {"replica": {"extends": extended, "group_add": ["1000"]}}
    }


def test_secret_for_the_environment_is_in_no_mounted_file() -> None:
    rendered = files(AS_ENV)
    assert list(rendered) == ["replica.json"]
    text, _ = rendered["replica.json"]
    assert "5$$ " in text
    replica = json.loads(text.replace("$$", "$"))["services"]["replica"]
    assert replica["environment"] == {"API": '5$ "green"'}
    assert "group_add" not in replica


def test_texts_of_a_release_contain_no_value() -> None:
    release = made(AS_FILE, AS_ENV)
    for text in (release.compose, repr(release), dump_release(release)):
        assert not any(value.reveal() in text for value in VALUES.values())
    (volume,) = json.loads(release.compose)["services"]["app-r000042-1"]["volumes"]
    assert (volume["source"], volume["target"]) == ("./secrets/files", "/run/secrets")
    assert volume["read_only"] is True
    assert volume["bind"] == {"create_host_path": False}


def test_record_with_secrets_is_read_back() -> None:
    release = made(AS_FILE, AS_ENV)
    assert parse_release(dump_release(release)) == release


def test_release_without_secrets_mounts_nothing_and_extends_replica_yml() -> None:
    release = made()
    assert "volumes" not in release.compose
    assert '"file": "replica.yml"' in release.compose


def test_release_with_secret_variables_only_mounts_nothing() -> None:
    assert "volumes" not in made(AS_ENV).compose
    assert '"file": "secrets/replica.json"' in made(AS_ENV).compose


# The script.


@pytest.fixture
def machine(tmp_path: Path) -> LocalRoot:
    machine = LocalRoot.at(tmp_path / "root with a space")
    (machine.root / FOLDER).mkdir(parents=True)
    return machine


def place(machine: LocalRoot, *pins: Pinned, key: str = "", cut: int | None = None) -> int:
    rendered = secret_files.render_secret_files(pins, VALUES, group="1000", salt="s")
    keyed = (("key", key, 0o600),) if key else ()
    tar = host_files.tar_of((*keyed, *rendered))[:cut]
    return machine.run(secret_files.place_secrets(f"{paths.ROOT}/{FOLDER}"), tar).returncode


def modes(machine: LocalRoot) -> dict[str, str]:
    folder = machine.root / FOLDER
    paths_below = [folder / "secrets", *(folder / "secrets").rglob("*")]
    return {str(path.relative_to(folder)): oct(path.stat().st_mode & 0o777) for path in paths_below}


def test_only_the_owner_can_enter_the_folder(machine: LocalRoot) -> None:
    assert place(machine, AS_FILE, AS_ENV) == 0
    assert modes(machine) == {
        "secrets": "0o700",
        "secrets/replica.json": "0o600",
        "secrets/files": "0o750",
        "secrets/files/DB": "0o640",
    }
    assert machine.read(f"{FOLDER}/secrets/files/DB") == "first\nsecond"


def test_placing_again_replaces_all_files(machine: LocalRoot) -> None:
    assert place(machine, AS_FILE) == 0
    assert place(machine, AS_ENV) == 0
    assert set(modes(machine)) == {"secrets", "secrets/replica.json"}


def test_key_is_stored_for_its_owner_only(machine: LocalRoot) -> None:
    assert place(machine, AS_FILE, key="k1") == 0
    assert place(machine, AS_FILE) == 0
    key = machine.root / "secrets.key"
    assert (key.read_text(), key.stat().st_mode & 0o777) == ("k1", 0o600)


@pytest.mark.parametrize("cut", [0, 100, 512, 700, 1024, 1300])
def test_truncated_tar_replaces_nothing(machine: LocalRoot, cut: int) -> None:
    assert place(machine, AS_FILE) == 0
    before = modes(machine)
    assert place(machine, AS_ENV, AS_FILE, cut=cut) != 0
    assert {name: mode for name, mode in modes(machine).items() if ".new" not in name} == before


def record(machine: LocalRoot) -> int:
    tar = host_files.tar_of((("release.json", "{}", 0o644),))
    return machine.run(host_files.place(f"{paths.ROOT}/{FOLDER}"), tar).returncode


def test_writing_the_record_again_keeps_the_mounted_folder(
    machine: LocalRoot,
) -> None:
    assert place(machine, AS_FILE) == 0
    mounted = machine.root / FOLDER / "secrets/files"
    before, number = modes(machine), mounted.stat().st_ino
    assert record(machine) == 0
    assert modes(machine) == before
    assert mounted.stat().st_ino == number


@pytest.mark.parametrize("folder_exists", [True, False])
def test_kill_between_the_renames_loses_no_secrets(
    machine: LocalRoot, *, folder_exists: bool
) -> None:
    assert place(machine, AS_FILE) == 0
    folder = machine.root / FOLDER
    before, aside = modes(machine), folder.with_name(f"{folder.name}.new")
    aside.mkdir()
    (folder / "secrets").rename(aside / "secrets")
    if not folder_exists:
        folder.rmdir()
    assert record(machine) == 0
    assert modes(machine) == before
    assert not aside.exists()


def test_placing_secrets_of_a_missing_release_fails(machine: LocalRoot) -> None:
    (machine.root / FOLDER).rmdir()
    assert place(machine, AS_FILE) != 0


def test_pin_refers_to_the_store_and_key_of_its_secret() -> None:
    assert Pinned("A", "ssm", "/a", "f", "env", "1").ref == SecretRef("ssm", "/a", "f", "env")
