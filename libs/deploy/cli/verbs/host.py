"""`ship host bootstrap HOST`, `check HOST` and `repair HOST`: sets up a bare server, lists what is missing on it, or
puts damaged records right.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Iterable
from typing import Any

from deploy.cli.output.console import Console
from deploy.cli.verb import Document, Verb
from deploy.cli.wiring import Wiring, files
from deploy.core.bootstrap import settings
from deploy.core.state.ledger import BOOTSTRAP, Entry
from deploy.errors import HostAuthError
from deploy.run.bootstrap import CheckedSetting, Server, check, describe, make, record
from deploy.run.repair import repair


def _add(parser: ArgumentParser) -> None:
    parser.add_argument("what", choices=("bootstrap", "check", "repair"))
    parser.add_argument("host", help="its name in the environment file")
    parser.add_argument(
        "--user",
        default="root",
        help="login on the server: root, or a user with sudo (default: root)",
    )
    parser.add_argument(
        "--key",
        default="",
        metavar="FILE",
        help="private key for that login (default: the environment's ssh_key)",
    )
    parser.add_argument(
        "--docker-source",
        default="",
        metavar="LINE",
        help="Docker's apt repository as 'deb URL SUITE stable', if the distribution's engine is too old",
    )
    parser.add_argument(
        "--docker-key", default="", metavar="FILE", help="the key of that repository"
    )


def _run(arguments: Namespace, wiring: Wiring, console: Console) -> Document:
    config = wiring.settings.host_config(arguments.host)
    if arguments.what == "repair":
        return _repair(arguments.host, wiring, console)
    source = files.docker_source(arguments.docker_source, arguments.docker_key)
    server = Server(
        wiring.connections.host_as(config, arguments.user, arguments.key), arguments.user != "root"
    )
    try:
        facts = describe(server)
    except HostAuthError as error:
        login = "name a login that works there with --user and --key"
        raise HostAuthError(error.message, hint=login) from error
    wanted = settings(
        wiring.settings.environment(),
        config,
        facts,
        key=wiring.connections.deploy_key(),
        docker=source,
    )
    changes = arguments.what == "bootstrap"
    found = make(server, wanted, wiring.clock) if changes else check(server, wanted)
    points: list[CheckedSetting] = []
    try:
        points.extend(_reported(found, console))
    finally:  # record what was changed, even if a later setting failed
        _record(server, config.user, points, wiring, console)
    missing = [point for point in points if point.problem is not None and not point.changed]
    return {
        "ok": not missing,
        "exit_code": 1 if missing else 0,
        "host": arguments.host,
        "system": f"{facts.distribution} {facts.version}",
        "changed": sum(point.changed for point in points),
        "missing": len(missing),
        "points": [_document(point) for point in points],
    }


def _repair(name: str, wiring: Wiring, console: Console) -> Document:
    done = repair(
        next(host for host in wiring.connections.hosts() if host.name == name),
        wiring.settings.environment().edge,
        who=wiring.commands.origin("").who,
        pipeline=wiring.commands.pipeline,
        clock=wiring.clock,
        say=console.say,
    )
    return {"host": name, "repaired": list(done)}


def _record(
    server: Server, user: str, points: Iterable[CheckedSetting], wiring: Wiring, console: Console
) -> None:
    changed = ", ".join(point.name for point in points if point.changed)
    if not changed:
        return
    caller = wiring.commands.origin("")
    entry = Entry(
        turn=0,
        when=caller.when,
        who=caller.who,
        verb=BOOTSTRAP,
        service="",
        release="",
        sequence=0,
        event="effect",
        pipeline=wiring.commands.pipeline,
        what=changed,
    )
    if why := record(server, user, entry):
        console.say(f"the host's ledger could not be written: {why}")


def _reported(points: Iterable[CheckedSetting], console: Console) -> Iterable[CheckedSetting]:
    for point in points:
        word = "changed" if point.changed else "missing" if point.problem else "found"
        console.say(f"{word:8} {point.name}{f' ({point.problem})' if point.problem else ''}")
        yield point


def _document(point: CheckedSetting) -> dict[str, Any]:
    return {
        "name": point.name,
        "right": point.problem is None or point.changed,
        "changed": point.changed,
        "why": point.problem,
    }


def _show(document: Document) -> str:
    if "repaired" in document:
        done = "; ".join(document["repaired"]) or "its records are whole, nothing to do"
        return f"{document['host']}: {done}"
    host = f"{document['host']} ({document['system']})"
    if document["missing"]:
        missing = f"{document['missing']} of {len(document['points'])} checks failed"
        return f"{host}: {missing}; next: ./ship host bootstrap {document['host']}"
    if document["changed"]:
        return f"{host}: ready, {document['changed']} settings were changed"
    return f"{host}: ready, nothing to do"


VERB = Verb(_run, _add, _show)
