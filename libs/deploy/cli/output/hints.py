"""Adds --env and --sandbox to the commands that a message suggests.

Errors name the next command without them, because the code that raises them doesn't know the options of this call.
"""

from __future__ import annotations

import re
import shlex
from argparse import Namespace
from collections.abc import Collection

_COMMAND = re.compile(r"\./ship (?P<verb>[a-z0-9]+)(?P<rest>(?:(?!\./ship ).)*)", re.DOTALL)
_SANDBOX_ONLY = {"up", "down"}
_DEFAULT = "sandbox"


def complete(text: str, arguments: Namespace, verbs: Collection[str]) -> str:
    """Adds this call's --env and --sandbox to each `./ship VERB` in `text` that has none of its own.

    They follow the verb directly, because the end of a command within a sentence can't be found.
    """

    def one(found: re.Match[str]) -> str:
        verb, rest = found["verb"], found["rest"]
        if verb not in verbs:
            return found[0]
        named = {"--env": arguments.env, "--sandbox": arguments.sandbox}
        if verb in _SANDBOX_ONLY:
            del named["--env"]
        words = [
            f" {option} {shlex.quote(value)}"
            for option, value in named.items()
            if value != _DEFAULT and option not in rest.split()
        ]
        return f"./ship {verb}{''.join(words)}{rest}"

    return _COMMAND.sub(one, text)
