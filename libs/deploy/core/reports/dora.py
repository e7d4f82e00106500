"""The four keys of DORA from a fleet's own record, and a deploy's metrics as text; never asks a clock or a host.

https://dora.dev/guides/dora-metrics-four-keys/
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median

from deploy.core.reports.rollout_log import RolloutLog
from deploy.core.state.ledger import Entry

CHANGES = ("deploy", "promote")
"""Verbs that bring a change to users; a rollback or a scale is none."""


@dataclass(frozen=True)
class FourKeys:
    """Over a number of days. `lead_time_s` and `restore_s` are medians; None where there was nothing to measure."""

    days: float
    deploys: int
    failed: int
    lead_time_s: float | None
    restore_s: float | None

    @property
    def deploys_per_day(self) -> float:
        """How often a change went live."""
        return self.deploys / self.days

    @property
    def failure_share(self) -> float:
        """The share of changes that were taken back, or rolled back once they were live."""
        tried = self.deploys + self.failed
        return self.failed / tried if tried else 0.0


def four_keys(
    operations: Sequence[Entry],
    *,
    now: str,
    committed: Callable[[str], float | None],
    days: float = 30.0,
) -> FourKeys:
    """Computes them from each operation's last entry, oldest first.

    `committed` returns a revision's time in seconds since 1970, None for one that isn't known. A change fails that is
    taken back by its own deploy, or by a rollback after it went live; it is restored when something is live again.
    """
    since = datetime.fromisoformat(now) - timedelta(days=days)
    lately = [each for each in operations if datetime.fromisoformat(each.when) >= since]
    live = [each for each in lately if each.verb in CHANGES and each.outcome == "live"]
    taken_back = [each for each in lately if each.verb in CHANGES and each.outcome == "reverted"]
    rolled_back, restored = _rolled_back(lately)
    leads = [
        ended - at
        for each in live
        if (at := committed(each.revision)) is not None and (ended := _ended(each)) > at
    ]
    restored += [each.seconds for each in taken_back]
    return FourKeys(
        days=days,
        deploys=len(live) - rolled_back,
        failed=len(taken_back) + rolled_back,
        lead_time_s=median(leads) if leads else None,
        restore_s=median(restored) if restored else None,
    )


def _rolled_back(operations: Iterable[Entry]) -> tuple[int, list[float]]:
    """Counts changes that a rollback followed; how long users had each, until something else was live."""
    count, times, last = 0, list[float](), None
    for each in operations:
        if each.outcome != "live":
            continue
        if each.verb == "rollback" and last is not None:
            count += 1
            times.append(_ended(each) - _ended(last))
        last = each if each.verb in CHANGES else None
    return count, times


def _ended(entry: Entry) -> float:
    """An operation's merged entry bears the time at which it began."""
    return datetime.fromisoformat(entry.when).timestamp() + entry.seconds


def deploy_metrics(chronicle: RolloutLog) -> str:
    """Writes a deploy's duration, outcome and phases in Prometheus' text format."""
    labels = {
        "service": chronicle.service,
        "environment": chronicle.environment,
        "verb": chronicle.verb,
    }
    ended = datetime.fromisoformat(chronicle.begun).timestamp() + chronicle.seconds
    outcomes = [
        (labels | {"outcome": each}, float(chronicle.outcome == each))
        for each in ("live", "reverted", "held", "stuck", "aborted")
    ]
    phases = [(labels | {"phase": name}, end - begin) for name, begin, end in chronicle.phases]
    return "".join(
        [
            _family(
                "ship_deploy_seconds", "How long the last one took.", [(labels, chronicle.seconds)]
            ),
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
    """Writes the four keys in Prometheus' text format; what can't be said is left out."""
    labels = {"service": service, "environment": environment}
    told = [
        ("ship_dora_deploys_per_day", "Changes that went live, a day.", keys.deploys_per_day),
        ("ship_dora_lead_time_seconds", "From commit to live, the median.", keys.lead_time_s),
        ("ship_dora_change_failure_ratio", "Changes that were taken back.", keys.failure_share),
        ("ship_dora_restore_seconds", "From failure to restored, the median.", keys.restore_s),
    ]
    return "".join(
        _family(name, text, [(labels, value)]) for name, text, value in told if value is not None
    )


def _family(name: str, text: str, samples: Iterable[tuple[Mapping[str, str], float]]) -> str:
    lines = [
        f"{name}{{{','.join(f'{key}="{_escaped(v)}"' for key, v in labels.items())}}} {value:.10g}\n"
        for labels, value in samples
    ]
    return "".join([f"# HELP {name} {text}\n# TYPE {name} gauge\n", *lines])


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
