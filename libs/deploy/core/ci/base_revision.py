"""Chooses the revision a change is measured against, for every kind of pipeline; never asks git or GitLab.

Where no revision can be trusted it chooses everything, with the reason.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True)
class Seen:
    """What git says of a revision: its full name (None: it isn't there), where it meets HEAD, how far back."""

    sha: str | None = None
    merge_bases: tuple[str, ...] = ()
    behind: int = 0

    @property
    def is_ancestor(self) -> bool:
        """Whether HEAD contains it."""
        return self.sha is not None and self.merge_bases == (self.sha,)


@dataclass(frozen=True)
class Verified:
    """The revision that GitLab last recorded as verified for a service in an environment; None: no one yet."""

    environment: str
    service: str
    revision: str | None


@dataclass(frozen=True)
class PipelineFacts:
    """All that the choice of a base depends on.

    The first part is what GitLab's variables say, all empty on a laptop
    (https://docs.gitlab.com/ci/variables/predefined_variables/). `trunk` is the default branch as git
    names it, `asked` is --base, `seen` is by revision as `candidates` names them. `trouble` says why the
    clone's history can't be trusted, `unverified` why nobody knows what was verified.
    """

    source: str = ""
    event: str = ""
    branch: str = ""
    default_branch: str = ""
    tag: str = ""
    before: str = ""
    diff_base: str = ""

    asked: str | None = None
    trunk: str = ""
    parents: tuple[str, ...] = ()
    seen: Mapping[str, Seen] = field(default_factory=dict)
    verified: tuple[Verified, ...] = ()
    unverified: str = ""
    trouble: str = ""

    @property
    def on_laptop(self) -> bool:
        """Whether no pipeline runs this, so that what isn't committed counts too."""
        return not self.source

    @property
    def on_default_branch(self) -> bool:
        """Whether this is a push to the default branch."""
        on_branch = self.source == "push" and not self.tag and bool(self.branch)
        return on_branch and self.branch == self.default_branch

    @property
    def on_other_branch(self) -> bool:
        """Whether this is a push to a branch that isn't the default one."""
        return self.source == "push" and not self.tag and self.branch != self.default_branch


@dataclass(frozen=True)
class Base:
    """The revision a change is measured against (None: everything) and why.

    `also` are further revisions whose difference to HEAD counts too: a service that was verified later
    than the base may run a change that was taken back since, which the base alone doesn't show.
    """

    revision: str | None
    reason: str
    also: tuple[str, ...] = ()

    @property
    def revisions(self) -> tuple[str, ...]:
        """All of them."""
        return () if self.revision is None else (self.revision, *self.also)


class Revisions(Protocol):
    """The history of a checkout. Every method but `trouble` raises HistoryError."""

    def trouble(self) -> str:
        """Completes a shallow clone; returns why its history can't be trusted, "" where it can."""
        ...

    def fetch(self, branch: str) -> None:
        """Brings origin's branch, where the clone has none of it, as `origin/BRANCH`."""
        ...

    def trunk(self) -> str:
        """Returns the default branch as a laptop's clone knows it, "" where it knows none."""
        ...

    def parents(self) -> tuple[str, ...]:
        """Returns HEAD's parents."""
        ...

    def see(self, revision: str) -> Seen:
        """Returns what git knows of a revision."""
        ...

    def changed(self, since: str, *, uncommitted: bool) -> Mapping[str, bool]:
        """Returns the files that differ from a revision, each with whether it is gone; no renames."""
        ...

    def text(self, revision: str | None, path: str) -> str:
        """Returns a file as it was at a revision (None: as it lies there), "" where it was not."""
        ...

    def tree(self, revision: str) -> AbstractContextManager[str]:
        """Unpacks a revision into a folder that lives as long as the context."""
        ...


class Deployments(Protocol):
    """What GitLab recorded of deployments."""

    def last_verified(self, environment: str) -> str | None:
        """Returns the revision of an environment's last success, None for none. Raises DeploymentsError."""
        ...


def gitlab_environment(environment: str, service: str) -> str:
    """Returns GitLab's name for a service in an environment: verified revisions are kept under it."""
    return f"{environment}/{service}"


def candidates(facts: PipelineFacts) -> tuple[str, ...]:
    """Returns the revisions that git has to be asked about before a base can be chosen."""
    if facts.asked is not None:
        named = [facts.asked]
    elif facts.source == "merge_request_event":
        named = [*facts.parents[:1], facts.diff_base]
    elif facts.on_default_branch:
        named = [*(each.revision or "" for each in facts.verified), facts.before]
    else:
        named = [facts.trunk]
    return tuple(dict.fromkeys(each for each in named if each.strip("0")))


def choose_base(facts: PipelineFacts) -> Base:
    """Chooses the base for every kind of pipeline and for a laptop."""
    if facts.trouble:
        return _everything(facts.trouble)
    if facts.asked is not None:
        return _meeting(facts, facts.asked, f"where HEAD left {facts.asked}, as --base says")
    if facts.tag:
        return _everything(
            f"a pipeline for the tag {facts.tag} has no base: a tag stands for itself"
        )
    if facts.source == "merge_request_event":
        return _of_merge_request(facts)
    if facts.on_default_branch:
        return _of_default_branch(facts)
    if facts.on_other_branch:
        if not facts.trunk:
            return _everything("CI_DEFAULT_BRANCH is not set: nothing says where the branch began")
        return _meeting(facts, facts.trunk, f"where the branch {facts.branch} left {facts.trunk}")
    if facts.on_laptop:
        if not facts.trunk:
            return _everything(
                "this clone knows no default branch to measure against; --base names one"
            )
        return _meeting(facts, facts.trunk, f"where HEAD left {facts.trunk}")
    if facts.source == "push":
        return _everything("CI_COMMIT_BRANCH is not set: nothing says what was pushed")
    return _everything(f"a pipeline of source {facts.source} has no base")


def _of_merge_request(facts: PipelineFacts) -> Base:
    if facts.event in {"merged_result", "merge_train"} and len(facts.parents) > 1:
        kind = "merged result" if facts.event == "merged_result" else "merge train"
        return _ancestor(
            facts, facts.parents[0], f"{kind}: HEAD's first parent, what it is merged into"
        )
    # With fast-forward merges a merged result is no merge: HEAD's parent would be its last commit but one.
    if not facts.diff_base:
        return _everything("a merge request, but CI_MERGE_REQUEST_DIFF_BASE_SHA is not set")
    return _ancestor(
        facts,
        facts.diff_base,
        "merge request: where its branch began, CI_MERGE_REQUEST_DIFF_BASE_SHA",
    )


def _of_default_branch(facts: PipelineFacts) -> Base:
    if facts.unverified:
        return _everything(facts.unverified)
    for each in facts.verified:
        if each.revision is None:
            return _everything(f"{each.service} has no verified release in {each.environment} yet")
    kept, strayed = _verified_by_revision(facts)
    if strayed or not kept:
        return _of_push(facts, kept, strayed)
    first, *newer = kept
    known = "the oldest verified revision" if newer else "the last verified revision"
    of = next(each for each in facts.verified if _seen(facts, each.revision).sha == first)
    return Base(first, f"{known}: {of.service} in {of.environment}", tuple(newer))


def _verified_by_revision(facts: PipelineFacts) -> tuple[tuple[str, ...], tuple[Verified, ...]]:
    """Returns the verified revisions that HEAD contains, oldest first, and what was verified elsewhere."""
    strayed = tuple(e for e in facts.verified if not _seen(facts, e.revision).is_ancestor)
    kept = {_seen(facts, e.revision) for e in facts.verified if e not in strayed}
    ordered = sorted(kept, key=lambda seen: (-seen.behind, seen.sha))
    return tuple(seen.sha for seen in ordered if seen.sha), strayed


def _of_push(facts: PipelineFacts, kept: tuple[str, ...], strayed: Sequence[Verified]) -> Base:
    because = "no environment verifies anything"
    if strayed:
        one = strayed[0]
        where = f"verified for {one.service} in {one.environment}"
        because = f"{_short(one.revision)}, {where}, is not in HEAD's history"
    if not facts.before.strip("0"):
        return _everything(f"{because}, and this is the branch's first push")
    if not _seen(facts, facts.before).is_ancestor:
        return _everything(f"{because}, nor is what the branch was before: it was force-pushed")
    base = _ancestor(facts, facts.before, f"what the branch was before the push ({because})")
    return Base(base.revision, base.reason, tuple(each for each in kept if each != base.revision))


def _ancestor(facts: PipelineFacts, revision: str, reason: str) -> Base:
    seen = _seen(facts, revision)
    if seen.sha is None:
        return _everything(f"{_short(revision)} is not in this clone ({reason})")
    if not seen.is_ancestor:
        return _everything(f"{_short(revision)} is not in HEAD's history ({reason})")
    return Base(seen.sha, reason)


def _meeting(facts: PipelineFacts, revision: str, reason: str) -> Base:
    seen = _seen(facts, revision)
    if seen.sha is None:
        return _everything(f"{revision or 'an empty name'} is no revision in this clone ({reason})")
    match seen.merge_bases:
        case ():
            return _everything(f"HEAD has no history in common with {revision}")
        case (one,):
            return Base(one, reason)
        case several:
            return _everything(
                f"HEAD and {revision} were merged crosswise: git names {len(several)} merge bases"
            )


def _seen(facts: PipelineFacts, revision: str | None) -> Seen:
    return facts.seen.get(revision or "", Seen())


def _short(revision: str | None) -> str:
    return (revision or "")[:12]


def _everything(reason: str) -> Base:
    return Base(None, reason)
