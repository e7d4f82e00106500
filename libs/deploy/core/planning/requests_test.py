"""What is asked for, as the command that asks for the same once more."""

from __future__ import annotations

import pytest

from deploy.core.planning.requests import (
    AbortCommand,
    Command,
    DeployCommand,
    PromoteCommand,
    RollbackCommand,
    ScaleCommand,
    again,
)
from deploy.testing import factories

APP, BY = factories.service(), factories.ORIGIN
RELEASE, OTHER = "r000002-3f9c2ab", "r000001-3f9c2ab"
IMAGE = factories.image("two")


def request(*options: str) -> DeployCommand:
    return DeployCommand(APP, IMAGE, factories.REPLICA, factories.stacks(), BY, options=options)


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (request(), "./ship deploy app"),
        (request("--image", IMAGE, "--confirm"), f"./ship deploy app --image {IMAGE} --confirm"),
        (RollbackCommand(APP, BY), f"./ship rollback app --to {RELEASE}"),
        (
            RollbackCommand(APP, BY, OTHER, options=("--release", RELEASE)),
            f"./ship rollback app --release {RELEASE}",
        ),
        (
            RollbackCommand(APP, BY, OTHER, "deploy", options=("--image", IMAGE, "--confirm")),
            f"./ship deploy app --image {IMAGE} --confirm",
        ),
        (PromoteCommand(APP, BY, RELEASE), f"./ship promote app --release {RELEASE}"),
        (AbortCommand(APP, BY, RELEASE), f"./ship abort app --release {RELEASE}"),
        (ScaleCommand(APP, BY, 3), "./ship scale app=3"),
    ],
)
def test_the_same_once_more_is_a_command_that_works(command: Command, expected: str) -> None:
    assert again(command, RELEASE) == expected
