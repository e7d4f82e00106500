"""This version takes over a sandbox that version f774654 made, under load; f774654 then refuses to change it.

f774654 is the last version whose hosts have a stack named keeper. This version stops it and starts the watchdog.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from e2e.live_sandbox import Clone, HostContainer, LiveSandbox, checkout, terminated_as_interrupt
from e2e.loadgen.generator import LoadProfile
from e2e.loadgen.process import RunningLoad, app_and_fixture_streams, running_load
from e2e.rollouts import HOST_NAME, Rollouts
from e2e.ship import until
from e2e.target import output_folder

OLD_REVISION = "f774654"
OLD_STACK, NEW_STACK = "keeper", "watchdog"
UP_WITHIN_S = 1500.0
LONGEST_PAUSE_S = 5.0
EVENTS_FILE = "/tmp/stack-events.jsonl"
CHANGED = """
[services.app]
gate = { on_slower = "continue", on_unclear = "continue" }
[services.app.env]
LOG_LEVEL = "warning"
"""


@dataclass(frozen=True)
class Upgrade:
    """One sandbox, as this version's ./ship (`new`) and that of f774654 (`old`) see it."""

    new: LiveSandbox
    old: LiveSandbox
    release: str
    """The app's release that f774654 deployed."""

    image: str
    changed: Path
    """An environment file that makes another release of the app."""


@dataclass(frozen=True)
class StackEvent:
    """A container of a stack started ("start"), ended ("die") or was removed ("destroy") at `at_ns`."""

    at_ns: int
    action: str
    stack: str
    container: str


@pytest.fixture(scope="module")
def upgrade(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Upgrade]:
    """A sandbox that f774654 made, with the app and the fixture service deployed by it."""
    folder = tmp_path_factory.mktemp("upgrade")
    clone = Clone.at(checkout(), folder / OLD_REVISION, OLD_REVISION)
    new = LiveSandbox.named("upgrade", folder / "logs")
    old = LiveSandbox(replace(new.ship.of(clone.root), waits_drained=False))
    with terminated_as_interrupt():
        try:
            old.ship("up", "--yes", "--no-e2e", within_s=UP_WITHIN_S).expect_success()
            rollouts = Rollouts.on(old, folder / "rollouts")
            rollouts.deploy(rollouts.environment()).expect_success()
            service = old.service()
            changed = new.variant(folder / "changed", CHANGED)
            yield Upgrade(new, old, service["release"], service["image"], changed)
        finally:
            new.ship("down")
            left = new.remains()
    assert left == []


@pytest.fixture(scope="module", autouse=True)
def load(upgrade: Upgrade) -> Iterator[RunningLoad]:
    """GETs and POSTs until the last test of this file, none of which may be lost."""
    out = output_folder() / "upgrade" / "raw.tsv"
    streams = app_and_fixture_streams("app.test", HOST_NAME)
    profile = LoadProfile(
        upgrade.new.url,
        str(out),
        streams,
        rate=50,
        pausing=10,
        longest_pause_s=LONGEST_PAUSE_S,
        slow=2,
    )
    with running_load(profile) as load:
        load.await_rows(int(profile.rate))
        yield load
    assert {row.stream for row in load.record.rows} >= {stream.name for stream in streams}
    assert not load.record.lost, str(load.record)


@pytest.fixture(autouse=True)
def _nothing_is_lost(load: RunningLoad) -> Iterator[None]:
    begun = time.time()
    yield
    record = load.record.between(begun)
    assert record.rows
    assert not record.lost, str(record)


