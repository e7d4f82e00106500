"""The second line of defence: takes values that this process knows out of text that leaves it; never the first.

The first is that a `Secret` prints as ***. This is for what comes back from elsewhere, such as the last line of a
command that failed on a host.
"""

from __future__ import annotations

import base64
import json
import re
import shlex
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from urllib.parse import quote

from deploy.core.state.secrets import MASK, Secret

SHORTEST = 8
"""A shorter value is found in too much that is none of it (GitLab masks variables from the same length on).

https://docs.gitlab.com/ci/variables/#mask-a-cicd-variable
"""


LONGEST = 1000
"""Characters of a command that a record keeps."""

_NAME = r"[\w-]*(?:passw(?:or)?d|secret|token|api[-_]?key|credential|authorization)[\w-]*"
_OPTION = re.compile(rf"--?{_NAME}", re.IGNORECASE)
_VALUE = re.compile(
    rf"({_NAME}\s*[=:]\s*(?:(?:basic|bearer)\s+)?)(\"[^\"]*\"|'[^']*'|\S+)", re.IGNORECASE
)


class Redaction:
    """What may not leave. Text passes through `__call__` on its way out."""

    def __init__(self) -> None:
        self._known: set[str] = set()
        self._pattern: re.Pattern[str] | None = None

    def know(self, secret: Secret) -> None:
        """Adds a value in all the shapes that it takes in text."""
        shapes = {shape for shape in _shapes(secret.reveal()) if len(shape) >= SHORTEST}
        if not shapes <= self._known:
            self._known |= shapes
            longest_first = sorted(self._known, key=lambda shape: (-len(shape), shape))
            self._pattern = re.compile("|".join(map(re.escape, longest_first)))

    def __call__(self, text: str) -> str:
        """Returns the text with every known value replaced by ***."""
        pattern = self._pattern
        return pattern.sub(MASK, text) if pattern else text


def told_command(argv: Sequence[str], redact: Callable[[str], str], *, whole: bool = True) -> str:
    """Writes a command for a record that is kept: without values that are known, nor such as its words say are secret.

    Where values can't be known (not `whole`) it is the program's name alone.
    """
    if not whole:
        return f"{shlex.quote(redact(argv[0]))} ({len(argv) - 1} words more, not shown)"
    shown: list[str] = []
    for before, word in pairwise(("", *argv)):
        # Each word by itself: quoting would hide a value that has quotes in it.
        known = MASK if _OPTION.fullmatch(before) else redact(word)
        shown.append(_VALUE.sub(rf"\1{MASK}", known[:LONGEST]))
    return shlex.join(shown)[:LONGEST]


def _shapes(value: str) -> Iterator[str]:
    """The value itself, its lines (output comes line by line), and how JSON, URLs and HTTP logins write it."""
    yield from (value, value.strip(), *(line.strip() for line in value.splitlines()))
    for ascii_only in (True, False):
        yield json.dumps(value, ensure_ascii=ascii_only)[1:-1]
    yield repr(value)[1:-1]
    yield quote(value, safe="")
    yield base64.b64encode(value.encode()).decode().rstrip("=")
