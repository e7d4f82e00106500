"""What `ship up` does side by side and in which order, on a machine without a sandbox and on one with it."""

from __future__ import annotations

import io
import re
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from deploy.cli.output.console import Console
from deploy.cli.verbs import up
from deploy.cli.wiring import Wiring
from deploy.cli.wiring.set_up import run_tasks
from deploy.errors import ShipError
from deploy.run.rollout.deploy import Outcome, Result
from sandbox import state
from toolchain.errors import PersonNeededError
from toolchain.tasks import Task

NAMES = ("app", "shop")


@dataclass
class Machine:
    """Stands in for the wiring: the images that this machine has, and what was done, in order."""

    bases: set[str] = field(default_factory=set)
    built: set[str] = field(default_factory=set)
    outcome: Outcome = Outcome.LIVE
    done: list[str] = field(default_factory=list)

    def wiring(self) -> Wiring:
        service = SimpleNamespace(replicas=5)
        environment = SimpleNamespace(hosts=[SimpleNamespace(url="http://host-1")])
        wiring = SimpleNamespace(
            images=SimpleNamespace(
                bases=SimpleNamespace(has=self.bases.__contains__, ensure=self._does("base")),
                is_built=self.built.__contains__,
                read_inputs=self._does("pants"),
                build_for_any=self._does("build"),
                publish_stacks=self._does("stacks"),
            ),
            settings=SimpleNamespace(
                names=lambda given: list(NAMES),
                service=lambda name: service,
                environment=lambda: environment,
                monitoring=lambda: None,
            ),
            commands=SimpleNamespace(deploy=self._does("publish")),
            context=lambda: None,
            metrics=lambda: None,
            clock=None,
            run_journeys=self._does("journeys"),
        )
        return cast("Wiring", wiring)

    def _does(self, what: str):  # type: ignore[no-untyped-def]
        def does(*arguments: object) -> object:
            name = arguments[0] if arguments and isinstance(arguments[0], str) else ""
            self.done.append(f"{what} {name}".strip())
            return name

        return does


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    machine = Machine()

    def roll_out(name: str, context: object, listener: object) -> Result:
        machine.done.append(f"rollout {name}")
        return Result(name, "r1", None, machine.outcome, 1.0)

    def create(*arguments: object, **options: object) -> None:
        machine.done.append("sandbox")

    monkeypatch.setattr(up, "deploy", roll_out)
    monkeypatch.setattr(up, "await_scraped", lambda *given: machine.done.append("scraped"))
    monkeypatch.setattr("sandbox.lifecycle.create", create)
    return machine


def tasks(machine: Machine) -> list[Task]:
    console = Console(stream=io.StringIO())
    return up._Up("s", 1, with_journeys=True, wiring=machine.wiring(), console=console).tasks()


def needs(machine: Machine) -> dict[str, tuple[str, ...]]:
    return {task.key: task.needs for task in tasks(machine)}


def make_sandbox() -> None:
    folder = state.folder("s")
    folder.path.mkdir(parents=True)
    folder.write(state.ENVIRONMENT, b"hosts = [{}]\n")


def test_pants_and_the_bases_start_beside_each_other_and_the_sandbox_beside_the_build(
    machine: Machine,
) -> None:
    found = needs(machine)
    first = {key for key, needed in found.items() if not needed}
    assert first == {*(f"base/{name}" for name in up.BASES), "pants"}
    assert found["build/app"] == ("pants", "base/python")
    assert found["sandbox"] == ("base/host", "base/registry", "base/prometheus", "base/alerting")
    assert not {"sandbox", "stacks"} & set(found["build/app"])
    assert set(found["publish/app"]) == {"sandbox", "stacks", "build/app"}


def test_rollouts_follow_one_another_in_the_foreground_when_everything_is_published(
    machine: Machine,
) -> None:
    found = needs(machine)
    assert found["build/shop"] == ("pants", "base/python", "build/app")
    assert set(found["rollout/app"]) == {"publish/app", "publish/shop"}
    assert set(found["rollout/shop"]) == {"publish/app", "publish/shop", "rollout/app"}
    foreground = [task.key for task in tasks(machine) if task.in_foreground]
    assert foreground == ["rollout/app", "rollout/shop"]


def test_only_the_journeys_wait_for_the_browser(machine: Machine) -> None:
    waiting = [key for key, needed in needs(machine).items() if "apt/tests" in needed]
    assert waiting == ["the journeys in a browser"]


def test_what_was_built_is_neither_built_again_nor_is_pants_started(machine: Machine) -> None:
    machine.bases, machine.built = set(up.BASES), set(NAMES)
    found = needs(machine)
    assert not {key for key in found if key.startswith(("base/", "build/", "pants"))}


def test_a_sandbox_that_exists_is_asked_for_the_image_before_a_build(machine: Machine) -> None:
    make_sandbox()
    machine.bases = set(up.BASES)
    found = needs(machine)
    assert "pants" not in found
    assert "sandbox" in found["publish/app"]


def test_the_steps_of_two_services_are_in_one_count(machine: Machine) -> None:
    lines: list[str] = []
    listed = tasks(machine)
    run_tasks(listed, lines.append)
    counts = [re.match(r"\[(\d+)/(\d+)\] ", line) for line in lines]
    numbers = [(int(count[1]), int(count[2])) for count in counts if count]
    assert numbers == [(number, len(listed)) for number in range(len(listed) + 1)]
    assert machine.done.index("publish shop") < machine.done.index("rollout app")
    assert machine.done.index("rollout app") < machine.done.index("rollout shop")
    assert set(machine.done[-2:]) == {"scraped", "journeys http://host-1"}


def test_nothing_changed_runs_no_journey(machine: Machine) -> None:
    make_sandbox()
    machine.bases, machine.built = set(up.BASES), set(NAMES)
    machine.outcome = Outcome.UNCHANGED
    run_tasks(tasks(machine), lambda line: None)
    assert not [each for each in machine.done if each.startswith("journeys")]


def test_a_failure_of_set_up_keeps_its_exit_code_and_its_next_command() -> None:
    def declined() -> None:
        raise PersonNeededError("The engine refuses this user.", "Nothing was changed.", "log in")

    with pytest.raises(ShipError, match=r"refuses this user\. Nothing was changed\.") as caught:
        run_tasks([Task("start the Docker engine", 0, 5, declined)], lambda line: None)
    assert (caught.value.exit_code, caught.value.hint) == (4, "log in")
