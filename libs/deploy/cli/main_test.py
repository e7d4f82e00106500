"""The command line imports heavy libraries only in the verbs that need them, and reports failures as one document."""

from __future__ import annotations

import subprocess
import sys
from argparse import Namespace
from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest

from deploy.cli.main import _run, failed
from deploy.cli.output.console import Console
from deploy.cli.verb import Document, Verb
from deploy.core.state.redaction import Redaction
from deploy.run.rollout.deploy import (
    DeployCommand,
    DeployContext,
    Outcome,
    PromoteCommand,
    RolloutError,
    StuckError,
    deploy,
    promote,
)
from deploy.testing import factories
from deploy.testing.fleet.fleet import Fleet

HEAVY = {
    "boto3",
    "botocore",
    "paramiko",
    "docker",
    "requests",
    "pydantic",
    "cryptography",
    "bcrypt",
}
LOADED = """\
import sys
from deploy.cli.main import parser
parser().format_help()
print(*{name.partition(".")[0] for name in sys.modules})
"""


def test_help_imports_no_heavy_library() -> None:
    argv = [sys.executable, "-c", LOADED]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "deploy" in loaded
    assert not HEAVY & loaded


# The document of a failed command.

ONE, TWO = "r000001-3f9c2ab", "r000002-3f9c2ab"


@pytest.fixture
def fleet() -> Fleet:
    """Two hosts that serve ONE."""
    fleet = Fleet.of("host-1", "host-2")
    deploy(asking(fleet, "one"), context(fleet), Console(stream=StringIO()).tell)
    return fleet


def context(fleet: Fleet) -> DeployContext:
    return DeployContext(fleet.environment(), fleet.hosts, fleet.registry, fleet, fleet.clock)


def asking(fleet: Fleet, label: str) -> DeployCommand:
    image = factories.image(label)
    request = DeployCommand(
        factories.service(), image, factories.REPLICA, factories.stacks(), factories.ORIGIN
    )
    request = replace(request, options=("--image", image))
    fleet.images.update([request.image, *(stack.image for stack in request.stacks)])
    return request


@pytest.mark.parametrize("outcome", ["held", "reverted", "stuck"])
def test_later_jobs_learn_the_failed_release_and_do_not_revert_it(
    outcome: str, tmp_path: Path
) -> None:
    """A candidate that is held for a person to look at must still be there then."""

    def fail(*_: object) -> Document:
        raise StuckError("why", end=Outcome("app", TWO, ONE, outcome, 1.0), hint="")

    verb, note = (
        Verb(fail, lambda _: None, str),
        tmp_path / "app.env",
    )
    arguments = Namespace(found=verb, events="", env="sandbox", sandbox="none", dotenv=str(note))
    with pytest.raises(StuckError):
        _run(arguments, Console(stream=StringIO()), Redaction())
    assert note.read_text() == f"APP_RELEASE={TWO}\nAPP_HELD=\n"


def test_a_reverted_deploy_reports_its_release_and_steps(fleet: Fleet) -> None:
    console = Console(stream=StringIO())
    fleet["host-2"].pull_refused = True
    request = asking(fleet, "two")
    with pytest.raises(RolloutError) as caught:
        deploy(request, context(fleet), console.tell)
    document = failed(caught.value, caught.value.hint, console)
    assert document["ok"] is False
    assert document["error"]["type"] == "RevertedError"
    assert document["error"]["hint"] == f"./ship deploy app --image {request.image} tries again"
    ended = [document[key] for key in ("exit_code", "service", "release", "previous", "outcome")]
    assert ended == [1, "app", TWO, ONE, "reverted"]
    assert document["seconds"] == caught.value.end.seconds
    assert {"host", "step", "because", "seconds", "outcome"} == set(document["steps"][0])
    assert "failed" in {step["outcome"] for step in document["steps"]}


def test_a_deploy_that_cannot_be_reverted_is_stuck(fleet: Fleet) -> None:
    console = Console(stream=StringIO())
    request = replace(asking(fleet, "two"), hold=True)
    deploy(request, context(fleet), Console(stream=StringIO()).tell)
    fleet.after_touch = lambda host: fleet.gone.update({"host-2"} if TWO in fleet.served() else ())
    with pytest.raises(RolloutError) as caught:
        promote(
            PromoteCommand(request.service, factories.ORIGIN, TWO),
            context(fleet),
            console.tell,
        )
    document = failed(caught.value, caught.value.hint, console)
    assert document["error"]["type"] == "StuckError"
    assert f"./ship promote app --release {TWO} then brings all" in document["error"]["hint"]
    ended = [document[key] for key in ("exit_code", "service", "release", "previous", "outcome")]
    assert ended == [4, "app", TWO, ONE, "stuck"]
    assert document["steps"]
