"""Tests of every kind of pipeline and of known pitfalls, with real git repositories and a GitLab server."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from deploy.adapters.git.revisions import GitRevisions
from deploy.adapters.gitlab.deployments import GitlabDeployments, pipeline_facts
from deploy.core.ci.selection import Selection
from deploy.core.config import Service
from deploy.errors import SelectionMissedError, UsageError
from deploy.run.affected import SelectionContext, affected, recorded, require_none_missed
from deploy.testing.pants import LOCK, REQUIREMENTS, FolderGraphs
from deploy.testing.repository import Repository
from deploy.testing.servers.gitlab import MemoryGitlab, gitlab_server

ZEROS = "0" * 40
PINS = """\
flask==3.1.0 \\
    --hash=sha256:aa
    # via -r requirements.txt
jinja2==3.1.5 \\
    --hash=sha256:ba
    # via flask
psutil==7.0 \\
    --hash=sha256:da
    # via -r requirements.txt
"""


def service(name: str, *imports: str, settings: str = "") -> dict[str, str | None]:
    folder = f"services/{name}"
    lines = "".join(f"import {each}\n" for each in imports)
    return {
        f"{folder}/web.py": f"{lines}# reads {folder}/page.html\n",
        f"{folder}/page.html": "<p>",
        f"{folder}/web_test.py": f"import {name}.web\n",
        f"{folder}/Dockerfile": "FROM scratch\n",
        f"{folder}/service.toml": settings,
    }


TREE: Mapping[str, str | None] = {
    "libs/left/a.py": "",
    "libs/left/b.py": "import left.a\n",
    "libs/left/b_test.py": "import left.b\n",
    "libs/right/c.py": "",
    "libs/docs_test.py": "# reads docs/read.md\n",
    **service("one", "left.b", "flask"),
    **service("two", "left.a", "right.c"),
    **service("three", "psutil"),
    "docs/read.md": "",
    "docs/other.md": "",
    "pants.toml": "",
    "macros/services.py": "",
    REQUIREMENTS: "flask\npsutil\n",
    LOCK: PINS,
}


@dataclass
class Scene:
    """An origin with three services, a GitLab, and the selections of jobs and laptops."""

    origin: Repository
    folder: Path
    gitlab: MemoryGitlab
    api: str
    clones: int = 0
    environments: tuple[str, ...] = ("production",)
    messages: list[str] = field(default_factory=list)
    graphs: FolderGraphs = field(init=False)

    def job(self, revision: str, depth: int = 0, /, **variables: str) -> Selection:
        """Returns the selection of a pipeline's job, in a clone such as the runner makes, with GitLab's variables."""
        self.clones += 1
        clone = self.origin.fetched(self.folder / f"job-{self.clones}", revision, depth=depth)
        return self.select(
            clone.root,
            {
                "GITLAB_CI": "true",
                "CI_DEFAULT_BRANCH": "main",
                "CI_COMMIT_SHA": revision,
                "CI_COMMIT_BEFORE_SHA": ZEROS,
                "CI_API_V4_URL": self.api,
                "CI_PROJECT_ID": "42",
                "CI_JOB_TOKEN": "job-token",
                **variables,
            },
        )

    def merge_request(self, revision: str, base: str, *, depth: int = 0) -> Selection:
        """Returns the selection of a detached merge request's job."""
        return self.job(
            revision,
            depth,
            CI_PIPELINE_SOURCE="merge_request_event",
            CI_MERGE_REQUEST_EVENT_TYPE="detached",
            CI_MERGE_REQUEST_DIFF_BASE_SHA=base,
        )

    def push(self, revision: str, before: str = ZEROS, branch: str = "main") -> Selection:
        """Returns the selection of a push pipeline's job."""
        return self.job(
            revision,
            CI_PIPELINE_SOURCE="push",
            CI_COMMIT_BRANCH=branch,
            CI_COMMIT_BEFORE_SHA=before,
        )

    def laptop(self, root: Path, base: str | None = None) -> Selection:
        """Returns the selection on a laptop."""
        return self.select(root, {"HOME": "/root"}, base)

    def select(self, root: Path, environ: Mapping[str, str], base: str | None = None) -> Selection:
        return affected(self.context(root, environ), base)

    def context(self, root: Path, environ: Mapping[str, str]) -> SelectionContext:
        revisions = GitRevisions(root, lambda text: None)
        self.graphs = FolderGraphs(root, revisions.unpacked)
        return SelectionContext(
            pipeline_facts(environ),
            GitRevisions(root, self.messages.append),
            self.graphs,
            GitlabDeployments.of_job(environ),
            {each: Service(each, f"services/{each}:image") for each in ("one", "three", "two")},
            self.environments,
            self.messages.append,
        )

    def verify(self, where: str = "production", /, **revisions: str) -> None:
        """Records verified revisions, as the confirm job of each service does."""
        for name, revision in revisions.items():
            self.gitlab.record(f"{where}/{name}", revision)


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    origin = Repository.made(tmp_path / "origin")
    origin.commit(TREE)
    gitlab = MemoryGitlab()
    with gitlab_server(gitlab) as api:
        yield Scene(origin, tmp_path, gitlab, api)


