"""What goes wrong at the user's side or outside: one clear line, nothing changed, and the next command."""

from __future__ import annotations

import json
import re
import secrets
import shutil
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.request import Request, urlopen

import docker
import pytest

from e2e.ship import Ended, until
from e2e.stack import Stack, state_folder

NOWHERE = "sha256:" + "0" * 64


@pytest.fixture(scope="module", autouse=True)
def _nothing_changes(stack: Stack) -> Iterator[None]:
    before = stack.service()
    yield
    assert stack.service() == before


def _refused(ended: Ended, code: int, kind: str, *words: str) -> None:
    """One line for people that names the matter, and what to do next; no trace of a program."""
    assert (ended.code, ended.kind) == (code, kind), ended.said
    assert "\n" not in ended.error
    assert all(word in ended.said for word in words), ended.said
    assert ended.hint
    assert "Traceback" not in ended.said


def test_an_unknown_service(stack: Stack) -> None:
    _refused(stack.ship("deploy", "nowhere"), 2, "UsageError", "nowhere", "app")


def test_an_unknown_environment(stack: Stack) -> None:
    _refused(stack.ship("status", env=Path("nowhere")), 2, "UsageError", "nowhere")


def test_wrong_keys_are_told_all_at_once_with_their_path(stack: Stack, tmp_path: Path) -> None:
    wrong = stack.variant(
        tmp_path,
        '[services.app]\nreplicsa = 5\n[services.app.health]\ninterval_s = "often"',
        port=("preview_port = 8081", 'preview_port = "8081"'),
    )
    ended = stack.ship("deploy", "app", env=wrong)
    _refused(ended, 2, "ConfigError", "environment.toml")
    problems = ended.document["error"]["problems"]
    assert [problem.split(": ")[1] for problem in sorted(problems)] == [
        "edge.preview_port",
        "services.app.health.interval_s",
        "services.app.replicsa",
    ]
    assert any("did you mean replicas?" in problem for problem in problems)


