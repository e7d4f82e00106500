"""Says which services are due in which environment, each by its own last verified revision; never asks GitLab."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from deploy.core.ci.base_revision import PipelineFacts

Due = Mapping[str, tuple[str, ...]]
"""Services by environment, in order; an environment that needs nothing is there with nothing."""


def all_due(environments: Iterable[str], services: Iterable[str]) -> Due:
    """Returns every service for every environment."""
    names = tuple(sorted(services))
    return dict.fromkeys(environments, names)


def due(
    facts: PipelineFacts,
    environments: Iterable[str],
    services: Iterable[str],
    reached: Collection[str],
    reached_since: Mapping[str, Collection[str]],
) -> Due:
    """Returns what each environment lacks.

    `reached` are the services that the whole selection reaches, `reached_since` those that differ from a
    revision. A service whose verified revision is none of HEAD's history is due: nobody knows what it runs.
    """
    names = sorted(services)
    known = {(each.environment, each.service): each.revision for each in facts.verified}

    def is_due(environment: str, name: str) -> bool:
        if (environment, name) not in known:
            return name in reached
        seen = facts.seen.get(known[environment, name] or "")
        if seen is None or seen.sha is None or seen.sha not in reached_since:
            return True
        return name in reached_since[seen.sha]

    return {each: tuple(name for name in names if is_due(each, name)) for each in environments}