def selected_tests(selection: Selection) -> list[str]:
    return [each.address.partition(":")[0] for each in selection.targets if each.goal == "test"]


def selected_services(selection: Selection) -> list[str]:
    return [each.name for each in selection.services]


def assert_everything(selection: Selection, reason: str) -> None:
    assert selection.mode == "all"
    assert reason in selection.reason
    assert {each.address for each in selection.targets} == {"::"}
    assert selected_services(selection) == ["one", "three", "two"]


# Kinds of pipelines.


def test_merge_request_is_compared_with_the_start_of_its_branch(scene: Scene) -> None:
    base = scene.origin.head
    scene.origin.branch("topic")
    head = scene.origin.commit({"libs/left/b.py": "import left.a\n# changed\n"})
    scene.origin.checkout("main")
    scene.origin.commit({"services/three/web.py": "# meanwhile\n"})
    selection = scene.merge_request(head, base)
    assert (selection.mode, selection.base) == ("changed", base)
    assert selected_tests(selection) == ["libs/left/b_test.py", "services/one/web_test.py"]
    assert selected_services(selection) == ["one"]
    assert [each.name for each in selection.images] == ["services/one:image"]
    assert selection.images[0].why == (
        *("libs/left/b.py", "services/one/web.py"),
        "services/one:image",
    )


@pytest.mark.parametrize("event", ["merged_result", "merge_train"])
def test_merged_result_is_compared_with_the_target_branch(scene: Scene, event: str) -> None:
    began = scene.origin.head
    scene.origin.branch("topic")
    scene.origin.commit({"libs/right/c.py": "# changed\n"})
    scene.origin.checkout("main")
    into = scene.origin.commit({"services/three/web.py": "# meanwhile\n"})
    scene.origin.branch("merged")
    head = scene.origin.merge("topic")
    selection = scene.job(
        head,
        CI_PIPELINE_SOURCE="merge_request_event",
        CI_MERGE_REQUEST_EVENT_TYPE=event,
        CI_MERGE_REQUEST_DIFF_BASE_SHA=began,
    )
    assert selection.base == into
    assert selected_tests(selection) == ["services/two/web_test.py"]


def test_merged_result_without_a_merge_is_compared_with_the_start_of_its_branch(
    scene: Scene,
) -> None:
    began = scene.origin.head
    scene.origin.commit({"libs/right/c.py": "# changed\n"})
    head = scene.origin.commit({"services/three/web.py": "# last\n"})
    selection = scene.job(
        head,
        CI_PIPELINE_SOURCE="merge_request_event",
        CI_MERGE_REQUEST_EVENT_TYPE="merged_result",
        CI_MERGE_REQUEST_DIFF_BASE_SHA=began,
    )
    assert selection.base == began
    assert selected_tests(selection) == ["services/three/web_test.py", "services/two/web_test.py"]


def test_default_branch_is_compared_with_the_verified_revision(scene: Scene) -> None:
    verified = scene.origin.head
    scene.verify(one=verified, two=verified, three=verified)
    before = scene.origin.commit({"services/three/web.py": "# its pipeline failed\n"})
    selection = scene.push(scene.origin.commit({"libs/right/c.py": "# now\n"}), before)
    assert selection.base == verified
    assert selected_services(selection) == ["three", "two"]


def test_oldest_verified_revision_is_the_base(scene: Scene) -> None:
    old = scene.origin.head
    new = scene.origin.commit({"libs/right/c.py": "# two has it, one has not\n"})
    scene.verify(one=old, three=new, two=new)
    selection = scene.push(scene.origin.commit({"docs/other.md": "now"}), new)
    assert selection.base == old
    assert "one in production" in selection.reason
    assert selected_services(selection) == ["two"]


