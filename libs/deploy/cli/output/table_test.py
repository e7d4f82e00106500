"""The table of a rollout: each host's row as events come, and its lines in whatever room there is."""

from __future__ import annotations

import re

import pytest

from deploy.cli.output.table import (
    Board,
    Row,
    render,
)
from deploy.core.planning.plan import Phase, Plan
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
    """Two steps on each host, a phase each."""
    drain = tuple(AwaitDrained(host, 5, "old workers") for host in hosts)
    phases = (Phase("prepare", tuple(step(host) for host in hosts)), Phase("tidy", drain))
    return Plan("app", None, "", phases)


def board(*events: Event, at_s: float = 0.0) -> Board:
    found = Board()
    for event in (PlanMade(plan("b", "a")), PhaseBegun("prepare", 1, 2, 2), *events):
        found.hear(event, at_s)
    return found


def lines(*rows: Row, width: int = 80, height: int = 24) -> list[str]:
    return [re.sub(r"\x1b\[\d+m", "", line) for line in render(rows, width=width, height=height)]


def test_each_host_is_a_row_that_fills_as_it_goes() -> None:
    hosts = board(StepBegun(step("a")), at_s=10.0)
    assert lines(*hosts.rows(13.4)) == [
        "host  outcome  steps  phase        time  step",
        "a     runs     0/2    1/2 prepare  3 s   PrepareHost (it is bare)",
        "b     waits    0/2",
    ]
    hosts.hear(StepDone(step("a"), 4.2), 14.2)
    hosts.hear(StepFailed(step("b"), 0.4, CommandError("b: no space\nleft")), 14.3)
    assert lines(*hosts.rows(99.0), width=90) == [
        "host  outcome  steps  phase        time  step",
        "a     waits    1/2    1/2 prepare  4 s   PrepareHost (it is bare)",
        "b     failed   0/2    1/2 prepare  0 s   PrepareHost (it is bare): b: no space left",
    ]
    assert not hosts.finished


def test_a_host_with_all_its_steps_behind_it_is_done() -> None:
    done = [StepDone(each, 1.0) for each in plan("a", "b").steps]
    hosts = board(*done)
    assert [(row.host, row.outcome, row.done) for row in hosts.rows(0)] == [
        ("a", "done", 2),
        ("b", "done", 2),
    ]
    assert hosts.finished


def test_a_wait_that_another_host_s_failure_ended_is_no_failure() -> None:
    hosts = board(StepBegun(step("a")), StepFailed(step("a"), 1.0, StoppedError("stopped")))
    assert [row.outcome for row in hosts.rows(0)] == ["stopped", "waits"]


def test_the_way_back_has_counts_of_its_own_and_leaves_a_lost_host_as_it_failed() -> None:
    hosts = board(StepDone(step("a"), 1.0), StepFailed(step("b"), 1.0, CommandError("gone")))
    hosts.hear(PlanMade(plan("a"), reverting=True), 0)
    hosts.hear(PhaseBegun("back", 1, 1, 2), 0)
    hosts.hear(StepBegun(step("a")), 0)
    assert [(row.outcome, row.done, row.phase) for row in hosts.rows(0)] == [
        ("goes back", 0, "1/1 back"),
        ("failed", 0, "1/2 prepare"),
    ]
    for each in plan("a").steps:
        hosts.hear(StepDone(each, 1.0), 0)
    assert [row.outcome for row in hosts.rows(0)] == ["taken back", "failed"]


def test_a_secret_is_taken_out_before_a_line_is_cut() -> None:
    hosts = Board(lambda text: text.replace("hunter2-and-more", "***"))
    hosts.hear(PlanMade(plan("a")), 0)
    hosts.hear(StepFailed(step("a"), 0, CommandError("hunter2-and-more refused")), 0)
    told = render(hosts.rows(0), width=75, height=24)[1]
    assert "hunter" not in told
    assert "***" in told


@pytest.mark.parametrize("width", [1, 2, 10, 40, 79])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    rows = [Row("host-1", 9, step="StartReplicas app r000002-3f9c2ab x3 (it is wanted)")] * 3
    found = lines(*rows, width=width)
    assert max(len(line) for line in found) <= width
    assert len(found) == 4


def test_what_was_cut_off_shows() -> None:
    assert lines(Row("host-1", 9), width=12) == ["host    out>", "host-1  wai>"]


def test_nothing_that_a_host_says_moves_the_cursor() -> None:
    told = "\x1b[2J\x07 café \u2028 \t日本 \x9b5A"
    found = lines(Row("a", 1, step=told))[1]
    assert all(" " <= each <= "~" for each in found)


def test_of_two_hundred_hosts_those_are_shown_that_failed_or_are_at_work() -> None:
    outcomes = {7: "failed", 50: "runs", 51: "runs", 199: "goes back"}
    rows = [
        Row(f"h{number:03d}", 2, outcome=outcomes.get(number, "done" if number % 2 else "waits"))
        for number in range(200)
    ]
    found = lines(*rows, height=8)
    assert len(found) == 8
    assert {"h007", "h050", "h051", "h199"} <= {line.split()[0] for line in found}
    assert found[-1] == "and 194 more: 97 waits, 97 done"


def test_hosts_that_just_have_room_are_all_shown() -> None:
    rows = [Row(f"h{number}", 1) for number in range(5)]
    assert len(lines(*rows, height=6)) == 6
    assert lines(*rows, height=5)[-1] == "and 2 more: 2 waits"
