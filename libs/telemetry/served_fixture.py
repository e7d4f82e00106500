"""Apps that the tests serve under gunicorn; nothing that ships imports them."""

import os
import time
from pathlib import Path

from flask import Flask

from telemetry import instrument


def make_app() -> Flask:
    """Served by the tests below; `/held` answers when the file that HELD names is there."""
    app = Flask("shop")

    @app.get("/item/<int:number>")
    def item(number: int) -> str:
        return f"item {number}"

    @app.get("/held")
    def held() -> str:
        gate = Path(os.environ["HELD"])
        deadline = time.monotonic() + 20
        while not gate.exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        return "let go"

    instrument(app)
    return app


def make_bare_app() -> Flask:
    return Flask("bare")
