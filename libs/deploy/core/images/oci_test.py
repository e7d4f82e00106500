import hashlib
import io
import json
import tarfile

from deploy.core.images.oci import (
    UNKNOWN,
    ArchivedLayer,
    Stamp,
    digest_of,
    labels_of,
    normalised_config,
    short_id,
    write_archive,
)

STAMP = Stamp("3f9c2ab0d1e2f3a4b5c6d7e8f9a0b1c2d3e4f5a6", 1795305600)
DIFF_IDS = [f"sha256:{digit * 64}" for digit in "ab"]
RUNTIME = {
    "User": "10001:10001",
    "Env": ["PATH=/opt/app/bin:/usr/bin"],
    "Cmd": ["gunicorn"],
    "StopSignal": "SIGTERM",
    "WorkingDir": "/",
}
# The same image, built by Debian 12's engine with its legacy builder and by BuildKit.
LEGACY = {
    "architecture": "amd64",
    "config": {
        **RUNTIME,
        "Hostname": "",
        "Image": "sha256:8a10b54abe23",
        "Labels": {"team": "web"},
        "Volumes": None,
        "OnBuild": [],
        "AttachStdin": False,
    },
    "container": "fe1f8a7d",
    "container_config": {"Hostname": "fe1f8a7d", "Cmd": ["/bin/sh", "-c", "#(nop) "]},
    "created": "2026-11-22T23:29:19.749336027Z",
    "docker_version": "20.10.24+dfsg1",
    "history": [{"created": "2026-11-22T23:29:19Z", "created_by": "/bin/sh -c #(nop)"}],
    "os": "linux",
    "rootfs": {"type": "layers", "diff_ids": DIFF_IDS},
}
BUILDKIT = {
    "architecture": "amd64",
    "config": {**RUNTIME, "Labels": {"team": "web"}, "ArgsEscaped": True},
    "created": "2026-11-23T07:00:00.1Z",
    "history": [{"created_by": "COPY /out/ / # buildkit"}, {"empty_layer": True}],
    "os": "linux",
    "rootfs": {"type": "layers", "diff_ids": DIFF_IDS},
}


def _normalised(document: object, stamp: Stamp = STAMP) -> bytes:
    raw = json.dumps(document).encode()
    return normalised_config(raw, created=stamp.created, labels=labels_of(stamp, title="app"))


def test_legacy_builder_and_buildkit_give_the_same_bytes() -> None:
    assert _normalised(LEGACY) == _normalised(BUILDKIT)


def test_normalising_keeps_the_runtime_settings_and_layers() -> None:
    config = json.loads(_normalised(LEGACY))
    labels = config["config"].pop("Labels")
    assert config["config"] == RUNTIME
    assert config["rootfs"]["diff_ids"] == DIFF_IDS
    assert config["created"] == "2026-11-22T00:00:00Z"
    assert len(config["history"]) == len(DIFF_IDS)
    assert labels == {
        "team": "web",
        "org.opencontainers.image.title": "app",
        "org.opencontainers.image.revision": STAMP.revision,
        "org.opencontainers.image.created": "2026-11-22T00:00:00Z",
        "org.opencontainers.image.version": "2026.11.22-3f9c2ab",
    }


def test_another_revision_gives_another_image() -> None:
    assert _normalised(LEGACY) != _normalised(LEGACY, UNKNOWN)


def test_image_is_reproducible_without_a_git_history() -> None:
    assert _normalised(LEGACY, UNKNOWN) == _normalised(BUILDKIT, UNKNOWN)
    assert json.loads(_normalised(LEGACY, UNKNOWN))["created"] == "1980-01-01T00:00:00Z"


def test_source_becomes_a_label() -> None:
    labels = labels_of(STAMP, title="app", source="https://code.example/app")
    assert labels["org.opencontainers.image.source"] == "https://code.example/app"


def test_archive_names_configuration_and_layers_by_digest() -> None:
    config = _normalised(LEGACY)
    layers = [ArchivedLayer(DIFF_IDS[0], 3, io.BytesIO(b"low")), ArchivedLayer(DIFF_IDS[1])]
    target = io.BytesIO()
    write_archive(config, layers, "py-cicd/app:x", target)
    target.seek(0)
    with tarfile.open(fileobj=target) as archive:
        names = archive.getnames()
        manifest = json.load(archive.extractfile("manifest.json") or io.BytesIO())
        stored = archive.extractfile(manifest[0]["Config"])
        assert stored
        assert stored.read() == config
    assert manifest[0]["RepoTags"] == ["py-cicd/app:x"]
    assert manifest[0]["Config"] == f"{hashlib.sha256(config).hexdigest()}.json"
    # The second layer has no content: it is only named.
    assert manifest[0]["Layers"] == [f"{digit * 64}/layer.tar" for digit in "ab"]
    assert names == [manifest[0]["Config"], "manifest.json", manifest[0]["Layers"][0]]


def test_short_id_has_twelve_digits() -> None:
    assert short_id(digest_of(b"")) == "e3b0c44298fc"
