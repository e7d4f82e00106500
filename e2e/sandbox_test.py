"""Creates a sandbox on the real engine, uses it like production, breaks, repairs and removes it."""

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
from e2e.live_sandbox import checkout, terminated_as_interrupt
from sandbox import lifecycle, state
from sandbox.ports import PortTakenError
from toolchain.builds import building
from toolchain.paths import find_paths
from toolchain.tools.debian import mirror

REGISTRY = "123456789012.dkr.ecr.us-east-1.amazonaws.com"


@dataclass
class Sandbox:
    """A sandbox of the test's own, made directly with the library, and the messages of its last creation."""

    name: str
    docker: docker.DockerClient
    messages: list[str] = field(default_factory=list)

    def base(self, name: str) -> str:
        recipes, cache = checkout() / "deploy" / "base", find_paths(os.environ).cache
        say, archive = self.messages.append, mirror(os.environ)
        return Bases(recipes, cache, DockerEngine(), say, mirror=archive).ensure(name)

    def create(self, hosts: int = 1) -> dict[str, Any]:
        """Creates or repairs the sandbox; returns its environment. `messages` are then those of this call."""
        self.messages.clear()
        file = lifecycle.create(self.name, hosts, self.messages.append, base_image=self.base)
        return tomllib.loads(file.read_text())

    @property
    def folder(self) -> Path:
        found = state.path(self.name)
        assert found is not None
        return found.parent

    def environment(self) -> dict[str, Any]:
        return tomllib.loads((self.folder / "environment.toml").read_text())

    def container_id(self, name: str) -> str:
        return str(self.docker.containers.get(f"py-cicd-{self.name}-{name}").id)

    def remains(self) -> list[str]:
        """Returns the names of everything with the sandbox's name, with or without its label."""
        name: dict[str, str | list[str] | bool] = {"name": f"py-cicd-{self.name}"}
        left = [str(each.name) for each in self.docker.containers.list(all=True, filters=name)]
        left += [str(each.name) for each in self.docker.networks.list(filters=name)]
        return left + [str(each.name) for each in self.docker.volumes.list(filters=name)]


def ssh(made: Sandbox, host: int = 0) -> paramiko.SSHClient:
    """Connects as the deploy tool does: the host must have the key in known_hosts."""
    entry = made.environment()["hosts"][host]
    client = paramiko.SSHClient()
    client.load_host_keys(str(made.folder / "known_hosts"))
    client.set_missing_host_key_policy(paramiko.RejectPolicy())
    client.connect(
        entry["address"],
        entry["port"],
        entry["user"],
        key_filename=str(made.folder / "deploy_key"),
        look_for_keys=False,
        allow_agent=False,
    )
    return client


def on_host(made: Sandbox, command: str, stdin: str = "", host: int = 0) -> tuple[int, str]:
    """Runs a command on a host; returns its exit code and all its output."""
    with ssh(made, host) as client:
        its_stdin, its_stdout, _ = client.exec_command(f"{command} 2>&1", timeout=60)
        its_stdin.write(stdin)
        its_stdin.channel.shutdown_write()
        text = its_stdout.read().decode()
        return its_stdout.channel.recv_exit_status(), text


def ecr(made: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Returns a client of the sandbox's ECR."""
    registry = made.environment()["registry"]
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(made.folder / registry["credentials"]))
    url = registry["endpoint_url"]
    return boto3.client("ecr", region_name=registry["region"], endpoint_url=url)


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


@pytest.fixture(scope="module", autouse=True)
def _keep_images() -> Iterator[None]:
    """Keeps `ship down` of another sandbox from removing images meanwhile."""
    with building(find_paths(os.environ).state):
        yield


@pytest.fixture(scope="module")
def made() -> Iterator[Sandbox]:
    name = f"test-{secrets.token_hex(3)}"
    with closing(docker.from_env()) as engine, terminated_as_interrupt():
        sandbox = Sandbox(name, engine)
        try:
            sandbox.create()
            yield sandbox
        finally:
            lifecycle.destroy(name, sandbox.messages.append)
            left = sandbox.remains()
        assert left == []
    assert name not in state.names()


def test_second_create_changes_nothing(made: Sandbox) -> None:
    before = (made.folder / "environment.toml").read_text()
    container = made.container_id("host-1")
    made.create()
    assert made.messages == []
    assert (made.folder / "environment.toml").read_text() == before
    assert made.container_id("host-1") == container


