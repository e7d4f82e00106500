"""What a change affects in a repository of three services, with the real ./ship, git and Pants."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from e2e.live_sandbox import Clone, checkout
from e2e.monorepo import FIXTURE, LOCK, Monorepo


@pytest.fixture(scope="module")
def monorepo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Monorepo]:
    made = Monorepo(Clone.of(checkout(), tmp_path_factory.mktemp("mono") / "repo"))
    made.commit(FIXTURE)
    yield made
    made.stop_daemon()


def addresses(document: Mapping[str, Any], goal: str) -> set[str]:
    """Returns the addresses of a goal's targets, without the tests in docs/, which read all code."""
    found = {target["address"] for target in document["targets"] if target["goal"] == goal}
    return {address for address in found if not address.startswith("docs/")}


def test_change_of_a_library_affects_exactly_its_two_dependents(monorepo: Monorepo) -> None:
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
        target["why"] for target in document["targets"] if target["address"] == "services/one:image"
    )
    # Both PEX files of an image contain the service's code, so there are two shortest paths.
    assert why[2] in {"services/one:deps", "services/one:srcs"}
    assert [*why[:2], *why[3:]] == [
        "libs/left/greeting.py",
        "services/one/web.py",
        "services/one:image",
    ]


def test_change_of_the_deploy_tool_affects_no_service(monorepo: Monorepo) -> None:
    path = "libs/deploy/core/commands/shell.py"
    monorepo.commit({path: monorepo.read(path) + "\n\nCHANGED = True\n"})
    document = monorepo.affected()
    assert (document["services"], document["images"]) == ([], ["deploy/ship:image"])
    assert set(map(tuple, document["deploys"].values())) == {()}


def test_change_of_the_telemetry_library_affects_every_service(monorepo: Monorepo) -> None:
    path = "libs/telemetry/metrics.py"
    monorepo.commit({path: monorepo.read(path) + "\n\nCHANGED = True\n"})
    document = monorepo.affected()
    assert document["services"] == ["app", "one", "three", "two"]
    assert document["deploys"]["staging"] == document["services"]
    tests = addresses(document, "test")
    assert "services/one:tests" in tests
    assert not {address for address in tests if address.startswith("libs/deploy")}


def test_change_of_documentation_affects_no_target(monorepo: Monorepo) -> None:
    monorepo.commit({"NOTES.md": "More.\n"})
    document = monorepo.affected()
    assert (document["targets"], document["services"], document["images"]) == ([], [], [])


def test_change_of_a_page_or_a_requirement_affects_its_users(monorepo: Monorepo) -> None:
    text = monorepo.read(LOCK)
    # The base commit gets the older version, not the checkout, where another lock would set up the tools again.
    begin = text.index("psutil==")
    monorepo.commit({LOCK: f"{text[:begin]}psutil==0{text[begin + len('psutil==') :]}"})
    monorepo.commit({LOCK: text, "services/two/page.html": "<i>"})
    document = monorepo.affected()
    assert "three" in document["services"]
    assert "two" in document["services"]
    assert "one" not in document["services"]
    tests = [target for target in document["targets"] if target["goal"] == "test"]
    paths = {target["address"]: target["why"] for target in tests}
    assert paths["services/three:tests"][:2] == [LOCK, "3rdparty/python:requirements#psutil"]
    assert paths["services/two:tests"][0] == "services/two/page.html"


def test_removed_module_affects_the_services_that_import_it(monorepo: Monorepo) -> None:
    monorepo.commit({"libs/right/parting.py": None})
    document = monorepo.affected()
    assert document["services"] == ["two"]
    assert addresses(document, "test") == {"services/two:tests"}


def test_a_kept_graph_selects_what_pants_selects(monorepo: Monorepo) -> None:
    path = "libs/left/greeting.py"
    # A name that no earlier run had: graphs are kept beyond the run, by the names of all files.
    note = f"docs/note-{secrets.token_hex(8)}.md"
    monorepo.commit({path: 'GREETING = "good evening"\n', note: "x"})
    monorepo.selection("HEAD~1")
    monorepo.commit({path: 'GREETING = "good night"\n', "services/two/page.html": "<b>"})
    document, messages = monorepo.selection("HEAD~1")
    assert "Pants lists the targets" not in messages
    assert document == monorepo.affected()

    monorepo.commit({"services/three/web_test.py": "from left import greeting  # noqa: F401\n"})
    document, messages = monorepo.selection("HEAD~1")
    assert "Pants lists the targets" in messages
    assert document == monorepo.affected()
