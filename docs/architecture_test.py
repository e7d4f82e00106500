"""Holds docs/architecture.md against the code: the tree of folders, and what each layer may import."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

ROOT = next(folder for folder in Path(__file__).parents if (folder / "services").is_dir())
SERVICES = tuple(sorted(file.parent.name for file in ROOT.glob("services/*/web.py")))
LIBRARIES = (
    "deploy",
    "engine_api",
    "exporter",
    "pex_layers",
    "sandbox",
    "telemetry",
    "toolchain",
    "watchdog",
)
OURS = frozenset({*LIBRARIES, *SERVICES})

PURE = frozenset({
    "__future__", "abc", "ast", "base64", "bisect", "collections", "contextlib", "dataclasses", "datetime", "decimal",
    "difflib", "enum", "fractions", "functools", "graphlib", "hashlib", "heapq", "hmac", "html", "ipaddress",
    "itertools", "json", "math", "operator", "posixpath", "re", "shlex", "statistics", "string", "textwrap", "types",
    "typing", "urllib.parse",
    # Formats, paths and streams as values; a test below checks that core opens no file.
    "glob.translate", "io", "pathlib", "tarfile",
})  # fmt: skip
"""The standard library without I/O, clocks, processes, threads and randomness."""

LIBRARY_OF = {
    "deploy.adapters.aws": {"boto3", "botocore", "mypy_boto3_ecr"},
    "deploy.adapters.config": {"pydantic", "pydantic_core"},
    "deploy.adapters.docker": {"docker", "requests.exceptions"},
    "deploy.adapters.report_page": {"jinja2"},
    "deploy.adapters.ssh": {"paramiko"},
    "deploy.testing.servers": {"paramiko"},
}
"""The third-party packages of each adapter; an adapter that isn't listed uses the standard library alone."""


@dataclass(frozen=True)
class Rule:
    """What the modules of a layer may import. None: everything.

    `itself` is how many leading segments of a module's name form the unit within which imports are free: two for a
    layer of `deploy`, three for one adapter.
    """

    ours: Collection[str] = ()
    itself: int = 1
    standard: Collection[str] | None = None
    others: Collection[str] | None = field(default_factory=frozenset)


CORE = ("deploy.core", "deploy.errors")
RULES = {
    "deploy.core": Rule(("deploy.errors",), itself=2, standard=PURE),
    "deploy.adapters": Rule((*CORE, "deploy.adapters.limits"), itself=3),
    "deploy.run": Rule(CORE, itself=2),
    "deploy.testing": Rule(CORE, itself=2),
    "deploy.cli.wiring": Rule(("deploy", "sandbox", "toolchain"), others=None),
    "deploy.cli.verbs": Rule(
        ("deploy.run", "deploy.__version__", *CORE, "sandbox"), itself=2, others=None
    ),
    "deploy.cli": Rule(("deploy.run", "deploy.__version__", *CORE), itself=2, others=None),
    "deploy": Rule(standard=PURE, itself=2),
    "engine_api": Rule(),
    "exporter": Rule(("engine_api",)),
    "pex_layers": Rule(),
    "sandbox": Rule((*CORE, "toolchain"), others=None),
    "telemetry": Rule(others=None),
    "toolchain": Rule(),
    "watchdog": Rule(("engine_api",)),
    **{service: Rule(("telemetry",), others=None) for service in SERVICES},
}
"""One rule a layer; a module belongs to the longest name that it begins with."""

INSIDE_CORE = {
    "config": (),
    "state": ("config",),
    "ports": ("config", "state"),
    "commands": ("state",),
    "stacks": ("config", "state", "commands"),
    "analysis": ("config", "state"),
    "planning": ("config", "state", "commands", "stacks", "analysis", "images"),
    "images": ("config", "ports"),
    "ci": ("config",),
    "reports": ("config", "state", "analysis"),
    "bootstrap": ("config", "commands"),
}
"""What each part of `deploy.core` may import of the others."""


def layer_of(module: str) -> str:
    """Returns the layer of a module. Raises AssertionError for a module of no layer."""
    parts = module.split(".")
    for count in range(len(parts), 0, -1):
        if (name := ".".join(parts[:count])) in RULES:
            return name
    raise AssertionError(f"{module} belongs to no layer: add it to docs/architecture.md and RULES")


