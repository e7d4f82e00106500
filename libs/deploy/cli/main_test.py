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
    Outcome,
    PromoteCommand,
    Result,
    RolloutError,
    StuckError,
    deploy,
    promote,
)
from deploy.run.rollout.rollout_fixture import ONE, TWO, context, deploy_command
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
    "jinja2",
}
SLOW = {
    "asyncio",
    "email",
    "http",
    "logging",
    "socket",
    "ssl",
    "subprocess",
    "unittest",
    "urllib.request",
}
OF_HELP = {
    "deploy",
    "deploy.cli",
    "deploy.cli.main",
    "deploy.cli.output",
    "deploy.cli.output.hints",
    "deploy.cli.reference",
    "deploy.cli.verb",
    "deploy.cli.verbs",
    "deploy.core",
    "deploy.core.config",
    "deploy.core.state",
    "deploy.core.state.redaction",
    "deploy.core.state.secret_forms",
    "deploy.core.state.secrets",
    "deploy.errors",
}
"""Every module of ours that `ship --help` imports. A person waits for each: add one only if a help text needs it."""


def loaded_by(program: str) -> set[str]:
    """Returns the modules that a program imports, without those of a bare interpreter."""
    listed = (
        f"import sys\nbefore = set(sys.modules)\n{program}\nprint(*sys.modules.keys() - before)"
    )
    argv = [sys.executable, "-c", listed]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split())


def own_modules(modules: set[str]) -> set[str]:
    return {
        name for name in modules if name.partition(".")[0] in ("deploy", "sandbox", "toolchain")
    }


def test_help_imports_only_what_its_text_is_made_from() -> None:
    loaded = loaded_by(
        "from contextlib import suppress\n"
        "from deploy.cli.main import main\n"
        "from deploy.core.state.redaction import Redaction\n"
        "with suppress(SystemExit): main(['--help'], Redaction())"
    )
    assert own_modules(loaded) == OF_HELP
    assert not loaded & (HEAVY | SLOW)


def test_a_verb_is_imported_without_the_others_and_their_libraries() -> None:
    loaded = loaded_by(
        "from deploy.cli.main import parser\n"
        "import deploy.cli.wiring\n"
        "parser().parse_args(['status'])"
    )
    verbs = {name for name in loaded if name.startswith("deploy.cli.verbs.")}
    assert verbs == {"deploy.cli.verbs.status"}
    assert not loaded & HEAVY
    assert "deploy.run.rollout.deploy" not in loaded


# The document of a failed command.


@pytest.fixture
def fleet() -> Fleet:
    """Two hosts that serve ONE."""
    fleet = Fleet.of("host-1", "host-2")
    deploy(command_for(fleet, "one"), context(fleet), Console(stream=StringIO()).on_event)
    return fleet


def command_for(fleet: Fleet, label: str) -> DeployCommand:
    command = deploy_command(fleet, label)
    return replace(command, options=("--image", command.image))


@pytest.mark.parametrize("outcome", ["held", "reverted", "stuck"])
def test_later_jobs_learn_the_failed_release_and_do_not_revert_it(
    outcome: str, tmp_path: Path
) -> None:
    """A candidate that is held for a person to look at must still be there then."""

    def fail(*_: object) -> Document:
        raise StuckError("why", result=Result("app", TWO, ONE, Outcome(outcome), 1.0), hint="")

    verb, note = (
        Verb(fail, lambda _: None, str),
        tmp_path / "app.env",
    )
    arguments = Namespace(
        found=verb, events="", env="sandbox", sandbox="none", dotenv=str(note), verbose=False
    )
    with pytest.raises(StuckError):
        _run(arguments, Console(stream=StringIO()), Redaction())
    assert note.read_text() == f"APP_RELEASE={TWO}\nAPP_HELD=\n"


def test_a_reverted_deploy_reports_its_release_and_steps(fleet: Fleet) -> None:
    console = Console(stream=StringIO())
    fleet["host-2"].pull_refused = True
    request = command_for(fleet, "two")
    with pytest.raises(RolloutError) as caught:
        deploy(request, context(fleet), console.on_event)
    document = failed(caught.value, caught.value.hint, console)
    assert document["ok"] is False
    assert document["error"]["type"] == "RevertedError"
    again = f"./ship deploy app --image {request.image} tries again"
    assert document["error"]["hint"].endswith(f"; {again}")
    ended = [document[key] for key in ("exit_code", "service", "release", "previous", "outcome")]
    assert ended == [1, "app", TWO, ONE, "reverted"]
    assert document["seconds"] == caught.value.result.seconds
    assert {"host", "step", "because", "seconds", "outcome"} == set(document["steps"][0])
    assert "failed" in {step["outcome"] for step in document["steps"]}


def test_a_deploy_that_cannot_be_reverted_is_stuck(fleet: Fleet) -> None:
    console = Console(stream=StringIO())
    request = replace(command_for(fleet, "two"), hold=True)
    deploy(request, context(fleet), Console(stream=StringIO()).on_event)
    fleet.after_call = lambda host: fleet.gone.update({"host-2"} if TWO in fleet.served() else ())
    with pytest.raises(RolloutError) as caught:
        promote(
            PromoteCommand(request.service, factories.ORIGIN, TWO),
            context(fleet),
            console.on_event,
        )
    document = failed(caught.value, caught.value.hint, console)
    assert document["error"]["type"] == "StuckError"
    assert f"./ship promote app --release {TWO} then brings all" in document["error"]["hint"]
    ended = [document[key] for key in ("exit_code", "service", "release", "previous", "outcome")]
    assert ended == [4, "app", TWO, ONE, "stuck"]
    assert document["steps"]
