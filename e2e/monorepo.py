"""Test data: a clone of the checkout with three more services and two libraries.

`one` and `two` share the library `left`; `three` uses neither library. Each service builds, serves and has a journey.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from e2e.live_sandbox import Clone

LOCK = "3rdparty/python/default.lock"
KNOWN_GREETINGS = ("hello", "good day", "good evening")

BUILD = """\
python_sources(sources=["__init__.py", "web.py"], dependencies=[":page"])

resource(name="page", source="page.html")

file(name="service", source="service.toml")

files(name="journeys", sources=["journeys_test.py"])

python_tests(name="tests", sources=["web_test.py"])

SERVED = ["./web.py", "libs/telemetry/gunicorn_conf.py", "3rdparty/python:requirements#gunicorn"]

pex_binary(name="deps", dependencies=SERVED, include_sources=False, include_tools=True)

pex_binary(name="srcs", dependencies=SERVED, include_requirements=False, include_tools=True)

docker_image(
    name="image",
    repository="py-cicd/NAME",
    image_tags=["packaged"],
    dependencies=[":deps", ":srcs", "deploy/base:python", "libs/pex_layers:program"],
)
"""
DOCKERFILE = """\
ARG PYTHON_BASE
FROM ${PYTHON_BASE} AS deps
USER 0:0
WORKDIR /build
COPY libs/pex_layers pex_layers
COPY services.NAME/deps.pex ./
RUN ["python3", "-m", "pex_layers", "deps", "deps.pex", "/opt/app", "7"]

FROM ${PYTHON_BASE} AS srcs
USER 0:0
WORKDIR /build
COPY libs/pex_layers pex_layers
COPY services.NAME/srcs.pex ./
RUN ["python3", "-m", "pex_layers", "srcs", "srcs.pex", "/opt/app", "4", "NAME"]

FROM ${PYTHON_BASE}
COPY --from=deps /out/1/ /
COPY --from=deps /out/2/ /
COPY --from=deps /out/3/ /
COPY --from=deps /out/4/ /
COPY --from=deps /out/5/ /
COPY --from=deps /out/6/ /
COPY --from=deps /out/7/ /
COPY --from=srcs /out/1/ /
COPY --from=srcs /out/2/ /
COPY --from=srcs /out/3/ /
COPY --from=srcs /out/4/ /
ENV PATH=/opt/app/bin:/usr/local/bin:/usr/bin:/bin
EXPOSE 8080 9100
STOPSIGNAL SIGTERM
CMD ["gunicorn", "-c", "python:telemetry.gunicorn_conf", "NAME.web:create_app()"]
"""
WEB = """\
from flask import Flask

from telemetry import instrument
IMPORTS

def greet() -> str:
    return GREETING


def create_app() -> Flask:
    app = Flask("NAME")
    app.get("/")(greet)
    instrument(app)
    return app
"""
WEB_TEST = """\
from NAME.web import greet


def test_greeting_is_not_empty() -> None:
    assert greet()
"""
JOURNEYS = """\
import os
from urllib.request import Request, urlopen


def test_candidate_release_greets_visitors() -> None:
    request = Request(os.environ["SHIP_E2E_URL"], headers={"Host": "NAME.test"})
    with urlopen(request, timeout=10) as answer:
        assert answer.headers["X-Release"] == os.environ["SHIP_E2E_RELEASE"]
        assert answer.read().decode() in GREETINGS
"""
SERVICE = """\
name = "NAME"
image = "services/NAME:image"
journeys = "services/NAME/journeys_test.py"
memory = "128m"

[route]
host = "NAME.test"

[health]
successes = 1
min_healthy_s = 0.5
drain_s = 2

[rollout]
watch_s = 1
"""


def service(name: str, greeting: str, *imports: str) -> Mapping[str, str]:
    """Returns the files of a service that builds and serves, with a test, a page and a journey."""
    folder = f"services/{name}"
    lines = "".join(f"{line}\n" for line in imports)
    web = WEB.replace("GREETING", greeting).replace("IMPORTS", lines)
    texts = {
        "BUILD": BUILD,
        "__init__.py": "",
        "web.py": web,
        "web_test.py": WEB_TEST,
        "page.html": "<p>",
        "Dockerfile": DOCKERFILE,
        "service.toml": SERVICE,
        "journeys_test.py": JOURNEYS.replace("GREETINGS", repr(KNOWN_GREETINGS)),
    }
    return {f"{folder}/{file}": text.replace("NAME", name) for file, text in texts.items()}


FIXTURE = {
    "libs/left/BUILD": "python_sources()\n",
    "libs/left/__init__.py": "",
    "libs/left/greeting.py": 'GREETING = "hello"\n',
    "libs/right/BUILD": "python_sources()\n",
    "libs/right/__init__.py": "",
    "libs/right/parting.py": 'PARTING = "bye"\n',
    **service("one", "GREETING", "from left.greeting import GREETING"),
    **service(
        "two",
        "GREETING",
        "from left.greeting import GREETING",
        "from right.parting import PARTING",
        "",
        "LAST = PARTING",
    ),
    **service("three", '"hello" if psutil.cpu_count() else ""', "import psutil"),
}


@dataclass(frozen=True)
class Monorepo:
    """A clone of the checkout that gets the three services by a commit of FIXTURE."""

    clone: Clone

    def commit(self, files: Mapping[str, str | None]) -> None:
        """Writes files (None removes one) and commits them."""
        for name, text in files.items():
            path = self.clone.root / name
            if text is None:
                path.unlink()
            else:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
        self.clone.commit(", ".join(files))

    def read(self, name: str) -> str:
        return (self.clone.root / name).read_text()

    def affected(self, base: str = "HEAD~1") -> dict[str, Any]:
        """Returns the document of `ship affected` for the changes since `base`, without kept graphs."""
        return self.selection(base, CI="true")[0]

    def selection(self, base: str, **variables: str) -> tuple[dict[str, Any], str]:
        """Returns the document of `ship affected` and its messages, as on a person's machine without variables."""
        argv = [str(self.clone.root / "ship"), "affected", "--base", base, "--json"]
        environ = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith("PYTHON") and name != "CI"
        }
        done = subprocess.run(
            argv,
            cwd=self.clone.root,
            env=environ | variables,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        document: dict[str, Any] = json.loads(done.stdout)
        assert document["mode"] == "changed", document["reason"]
        return document, done.stderr

    def stop_daemon(self) -> None:
        """Stops the Pants daemon of this clone, which would outlive it."""
        for file in self.clone.root.glob(".pids/*/pantsd/pid"):
            with suppress(ProcessLookupError):
                os.kill(int(file.read_text()), signal.SIGTERM)
