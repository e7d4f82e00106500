"""Plants sentinels where secrets come from, and looks for them everywhere but where they belong."""

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

from e2e.process_watch import Processes, Sighting
from e2e.ship import Ended, Ship
from e2e.stack import HostContainer, Stack

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
# A task that says its secrets aloud and fails: its words are in what the host sends back.
LOUD = """
[services.app.tasks.before_switch]
command = ["/usr/bin/python3", "-c", "import os; print([open(f'/run/secrets/{n}').read() for n in os.listdir('/run/secrets')], os.environ['AS_VARIABLE']); raise SystemExit(3)"]
"""  # noqa: E501


def sentinel(where: str) -> str:
    return f"sentinel-{where}-{secrets.token_hex(8)}"


@dataclass
class Planted:
    """The values of today, in every store that the service names."""

    stack: Stack
    folder: Path
    values: dict[str, str] = field(default_factory=dict)
    every: list[str] = field(default_factory=list)

    def plant(self) -> None:
        """Puts other values everywhere."""
        self.values = {name: sentinel(name.lower()) for name in (*NAMES, "AS_VARIABLE")}
        self.every += self.values.values()
        told = self.stack.environment()
        session: Any = boto3.Session("sandbox", "sandbox", region_name=told["registry"]["region"])
        url = told["secrets"]["endpoint_url"]
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
        """./ship as a CI job calls it, with the job's variables."""
        ci = {
            "CI_SENTINEL": self.values["FROM_ENV"],
            "CI_SENTINEL_FILE": str(self.folder / "file"),
        }
        return replace(self.stack.ship, environ={**self.stack.ship.environ, **ci})

    def told_to(self, replica: str) -> dict[str, str]:
        """What a replica sees of them, as its own user."""
        program = (
            "import json, os; print(json.dumps({n: open(f'/run/secrets/{n}').read() for n in "
            "os.listdir('/run/secrets')} | {'AS_VARIABLE': os.environ['AS_VARIABLE']}))"
        )
        found: dict[str, str] = json.loads(
            self.stack.host().run("docker", "exec", replica, "python3", "-c", program)
        )
        return found


@pytest.fixture
def planted(stack: Stack, tmp_path: Path) -> Iterator[Planted]:
    """A stack that is given back as it was."""
    before = stack.release
    found = Planted(stack, tmp_path)
    found.plant()
    yield found
    stack.ship("rollback", "app", "--to", before).must()


def test_a_sentinel_reaches_the_replica_and_nothing_else(planted: Planted, tmp_path: Path) -> None:
    stack, host = planted.stack, planted.stack.host()
    image = stack.service()["image"]
    quiet = stack.variant(tmp_path / "quiet", SECRETS)
    loud = stack.variant(tmp_path / "loud", SECRETS + LOUD)
    events = tmp_path / "events.jsonl"
    deploy = ("deploy", "app", "--image", image)

    missing = stack.ship(*deploy, env=quiet)
    assert (missing.code, missing.kind) == (2, "MissingSecretsError")
    assert "CI_SENTINEL" in missing.said

    with Processes(planted.every) as processes:
        first = planted.ship(*deploy, "--events", str(events), env=quiet).must()
        again = planted.ship(*deploy, env=quiet).must()
        failed = planted.ship(*deploy, env=loud)
    assert [planted.told_to(replica) for replica in _replicas(stack)] == [planted.values]
    assert (first.document["outcome"], again.document["outcome"]) == ("live", "unchanged")
    assert failed.code == 1
    assert "***" in failed.error

    old = dict(planted.values)
    planted.plant()
    with Processes(planted.every) as more:
        rotated = planted.ship(*deploy, env=quiet).must()
    assert rotated.document["outcome"] == "live"
    assert stack.service()["image"] == image
    stack.ship("scale", "app=2", env=quiet).must()  # it needs no secret: they are there
    told = [planted.told_to(replica) for replica in _replicas(stack)]
    assert told == [planted.values, planted.values]
    assert not set(old.values()) & set(planted.values.values())

    for watched in (processes, more):
        assert watched.looks > 5
        assert any("compose" in argv and "app-r" in argv for argv in watched.argvs)
        _only_where_it_belongs(watched, planted.every)
    said = [_said(each) for each in (missing, first, again, failed, rotated)]
    said += [events.read_text(), *_texts_of(host, stack)]
    assert [value for value in planted.every if any(value in text for text in said)] == []
    with _needles(host, planted.every):
        assert _files_with_needles(host) == []
        assert _layers_with_needles(host, image) == "0"
    assert _artifacts(stack, planted.every) == []


def _replicas(stack: Stack) -> list[str]:
    return [str(each["name"]) for each in stack.service()["hosts"][0]["replicas"]]


def _is_tool(argv: str) -> bool:
    """Returns whether a command line is the tool's: `./ship` runs a verb in the process that checked its set-up."""
    return "deploy.cli" in argv or "libs/toolchain ship" in argv


def _only_where_it_belongs(watched: Processes, values: list[str]) -> None:
    variables = [each for each in values if each.startswith("sentinel-as_variable")]
    of_ci = [each for each in values if each.startswith("sentinel-from_env")]

    def belongs(seen: Sighting) -> bool:
        """A replica has its variables. A job's programs have CI's, down to the tool, which hands none on.

        A process with its parent's argv was seen between fork and exec, when it still shares its parent's memory.
        """
        handed_on = _is_tool(seen.parent) and seen.argv != seen.parent
        of_the_job = "deploy app" in seen.leader and not handed_on
        return seen.where == "environ" and (
            seen.needle in variables or (seen.needle in of_ci and of_the_job)
        )

    assert [seen for seen in watched.seen if not belongs(seen)] == []


def _said(ended: Ended) -> str:
    return ended.said + json.dumps(dict(ended.document), ensure_ascii=False)


def _texts_of(host: HostContainer, stack: Stack) -> Iterator[str]:
    """What containers and the host's daemons wrote, what labels say, what the service and the tool answer."""
    for container in host.run("docker", "ps", "--all", "--quiet").split():
        yield host.run("sh", "-c", 'exec docker logs "$1" 2>&1', "logs", container)
        yield host.run("docker", "inspect", "--format", "{{json .Config.Labels}}", container)
    yield host.container.logs().decode(errors="replace")
    for path in ("/version", "/info"):
        with urlopen(stack.url + path, timeout=5) as answer:  # noqa: S310 - our own stack
            yield answer.read().decode()
    for verb in (("status", "app"), ("history", "app")):
        yield _said(stack.ship(*verb).must())


@contextmanager
def _needles(host: HostContainer, values: list[str]) -> Iterator[None]:
    """A file of all values on the host, so that none is in a command line."""
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
    """Not in /tmp: the engine's own files there, for a moment at each health check, hold a container's variables."""
    found = host.run(
        "sh", "-c", "grep -r -a -l -F -f /opt/needles/needles /srv/py-cicd /home /var/log || true"
    )
    return [
        each for each in found.splitlines() if "/releases/" not in each or "/secrets/" not in each
    ]


def _layers_with_needles(host: HostContainer, image: str) -> str:
    save = 'docker save "$1" | grep -a -c -F -f /opt/needles/needles || true'
    return host.run("sh", "-c", save, "save", image).strip()


def _artifacts(stack: Stack, values: list[str]) -> list[str]:
    """What CI keeps: reports, evidence, and everything else in dist/."""
    files = (file for file in (stack.ship.root / "dist").rglob("*") if file.is_file())
    return [
        str(file) for file in files if any(value.encode() in file.read_bytes() for value in values)
    ]
