"""Wrong input and faults outside the tool: one clear error line, the next command, and nothing changed."""

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

from e2e.live_sandbox import LiveSandbox, state_folder
from e2e.ship import ShipResult, until

UNKNOWN_DIGEST = "sha256:" + "0" * 64


@pytest.fixture(scope="module", autouse=True)
def _nothing_changes(sandbox: LiveSandbox) -> Iterator[None]:
    before = sandbox.service()
    yield
    assert sandbox.service() == before


def _assert_refused(result: ShipResult, code: int, kind: str, *words: str) -> None:
    """Asserts that the error is one line with these words and has a hint, and that there is no traceback."""
    assert (result.code, result.kind) == (code, kind), result.stderr
    assert "\n" not in result.error
    assert all(word in result.stderr for word in words), result.stderr
    assert result.hint
    assert "Traceback" not in result.stderr


def test_unknown_service_is_refused_with_the_known_ones(sandbox: LiveSandbox) -> None:
    _assert_refused(sandbox.ship("deploy", "nowhere"), 2, "UsageError", "nowhere", "app")


def test_unknown_environment_is_refused(sandbox: LiveSandbox) -> None:
    _assert_refused(sandbox.ship("status", env=Path("nowhere")), 2, "UsageError", "nowhere")


def test_wrong_keys_are_reported_all_at_once_with_their_paths(
    sandbox: LiveSandbox, tmp_path: Path
) -> None:
    wrong = sandbox.variant(
        tmp_path,
        '[services.app]\nreplicsa = 5\n[services.app.health]\ninterval_s = "often"',
        port=("preview_port = 8081", 'preview_port = "8081"'),
    )
    result = sandbox.ship("deploy", "app", env=wrong)
    _assert_refused(result, 2, "ConfigError", "environment.toml")
    problems = result.document["error"]["problems"]
    assert [problem.split(": ")[1] for problem in sorted(problems)] == [
        "edge.preview_port",
        "services.app.health.interval_s",
        "services.app.replicsa",
    ]
    assert any("did you mean replicas?" in problem for problem in problems)


