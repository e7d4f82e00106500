"""`ship deploy SERVICE`: rolls out a release to all hosts."""

from __future__ import annotations

from argparse import SUPPRESS, ArgumentParser, ArgumentTypeError, Namespace
from dataclasses import replace

from deploy.cli.output.console import Console
from deploy.cli.verb import Document, Verb
from deploy.cli.verbs import confirm
from deploy.cli.verbs.outcome import add_wait, add_wait_drained, finished, show
from deploy.cli.wiring import Wiring
from deploy.core.planning.admission import require_canary_analysis
from deploy.errors import UsageError
from deploy.run.hosts.locking import refuse_if_locked
from deploy.run.rollout.deploy import deploy


def _add(parser: ArgumentParser) -> None:
    parser.add_argument("service")
    parser.add_argument(
        "--image",
        metavar="REF@DIGEST",
        help="a published image (default: build this checkout)",
    )
    parser.add_argument("--replicas", type=int, metavar="N", help="replicas on each host")
    parser.add_argument(
        "--dotenv",
        metavar="FILE",
        help="write the resulting release to FILE, for later jobs of a GitLab pipeline",
    )
    parser.add_argument(
        "--hold",
        action="store_true",
        help="stop before the switch: the candidate answers on the preview route only",
    )
    add_wait(parser)
    add_wait_drained(parser)
    parser.add_argument(
        "--confirm",
        action="store_true",
        help=SUPPRESS,  # the former spelling of `ship confirm`
    )
    parser.add_argument(
        "--canary",
        type=_percent,
        default=0,
        metavar="P%",
        help="send this share of the requests to it first, and continue if the gate passes",
    )
    parser.add_argument("--why", default="", metavar="TEXT", help="a reason for the record")


def _run(arguments: Namespace, wiring: Wiring, console: Console) -> Document:
    if arguments.confirm:
        if arguments.hold or not arguments.image:
            raise UsageError(
                "--confirm needs --image and excludes --hold; nothing was changed",
                hint=f"./ship confirm {arguments.service} --image REF@DIGEST",
            )
        console.say(
            "`ship deploy --confirm` is now `ship confirm`; this form ends with the next version"
        )
        return confirm.run(arguments, wiring, console)
    service = wiring.settings.service(arguments.service)
    require_canary_analysis(service, arguments.canary)
    context = wiring.context()
    if not arguments.image and not arguments.wait:
        refuse_if_locked(context.hosts)  # before a build that takes minutes
    command = wiring.commands.requested(
        arguments.service, arguments.image, arguments.replicas, why=arguments.why
    )
    command = replace(
        command, hold=arguments.hold, canary=arguments.canary, options=_options(arguments)
    )
    result = deploy(
        command,
        context,
        console.on_event,
        wait=arguments.wait,
        complete=lambda command: wiring.commands.complete(command, published=not arguments.image),
    )
    return finished(result, arguments, context, console)


def _options(arguments: Namespace) -> tuple[str, ...]:
    """Returns the options that a repetition of this command needs."""
    given = {
        "--image": arguments.image,
        "--replicas": arguments.replicas,
        "--canary": f"{arguments.canary}%" if arguments.canary else None,
    }
    words = [word for name, value in given.items() if value for word in (name, str(value))]
    return (*words, *(["--hold"] if arguments.hold else []))


def _percent(text: str) -> int:
    number = text.removesuffix("%")
    if not number.isdigit() or not 1 <= int(number) <= 99:
        raise ArgumentTypeError("must be from 1% to 99%")
    return int(number)


VERB = Verb(_run, _add, show)