def test_host_accepts_only_keys_and_has_its_own_engine(made: Sandbox) -> None:
    code, text = on_host(made, "id -un && docker version --format '{{.Server.Version}}'")
    assert code == 0, text
    user, version = text.split()
    assert user == "deploy"
    assert int(version.split(".")[0]) >= 26
    entry = made.environment()["hosts"][0]
    with socket.create_connection((entry["address"], entry["port"]), timeout=10) as connection:
        transport = paramiko.Transport(connection)
        transport.start_client(timeout=10)
        try:
            with pytest.raises(paramiko.BadAuthenticationType) as refused:
                transport.auth_password("deploy", "deploy")
            assert refused.value.allowed_types == ["publickey"]
        finally:
            transport.close()


def test_push_with_a_wrong_password_is_refused(made: Sandbox) -> None:
    answer = push(made, "refused", "one", made.base("edge"), "wrong")
    assert "unauthorized" in answer["error"]


def test_pushed_image_is_described_by_ecr_and_pulled_by_digest_on_a_host(
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
    # The certificate lacks this name of the server, so the host has to refuse it.
    code, text = on_host(made, f"{once} pull -q registry:443/app@{digest}")
    assert code != 0
    assert "x509" in text


def test_immutable_tag_is_not_overwritten(made: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    client = ecr(made, monkeypatch)
    client.create_repository(repositoryName="fixed", imageTagMutability="IMMUTABLE")
    password = "123456789012-auth-token"
    first = push(made, "fixed", "one", made.base("edge"), password)["Digest"]
    for image in ("edge", "registry"):  # ECR refuses an equal image too
        answer = push(made, "fixed", "one", made.base(image), password)
        assert "immutable" in answer["error"]
    (stored,) = client.describe_images(repositoryName="fixed")["imageDetails"]
    assert stored["imageDigest"] == first


def test_push_to_an_unknown_repository_is_refused(made: Sandbox) -> None:
    answer = push(made, "nowhere", "one", made.base("edge"), "123456789012-auth-token")
    assert "does not exist" in answer["error"]


def test_create_restarts_what_was_killed_at_the_same_addresses(
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


def test_second_host_is_added_and_removed_without_changing_the_first(made: Sandbox) -> None:
    first, before = made.container_id("host-1"), made.environment()
    both = made.create(hosts=2)
    assert [host["name"] for host in both["hosts"]] == ["host-1", "host-2"]
    assert on_host(made, "docker info", host=1)[0] == 0
    assert made.create(hosts=1) == before
    assert made.container_id("host-1") == first
    assert [name for name in made.remains() if "host-2" in name] == []


def test_taken_port_is_reported_and_create_works_once_it_is_free(made: Sandbox) -> None:
    port = made.environment()["hosts"][0]["port"]
    made.docker.containers.get(f"py-cicd-{made.name}-host-1").stop(timeout=1)
    with socket.create_server(("127.0.0.1", port)):
        with pytest.raises(PortTakenError, match=str(port)) as caught:
            made.create()
        assert "ship down" in caught.value.hint
    made.create()
    assert on_host(made, "docker info")[0] == 0


def test_interrupted_create_can_be_removed_or_finished() -> None:
    with closing(docker.from_env()) as engine:
        sandbox = Sandbox(f"test-{secrets.token_hex(3)}", engine)

        def create_interrupted_at(number: int) -> None:
            """Interrupts the creation at its message with this number."""
            messages: list[str] = []

            def interrupt(message: str) -> None:
                messages.append(message)
                if len(messages) == number:
                    os.kill(os.getpid(), signal.SIGINT)

            with pytest.raises(KeyboardInterrupt):
                lifecycle.create(sandbox.name, 1, interrupt, base_image=sandbox.base)
            assert state.path(sandbox.name) is None
            assert sandbox.name in state.names()

        try:
            for number in (1, 2, 3):
                create_interrupted_at(number)
                lifecycle.destroy(sandbox.name, sandbox.messages.append)
                assert sandbox.remains() == []
            create_interrupted_at(1)
            create_interrupted_at(1)
            sandbox.create()
            assert on_host(sandbox, "docker info")[0] == 0
        finally:
            lifecycle.destroy(sandbox.name, sandbox.messages.append)
        assert sandbox.remains() == []
        assert sandbox.name not in state.names()
