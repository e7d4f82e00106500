"""The table of a rollout: each host's row as events come, and its lines within the size of a terminal."""

from __future__ import annotations

import re

import pytest

from deploy.cli.output.table import Board, HostStatus, Row, render
from deploy.core.planning.plan import Phase, PhaseKind, Plan
from deploy.core.planning.steps import (
    AwaitDrained,
    PrepareHost,
    Step,
)
from deploy.errors import CommandError
from deploy.run.hosts.waiting import StoppedError
from deploy.run.rollout.events import (
    Event,
    PhaseBegun,
    PlanMade,
    StepBegun,
    StepDone,
    StepFailed,
)


def step(host: str) -> Step:
    return PrepareHost(host, "it is bare")


def plan(*hosts: str) -> Plan:
    """Returns a plan of two phases with a step on each host."""
    drain = tuple(AwaitDrained(host, 5, "old workers") for host in hosts)
    phases = (
        Phase(PhaseKind.PREPARE, tuple(step(host) for host in hosts)),
        Phase(PhaseKind.TIDY, drain),
    )
    return Plan("app", None, None, phases)


def board(*events: Event, at_s: float = 0.0) -> Board:
    found = Board()
    for event in (PlanMade(plan("b", "a")), PhaseBegun("prepare", 1, 2, 2), *events):
        found.on_event(event, at_s)
    return found


def lines(*rows: Row, width: int = 80, height: int = 24) -> list[str]:
    return [re.sub(r"\x1b\[\d+m", "", line) for line in render(rows, width=width, height=height)]


def test_each_host_has_a_row_that_follows_its_steps() -> None:
    hosts = board(StepBegun(step("a")), at_s=10.0)
    assert lines(*hosts.rows(13.4)) == [
        "host  status   steps  phase        time  step",
        "a     running  0/2    1/2 prepare  3 s   create the network",
        "b     waiting  0/2",
    ]
    hosts.on_event(StepDone(step("a"), 4.2), 14.2)
    hosts.on_event(StepFailed(step("b"), 0.4, CommandError("b: no space\nleft")), 14.3)
    assert lines(*hosts.rows(99.0), width=90) == [
        "host  status   steps  phase        time  step",
        "a     waiting  1/2    1/2 prepare  4 s   create the network",
        "b     failed   0/2    1/2 prepare  0 s   create the network: b: no space left",
    ]
    assert not hosts.finished


def test_host_with_all_its_steps_done_is_done() -> None:
    done = [StepDone(each, 1.0) for each in plan("a", "b").steps]
    hosts = board(*done)
    assert [(row.host, row.status, row.done) for row in hosts.rows(0)] == [
        ("a", "done", 2),
        ("b", "done", 2),
    ]
    assert hosts.finished


def test_wait_that_another_host_s_failure_ended_is_stopped_not_failed() -> None:
    hosts = board(StepBegun(step("a")), StepFailed(step("a"), 1.0, StoppedError("stopped")))
    assert [row.status for row in hosts.rows(0)] == ["stopped", "waiting"]


def test_revert_counts_its_own_steps_and_keeps_the_row_of_an_unreachable_host() -> None:
    hosts = board(StepDone(step("a"), 1.0), StepFailed(step("b"), 1.0, CommandError("gone")))
    hosts.on_event(PlanMade(plan("a"), reverting=True), 0)
    hosts.on_event(PhaseBegun("revert", 1, 1, 2), 0)
    hosts.on_event(StepBegun(step("a")), 0)
    assert [(row.status, row.done, row.phase) for row in hosts.rows(0)] == [
        ("reverting", 0, "1/1 revert"),
        ("failed", 0, "1/2 prepare"),
    ]
    for each in plan("a").steps:
        hosts.on_event(StepDone(each, 1.0), 0)
    assert [row.status for row in hosts.rows(0)] == ["reverted", "failed"]


def test_secret_is_redacted_before_a_line_is_cut() -> None:
    hosts = Board(lambda text: text.replace("hunter2-and-more", "***"))
    hosts.on_event(PlanMade(plan("a")), 0)
    hosts.on_event(StepFailed(step("a"), 0, CommandError("hunter2-and-more refused")), 0)
    line = render(hosts.rows(0), width=75, height=24)[1]
    assert "hunter" not in line
    assert "***" in line


@pytest.mark.parametrize("width", [1, 2, 10, 40, 79])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    rows = [Row("host-1", 9, step="start 3 replicas of app r000002-3f9c2ab")] * 3
    found = lines(*rows, width=width)
    assert max(len(line) for line in found) <= width
    assert len(found) == 4


def test_cut_line_ends_with_a_mark() -> None:
    assert lines(Row("host-1", 9), width=12) == ["host    sta>", "host-1  wai>"]


def test_output_of_a_host_cannot_move_the_cursor() -> None:
    text = "\x1b[2J\x07 café \u2028 \t日本 \x9b5A"
    found = lines(Row("a", 1, step=text))[1]
    assert all(" " <= each <= "~" for each in found)


def test_of_two_hundred_hosts_the_failed_and_busy_ones_are_shown() -> None:
    statuses = {
        7: HostStatus.FAILED,
        50: HostStatus.RUNNING,
        51: HostStatus.RUNNING,
        199: HostStatus.REVERTING,
    }
    others = (HostStatus.WAITING, HostStatus.DONE)
    rows = [
        Row(f"h{number:03d}", 2, status=statuses.get(number, others[number % 2]))
        for number in range(200)
    ]
    found = lines(*rows, height=8)
    assert len(found) == 8
    assert {"h007", "h050", "h051", "h199"} <= {line.split()[0] for line in found}
    assert found[-1] == "and 194 more: 97 waiting, 97 done"


def test_all_hosts_are_shown_if_there_is_just_enough_room() -> None:
    rows = [Row(f"h{number}", 1) for number in range(5)]
    assert len(lines(*rows, height=6)) == 6
    assert lines(*rows, height=5)[-1] == "and 2 more: 2 waiting"
