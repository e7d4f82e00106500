"""Writes JSON that every YAML parser reads as the same document.

JSON is YAML (https://yaml.org/spec/1.2.2/#12-yaml-history) but for two details. YAML knows no surrogates, so an emoji
must stand as itself; and YAML refuses or folds some characters that JSON lets stand in a string.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence

type Plain = str | int | float | bool | Sequence[Plain] | Mapping[str, Plain] | None

_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")
_ESCAPED = re.compile("[\x7f-\uffff]")


def write_yaml(document: Mapping[str, object] | Sequence[object], *, indent: int | None = 2) -> str:
    """Returns the text of a document, as JSON. Raises ValueError for NUL, which no reader of these files accepts."""
    text = json.dumps(document, indent=indent, ensure_ascii=False)
    if _NUL.search(text):
        raise ValueError("contains NUL")
    return _ESCAPED.sub(lambda found: f"\\u{ord(found[0]):04x}", text) + "\n"
