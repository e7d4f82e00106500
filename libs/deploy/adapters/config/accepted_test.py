"""What the parser accepts, every later reader accepts: a property over service files with any kind of value.

Here the readers are rules of Docker's and nginx's documentation. e2e/config_test.py asks the programs.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, event, given, settings

from deploy.adapters.config import loader, problems, schema, value_types
from deploy.core.config import Service
from deploy.core.state.release import make_release
from deploy.errors import ConfigError
from deploy.testing.factories import ORIGIN, REPLICA, image
from deploy.testing.service_files import Document, service_files, to_toml

ROOT = next(folder for folder in Path(__file__).parents if (folder / "deploy" / "base").is_dir())
SUBNET = "10.213.0.0/16"
DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)s")
PRINTABLE = re.compile(r"[\t\n\r -~\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]*")
"""YAML's `c-printable`: a stream has no other characters. https://yaml.org/spec/1.2.2/#51-character-set"""

NAMED = {"name": "app", "image": "services/app:image"}


def load(root: Path, document: Document) -> Service | None:
    """Returns the service, or None if the file is refused."""
    folder = root / "services" / "app"
    folder.mkdir(parents=True, exist_ok=True)
    text = to_toml({**NAMED, **document})
    (folder / "service.toml").write_text(text, encoding="utf-8", newline="")
    try:
        return loader.load_services(root)["app"]
    except ConfigError:
        return None


def render(service: Service) -> tuple[str, dict[str, Any]]:
    """Returns the compose text of a release of the service, and the compose service of its first replica."""
    text = make_release(service, image("1"), 1, REPLICA, ORIGIN, subnet=SUBNET).compose
    return text, next(iter(json.loads(text.replace("$$", "$"))["services"].values()))


@settings(
    max_examples=500,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
@given(service_files())
def test_accepted_service_renders_what_docker_accepts(
    tmp_path_factory: pytest.TempPathFactory, document: Document
) -> None:
    service = load(tmp_path_factory.getbasetemp(), document)
    event("refused" if service is None else "accepted")
    if service is None:
        return
    text, replica = render(service)
    assert PRINTABLE.fullmatch(text)
    assert not re.search(r"\\u[dD][89a-fA-F]", text), "YAML has no surrogates"
    for key in ("interval", "start_period"):
        assert (found := DURATION.fullmatch(replica["healthcheck"][key])), replica["healthcheck"]
        assert 0.001 <= float(found[1]) <= 86_410
    assert DURATION.fullmatch(replica["stop_grace_period"])
    assert service.env.items() <= replica["environment"].items()
    for name, value in replica["environment"].items():
        assert "\0" not in name + value
        assert name != "IMAGE"


def test_emoji_stands_as_itself_in_the_compose_file() -> None:
    text, replica = render(Service("app", "services/app:image", env={"FACE": "😀 \x7f é"}))
    assert "😀 \\u007f \\u00e9" in text
    assert replica["environment"]["FACE"] == "😀 \x7f é"


REFUSED = [
    ("health.drain_s", 1e10, "should be at most 600"),
    ("health.interval_s", 1e-5, "should be at least 0.1"),
    ("rollout.hold_s", 1e-9, "should be at least 0.001"),
    ("route.host", ".", "should be a host name: labels of at most 63"),
    ("route.host", "..", "should be a host name: labels of at most 63"),
    ("route.host", "a" * 64, "should be a host name: labels of at most 63"),
    ("route.host", ".".join(["abcdefg"] * 32), "at most 253 characters"),
    ("route.host", "10.0.0.1", "should be a host name"),
    ("route.path", "/-/", "should be a path outside /-/, which belongs to the edge"),
    ("route.path", "/-/shop", "should be a path outside /-/, which belongs to the edge"),
    ("route.path", "/-", "should be a path outside /-/, which belongs to the edge"),
    ("route.path", "/a//b", 'should be a path without "//", "/./" and "/../"'),
    ("route.path", "/a/../b", 'should be a path without "//", "/./" and "/../"'),
    ("route.path", f"/{'a' * 200}", "should be a path of at most 200 characters"),
    ("memory", "99999999999999999999g", 'should be an amount such as "256m"'),
    ("memory", "16385g", 'should be between "6m"'),
    ("memory", "5m", 'should be between "6m"'),
    ("env.A", "\0", "should be text on one line, without control characters"),
    ("env.A", "\x1b[2J", "should be text on one line, without control characters"),
    ("env.IMAGE", "x", "should be left out: the tool sets it"),
    ("env.LD_PRELOAD", "/x.so", "should be left out: it replaces code of every program"),
    ("tasks.before_switch.command", ["\0"], "should be text without NUL"),
    ("source", "javascript:alert(1)", "should be an address that starts with http:// or https://"),
    ("source", "https://a/\nb", "should be an address of at most 1000 plain characters"),
    ("source", "https://bob:pw@a/", "should be an address without a login"),
    ("image", "--help:image", "should be a target's address"),
    ("journeys", "../a_test.py", "should be a file such as e2e/journeys_test.py"),
    ("name", "a", "should be a name of at least 2 characters"),
    ("name", "a--b", "should be a name with single - between letters and digits"),
    ("name", "app-", "should be a name with single - between letters and digits"),
    ("name", "edge", "should be another name: the tool has an image of this name"),
    ("name", "py-cicd-app", "should be another name: py-cicd is the tool's own"),
]


@pytest.mark.parametrize(("path", "value", "problem"), REFUSED)
def test_what_docker_or_nginx_would_refuse_is_refused(
    path: str, value: object, problem: str
) -> None:
    document: Document = dict(NAMED)
    *tables, key = path.split(".")
    table = document
    for name in tables:
        table = table.setdefault(name, {})
    table[key] = value
    (found,) = problems.parse(document, schema.ServiceForm)[1][:1]
    assert found.startswith(f"{path}")
    assert problem in found


def test_longest_host_name_and_the_widest_numbers_are_accepted(tmp_path: Path) -> None:
    longest = ".".join(["a" * 63] * 3 + ["a" * 61])
    assert len(longest) == 253
    document = {
        "memory": "16384g",
        "route": {"host": longest, "path": "/" + "a" * 199},
        "health": {"interval_s": 0.1, "drain_s": 600},
    }
    service = load(tmp_path, document)
    assert service is not None
    assert render(service)[1]["stop_grace_period"] == "610s"


def test_no_service_has_the_name_of_an_image_of_the_tool() -> None:
    bases = {file.parent.name for file in (ROOT / "deploy" / "base").glob("*/recipe.toml")}
    assert (
        bases | {*loader.load_job_images(ROOT / "deploy" / "images.toml")}
        == value_types.RESERVED_NAMES
    )
