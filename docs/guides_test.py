"""The pages for users: their commands are commands of the tool, and the messages that they explain are its own."""

from __future__ import annotations

import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.adapters.config.problems import parse
from deploy.adapters.config.schema import EnvironmentForm, HostForm, ServiceForm, TasksForm
from deploy.cli.main import ALL_VERBS, parser
from deploy.cli.wiring import set_up

GUIDES = ("add-your-service", "coming-from", "hosts", "migrations", "troubleshooting")
ROOT = next(
    folder for folder in Path(__file__).parents if (folder / "docs" / f"{GUIDES[0]}.md").is_file()
)
SH_BLOCK = re.compile(r"^( *)```sh\n(.*?)^\1```", re.MULTILINE | re.DOTALL)
TOML_BLOCK = re.compile(r"^( *)```toml\n(.*?)^\1```", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`(\./ship [^`]+)`")
MESSAGE = re.compile(r"`([^`]+)`")
VALUES = {"HOST": "web-1", "ID": "r000001-3f9c2ab", "SERVICE": "app", "REF@DIGEST": "app@sha256:0"}
"""A value for each placeholder of the commands."""


def read(guide: str) -> str:
    return (ROOT / "docs" / f"{guide}.md").read_text(encoding="utf-8")


def commands() -> Iterator[object]:
    """Yields (guide, words) of each `./ship` command, in blocks and in the text."""
    for guide in GUIDES:
        text = read(guide)
        lines = [line.strip() for _, block in SH_BLOCK.findall(text) for line in block.splitlines()]
        found = [line for line in lines if line.startswith("./ship ")] + INLINE.findall(text)
        for line in dict.fromkeys(found):
            words = [VALUES.get(word, word) for word in shlex.split(line)[1:]]
            yield pytest.param(words, id=f"{guide}: {' '.join(words)}")


@pytest.mark.parametrize("words", list(commands()))
def test_command_of_a_guide_is_one_of_the_tool(words: list[str]) -> None:
    verb, *arguments = words
    toolchain = set_up.parsers()
    assert verb in {entry.name for entry in ALL_VERBS}
    if verb in toolchain:
        toolchain[verb].parse_args(arguments)
    else:
        parser().parse_args(words)


def messages() -> Iterator[str]:
    """Yields the fragments of messages in the first column of the tables of troubleshooting."""
    for row in re.findall(r"^\| (`[^|]+) \|", read("troubleshooting"), re.MULTILINE):
        yield from MESSAGE.findall(row)


@pytest.mark.parametrize("message", list(messages()))
def test_message_that_is_explained_is_one_of_the_tools(message: str) -> None:
    sources = (
        file.read_text(encoding="utf-8")
        for library in ("deploy", "telemetry")
        for file in (ROOT / "libs" / library).rglob("*.py")
        if not file.name.endswith("_test.py")
    )
    assert any(message in re.sub(r'"\n\s+f?"', "", source) for source in sources)


@pytest.mark.parametrize("guide", GUIDES)
def test_settings_in_a_guide_are_valid(guide: str) -> None:
    for _, block in TOML_BLOCK.findall(read(guide)):
        document = tomllib.loads(block)
        if "image" in document:
            assert parse(document, ServiceForm)[1] == []
        elif "tasks" in document:
            assert parse(document["tasks"], TasksForm)[1] == []
        else:
            assert document.keys() <= EnvironmentForm.model_fields.keys()
            assert [parse(host, HostForm)[1] for host in document["hosts"]] == [[]]
