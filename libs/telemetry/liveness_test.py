"""A hung worker and a busy one."""

import pytest

from telemetry.liveness import Liveness, Progress

THREADS = 8


def problem(*, outstanding: int, silent_s: float) -> str:
    progress = Progress()
    now_s = progress.at_s + silent_s
    return Liveness(progress, THREADS, lambda: outstanding, 60.0, clock=lambda: now_s).problem()


@pytest.mark.parametrize(
    ("outstanding", "silent_s"),
    [
        (0, 3600.0),  # idle
        (THREADS - 1, 3600.0),  # a thread is free
        (THREADS, 59.0),  # busy, and a request went on a while ago
        (THREADS + 30, 1.0),  # requests wait, and streams send
    ],
)
def test_a_worker_that_is_idle_or_busy_lives(outstanding: int, silent_s: float) -> None:
    assert problem(outstanding=outstanding, silent_s=silent_s) == ""


def test_a_worker_without_a_free_thread_in_which_nothing_goes_on_is_hung() -> None:
    expected = "hung: all 8 threads are taken, and no request went on for 61 s"
    assert problem(outstanding=THREADS, silent_s=61.0) == expected


def test_a_request_that_goes_on_ends_the_silence() -> None:
    progress = Progress()
    progress.at_s -= 100
    liveness = Liveness(progress, 1, lambda: 1, 60.0)
    assert liveness.problem()
    progress.mark()
    assert liveness.problem() == ""
