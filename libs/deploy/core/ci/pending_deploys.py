"""Decides which services each environment lacks, by their last verified revisions there."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from deploy.core.ci.base_revision import PipelineFacts

PendingDeploys = Mapping[str, tuple[str, ...]]
"""The services to deploy by environment, sorted. An environment that lacks nothing has an empty entry."""


def all_pending(environments: Iterable[str], services: Iterable[str]) -> PendingDeploys:
    """Returns every service for every environment."""
    names = tuple(sorted(services))
    return dict.fromkeys(environments, names)


def pending_deploys(
    facts: PipelineFacts,
    environments: Iterable[str],
    services: Iterable[str],
    affected: Collection[str],
    affected_since: Mapping[str, Collection[str]],
) -> PendingDeploys:
    """Returns the services that each environment lacks.

    `affected` are the services that the whole change affects, `affected_since` those that changed since a revision. A
    service is pending if its verified revision is not in HEAD's history, because it is unknown what runs there.
    """
    names = sorted(services)
    verified = {(each.environment, each.service): each.revision for each in facts.verified}

    def is_pending(environment: str, name: str) -> bool:
        if (environment, name) not in verified:
            return name in affected
        info = facts.revisions.get(verified[environment, name] or "")
        if info is None or info.sha is None or info.sha not in affected_since:
            return True
        return name in affected_since[info.sha]

    return {
        environment: tuple(name for name in names if is_pending(environment, name))
        for environment in environments
    }