def test_change_undone_since_a_newer_verified_revision_counts(scene: Scene) -> None:
    # libs/right/c.py is equal in HEAD and in the oldest verified revision, but not in the release of two that runs.
    old = scene.origin.head
    new = scene.origin.commit({"libs/right/c.py": "# a mistake\n"})
    scene.verify(one=old, three=old, two=new)
    selection = scene.push(scene.origin.commit({"libs/right/c.py": ""}), new)
    assert selection.base == old
    assert selected_services(selection) == ["two"]


def test_old_revision_is_the_base_after_a_rollback(scene: Scene) -> None:
    old = scene.origin.head
    new = scene.origin.commit({"services/one/web.py": "# bad\n"})
    scene.verify(one=new, two=new, three=new)
    scene.verify(one=old)
    selection = scene.push(scene.origin.commit({"docs/other.md": "now"}), new)
    assert (selection.base, selected_services(selection)) == (old, ["one"])


def test_each_environment_gets_the_services_that_it_lacks(scene: Scene) -> None:
    scene.environments = ("staging", "production")
    old = scene.origin.head
    new = scene.origin.commit({"libs/right/c.py": "# verified in staging alone\n"})
    scene.verify("staging", one=new, two=new, three=new)
    scene.verify("production", one=old, two=old, three=old)
    selection = scene.push(scene.origin.commit({"services/three/web.py": "# now\n"}), new)
    assert selection.base == old
    assert selection.deploys == {"staging": ("three",), "production": ("three", "two")}


def test_empty_push_deploys_what_an_environment_lacks(scene: Scene) -> None:
    old = scene.origin.head
    scene.verify(one="e" * 40, two=old, three=old)
    selection = scene.push(scene.origin.commit({"docs/other.md": "now"}), old)
    assert selected_services(selection) == []
    assert selection.deploys == {"production": ("one",)}  # it is unknown what runs there


def test_every_service_is_pending_without_a_base(scene: Scene) -> None:
    selection = scene.push(scene.origin.head)
    assert selection.deploys == {"production": ("one", "three", "two")}


def test_push_is_the_base_if_a_verified_revision_is_not_in_the_history(scene: Scene) -> None:
    before = scene.origin.head
    scene.origin.branch("elsewhere")
    elsewhere = scene.origin.commit({"libs/left/a.py": "# deployed from a branch\n"})
    scene.origin.checkout("main")
    scene.verify(one=elsewhere, two=before, three=before)
    selection = scene.push(scene.origin.commit({"services/three/web.py": "# now\n"}), before)
    assert (selection.base, selected_services(selection)) == (before, ["three"])


def test_first_push_selects_everything(scene: Scene) -> None:
    assert_everything(scene.push(scene.origin.head), "has no verified release in production yet")


def test_first_push_with_unknown_verified_revisions_selects_everything(scene: Scene) -> None:
    scene.verify(one="e" * 40, two="e" * 40, three="e" * 40)
    assert_everything(scene.push(scene.origin.head), "this is the branch's first push")


def test_force_push_selects_everything(scene: Scene) -> None:
    scene.origin.branch("old")
    before = scene.origin.commit({"libs/left/a.py": "# goes\n"})
    scene.origin.checkout("main")
    scene.verify(one=before, two=before, three=before)
    head = scene.origin.commit({"libs/right/c.py": "# comes\n"})
    assert_everything(scene.push(head, before), "the branch was force-pushed")


def test_push_after_an_unknown_revision_selects_everything(scene: Scene) -> None:
    scene.verify(one="e" * 40, two="e" * 40, three="e" * 40)
    assert_everything(scene.push(scene.origin.head, "f" * 40), "the branch was force-pushed")


@pytest.mark.parametrize("broken", [401, 404, 503])
def test_gitlab_that_does_not_answer_selects_everything(scene: Scene, broken: int) -> None:
    before = scene.origin.head
    scene.verify(one=before, two=before, three=before)
    scene.gitlab.broken = broken
    head = scene.origin.commit({"docs/other.md": "now"})
    assert_everything(scene.push(head, before), f"status {broken}")


