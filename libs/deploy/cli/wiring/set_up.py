"""The argument parsers of the verbs that the toolchain runs, for docs/cli.md."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Mapping

from toolchain import caches, doctor, locks, test_verb


def parsers() -> Mapping[str, ArgumentParser]:
    """Returns the parsers by verb."""
    return {
        "doctor": doctor.parser(),
        "test": test_verb.parser(),
        "lock": locks.parser(),
        "caches": caches.parser(),
    }
