"""Parses TOML, and refuses text that takes far more memory, time or stack to parse than any real file does.

tomllib copies the prefixes of a dotted key, calls itself for each bracket, and lets Python refuse long integers.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from typing import Any

MAX_BYTES = 64 * 1024
"""The largest file that is read. A service with everything has about two kilobytes."""

MAX_DEPTH = 16
MAX_KEY_PARTS = 16
MAX_WORD = 256
"""The most characters of an unquoted word: a key, a number, a date."""

_BARE = re.compile("[A-Za-z0-9_-]+", re.ASCII)

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


def write_value(value: object) -> str:
    """Returns a value in TOML, on one line."""
    match value:
        case bool():
            return str(value).lower()
        case str():
            return _quoted(value)
        case float() if value.is_integer() and abs(value) < 1e15:
            return str(int(value))
        case Mapping():
            pairs = ", ".join(
                f"{write_key(key)} = {write_value(each)}" for key, each in value.items()
            )
            return f"{{{pairs}}}"
        case list() | tuple():
            return f"[{', '.join(map(write_value, value))}]"
        case _:
            return repr(value)


def write_key(key: str) -> str:
    """Returns a key in TOML, in quotes where it needs them."""
    return key if _BARE.fullmatch(key) else _quoted(key)


def _quoted(text: str) -> str:
    """Returns text in quotes. JSON's escapes are TOML's too; TOML also forbids DEL."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


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
