"""Completion of command lines, with the parsers of all verbs, and in a real bash."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable
from pathlib import Path

import pytest

from deploy.cli.completion import SHELLS, candidates, option_value, script
from deploy.cli.main import ALL_VERBS, verb_parsers


class Known:
    """The names of a project with two services."""

    def services(self) -> Iterable[str]:
        return ("app", "shop")

    def environments(self) -> Iterable[str]:
        return ("production", "sandbox", "staging")

    def sandboxes(self) -> Iterable[str]:
        return ("blue", "sandbox")

    def hosts(self) -> Iterable[str]:
        return ("web-1", "web-2")

    def releases(self, service: str | None) -> Iterable[str]:
        return (f"r000002-{service}", f"r000001-{service}")


def complete(line: str) -> list[str]:
    """Returns the candidates for the last word of a command line after `ship`."""
    verbs = {entry.name: entry.help for entry in ALL_VERBS}
    return [each.word for each in candidates(line.split(" "), verbs, verb_parsers(), Known())]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("pu", ["publish"]),
        ("ro", ["rollback"]),
        ("deploy ", ["app", "shop"]),
        ("deploy s", ["shop"]),
        ("deploy --env st", ["staging"]),
        ("deploy --env staging ", ["app", "shop"]),
        ("up --sandbox ", ["blue", "sandbox"]),
        ("rollback shop --to ", ["r000002-shop", "r000001-shop"]),
        ("promote --release ", ["r000002-None", "r000001-None"]),
        ("promote app --rel", ["--release"]),
        ("deploy --hold --ho", []),
        ("host ", ["bootstrap", "check", "repair"]),
        ("host check web-", ["web-1", "web-2"]),
        ("scale a", ["app="]),
        ("maintenance o", ["on", "off"]),
        ("build app ", ["shop"]),
        ("completion z", ["zsh"]),
        ("test --only int", ["integration"]),
        ("exec app -- ", []),
        ("deploy app --image ", []),
        ("nonsense ", []),
    ],
)
def test_words_complete_by_what_the_verb_takes(line: str, expected: list[str]) -> None:
    assert complete(line) == expected


def test_every_verb_completes_with_its_help() -> None:
    assert complete("") == [entry.name for entry in ALL_VERBS]


def test_the_environment_of_the_line_is_the_one_whose_names_are_read() -> None:
    words = ["host", "check", "--env", "staging", ""]
    assert option_value(words, "--env", "sandbox") == "staging"
    assert option_value(["deploy", "--env"], "--env", "sandbox") == "sandbox"


@pytest.mark.parametrize("shell", SHELLS)
def test_each_shell_has_a_script_that_calls_this(shell: str) -> None:
    assert "completion words -- " in script(shell)


def test_bash_completes_with_the_script(tmp_path: Path) -> None:
    program = tmp_path / "ship"
    program.write_text(
        '#!/bin/sh\n[ "$*" = "completion words -- rollback a" ] && printf "app\\thelp\\nabc\\t\\n"\n'
    )
    program.chmod(0o755)
    test = (
        f"{script('bash')}\ncompopt() {{ :; }}\n"
        f"COMP_WORDS=({program} rollback a) COMP_CWORD=2\n_ship\nprintf '%s\\n' \"${{COMPREPLY[@]}}\""
    )
    done = subprocess.run(["bash", "-euc", test], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["app", "abc"]
