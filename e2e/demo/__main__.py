"""`python -m e2e.demo SANDBOX [--keep] [--record FILE]`: what `ship demo` runs. Prints JSON at the end."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser
from pathlib import Path
from tempfile import TemporaryDirectory

from e2e.demo.recording import render
from e2e.demo.screen import Screen
from e2e.demo.story import Told, tell
from e2e.live_sandbox import LiveSandbox, checkout, terminated_as_interrupt
from e2e.ship import Ship

TITLE = "ship demo: a deploy under load, a crash, a slow release, a killed replica, a rollback"


def brief(text: str) -> str:
    """Returns the line of a failure's text that says what failed. The rest was shown while it happened."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    return (errors or lines or ["unknown"])[0]


def main() -> int:
    """Tells the story on a sandbox of its own. Returns 1 if it didn't go as told."""
    parser = ArgumentParser()
    parser.add_argument("sandbox")
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("--record", default="")
    arguments = parser.parse_args()
    screen = Screen()
    with TemporaryDirectory(prefix="py-cicd-demo-") as folder, terminated_as_interrupt():
        sandbox = LiveSandbox(Ship(checkout(), arguments.sandbox, Path(folder, "logs")))
        try:
            told, problem = tell(sandbox, Path(folder), screen), ""
        except AssertionError as error:
            told, problem = Told(screen.seconds), brief(str(error))
        finally:
            if not arguments.keep:
                sandbox.ship("down")
    if arguments.record and not problem:
        Path(arguments.record).write_text(render(screen.lines, TITLE), encoding="utf-8")
    print(json.dumps({**told.document(), "problem": problem or None}))
    return 1 if problem else 0


if __name__ == "__main__":
    sys.exit(main())
