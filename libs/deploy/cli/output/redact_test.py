"""A process that knows a secret writes it nowhere, in whatever way it writes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SENTINEL = "sentinel-7f3a9c"
PROGRAM = """
import json, logging, sys, warnings
from deploy.cli.output.redact import redact_output
from deploy.core.state.redaction import Redaction
from deploy.core.state.secrets import Secret
redaction = Redaction()
redact_output(redaction)
value = "sentinel" + "-7f3a9c"
redaction.know(Secret(value))
logging.basicConfig()
{way}
"""
WAYS = {
    "print": "print(value)",
    "json": "print(json.dumps({'why': value}))",
    "stderr": "print(value, file=sys.stderr)",
    "writelines": "sys.stderr.writelines([value])",
    "logging": "logging.error('it said %s', value)",
    "warning": "warnings.warn(value)",
    "traceback": "raise RuntimeError(value)",
    "exit": "sys.exit(value)",
}


def output_of(way: str) -> str:
    """Returns what a process writes that knows the secret and then runs the lines of `way`."""
    libs = str(Path(__file__).resolve().parents[3])
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(way=way)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([libs, *sys.path])},
        timeout=60,
    )
    return done.stdout + done.stderr


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_secret_is_redacted_in_every_kind_of_output(way: str) -> None:
    written = output_of(way)
    assert "***" in written
    assert SENTINEL not in written


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_control_characters_are_shown_as_text_in_every_kind_of_output(way: str) -> None:
    written = output_of("value = 'a' + chr(27) + '[2J' + chr(0x9b) + '31m'\n" + way)
    assert "[2J" in written
    assert not {"\x1b", "\x9b"} & set(written)


def test_what_the_process_draws_itself_keeps_its_control_sequences() -> None:
    drawn = output_of(
        "from deploy.cli.output.redact import draw\ndraw(sys.stderr, chr(27) + '[1m' + value)"
    )
    assert drawn == "\x1b[1m***"
