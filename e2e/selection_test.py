"""What a change reaches in a repository of three services, asked of the real ./ship, git and Pants."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from e2e.monorepo import FIXTURE, LOCK, Monorepo
from e2e.stack import Clone, checkout


@pytest.fixture(scope="module")
def monorepo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Monorepo]:
    made = Monorepo(Clone.of(checkout(), tmp_path_factory.mktemp("mono") / "repo"))
    made.commit(FIXTURE)
    yield made
    made.stop_daemon()


def addresses(document: Mapping[str, Any], goal: str) -> set[str]:
    """The targets of a goal; what reads all code (it lies in libs/deploy) is left out."""
    found = {each["address"] for each in document["targets"] if each["goal"] == goal}
    return {each for each in found if not each.startswith("libs/deploy")}


def test_a_library_reaches_exactly_its_two_dependents(monorepo: Monorepo) -> None:
    monorepo.commit({"libs/left/greeting.py": 'GREETING = "good day"\n'})
    document = monorepo.affected()
    assert document["services"] == ["one", "two"]
    assert document["images"] == ["services/one:image", "services/two:image"]
    assert addresses(document, "test") == {"services/one:tests", "services/two:tests"}
    assert addresses(document, "lint") == {"libs/left/greeting.py"}
    assert addresses(document, "package") == {
        f"services/{service}:{target}"
        for service in ("one", "two")
        for target in ("deps", "image", "srcs")
    }
    assert "three" not in json.dumps(document)
    why = next(
        each["why"] for each in document["targets"] if each["address"] == "services/one:image"
    )
    # Both PEX files of an image are made from what it serves: either is a shortest way.
    assert why[2] in {"services/one:deps", "services/one:srcs"}
    assert [*why[:2], *why[3:]] == [
        "libs/left/greeting.py",
        "services/one/web.py",
        "services/one:image",
    ]


def test_the_deploy_tool_reaches_no_service(monorepo: Monorepo) -> None:
    path = "libs/deploy/core/commands/shell.py"
    monorepo.commit({path: monorepo.read(path) + "\n\nCHANGED = True\n"})
    document = monorepo.affected()
    assert (document["services"], document["images"]) == ([], ["deploy/ship:image"])
    assert set(map(tuple, document["deploys"].values())) == {()}


def test_the_telemetry_of_all_services_reaches_all_of_them(monorepo: Monorepo) -> None:
    path = "libs/telemetry/metrics.py"
    monorepo.commit({path: monorepo.read(path) + "\n\nCHANGED = True\n"})
    document = monorepo.affected()
    assert document["services"] == ["app", "one", "three", "two"]
    assert document["deploys"]["staging"] == document["services"]


def test_documentation_runs_no_test(monorepo: Monorepo) -> None:
    monorepo.commit({"docs/more.md": "More.\n"})
    document = monorepo.affected()
    assert (document["targets"], document["services"], document["images"]) == ([], [], [])


def test_a_page_and_a_pin_reach_who_uses_them(monorepo: Monorepo) -> None:
    text = monorepo.read(LOCK)
    # The older pin is the one of the base: a checkout of another lock would set up its tools anew.
    begin = text.index("psutil==")
    monorepo.commit({LOCK: f"{text[:begin]}psutil==0{text[begin + len('psutil==') :]}"})
    monorepo.commit({LOCK: text, "services/two/page.html": "<i>"})
    document = monorepo.affected()
    assert "three" in document["services"]
    assert "two" in document["services"]
    assert "one" not in document["services"]
    ways = {each["address"]: each["why"] for each in document["targets"] if each["goal"] == "test"}
    assert ways["services/three:tests"][:2] == [LOCK, "3rdparty/python:requirements#psutil"]
    assert ways["services/two:tests"][0] == "services/two/page.html"


def test_a_module_that_is_gone_reaches_who_still_imports_it(monorepo: Monorepo) -> None:
    monorepo.commit({"libs/right/parting.py": None})
    document = monorepo.affected()
    assert document["services"] == ["two"]
    assert addresses(document, "test") == {"services/two:tests"}
