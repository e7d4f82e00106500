"""What hosts record of a command that a person ran: by default its program and the names of its options.

Arguments can contain credentials that nobody knows to be some, such as `mysql -pPASSWORD`.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import PurePosixPath

from deploy.core.state.redaction import NAME
from deploy.core.state.secrets import MASK

LONGEST = 1000
"""How many characters of a command a ledger keeps."""

_SECRET_OPTION = re.compile(rf"--?{NAME}", re.IGNORECASE)
_OPTION = re.compile(r"(--[A-Za-z][A-Za-z0-9-]{0,63})(?:=.*)?|(-[A-Za-z]).*", re.DOTALL)
_PASSED_BY = {
    "redis-cli": "-a",
    "ldapsearch": "-w",
    "ldapmodify": "-w",
    "mongo": "-p",
    "mongosh": "-p",
    "mongodump": "-p",
    "sshpass": "-p",
    "htpasswd": "-b",
}
"""Options of programs whose next word is a password."""

_REPLACED = (
    # NAME=value, NAME: value, Authorization: Bearer value
    (
        re.compile(
            rf"({NAME}\s*[=:]\s*(?:(?:basic|bearer)\s+)?)(\"[^\"]*\"|'[^']*'|\S+)", re.IGNORECASE
        ),
        rf"\g<1>{MASK}",
    ),
    # https://user:password@host
    (re.compile(r"(\b[A-Za-z][A-Za-z0-9+.-]*://[^\s/?#:@]*:)[^\s/?#]*(?=@)"), rf"\g<1>{MASK}"),
    # curl -u user:password, also within a script
    (
        re.compile(r"((?<!\S)(?:-u|--user|--proxy-user)(?:\s+|=)?['\"]?[^\s:'\"]+:)[^\s'\"]+"),
        rf"\g<1>{MASK}",
    ),
    # mysql -pPASSWORD
    (re.compile(r"((?<!\S)-p)(?=[^\s-])[^\s]+"), rf"\g<1>{MASK}"),
)


def recorded_command(
    argv: Sequence[str], redact: Callable[[str], str], *, arguments: bool = False
) -> str:
    """Returns a command for the ledger: the program, the names of its options, and how many words are left out.

    With `arguments` it is the whole command, without known values and without what looks like a credential.
    """
    text = _whole(argv, redact) if arguments else _names(argv, redact)
    return text[:LONGEST]


def _names(argv: Sequence[str], redact: Callable[[str], str]) -> str:
    shown, left_out = [shlex.quote(redact(argv[0])[:200])], 0
    for before, word in pairwise(argv):
        option = None if _SECRET_OPTION.fullmatch(before) else _OPTION.fullmatch(word)
        name = (option[1] or option[2]) if option else ""
        is_safe = bool(name) and redact(name) == name
        shown += [name] if is_safe else []
        left_out += not is_safe or name != word
    if not left_out:
        return " ".join(shown)
    values = "1 value" if left_out == 1 else f"{left_out} values"
    return f"{' '.join(shown)} ({values} not recorded)"


def _whole(argv: Sequence[str], redact: Callable[[str], str]) -> str:
    passed_by = _PASSED_BY.get(PurePosixPath(argv[0]).name)
    shown: list[str] = []
    for before, word in pairwise(("", *argv)):
        if _SECRET_OPTION.fullmatch(before) or before == passed_by:
            shown.append(MASK)
            continue
        # Redact each word before quoting, which would change a value that contains quotes.
        text = redact(word)[:LONGEST]
        if before in ("-u", "--user", "--proxy-user") and ":" in text:
            text = f"{text.partition(':')[0]}:{MASK}"
        for pattern, replacement in _REPLACED:
            text = pattern.sub(replacement, text)
        shown.append(text)
    return shlex.join(shown)
