"""Test apps, served under the real gunicorn."""

import gc
import os
import time
from collections.abc import Iterator
from pathlib import Path

from flask import Flask

from telemetry import instrument


def make_app() -> Flask:
    """Returns an instrumented app. `/slow` answers once the file named by ANSWER_WHEN exists, and until then
    `/stream` sends a chunk every 50 ms. `/collector` answers with the state of the garbage collector."""
    app = Flask("shop")

    @app.get("/item/<int:number>")
    def item(number: int) -> str:
        return f"item {number}"

    @app.get("/slow")
    def slow() -> str:
        awaited = Path(os.environ["ANSWER_WHEN"])
        deadline = time.monotonic() + 20
        while not awaited.exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        return "done"

    @app.get("/stream")
    def stream() -> Iterator[bytes]:
        ends = Path(os.environ["ANSWER_WHEN"])
        deadline = time.monotonic() + 20
        while not ends.exists() and time.monotonic() < deadline:
            yield b"chunk"
            time.sleep(0.05)

    @app.get("/collector")
    def collector() -> dict[str, object]:
        return {"enabled": gc.isenabled(), "frozen": gc.get_freeze_count()}

    instrument(app)
    return app


def make_bare_app() -> Flask:
    """Returns an app without telemetry."""
    return Flask("bare")
