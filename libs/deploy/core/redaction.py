"""The second line of defence: takes values that this process knows out of text that leaves it; never the first.

The first is that a `Secret` prints as ***. This is for what comes back from elsewhere, such as the last line of a
command that failed on a host.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from urllib.parse import quote

from deploy.core.secret import MASK, Secret

SHORTEST = 8
"""A shorter value is found in too much that is none of it (GitLab masks variables from the same length on).

https://docs.gitlab.com/ci/variables/#mask-a-cicd-variable
"""


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


def _shapes(value: str) -> Iterator[str]:
    """The value itself, its lines (output comes line by line), and how JSON, URLs and HTTP logins write it."""
    yield from (value, value.strip(), *(line.strip() for line in value.splitlines()))
    for ascii_only in (True, False):
        yield json.dumps(value, ensure_ascii=ascii_only)[1:-1]
    yield repr(value)[1:-1]
    yield quote(value, safe="")
    yield base64.b64encode(value.encode()).decode().rstrip("=")
