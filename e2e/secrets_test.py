"""Puts sentinel values into every store of secrets, deploys, and searches everything else for them."""

from __future__ import annotations

import io
import json
import secrets
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import boto3
import pytest

from e2e.live_sandbox import HostContainer, LiveSandbox
from e2e.process_watch import ProcessWatch, Sighting
from e2e.ship import Ship, ShipResult

SECRETS = """
[services.app]
replicas = 1
gate = { enabled = false }
rollout = { watch_s = 0 }

[services.app.secrets]
FROM_ENV = { env = "CI_SENTINEL" }
FROM_FILE = { file = "CI_SENTINEL_FILE" }
FROM_SSM = { ssm = "/app/sentinel" }
FROM_MANAGER = { secretsmanager = "app/sentinel", field = "value" }
AS_VARIABLE = { ssm = "/app/variable", into = "env" }
"""
NAMES = ("FROM_ENV", "FROM_FILE", "FROM_SSM", "FROM_MANAGER")
# A task that prints its secrets and fails, so that its output is in the error that the host sends back.
PRINTING_TASK = """
[services.app.tasks.before_switch]
command = ["/usr/bin/python3", "-c", "import os; print([open(f'/run/secrets/{n}').read() for n in os.listdir('/run/secrets')], os.environ['AS_VARIABLE']); raise SystemExit(3)"]
"""  # noqa: E501


def new_sentinel(store: str) -> str:
    return f"sentinel-{store}-{secrets.token_hex(8)}"


@dataclass
class Sentinels:
    """Sentinel values in every store that the service names. `every` also has those of earlier rotations."""

    sandbox: LiveSandbox
    folder: Path
    values: dict[str, str] = field(default_factory=dict)
    every: list[str] = field(default_factory=list)

    def rotate(self) -> None:
        """Puts new values into every store."""
        self.values = {name: new_sentinel(name.lower()) for name in (*NAMES, "AS_VARIABLE")}
        self.every += self.values.values()
        environment = self.sandbox.environment()
        region = environment["registry"]["region"]
        session: Any = boto3.Session("sandbox", "sandbox", region_name=region)
        url = environment["secrets"]["endpoint_url"]
        ssm = session.client("ssm", endpoint_url=url)
        for name, key in (("FROM_SSM", "/app/sentinel"), ("AS_VARIABLE", "/app/variable")):
            ssm.put_parameter(
                Name=key, Value=self.values[name], Type="SecureString", Overwrite=True
            )
        manager = session.client("secretsmanager", endpoint_url=url)
        text = json.dumps({"value": self.values["FROM_MANAGER"], "more": "than that"})
        try:
            manager.create_secret(Name="app/sentinel", SecretString=text)
        except manager.exceptions.ResourceExistsException:
            manager.put_secret_value(SecretId="app/sentinel", SecretString=text)
        (self.folder / "file").write_text(self.values["FROM_FILE"])

    @property
    def ship(self) -> Ship:
        """./ship with a CI job's variables."""
        ci = {
            "CI_SENTINEL": self.values["FROM_ENV"],
            "CI_SENTINEL_FILE": str(self.folder / "file"),
        }
        return replace(self.sandbox.ship, environ={**self.sandbox.ship.environ, **ci})

    def read_by(self, replica: str) -> dict[str, str]:
        """Returns the values that a replica's user can read."""
        program = (
            "import json, os; print(json.dumps({n: open(f'/run/secrets/{n}').read() for n in "
            "os.listdir('/run/secrets')} | {'AS_VARIABLE': os.environ['AS_VARIABLE']}))"
        )
        found: dict[str, str] = json.loads(
            self.sandbox.host().run("docker", "exec", replica, "python3", "-c", program)
        )
        return found


@pytest.fixture
def sentinels(sandbox: LiveSandbox, tmp_path: Path) -> Iterator[Sentinels]:
    """Sentinels in every store. Rolls the sandbox back to its release afterwards."""
    before = sandbox.release
    sentinels = Sentinels(sandbox, tmp_path)
    sentinels.rotate()
    yield sentinels
    sandbox.ship("rollback", "app", "--to", before).expect_success()


