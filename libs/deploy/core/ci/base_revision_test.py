from dataclasses import replace

import pytest

from deploy.core.ci.base_revision import (
    Base,
    PipelineFacts,
    RevisionInfo,
    VerifiedRevision,
    base_candidates,
    choose_base,
    gitlab_environment,
)

A, B, C, HEAD = ("a" * 40, "b" * 40, "c" * 40, "d" * 40)
ZEROS = "0" * 40
STARTED = "merge request: the start of its branch, CI_MERGE_REQUEST_DIFF_BASE_SHA"
ELSEWHERE = "aaaaaaaaaaaa, verified for app in production, is not in HEAD's history"


def ancestor(sha: str, behind: int = 1) -> RevisionInfo:
    return RevisionInfo(sha, (sha,), behind)


NOT_CONTAINED = RevisionInfo(B, (C,), 3)

MERGE_REQUEST = PipelineFacts(
    source="merge_request_event",
    event="detached",
    default_branch="main",
    diff_base=A,
    before=ZEROS,
    parents=(B,),
    revisions={A: ancestor(A)},
)
MERGED = replace(
    MERGE_REQUEST, event="merged_result", parents=(B, C), revisions={A: ancestor(A), B: ancestor(B)}
)
PUSH = PipelineFacts(
    source="push",
    branch="main",
    default_branch="main",
    before=B,
    trunk="origin/main",
    verified=(VerifiedRevision("production", "app", A),),
    revisions={A: ancestor(A, 5), B: ancestor(B, 2)},
)
BRANCH = PipelineFacts(
    source="push",
    branch="topic",
    default_branch="main",
    before=B,
    trunk="origin/main",
    revisions={"origin/main": RevisionInfo(B, (A,), 3)},
)
LAPTOP = PipelineFacts(trunk="origin/main", revisions={"origin/main": RevisionInfo(B, (A,), 3)})