def test_other_branch_is_compared_with_its_start(scene: Scene) -> None:
    began = scene.origin.head
    scene.origin.branch("topic")
    scene.origin.commit({"libs/right/c.py": "# one\n"})
    before = scene.origin.head
    head = scene.origin.commit({"docs/other.md": "two"})
    scene.origin.checkout("main")
    scene.origin.commit({"libs/left/a.py": "# meanwhile\n"})
    selection = scene.push(head, before, branch="topic")
    assert (selection.base, selected_services(selection)) == (began, ["two"])
    assert scene.gitlab.requests == []


@pytest.mark.parametrize(
    ("variables", "reason"),
    [
        ({"CI_PIPELINE_SOURCE": "push", "CI_COMMIT_TAG": "v1"}, "the tag v1"),
        ({"CI_PIPELINE_SOURCE": "schedule", "CI_COMMIT_BRANCH": "main"}, "source schedule"),
        ({"CI_PIPELINE_SOURCE": "web", "CI_COMMIT_BRANCH": "main"}, "source web"),
        ({"CI_PIPELINE_SOURCE": ""}, "source unknown"),
        ({"CI_PIPELINE_SOURCE": "merge_request_event"}, "CI_MERGE_REQUEST_DIFF_BASE_SHA is not"),
    ],
)
def test_pipeline_without_a_base_selects_everything(
    scene: Scene, variables: dict[str, str], reason: str
) -> None:
    assert_everything(scene.job(scene.origin.head, **variables), reason)
    assert scene.graphs.reads == 0


# A laptop.


def test_laptop_is_compared_with_origins_default_branch(scene: Scene) -> None:
    clone = scene.origin.cloned(scene.folder / "laptop")
    began = clone.head
    clone.commit({"libs/right/c.py": "# committed\n"})
    clone.write({"services/three/page.html": "<i>"})
    clone.write({"libs/new_test.py": "import left.a\n"})
    selection = scene.laptop(clone.root)
    assert selection.base == began
    assert selected_services(selection) == ["three", "two"]
    assert "libs/new_test.py" in selected_tests(selection)


def test_laptop_can_name_its_base(scene: Scene) -> None:
    first = scene.origin.head
    scene.origin.commit({"libs/right/c.py": "# one\n"})
    scene.origin.commit({"docs/other.md": "two"})
    assert selected_services(scene.laptop(scene.origin.root, "HEAD~2")) == ["two"]
    assert selected_services(scene.laptop(scene.origin.root, "HEAD~1")) == []
    assert scene.laptop(scene.origin.root, first[:10]).base == first


def test_laptop_without_a_default_branch_selects_everything(scene: Scene) -> None:
    assert_everything(scene.laptop(scene.origin.root), "has no default branch to compare with")


def test_unknown_name_as_base_is_refused(scene: Scene) -> None:
    with pytest.raises(UsageError, match="--base mian: this clone has no such revision"):
        scene.laptop(scene.origin.root, "mian")


@pytest.mark.parametrize("base", [ZEROS, "f" * 40, "f" * 12, ""])
def test_unknown_id_as_base_selects_everything(scene: Scene, base: str) -> None:
    assert_everything(scene.laptop(scene.origin.root, base), "is not a revision of this clone")


