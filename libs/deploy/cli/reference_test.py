"""docs/cli.md and `ship --help` list every verb."""

from __future__ import annotations

from pathlib import Path

from deploy.cli.main import ALL_VERBS, parser, reference
from deploy.cli.verb import Group
from deploy.cli.verbs import VERBS

ROOT = next(folder for folder in Path(__file__).parents if (folder / "docs" / "cli.md").is_file())


def test_the_page_is_generated_from_the_parsers() -> None:
    """After a change of the command line: `make docs`."""
    assert (ROOT / "docs" / "cli.md").read_text() == reference()


def test_help_lists_every_verb_below_its_task() -> None:
    text = parser().format_help()
    tasks = [text.index(f"\n{group.value}:\n") for group in Group]
    assert tasks == sorted(tasks)
    for entry in ALL_VERBS:
        begin = tasks[list(Group).index(entry.group)]
        assert f"\n  {entry.name} " in text[begin:], entry.name


def test_every_verb_has_an_example_that_its_parser_takes() -> None:
    top = parser()
    for entry in VERBS:
        words = entry.example.split()
        assert words[:2] == ["ship", entry.name]
        assert top.parse_args(words[1:]).found is entry.load()
