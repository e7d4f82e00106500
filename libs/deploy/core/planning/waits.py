"""Which part of a step's time the settings ask for, so that summaries can print it apart from the rest."""

from __future__ import annotations

from deploy.core.planning.steps import AnalyseRelease, AwaitHealthy, Step, WatchRelease


def asked_wait(step: Step, seconds: float) -> tuple[str, float] | None:
    """Returns the kind and length of the wait that settings asked for in a step of this duration, None for none.

    The kinds are `min_healthy_s` (service.toml), `watch` (`watch_s` and `batch_pause_s`) and `analysis` (the gate's
    requests and looks).
    """
    match step:
        case AwaitHealthy(min_healthy_s=asked_s) if asked_s > 0:
            return "min_healthy_s", min(asked_s, seconds)
        case WatchRelease():
            return "watch", seconds
        case AnalyseRelease():
            return "analysis", seconds
        case _:
            return None
