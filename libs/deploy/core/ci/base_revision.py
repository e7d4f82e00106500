"""Chooses the base revision: the revision that a change is compared with, for every kind of pipeline.

If no revision can be trusted, there is no base, with the reason, and everything is selected.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True)
class RevisionInfo:
    """What git reports of a revision.

    `sha` is its full id, None if the clone doesn't have it. `merge_bases` are those with HEAD, `behind` is how many
    commits of HEAD's history it lacks.
    """

    sha: str | None = None
    merge_bases: tuple[str, ...] = ()
    behind: int = 0

    @property
    def is_ancestor(self) -> bool:
        """Whether HEAD contains it."""
        return self.sha is not None and self.merge_bases == (self.sha,)


@dataclass(frozen=True)
class VerifiedRevision:
    """The revision that GitLab last recorded as verified for a service in an environment, None if there is none."""

    environment: str
    service: str
    revision: str | None


@dataclass(frozen=True)
class PipelineFacts:
    """Everything that the choice of a base depends on.

    The first part comes from GitLab's variables; all of it is None on a laptop
    (https://docs.gitlab.com/ci/variables/predefined_variables/). `requested` is --base, `trunk` the default branch in
    git's notation. `revisions` has an entry for each of `base_candidates`. `history_problem` is why the clone's history
    can't be trusted, `verified_problem` why the verified revisions are unknown.
    """

    source: str | None = None
    event: str | None = None
    branch: str | None = None
    default_branch: str | None = None
    tag: str | None = None
    before: str | None = None
    diff_base: str | None = None

    requested: str | None = None
    trunk: str | None = None
    parents: tuple[str, ...] = ()
    revisions: Mapping[str, RevisionInfo] = field(default_factory=dict)
    verified: tuple[VerifiedRevision, ...] = ()
    verified_problem: str | None = None
    history_problem: str | None = None

    @property
    def on_laptop(self) -> bool:
        """Whether no pipeline runs this; uncommitted files count then, too."""
        return self.source is None

    @property
    def on_default_branch(self) -> bool:
        """Whether this is a push to the default branch."""
        on_branch = self.source == "push" and not self.tag and self.branch is not None
        return on_branch and self.branch == self.default_branch

    @property
    def on_other_branch(self) -> bool:
        """Whether this is a push to a branch other than the default one."""
        return self.source == "push" and not self.tag and self.branch != self.default_branch

    def info(self, revision: str | None) -> RevisionInfo:
        """Returns what git reports of a revision."""
        return self.revisions.get(revision or "", RevisionInfo())


@dataclass(frozen=True)
class Base:
    """The revision that a change is compared with (None: select everything), and the reason.

    The differences between HEAD and each of `also` count too: a service that was verified later than the base may run
    a change that was undone since, which a comparison with the base doesn't show.
    """

    revision: str | None
    reason: str
    also: tuple[str, ...] = ()

    @property
    def revisions(self) -> tuple[str, ...]:
        """The base and `also`."""
        return () if self.revision is None else (self.revision, *self.also)


class RevisionHistory(Protocol):
    """The history of a checkout. Every method but `complete` raises HistoryError."""

    def complete(self) -> str | None:
        """Fetches the rest of a shallow clone. Returns why the history can't be trusted, None if it can."""
        ...

    def fetch(self, branch: str) -> None:
        """Fetches origin's branch as `origin/BRANCH` unless the clone has it."""
        ...

    def default_branch(self) -> str | None:
        """Returns the default branch in a laptop's clone, such as `origin/main`, None if it is unknown."""
        ...

    def parents(self) -> tuple[str, ...]:
        """Returns HEAD's parents."""
        ...

    def info(self, revision: str) -> RevisionInfo:
        """Returns what git reports of a revision."""
        ...

    def changed(self, since: str, *, uncommitted: bool) -> Mapping[str, bool]:
        """Returns the files that differ from a revision, each with whether it was deleted. Renames are not detected."""
        ...

    def text(self, revision: str | None, path: str) -> str:
        """Returns a file's text in a revision (None: in the folder), "" if there is no such file."""
        ...


class Deployments(Protocol):
    """GitLab's record of deployments."""

    def last_verified(self, environment: str) -> str | None:
        """Returns the revision of an environment's last success, None if there is none. Raises DeploymentsError."""
        ...


def gitlab_environment(environment: str, service: str) -> str:
    """Returns the name of the GitLab environment in which verified revisions of a service are recorded."""
    return f"{environment}/{service}"


def base_candidates(facts: PipelineFacts) -> tuple[str, ...]:
    """Returns the revisions that `choose_base` needs to know about."""
    revisions: list[str | None]
    if facts.requested is not None:
        revisions = [facts.requested]
    elif facts.source == "merge_request_event":
        revisions = [*facts.parents[:1], facts.diff_base]
    elif facts.on_default_branch:
        revisions = [*(verified.revision for verified in facts.verified), facts.before]
    else:
        revisions = [facts.trunk]
    return tuple(dict.fromkeys(each for each in revisions if each and not _is_null(each)))


def choose_base(facts: PipelineFacts) -> Base:
    """Chooses the base for a pipeline of any kind or for a laptop."""
    if facts.history_problem:
        return _no_base(facts.history_problem)
    if facts.requested is not None:
        return _merge_base(
            facts, facts.requested, f"where HEAD branched off {facts.requested}, as --base requests"
        )
    if facts.tag:
        return _no_base(f"a pipeline for the tag {facts.tag} has no base")
    if facts.source == "merge_request_event":
        return _merge_request_base(facts)
    if facts.on_default_branch:
        return _default_branch_base(facts)
    if facts.on_other_branch:
        if not facts.trunk:
            return _no_base("CI_DEFAULT_BRANCH is not set, so the start of the branch is unknown")
        return _merge_base(
            facts, facts.trunk, f"where the branch {facts.branch} branched off {facts.trunk}"
        )
    if facts.on_laptop:
        if not facts.trunk:
            return _no_base("this clone has no default branch to compare with; --base names one")
        return _merge_base(facts, facts.trunk, f"where HEAD branched off {facts.trunk}")
    if facts.source == "push":
        return _no_base("CI_COMMIT_BRANCH is not set, so it is unknown what was pushed")
    return _no_base(f"a pipeline with the source {facts.source} has no base")


def _merge_request_base(facts: PipelineFacts) -> Base:
    if facts.event in {"merged_result", "merge_train"} and len(facts.parents) > 1:
        kind = "merged result" if facts.event == "merged_result" else "merge train"
        return _ancestor_base(
            facts, facts.parents[0], f"{kind}: HEAD's first parent, the target branch"
        )
    # With fast-forward merges a merged result is not a merge: HEAD's parent would be its second to last commit.
    if not facts.diff_base:
        return _no_base("a merge request, but CI_MERGE_REQUEST_DIFF_BASE_SHA is not set")
    return _ancestor_base(
        facts,
        facts.diff_base,
        "merge request: the start of its branch, CI_MERGE_REQUEST_DIFF_BASE_SHA",
    )


def _default_branch_base(facts: PipelineFacts) -> Base:
    if facts.verified_problem:
        return _no_base(facts.verified_problem)
    for verified in facts.verified:
        if verified.revision is None:
            return _no_base(
                f"{verified.service} has no verified release in {verified.environment} yet"
            )
    contained, elsewhere = _verified_revisions(facts)
    if elsewhere or not contained:
        return _push_base(facts, contained, elsewhere)
    oldest, *newer = contained
    which = "the oldest verified revision" if newer else "the last verified revision"
    of = next(each for each in facts.verified if facts.info(each.revision).sha == oldest)
    return Base(oldest, f"{which}: {of.service} in {of.environment}", tuple(newer))


def _verified_revisions(
    facts: PipelineFacts,
) -> tuple[tuple[str, ...], tuple[VerifiedRevision, ...]]:
    """Returns the verified revisions that HEAD contains, oldest first, and those that it doesn't contain."""
    elsewhere = tuple(
        verified for verified in facts.verified if not facts.info(verified.revision).is_ancestor
    )
    contained = {
        facts.info(verified.revision) for verified in facts.verified if verified not in elsewhere
    }
    ordered = sorted(contained, key=lambda info: (-info.behind, info.sha))
    return tuple(info.sha for info in ordered if info.sha), elsewhere


def _push_base(
    facts: PipelineFacts, contained: tuple[str, ...], elsewhere: Sequence[VerifiedRevision]
) -> Base:
    because = "no environment verifies releases"
    if elsewhere:
        first = elsewhere[0]
        verified_for = f"verified for {first.service} in {first.environment}"
        because = f"{_short(first.revision)}, {verified_for}, is not in HEAD's history"
    if not facts.before or _is_null(facts.before):
        return _no_base(f"{because}, and this is the branch's first push")
    if not facts.info(facts.before).is_ancestor:
        return _no_base(f"{because}, and the branch was force-pushed")
    base = _ancestor_base(facts, facts.before, f"the branch before the push ({because})")
    also = tuple(revision for revision in contained if revision != base.revision)
    return Base(base.revision, base.reason, also)


def _ancestor_base(facts: PipelineFacts, revision: str, reason: str) -> Base:
    """Returns the revision as the base if HEAD contains it."""
    info = facts.info(revision)
    if info.sha is None:
        return _no_base(f"{_short(revision)} is not in this clone ({reason})")
    if not info.is_ancestor:
        return _no_base(f"{_short(revision)} is not in HEAD's history ({reason})")
    return Base(info.sha, reason)


def _merge_base(facts: PipelineFacts, revision: str, reason: str) -> Base:
    """Returns the merge base of HEAD and the revision as the base."""
    info = facts.info(revision)
    if info.sha is None:
        return _no_base(f"{revision or 'an empty name'} is not a revision of this clone ({reason})")
    match info.merge_bases:
        case ():
            return _no_base(f"HEAD has no history in common with {revision}")
        case (one,):
            return Base(one, reason)
        case several:
            return _no_base(
                f"HEAD and {revision} were merged into each other and have {len(several)} merge bases"
            )


def _is_null(revision: str) -> bool:
    """Returns whether this is git's null id, which stands for no revision."""
    return not revision.strip("0")


def _short(revision: str | None) -> str:
    return (revision or "")[:12]


def _no_base(reason: str) -> Base:
    return Base(None, reason)
