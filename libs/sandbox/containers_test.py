"""Container specs and the archives of their files."""

from __future__ import annotations

import io
import tarfile
from dataclasses import replace

from sandbox.containers import ContainerSpec, File, pack

SPEC = ContainerSpec(
    name="py-cicd-test-registry",
    image="sha256:1",
    aliases=("registry",),
    entrypoint=("serve",),
    ports=((443, 1002),),
    files=(File("/sandbox/key", b"secret", 0o600), File("/sandbox/config", b"text")),
)


def test_the_key_changes_with_every_field() -> None:
    changed = [
        replace(SPEC, image="sha256:2"),
        replace(SPEC, ports=((443, 1003),)),
        replace(SPEC, nested=True),
        replace(SPEC, files=(File("/sandbox/key", b"secret", 0o644), SPEC.files[1])),
        replace(SPEC, files=(File("/sandbox/key", b"other", 0o600), SPEC.files[1])),
    ]
    assert len({SPEC.key, *(spec.key for spec in changed)}) == 6
    assert replace(SPEC).key == SPEC.key


def test_repr_hides_the_content_of_files() -> None:
    assert "secret" not in repr(SPEC)


def test_the_archive_has_the_files_modes_in_a_folder_that_only_root_can_write() -> None:
    with tarfile.open(fileobj=io.BytesIO(pack(SPEC.files))) as archive:
        found = {entry.name: (entry.isdir(), entry.mode, entry.uid) for entry in archive}
        content = archive.extractfile("sandbox/key")
        assert content is not None
        assert content.read() == b"secret"
    assert found == {
        "sandbox": (True, 0o755, 0),
        "sandbox/key": (False, 0o600, 0),
        "sandbox/config": (False, 0o644, 0),
    }


def test_the_key_of_an_unchanged_container_stays_the_same_in_newer_versions() -> None:
    assert SPEC.key == "92ac3c12eb6db9de"
