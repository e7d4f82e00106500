"""A sandbox made, used as production would be, broken, mended and removed, on the real engine."""

from __future__ import annotations

import base64
import os
import secrets
import signal
import socket
import tomllib
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import docker
import paramiko
import pytest

from deploy.adapters.base_images import Bases
from deploy.adapters.docker import DockerEngine
from e2e.stack import checkout, terminated_as_interrupt
from sandbox import lifecycle, state
from sandbox.ports import PortTakenError
from toolchain.paths import find_places
from toolchain.tools.debian import mirror

REGISTRY = "123456789012.dkr.ecr.us-east-1.amazonaws.com"


@dataclass
class Sandbox:
    """A sandbox of the test's own and what was said while it was made."""

    name: str
    docker: docker.DockerClient
    said: list[str] = field(default_factory=list)

    def base(self, name: str) -> str:
        recipes, cache = checkout() / "deploy" / "base", find_places(os.environ).cache
        said, archive = self.said.append, mirror(os.environ)
        return Bases(recipes, cache, DockerEngine(), said, mirror=archive).ensure(name)

    def create(self, hosts: int = 1) -> dict[str, Any]:
        """Returns the environment; `said` then holds what this call said."""
        self.said.clear()
        file = lifecycle.create(self.name, hosts, self.said.append, base_image=self.base)
        return tomllib.loads(file.read_text())

    @property
    def folder(self) -> Path:
        found = state.path(self.name)
        assert found is not None
        return found.parent

    def environment(self) -> dict[str, Any]:
        return tomllib.loads((self.folder / "environment.toml").read_text())

    def container_id(self, part: str) -> str:
        return str(self.docker.containers.get(f"py-cicd-{self.name}-{part}").id)

    def remains(self) -> list[str]:
        """Everything with the sandbox's name, with or without its label."""
        name: dict[str, str | list[str] | bool] = {"name": f"py-cicd-{self.name}"}
        left = [str(each.name) for each in self.docker.containers.list(all=True, filters=name)]
        left += [str(each.name) for each in self.docker.networks.list(filters=name)]
        return left + [str(each.name) for each in self.docker.volumes.list(filters=name)]


def ssh(made: Sandbox, host: int = 0) -> paramiko.SSHClient:
    """Connects as the deploy tool does: pinned key or nothing."""
    told = made.environment()["hosts"][host]
    client = paramiko.SSHClient()
    client.load_host_keys(str(made.folder / "known_hosts"))
    client.set_missing_host_key_policy(paramiko.RejectPolicy())
    client.connect(
        told["address"],
        told["port"],
        told["user"],
        key_filename=str(made.folder / "deploy_key"),
        look_for_keys=False,
        allow_agent=False,
    )
    return client


def on_host(made: Sandbox, command: str, stdin: str = "", host: int = 0) -> tuple[int, str]:
    """Returns the exit code and all output of a command on a host."""
    with ssh(made, host) as client:
        put, got, _ = client.exec_command(f"{command} 2>&1", timeout=60)
        put.write(stdin)
        put.channel.shutdown_write()
        text = got.read().decode()
        return got.channel.recv_exit_status(), text


def ecr(made: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Any:
    told = made.environment()["registry"]
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(made.folder / told["credentials"]))
    return boto3.client("ecr", region_name=told["region"], endpoint_url=told["endpoint_url"])


def push(made: Sandbox, repository: str, tag: str, image: str, password: str) -> dict[str, Any]:
    """Pushes as the deploy tool does; returns {"Digest": ...} or {"error": ...}."""
    name = f"{made.environment()['registry']['push_via']}/{repository}"
    api = made.docker.api
    api.tag(image, name, tag)
    try:
        login = {"username": "AWS", "password": password}
        lines = list(api.push(name, tag, auth_config=login, stream=True, decode=True))
    finally:
        api.remove_image(f"{name}:{tag}", noprune=True)
    found = [line.get("aux") or line for line in lines if "aux" in line or "error" in line]
    return dict(found[-1])


@pytest.fixture(scope="module")
def made() -> Iterator[Sandbox]:
    name = f"test-{secrets.token_hex(3)}"
    with closing(docker.from_env()) as engine, terminated_as_interrupt():
        ours = Sandbox(name, engine)
        try:
            ours.create()
            yield ours
        finally:
            lifecycle.destroy(name, ours.said.append)
            left = ours.remains()
        assert left == []
    assert name not in state.names()


def test_a_repeat_finds_nothing_to_do(made: Sandbox) -> None:
    before = (made.folder / "environment.toml").read_text()
    containers = made.container_id("host-1")
    made.create()
    assert made.said == []
    assert (made.folder / "environment.toml").read_text() == before
    assert made.container_id("host-1") == containers


def test_a_host_is_reached_by_key_alone_and_has_an_engine_of_its_own(made: Sandbox) -> None:
    code, text = on_host(made, "id -un && docker version --format '{{.Server.Version}}'")
    assert code == 0, text
    user, version = text.split()
    assert user == "deploy"
    assert int(version.split(".")[0]) >= 26
    told = made.environment()["hosts"][0]
    with socket.create_connection((told["address"], told["port"]), timeout=10) as connection:
        transport = paramiko.Transport(connection)
        transport.start_client(timeout=10)
        try:
            with pytest.raises(paramiko.BadAuthenticationType) as refused:
                transport.auth_password("deploy", "deploy")
            assert refused.value.allowed_types == ["publickey"]
        finally:
            transport.close()


