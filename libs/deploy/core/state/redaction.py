"""Removes the values of known secrets from text that leaves the process.

This is the second line of defence. The first is that a `Secret` prints as ***; redaction is for text that comes from
elsewhere, such as the last line of a command that failed on a host.
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
"""Shorter values occur by chance in too much other text. GitLab masks variables from the same length on.

https://docs.gitlab.com/ci/variables/#mask-a-cicd-variable
"""


LONGEST = 1000
"""How many characters of a command a ledger keeps."""

_NAME = r"[\w-]*(?:passw(?:or)?d|secret|token|api[-_]?key|credential|authorization)[\w-]*"
_OPTION = re.compile(rf"--?{_NAME}", re.IGNORECASE)
_VALUE = re.compile(
    rf"({_NAME}\s*[=:]\s*(?:(?:basic|bearer)\s+)?)(\"[^\"]*\"|'[^']*'|\S+)", re.IGNORECASE
)


class Redaction:
    """The values that must not leave the process. Call it with a text to get the text without them."""

    def __init__(self) -> None:
        self._known: set[str] = set()
        self._pattern: re.Pattern[str] | None = None

    def know(self, secret: Secret) -> None:
        """Adds a value, in all the forms in which text may contain it."""
        forms = {form for form in _forms(secret.reveal()) if len(form) >= SHORTEST}
        if not forms <= self._known:
            self._known |= forms
            longest_first = sorted(self._known, key=lambda form: (-len(form), form))
            self._pattern = re.compile("|".join(map(re.escape, longest_first)))

    def __call__(self, text: str) -> str:
        """Returns the text with every known value replaced by ***."""
        pattern = self._pattern
        return pattern.sub(MASK, text) if pattern else text


def redacted_command(
    argv: Sequence[str], redact: Callable[[str], str], *, whole: bool = True
) -> str:
    """Returns a command for the ledger, without known values and without values of options such as `--password`.

    With `whole` False it is the program's name alone, for when the secrets could not be read.
    """
    if not whole:
        return f"{shlex.quote(redact(argv[0]))} ({len(argv) - 1} words more, not shown)"
    shown: list[str] = []
    for before, word in pairwise(("", *argv)):
        # Redact each word before quoting, which would change a value that contains quotes.
        known = MASK if _OPTION.fullmatch(before) else redact(word)
        shown.append(_VALUE.sub(rf"\1{MASK}", known[:LONGEST]))
    return shlex.join(shown)[:LONGEST]


def _forms(value: str) -> Iterator[str]:
    """Yields the value, each of its lines (output comes line by line), and its form in JSON, URLs and HTTP logins."""
    yield from (value, value.strip(), *(line.strip() for line in value.splitlines()))
    for ascii_only in (True, False):
        yield json.dumps(value, ensure_ascii=ascii_only)[1:-1]
    yield repr(value)[1:-1]
    yield quote(value, safe="")
    yield base64.b64encode(value.encode()).decode().rstrip("=")
