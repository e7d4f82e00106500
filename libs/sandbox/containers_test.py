"""Containers as values."""

from __future__ import annotations

import io
import tarfile
from dataclasses import replace

from sandbox.containers import Container, File, pack

SOME = Container(
    name="py-cicd-test-registry",
    image="sha256:1",
    aliases=("registry",),
    entrypoint=("serve",),
    ports=((443, 1002),),
    files=(File("/sandbox/key", b"secret", 0o600), File("/sandbox/config", b"text")),
)


def test_the_key_changes_with_every_part_of_it() -> None:
    changed = [
        replace(SOME, image="sha256:2"),
        replace(SOME, ports=((443, 1003),)),
        replace(SOME, nested=True),
        replace(SOME, files=(File("/sandbox/key", b"secret", 0o644), SOME.files[1])),
        replace(SOME, files=(File("/sandbox/key", b"other", 0o600), SOME.files[1])),
    ]
    assert len({SOME.key, *(each.key for each in changed)}) == 6
    assert replace(SOME).key == SOME.key


def test_shows_no_file_s_content() -> None:
    assert "secret" not in repr(SOME)


def test_packs_files_with_their_mode_in_a_folder_that_only_root_writes() -> None:
    with tarfile.open(fileobj=io.BytesIO(pack(SOME.files))) as archive:
        found = {each.name: (each.isdir(), each.mode, each.uid) for each in archive}
        content = archive.extractfile("sandbox/key")
        assert content is not None
        assert content.read() == b"secret"
    assert found == {
        "sandbox": (True, 0o755, 0),
        "sandbox/key": (False, 0o600, 0),
        "sandbox/config": (False, 0o644, 0),
    }