def test_a_wrong_registry_password_is_refused(made: Sandbox) -> None:
    answer = push(made, "refused", "one", made.base("edge"), "wrong")
    assert "unauthorized" in answer["error"]


def test_what_is_pushed_here_is_described_by_ecr_and_pulled_by_digest_there(
    made: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = ecr(made, monkeypatch)
    client.create_repository(repositoryName="app", imageTagMutability="IMMUTABLE")
    token = client.get_authorization_token()["authorizationData"][0]["authorizationToken"]
    user, _, password = base64.b64decode(token).decode().partition(":")
    digest = push(made, "app", "one", made.base("edge"), password)["Digest"]
    (image,) = client.describe_images(repositoryName="app")["imageDetails"]
    assert (image["imageDigest"], image["imageTags"]) == (digest, ["one"])

    reference = f"{REGISTRY}/app@{digest}"
    code, text = on_host(made, f"docker pull -q {reference}")
    assert code != 0
    assert "no basic auth credentials" in text
    once = "docker --config /tmp/once"
    login = f"{once} login --username {user} --password-stdin {REGISTRY}"
    code, text = on_host(made, f"{login} && {once} pull -q {reference}", password)
    assert code == 0, text
    assert text.splitlines()[-1] == reference
    # The same server under a name that isn't in its certificate: the host verifies.
    code, text = on_host(made, f"{once} pull -q registry:443/app@{digest}")
    assert code != 0
    assert "x509" in text


def test_an_immutable_tag_is_not_pushed_twice_with_another_image(
    made: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = ecr(made, monkeypatch)
    client.create_repository(repositoryName="fixed", imageTagMutability="IMMUTABLE")
    password = "123456789012-auth-token"
    first = push(made, "fixed", "one", made.base("edge"), password)["Digest"]
    assert push(made, "fixed", "one", made.base("edge"), password).get("Digest") == first
    answer = push(made, "fixed", "one", made.base("registry"), password)
    assert "immutable" in answer["error"]
    (image,) = client.describe_images(repositoryName="fixed")["imageDetails"]
    assert image["imageDigest"] == first


def test_a_push_to_a_repository_that_ecr_does_not_have_is_refused(made: Sandbox) -> None:
    answer = push(made, "nowhere", "one", made.base("edge"), "123456789012-auth-token")
    assert "does not exist" in answer["error"]


def test_what_died_comes_back_at_the_same_addresses(
    made: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = made.environment()
    known = ecr(made, monkeypatch).create_repository(repositoryName="kept")["repository"]
    os.kill(int((made.folder / "control-plane.pid").read_text().split()[0]), signal.SIGKILL)
    made.docker.containers.get(f"py-cicd-{made.name}-host-1").kill()
    assert made.create() == before
    assert on_host(made, "docker ps")[0] == 0
    (found,) = ecr(made, monkeypatch).describe_repositories()["repositories"][-1:]
    assert found["repositoryArn"] == known["repositoryArn"]


def test_hosts_are_added_and_removed_beside_the_first(made: Sandbox) -> None:
    first, before = made.container_id("host-1"), made.environment()
    both = made.create(hosts=2)
    assert [host["name"] for host in both["hosts"]] == ["host-1", "host-2"]
    assert on_host(made, "docker info", host=1)[0] == 0
    assert made.create(hosts=1) == before
    assert made.container_id("host-1") == first
    assert [each for each in made.remains() if "host-2" in each] == []


def test_a_port_that_somebody_took_is_named_and_nothing_is_lost(made: Sandbox) -> None:
    port = made.environment()["hosts"][0]["port"]
    made.docker.containers.get(f"py-cicd-{made.name}-host-1").stop(timeout=1)
    with socket.create_server(("127.0.0.1", port)):
        with pytest.raises(PortTakenError, match=str(port)) as caught:
            made.create()
        assert "ship down" in caught.value.hint
    made.create()
    assert on_host(made, "docker info")[0] == 0


def test_an_interrupted_making_is_finished_by_the_next_and_a_half_made_one_removed() -> None:
    with closing(docker.from_env()) as engine:
        ours = Sandbox(f"test-{secrets.token_hex(3)}", engine)

        def interrupted_at(moment: int) -> None:
            heard: list[str] = []

            def interrupt(said: str) -> None:
                heard.append(said)
                if len(heard) == moment:
                    os.kill(os.getpid(), signal.SIGINT)

            with pytest.raises(KeyboardInterrupt):
                lifecycle.create(ours.name, 1, interrupt, base_image=ours.base)
            assert state.path(ours.name) is None
            assert ours.name in state.names()

        try:
            for moment in (1, 2, 3):
                interrupted_at(moment)
                lifecycle.destroy(ours.name, ours.said.append)
                assert ours.remains() == []
            interrupted_at(1)
            interrupted_at(1)
            ours.create()
            assert on_host(ours, "docker info")[0] == 0
        finally:
            lifecycle.destroy(ours.name, ours.said.append)
        assert ours.remains() == []
        assert ours.name not in state.names()
