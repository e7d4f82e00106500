"""What a change reaches in a repository of three services, asked of the real ./ship, git and Pants."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import pytest

from e2e.stack import Clone, checkout

LOCK = "3rdparty/python/default.lock"

BUILD = """\
python_sources(dependencies=[":page"])

resource(name="page", source="page.html")

file(name="service", source="service.toml")

python_tests(name="tests")

pex_binary(name="srcs", entry_point="web.py")

docker_image(name="image", dependencies=[":srcs"])
"""


def service(name: str, *imports: str) -> Mapping[str, str]:
    """The files of a service that builds, with a test and a page."""
    folder = f"services/{name}"
    lines = "".join(f"{each}\n" for each in imports)
    return {
        f"{folder}/BUILD": BUILD,
        f"{folder}/__init__.py": "",
        f"{folder}/web.py": f"{lines}NAME = {name!r}\n",
        f"{folder}/web_test.py": f"from {name}.web import NAME\n\n\ndef test_name() -> None:\n    assert NAME\n",
        f"{folder}/page.html": "<p>",
        f"{folder}/Dockerfile": f"FROM scratch\nCOPY services.{name}/srcs.pex /\n",
        f"{folder}/service.toml": f'name = "{name}"\nimage = "{folder}:image"\n\n[route]\npath = "/{name}"\n',
    }


FIXTURE = {
    "libs/left/BUILD": "python_sources()\n",
    "libs/left/__init__.py": "",
    "libs/left/greeting.py": "GREETING = 'hello'\n",
    "libs/right/BUILD": "python_sources()\n",
    "libs/right/__init__.py": "",
    "libs/right/parting.py": "PARTING = 'bye'\n",
    **service("one", "from left.greeting import GREETING"),
    **service("two", "from left.greeting import GREETING", "from right.parting import PARTING"),
    **service("three", "import psutil"),
}


@dataclass(frozen=True)
class Monorepo:
    """A clone of the checkout with three services more."""

    clone: Clone

    def commit(self, files: Mapping[str, str | None]) -> None:
        for name, text in files.items():
            path = self.clone.root / name
            if text is None:
                path.unlink()
            else:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
        self.clone.commit(", ".join(files))

    def read(self, name: str) -> str:
        return (self.clone.root / name).read_text()

    def affected(self, base: str = "HEAD~1") -> dict[str, Any]:
        """What the last commit reaches."""
        argv = [str(self.clone.root / "ship"), "affected", "--base", base, "--json"]
        ours = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        done = subprocess.run(
            argv, cwd=self.clone.root, env=ours, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        document: dict[str, Any] = json.loads(done.stdout)
        assert document["mode"] == "changed", document["reason"]
        return document

    def stop_daemon(self) -> None:
        """Ends the Pants daemon of this clone, which would outlive it."""
        for file in self.clone.root.glob(".pids/*/pantsd/pid"):
            with suppress(ProcessLookupError):
                os.kill(int(file.read_text()), signal.SIGTERM)


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
    monorepo.commit({"libs/left/greeting.py": "GREETING = 'good day'\n"})
    document = monorepo.affected()
    assert document["services"] == ["one", "two"]
    assert document["images"] == ["services/one:image", "services/two:image"]
    assert addresses(document, "test") == {"services/one:tests", "services/two:tests"}
    assert addresses(document, "lint") == {"libs/left/greeting.py"}
    assert addresses(document, "package") == {
        f"services/{service}:{target}" for service in ("one", "two") for target in ("image", "srcs")
    }
    assert "three" not in json.dumps(document)
    why = next(
        each["why"] for each in document["targets"] if each["address"] == "services/one:image"
    )
    assert why == [
        "libs/left/greeting.py",
        "services/one/web.py",
        "services/one:srcs",
        "services/one:image",
    ]


def test_the_deploy_tool_reaches_no_service(monorepo: Monorepo) -> None:
    path = "libs/deploy/core/shell.py"
    monorepo.commit({path: monorepo.read(path) + "\n\nCHANGED = True\n"})
    document = monorepo.affected()
    assert (document["services"], document["images"]) == ([], [])
    assert {each["goal"] for each in document["targets"]} == {"lint", "check", "test"}


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
