"""The command line that tries a command again."""

from __future__ import annotations

import pytest

from deploy.core.planning.requests import (
    AbortCommand,
    Command,
    DeployCommand,
    PromoteCommand,
    RollbackCommand,
    ScaleCommand,
    retry_command,
)
from deploy.testing import factories

APP, BY = factories.service(), factories.ORIGIN
RELEASE, OTHER = "r000002-3f9c2ab", "r000001-3f9c2ab"
IMAGE = factories.image("two")


def deploys(*options: str, cli_verb: str | None = None) -> DeployCommand:
    stacks = factories.stacks()
    return DeployCommand(
        APP, IMAGE, factories.REPLICA, stacks, BY, options=options, cli_verb=cli_verb
    )


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (deploys(), "./ship deploy app"),
        (deploys("--image", IMAGE), f"./ship deploy app --image {IMAGE}"),
        (deploys("--image", IMAGE, cli_verb="confirm"), f"./ship confirm app --image {IMAGE}"),
        (RollbackCommand(APP, BY), f"./ship rollback app --to {RELEASE}"),
        (
            RollbackCommand(APP, BY, OTHER, options=("--release", RELEASE), cli_verb="revert"),
            f"./ship revert app --release {RELEASE}",
        ),
        (
            RollbackCommand(
                APP, BY, OTHER, "deploy", options=("--image", IMAGE), cli_verb="confirm"
            ),
            f"./ship confirm app --image {IMAGE}",
        ),
        (PromoteCommand(APP, BY, RELEASE), f"./ship promote app --release {RELEASE}"),
        (AbortCommand(APP, BY, RELEASE), f"./ship abort app --release {RELEASE}"),
        (ScaleCommand(APP, BY, 3), "./ship scale app=3"),
    ],
)
def test_retry_command_tries_the_same_again(command: Command, expected: str) -> None:
    assert retry_command(command, RELEASE) == expected
