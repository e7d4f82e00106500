"""`ship down`: removes everything that `up` made, and nothing else."""

from __future__ import annotations

from argparse import Namespace

from deploy.cli.output.console import Console
from deploy.cli.verb import Document, Verb
from deploy.cli.wiring import Wiring
from sandbox import state


def _run(arguments: Namespace, wiring: Wiring, console: Console) -> Document:
    from sandbox import lifecycle  # imports Docker's SDK, which only `up` and `down` need

    known = state.path(arguments.sandbox) is not None
    with console.doing(f"removing the sandbox {arguments.sandbox}"):
        lifecycle.destroy(arguments.sandbox, console.say)
    stopped = wiring.stop_engine_if_ours() if not state.names() else False
    return {"sandbox": arguments.sandbox, "removed": known, "engine_stopped": stopped}


def _show(document: Document) -> str:
    return f"sandbox {document['sandbox']}: " + (
        "removed" if document["removed"] else "does not exist"
    )


VERB = Verb(_run, show=_show)