def test_host_that_refuses_connections_fails_the_deploy(
    sandbox: LiveSandbox, tmp_path: Path
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound but not listening: connections are refused
        host = sandbox.environment()["hosts"][0]
        gone = sandbox.variant(
            tmp_path, port=(f"\nport = {host['port']}\n", f"\nport = {taken.getsockname()[1]}\n")
        )
        known = tmp_path / "known_hosts"
        known.write_text(
            known.read_text().replace(f":{host['port']} ", f":{taken.getsockname()[1]} ")
        )
        result = sandbox.ship("deploy", "app", "--image", sandbox.service()["image"], env=gone)
    _assert_refused(result, 1, "HostUnreachableError", "host-1")


def test_changed_host_key_is_refused_and_not_stored(sandbox: LiveSandbox, tmp_path: Path) -> None:
    other = sandbox.variant(tmp_path)
    known = other.parent / "known_hosts"
    address, kind, key = known.read_text().split()
    other_key = key[:-42] + secrets.token_hex(21)  # as long as the real key
    known.write_text(f"{address} {kind} {other_key}\n")
    result = sandbox.ship("deploy", "app", "--image", sandbox.service()["image"], env=other)
    _assert_refused(result, 2, "HostKeyError", "host-1")
    assert other_key in known.read_text()
    assert len(known.read_text().splitlines()) == 1


def test_image_that_the_registry_lacks_is_refused(sandbox: LiveSandbox) -> None:
    name = sandbox.service()["image"].partition("@")[0]
    result = sandbox.ship("deploy", "app", "--image", f"{name}@{UNKNOWN_DIGEST}")
    _assert_refused(result, 2, "ImageNotFoundError", UNKNOWN_DIGEST)


def test_wrong_registry_password_is_refused_and_not_printed(
    sandbox: LiveSandbox, tmp_path: Path
) -> None:
    with _control_plane_with_another_password(sandbox) as url:
        registry = sandbox.environment()["registry"]
        before = f'endpoint_url = "{registry["endpoint_url"]}"\npush_via'
        wrong = sandbox.variant(tmp_path, endpoint=(before, f'endpoint_url = "{url}"\npush_via'))
        result = sandbox.ship("deploy", "app", "--image", sandbox.service()["image"], env=wrong)
    _assert_refused(result, 2, "RegistryAuthError", "refused", "amazonaws.com")
    assert "opensesame" not in result.stderr + json.dumps(dict(result.document))


def test_host_without_disk_space_fails_the_preflight(sandbox: LiveSandbox, tmp_path: Path) -> None:
    # A second sshd on the host, whose logins find a small file system where the engine keeps its images.
    host = sandbox.host()
    host.run(
        "unshare",
        "--mount",
        "sh",
        "-c",
        "mount -t tmpfs -o size=40m full /var/lib/docker && "
        "/usr/sbin/sshd -f /sandbox/sshd_config -o PidFile=/run/full.pid -p 2222",
    )
    try:
        entry = sandbox.environment()["hosts"][0]
        full = sandbox.variant(
            tmp_path,
            '[services.app.env]\nLOG_LEVEL = "debug"',
            host=(
                f'address = "{entry["address"]}"\nport = {entry["port"]}',
                f'address = "{host.address}"\nport = 2222',
            ),
        )
        known = tmp_path / "known_hosts"
        key = known.read_text().split(maxsplit=1)[1]
        known.write_text(f"[{host.address}]:2222 {key}")
        result = sandbox.ship("deploy", "app", "--image", sandbox.service()["image"], env=full)
    finally:
        host.run("sh", "-c", "kill $(cat /run/full.pid)")
    _assert_refused(result, 1, "PreflightError", "host-1", "disk")


def test_taken_port_fails_up_with_the_port_number(sandbox: LiveSandbox) -> None:
    prometheus = docker.from_env(version="auto").containers.get(
        f"py-cicd-{sandbox.name}-prometheus"
    )
    port = int(
        sandbox.ship("status").expect_success().document["urls"]["prometheus"].rpartition(":")[2]
    )
    prometheus.stop(timeout=5)
    with socket.create_server(("127.0.0.1", port)):
        result = sandbox.ship("up", "--yes", "--no-e2e")
    _assert_refused(result, 1, "PortTakenError", str(port))
    again = sandbox.ship("up", "--yes", "--no-e2e").expect_success()
    assert [service["outcome"] for service in again.document["services"]] == ["unchanged"]
    until(lambda: _answers(f"http://127.0.0.1:{port}/-/ready"), within_s=20)


def test_checkout_without_git_works_and_reports_a_wrong_service_file(
    sandbox: LiveSandbox, tmp_path: Path
) -> None:
    copy = tmp_path / "a copy"
    shutil.copytree(
        sandbox.ship.root,
        copy,
        symlinks=True,
        ignore=shutil.ignore_patterns(".git", "dist", ".pants.d", ".pids", "__pycache__"),
    )
    ship = sandbox.ship.of(copy)
    assert ship("status", "app").expect_success().document["services"] == [sandbox.service()]
    planned = ship("plan", "app", "--image", sandbox.service()["image"]).expect_success()
    assert planned.document["ok"]
    file = copy / "services" / "app" / "service.toml"
    file.write_text(re.sub(r"(?m)^port = 8080$", 'prot = "8080"', file.read_text()))
    result = ship("deploy", "app")
    _assert_refused(
        result, 2, "ConfigError", "services/app/service.toml: prot", "did you mean port?"
    )


def test_secrets_of_the_sandbox_are_readable_only_by_their_owner(sandbox: LiveSandbox) -> None:
    folder = state_folder(sandbox.name)
    for secret in ("deploy_key", "metrics_password", "metrics.key", "registry.key"):
        assert (folder / secret).stat().st_mode & 0o077 == 0, secret


def _answers(url: str) -> bool:
    try:
        with urlopen(url, timeout=2) as answer:  # noqa: S310 - our own sandbox
            return bool(answer.status == 200)
    except OSError:
        return False


@contextmanager
def _control_plane_with_another_password(sandbox: LiveSandbox) -> Iterator[str]:
    """Serves a proxy of the sandbox's control plane that hands out a token with a wrong password; yields its URL."""
    upstream = sandbox.environment()["registry"]["endpoint_url"]
    token = "QVdTOm9wZW5zZXNhbWU="  # AWS:opensesame

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            request = Request(upstream + self.path, body, dict(self.headers), method="POST")  # noqa: S310
            with urlopen(request, timeout=30) as response:  # noqa: S310 - our own sandbox
                answer = json.load(response)
            for authorization in answer.get("authorizationData", ()):
                authorization["authorizationToken"] = token
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
