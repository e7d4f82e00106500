"""Finds out what a change affects: gathers the facts from git, GitLab and Pants, and applies the rules in `core.ci`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from deploy.core.ci.base_revision import (
    Base,
    Deployments,
    PipelineFacts,
    RevisionHistory,
    VerifiedRevision,
    base_candidates,
    choose_base,
    gitlab_environment,
)
from deploy.core.ci.pending_deploys import pending_deploys
from deploy.core.ci.requirements_diff import (
    RequirementsDiff,
    diff_locks,
    diff_requirements,
)
from deploy.core.ci.selection import (
    Mode,
    Selection,
    missed_tests,
    reason_graph_cannot_tell,
    reason_to_select_all,
    select,
    select_all,
    services_reached,
)
from deploy.core.ci.target_graph import (
    FileChange,
    ReachedTarget,
    TargetGraph,
    TargetGraphs,
    reached_targets,
)
from deploy.core.config import Service
from deploy.core.ports import Say
from deploy.errors import (
    DeploymentsError,
    GraphError,
    HistoryError,
    SelectionMissedError,
    UsageError,
)


@dataclass(frozen=True)
class SelectionContext:
    """What a selection depends on. `environments` are those that verify releases."""

    pipeline: PipelineFacts
    revisions: RevisionHistory
    graphs: TargetGraphs
    deployments: Deployments
    services: Mapping[str, Service]
    environments: Sequence[str]
    say: Say


def affected(context: SelectionContext, requested_base: str | None = None) -> Selection:
    """Returns what a change affects, compared with `requested_base` or the base of the pipeline.

    Raises UsageError if `requested_base` is a name that the clone doesn't know.
    """
    facts = gather(context, requested_base)
    _require_known(facts)
    base = choose_base(facts)
    if base.revision is None:
        return _all(context, base, base.reason)
    context.say(f"the base is {base.revision[:12]}: {base.reason}")
    try:
        return _select(context, base, facts)
    except (HistoryError, GraphError) as error:
        return _all(context, base, error.message)


def _all(context: SelectionContext, base: Base, reason: str) -> Selection:
    return select_all(base.revision, reason, context.services.values(), context.environments)


def recorded(context: SelectionContext, environment: str) -> str | None:
    """Returns the revision that GitLab last recorded for an environment, None if there is none or it can't be read.

    With None as the requested base, the pipeline's own base counts; a schedule has none and selects everything.
    """
    try:
        revision = context.deployments.last_verified(environment)
    except DeploymentsError as error:
        context.say(error.message)
        return None
    if revision is None:
        context.say(f"GitLab has recorded no revision for {environment} yet")
    return revision


def require_none_missed(selection: Selection, failed: Iterable[str]) -> None:
    """Checks the failed tests of a full run against the selection for all changes since the last full run.

    Raises SelectionMissedError if the selection has left one out.
    """
    missed = missed_tests(failed, selection)
    if missed:
        since = (selection.base or "")[:12]
        raise SelectionMissedError(
            f"failed, but not selected by any change since {since}: {', '.join(missed)}",
            hint="declare what the test depends on in its BUILD file",
        )


def gather(context: SelectionContext, requested_base: str | None) -> PipelineFacts:
    """Returns the pipeline's facts with those from git and GitLab."""
    revisions = context.revisions
    facts = replace(
        context.pipeline, requested=requested_base, history_problem=revisions.complete()
    )
    if facts.history_problem:
        return facts
    try:
        facts = replace(facts, parents=revisions.parents(), trunk=_trunk(facts, revisions))
        if requested_base is None and facts.on_default_branch:
            facts = _with_verified(facts, context)
        infos = {revision: revisions.info(revision) for revision in base_candidates(facts)}
        return replace(facts, revisions=infos)
    except HistoryError as error:
        return replace(facts, history_problem=error.message)


def _trunk(facts: PipelineFacts, revisions: RevisionHistory) -> str | None:
    if facts.on_laptop:
        return revisions.default_branch()
    if facts.requested is None and facts.on_other_branch and facts.default_branch:
        revisions.fetch(facts.default_branch)
    return f"origin/{facts.default_branch}" if facts.default_branch else None