def test_a_host_that_is_not_there(stack: Stack, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and never listening: refused, whoever else takes ports
        host = stack.environment()["hosts"][0]
        gone = stack.variant(
            tmp_path, port=(f"\nport = {host['port']}\n", f"\nport = {taken.getsockname()[1]}\n")
        )
        known = tmp_path / "known_hosts"
        known.write_text(
            known.read_text().replace(f":{host['port']} ", f":{taken.getsockname()[1]} ")
        )
        ended = stack.ship("deploy", "app", "--image", stack.service()["image"], env=gone)
    _refused(ended, 1, "HostUnreachableError", "host-1")


def test_a_host_key_that_changed_is_never_accepted(stack: Stack, tmp_path: Path) -> None:
    other = stack.variant(tmp_path)
    known = other.parent / "known_hosts"
    where, kind, key = known.read_text().split()
    stranger = key[:-42] + secrets.token_hex(21)  # as long as a key, and nobody's
    known.write_text(f"{where} {kind} {stranger}\n")
    ended = stack.ship("deploy", "app", "--image", stack.service()["image"], env=other)
    _refused(ended, 2, "HostKeyError", "host-1")
    assert stranger in known.read_text()
    assert len(known.read_text().splitlines()) == 1


def test_an_image_that_is_not_there(stack: Stack) -> None:
    name = stack.service()["image"].partition("@")[0]
    ended = stack.ship("deploy", "app", "--image", f"{name}@{NOWHERE}")
    _refused(ended, 2, "ImageNotFoundError", NOWHERE)


def test_a_wrong_registry_password(stack: Stack, tmp_path: Path) -> None:
    with _control_plane_with_another_password(stack) as url:
        told = stack.environment()["registry"]
        before = f'endpoint_url = "{told["endpoint_url"]}"\npush_via'
        wrong = stack.variant(tmp_path, endpoint=(before, f'endpoint_url = "{url}"\npush_via'))
        ended = stack.ship("deploy", "app", "--image", stack.service()["image"], env=wrong)
    _refused(ended, 2, "RegistryAuthError", "refused", "amazonaws.com")
    assert "opensesame" not in ended.said + json.dumps(dict(ended.document))


def test_a_host_without_disk_is_left_alone(stack: Stack, tmp_path: Path) -> None:
    # A login to the same host that sees a small disk where its engine keeps images.
    host = stack.host()
    host.run(
        "unshare",
        "--mount",
        "sh",
        "-c",
        "mount -t tmpfs -o size=40m full /var/lib/docker && "
        "/usr/sbin/sshd -f /sandbox/sshd_config -o PidFile=/run/full.pid -p 2222",
    )
    try:
        told = stack.environment()["hosts"][0]
        full = stack.variant(
            tmp_path,
            '[services.app.env]\nLOG_LEVEL = "debug"',
            host=(
                f'address = "{told["address"]}"\nport = {told["port"]}',
                f'address = "{host.address}"\nport = 2222',
            ),
        )
        known = tmp_path / "known_hosts"
        key = known.read_text().split(maxsplit=1)[1]
        known.write_text(f"[{host.address}]:2222 {key}")
        ended = stack.ship("deploy", "app", "--image", stack.service()["image"], env=full)
    finally:
        host.run("sh", "-c", "kill $(cat /run/full.pid)")
    _refused(ended, 1, "PreflightError", "host-1", "disk")


def test_a_port_that_is_taken(stack: Stack) -> None:
    part = docker.from_env(version="auto").containers.get(f"py-cicd-{stack.name}-prometheus")
    port = int(stack.ship("status").must().document["urls"]["prometheus"].rpartition(":")[2])
    part.stop(timeout=5)
    with socket.create_server(("127.0.0.1", port)):
        ended = stack.ship("up", "--yes", "--no-e2e")
    _refused(ended, 1, "PortTakenError", str(port))
    again = stack.ship("up", "--yes", "--no-e2e").must()
    assert [each["outcome"] for each in again.document["services"]] == ["unchanged"]
    until(lambda: _answers(f"http://127.0.0.1:{port}/-/ready"), within_s=20)


def test_a_checkout_without_git_and_with_a_wrong_service_file(stack: Stack, tmp_path: Path) -> None:
    copy = tmp_path / "a copy"
    shutil.copytree(
        stack.ship.root,
        copy,
        symlinks=True,
        ignore=shutil.ignore_patterns(".git", "dist", ".pants.d", ".pids", "__pycache__"),
    )
    ship = stack.ship.of(copy)
    assert ship("status", "app").must().document["services"] == [stack.service()]
    planned = ship("plan", "app", "--image", stack.service()["image"]).must()
    assert planned.document["ok"]
    file = copy / "services" / "app" / "service.toml"
    file.write_text(re.sub(r"(?m)^port = 8080$", 'prot = "8080"', file.read_text()))
    ended = ship("deploy", "app")
    _refused(ended, 2, "ConfigError", "services/app/service.toml: prot", "did you mean port?")


def test_the_sandbox_keeps_its_secrets_to_itself(stack: Stack) -> None:
    folder = state_folder(stack.name)
    for secret in ("deploy_key", "metrics_password", "metrics.key", "registry.key"):
        assert (folder / secret).stat().st_mode & 0o077 == 0, secret


def _answers(url: str) -> bool:
    try:
        with urlopen(url, timeout=2) as answer:  # noqa: S310 - our own stack
            return bool(answer.status == 200)
    except OSError:
        return False


@contextmanager
def _control_plane_with_another_password(stack: Stack) -> Iterator[str]:
    """The sandbox's own control plane, but for the token: its password isn't the registry's."""
    behind = stack.environment()["registry"]["endpoint_url"]
    token = "QVdTOm9wZW5zZXNhbWU="  # AWS:opensesame

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            request = Request(behind + self.path, body, dict(self.headers), method="POST")  # noqa: S310
            with urlopen(request, timeout=30) as response:  # noqa: S310 - our own stack
                answer = json.load(response)
            for each in answer.get("authorizationData", ()):
                each["authorizationToken"] = token
            content = json.dumps(answer).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/x-amz-json-1.1")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name upstream
            del format, args

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
