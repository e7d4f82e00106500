"""Reads the import statements of all packages and holds them against docs/architecture.md."""

from __future__ import annotations

import ast
import sys
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

ROOT = next(folder for folder in Path(__file__).parents if (folder / "services").is_dir())
LIBRARIES = ("deploy", "exporter", "keeper", "sandbox", "telemetry", "toolchain")
SERVICES = tuple(sorted(file.parent.name for file in ROOT.glob("services/*/web.py")))
OURS = frozenset({*LIBRARIES, *SERVICES})

PURE = frozenset({
    "__future__", "abc", "base64", "bisect", "collections", "contextlib", "dataclasses", "datetime", "decimal",
    "difflib", "enum", "fractions", "functools", "graphlib", "hashlib", "heapq", "hmac", "html", "ipaddress",
    "itertools", "json", "math", "operator", "posixpath", "re", "shlex", "statistics", "string", "textwrap", "types",
    "typing", "urllib.parse",
    # Formats, paths and streams as values; a test below says that nothing is opened with them.
    "glob.translate", "io", "pathlib", "tarfile",
})  # fmt: skip
"""The standard library without I/O, clocks, processes, threads and chance."""

ONE_LIBRARY = {
    "deploy.adapters.aws": {"boto3", "botocore"},
    "deploy.adapters.aws_secrets": {"botocore"},
    "deploy.adapters.ecr": {"botocore", "mypy_boto3_ecr"},
    "deploy.adapters.engine": {"docker", "requests.exceptions"},
    "deploy.adapters.forms": {"pydantic", "pydantic_core"},
    "deploy.adapters.ssh": {"paramiko"},
    "deploy.adapters.ssh_channel": {"paramiko"},
    "deploy.adapters.ssh_failure": {"paramiko"},
    "deploy.adapters.ssh_login": {"paramiko"},
    "deploy.testing.sshd": {"paramiko"},
    "deploy.testing.sshd_link": {"paramiko"},
}
"""Third-party packages by the only module of its layer that may name them."""

SANDBOX_MAKERS = {"deploy.cli.up", "deploy.cli.down", "deploy.cli.wiring.settings"}


@dataclass(frozen=True)
class Law:
    """What the modules of a layer may import: packages of ours, of the standard library, of others."""

    ours: Collection[str]
    standard: Collection[str] | None = None
    """None: all of it."""
    others: Collection[str] | None = field(default_factory=frozenset)
    """None: all of them."""


def law_of(module: str) -> Law:
    """Returns the law for a module, by its layer."""
    one_library = ONE_LIBRARY.get(module, set())
    match module.split("."):
        case ["deploy"] | ["deploy", "errors"]:
            return Law(ours=(), standard=PURE)
        case ["deploy", "core", *_]:
            return Law(ours=("deploy.core", "deploy.errors"), standard=PURE)
        case ["deploy", "adapters", "sources"]:
            # The forms are the other half of this adapter.
            return Law(ours=("deploy.core", "deploy.errors", "deploy.adapters.forms"))
        case ["deploy", "adapters", "ssh" | "ssh_login"]:
            # So are the login, what goes over a channel, and the errors.
            parts = ("ssh_channel", "ssh_failure", "ssh_login")
            ours = tuple(f"deploy.adapters.{part}" for part in parts)
            return Law(ours=("deploy.core", "deploy.errors", *ours), others=one_library)
        case ["deploy", "adapters", "ecr" | "aws_secrets"]:
            # So is how AWS is reached.
            return Law(
                ours=("deploy.core", "deploy.errors", "deploy.adapters.aws"), others=one_library
            )
        case ["deploy", "adapters", *_]:
            return Law(ours=("deploy.core", "deploy.errors"), others=one_library)
        case ["deploy", "run", *_]:
            return Law(ours=("deploy.core", "deploy.errors", "deploy.run"))
        case ["deploy", "testing", *_]:
            return Law(ours=("deploy.core", "deploy.errors", "deploy.testing"), others=one_library)
        case ["deploy", "cli", *_]:
            ours = (
                "deploy.cli",
                "deploy.run",
                "deploy.core",
                "deploy.errors",
                "deploy.__version__",
            )
            wiring = _lies_in(module, ("deploy.cli.wiring",))
            adapters = ("deploy.adapters", "toolchain") if wiring else ()
            sandbox = ("sandbox",) if module in SANDBOX_MAKERS else ()
            return Law(ours=(*ours, *adapters, *sandbox), others=None)
        case ["sandbox", *_]:
            return Law(ours=("sandbox", "deploy.core", "deploy.errors", "toolchain"), others=None)
        case ["keeper", *_]:
            return Law(ours=("keeper",))
        case ["toolchain", *_]:
            return Law(ours=("toolchain",))
        case ["exporter", *_]:
            return Law(ours=("exporter",))
        case ["telemetry", *_]:
            return Law(ours=("telemetry",), others=None)
        case [service, *_] if service in SERVICES:
            return Law(ours=(service, "telemetry"), others=None)
        case _:
            raise AssertionError(
                f"no law for {module}: say in docs/architecture.md what it may import"
            )


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
    """Returns every import that the module's law forbids."""
    law = law_of(module)
    found = []
    for name in imported(source, module):
        top = name.split(".", maxsplit=1)[0]
        if top in OURS:
            allowed: Collection[str] | None = law.ours
        elif top in sys.stdlib_module_names:
            allowed = law.standard
        else:
            allowed = law.others
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
def test_imports_keep_to_their_layer(package: str) -> None:
    source_root = dict(packages())[package]
    modules = list(modules_of(source_root / package, source_root))
    assert modules, f"nothing to read of {package}"
    found = [
        breach
        for module, file in modules
        for breach in breaches(file.read_text(encoding="utf-8"), module)
    ]
    assert found == []