def _with_verified(facts: PipelineFacts, context: SelectionContext) -> PipelineFacts:
    try:
        verified = tuple(
            VerifiedRevision(
                environment,
                service,
                context.deployments.last_verified(gitlab_environment(environment, service)),
            )
            for environment in context.environments
            for service in sorted(context.services)
        )
    except DeploymentsError as error:
        return replace(facts, verified_problem=error.message)
    return replace(facts, verified=verified)


def _require_known(facts: PipelineFacts) -> None:
    """Raises UsageError for an unknown name. An unknown id is no error: its commit may be gone, and all is selected."""
    requested = facts.requested
    if not requested or facts.history_problem or re.fullmatch("[0-9a-fA-F]{7,64}", requested):
        return
    if facts.info(requested).sha is None:
        raise UsageError(
            f"--base {requested}: this clone has no such revision; nothing was selected",
            hint="`git branch --all` lists the branches; or leave --base out",
        )


def _select(context: SelectionContext, base: Base, facts: PipelineFacts) -> Selection:
    services, uncommitted = context.services.values(), facts.on_laptop
    differences = {
        revision: context.revisions.changed(revision, uncommitted=uncommitted)
        for revision in base.revisions
    }
    paths = {path for difference in differences.values() for path in difference}
    if not paths:
        nothing = dict.fromkeys(base.revisions, frozenset[str]())
        empty = Selection(Mode.CHANGED, base.revision, base.reason)
        return _with_pending(context, facts, empty, nothing)
    if reason := reason_to_select_all(paths, context.graphs.macros()):
        return _all(context, base, reason)
    context.say(f"{len(paths)} files changed")
    graph = context.graphs.read()
    targets: dict[str, ReachedTarget] = {}
    services_since: dict[str, frozenset[str]] = {}
    for revision, difference in differences.items():
        changes = _changes(context.revisions, revision, difference, graph, uncommitted=uncommitted)
        old_graph = _old_graph(context, revision, changes)
        if reason := reason_graph_cannot_tell(changes, graph, old_graph, services):
            return _all(context, base, reason)
        reached = reached_targets(changes, graph, old_graph)
        services_since[revision] = services_reached(reached, graph, services)
        for target in reached:
            first = targets.setdefault(target.address, target)
            targets[target.address] = replace(first, direct=first.direct or target.direct)
    listed = [targets[address] for address in sorted(targets)]
    selection = select(base, listed, graph, services)
    return _with_pending(context, facts, selection, services_since)


def _with_pending(
    context: SelectionContext,
    facts: PipelineFacts,
    selection: Selection,
    services_since: Mapping[str, frozenset[str]],
) -> Selection:
    names = {service.name for service in selection.services}
    deploys = pending_deploys(facts, context.environments, context.services, names, services_since)
    return replace(selection, deploys=deploys)


def _changes(
    revisions: RevisionHistory,
    since: str,
    difference: Mapping[str, bool],
    graph: TargetGraph,
    *,
    uncommitted: bool,
) -> tuple[FileChange, ...]:
    def requirements(path: str) -> RequirementsDiff | None:
        deleted = difference[path]
        if deleted or not graph.feeds_requirements(path):
            return None
        diff = diff_locks if graph.is_lock(path) else diff_requirements
        now = None if uncommitted else "HEAD"
        return diff(revisions.text(since, path), revisions.text(now, path))

    return tuple(
        FileChange(path, deleted, requirements(path))
        for path, deleted in sorted(difference.items())
    )


def _old_graph(
    context: SelectionContext, revision: str, changes: Sequence[FileChange]
) -> TargetGraph | None:
    """Returns the graph before the change if dependents have to be looked up in it, else None."""
    path = next((change.path for change in changes if change.needs_old_graph), None)
    if path is None:
        return None
    context.say(f"{path} was deleted or changed: the targets of {revision[:12]} count too")
    return context.graphs.read(revision)