def test_secret_values_reach_only_the_replicas(sentinels: Sentinels, tmp_path: Path) -> None:
    sandbox, host = sentinels.sandbox, sentinels.sandbox.host()
    image = sandbox.service()["image"]
    normal = sandbox.variant(tmp_path / "normal", SECRETS)
    printing = sandbox.variant(tmp_path / "printing", SECRETS + PRINTING_TASK)
    events = tmp_path / "events.jsonl"
    deploy = ("deploy", "app", "--image", image)

    missing = sandbox.ship(*deploy, env=normal)
    assert (missing.code, missing.kind) == (2, "MissingSecretsError")
    assert "CI_SENTINEL" in missing.stderr

    with ProcessWatch(sentinels.every) as processes:
        first = sentinels.ship(*deploy, "--events", str(events), env=normal).expect_success()
        again = sentinels.ship(*deploy, env=normal).expect_success()
        failed = sentinels.ship(*deploy, env=printing)
    assert [sentinels.read_by(replica) for replica in _replicas(sandbox)] == [sentinels.values]
    assert (first.document["outcome"], again.document["outcome"]) == ("live", "unchanged")
    assert failed.code == 1
    assert "***" in failed.error

    old = dict(sentinels.values)
    sentinels.rotate()
    with ProcessWatch(sentinels.every) as more:
        rotated = sentinels.ship(*deploy, env=normal).expect_success()
    assert rotated.document["outcome"] == "live"
    assert sandbox.service()["image"] == image
    sandbox.ship(
        "scale", "app=2", env=normal
    ).expect_success()  # needs no job variables: the hosts have the secrets
    values = [sentinels.read_by(replica) for replica in _replicas(sandbox)]
    assert values == [sentinels.values, sentinels.values]
    assert not set(old.values()) & set(sentinels.values.values())

    for watched in (processes, more):
        assert watched.scans > 5
        assert any("compose" in argv and "app-r" in argv for argv in watched.argvs)
        _assert_only_allowed(watched, sentinels.every)
    texts = [_output(result) for result in (missing, first, again, failed, rotated)]
    texts += [events.read_text(), *_texts_of(host, sandbox)]
    assert [value for value in sentinels.every if any(value in text for text in texts)] == []
    with _needles(host, sentinels.every):
        assert _files_with_needles(host) == []
        assert _layers_with_needles(host, image) == "0"
    assert _artifacts(sandbox, sentinels.every) == []


def _replicas(sandbox: LiveSandbox) -> list[str]:
    return [str(replica["name"]) for replica in sandbox.service()["hosts"][0]["replicas"]]


def _is_tool(argv: str) -> bool:
    """Returns whether a command line is the tool's: `./ship` runs a verb in the process that checked its set-up."""
    return "deploy.cli" in argv or "libs/toolchain ship" in argv


def _assert_only_allowed(watched: ProcessWatch, values: list[str]) -> None:
    replica_variables = [value for value in values if value.startswith("sentinel-as_variable")]
    job_variables = [value for value in values if value.startswith("sentinel-from_env")]

    def allowed(sighting: Sighting) -> bool:
        """Replicas have their variables. A job's processes have the job's, except the children of the tool.

        A process with its parent's argv was scanned between fork and exec, when it still shared its parent's memory.
        """
        child_of_tool = _is_tool(sighting.parent) and sighting.argv != sighting.parent
        in_job = "deploy app" in sighting.leader and not child_of_tool
        return sighting.where == "environ" and (
            sighting.needle in replica_variables or (sighting.needle in job_variables and in_job)
        )

    assert [sighting for sighting in watched.sightings if not allowed(sighting)] == []


def _output(result: ShipResult) -> str:
    return result.stderr + json.dumps(dict(result.document), ensure_ascii=False)


def _texts_of(host: HostContainer, sandbox: LiveSandbox) -> Iterator[str]:
    """Yields logs of the containers and the host's daemons, labels, responses of the app, output of the tool."""
    for container in host.run("docker", "ps", "--all", "--quiet").split():
        yield host.run("sh", "-c", 'exec docker logs "$1" 2>&1', "logs", container)
        yield host.run("docker", "inspect", "--format", "{{json .Config.Labels}}", container)
    yield host.container.logs().decode(errors="replace")
    for path in ("/version", "/info"):
        with urlopen(sandbox.url + path, timeout=5) as answer:  # noqa: S310 - our own sandbox
            yield answer.read().decode()
    for verb in (("status", "app"), ("history", "app")):
        yield _output(sandbox.ship(*verb).expect_success())


@contextmanager
def _needles(host: HostContainer, values: list[str]) -> Iterator[None]:
    """Puts all values into a file on the host, so that none is in a command line."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        content = "\n".join(values).encode() + b"\n"
        member = tarfile.TarInfo("needles")
        member.size, member.mode = len(content), 0o600
        archive.addfile(member, io.BytesIO(content))
    host.put("/opt/needles", packed.getvalue())
    yield
    host.run("rm", "-r", "/opt/needles")


def _files_with_needles(host: HostContainer) -> list[str]:
    """Returns the host's files with a value, other than the secret files of releases.

    Skips /tmp, where the engine briefly stores a container's variables at each health check.
    """
    found = host.run(
        "sh", "-c", "grep -r -a -l -F -f /opt/needles/needles /srv/py-cicd /home /var/log || true"
    )
    return [
        path for path in found.splitlines() if "/releases/" not in path or "/secrets/" not in path
    ]


def _layers_with_needles(host: HostContainer, image: str) -> str:
    save = 'docker save "$1" | grep -a -c -F -f /opt/needles/needles || true'
    return host.run("sh", "-c", save, "save", image).strip()


def _artifacts(sandbox: LiveSandbox, values: list[str]) -> list[str]:
    """Returns the files of dist/, which CI keeps, with a value."""
    files = (file for file in (sandbox.ship.root / "dist").rglob("*") if file.is_file())
    return [
        str(file) for file in files if any(value.encode() in file.read_bytes() for value in values)
    ]