def test_tests_of_services_never_import_the_deploy_tool() -> None:
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
"""Methods of paths that touch the disk and of dates that ask the time."""


@pytest.mark.parametrize(
    ("layer", "names", "methods"),
    [
        ("core", {"print", "open", "input"}, TOUCHING),
        ("run", {"print", "open", "input"}, set[str]()),
    ],
)
def test_who_decides_touches_nothing_and_who_carries_out_prints_nothing(
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
        ("deploy.core.rollout", "import os"),
        ("deploy.core.rollout", "from urllib import request"),
        ("deploy.core.rollout", "from tempfile import mkdtemp"),
        ("deploy.core.rollout", "def f():\n    import time"),
        ("deploy.core.rollout", "import pydantic"),
        ("deploy.core.rollout", "from deploy.run import executor"),
        ("deploy.core.rollout", "from ..run import executor"),
        ("deploy.errors", "from deploy.core.config import Service"),
        ("deploy.adapters.ssh", "import boto3"),
        ("deploy.adapters.ssh", "from deploy.adapters.local import LocalHost"),
        ("deploy.adapters.ssh", "from . import local"),
        ("deploy.adapters.ssh", "from deploy.run.executor import execute"),
        ("deploy.run.executor", "from deploy.adapters.ssh import SshHost"),
        ("deploy.run.executor", "import rich"),
        ("deploy.run.executor", "import telemetry"),
        ("deploy.cli.status", "from deploy.adapters import ssh"),
        ("deploy.cli.status", "import sandbox"),
        ("deploy.cli.wiring", "import sandbox"),
        ("deploy.testing.memory", "from deploy.run import perform"),
        ("sandbox.hosts", "from deploy.run import perform"),
        ("keeper.watch", "from deploy.core import edge"),
        ("keeper.engine", "import docker"),
        ("toolchain.apt", "import requests"),
        ("toolchain.apt", "from deploy.errors import ShipError"),
        ("telemetry.metrics", "from deploy.core import config"),
        ("app.web", "from deploy.core import config"),
    ],
)
def test_a_breach_is_seen(module: str, source: str) -> None:
    assert len(breaches(source, module)) == 1


@pytest.mark.parametrize(
    ("module", "source"),
    [
        (
            "deploy.core.rollout",
            "from deploy.core.steps import Step\nfrom urllib.parse import quote",
        ),
        ("deploy.adapters.ssh", "import paramiko, os\nfrom deploy.core import shell"),
        ("deploy.cli.wiring.settings", "import sandbox\nfrom deploy.adapters import sources"),
        ("deploy.cli.wiring", "from deploy.adapters.ssh import SshHost\nimport toolchain.engine"),
        ("app.web", "import flask\nfrom telemetry import instrument\nfrom app import pages"),
    ],
)
def test_what_is_allowed_passes(module: str, source: str) -> None:
    assert breaches(source, module) == []


def test_a_module_of_no_layer_is_refused() -> None:
    with pytest.raises(AssertionError, match=r"no law for deploy\.elsewhere"):
        law_of("deploy.elsewhere")
