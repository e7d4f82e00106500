"""Bad input of the pipeline's jobs is refused: one error line with the fix, exit code 2, and no file written."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from e2e.live_sandbox import Clone, checkout
from e2e.ship import Ship, ShipResult

APP = f"123456789012.dkr.ecr.eu-central-1.amazonaws.com/app@sha256:{'a' * 64}"
JOB = f"example.com/job@sha256:{'0' * 64}"
TOOL = APP.replace("/app@", "/ship@")
PENDING, NOTHING_PENDING = ["app"], list[str]()
EXPIRED = b"""<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type>
<Code>ExpiredTokenException</Code><Message>Token expired</Message></Error></ErrorResponse>"""


class ExpiredSts(BaseHTTPRequestHandler):
    """An STS that answers every request with an expired token."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(400)
        self.send_header("Content-Type", "text/xml")
        self.end_headers()
        self.wfile.write(EXPIRED)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@pytest.fixture(scope="module")
def sts() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), ExpiredSts) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


class Job:
    """A job of a pipeline. Its files are in `folder`."""

    def __init__(self, ship: Ship, folder: Path) -> None:
        self.folder = folder
        environ = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        no_aws = {"AWS_EC2_METADATA_DISABLED": "true", "AWS_SHARED_CREDENTIALS_FILE": "/none"}
        self._ship = replace(ship, environ={**environ, **no_aws, "AWS_CONFIG_FILE": "/none"})

    def write_selection(self, pending: list[str]) -> Path:
        """Writes the selection of a plan job that found deploys of these services pending in staging."""
        reason = {"mode": "changed", "reason": "a change"}
        selected = {"services": pending, "images": [], "deploys": {"staging": pending}}
        file = self.folder / "selection.json"
        file.write_text(json.dumps(reason | selected))
        return file

    def publish(self, pending: list[str], **variables: str) -> ShipResult:
        selection = str(self.write_selection(pending))
        words = ["--selection", selection, "--out", str(self.folder / "images.json")]
        return self._ship_with(variables)("publish", *words, env=Path("staging"))

    def pipeline(
        self, environment: str, images: dict[str, str], pending: list[str], **variables: str
    ) -> ShipResult:
        published = self.folder / "published.json"
        listed = [{"service": name, "image": image} for name, image in images.items()]
        published.write_text(json.dumps({"images": listed, "tool": variables.pop("tool", TOOL)}))
        words = ["--selection", str(self.write_selection(pending)), "--images", str(published)]
        ship = self._ship_with({"GITLAB_CI": "true", "SHIP_JOB_IMAGE": JOB, **variables})
        return ship("pipeline", environment, *words, "--out", str(self.folder))

    def frozen(self, environment: str) -> ShipResult:
        return self._ship("pipeline", environment, "--frozen")

    def _ship_with(self, variables: dict[str, str]) -> Ship:
        return replace(self._ship, environ={**self._ship.environ, **variables})

    def assert_refused(self, result: ShipResult, message: str) -> None:
        assert (result.code, message in result.error) == (2, True), result.stderr
        assert "\n" not in result.error
        assert result.hint
        assert not list(self.folder.glob("*.yml"))
        assert not (self.folder / "images.json").exists()


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Clone.of(checkout(), tmp_path_factory.mktemp("clone") / "repo").root


@pytest.fixture
def job(root: Path, tmp_path: Path) -> Job:
    (tmp_path / "ci").mkdir()
    return Job(Ship(root, "none", tmp_path / "logs"), tmp_path / "ci")


def test_missing_variable_is_refused_by_name(job: Job) -> None:
    job.assert_refused(job.publish(PENDING, SHIP_ID_TOKEN="a.token"), "AWS_ROLE_ARN is not set")


def test_expired_token_is_refused(job: Job, sts: str) -> None:
    variables = {"SHIP_ID_TOKEN": "a.token", "AWS_ROLE_ARN": "arn:aws:iam::123456789012:role/push"}
    job.assert_refused(
        job.publish(PENDING, **variables, AWS_ENDPOINT_URL_STS=sts), "ExpiredTokenException"
    )


def test_missing_credentials_are_refused(job: Job) -> None:
    job.assert_refused(job.publish(PENDING), "there are no AWS credentials")


def test_unknown_environment_is_refused(job: Job) -> None:
    job.assert_refused(job.pipeline("prod", {"app": APP}, PENDING), "there is no environment prod")


def test_service_without_a_published_image_is_refused(job: Job) -> None:
    job.assert_refused(
        job.pipeline("staging", {}, PENDING), "app: due in staging, but no published image"
    )


def test_image_without_a_digest_is_refused(job: Job) -> None:
    tagged = APP.replace("@sha256:", ":")
    job.assert_refused(
        job.pipeline("staging", {"app": tagged}, PENDING), "is not of the form name@sha256:"
    )


def test_missing_image_of_the_tool_is_refused(job: Job) -> None:
    job.assert_refused(
        job.pipeline("staging", {"app": APP}, PENDING, tool=""), "the tool: no image is named"
    )


def test_job_image_without_a_digest_is_refused(job: Job) -> None:
    result = job.pipeline("staging", {"app": APP}, PENDING, SHIP_JOB_IMAGE="debian:12")
    job.assert_refused(result, "SHIP_JOB_IMAGE is debian:12: no image by digest")


def test_frozen_environment_is_refused(job: Job) -> None:
    job.assert_refused(job.frozen("production"), "production: a deploy freeze is on")


def test_empty_change_publishes_nothing_and_its_pipeline_says_why(job: Job) -> None:
    assert job.publish(NOTHING_PENDING).expect_success().document["images"] == []
    job.pipeline("staging", {}, NOTHING_PENDING).expect_success()
    assert "staging: nothing to deploy: a change" in (job.folder / "staging.yml").read_text()
