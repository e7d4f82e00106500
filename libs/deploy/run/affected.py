"""Finds out what a change reaches: asks for the facts, has them judged; never guesses less than everything."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from deploy.core.ci.base_revision import (
    Base,
    Deployments,
    PipelineFacts,
    Revisions,
    Verified,
    candidates,
    choose_base,
    gitlab_environment,
)
from deploy.core.ci.pending_deploys import due
from deploy.core.ci.requirements_diff import (
    Touched,
    touched_by_lock,
    touched_by_requirements,
)
from deploy.core.ci.selection import (
    Selection,
    everything_because,
    everything_unless_owned,
    missed,
    select,
    select_all,
    services_reached,
)
from deploy.core.ci.target_graph import (
    Change,
    Graph,
    Graphs,
    Reached,
    explain,
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
    """Everything outside that a selection is made from; `environments` are those that verify releases."""

    pipeline: PipelineFacts
    revisions: Revisions
    graphs: Graphs
    deployments: Deployments
    services: Mapping[str, Service]
    environments: Sequence[str]
    say: Say


def affected(grounds: SelectionContext, asked: str | None = None) -> Selection:
    """Returns what a change reaches, measured against `asked` or what the pipeline says.

    Raises UsageError where `asked` is a name that nothing bears.
    """
    facts = gather(grounds, asked)
    _require_known(facts)
    base = choose_base(facts)
    if base.revision is None:
        return _all(grounds, base, base.reason)
    grounds.say(f"the base is {base.revision[:12]}: {base.reason}")
    try:
        return _analyse(grounds, base, facts)
    except (HistoryError, GraphError) as error:
        return _all(grounds, base, error.message)


def _all(grounds: SelectionContext, base: Base, reason: str) -> Selection:
    return select_all(base.revision, reason, grounds.services.values(), grounds.environments)


def recorded(grounds: SelectionContext, environment: str) -> str | None:
    """Returns the revision that GitLab last recorded for an environment, None for none or where it can't say.

    None is the base that the pipeline says, which for a schedule is everything.
    """
    try:
        found = grounds.deployments.last_verified(environment)
    except DeploymentsError as error:
        grounds.say(error.message)
        return None
    if found is None:
        grounds.say(f"GitLab has recorded no revision for {environment} yet")
    return found


def require_none_missed(selection: Selection, failed: Iterable[str]) -> None:
    """Holds the failed tests of a full run against the selection for all that changed since the last one.

    Raises SelectionMissedError.
    """
    found = missed(failed, selection)
    if found:
        since = (selection.base or "")[:12]
        raise SelectionMissedError(
            f"failed, but not selected by any change since {since}: {', '.join(found)}",
            hint="name what the test depends on in its BUILD file",
        )


def gather(grounds: SelectionContext, asked: str | None) -> PipelineFacts:
    """Returns the pipeline's facts with all that git and GitLab say of them."""
    revisions = grounds.revisions
    facts = replace(grounds.pipeline, asked=asked, trouble=revisions.trouble())
    if facts.trouble:
        return facts
    try:
        facts = replace(facts, parents=revisions.parents(), trunk=_trunk(facts, revisions))
        if asked is None and facts.on_default_branch:
            facts = _with_verified(facts, grounds)
        return replace(facts, seen={each: revisions.see(each) for each in candidates(facts)})
    except HistoryError as error:
        return replace(facts, trouble=error.message)


def _trunk(facts: PipelineFacts, revisions: Revisions) -> str:
    if facts.on_laptop:
        return revisions.trunk()
    if facts.asked is None and facts.on_other_branch and facts.default_branch:
        revisions.fetch(facts.default_branch)
    return f"origin/{facts.default_branch}" if facts.default_branch else ""


def _with_verified(facts: PipelineFacts, grounds: SelectionContext) -> PipelineFacts:
    try:
        verified = tuple(
            Verified(
                where, name, grounds.deployments.last_verified(gitlab_environment(where, name))
            )
            for where in grounds.environments
            for name in sorted(grounds.services)
        )
    except DeploymentsError as error:
        return replace(facts, unverified=error.message)
    return replace(facts, verified=verified)


def _require_known(facts: PipelineFacts) -> None:
    """A mistyped name is the caller's to mend; a revision that is gone is no reason to test less."""
    asked = facts.asked
    if not asked or facts.trouble or re.fullmatch("[0-9a-fA-F]{7,64}", asked):
        return
    if facts.seen[asked].sha is None:
        raise UsageError(
            f"--base {asked}: this clone has no such revision; nothing was selected",
            hint="git branch --all; or leave --base out",
        )


def _analyse(grounds: SelectionContext, base: Base, facts: PipelineFacts) -> Selection:
    services, uncommitted = grounds.services.values(), facts.on_laptop
    differences = {
        each: grounds.revisions.changed(each, uncommitted=uncommitted) for each in base.revisions
    }
    paths = {path for difference in differences.values() for path in difference}
    if not paths:
        unchanged = dict.fromkeys(base.revisions, frozenset[str]())
        return _with_due(
            grounds, facts, Selection("changed", base.revision, base.reason), unchanged
        )
    because = everything_because(paths, grounds.graphs.macros())
    if because:
        return _all(grounds, base, because)
    grounds.say(f"{len(paths)} files changed; Pants lists the targets ... (usually 20 s)")
    graph = grounds.graphs.read()
    ways: dict[str, Reached] = {}
    since: dict[str, frozenset[str]] = {}
    for revision, difference in differences.items():
        changes = _changes(grounds.revisions, revision, difference, graph, uncommitted=uncommitted)
        old_graph = _old_graph(grounds, revision, changes)
        because = everything_unless_owned(changes, graph, old_graph, services)
        if because:
            return _all(grounds, base, because)
        found = explain(changes, graph, old_graph)
        since[revision] = services_reached(found, graph, services)
        for each in found:
            known = ways.setdefault(each.address, each)
            ways[each.address] = replace(known, direct=known.direct or each.direct)
    selection = select(base, [ways[each] for each in sorted(ways)], graph, services)
    return _with_due(grounds, facts, selection, since)


def _with_due(
    grounds: SelectionContext,
    facts: PipelineFacts,
    selection: Selection,
    since: Mapping[str, frozenset[str]],
) -> Selection:
    reached = {each.name for each in selection.services}
    deploys = due(facts, grounds.environments, grounds.services, reached, since)
    return replace(selection, deploys=deploys)


def _changes(
    revisions: Revisions,
    since: str,
    difference: Mapping[str, bool],
    graph: Graph,
    *,
    uncommitted: bool,
) -> tuple[Change, ...]:
    def touched(path: str) -> Touched | None:
        if not graph.feeds_requirements(path) or difference[path]:
            return None
        judge = touched_by_lock if graph.is_lock(path) else touched_by_requirements
        now = None if uncommitted else "HEAD"
        return judge(revisions.text(since, path), revisions.text(now, path))

    return tuple(Change(path, gone, touched(path)) for path, gone in sorted(difference.items()))


def _old_graph(grounds: SelectionContext, revision: str, changes: Sequence[Change]) -> Graph | None:
    """What depended on something that is gone, only the graph before the change knows."""
    because = next((each.path for each in changes if each.needs_old_graph), None)
    if because is None:
        return None
    grounds.say(f"{because} is gone or changed: Pants lists the targets of {revision[:12]}, too")
    with grounds.revisions.tree(revision) as folder:
        return grounds.graphs.read(folder)
