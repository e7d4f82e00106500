"""Lets the commands in a text go to the environment that was named; never writes a command itself.

Errors say the next command without it: what raises them doesn't know by which name the environment was called.
"""

from __future__ import annotations

import re
import shlex
from argparse import Namespace
from collections.abc import Collection

_COMMAND = re.compile(r"\./ship (?P<verb>[a-z0-9]+)(?P<rest>(?:(?!\./ship ).)*)", re.DOTALL)
_SANDBOX_ONLY = {"up", "down"}
_DEFAULT = "sandbox"


def complete(text: str, asked: Namespace, verbs: Collection[str]) -> str:
    """Adds the --env and --sandbox of this call to each `./ship VERB` of these verbs that doesn't say its own.

    They follow the verb, since only a reader knows where in a sentence a command ends.
    """

    def one(found: re.Match[str]) -> str:
        verb, rest = found["verb"], found["rest"]
        if verb not in verbs:
            return found[0]
        named = {"--env": asked.env, "--sandbox": asked.sandbox}
        if verb in _SANDBOX_ONLY:
            del named["--env"]
        words = [
            f" {option} {shlex.quote(value)}"
            for option, value in named.items()
            if value != _DEFAULT and option not in rest.split()
        ]
        return f"./ship {verb}{''.join(words)}{rest}"

    return _COMMAND.sub(one, text)
