from dataclasses import replace

import pytest

from deploy.core.ci.base_revision import (
    Base,
    PipelineFacts,
    Seen,
    Verified,
    candidates,
    choose_base,
    gitlab_environment,
)

A, B, C, HEAD = ("a" * 40, "b" * 40, "c" * 40, "d" * 40)
ZEROS = "0" * 40
BEGAN = "merge request: where its branch began, CI_MERGE_REQUEST_DIFF_BASE_SHA"
STRAYED = "aaaaaaaaaaaa, verified for app in production, is not in HEAD's history"


def ancestor(sha: str, behind: int = 1) -> Seen:
    return Seen(sha, (sha,), behind)


STRAY = Seen(B, (C,), 3)

MERGE_REQUEST = PipelineFacts(
    source="merge_request_event",
    event="detached",
    default_branch="main",
    diff_base=A,
    before=ZEROS,
    parents=(B,),
    seen={A: ancestor(A)},
)
MERGED = replace(
    MERGE_REQUEST, event="merged_result", parents=(B, C), seen={A: ancestor(A), B: ancestor(B)}
)
PUSH = PipelineFacts(
    source="push",
    branch="main",
    default_branch="main",
    before=B,
    trunk="origin/main",
    verified=(Verified("production", "app", A),),
    seen={A: ancestor(A, 5), B: ancestor(B, 2)},
)
BRANCH = PipelineFacts(
    source="push",
    branch="topic",
    default_branch="main",
    before=B,
    trunk="origin/main",
    seen={"origin/main": Seen(B, (A,), 3)},
)
LAPTOP = PipelineFacts(trunk="origin/main", seen={"origin/main": Seen(B, (A,), 3)})


@pytest.mark.parametrize(
    ("facts", "revision", "reason"),
    [
        (MERGE_REQUEST, A, BEGAN),
        (MERGED, B, "merged result: HEAD's first parent, what it is merged into"),
        (
            replace(MERGED, event="merge_train"),
            B,
            "merge train: HEAD's first parent, what it is merged into",
        ),
        # Fast-forward: HEAD's parent is but the last commit of the branch.
        (
            replace(MERGED, parents=(B,)),
            A,
            BEGAN,
        ),
        (PUSH, A, "the last verified revision: app in production"),
        (
            replace(PUSH, seen={A: STRAY, B: ancestor(B)}),
            B,
            f"what the branch was before the push ({STRAYED})",
        ),
        (
            replace(PUSH, verified=()),
            B,
            "what the branch was before the push (no environment verifies anything)",
        ),
        (BRANCH, A, "where the branch topic left origin/main"),
        (LAPTOP, A, "where HEAD left origin/main"),
        (
            replace(LAPTOP, asked="HEAD~2", seen={"HEAD~2": ancestor(C)}),
            C,
            "where HEAD left HEAD~2, as --base says",
        ),
        # What is asked for comes before what the pipeline says.
        (
            replace(PUSH, asked="v1", seen={"v1": ancestor(C)}),
            C,
            "where HEAD left v1, as --base says",
        ),
    ],
)
def test_each_kind_of_pipeline_has_its_base(
    facts: PipelineFacts, revision: str, reason: str
) -> None:
    assert choose_base(facts) == Base(revision, reason)


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        (
            replace(MERGE_REQUEST, diff_base=""),
            "a merge request, but CI_MERGE_REQUEST_DIFF_BASE_SHA is not set",
        ),
        (
            replace(MERGE_REQUEST, seen={}),
            f"aaaaaaaaaaaa is not in this clone ({BEGAN})",
        ),
        (
            replace(MERGE_REQUEST, seen={A: Seen(A, (C,))}),
            f"aaaaaaaaaaaa is not in HEAD's history ({BEGAN})",
        ),
        (
            replace(PUSH, unverified="GitLab's deployments can't be asked: status 503"),
            "GitLab's deployments can't be asked: status 503",
        ),
        (
            replace(PUSH, verified=(Verified("production", "app", None),)),
            "app has no verified release in production yet",
        ),
        (
            replace(PUSH, verified=(), before=ZEROS),
            "no environment verifies anything, and this is the branch's first push",
        ),
        (
            replace(PUSH, seen={A: STRAY, B: Seen(B, (C,))}),
            f"{STRAYED}, nor is what the branch was before: it was force-pushed",
        ),
        (
            replace(PUSH, seen={}),
            f"{STRAYED}, nor is what the branch was before: it was force-pushed",
        ),
        (
            replace(BRANCH, trunk=""),
            "CI_DEFAULT_BRANCH is not set: nothing says where the branch began",
        ),
        (
            replace(BRANCH, seen={"origin/main": Seen(B, (A, C))}),
            "HEAD and origin/main were merged crosswise: git names 2 merge bases",
        ),
        (
            replace(BRANCH, seen={"origin/main": Seen(B, ())}),
            "HEAD has no history in common with origin/main",
        ),
        (
            replace(PUSH, tag="v1", branch=""),
            "a pipeline for the tag v1 has no base: a tag stands for itself",
        ),
        (replace(PUSH, source="schedule"), "a pipeline of source schedule has no base"),
        (replace(PUSH, source="web"), "a pipeline of source web has no base"),
        (
            replace(PUSH, source="parent_pipeline"),
            "a pipeline of source parent_pipeline has no base",
        ),
        (replace(PUSH, source="unknown"), "a pipeline of source unknown has no base"),
        (
            replace(LAPTOP, trunk=""),
            "this clone knows no default branch to measure against; --base names one",
        ),
        (
            replace(LAPTOP, asked=ZEROS),
            f"{ZEROS} is no revision in this clone (where HEAD left {ZEROS}, as --base says)",
        ),
        (
            replace(LAPTOP, asked="", seen={}),
            "an empty name is no revision in this clone (where HEAD left , as --base says)",
        ),
        (replace(MERGE_REQUEST, trouble="this is no git checkout"), "this is no git checkout"),
    ],
)
def test_what_cannot_be_trusted_runs_everything_with_the_reason(
    facts: PipelineFacts, reason: str
) -> None:
    assert choose_base(facts) == Base(None, reason)


