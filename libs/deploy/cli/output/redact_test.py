"""A process that knows a secret writes it nowhere, in whatever way it writes."""

from __future__ import annotations

import base64
import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.cli.output.redact import RedactedStream
from deploy.core.state.redaction import Redaction
from deploy.core.state.secrets import Secret

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
    "two writes": "sys.stdout.write(value[:9]); sys.stdout.write(value[9:])",
    "a flush between": "print(value[:9], end='', flush=True); print(value[9:])",
    "one character at a time": "[print(char, end='', flush=True) for char in value]",
    "two lines": "print('it said ' + value[:9], flush=True); print('  ' + value[9:], flush=True)",
    "base64 in a document": "import base64; print(base64.b64encode(b'ab' + value.encode() + b'c').decode(), '***')",
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
    assert SENTINEL not in "".join(written.split())
    assert base64.b64encode(SENTINEL.encode()).decode()[4:-4] not in written


def test_line_appears_when_it_is_flushed_and_the_rest_at_the_end() -> None:
    inner = io.StringIO()
    redaction = Redaction()
    redaction.know(Secret(SENTINEL))
    stream = RedactedStream(inner, redaction)
    stream.write("one\ntwo")
    assert inner.getvalue() == "one\n"
    stream.flush()
    assert inner.getvalue() == "one\ntwo"
    stream.write(" sentinel-")
    stream.flush()
    assert inner.getvalue() == "one\ntwo "
    stream.finish()
    assert inner.getvalue() == "one\ntwo sentinel-"


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_control_characters_are_shown_as_text_in_every_kind_of_output(way: str) -> None:
    written = output_of("value = 'a' + chr(27) + '[2J' + chr(0x9b) + '31m'\n" + way)
    assert "[2J" in "".join(written.split()) or "base64" in way
    assert not {"\x1b", "\x9b"} & set(written)


def test_what_the_process_draws_itself_keeps_its_control_sequences() -> None:
    drawn = output_of(
        "from deploy.cli.output.redact import draw\ndraw(sys.stderr, chr(27) + '[1m' + value)"
    )
    assert drawn == "\x1b[1m***"
