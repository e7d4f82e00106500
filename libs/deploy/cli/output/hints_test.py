"""A suggested command addresses the same environment as the failed one."""

from __future__ import annotations

import shlex
from argparse import Namespace

import pytest

from deploy.cli.main import parser
from deploy.cli.output.hints import complete
from deploy.cli.verbs import VERBS

NAMES = {verb.name for verb in VERBS}
RELEASE = "r000042-3f9c2ab"


def completed(text: str, env: str = "sandbox", sandbox: str = "sandbox") -> str:
    return complete(text, Namespace(env=env, sandbox=sandbox), NAMES)


@pytest.mark.parametrize(
    ("text", "there"),
    [
        (
            "./ship status app shows each host; ./ship deploy app goes on",
            "./ship status --env production app shows each host; ./ship deploy --env production app goes on",
        ),
        (
            "./ship promote app --release r1, or ./ship abort app --release r1",
            "./ship promote --env production app --release r1, or ./ship abort --env production app --release r1",
        ),
        ("./ship deploy SERVICE --env staging", "./ship deploy SERVICE --env staging"),
        ("./ship up --yes starts a sandbox's registry", "./ship up --yes starts a sandbox's registry"),
        ("./ship doctor, then the same command again", "./ship doctor, then the same command again"),
        ("free some space and run this again", "free some space and run this again"),
    ],
)  # fmt: skip
def test_a_suggested_command_names_the_environment_unless_it_is_the_default(
    text: str, there: str
) -> None:
    assert completed(text) == text
    assert completed(text, "production") == there


def test_a_suggested_command_names_a_sandbox_other_than_the_default() -> None:
    assert completed("./ship up --yes", sandbox="mine") == "./ship up --sandbox mine --yes"
    text = "./ship down --sandbox other && ./ship up --sandbox other"
    assert completed(text, sandbox="mine") == text


def test_every_verb_accepts_the_added_options() -> None:
    env = "a folder/environment.toml"
    for command in (
        f"./ship promote app --release {RELEASE}",
        "./ship scale app=3",
        "./ship maintenance on app",
        "./ship host bootstrap web-1",
        f"./ship report app {RELEASE}",
    ):
        words = shlex.split(completed(command, env, "mine"))
        found = parser().parse_args(words[1:])
        assert (found.env, found.sandbox) == (env, "mine")
