"""A newcomer's first week on real parts: a service made as the guide says, broken in every way that comes first."""

from __future__ import annotations

import json
import shlex
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, assert_never

import pytest

from e2e.guide import RunCommand, WriteFile, steps_of
from e2e.live_sandbox import Clone, LiveSandbox
from e2e.ship import Ship, ShipResult

GUIDE = Path("docs/add-your-service.md")
PAGE = str(GUIDE)
WEB, DOCKERFILE = "services/shop/web.py", "services/shop/Dockerfile"
HOME = '    return "Welcome to the shop"\n'
INSTRUMENTED = "    instrument(app)\n"
CMD = 'CMD ["gunicorn", "-c", "python:telemetry.gunicorn_conf", "shop.web:create_app()"]'
PLAIN_CMD = 'CMD ["gunicorn", "-b", "{}", "shop.web:create_app()"]'
DEADLINE_S = 60.0
"""How long a replica may take to become healthy."""


@dataclass
class Newcomer:
    """Somebody with a clone and a sandbox. `printed` is what each command of the guide printed."""

    sandbox: LiveSandbox
    clone: Clone
    ship: Ship
    printed: dict[str, str] = field(default_factory=dict)

    def follow(self, guide: str) -> None:
        """Does what a guide says, line by line. Raises AssertionError if a command fails."""
        for step in steps_of(guide):
            match step:
                case WriteFile(path, text):
                    (self.clone.root / path).write_text(text)
                case RunCommand(line):
                    self.printed[line] = self._run(line)
                case _:
                    assert_never(step)

    def deploy(self, env: Path | None = None) -> ShipResult:
        return self.ship("deploy", "shop", env=env)

    def logs(self, *words: str) -> list[dict[str, Any]]:
        """Returns the lines that `ship logs` prints."""
        call = self.ship.start("logs", "shop", *words)
        code = call.process.wait(120)
        assert code == 0, call.stderr()
        documents = [json.loads(line) for line in call.out.read_text().splitlines()]
        return [document for document in documents if "line" in document]

    @contextmanager
    def broken(self, path: str, old: str, new: str) -> Iterator[None]:
        """Breaks a file of the service while the context is open."""
        file = self.clone.root / path
        before = file.read_text()
        self.clone.replace(path, old, new)
        try:
            yield
        finally:
            file.write_text(before)

    def _run(self, line: str) -> str:
        if line.startswith("./ship logs"):
            return json.dumps(self.logs(*shlex.split(line)[3:]))
        if line.startswith("./ship "):
            return json.dumps(self.ship(*shlex.split(line)[1:]).expect_success().document)
        environ = {**self.ship.environ, "URL": self.sandbox.url}
        done = subprocess.run(
            ["sh", "-c", line],
            cwd=self.clone.root,
            env=environ,
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
        )
        assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
        return done.stdout


@pytest.fixture(scope="module")
def newcomer(sandbox: LiveSandbox, tmp_path_factory: pytest.TempPathFactory) -> Newcomer:
    """The newcomer after the guide: the service is live."""
    clone = Clone.of(sandbox.ship.root, tmp_path_factory.mktemp("first") / "clone")
    ship = sandbox.ship.of(clone.root)
    dropped = {"PYTHONPATH", "PEX_PATH", "VIRTUAL_ENV"}
    environ = {name: value for name, value in ship.environ.items() if name not in dropped}
    newcomer = Newcomer(sandbox, clone, replace(ship, environ=environ))
    newcomer.follow((clone.root / GUIDE).read_text())
    return newcomer


@pytest.fixture
def good(newcomer: Newcomer) -> Iterator[str]:
    """The live release of the shop, which must be the same after the test."""
    release = _live(newcomer)
    yield release
    assert _live(newcomer) == release
    assert "Welcome" in newcomer._run('curl --silent --fail --header "Host: shop.test" "$URL/"')


def _live(newcomer: Newcomer) -> str:
    (service,) = newcomer.ship("status", "shop").expect_success().document["services"]
    return str(service["release"])


def _refused(result: ShipResult, *causes: str) -> str:
    """Asserts that a deploy was reverted for these causes; returns the release that failed."""
    assert (result.code, result.kind) == (1, "RevertedError"), result.stderr
    for cause in causes:
        assert cause in result.error, result.error
    return str(result.document["release"])


def test_guide_leads_to_a_service_that_answers(newcomer: Newcomer, good: str) -> None:
    (curl,) = (text for line, text in newcomer.printed.items() if line.startswith("curl"))
    assert curl == "Welcome to the shop"
    deployed = json.loads(newcomer.printed["./ship deploy shop"])
    assert (deployed["outcome"], deployed["release"]) == ("live", good)


