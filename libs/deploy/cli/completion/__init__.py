"""Completes command lines of `ship`: verbs, options, and the names of services, releases, hosts and environments.

The scripts for shells beside this module call `ship completion words -- WORD...`, so that all shells complete the same.
"""

from __future__ import annotations

from argparse import Action, ArgumentParser
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

SHELLS = ("bash", "zsh", "fish")
_RELEASES = {"release", "to"}
_HOSTS = {"host"}


@dataclass(frozen=True)
class Candidate:
    """A word that may come next, and what it means."""

    word: str
    help: str = ""


class Names(Protocol):
    """The names that complete arguments. What can't be read quickly has none."""

    def services(self) -> Iterable[str]: ...
    def environments(self) -> Iterable[str]: ...
    def sandboxes(self) -> Iterable[str]: ...

    def hosts(self) -> Iterable[str]:
        """The hosts of the environment that the command line names."""
        ...

    def releases(self, service: str | None) -> Iterable[str]:
        """The releases of a service in that environment, the newest first."""
        ...


def script(shell: str) -> str:
    """Returns the script that makes a shell complete `ship`."""
    return (Path(__file__).parent / f"ship.{shell}").read_text(encoding="utf-8")


def option_value(words: Sequence[str], option: str, default: str) -> str:
    """Returns the value that a command line gives an option."""
    for at, word in enumerate(words[:-1]):
        if word == option:
            return words[at + 1]
    return default


def candidates(
    words: Sequence[str],
    verbs: Mapping[str, str],
    parsers: Mapping[str, ArgumentParser],
    names: Names,
) -> list[Candidate]:
    """Returns what the last of `words` may become. They follow `ship`; the last one may be empty.

    `verbs` are the help texts by verb. No candidates mean that the shell completes files.
    """
    current = words[-1] if words else ""
    if len(words) <= 1:
        found = [Candidate(verb, text) for verb, text in verbs.items()]
    elif "--" in words[:-1] or (parser := parsers.get(words[0])) is None:
        found = []
    else:
        found = _arguments(words[1:-1], current, parser, names)
    return [each for each in found if each.word.startswith(current)]


def _arguments(
    before: Sequence[str], current: str, parser: ArgumentParser, names: Names
) -> list[Candidate]:
    actions = parser._actions  # noqa: SLF001 - argparse has no public list of them
    options = {option: action for action in actions for option in action.option_strings}
    given: list[str] = []
    expecting: Action | None = None
    for word in before:
        if expecting is not None:
            expecting = None
        elif word.startswith("-"):
            action = options.get(word)
            expecting = action if action is not None and action.nargs != 0 else None
        else:
            given.append(word)
    if expecting is not None:
        return _values(expecting, given, names)
    if current.startswith("-"):
        return [
            Candidate(option, action.help or "")
            for option, action in options.items()
            if option.startswith("--") and option not in before
        ]
    positional = [action for action in actions if not action.option_strings]
    if len(given) < len(positional):
        return _values(positional[len(given)], given, names)
    if positional and positional[-1].nargs == "*":
        return [each for each in _values(positional[-1], given, names) if each.word not in given]
    return []


def _values(action: Action, given: Sequence[str], names: Names) -> list[Candidate]:
    services = list(names.services())
    if action.choices:
        found: Iterable[str] = map(str, action.choices)
    elif action.dest == "service":
        found = services
    elif action.metavar == "SERVICE=N":
        found = [f"{service}=" for service in services]
    elif action.dest in _HOSTS:
        found = names.hosts()
    elif action.dest in _RELEASES:
        found = names.releases(next((word for word in given if word in services), None))
    elif "--env" in action.option_strings:
        found = names.environments()
    elif "--sandbox" in action.option_strings:
        found = names.sandboxes()
    else:
        found = ()
    return [Candidate(word) for word in found]
