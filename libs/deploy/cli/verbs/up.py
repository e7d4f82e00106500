"""`ship up`: from a clone to live replicas on the sandbox. Safe to repeat."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from deploy.cli.output.console import Console
from deploy.cli.verb import Document, Verb
from deploy.cli.verbs.outcome import document_of
from deploy.cli.wiring import Wiring
from deploy.errors import UsageError
from deploy.run.queries.scraped import await_scraped
from deploy.run.rollout.deploy import deploy
from sandbox import state

BASES = ("host", "python", "edge", "prometheus", "alerting", "registry")


def _add(parser: ArgumentParser) -> None:
    parser.add_argument("--yes", action="store_true", help="install what is missing without asking")
    parser.add_argument(
        "--hosts",
        type=int,
        metavar="N",
        help="number of hosts (default: as many as the sandbox has, or 1)",
    )
    parser.add_argument("--no-e2e", action="store_true", help="skip the browser journeys")


def _run(arguments: Namespace, wiring: Wiring, console: Console) -> Document:
    if arguments.env != "sandbox":
        raise UsageError(
            "`ship up` works on a sandbox only", hint=f"./ship deploy SERVICE --env {arguments.env}"
        )
    from sandbox import lifecycle  # imports Docker's SDK, which only `up` and `down` need

    hosts = arguments.hosts or state.host_count(arguments.sandbox) or 1
    with console.doing(
        "step 1 of 5: the sandbox, hosts and registry", usually="10 s, the first time 4 min"
    ):
        wiring.images.bases.ensure_all(BASES)
        base, monitoring = wiring.images.bases.ensure, wiring.settings.monitoring()
        lifecycle.create(
            arguments.sandbox, hosts, console.say, base_image=base, monitoring=monitoring
        )
    services = []
    for name in wiring.settings.names([]):
        with console.doing(
            f"step 2 of 5: {name}, built and published", usually="5 s, the first time 90 s"
        ):
            command = wiring.commands.deploy(name, None, None)
        with console.doing(f"step 3 of 5: {name}, rolled out to {hosts} host(s)", usually="20 s"):
            services.append(
                document_of(deploy(command, wiring.context(), console.on_event), console)
            )
    with console.doing("step 4 of 5: Prometheus scrapes every replica", usually="5 s"):
        names = [str(service["service"]) for service in services]
        expected = sum(wiring.settings.service(name).replicas for name in names) * hosts
        await_scraped(wiring.metrics(), names, expected, wiring.clock)
    url = wiring.settings.environment().hosts[0].url
    if not arguments.no_e2e and any(service["outcome"] != "unchanged" for service in services):
        with console.doing("step 5 of 5: the journeys in a browser", usually="15 s"):
            wiring.run_journeys(url)
    return {
        "sandbox": arguments.sandbox,
        "hosts": hosts,
        "services": services,
        "urls": wiring.settings.urls(),
    }


def _show(document: Document) -> str:
    done = [
        f"{service['service']}: {service['release']} {service['outcome']}"
        for service in document["services"]
    ]
    urls = [f"{name}: {url}" for name, url in document["urls"].items()]
    nothing = all(service["outcome"] == "unchanged" for service in document["services"])
    return "\n".join(
        [*(["nothing to do: everything runs as configured"] if nothing else []), *done, *urls]
    )


VERB = Verb(_run, _add, _show)
