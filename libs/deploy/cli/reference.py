"""Lists all verbs by task: for `ship --help`, and as docs/cli.md (`./ship --reference`)."""

from __future__ import annotations

import argparse
import textwrap
from argparse import ArgumentParser
from collections.abc import Iterator, Mapping, Sequence

from deploy.cli.verb import Group, VerbEntry

WIDTH = 100
SHARED = ("--json", "--env", "--sandbox", "--events", "--verbose")
HEADER = """\
# Command line

<!-- Generated from the parsers by `make docs`; a test compares it with them. -->

`./ship` is the one entry: `./ship VERB --help` prints what stands here. Every verb takes these options, except that
`doctor`, `test` and `caches` have no environment and take only `--json`, and `lock` takes none of them:

- `--json`: one JSON document on stdout and nothing else there; messages go to stderr. It carries at least `ok`,
  `exit_code` and `error` (`type`, `message`, `hint`); a verb that streams prints one object a line.
- `--env NAME`: an environment of deploy/environments, or a path to an environment file (default: `sandbox`).
- `--sandbox NAME`: another sandbox than the default one.
- `--events FILE`: append each step to FILE as it happens, as JSON lines.
- `-v`, `--verbose`: show details, such as the statistics behind a verdict of the release gate.

Exit codes: 0 done, or nothing to do; 1 failed and reverted; 2 wrong usage or configuration; 3 locked by another
operation; 4 a person is needed.
"""


def overview(entries: Sequence[VerbEntry]) -> str:
    """Returns the verbs with a line each, grouped by task, for `ship --help`."""
    lines = []
    for group, found in _grouped(entries):
        lines += ["", f"{group.value}:"]
        for entry in found:
            lines += textwrap.wrap(
                entry.help,
                WIDTH,
                initial_indent=f"  {entry.name:<12} ",
                subsequent_indent=" " * 15,
            )
    return "\n".join(lines[1:])


def render(entries: Sequence[VerbEntry], parsers: Mapping[str, ArgumentParser]) -> str:
    """Returns docs/cli.md. `parsers` has the arguments of each verb."""
    sections = [HEADER]
    for group, found in _grouped(entries):
        sections.append(f"## {group.value.capitalize()}\n")
        sections += [_section(entry, parsers[entry.name]) for entry in found]
    return "\n".join(sections)


def _grouped(entries: Sequence[VerbEntry]) -> Iterator[tuple[Group, list[VerbEntry]]]:
    for group in Group:
        yield group, [entry for entry in entries if entry.group is group]


def _section(entry: VerbEntry, parser: ArgumentParser) -> str:
    sentence = entry.help[:1].upper() + entry.help[1:]
    lines = [f"### ship {entry.name}\n", f"{sentence.rstrip('.')}.\n"]
    arguments = [
        action
        for action in parser._actions  # noqa: SLF001 - argparse has no public list of them
        if action.help is not argparse.SUPPRESS
        and not {*SHARED, "--help"} & {*action.option_strings}
    ]
    if arguments:
        lines += ["| argument | what it does |", "|---|---|"]
        lines += [f"| `{_usage(action)}` | {_cell(action)} |" for action in arguments]
        lines.append("")
    return "\n".join([*lines, f"```sh\n./{entry.example}\n```\n"])


def _usage(action: argparse.Action) -> str:
    shown = action.metavar or (
        "{" + ",".join(map(str, action.choices)) + "}" if action.choices else action.dest.upper()
    )
    value = shown if isinstance(shown, str) else " ".join(shown)
    if not action.option_strings:
        return f"[{value}]" if action.nargs in ("?", "*") else value
    takes_value = action.nargs != 0
    return ", ".join(action.option_strings) + (f" {value}" if takes_value else "")


def _cell(action: argparse.Action) -> str:
    text = action.help or NAMES.get(action.dest, "")
    return text.replace("|", "\\|") + (
        " (required)" if action.option_strings and action.required else ""
    )


NAMES: Mapping[str, str] = {"service": "the service's name", "host": "the host's name"}
