"""`ship report SERVICE [RELEASE]`: one page about a deploy. `ship dora SERVICE`: the four keys of DORA."""

from __future__ import annotations

import base64
from argparse import ArgumentParser, Namespace
from dataclasses import asdict, replace

from deploy import __version__
from deploy.cli.output.console import Console
from deploy.cli.verb import Document, Verb
from deploy.cli.wiring import Wiring, files
from deploy.core.reports.page import page_of
from deploy.core.reports.release_diff import Commit
from deploy.run.queries.report import gather


def _add(parser: ArgumentParser) -> None:
    parser.add_argument("service")
    parser.add_argument("release", nargs="?", default="", help="default: the last deploy")
    parser.add_argument("--out", default="", metavar="FILE", help="default: dist/report.html")


def _run(arguments: Namespace, wiring: Wiring, console: Console) -> Document:
    wiring.settings.service(arguments.service)
    known = gather(
        wiring.connections.hosts(),
        arguments.service,
        arguments.release or None,
        made_at=wiring.clock.now(),
        tool_version=__version__,
    )
    log = known.report.log
    since = known.previous_revision
    commits = wiring.checkout.commits(since, log.revision) if since else []
    shots = files.shots(log.service) if log.outcome == "live" else []
    report = replace(
        known.report,
        commits=tuple(Commit(*each) for each in commits),
        shots=tuple(
            (name, f"data:image/png;base64,{base64.b64encode(content).decode()}")
            for name, content in shots
        ),
    )
    path = files.put(arguments.out, wiring.render_page(page_of(report)))
    return {
        "service": log.service,
        "release": log.release,
        "outcome": log.outcome,
        "report": str(path),
        "verdicts": [
            {"stage": stage, "outcome": verdict.outcome, "why": verdict.why}
            for stage, verdict in report.verdicts
        ],
    }


def _show(document: Document) -> str:
    return f"{document['service']}: {document['release']} was {document['outcome']}: {document['report']}"


def _add_dora(parser: ArgumentParser) -> None:
    parser.add_argument("service")
    parser.add_argument("--days", type=float, default=30.0, metavar="N", help="default: 30")
    parser.add_argument(
        "--push", action="store_true", help="also send them to the Pushgateway, as each deploy does"
    )


def _dora(arguments: Namespace, wiring: Wiring, console: Console) -> Document:
    name = wiring.settings.service(arguments.service).name
    keys = wiring.keys(name, arguments.days)
    environment = wiring.settings.environment().name
    if arguments.push:
        wiring.exports.push_keys(name, environment, keys)
    return {
        "service": name,
        "environment": environment,
        **asdict(keys),
        "deploys_per_day": keys.deploys_per_day,
        "failure_share": keys.failure_share,
    }


def _show_dora(document: Document) -> str:
    lead, restore = document["lead_time_s"], document["restore_s"]
    return "\n".join(
        (
            f"deploys           {document['deploys_per_day']:.2f} a day, {document['deploys']} in all",
            f"lead time         {_long(lead)} from commit to live",
            f"change failures   {document['failure_share']:.1%}",
            f"time to restore   {_long(restore)}",
        )
    )


def _long(seconds: float | None) -> str:
    if seconds is None:
        return "nothing to measure"
    for size, unit in ((86400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} seconds"


VERB = Verb(_run, _add, _show)
DORA = Verb(_dora, _add_dora, _show_dora)