def test_folder_without_git_selects_everything(scene: Scene, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    copy.mkdir()
    assert_everything(scene.laptop(copy), "this is not a git checkout")
    assert_everything(scene.laptop(copy, "main"), "this is not a git checkout")


def test_empty_change_selects_nothing(scene: Scene) -> None:
    selection = scene.merge_request(scene.origin.head, scene.origin.head)
    assert selection.document() == {
        "mode": "changed",
        "base": scene.origin.head,
        "reason": "merge request: the start of its branch, CI_MERGE_REQUEST_DIFF_BASE_SHA",
        "targets": [],
        "services": [],
        "images": [],
        "deploys": {"production": []},
    }
    assert scene.graphs.reads == 0


# Known pitfalls.


def test_merge_request_of_25_commits_in_a_clone_of_depth_20(scene: Scene) -> None:
    base = scene.origin.head
    scene.origin.branch("topic")
    scene.origin.commit({"libs/right/c.py": "# the first of 25, which the clone lacks\n"})
    for number in range(24):
        scene.origin.commit({"docs/other.md": str(number)})
    selection = scene.merge_request(scene.origin.head, base, depth=20)
    assert selection.base == base
    assert selected_services(selection) == ["two"]
    assert any("shallow" in line for line in scene.messages)


def test_shallow_clone_that_cannot_be_completed_selects_everything(scene: Scene) -> None:
    base = scene.origin.head
    for number in range(3):
        scene.origin.commit({"docs/other.md": str(number)})
    clone = scene.origin.fetched(scene.folder / "clone", scene.origin.head, depth=2)
    clone.git("remote", "set-url", "origin", str(scene.folder / "nowhere"))
    assert_everything(scene.laptop(clone.root, base), "the clone is shallow")


def criss_cross(scene: Scene) -> tuple[str, str]:
    """Merges main and topic into each other; returns the start and the end of topic."""
    began = scene.origin.head
    scene.origin.branch("topic")
    topic = scene.origin.commit({"libs/left/b.py": "import left.a\n# topic\n"})
    scene.origin.checkout("main")
    main = scene.origin.commit({"libs/right/c.py": "# main\n"})
    scene.origin.merge(topic)
    scene.origin.checkout("topic")
    scene.origin.merge(main)
    return began, scene.origin.commit({"services/three/web.py": "# topic\n"})


def test_criss_cross_merge_selects_everything(scene: Scene) -> None:
    _, head = criss_cross(scene)
    assert_everything(scene.push(head, branch="topic"), "have 2 merge bases")


def test_criss_cross_merge_request_is_compared_with_its_diff_base(scene: Scene) -> None:
    began, head = criss_cross(scene)
    assert selected_services(scene.merge_request(head, began)) == ["one", "three", "two"]


def test_deleted_file_affects_modules_that_still_import_it(scene: Scene) -> None:
    base = scene.origin.head
    head = scene.origin.commit({"libs/right/c.py": None})
    selection = scene.merge_request(head, base)
    assert selected_tests(selection) == ["services/two/web_test.py"]
    assert selected_services(selection) == ["two"]
    assert selection.images[0].why == (
        *("libs/right/c.py", "services/two/web.py"),
        "services/two:image",
    )
    assert scene.graphs.reads == 2


def test_renamed_module_affects_the_importers_of_both_names(scene: Scene) -> None:
    base = scene.origin.head
    head = scene.origin.commit(
        {
            "libs/left/a.py": None,
            "libs/left/renamed.py": "",
            "libs/left/b.py": "import left.renamed\n",
        }
    )
    selection = scene.merge_request(head, base)
    # one imports the new name, two still imports the old one.
    assert selected_services(selection) == ["one", "two"]
    ways = {each.address: each.why[0] for each in selection.targets if each.goal == "test"}
    assert ways["services/two/web_test.py:tests"] == "libs/left/a.py"


def test_deleted_test_is_not_selected(scene: Scene) -> None:
    base = scene.origin.head
    head = scene.origin.commit(
        {f"services/three/{each}": None for each in ("web_test.py", "web.py")}
    )
    selection = scene.merge_request(head, base)
    assert selected_tests(selection) == []
    assert selected_services(selection) == ["three"]


def test_changed_resource_affects_the_service_that_reads_it(scene: Scene) -> None:
    base = scene.origin.head
    selection = scene.merge_request(scene.origin.commit({"services/one/page.html": "<b>"}), base)
    assert selected_tests(selection) == ["services/one/web_test.py"]
    assert selected_services(selection) == ["one"]
    assert [each.goal for each in selection.targets if each.goal == "lint"] == []


def test_deleted_template_affects_the_service_that_read_it(scene: Scene) -> None:
    base = scene.origin.head
    selection = scene.merge_request(scene.origin.commit({"services/one/page.html": None}), base)
    assert selected_services(selection) == ["one"]


def test_changed_pin_affects_only_the_services_that_use_it(scene: Scene) -> None:
    base = scene.origin.head
    # No module imports jinja2; flask requires it.
    head = scene.origin.commit({LOCK: PINS.replace("jinja2==3.1.5", "jinja2==3.1.6")})
    selection = scene.merge_request(head, base)
    assert selected_services(selection) == ["one"]
    assert selection.services[0].why[:2] == (LOCK, "3rdparty/python:requirements#flask")


def test_removed_requirement_affects_modules_that_still_import_it(scene: Scene) -> None:
    base = scene.origin.head
    head = scene.origin.commit({REQUIREMENTS: "flask\n", LOCK: PINS[: PINS.index("psutil")]})
    assert selected_services(scene.merge_request(head, base)) == ["three"]


def test_lock_without_annotations_selects_everything(scene: Scene) -> None:
    base = scene.origin.head
    head = scene.origin.commit({LOCK: PINS.replace("    # via flask\n", "")})
    assert_everything(scene.merge_request(head, base), "a lock whose changed pins are unknown")


def test_changed_service_toml_affects_its_service_only(scene: Scene) -> None:
    base = scene.origin.head
    head = scene.origin.commit({"services/two/service.toml": "replicas = 7\n"})
    selection = scene.merge_request(head, base)
    assert (selected_services(selection), selection.targets) == (["two"], ())


def test_documentation_selects_only_the_tests_that_read_it(scene: Scene) -> None:
    base = scene.origin.head
    other = scene.origin.commit({"docs/other.md": "more", "README.md": "new"})
    assert scene.merge_request(other, base).document()["targets"] == []
    read = scene.origin.commit({"docs/read.md": "more"})
    assert selected_tests(scene.merge_request(read, base)) == ["libs/docs_test.py"]


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("pants.toml", "pants.toml changed: the build's settings"),
        ("macros/services.py", "macros/services.py changed: macros or plugins of BUILD files"),
        (".gitlab/ci/verify.yml", ".gitlab/ci/verify.yml changed: the pipeline"),
        ("ship", "ship changed: a wrapper script"),
        ("deploy/replica.yml", "deploy/replica.yml changed: what every release is made of"),
        ("notes.txt", "notes.txt changed and belongs to no target"),
    ],
)
def test_files_that_everything_depends_on_select_everything(
    scene: Scene, path: str, reason: str
) -> None:
    base = scene.origin.head
    selection = scene.merge_request(scene.origin.commit({path: "# changed\n"}), base)
    assert_everything(selection, reason)
    assert selection.base == base


