"""What is wrong with a replica that waiting doesn't help. docs/add-your-service.md has what one must answer.

One that crashes, or answers 503 until it is ready, isn't judged here.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from deploy.core.commands.sockets import Listener
from deploy.core.ports import Answer

CERTAIN_AFTER_S = 5.0
"""How long a replica must have been wrong in the same way: it may add routes and ports while it starts."""

SILENT_AFTER_S = 2.0
"""After which time without any answer to look at what listens instead. Most replicas answer sooner."""

PAGE = "docs/add-your-service.md"


@dataclass
class Certainty:
    """Tells when a replica has been wrong in the same way for CERTAIN_AFTER_S."""

    _wrong: str = ""
    _since_s: float = 0.0

    def reached(self, wrong: str, now_s: float) -> bool:
        """Takes what is wrong now, "" if nothing is. Times are on the monotonic clock."""
        if wrong != self._wrong:
            self._wrong, self._since_s = wrong, now_s
        return bool(wrong) and now_s - self._since_s >= CERTAIN_AFTER_S


def wrong_answer(answer: Answer, path: str) -> str:
    """Returns what is wrong with an answer to the health check that waiting doesn't help, "" for any other."""
    asked = f"its health check, GET {path}"
    match answer.status:
        case 404 | 405 | 410 | 501:
            return (
                f"answers {answer.status} to {asked}: call telemetry.instrument(app) after the last route, "
                f"or name a page that it has in [health] path of service.toml ({PAGE})"
            )
        case 301 | 302 | 303 | 307 | 308:
            where = answer.headers.get("location", "another page")
            return f"redirects {asked}, to {where}: only the status 200 counts as healthy ({PAGE})"
        case 400 | 401 | 403:
            return (
                f"refuses {asked}, with {answer.status}: it comes without a login and by the replica's address "
                f"instead of a host name ({PAGE})"
            )
        case _:
            return ""


def wrong_port(listeners: Sequence[Listener], port: int, metrics_port: int) -> str:
    """Returns what is wrong with the ports that listen in a replica, "" if its own does or none."""
    others = [each for each in listeners if each.port != metrics_port]
    own = [each for each in others if each.port == port]
    if any(not each.is_private for each in own) or not others:
        return ""
    if own:
        return (
            f"listens on {own[0]} only, where the edge can't reach it: bind 0.0.0.0:{port}, as "
            f"`gunicorn -c python:telemetry.gunicorn_conf` does ({PAGE})"
        )
    return (
        f"listens on {', '.join(map(str, others))}, and not on port {port} of service.toml: bind "
        f"0.0.0.0:$PORT, as `gunicorn -c python:telemetry.gunicorn_conf` does, or set `port` ({PAGE})"
    )


def wrong_version(answer: Answer, path: str) -> str:
    """Returns what is wrong with an answer to `/version`, "" if it names a release or may do so soon."""
    if answer.status == 0 or answer.status >= 500:
        return ""
    try:
        document = json.loads(answer.body) if answer.status == 200 else None
    except ValueError:
        document = None
    if isinstance(document, dict) and "release" in document:
        return ""
    status = "no JSON with its release" if answer.status == 200 else str(answer.status)
    return (
        f"is healthy but answers {status} to GET {path}, by which the deploy recognises it: call "
        f"telemetry.instrument(app) after the last route ({PAGE})"
    )