def test_the_oldest_verified_revision_is_the_base_and_the_newer_ones_count_too() -> None:
    facts = replace(
        PUSH,
        verified=(
            Verified("production", "app", B),
            Verified("production", "other", A),
            Verified("staging", "app", B),
            Verified("staging", "other", C),
        ),
        seen={A: ancestor(A, 9), B: ancestor(B, 2), C: ancestor(C, 5)},
    )
    assert choose_base(facts) == Base(
        A, "the oldest verified revision: other in production", also=(C, B)
    )


def test_where_one_service_strayed_what_the_others_lack_still_counts() -> None:
    facts = replace(
        PUSH,
        verified=(Verified("production", "app", C), Verified("production", "other", A)),
        seen={A: ancestor(A, 9), B: ancestor(B, 2), C: Seen(C, (A,))},
    )
    base = choose_base(facts)
    assert (base.revision, base.also) == (B, (A,))


@pytest.mark.parametrize(
    ("facts", "named"),
    [
        (MERGE_REQUEST, (B, A)),
        (MERGED, (B, A)),
        (PUSH, (A, B)),
        (replace(PUSH, before=ZEROS), (A,)),
        (BRANCH, ("origin/main",)),
        (LAPTOP, ("origin/main",)),
        (replace(PUSH, asked="v1"), ("v1",)),
        (replace(PUSH, asked=ZEROS), ()),
    ],
)
def test_git_is_asked_about_what_may_be_the_base(
    facts: PipelineFacts, named: tuple[str, ...]
) -> None:
    assert candidates(facts) == named


def test_verified_revisions_are_kept_by_environment_and_service() -> None:
    assert gitlab_environment("production", "app") == "production/app"
