"""Parses TOML, and refuses text that takes far more memory, time or stack to parse than any real file does.

tomllib copies the prefixes of a dotted key, calls itself for each bracket, and lets Python refuse long integers.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from typing import Any

MAX_BYTES = 64 * 1024
"""The largest file that is read. A service with everything has about two kilobytes."""

MAX_DEPTH = 16
MAX_KEY_PARTS = 16
MAX_WORD = 256
"""The most characters of an unquoted word: a key, a number, a date."""

# A text without an end reaches to the end of the file or line, so that nothing is read twice.
_TOKEN = re.compile(
    r"""
    \#[^\n]*+
    | \"{3}(?:\\.|[^\\"]|"(?!""))*+(?:"{3,5})? | '{3}(?:[^']|'(?!''))*+(?:'{3,5})?
    | "(?:\\[^\n]|[^"\\\n])*+"? | '[^'\n]*+'?
    | (?P<word>[^\s\#"'\[\]{}=,.]++)
    | (?P<mark>[\[\]{}=,.\n])
    """,
    re.VERBOSE | re.DOTALL,
)


class TomlError(ValueError):
    """A file has no TOML that can be read; the text says why and where."""


def parse_toml(source: bytes) -> dict[str, Any]:
    """Returns the document in a file's bytes. Raises TomlError."""
    if len(source) > MAX_BYTES:
        raise TomlError(f"is larger than {MAX_BYTES // 1024} KB")
    try:
        text = source.decode()
    except UnicodeDecodeError as error:
        raise TomlError(f"is not UTF-8 text (at byte {error.start})") from error
    for problem in _problems(text):
        raise TomlError(problem)
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise TomlError(f"is not TOML: {error}") from error


def _problems(text: str) -> Iterator[str]:
    """Yields why a text must not be parsed, each with its line. Whether it is TOML, the parser decides."""
    depth, parts, line, at = 0, 1, 1, 0
    for token in _TOKEN.finditer(text):
        line += text.count("\n", at, token.start())
        at = token.start()
        match token.lastgroup, token[0]:
            case "word", word if len(word) > MAX_WORD:
                yield f"line {line}: a number or key of {len(word)} characters; at most {MAX_WORD} are read"
            case "mark", "[" | "{":
                depth, parts = depth + 1, 1
                if depth > MAX_DEPTH:
                    yield f"line {line}: more than {MAX_DEPTH} brackets inside each other"
            case "mark", "]" | "}":
                depth, parts = max(depth - 1, 0), 1
            case "mark", ".":
                parts += 1
                if parts > MAX_KEY_PARTS:
                    yield f"line {line}: a dotted key of more than {MAX_KEY_PARTS} parts"
            case "mark", _:
                parts = 1
            case _:
                pass
