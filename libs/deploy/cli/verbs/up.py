"""`ship up`: from a clone to live replicas on the sandbox. Safe to repeat.

What doesn't depend on each other runs side by side: Pants starts while base images are built, the service is packaged
while the sandbox starts, and the browser is installed until the journeys need it (docs/adr/0036).
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from dataclasses import dataclass, field
from functools import partial

from deploy.cli.output.console import Console
from deploy.cli.verb import Document, Verb
from deploy.cli.verbs.outcome import document_of
from deploy.cli.wiring import Wiring
from deploy.cli.wiring.set_up import Task, missing_tasks, run_tasks
from deploy.errors import UsageError
from deploy.run.queries.scraped import await_scraped
from deploy.run.rollout.deploy import DeployCommand, deploy
from sandbox import state
from sandbox.credentials import host_names

BASES = {"python": 20, "host": 20, "edge": 15, "prometheus": 15, "alerting": 8, "registry": 15}
"""The base images and about how many seconds it takes to build each."""


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
    hosts = arguments.hosts or state.host_count(arguments.sandbox) or 1
    host_names(hosts)  # refuses an impossible number
    state.folder(
        arguments.sandbox
    ).make()  # what is built before the sandbox is created already belongs to it
    up = _Up(arguments.sandbox, hosts, not arguments.no_e2e, wiring, console)
    run_tasks([*missing_tasks(), *up.tasks()], console.say)
    return {
        "sandbox": arguments.sandbox,
        "hosts": hosts,
        "services": up.done,
        "urls": wiring.settings.urls(),
    }


@dataclass
class _Up:
    """The tasks of one `ship up`, and in `done` the document of each service that was rolled out."""

    sandbox: str
    hosts: int
    with_journeys: bool
    wiring: Wiring
    console: Console
    done: list[Document] = field(default_factory=list)
    _commands: dict[str, DeployCommand] = field(default_factory=dict)

    def tasks(self) -> list[Task]:
        """Returns the tasks. Packages of the machine and tools that are still missing are others."""
        images, names = self.wiring.images, self.wiring.settings.names([])
        exists = state.path(self.sandbox) is not None
        missing = [name for name in BASES if not images.bases.has(name)]
        to_build = [name for name in names if not images.is_built(name)]
        rolls_out = bool(to_build or not exists)
        tasks = [
            Task(
                f"base image {name}",
                0,
                BASES[name],
                partial(images.bases.ensure, name),
                _base(name),
            )
            for name in missing
        ]
        tasks += self._sandbox_tasks(5 if not exists else 1)
        if not exists:  # else its registry may have the image
            tasks += self._build_tasks(to_build, is_first=bool(missing))
        tasks += self._publish_tasks(names, 10 if missing else 3 if rolls_out else 1)
        tasks += self._rollout_tasks(names, 20 if rolls_out else 1)
        return tasks + self._check_tasks(names, 25 if rolls_out else 1)

    def _sandbox_tasks(self, seconds: int) -> list[Task]:
        in_containers = ("host", "registry", "prometheus", "alerting")
        return [
            Task(
                "the sandbox: hosts, registry, monitoring", 0, seconds, self._create_sandbox,
                "sandbox", tuple(map(_base, in_containers)),
            ),
            Task(
                "the edge's and monitoring's images, published", 0, seconds,
                self.wiring.images.publish_stacks, "stacks", ("sandbox", *map(_base, BASES)),
            ),
        ]  # fmt: skip

    def _build_tasks(self, names: list[str], *, is_first: bool) -> list[Task]:
        """Returns tasks that build images while the sandbox is created. One at a time: Pants uses every core itself."""
        images = self.wiring.images
        tasks: list[Task] = []
        pants = Task(
            "Pants, started", 0, 30 if is_first else 3, partial(images.read_inputs, names), "pants"
        )
        for name in names:
            needs = (
                "pants",
                _base("python"),
                *(f"build/{before}" for before in names[: len(tasks)]),
            )
            build = partial(images.build_for_any, name)
            tasks.append(
                Task(f"{name}, built", 0, 60 if is_first else 8, build, f"build/{name}", needs)
            )
        return [pants, *tasks] if tasks else []

    def _publish_tasks(self, names: list[str], seconds: int) -> list[Task]:
        return [
            Task(
                f"{name}, published", 0, seconds, partial(self._publish, name), f"publish/{name}",
                ("sandbox", "stacks", f"build/{name}", *(f"publish/{each}" for each in names[:number])),
            )
            for number, name in enumerate(names)
        ]  # fmt: skip

    def _rollout_tasks(self, names: list[str], seconds: int) -> list[Task]:
        """Returns tasks that run one after another, in the foreground: a rollout handles Ctrl-C itself."""
        published = tuple(f"publish/{name}" for name in names)
        return [
            Task(
                f"{name}, rolled out to {self.hosts} host(s)", 0, seconds, partial(self._roll_out, name),
                f"rollout/{name}", (*published, *(f"rollout/{each}" for each in names[:number])),
                in_foreground=True,
            )
            for number, name in enumerate(names)
        ]  # fmt: skip

    def _check_tasks(self, names: list[str], seconds: int) -> list[Task]:
        live = tuple(f"rollout/{name}" for name in names)
        scraped = Task(
            "Prometheus scrapes every replica", 0, min(seconds, 5), self._await_scraped, "", live
        )
        if not self.with_journeys:
            return [scraped]
        journeys = Task(
            "the journeys in a browser", 0, seconds, self._run_journeys, "", (*live, "apt/tests")
        )
        return [scraped, journeys]

    def _create_sandbox(self) -> None:
        from sandbox import lifecycle  # imports Docker's SDK, which only `up` and `down` need

        base, monitoring = self.wiring.images.bases.ensure, self.wiring.settings.monitoring()
        lifecycle.create(
            self.sandbox, self.hosts, self.console.say, base_image=base, monitoring=monitoring
        )

    def _publish(self, name: str) -> None:
        self._commands[name] = self.wiring.commands.deploy(name, None, None)

    def _roll_out(self, name: str) -> None:
        result = deploy(self._commands[name], self.wiring.context(), self.console.on_event)
        self.done.append(document_of(result, self.console))

    def _await_scraped(self) -> None:
        settings, names = self.wiring.settings, self.wiring.settings.names([])
        expected = sum(settings.service(name).replicas for name in names) * self.hosts
        await_scraped(self.wiring.metrics(), names, expected, self.wiring.clock)

    def _run_journeys(self) -> None:
        if any(service["outcome"] != "unchanged" for service in self.done):
            self.wiring.run_journeys(self.wiring.settings.environment().hosts[0].url)


def _base(name: str) -> str:
    """Returns the name of the task that builds a base image."""
    return f"base/{name}"


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
