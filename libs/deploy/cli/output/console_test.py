"""What a person sees of a rollout: a table on a terminal, plain lines elsewhere, and what Ctrl-C leaves."""

from __future__ import annotations

import os
import subprocess
import sys
import termios
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from deploy.testing.terminal import Screen

PROGRAM = Path(__file__).with_name("console_fixture.py")


@dataclass(frozen=True)
class Seen:
    """What a program left on its terminal, and its exit code."""

    raw: str
    code: int
    columns: int

    @property
    def screen(self) -> Screen:
        return Screen(self.columns).feed(self.raw)

    def rows(self) -> list[list[str]]:
        """The words of the table's lines, at the end of the screen."""
        lines = self.screen.text
        head = max(n for n, line in enumerate(lines) if line.startswith("host  "))
        return [line.split() for line in lines[head + 1 :] if line.startswith("host-")]


def roll(
    *arguments: str,
    columns: int = 200,
    rows: int = 24,
    environ: Mapping[str, str] | None = None,
) -> Seen:
    """Runs the program on a terminal of its own; presses Ctrl-C where it asks for it."""
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
    said = b""
    with os.fdopen(master, "r+b", buffering=0) as terminal:
        while True:
            try:
                piece = terminal.read(65536)
            except OSError:  # Linux says so when the last one has closed its end
                piece = b""
            if not piece:
                break
            if b"press Ctrl-C" in piece and b"press Ctrl-C" not in said:
                terminal.write(b"\x03")
            said += piece
    return Seen(said.decode().replace("\r\n", "\n"), program.wait(60), columns)


def test_a_rollout_is_a_table_with_a_row_a_host_and_lines_of_log_above() -> None:
    seen = roll("host-1", "host-2", "host-3")
    assert seen.code == 0
    rows = seen.rows()
    assert [row[:2] for row in rows] == [[f"host-{n}", "done"] for n in (1, 2, 3)]
    assert all(row[2].split("/")[0] == row[2].split("/")[1] != "0" for row in rows)
    text = seen.screen.text
    assert "plan: " in text[0]
    assert text[-1] == "app: it is live"
    assert [line.split()[0] for line in text[-5:-1]] == ["host", "host-1", "host-2", "host-3"]
    assert "no user requests" in "".join(text[1:-5]), "what hosts said is above the table"
    assert len([line for line in text if line.startswith("host  ")]) == 1


def test_a_narrow_terminal_breaks_no_line() -> None:
    seen = roll("host-1", "host-2", columns=24)
    assert [row[:2] for row in seen.rows()] == [["host-1", "done"], ["host-2", "done"]]
    table = [line for line in seen.screen.text if line.startswith("host")]
    assert len(table) == 3


def test_more_hosts_than_rows_are_counted() -> None:
    seen = roll(*(f"host-{number:02d}" for number in range(12)), rows=8)
    assert seen.screen.text[-2] == "and 7 more: 7 done"
    assert len(seen.rows()) == 5


def test_a_failure_is_told_above_and_the_table_shows_every_host_taken_back() -> None:
    seen = roll("host-1", "host-2", "--fail")
    assert seen.code == 1
    assert [row[:3] for row in seen.rows()] == [[f"host-{n}", "taken", "back"] for n in (1, 2)]
    told = "\n".join(seen.screen.text)
    assert "host-2: StartReplicas" in told
    assert "failed after" in told
    assert "error: r000002-3f9c2ab was taken back" in told


def test_ctrl_c_leaves_the_table_whole_and_the_cursor_below_it() -> None:
    seen = roll("host-1", "host-2", "--interrupt")
    assert seen.code == 1
    assert [row[:3] for row in seen.rows()] == [[f"host-{n}", "taken", "back"] for n in (1, 2)]
    screen = seen.screen
    assert len([line for line in screen.text if line.startswith("host  ")]) == 1
    assert seen.raw.count("outcome") > 1, "it was drawn in place"
    assert "interrupted" in screen.text[-1]
    assert (screen.column, screen.hidden) == (0, False)
    assert seen.raw.rstrip().endswith(screen.text[-1]), "the colour was left on"


@pytest.mark.parametrize("environ", [{"NO_COLOR": "1"}, {"CI": "true"}, {"TERM": "dumb"}])
def test_plain_lines_name_their_host_and_have_no_control_sequence(environ: dict[str, str]) -> None:
    seen = roll("host-1", "host-2", columns=500, environ=environ)
    assert seen.code == 0
    assert "\x1b" not in seen.raw
    lines = seen.raw.splitlines()
    steps = [line for line in lines if "] " in line]
    assert len(steps) > 20
    assert all("] host-1: " in line or "] host-2: " in line for line in steps)


def test_a_pipe_gets_plain_lines() -> None:
    program = [sys.executable, str(PROGRAM), "host-1", "--fail"]
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(program, capture_output=True, text=True, env=environ, check=False)
    assert done.returncode == 1
    assert "\x1b" not in done.stderr
    assert "] host-1: StartReplicas" in done.stderr
