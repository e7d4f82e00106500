"""What a rollout shows: a table on a terminal, plain lines elsewhere, and what is left after Ctrl-C."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import termios
from collections.abc import Mapping
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

import pytest

from deploy.cli.output.console import RED, Console
from deploy.run.rollout.events import Message
from deploy.testing.terminal import Screen

PROGRAM = Path(__file__).with_name("console_fixture.py")


@dataclass(frozen=True)
class Session:
    """What a program wrote to its terminal, and its exit code."""

    raw: str
    code: int
    columns: int

    @property
    def screen(self) -> Screen:
        return Screen(self.columns).feed(self.raw)

    def rows(self) -> list[list[str]]:
        """Returns the words of the table's rows, at the end of the screen."""
        lines = self.screen.text
        head = max(n for n, line in enumerate(lines) if line.startswith("host  "))
        return [line.split() for line in lines[head + 1 :] if line.startswith("host-")]


def roll_out(
    *arguments: str,
    columns: int = 200,
    rows: int = 24,
    environ: Mapping[str, str] | None = None,
) -> Session:
    """Runs the program on a terminal of its own; presses Ctrl-C when the program prints so."""
    master, slave = os.openpty()
    termios.tcsetwinsize(slave, (rows, columns))
    plain = {name: value for name, value in os.environ.items() if name not in ("CI", "NO_COLOR")}
    program = subprocess.Popen(
        [sys.executable, str(PROGRAM), *arguments],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
        env={**plain, "TERM": "xterm", "PYTHONPATH": os.pathsep.join(sys.path), **(environ or {})},
    )
    os.close(slave)
    output = b""
    with os.fdopen(master, "r+b", buffering=0) as terminal:
        while True:
            try:
                piece = terminal.read(65536)
            except OSError:  # Linux raises this once the last process has closed its end
                piece = b""
            if not piece:
                break
            if b"press Ctrl-C" in piece and b"press Ctrl-C" not in output:
                terminal.write(b"\x03")
            output += piece
    return Session(output.decode().replace("\r\n", "\n"), program.wait(60), columns)


def test_rollout_is_a_table_with_a_row_per_host_and_log_lines_above() -> None:
    session = roll_out("host-1", "host-2", "host-3")
    assert session.code == 0
    rows = session.rows()
    assert [row[:2] for row in rows] == [[f"host-{n}", "done"] for n in (1, 2, 3)]
    assert all(row[2].split("/")[0] == row[2].split("/")[1] != "0" for row in rows)
    text = session.screen.text
    assert "plan: " in text[0]
    assert text[-1] == "app: it is live"
    assert [line.split()[0] for line in text[-5:-1]] == ["host", "host-1", "host-2", "host-3"]
    assert "no user requests" in "".join(text[1:-5]), "messages of hosts are above the table"
    assert len([line for line in text if line.startswith("host  ")]) == 1


def test_no_line_breaks_on_a_narrow_terminal() -> None:
    session = roll_out("host-1", "host-2", columns=24)
    assert [row[:2] for row in session.rows()] == [["host-1", "done"], ["host-2", "done"]]
    table = [line for line in session.screen.text if line.startswith("host")]
    assert len(table) == 3


def test_more_hosts_than_rows_are_counted() -> None:
    session = roll_out(*(f"host-{number:02d}" for number in range(12)), rows=8)
    assert session.screen.text[-2] == "and 7 more: 7 done"
    assert len(session.rows()) == 5


def test_failure_is_shown_above_and_the_table_shows_every_host_reverted() -> None:
    session = roll_out("host-1", "host-2", "--fail")
    assert session.code == 1
    assert [row[:2] for row in session.rows()] == [[f"host-{n}", "reverted"] for n in (1, 2)]
    text = "\n".join(session.screen.text)
    assert "host-2: start 3 replicas of app r000002-3f9c2ab" in text
    assert "failed after" in text
    assert "error: rolled back to r000001-3f9c2ab" in text


def test_ctrl_c_leaves_a_complete_table_and_the_cursor_below_it() -> None:
    session = roll_out("host-1", "host-2", "--interrupt")
    assert session.code == 1
    assert [row[:2] for row in session.rows()] == [[f"host-{n}", "reverted"] for n in (1, 2)]
    screen = session.screen
    assert len([line for line in screen.text if line.startswith("host  ")]) == 1
    assert session.raw.count("status") > 1, "it was drawn in place"
    assert "interrupted" in screen.text[-1]
    assert (screen.column, screen.hidden) == (0, False)
    assert session.raw.rstrip().endswith(screen.text[-1]), "the colour was left on"


@pytest.mark.parametrize("environ", [{"NO_COLOR": "1"}, {"CI": "true"}, {"TERM": "dumb"}])
def test_plain_lines_name_their_host_and_have_no_control_sequences(environ: dict[str, str]) -> None:
    session = roll_out("host-1", "host-2", columns=500, environ=environ)
    assert session.code == 0
    assert "\x1b" not in session.raw
    lines = session.raw.splitlines()
    steps = [line for line in lines if "] " in line]
    assert len(steps) > 20
    assert all("] host-1: " in line or "] host-2: " in line for line in steps)


@pytest.mark.parametrize("verbose", [False, True])
def test_details_are_shown_only_if_verbose(*, verbose: bool) -> None:
    stream = StringIO()
    console = Console(verbose=verbose, stream=stream)
    console.on_event(Message(None, "statistics of errors: p 1e-05", detail=True))
    assert ("p 1e-05" in stream.getvalue()) is verbose


def test_pipe_gets_plain_lines() -> None:
    program = [sys.executable, str(PROGRAM), "host-1", "--fail"]
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(program, capture_output=True, text=True, env=environ, check=False)
    assert done.returncode == 1
    assert "\x1b" not in done.stderr
    assert "] host-1: start 3 replicas of app" in done.stderr
    details = [line for line in done.stderr.splitlines() if line.startswith("  log: ")]
    assert len(details) == len(set(details)), "they are shown once, with the error"


@pytest.mark.parametrize("terminal", [True, False])
def test_control_characters_of_a_host_are_shown_as_text(terminal: bool) -> None:
    stream = io.StringIO()
    Console(terminal=terminal, stream=stream).say("web-1: \x1b[2J\x9b31mall is well", RED)
    written = stream.getvalue()
    assert "\\x1b[2J\\x9b31mall is well" in written
    assert ("\x1b[31m" in written) is terminal, "the console's own colour"
