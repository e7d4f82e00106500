"""What `ship down` removes and keeps, and how it says so."""

from __future__ import annotations

import io
from argparse import Namespace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from deploy.cli.output.console import Console
from deploy.cli.verbs.down import VERB
from deploy.cli.wiring import Wiring
from sandbox import state

CACHE = "/home/u/.cache/py-cicd"


def run(
    monkeypatch: pytest.MonkeyPatch,
    *,
    daemon: str = "ended",
    kept: dict[str, str] | None = None,
) -> Any:
    wiring = SimpleNamespace(
        images=SimpleNamespace(remove_names=lambda: (["py-cicd/app:1"], kept or {})),
        end_build_daemon=lambda: daemon,
        caches=lambda: {CACHE: "tools"},
        stop_engine_if_ours=lambda: False,
    )
    monkeypatch.setattr("sandbox.lifecycle.destroy", lambda name, say: state.folder(name).remove())
    arguments = Namespace(sandbox="blue", env="sandbox")
    return VERB.run(arguments, cast("Wiring", wiring), Console(stream=io.StringIO()))


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))


def test_down_says_what_it_removed_and_what_it_keeps_and_why(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    state.folder("blue").make()
    document = run(monkeypatch)
    assert (document["images"], document["build_daemon"]) == (["py-cicd/app:1"], "ended")
    assert VERB.show(document).splitlines() == [
        "sandbox blue: removed",
        "removed 1 names of images",
        "ended Pants' daemon",
        f"kept {CACHE}: tools; other checkouts and sandboxes use it too",
        "kept the Docker engine: ship up did not start it",
    ]


def test_down_says_which_image_another_build_may_use_and_that_the_daemon_is_busy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    state.folder("blue").make()
    state.folder("red").make()
    document = run(
        monkeypatch, daemon="busy", kept={"py-cicd/base-edge:2": "a build that runs may use it"}
    )
    shown = VERB.show(document)
    assert "kept py-cicd/base-edge:2: a build that runs may use it" in shown
    assert "kept Pants' daemon: it serves a build, and ends after it" in shown
    assert "kept the Docker engine: in use by red" in shown


def test_a_sandbox_that_does_not_exist_leaves_the_daemon_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    document = run(monkeypatch)
    assert (document["removed"], document["build_daemon"], document["kept"]) == (False, "none", [])
