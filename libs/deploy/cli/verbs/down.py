"""`ship down`: removes everything that `up` made, and nothing else. Says what it keeps, and why."""

from __future__ import annotations

from argparse import Namespace

from deploy.cli.output.console import Console
from deploy.cli.verb import Document, Verb
from deploy.cli.wiring import Wiring
from sandbox import state


def _run(arguments: Namespace, wiring: Wiring, console: Console) -> Document:
    from sandbox import lifecycle  # imports Docker's SDK, which only `up` and `down` need

    known = arguments.sandbox in state.names()
    with console.doing(f"removing the sandbox {arguments.sandbox}"):
        lifecycle.destroy(arguments.sandbox, console.say)
    removed, kept = wiring.images.remove_names()
    daemon = wiring.end_build_daemon() if known else "none"
    stopped = wiring.stop_engine_if_ours() if not state.names() else False
    return {
        "sandbox": arguments.sandbox,
        "removed": known,
        "engine_stopped": stopped,
        "images": removed,
        "build_daemon": daemon,
        "kept": [
            *({"what": name, "why": why} for name, why in kept.items()),
            *(
                {"what": what, "why": why}
                for what, why in _kept(wiring, daemon, stopped=stopped).items()
                if known
            ),
        ],
    }


def _kept(wiring: Wiring, daemon: str, *, stopped: bool) -> dict[str, str]:
    """Returns what this machine keeps, each with the reason."""
    kept = {
        what: f"{why}; other checkouts and sandboxes use it too"
        for what, why in wiring.caches().items()
    }
    if daemon == "busy":
        kept["Pants' daemon"] = "it serves a build, and ends after it"
    if not stopped:
        kept["the Docker engine"] = (
            f"in use by {', '.join(state.names())}" if state.names() else "ship up did not start it"
        )
    return kept


def _show(document: Document) -> str:
    name = document["sandbox"]
    if not document["removed"] and not document["images"]:
        return f"sandbox {name}: does not exist"
    lines = [
        f"sandbox {name}: removed",
        *([f"removed {len(document['images'])} names of images"] if document["images"] else []),
        *(["ended Pants' daemon"] if document["build_daemon"] == "ended" else []),
        *(["stopped the Docker engine"] if document["engine_stopped"] else []),
        *(f"kept {each['what']}: {each['why']}" for each in document["kept"]),
    ]
    return "\n".join(lines)


VERB = Verb(_run, show=_show)