@pytest.mark.parametrize(
    ("facts", "revision", "reason"),
    [
        (MERGE_REQUEST, A, STARTED),
        (MERGED, B, "merged result: HEAD's first parent, the target branch"),
        (
            replace(MERGED, event="merge_train"),
            B,
            "merge train: HEAD's first parent, the target branch",
        ),
        # Fast-forward: HEAD's parent is an earlier commit of the branch itself.
        (
            replace(MERGED, parents=(B,)),
            A,
            STARTED,
        ),
        (PUSH, A, "the last verified revision: app in production"),
        (
            replace(PUSH, revisions={A: NOT_CONTAINED, B: ancestor(B)}),
            B,
            f"the branch before the push ({ELSEWHERE})",
        ),
        (
            replace(PUSH, verified=()),
            B,
            "the branch before the push (no environment verifies releases)",
        ),
        (BRANCH, A, "where the branch topic branched off origin/main"),
        (LAPTOP, A, "where HEAD branched off origin/main"),
        (
            replace(LAPTOP, requested="HEAD~2", revisions={"HEAD~2": ancestor(C)}),
            C,
            "where HEAD branched off HEAD~2, as --base requests",
        ),
        # --base takes precedence over the pipeline.
        (
            replace(PUSH, requested="v1", revisions={"v1": ancestor(C)}),
            C,
            "where HEAD branched off v1, as --base requests",
        ),
    ],
)
def test_base_of_each_kind_of_pipeline(facts: PipelineFacts, revision: str, reason: str) -> None:
    assert choose_base(facts) == Base(revision, reason)


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        (
            replace(MERGE_REQUEST, diff_base=None),
            "a merge request, but CI_MERGE_REQUEST_DIFF_BASE_SHA is not set",
        ),
        (
            replace(MERGE_REQUEST, revisions={}),
            f"aaaaaaaaaaaa is not in this clone ({STARTED})",
        ),
        (
            replace(MERGE_REQUEST, revisions={A: RevisionInfo(A, (C,))}),
            f"aaaaaaaaaaaa is not in HEAD's history ({STARTED})",
        ),
        (
            replace(PUSH, verified_problem="GitLab's deployments can't be read: status 503"),
            "GitLab's deployments can't be read: status 503",
        ),
        (
            replace(PUSH, verified=(VerifiedRevision("production", "app", None),)),
            "app has no verified release in production yet",
        ),
        (
            replace(PUSH, verified=(), before=ZEROS),
            "no environment verifies releases, and this is the branch's first push",
        ),
        (
            replace(PUSH, revisions={A: NOT_CONTAINED, B: RevisionInfo(B, (C,))}),
            f"{ELSEWHERE}, and the branch was force-pushed",
        ),
        (
            replace(PUSH, revisions={}),
            f"{ELSEWHERE}, and the branch was force-pushed",
        ),
        (
            replace(BRANCH, trunk=None),
            "CI_DEFAULT_BRANCH is not set, so the start of the branch is unknown",
        ),
        (
            replace(BRANCH, revisions={"origin/main": RevisionInfo(B, (A, C))}),
            "HEAD and origin/main were merged into each other and have 2 merge bases",
        ),
        (
            replace(BRANCH, revisions={"origin/main": RevisionInfo(B, ())}),
            "HEAD has no history in common with origin/main",
        ),
        (
            replace(PUSH, tag="v1", branch=None),
            "a pipeline for the tag v1 has no base",
        ),
        (replace(PUSH, source="schedule"), "a pipeline with the source schedule has no base"),
        (replace(PUSH, source="web"), "a pipeline with the source web has no base"),
        (
            replace(PUSH, source="parent_pipeline"),
            "a pipeline with the source parent_pipeline has no base",
        ),
        (replace(PUSH, source="unknown"), "a pipeline with the source unknown has no base"),
        (
            replace(LAPTOP, trunk=None),
            "this clone has no default branch to compare with; --base names one",
        ),
        (
            replace(LAPTOP, requested=ZEROS),
            f"{ZEROS} is not a revision of this clone (where HEAD branched off {ZEROS}, as --base requests)",
        ),
        (
            replace(LAPTOP, requested="", revisions={}),
            "an empty name is not a revision of this clone (where HEAD branched off , as --base requests)",
        ),
        (
            replace(MERGE_REQUEST, history_problem="this is not a git checkout"),
            "this is not a git checkout",
        ),
    ],
)
def test_facts_that_cannot_be_trusted_give_no_base_and_the_reason(
    facts: PipelineFacts, reason: str
) -> None:
    assert choose_base(facts) == Base(None, reason)


def test_oldest_verified_revision_is_the_base_and_newer_ones_count_too() -> None:
    facts = replace(
        PUSH,
        verified=(
            VerifiedRevision("production", "app", B),
            VerifiedRevision("production", "other", A),
            VerifiedRevision("staging", "app", B),
            VerifiedRevision("staging", "other", C),
        ),
        revisions={A: ancestor(A, 9), B: ancestor(B, 2), C: ancestor(C, 5)},
    )
    assert choose_base(facts) == Base(
        A, "the oldest verified revision: other in production", also=(C, B)
    )


def test_other_verified_revisions_count_if_one_is_not_in_the_history() -> None:
    facts = replace(
        PUSH,
        verified=(
            VerifiedRevision("production", "app", C),
            VerifiedRevision("production", "other", A),
        ),
        revisions={A: ancestor(A, 9), B: ancestor(B, 2), C: RevisionInfo(C, (A,))},
    )
    base = choose_base(facts)
    assert (base.revision, base.also) == (B, (A,))


@pytest.mark.parametrize(
    ("facts", "candidates"),
    [
        (MERGE_REQUEST, (B, A)),
        (MERGED, (B, A)),
        (PUSH, (A, B)),
        (replace(PUSH, before=ZEROS), (A,)),
        (BRANCH, ("origin/main",)),
        (LAPTOP, ("origin/main",)),
        (replace(PUSH, requested="v1"), ("v1",)),
        (replace(PUSH, requested=ZEROS), ()),
    ],
)
def test_candidates_are_the_revisions_that_may_become_the_base(
    facts: PipelineFacts, candidates: tuple[str, ...]
) -> None:
    assert base_candidates(facts) == candidates


def test_gitlab_environment_names_environment_and_service() -> None:
    assert gitlab_environment("production", "app") == "production/app"
