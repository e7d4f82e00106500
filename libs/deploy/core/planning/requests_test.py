"""What is asked for, as the command that asks for the same once more."""

from __future__ import annotations

import pytest

from deploy.core.planning.requests import (
    Abort,
    Asked,
    Promotion,
    Request,
    Rollback,
    Scale,
    again,
)
from deploy.testing import factories

APP, BY = factories.service(), factories.ORIGIN
RELEASE, OTHER = "r000002-3f9c2ab", "r000001-3f9c2ab"
IMAGE = factories.image("two")


def request(*options: str) -> Request:
    return Request(APP, IMAGE, factories.REPLICA, factories.parts(), BY, options=options)


@pytest.mark.parametrize(
    ("asked", "command"),
    [
        (request(), "./ship deploy app"),
        (request("--image", IMAGE, "--confirm"), f"./ship deploy app --image {IMAGE} --confirm"),
        (Rollback(APP, BY), f"./ship rollback app --to {RELEASE}"),
        (
            Rollback(APP, BY, OTHER, options=("--release", RELEASE)),
            f"./ship rollback app --release {RELEASE}",
        ),
        (
            Rollback(APP, BY, OTHER, "deploy", options=("--image", IMAGE, "--confirm")),
            f"./ship deploy app --image {IMAGE} --confirm",
        ),
        (Promotion(APP, BY, RELEASE), f"./ship promote app --release {RELEASE}"),
        (Abort(APP, BY, RELEASE), f"./ship abort app --release {RELEASE}"),
        (Scale(APP, BY, 3), "./ship scale app=3"),
    ],
)
def test_the_same_once_more_is_a_command_that_works(asked: Asked, command: str) -> None:
    assert again(asked, RELEASE) == command
