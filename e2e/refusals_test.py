"""Bad input of the pipeline's jobs, told to ./ship as a job is: one line with the fix, exit 2, and nothing written."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from e2e.ship import Ended, Ship
from e2e.stack import Clone, checkout

APP = f"123456789012.dkr.ecr.eu-central-1.amazonaws.com/app@sha256:{'a' * 64}"
JOB = f"example.com/job@sha256:{'0' * 64}"
TOOL = APP.replace("/app@", "/ship@")
DUE, NOT_DUE = ["app"], list[str]()
EXPIRED = b"""<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type>
<Code>ExpiredTokenException</Code><Message>Token expired</Message></Error></ErrorResponse>"""


class Expired(BaseHTTPRequestHandler):
    """STS, to whom every token has expired."""

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
    with ThreadingHTTPServer(("127.0.0.1", 0), Expired) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


class Job:
    """A job of a pipeline whose plan found these services due in both environments."""

    def __init__(self, ship: Ship, folder: Path) -> None:
        self.folder = folder
        theirs = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        quiet = {"AWS_EC2_METADATA_DISABLED": "true", "AWS_SHARED_CREDENTIALS_FILE": "/none"}
        self._ship = replace(ship, environ={**theirs, **quiet, "AWS_CONFIG_FILE": "/none"})

    def planned(self, due: list[str]) -> Path:
        why = {"mode": "changed", "reason": "a change"}
        what = {"services": due, "images": [], "deploys": {"staging": due}}
        file = self.folder / "selection.json"
        file.write_text(json.dumps(why | what))
        return file

    def publish(self, due: list[str], **variables: str) -> Ended:
        words = ["--selection", str(self.planned(due)), "--out", str(self.folder / "images.json")]
        return self._told(variables)("publish", *words, env=Path("staging"))

    def pipeline(
        self, environment: str, images: dict[str, str], due: list[str], **variables: str
    ) -> Ended:
        published = self.folder / "published.json"
        listed = [{"service": name, "image": image} for name, image in images.items()]
        published.write_text(json.dumps({"images": listed, "tool": variables.pop("tool", TOOL)}))
        words = ["--selection", str(self.planned(due)), "--images", str(published)]
        told = self._told({"GITLAB_CI": "true", "SHIP_JOB_IMAGE": JOB, **variables})
        return told("pipeline", environment, *words, "--out", str(self.folder))

    def frozen(self, environment: str) -> Ended:
        return self._ship("pipeline", environment, "--frozen")

    def _told(self, variables: dict[str, str]) -> Ship:
        return replace(self._ship, environ={**self._ship.environ, **variables})

    def refused(self, ended: Ended, message: str) -> None:
        assert (ended.code, message in ended.error) == (2, True), ended.said
        assert "\n" not in ended.error
        assert ended.hint
        assert not list(self.folder.glob("*.yml"))
        assert not (self.folder / "images.json").exists()


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Clone.of(checkout(), tmp_path_factory.mktemp("clone") / "repo").root


@pytest.fixture
def job(root: Path, tmp_path: Path) -> Job:
    (tmp_path / "ci").mkdir()
    return Job(Ship(root, "none", tmp_path / "said"), tmp_path / "ci")


def test_a_variable_that_is_missing(job: Job) -> None:
    job.refused(job.publish(DUE, SHIP_ID_TOKEN="a.token"), "AWS_ROLE_ARN is not set")


def test_a_token_that_expired(job: Job, sts: str) -> None:
    told = {"SHIP_ID_TOKEN": "a.token", "AWS_ROLE_ARN": "arn:aws:iam::123456789012:role/push"}
    job.refused(job.publish(DUE, **told, AWS_ENDPOINT_URL_STS=sts), "ExpiredTokenException")


def test_no_credentials_at_all(job: Job) -> None:
    job.refused(job.publish(DUE), "there are no AWS credentials")


def test_an_environment_that_nobody_knows(job: Job) -> None:
    job.refused(job.pipeline("prod", {"app": APP}, DUE), "there is no environment prod")


def test_an_image_that_nobody_published(job: Job) -> None:
    job.refused(job.pipeline("staging", {}, DUE), "app: due in staging, but no published image")


def test_an_image_without_a_digest(job: Job) -> None:
    tagged = APP.replace("@sha256:", ":")
    job.refused(job.pipeline("staging", {"app": tagged}, DUE), "is no name@sha256:")


def test_a_tool_that_nobody_published(job: Job) -> None:
    job.refused(
        job.pipeline("staging", {"app": APP}, DUE, tool=""), "the tool: no image is no name@"
    )


def test_a_job_image_that_is_not_pinned(job: Job) -> None:
    ended = job.pipeline("staging", {"app": APP}, DUE, SHIP_JOB_IMAGE="debian:12")
    job.refused(ended, "SHIP_JOB_IMAGE is debian:12: no image by digest")


def test_a_freeze_that_began_since(job: Job) -> None:
    job.refused(job.frozen("production"), "production: a deploy freeze is on")


def test_an_empty_change_asks_nobody_and_makes_pipelines_that_say_so(job: Job) -> None:
    assert job.publish(NOT_DUE).must().document["images"] == []
    job.pipeline("staging", {}, NOT_DUE).must()
    assert "staging: nothing to deploy: a change" in (job.folder / "staging.yml").read_text()
