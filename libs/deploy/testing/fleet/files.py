"""The effects of host scripts on the files of a simulated host."""

from __future__ import annotations

import io
import json
import tarfile

from deploy.core.commands import locks
from deploy.core.state.ledger import seal, sealed
from deploy.testing.fleet.docker import EngineRefusedError

type Files = dict[str, bytes]


def record(files: Files, head: str) -> None:
    """Appends a line to the ledger, as the host's script does."""
    before = files.get(locks.LEDGER, b"")
    torn = b"" if not before or before.endswith(b"\n") else b"\n"
    line = sealed(head, _last_line(before + torn))
    files[locks.LEDGER] = before + torn + line.encode() + b"\n"
    count = files[locks.LEDGER].count(b"\n")
    files[locks.SEAL] = f"{count} {seal(line)}\n".encode()


def environment_of(files: Files, folder: str) -> dict[str, str]:
    """Returns the variables in a folder's .env."""
    lines = files.get(f"{folder.rstrip('/')}/.env", b"").decode().splitlines()
    return dict(line.split("=", 1) for line in lines)


def unpack(files: Files, folder: str, tar: bytes) -> None:
    """Unpacks a tar archive into a folder."""
    with tarfile.open(fileobj=io.BytesIO(tar)) as archive:
        for member in archive.getmembers():
            content = archive.extractfile(member)
            files[f"{folder}/{member.name}"] = content.read() if content else b""


def remove(files: Files, folder: str) -> None:
    """Removes a file, or a folder with everything in it."""
    kept = {
        path: text
        for path, text in files.items()
        if path != folder and not path.startswith(f"{folder}/")
    }
    files.clear()
    files.update(kept)


def whole_compose(files: Files, folder: str, compose: str) -> str:
    """Returns the compose file with the environments that it extends from secret files.

    Raises EngineRefusedError if such a file or a bind source is missing.
    """
    document = json.loads(compose)
    for service in document["services"].values():
        if (file := service["extends"]["file"]) != "replica.yml":
            if f"{folder}/{file}" not in files:
                raise EngineRefusedError(f"open {folder}/{file}: no such file or directory")
            secrets = extended(files[f"{folder}/{file}"])
            service["environment"] = {**secrets, **service["environment"]}
        for volume in service.get("volumes", ()):
            source = f"{folder}/{volume['source'].removeprefix('./')}/"
            if not any(path.startswith(source) for path in files):
                raise EngineRefusedError(f"bind source path does not exist: {source}")
    return json.dumps(document)


def place_secrets(files: Files, folder: str, key: str, tar: bytes) -> None:
    """Replaces a release's secret files, and moves the key that came with them to its own path."""
    remove(files, f"{folder}/secrets")
    unpack(files, f"{folder}/secrets", tar)
    if (found := files.pop(f"{folder}/secrets/key", None)) is not None:
        files[key] = found


def extended(text: bytes) -> dict[str, str]:
    """Returns the environment that a compose file sets for its replicas."""
    document = json.loads(text or b'{"services": {"replica": {}}}')
    environment: dict[str, str] = document["services"]["replica"].get("environment", {})
    return environment


def _last_line(text: bytes) -> str:
    return text.decode().rstrip("\n").rpartition("\n")[2]