def test_deploy_of_an_unchanged_service_keeps_its_release_and_replaces_the_keeper(
    upgrade: Upgrade,
) -> None:
    host = upgrade.new.host()
    (keeper,) = host.stack_containers(OLD_STACK)
    keeper_id = host.run("docker", "inspect", "--format", "{{.Id}}", keeper).strip()
    _record_stack_events(host)
    words = ("deploy", "app", "--image", upgrade.image)
    document = upgrade.new.ship(*words).expect_success().document
    assert document["outcome"] in ("unchanged", "live")
    assert document["release"] == upgrade.release
    service = upgrade.new.service()
    assert (service["release"], service["image"]) == (upgrade.release, upgrade.image)
    assert service["drift"] == []
    assert host.stack_containers(OLD_STACK, stopped=True) == []
    assert len(host.stack_containers(NEW_STACK, stopped=True)) == 1
    assert len(host.stack_containers(NEW_STACK)) == 1
    events = until(lambda: _stack_events_with_start(host), within_s=10)
    _assert_never_both(events, keeper_id)
    removed = max(
        event.at_ns for event in events if (event.stack, event.action) == (OLD_STACK, "destroy")
    )
    started = min(
        event.at_ns for event in events if (event.stack, event.action) == (NEW_STACK, "start")
    )
    assert removed < started, "the watchdog started before the keeper was removed"


def test_deploy_of_a_change_goes_live_on_the_old_sandbox(
    upgrade: Upgrade, load: RunningLoad
) -> None:
    begun = time.time()
    document = upgrade.new.ship("deploy", "app", env=upgrade.changed).expect_success().document
    assert (document["outcome"], document["previous"]) == ("live", upgrade.release)
    assert document["release"] != upgrade.release
    assert upgrade.new.release == document["release"]
    until(lambda: load.record.between(begun).of("app").releases[document["release"]], within_s=5)
    _assert_watchdog_runs(upgrade.new.host())


def test_old_version_refuses_what_the_new_one_deployed_and_the_new_one_rolls_back(
    upgrade: Upgrade, load: RunningLoad
) -> None:
    """f774654 can't read the edge's state of today (docs/adr/0042), so it must not take the host for an empty one."""
    live = upgrade.new.service()
    assert live["release"] != upgrade.release, "the deploy before this test has failed"
    assert upgrade.old.ship("rollback", "app", env=upgrade.changed).code != 0
    assert upgrade.new.service() == live
    begun = time.time()
    back = upgrade.new.ship("rollback", "app", env=upgrade.changed).expect_success().document
    assert (back["outcome"], back["previous"]) == ("live", live["release"])
    assert back["release"] == upgrade.release
    assert upgrade.new.release == upgrade.release
    until(lambda: load.record.between(begun).of("app").releases[upgrade.release], within_s=5)
    _assert_watchdog_runs(upgrade.new.host())


def _assert_watchdog_runs(host: HostContainer) -> None:
    assert len(host.stack_containers(NEW_STACK)) == 1
    assert host.stack_containers(OLD_STACK, stopped=True) == []


def _record_stack_events(host: HostContainer) -> None:
    """Starts to write the engine's events of the stacks' containers to a file on the host, from now on."""
    filters = ("type=container", "event=start", "event=die", "event=destroy", "label=py-cicd.name")
    options = " ".join(f"--filter {name}" for name in filters)
    script = (
        f"exec docker events --since $(date +%s) {options} --format '{{{{json .}}}}' >{EVENTS_FILE}"
    )
    host.container.exec_run(["sh", "-c", script], detach=True)
    until(lambda: host.run("sh", "-c", f"test -e {EVENTS_FILE} && echo ready || true"), within_s=10)


def _stack_events_with_start(host: HostContainer) -> list[StackEvent]:
    """Returns the events in order of time once the start of the watchdog is among them, before that nothing."""
    events = []
    whole_lines = host.run("cat", EVENTS_FILE).rpartition("\n")[0]
    for line in whole_lines.splitlines():
        event = json.loads(line)
        actor = event["Actor"]
        stack = actor["Attributes"]["py-cicd.name"]
        events.append(StackEvent(event["timeNano"], event["Action"], stack, actor["ID"]))
    started = any((event.stack, event.action) == (NEW_STACK, "start") for event in events)
    return sorted(events, key=lambda event: event.at_ns) if started else []


def _assert_never_both(events: list[StackEvent], keeper_id: str) -> None:
    """Replays the events: at no moment did both the keeper and the watchdog run."""
    running: dict[str, set[str]] = {OLD_STACK: {keeper_id}, NEW_STACK: set()}
    for event in events:
        containers = running.setdefault(event.stack, set())
        if event.action == "start":
            containers.add(event.container)
        else:
            containers.discard(event.container)
        assert not (running[OLD_STACK] and running[NEW_STACK]), f"both ran after {event}"