def test_view_that_raises_is_shown_with_its_line_and_leaves_its_logs(
    newcomer: Newcomer, good: str
) -> None:
    with newcomer.broken(WEB, HOME, "    return str(1 / len(''))\n"):
        result = newcomer.deploy()
    release = _refused(
        result,
        "the release gate refused",
        "exception: ZeroDivisionError: division by zero",
        "shop/web.py:",
        "in home: return str(1 / len(''))",
    )
    assert f"shop --release {release} has its logs" in result.hint
    found = newcomer.logs("--release", release, "--grep", "ZeroDivisionError")
    assert found
    assert {line["release"] for line in found} == {release}
    assert newcomer.logs("--grep", "ZeroDivisionError")[: len(found)] == found
    history = newcomer.ship("history", "shop").expect_success().document["releases"]
    commands = {operation["release"]: operation["logs"] for operation in history}
    logs = f"./ship logs --sandbox {newcomer.sandbox.name} shop --release {release}"
    assert commands == {good: None, release: logs}
    host = newcomer.sandbox.host()
    folder = f"/srv/py-cicd/services/shop/logs/{release}"
    modes = host.run("sh", "-c", f"stat --format %a {folder} {folder}/*").split()
    assert (modes[0], set(modes[1:])) == ("700", {"600"})
    assert release not in host.run("ls", "/srv/py-cicd/services/shop/releases")


def _not_published(result: ShipResult, *causes: str) -> None:
    """Asserts that the image failed its smoke test soon, for these causes."""
    assert (result.code, result.kind) == (1, "BuildError"), result.stderr
    for cause in ("failed its smoke test", "nothing was published", *causes):
        assert cause in result.error, result.error


def test_import_error_is_shown_with_its_line(newcomer: Newcomer, good: str) -> None:
    with newcomer.broken(WEB, "from flask import Flask\n", "from flask import Flask, Flaks\n"):
        result = newcomer.deploy()
    _not_published(
        result,
        "the container exited during startup: ImportError: cannot import name 'Flaks' from 'flask'",
        "shop/web.py:3 in <module>: from flask import Flask, Flaks",
    )


@pytest.mark.parametrize(
    ("bind", "cause"),
    [
        ("0.0.0.0:5000", "listens on 0.0.0.0:5000, and not on port 8080 of service.toml"),
        ("127.0.0.1:8080", "listens on 127.0.0.1:8080 only, where the edge can't reach it"),
    ],
)
def test_wrong_port_is_shown_before_the_image_is_published(
    newcomer: Newcomer, good: str, bind: str, cause: str
) -> None:
    with newcomer.broken(DOCKERFILE, CMD, PLAIN_CMD.format(bind)):
        _not_published(newcomer.deploy(), cause, PAGE)


def test_app_without_telemetry_is_shown_the_call_that_is_missing(
    newcomer: Newcomer, good: str
) -> None:
    with (
        newcomer.broken(WEB, INSTRUMENTED, ""),
        newcomer.broken(DOCKERFILE, CMD, PLAIN_CMD.format("0.0.0.0:8080")),
    ):
        result = newcomer.deploy()
    cause = "answers 404 to its health check, GET /readyz: call telemetry.instrument(app)"
    _not_published(result, cause, PAGE)


def test_health_check_that_fails_only_in_one_environment_is_refused_there(
    newcomer: Newcomer, good: str, tmp_path: Path
) -> None:
    env = newcomer.sandbox.variant(tmp_path, '[services.shop.health]\npath = "/nowhere"')
    result = newcomer.deploy(env)
    release = _refused(result, "answers 404 to its health check, GET /nowhere", PAGE)
    assert f"shop --release {release} has its logs" in result.hint
    assert float(result.document["seconds"]) < DEADLINE_S


def test_host_that_is_not_bootstrapped_is_told_from_a_wrong_key(
    newcomer: Newcomer, good: str, tmp_path: Path
) -> None:
    env = newcomer.sandbox.variant(tmp_path)
    key = tmp_path / "deploy_key"
    key.unlink()
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    result = newcomer.deploy(env)
    assert (result.code, result.kind) == (2, "HostAuthError"), result.stderr
    assert "refused the login of deploy" in result.error
    assert result.hint.startswith("`./ship host ")
    assert "bootstrap host-1` sets up a new server" in result.hint


def test_wrong_url_is_told_from_broken_replicas(
    newcomer: Newcomer, good: str, tmp_path: Path
) -> None:
    nowhere = "http://127.0.0.1:9"
    env = newcomer.sandbox.variant(tmp_path, url=(newcomer.sandbox.url, nowhere))
    with newcomer.broken(WEB, HOME, '    return "Welcome to the better shop"\n'):
        result = newcomer.deploy(env)
    # The release before it can't be verified at that URL either, so a person is needed.
    assert (result.code, result.kind) == (4, "StuckError"), result.stderr
    assert f"the replicas are healthy, but nothing answers at {nowhere}" in result.error
    assert "check `url` of host-1" in result.hint
    assert "log:" not in result.error
    newcomer.deploy().expect_success()
