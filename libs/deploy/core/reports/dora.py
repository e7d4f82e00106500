"""Computes the four keys of DORA from a fleet's ledgers, and renders metrics in Prometheus' text format.

https://dora.dev/guides/dora-metrics-four-keys/
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median

from deploy.core.reports.rollout_log import RolloutLog
from deploy.core.state.ledger import Entry, Outcome

CHANGES = ("deploy", "promote")
"""The verbs that bring a change to users."""


@dataclass(frozen=True)
class FourKeys:
    """The keys over `days`. `lead_time_s` and `restore_s` are medians, None if there was nothing to measure."""

    days: float
    deploys: int
    failed: int
    lead_time_s: float | None
    restore_s: float | None

    @property
    def deploys_per_day(self) -> float:
        """How many changes went live per day."""
        return self.deploys / self.days

    @property
    def failure_share(self) -> float:
        """The share of changes that were reverted by their deploy or rolled back later."""
        tried = self.deploys + self.failed
        return self.failed / tried if tried else 0.0


def four_keys(
    operations: Sequence[Entry],
    *,
    now: str,
    committed: Callable[[str], float | None],
    days: float = 30.0,
) -> FourKeys:
    """Computes the four keys from each operation's last ledger entry, oldest first.

    `committed` returns the time of a revision in seconds since 1970, None if it is unknown. A change has failed if its
    own deploy reverted it or a rollback followed it; service is restored when a release is live again.
    """
    since = datetime.fromisoformat(now) - timedelta(days=days)
    recent = [entry for entry in operations if _is_since(entry.when, since)]
    changes = [entry for entry in recent if entry.verb in CHANGES]
    live = [entry for entry in changes if entry.outcome == Outcome.LIVE]
    reverted = [entry for entry in changes if entry.outcome == Outcome.REVERTED]
    rolled_back, restore_times = _rolled_back(recent)
    lead_times = [
        ended - at
        for entry in live
        if (at := committed(entry.revision)) is not None and (ended := _ended(entry)) > at
    ]
    restore_times += [entry.seconds for entry in reverted]
    return FourKeys(
        days=days,
        deploys=len(live) - rolled_back,
        failed=len(reverted) + rolled_back,
        lead_time_s=median(lead_times) if lead_times else None,
        restore_s=median(restore_times) if restore_times else None,
    )


def _is_since(when: str, since: datetime) -> bool:
    """Returns whether a ledger's time is not before `since`; False for a damaged one."""
    try:
        return datetime.fromisoformat(when) >= since
    except (ValueError, TypeError):
        return False


def _rolled_back(operations: Iterable[Entry]) -> tuple[int, list[float]]:
    """Returns how many changes a rollback followed, and the seconds from each going live to its rollback being live."""
    count, times, last = 0, list[float](), None
    for entry in operations:
        if entry.outcome != Outcome.LIVE:
            continue
        if entry.verb == "rollback" and last is not None:
            count += 1
            times.append(_ended(entry) - _ended(last))
        last = entry if entry.verb in CHANGES else None
    return count, times


def _ended(entry: Entry) -> float:
    """Returns the end of an operation: its merged entry has the time when it began."""
    return datetime.fromisoformat(entry.when).timestamp() + entry.seconds


def deploy_metrics(log: RolloutLog) -> str:
    """Returns the duration, outcome and phases of a rollout in Prometheus' text format."""
    labels = {
        "service": log.service,
        "environment": log.environment,
        "verb": log.verb,
    }
    ended = datetime.fromisoformat(log.begun).timestamp() + log.seconds
    outcomes = [
        (labels | {"outcome": outcome}, float(log.outcome == outcome))
        for outcome in ("live", "reverted", "held", "stuck", "aborted")
    ]
    phases = [(labels | {"phase": name}, end - begin) for name, begin, end in log.phases]
    return "".join(
        [
            _family("ship_deploy_seconds", "How long the last one took.", [(labels, log.seconds)]),
            _family(
                "ship_deploy_ended_timestamp_seconds", "When the last one ended.", [(labels, ended)]
            ),
            _family("ship_deploy_outcome", "1 for how the last one ended.", outcomes),
            _family(
                "ship_deploy_phase_seconds", "How long each phase of the last one took.", phases
            ),
        ]
    )


def key_metrics(service: str, environment: str, keys: FourKeys) -> str:
    """Returns the four keys in Prometheus' text format, without those that are unknown."""
    labels = {"service": service, "environment": environment}
    keyed = [
        ("ship_dora_deploys_per_day", "Changes that went live, a day.", keys.deploys_per_day),
        ("ship_dora_lead_time_seconds", "From commit to live, the median.", keys.lead_time_s),
        (
            "ship_dora_change_failure_ratio",
            "Changes that were reverted or rolled back.",
            keys.failure_share,
        ),
        ("ship_dora_restore_seconds", "From failure to restored, the median.", keys.restore_s),
    ]
    return "".join(
        _family(name, text, [(labels, value)]) for name, text, value in keyed if value is not None
    )


def _family(name: str, text: str, samples: Iterable[tuple[Mapping[str, str], float]]) -> str:
    lines = [
        f"{name}{{{','.join(f'{key}="{_escaped(v)}"' for key, v in labels.items())}}} {value:.10g}\n"
        for labels, value in samples
    ]
    return "".join([f"# HELP {name} {text}\n# TYPE {name} gauge\n", *lines])


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
