"""Which waits of a rollout its settings ask for."""

from __future__ import annotations

from deploy.core.planning.steps import AwaitHealthy, PullImages, WatchRelease
from deploy.core.planning.waits import asked_wait
from deploy.core.state.release import make_release
from deploy.testing import factories

RELEASE = make_release(
    factories.service(),
    factories.image("one"),
    1,
    factories.REPLICA,
    factories.ORIGIN,
    subnet="10.213.0.0/16",
)


def test_only_the_soak_counts_of_the_wait_for_healthy_replicas() -> None:
    def wait(min_healthy_s: float) -> AwaitHealthy:
        return AwaitHealthy("host-1", RELEASE, 60, 90, min_healthy_s, "/readyz")

    assert asked_wait(wait(1.5), 4.0) == ("min_healthy_s", 1.5)
    assert asked_wait(wait(0.0), 4.0) is None


def test_a_watch_counts_whole_and_a_pull_not_at_all() -> None:
    assert asked_wait(WatchRelease("host-1", RELEASE, 5.0, "users"), 5.2) == ("watch", 5.2)
    assert asked_wait(PullImages("host-1", ("image",), "missing"), 9.0) is None
