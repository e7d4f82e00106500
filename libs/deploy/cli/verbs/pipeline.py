"""`ship pipeline ENV...`: writes the GitLab pipeline that deploys to each environment."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from deploy.cli.output.console import Console
from deploy.cli.verb import Document, Verb
from deploy.cli.wiring import Wiring, files
from deploy.core.ci.child_pipeline import (
    ChildPipeline,
    make_child_pipeline,
    render,
)
from deploy.errors import UsageError


def _add(parser: ArgumentParser) -> None:
    parser.add_argument("environment", nargs="+", help="a file in deploy/environments, by name")
    parser.add_argument("--selection", metavar="FILE", help="the output of `ship affected --out`")
    parser.add_argument("--images", metavar="FILE", help="the output of `ship publish --out`")
    parser.add_argument(
        "--out", default="dist/ci", metavar="FOLDER", help="folder to write to (default: dist/ci)"
    )
    parser.add_argument(
        "--freezes",
        action="append",
        default=[],
        metavar="ENV",
        help="an environment that respects GitLab's deploy freezes",
    )
    parser.add_argument(
        "--frozen",
        action="store_true",
        help="fail, because a deploy freeze is on (for the job that reports it)",
    )


def _run(arguments: Namespace, wiring: Wiring, console: Console) -> Document:
    names: list[str] = arguments.environment
    if arguments.frozen:
        raise UsageError(
            f"{', '.join(names)}: a deploy freeze is on; nothing was changed",
            hint="retry the parent's job when it is over (see Deploy freezes in GitLab's CI/CD settings)",
        )
    if not arguments.selection or not arguments.images:
        raise UsageError(
            "--selection and --images are required; no pipeline was written",
            hint="./ship affected --out FILE, ./ship publish --selection FILE --out FILE",
        )
    wiring.require_job_image()
    selected = files.selection(arguments.selection)
    published = files.published(arguments.images)
    children = [
        make_child_pipeline(
            environment,
            selected,
            published,
            revision=wiring.checkout.revision,
            routes=wiring.settings.routes(environment),
            freezes=environment.name in arguments.freezes,
        )
        for environment in map(wiring.settings.named_environment, names)
    ]
    # Render all before writing any, so that an error leaves no file that could run.
    written = {f"{arguments.out}/{child.environment}.yml": render(child) for child in children}
    for file, text in written.items():
        files.write(file, text)
        console.say(f"{file}: written")
    return {"pipelines": [_document(child, arguments.out) for child in children]}


def _document(child: ChildPipeline, folder: str) -> Document:
    return {
        "environment": child.environment,
        "file": f"{folder}/{child.environment}.yml",
        "services": [deployable.service for deployable in child.deployables],
        "reason": child.reason,
    }


def _show(document: Document) -> str:
    lines = []
    for pipeline in document["pipelines"]:
        names = ", ".join(pipeline["services"])
        lines.append(f"{pipeline['file']}: {names or f'nothing to deploy: {pipeline["reason"]}'}")
    return "\n".join(lines)


VERB = Verb(_run, _add, _show)