def test_failing_pants_selects_everything(scene: Scene) -> None:
    base = scene.origin.head
    scene.origin.commit({"libs/left/a.py": "# changed\n"})
    clone = scene.origin.cloned(scene.folder / "clone")
    graphs = FolderGraphs(clone.root, nullcontext)
    graphs.broken = "no such target"
    context = SelectionContext(
        pipeline_facts({}),
        GitRevisions(clone.root, print),
        graphs,
        scene.gitlab,
        {each: Service(each, f"services/{each}:image") for each in ("one", "three", "two")},
        ["production"],
        print,
    )
    assert_everything(affected(context, base), "./pants peek :: failed: no such target")


def test_files_that_a_job_writes_are_no_change(scene: Scene) -> None:
    base = scene.origin.head
    head = scene.origin.commit({"docs/other.md": "more"})
    clone = scene.origin.fetched(scene.folder / "job", head)
    clone.write({"plan.json": "{}", "libs/left/a.py": "# a job writes where it likes\n"})
    selection = scene.select(
        clone.root,
        {
            "CI_PIPELINE_SOURCE": "merge_request_event",
            "CI_MERGE_REQUEST_DIFF_BASE_SHA": base,
        },
    )
    assert selection.targets == ()


def test_nightly_run_reports_what_the_selection_missed(scene: Scene) -> None:
    base = scene.origin.head
    head = scene.origin.commit(
        {"libs/right/c.py": "# breaks two, and three by an undeclared dependency\n"}
    )
    selection = scene.merge_request(head, base)
    require_none_missed(selection, ["services/two/web_test.py"])
    with pytest.raises(SelectionMissedError, match=r"since .{12}: services/three/web_test\.py"):
        require_none_missed(selection, ["services/two/web_test.py", "services/three/web_test.py"])


def test_nightly_run_is_compared_with_the_last_verified_one(scene: Scene) -> None:
    context = scene.context(scene.origin.root, {"CI_API_V4_URL": scene.api})
    assert recorded(context, "nightly") is None
    assert "CI_PROJECT_ID is not set" in scene.messages[-1]
    variables = {"CI_API_V4_URL": scene.api, "CI_PROJECT_ID": "42", "CI_JOB_TOKEN": "job-token"}
    context = scene.context(scene.origin.root, variables)
    assert recorded(context, "nightly") is None
    assert scene.messages[-1] == "GitLab has recorded no revision for nightly yet"
    scene.gitlab.record("nightly", "a" * 40)
    assert recorded(context, "nightly") == "a" * 40
