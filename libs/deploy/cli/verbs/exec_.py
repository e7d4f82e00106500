"""`ship exec SERVICE -- CMD`: runs a command in all replicas. The hosts record it."""

from __future__ import annotations

import json
from argparse import ArgumentParser, Namespace

from deploy.cli.output.console import Console
from deploy.cli.verb import Document, Verb
from deploy.cli.wiring import Wiring
from deploy.core.state.recorded_commands import recorded_command
from deploy.run.queries.logs import (
    ExecCommand,
    ExitCode,
    LogLine,
    Output,
    execute,
)


def _add(parser: ArgumentParser) -> None:
    parser.add_argument("service")
    parser.add_argument("--replica", default="", metavar="NAME", help="only this replica")
    parser.add_argument(
        "--record-arguments",
        action="store_true",
        help="the hosts record the whole command, without known secrets (default: program and names of options)",
    )
    parser.add_argument("command", nargs="+", metavar="CMD", help="what to run, after --")


def _run(arguments: Namespace, wiring: Wiring, console: Console) -> Document:
    service = wiring.settings.service(arguments.service)
    unknown = wiring.secrets.learn(service.name, service.secrets)
    if arguments.record_arguments and unknown:
        console.say(f"the hosts don't record the command's arguments, because {unknown}")
    caller = wiring.commands.origin("")
    command = ExecCommand(
        service.name,
        tuple(arguments.command),
        recorded_command(
            arguments.command,
            wiring.redaction,
            arguments=arguments.record_arguments and not unknown,
        ),
        caller.who,
        caller.when,
        arguments.replica or None,
        wiring.commands.pipeline,
    )
    codes: list[ExitCode] = []
    for output in execute(wiring.connections.hosts(), command):
        if isinstance(output, ExitCode):
            codes.append(output)
        if arguments.json or isinstance(output, LogLine):
            print(_text(output, as_json=arguments.json), flush=True)
    failed = [code for code in codes if code.code]
    for code in failed:
        console.say(f"{code.host}: {code.replica}: exit code {code.code}")
    worst = max((code.code for code in codes), default=0)
    return {
        "ok": worst == 0,
        "exit_code": worst,
        "service": arguments.service,
        "replicas": len(codes),
        "failed": len(failed),
    }


def _text(output: Output, *, as_json: bool) -> str:
    where = {"host": output.host, "replica": output.replica}
    match output:
        case LogLine(text=text):
            return json.dumps({**where, "line": text}) if as_json else _line(output)
        case ExitCode(code=code):
            return json.dumps({**where, "exit_code": code})


def _line(line: LogLine) -> str:
    return f"{line.host} {line.replica} | {line.text}"


VERB = Verb(_run, _add)
