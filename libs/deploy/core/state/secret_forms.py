"""The forms in which text can contain a secret's value: encoded, quoted, escaped, or a part of something encoded."""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Iterator
from urllib.parse import quote, quote_plus

SHORTEST = 8
"""Shorter values occur by chance in too much other text. GitLab masks variables from the same length on.

https://docs.gitlab.com/ci/variables/#mask-a-cicd-variable
"""

_PERCENT = re.compile("%[0-9A-F]{2}")


def forms_of(value: str) -> frozenset[str]:
    """Returns every form of a value that is long enough. Of a value with several lines, each line alone is one too."""
    forms = {
        form
        for text in {value, value.strip()}
        if len(text) >= SHORTEST and text.strip()
        for form in (*_as_text(text), *_as_bytes(text.encode(errors="surrogatepass")))
    }
    lines = (line.strip() for line in value.splitlines())
    return frozenset(form for form in (*forms, *lines) if len(form) >= SHORTEST)


def _as_text(value: str) -> Iterator[str]:
    yield value
    yield repr(value)[1:-1]
    for ascii_only in (True, False):
        inside = value
        for _ in range(3):  # a JSON document is often a text in another one
            inside = json.dumps(inside, ensure_ascii=ascii_only)[1:-1]
            yield inside
    for encode in (quote, quote_plus):
        for safe in ("", "/"):
            encoded = encode(value.encode(errors="surrogatepass"), safe=safe)
            yield encoded
            yield _PERCENT.sub(lambda found: found[0].lower(), encoded)
    yield html.escape(value)
    yield html.escape(value).replace("&quot;", "&#34;").replace("&#x27;", "&#39;")
    yield value.replace("'", "'\"'\"'")
    yield value.replace("'", "'\\''")
    yield value.replace("'", "''")
    yield value.replace("$", "$$")


def _as_bytes(value: bytes) -> Iterator[str]:
    for separator in ("", " ", ":", "\\x"):
        digits = value.hex(separator) if len(separator) == 1 else separator.join(_pairs(value))
        yield from (digits, digits.upper().replace("X", "x"))
    for alphabet in (base64.b64encode, base64.urlsafe_b64encode):
        yield alphabet(value).decode().rstrip("=")
        for before in range(3):
            # The value within other bytes: the characters that it alone decides.
            encoded = alphabet(bytes(before) + value).decode()
            yield encoded[-(-before * 8 // 6) : (before + len(value)) * 8 // 6]


def _pairs(value: bytes) -> Iterator[str]:
    return (f"{byte:02x}" for byte in value)