def imported(source: str, module: str) -> Iterator[str]:
    """Yields what a module imports, as `package.module` or `package.module.name`."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = module.split(".")[: -node.level] if node.level else []
            package = ".".join([*above, *([node.module] if node.module else [])])
            yield from (f"{package}.{alias.name}" for alias in node.names)


def breaches(source: str, module: str) -> list[str]:
    """Returns every import that the module's layer forbids."""
    rule = RULES[layer_of(module)]
    itself = ".".join(module.split(".")[: rule.itself])
    third_party = {
        library
        for adapter, libraries in LIBRARY_OF.items()
        if _lies_in(module, [adapter])
        for library in libraries
    }
    found = []
    for name in imported(source, module):
        top = name.split(".", maxsplit=1)[0]
        if top in OURS:
            allowed: Collection[str] | None = (*rule.ours, itself)
        elif top in sys.stdlib_module_names:
            allowed = rule.standard
        else:
            allowed = None if rule.others is None else {*rule.others, *third_party}
        if allowed is not None and not _lies_in(name, allowed):
            found.append(f"{module} imports {name}")
    return found


def _lies_in(name: str, packages: Collection[str]) -> bool:
    return any(f"{name}.".startswith(f"{package}.") for package in packages)


def modules_of(folder: Path, source_root: Path) -> Iterator[tuple[str, Path]]:
    """Yields (module, file) of the code of a package, without its tests."""
    for file in sorted(folder.rglob("*.py")):
        if file.name.endswith(("_test.py", "_fixture.py")) or file.name == "conftest.py":
            continue
        parts = file.relative_to(source_root).with_suffix("").parts
        yield ".".join(part for part in parts if part != "__init__"), file


def packages() -> Iterator[tuple[str, Path]]:
    """Yields every package of ours with its source root."""
    yield from ((name, ROOT / "libs") for name in LIBRARIES)
    yield from ((name, ROOT / "services") for name in SERVICES)


@pytest.mark.parametrize("package", [name for name, _ in packages()])
def test_each_layer_imports_only_what_its_rule_allows(package: str) -> None:
    source_root = dict(packages())[package]
    modules = list(modules_of(source_root / package, source_root))
    assert modules, f"no module in {package}"
    found = [
        breach
        for module, file in modules
        for breach in breaches(file.read_text(encoding="utf-8"), module)
    ]
    assert found == []


def test_the_parts_of_core_import_each_other_in_one_direction() -> None:
    found = []
    for module, file in modules_of(ROOT / "libs" / "deploy" / "core", ROOT / "libs"):
        own = module.removeprefix("deploy.core").removeprefix(".").partition(".")[0]
        if not own:
            continue
        for name in imported(file.read_text(encoding="utf-8"), module):
            parts = name.split(".")
            if parts[:2] == ["deploy", "core"] and parts[2] not in (own, *INSIDE_CORE[own]):
                found.append(f"{module} imports {name}")
    assert found == []


def test_tests_of_services_do_not_import_the_deploy_tool() -> None:
    found = [
        f"{file.relative_to(ROOT)} imports {name}"
        for file in sorted(ROOT.glob("services/*/**/*_test.py"))
        for name in imported(file.read_text(encoding="utf-8"), "x.y")
        if _lies_in(name, ("deploy", "sandbox", "toolchain"))
    ]
    assert found == []


TOUCHING = frozenset({
    "exists", "expanduser", "is_dir", "is_file", "iterdir", "mkdir", "read_bytes", "read_text", "resolve", "rglob",
    "rmdir", "stat", "touch", "unlink", "write_bytes", "write_text", "now", "today", "utcnow",
})  # fmt: skip
"""Methods of paths that touch the disk and of dates that read the clock."""


