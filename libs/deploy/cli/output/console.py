"""Shows progress on stderr: what is being done, how far it is and how long it takes.

On a terminal a rollout is a table with a row per host that is updated in place, and log lines above it. CI, a pipe and
NO_COLOR get plain lines, each with the time and the host.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TextIO

from deploy.cli.output.live import Live
from deploy.cli.output.redact import draw
from deploy.cli.output.table import Board, render
from deploy.core.planning.steps import Step, describe, name_of
from deploy.core.planning.waits import asked_wait
from deploy.core.printable import printable
from deploy.run.rollout.events import (
    Event,
    Listener,
    Message,
    PhaseBegun,
    PlanMade,
    StepBegun,
    StepDone,
    StepFailed,
)

BOLD, RED = "1", "31"


def _stderr() -> TextIO:
    return sys.stderr


@dataclass
class Console:
    """Writes lines or a table to `stream`, and collects for the JSON document the steps and the waits among them.

    `first_listener` gets every event before the console does. `verbose` shows details too. `terminal` enables colours
    and the table. `redact` removes secrets before the table cuts a line.
    """

    terminal: bool = False
    verbose: bool = False
    redact: Callable[[str], str] = str
    steps: list[dict[str, object]] = field(default_factory=list)
    first_listener: Listener = lambda event: None
    stream: TextIO = field(default_factory=_stderr)
    _waits: dict[tuple[str, str], float] = field(default_factory=dict)
    _begun: float = field(default_factory=time.monotonic)
    _lock: threading.RLock = field(default_factory=threading.RLock)
    _phase: str = ""
    _board: Board | None = None
    _live: Live | None = None

    @classmethod
    def for_stream(cls, environ: Mapping[str, str], redact: Callable[[str], str] = str) -> Console:
        """Returns a console for stderr that respects NO_COLOR, CI, TERM=dumb and a pipe."""
        plain = "NO_COLOR" in environ or "CI" in environ or environ.get("TERM") == "dumb"
        return cls(terminal=not plain and sys.stderr.isatty(), redact=redact)

    def say(self, text: str, colour: str = "") -> None:
        """Writes one line with the seconds since the start. `colour` is a code of ANSI's SGR."""
        with self._lock:
            elapsed_s = time.monotonic() - self._begun
            begin = self._paint("2", f"{elapsed_s:6.1f} s")
            line = f"{begin}  {self._paint(colour, printable(text))}"
            if self._live is not None:
                self._live.say(line)
            else:
                draw(self.stream, f"{line}\n")

    @contextmanager
    def doing(self, what: str, *, usually: str = "") -> Iterator[None]:
        """Writes what begins and how long it usually takes, then how long it took."""
        self.say(f"{what} ..." + (f" (usually {usually})" if usually else ""))
        begun = time.monotonic()
        yield
        self.say(f"{what}: done in {time.monotonic() - begun:.1f} s")

    def on_event(self, event: Event) -> None:
        """Shows one event of a rollout."""
        self.first_listener(event)
        match event:
            case Message(detail=True) if not self.verbose:
                pass
            case Message(host=host, text=text):
                complete = host is None or text.startswith(f"{host}: ")
                self.say(text if complete else f"{host}: {text}")
            case PlanMade(plan=plan, reverting=reverting):
                what = "revert" if reverting else "plan"
                hosts = len({step.host for step in plan.steps})
                self.say(f"{what}: {len(plan.steps)} steps on {hosts} host(s)", BOLD)
            case PhaseBegun(name=name, number=number, of=of):
                self._phase = f"[{number}/{of} {name}]"
            case StepBegun():
                pass
            case StepDone(step=step, seconds=seconds):
                self._collect(step, seconds, "done")
                if self._live is None:
                    self.say(f"{self._phase} {describe(step)}: {seconds:.1f} s")
            case StepFailed(step=step, seconds=seconds, error=error):
                self._collect(step, seconds, "failed")
                # The details, on further lines, come once: with the error at the end.
                head = str(error).partition("\n")[0]
                text = f"{self._phase} {describe(step)}: failed after {seconds:.1f} s: {head}"
                self.say(text, RED)
        if self.terminal:
            self._show(event)

    @property
    def waits(self) -> dict[str, float]:
        """The seconds that settings asked for, by kind. Hosts wait side by side: the longest wait of a phase counts."""
        found: dict[str, float] = {}
        for (_, kind), seconds in self._waits.items():
            found[kind] = round(found.get(kind, 0.0) + seconds, 3)
        return found

    def close(self) -> None:
        """Ends the table; later lines follow below it."""
        with self._lock:
            live, self._live = self._live, None
            if live is not None:
                live.stop()

    def _show(self, event: Event) -> None:
        with self._lock:
            if isinstance(event, PlanMade) and not event.reverting:
                self.close()
                self._board = Board(self.redact)
            if (board := self._board) is None:
                return
            board.on_event(event, time.monotonic())
            if isinstance(event, PlanMade) and self._live is None:
                self._live = Live(
                    self.stream,
                    lambda width, height: render(
                        board.rows(time.monotonic()), width=width, height=height
                    ),
                )
            elif self._live is not None and board.finished:
                self.close()
            elif self._live is not None:
                self._live.wake()

    def _collect(self, step: Step, seconds: float, outcome: str) -> None:
        if wait := asked_wait(step, seconds):
            kind, waited_s = wait
            longest_s = self._waits.get((self._phase, kind), 0.0)
            self._waits[self._phase, kind] = max(longest_s, waited_s)
        self.steps.append(
            {
                "host": step.host,
                "step": name_of(step),
                "because": step.because or "",
                "seconds": round(seconds, 3),
                "outcome": outcome,
            }
        )

    def _paint(self, code: str, text: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self.terminal and code else text
