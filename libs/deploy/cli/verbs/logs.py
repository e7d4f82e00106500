"""`ship logs SERVICE`: the logs of all replicas."""

from __future__ import annotations

import json
import re
from argparse import ArgumentParser, Namespace

from deploy.cli.output.console import Console
from deploy.cli.verb import Document, Verb
from deploy.cli.wiring import Wiring
from deploy.errors import UsageError
from deploy.run.queries.logs import LogLine, logs


def _add(parser: ArgumentParser) -> None:
    parser.add_argument("service")
    parser.add_argument("-f", "--follow", action="store_true", help="keep printing new lines")
    parser.add_argument(
        "--since",
        default="10m",
        metavar="T",
        help="how far back: 90s, 10m, 2h, or a time (default: 10m)",
    )
    parser.add_argument("--grep", default="", metavar="RE", help="only lines that match")


def _run(arguments: Namespace, wiring: Wiring, console: Console) -> Document:
    wiring.settings.service(arguments.service)
    try:
        pattern = re.compile(arguments.grep)
    except re.error as error:
        raise UsageError(
            f"--grep: {arguments.grep!r} is not a regular expression: {error}"
        ) from error
    count = 0
    for line in logs(
        wiring.connections.hosts(),
        arguments.service,
        since=arguments.since,
        follow=arguments.follow,
    ):
        if pattern.search(line.text):
            count += 1
            print(_text(line, as_json=arguments.json), flush=True)
    return {"service": arguments.service, "lines": count}


def _text(line: LogLine, *, as_json: bool) -> str:
    if as_json:
        return json.dumps({"host": line.host, "replica": line.replica, "line": line.text})
    return f"{line.host} {line.replica} | {line.text}"


VERB = Verb(_run, _add)
