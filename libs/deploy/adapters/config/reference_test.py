"""The references of configuration files are generated from the schema, and say nothing that it doesn't take."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_origin

import pytest

from deploy.adapters.config import problems, reference
from deploy.adapters.config.reference import Key, keys_of
from deploy.adapters.config.schema import EnvironmentForm, Form, ServiceForm

ROOT = next(
    folder for folder in Path(__file__).parents if (folder / "docs" / "secrets.md").is_file()
)
GENERATED = {
    "docs/service-toml.md": reference.service_page(),
    "docs/environment-files.md": reference.environment_page(),
    "docs/schemas/service.schema.json": reference.json_schema(ServiceForm, "service.toml"),
    "docs/schemas/environment.schema.json": reference.json_schema(
        EnvironmentForm, "environment file"
    ),
}
PAGES: dict[type[Form], str] = {
    ServiceForm: "docs/service-toml.md",
    EnvironmentForm: "docs/environment-files.md",
}


def every_key(
    form: type[Form], tables: tuple[str | int, ...] = ()
) -> Iterator[tuple[tuple[str | int, ...], Key]]:
    """Yields each key of a file with the path of its table, as problems name it."""
    for key in keys_of(form):
        yield tables, key
        if key.form is not None:
            kind = get_origin(key.annotation)
            inside = ("NAME",) if kind is dict else (0,) if kind is list else ()
            yield from every_key(key.form, (*tables, key.name, *inside))


KEYS = [(form, *found) for form in PAGES for found in every_key(form)]
IDS = [".".join(map(str, (*tables, key.name))) for _, tables, key in KEYS]


@pytest.mark.parametrize("path", GENERATED)
def test_file_is_generated_from_the_schema(path: str) -> None:
    """After a change of the schema: `make docs`."""
    assert (ROOT / path).read_text(encoding="utf-8") == GENERATED[path]


@pytest.mark.parametrize(("form", "tables", "key"), KEYS, ids=IDS)
def test_key_is_explained_and_its_example_is_accepted(
    form: type[Form], tables: tuple[str | int, ...], key: Key
) -> None:
    assert key.text.endswith((".", ".)")), "a text below the key"
    if key.form is not None and not key.example:
        return
    assert key.example, "an example"
    value: Any = tomllib.loads(f"{key.name} = {key.example}")
    for part in reversed(tables):
        value = [value] if part == 0 else {part: value}
    document = json.loads(json.dumps(value).replace('"NAME"', '"shop"'))
    path = ".".join(map(str, (*tables, key.name))).replace(".0", "[0]").replace("NAME", "shop")
    found = problems.parse(document, form)[1]
    assert [problem for problem in found if problem.startswith(f"{path}:")] == []


@pytest.mark.parametrize(("form", "tables", "key"), KEYS, ids=IDS)
def test_unknown_key_of_every_table_answers_with_a_heading_that_exists(
    form: type[Form], tables: tuple[str | int, ...], key: Key
) -> None:
    del key
    value: Any = {"zzz": 1}
    for part in reversed(tables):
        value = [value] if part == 0 else {part: value}
    document = json.loads(json.dumps(value).replace('"NAME"', '"shop"'))
    (problem,) = [each for each in problems.parse(document, form)[1] if "unknown key" in each]
    assert "unknown key, and there is no such feature; known are " in problem
    found = re.search(r"\((docs/[\w.-]+)#([\w.-]+)\)$", problem)
    assert found, problem
    headings = re.findall(r"^## (.+)$", GENERATED[found[1]], re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", each.lower()).replace(" ", "-") for each in headings}
    assert found[2] in anchors


def test_words_of_other_tools_answer_with_what_is_here() -> None:
    document = {"name": "app", "image": "a:b", "volumes": ["/data"], "ports": ["80:80"]}
    assert problems.parse(document, ServiceForm)[1] == [
        "volumes: unknown key: replicas are read-only but for /tmp, and keep nothing; there is no such feature",
        "ports: unknown key: `port` is where the application listens; only the edge is reachable from outside",
    ]


def test_pages_that_answers_name_have_what_they_name() -> None:
    for answer in problems.ELSEWHERE.values():
        for page, anchor in re.findall(r"(docs/[\w.-]+\.md)(?:#([\w-]+))?", answer):
            headings = re.findall(r"^## (.+)$", (ROOT / page).read_text(), re.MULTILINE)
            anchors = {re.sub(r"[^\w -]", "", each.lower()).replace(" ", "-") for each in headings}
            assert not anchor or anchor in anchors, answer


def test_schema_for_editors_has_the_limits_of_the_parser() -> None:
    schema = json.loads(GENERATED["docs/schemas/service.schema.json"])
    interval = schema["properties"]["health"]["properties"]["interval_s"]
    assert (interval["minimum"], interval["maximum"]) == (0.1, 3600)
    assert schema["required"] == ["name", "image"]
    assert schema["additionalProperties"] is False
    memory = schema["properties"]["memory"]["allOf"][0]["pattern"]
    assert re.search(memory, "256m")
    assert not re.search(memory, "256")
