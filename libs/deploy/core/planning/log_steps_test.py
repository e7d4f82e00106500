"""Which logs of removed replicas a host keeps."""

from __future__ import annotations

from deploy.core.planning.log_steps import keep_logs
from deploy.core.planning.steps import KeepLogs
from deploy.core.state.host import Container, HostState


def replica(sequence: int, number: int = 1) -> Container:
    name = f"app-r{sequence:06d}-{number}"
    return Container(name, name, "app", identity(sequence), name, "running", "healthy", "")


def identity(sequence: int) -> str:
    return f"r{sequence:06d}-3f9c2ab"


def kept(*sequences: int, service: str = "app") -> tuple[tuple[str, str], ...]:
    return tuple((service, identity(sequence)) for sequence in sequences)


def steps(*replicas: Container, before: tuple[tuple[str, str], ...] = ()) -> list[KeepLogs]:
    return list(keep_logs(HostState("a", kept_logs=before), "app", replicas, "why"))


def test_no_replica_needs_no_step() -> None:
    assert steps() == []


def test_replicas_of_a_release_are_kept_in_one_step() -> None:
    (step,) = steps(replica(2), replica(2, 2))
    assert step.names == ("app-r000002-1", "app-r000002-2")
    assert step.subject == f"keep the logs of app {identity(2)}"
    assert step.dropped == ()


def test_logs_of_the_last_five_releases_are_kept() -> None:
    (step,) = steps(replica(8), before=kept(6, 2, 5, 4, 3))
    assert step.dropped == (identity(2),)


def test_a_release_that_is_kept_again_removes_no_other() -> None:
    (step,) = steps(replica(3), before=kept(2, 3, 4, 5, 6))
    assert step.dropped == ()


def test_an_old_release_that_is_rolled_back_now_counts_as_the_last() -> None:
    (step,) = steps(replica(1), before=kept(2, 3, 4, 5, 6))
    assert step.dropped == (identity(2),)


def test_several_releases_are_counted_together_and_other_services_apart() -> None:
    found = steps(replica(8), replica(7), before=(*kept(2, 3, 4, 5, 6), *kept(1, service="shop")))
    assert [step.release for step in found] == [identity(7), identity(8)]
    assert [step.dropped for step in found] == [(identity(2),), (identity(3),)]
