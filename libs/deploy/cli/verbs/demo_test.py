"""What `ship demo` makes of how its story went."""

from __future__ import annotations

import io
from argparse import Namespace
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest

from deploy.cli.output.console import Console
from deploy.cli.verbs.demo import VERB
from deploy.cli.wiring import Wiring
from deploy.errors import DemoError, UsageError

TOLD = {"requests": 9000, "lost": 0, "seconds": 200.4, "problem": None}


def run(told: dict[str, Any], *, env: str = "sandbox") -> tuple[Any, list[str]]:
    asked: list[str] = []

    def tell_demo(name: str, options: Sequence[str]) -> dict[str, Any]:
        asked.extend([name, *options])
        return told

    wiring = cast("Wiring", SimpleNamespace(tell_demo=tell_demo))
    arguments = Namespace(sandbox="sandbox", env=env, keep=True, record="")
    return VERB.run(arguments, wiring, Console(stream=io.StringIO())), asked


def test_it_ends_with_the_requests_that_users_lost() -> None:
    document, asked = run(TOLD)
    assert asked == ["sandbox-demo", "--keep"]
    assert VERB.show(document) == "9000 requests of users, 0 lost, in 200 s"


def test_a_story_that_did_not_go_as_told_is_a_failure_with_its_reason() -> None:
    with pytest.raises(DemoError, match="no such image"):
        run({"problem": "no such image"})


def test_no_other_environment_is_touched() -> None:
    with pytest.raises(UsageError):
        run(TOLD, env="production")