@pytest.mark.parametrize(
    ("layer", "names", "methods"),
    [
        ("core", {"print", "open", "input"}, TOUCHING),
        ("run", {"print", "open", "input"}, set[str]()),
    ],
)
def test_core_does_no_io_and_run_does_not_print(
    layer: str, names: Collection[str], methods: Collection[str]
) -> None:
    found = [
        f"{module}:{call.lineno} calls {ast.unparse(call.func)}"
        for module, file in modules_of(ROOT / "libs" / "deploy" / layer, ROOT / "libs")
        for call in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(call, ast.Call)
        if (isinstance(call.func, ast.Name) and call.func.id in names)
        or (isinstance(call.func, ast.Attribute) and call.func.attr in methods)
        or ast.unparse(call.func) == "io.open"
    ]
    assert found == []


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("deploy.core.planning.rollout", "import os"),
        ("deploy.core.planning.rollout", "from urllib import request"),
        ("deploy.core.planning.rollout", "from tempfile import mkdtemp"),
        ("deploy.core.planning.rollout", "def f():\n    import time"),
        ("deploy.core.planning.rollout", "import pydantic"),
        ("deploy.core.planning.rollout", "from deploy.run.rollout import executor"),
        ("deploy.core.planning.rollout", "from ...run import executor"),
        ("deploy.errors", "from deploy.core.config import Service"),
        ("deploy.adapters.ssh.host", "import boto3"),
        ("deploy.adapters.ssh.host", "from deploy.adapters.local_host import LocalHost"),
        ("deploy.adapters.ssh.host", "from .. import local_host"),
        ("deploy.adapters.ssh.host", "from deploy.run.rollout.executor import execute"),
        ("deploy.run.rollout.executor", "from deploy.adapters.ssh.host import SshHost"),
        ("deploy.run.rollout.executor", "import rich"),
        ("deploy.run.rollout.executor", "import telemetry"),
        ("deploy.cli.verbs.status", "from deploy.adapters.ssh import host"),
        ("deploy.cli.output.table", "from sandbox import state"),
        ("deploy.cli.main", "import sandbox"),
        ("deploy.testing.fleet.fleet", "from deploy.run.steps import perform"),
        ("sandbox.hosts", "from deploy.run.steps import perform"),
        ("watchdog.health", "from deploy.core.state import edge"),
        ("watchdog.health", "from exporter import edge"),
        ("engine_api.client", "import docker"),
        ("engine_api.client", "from watchdog import health"),
        ("toolchain.apt", "import requests"),
        ("toolchain.apt", "from deploy.errors import ShipError"),
        ("telemetry.metrics", "from deploy.core import config"),
        ("app.web", "from deploy.core import config"),
    ],
)
def test_a_forbidden_import_is_found(module: str, source: str) -> None:
    assert len(breaches(source, module)) == 1


@pytest.mark.parametrize(
    ("module", "source"),
    [
        (
            "deploy.core.planning.rollout",
            "from deploy.core.planning.steps import Step\nfrom urllib.parse import quote",
        ),
        (
            "deploy.adapters.ssh.host",
            "import paramiko, os\nfrom deploy.core.commands import shell\nfrom deploy.adapters.ssh import login",
        ),
        ("deploy.cli.wiring.settings", "import sandbox\nfrom deploy.adapters.config import loader"),
        (
            "deploy.cli.wiring",
            "from deploy.adapters.ssh.host import SshHost\nimport toolchain.docker_daemon",
        ),
        ("app.web", "import flask\nfrom telemetry import instrument\nfrom app import pages"),
    ],
)
def test_an_allowed_import_passes(module: str, source: str) -> None:
    assert breaches(source, module) == []


def test_a_module_of_no_layer_is_refused() -> None:
    with pytest.raises(AssertionError, match=r"elsewhere\.module belongs to no layer"):
        layer_of("elsewhere.module")


def test_the_page_shows_the_folders_that_exist() -> None:
    """The tree in docs/architecture.md shows every folder of our libraries and of e2e, and no other beside them.

    A service or library that somebody adds needs no line there. links_test.py checks the paths that pages name.
    """
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    shown = set(
        re.findall(r"^(\S+)/ ", text.partition("```\n")[2].partition("```")[0], re.MULTILINE)
    )
    tops = (*(f"libs/{name}" for name in LIBRARIES), "e2e")
    found = {
        file.parent.relative_to(ROOT).as_posix()
        for top in tops
        for file in (ROOT / top).rglob("*.py")
    }
    assert {folder for folder in shown if folder.startswith(tops)} == found
