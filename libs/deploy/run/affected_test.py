"""Each kind of pipeline and each trap, on real git repositories; Pants is simulated, GitLab serves real HTTP."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
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
    "libs/docs_test.py": "# reads docs/told.md\n",
    **service("one", "left.b", "flask"),
    **service("two", "left.a", "right.c"),
    **service("three", "psutil"),
    "docs/told.md": "",
    "docs/other.md": "",
    "pants.toml": "",
    "macros/services.py": "",
    REQUIREMENTS: "flask\npsutil\n",
    LOCK: PINS,
}


@dataclass
class Scene:
    """An origin with three services, a GitLab, and what a job or a laptop asks."""

    origin: Repository
    folder: Path
    gitlab: MemoryGitlab
    api: str
    clones: int = 0
    environments: tuple[str, ...] = ("production",)
    said: list[str] = field(default_factory=list)
    graphs: FolderGraphs = field(init=False)

    def job(self, revision: str, depth: int = 0, /, **variables: str) -> Selection:
        """What a pipeline's job finds: in a clone such as the runner makes, with GitLab's variables."""
        self.clones += 1
        clone = self.origin.fetched(self.folder / f"job-{self.clones}", revision, depth=depth)
        return self.ask(
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
        """What a detached merge request's job finds."""
        return self.job(
            revision,
            depth,
            CI_PIPELINE_SOURCE="merge_request_event",
            CI_MERGE_REQUEST_EVENT_TYPE="detached",
            CI_MERGE_REQUEST_DIFF_BASE_SHA=base,
        )

    def push(self, revision: str, before: str = ZEROS, branch: str = "main") -> Selection:
        """What the job of a push finds."""
        return self.job(
            revision,
            CI_PIPELINE_SOURCE="push",
            CI_COMMIT_BRANCH=branch,
            CI_COMMIT_BEFORE_SHA=before,
        )

    def laptop(self, root: Path, base: str | None = None) -> Selection:
        """What a person finds."""
        return self.ask(root, {"HOME": "/root"}, base)

    def ask(self, root: Path, environ: Mapping[str, str], base: str | None = None) -> Selection:
        return affected(self.grounds(root, environ), base)

    def grounds(self, root: Path, environ: Mapping[str, str]) -> SelectionContext:
        self.graphs = FolderGraphs(root)
        return SelectionContext(
            pipeline_facts(environ),
            GitRevisions(root, self.said.append),
            self.graphs,
            GitlabDeployments.of_job(environ),
            {each: Service(each, f"services/{each}:image") for each in ("one", "three", "two")},
            self.environments,
            self.said.append,
        )

    def verify(self, where: str = "production", /, **revisions: str) -> None:
        """Records what the confirming job of each service does."""
        for name, revision in revisions.items():
            self.gitlab.record(f"{where}/{name}", revision)


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    origin = Repository.made(tmp_path / "origin")
    origin.commit(TREE)
    gitlab = MemoryGitlab()
    with gitlab_server(gitlab) as api:
        yield Scene(origin, tmp_path, gitlab, api)


def which_tests(selection: Selection) -> list[str]:
    return [each.address.partition(":")[0] for each in selection.targets if each.goal == "test"]


def services_of(selection: Selection) -> list[str]:
    return [each.name for each in selection.services]


def assert_everything(selection: Selection, reason: str) -> None:
    assert selection.mode == "all"
    assert reason in selection.reason
    assert {each.address for each in selection.targets} == {"::"}
    assert services_of(selection) == ["one", "three", "two"]


# Each kind of pipeline.


def test_a_merge_request_is_measured_against_where_it_began(scene: Scene) -> None:
    base = scene.origin.head
    scene.origin.branch("topic")
    head = scene.origin.commit({"libs/left/b.py": "import left.a\n# changed\n"})
    scene.origin.checkout("main")
    scene.origin.commit({"services/three/web.py": "# meanwhile\n"})
    selection = scene.merge_request(head, base)
    assert (selection.mode, selection.base) == ("changed", base)
    assert which_tests(selection) == ["libs/left/b_test.py", "services/one/web_test.py"]
    assert services_of(selection) == ["one"]
    assert [each.name for each in selection.images] == ["services/one:image"]
    assert selection.images[0].why == (
        *("libs/left/b.py", "services/one/web.py"),
        "services/one:image",
    )


@pytest.mark.parametrize("event", ["merged_result", "merge_train"])
def test_a_merged_result_is_measured_against_what_it_is_merged_into(
    scene: Scene, event: str
) -> None:
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
    assert which_tests(selection) == ["services/two/web_test.py"]


def test_a_merged_result_that_is_no_merge_is_not_measured_against_its_last_commit(
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
    assert which_tests(selection) == ["services/three/web_test.py", "services/two/web_test.py"]


def test_the_default_branch_is_measured_against_what_was_verified(scene: Scene) -> None:
    verified = scene.origin.head
    scene.verify(one=verified, two=verified, three=verified)
    before = scene.origin.commit({"services/three/web.py": "# its pipeline failed\n"})
    selection = scene.push(scene.origin.commit({"libs/right/c.py": "# now\n"}), before)
    assert selection.base == verified
    assert services_of(selection) == ["three", "two"]


def test_a_service_that_lags_takes_the_base_with_it(scene: Scene) -> None:
    old = scene.origin.head
    new = scene.origin.commit({"libs/right/c.py": "# two has it, one has not\n"})
    scene.verify(one=old, three=new, two=new)
    selection = scene.push(scene.origin.commit({"docs/other.md": "now"}), new)
    assert selection.base == old
    assert "one in production" in selection.reason
    assert services_of(selection) == ["two"]


def test_what_was_taken_back_since_is_seen_by_who_runs_it(scene: Scene) -> None:
    # The oldest verified revision and HEAD are equal in libs/right/c.py; what runs of two is not.
    old = scene.origin.head
    new = scene.origin.commit({"libs/right/c.py": "# a mistake\n"})
    scene.verify(one=old, three=old, two=new)
    selection = scene.push(scene.origin.commit({"libs/right/c.py": ""}), new)
    assert selection.base == old
    assert services_of(selection) == ["two"]


def test_after_a_rollback_the_old_revision_is_the_base(scene: Scene) -> None:
    old = scene.origin.head
    new = scene.origin.commit({"services/one/web.py": "# bad\n"})
    scene.verify(one=new, two=new, three=new)
    scene.verify(one=old)
    selection = scene.push(scene.origin.commit({"docs/other.md": "now"}), new)
    assert (selection.base, services_of(selection)) == (old, ["one"])


def test_each_environment_is_due_what_it_lacks_itself(scene: Scene) -> None:
    scene.environments = ("staging", "production")
    old = scene.origin.head
    new = scene.origin.commit({"libs/right/c.py": "# verified in staging alone\n"})
    scene.verify("staging", one=new, two=new, three=new)
    scene.verify("production", one=old, two=old, three=old)
    selection = scene.push(scene.origin.commit({"services/three/web.py": "# now\n"}), new)
    assert selection.base == old
    assert selection.deploys == {"staging": ("three",), "production": ("three", "two")}


def test_an_empty_push_still_brings_an_environment_what_it_lacks(scene: Scene) -> None:
    old = scene.origin.head
    scene.verify(one="e" * 40, two=old, three=old)
    selection = scene.push(scene.origin.commit({"docs/other.md": "now"}), old)
    assert services_of(selection) == []
    assert selection.deploys == {"production": ("one",)}  # it runs what nobody knows


def test_everything_is_due_everywhere_where_the_base_is_not_trusted(scene: Scene) -> None:
    selection = scene.push(scene.origin.head)
    assert selection.deploys == {"production": ("one", "three", "two")}


def test_where_the_verified_revision_strayed_the_push_counts(scene: Scene) -> None:
    before = scene.origin.head
    scene.origin.branch("elsewhere")
    strayed = scene.origin.commit({"libs/left/a.py": "# deployed from a branch\n"})
    scene.origin.checkout("main")
    scene.verify(one=strayed, two=before, three=before)
    selection = scene.push(scene.origin.commit({"services/three/web.py": "# now\n"}), before)
    assert (selection.base, services_of(selection)) == (before, ["three"])


def test_a_first_push_runs_everything(scene: Scene) -> None:
    assert_everything(scene.push(scene.origin.head), "has no verified release in production yet")


def test_a_first_push_of_what_strayed_runs_everything(scene: Scene) -> None:
    scene.verify(one="e" * 40, two="e" * 40, three="e" * 40)
    assert_everything(scene.push(scene.origin.head), "this is the branch's first push")


def test_a_force_push_runs_everything(scene: Scene) -> None:
    scene.origin.branch("old")
    before = scene.origin.commit({"libs/left/a.py": "# goes\n"})
    scene.origin.checkout("main")
    scene.verify(one=before, two=before, three=before)
    head = scene.origin.commit({"libs/right/c.py": "# comes\n"})
    assert_everything(scene.push(head, before), "it was force-pushed")


def test_a_push_before_that_nobody_has_any_more_runs_everything(scene: Scene) -> None:
    scene.verify(one="e" * 40, two="e" * 40, three="e" * 40)
    assert_everything(scene.push(scene.origin.head, "f" * 40), "it was force-pushed")


@pytest.mark.parametrize("broken", [401, 404, 503])
def test_where_gitlab_does_not_answer_everything_runs(scene: Scene, broken: int) -> None:
    before = scene.origin.head
    scene.verify(one=before, two=before, three=before)
    scene.gitlab.broken = broken
    head = scene.origin.commit({"docs/other.md": "now"})
    assert_everything(scene.push(head, before), f"status {broken}")


def test_another_branch_is_measured_against_where_it_left(scene: Scene) -> None:
    began = scene.origin.head
    scene.origin.branch("topic")
    scene.origin.commit({"libs/right/c.py": "# one\n"})
    before = scene.origin.head
    head = scene.origin.commit({"docs/other.md": "two"})
    scene.origin.checkout("main")
    scene.origin.commit({"libs/left/a.py": "# meanwhile\n"})
    selection = scene.push(head, before, branch="topic")
    assert (selection.base, services_of(selection)) == (began, ["two"])
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
def test_what_has_no_base_runs_everything(
    scene: Scene, variables: dict[str, str], reason: str
) -> None:
    assert_everything(scene.job(scene.origin.head, **variables), reason)
    assert scene.graphs.reads == 0


# A laptop.


def test_a_laptop_is_measured_against_origin_s_default_branch(scene: Scene) -> None:
    clone = scene.origin.cloned(scene.folder / "laptop")
    began = clone.head
    clone.commit({"libs/right/c.py": "# committed\n"})
    clone.write({"services/three/page.html": "<i>"})
    clone.write({"libs/new_test.py": "import left.a\n"})
    selection = scene.laptop(clone.root)
    assert selection.base == began
    assert services_of(selection) == ["three", "two"]
    assert "libs/new_test.py" in which_tests(selection)


def test_a_laptop_names_its_own_base(scene: Scene) -> None:
    first = scene.origin.head
    scene.origin.commit({"libs/right/c.py": "# one\n"})
    scene.origin.commit({"docs/other.md": "two"})
    assert services_of(scene.laptop(scene.origin.root, "HEAD~2")) == ["two"]
    assert services_of(scene.laptop(scene.origin.root, "HEAD~1")) == []
    assert scene.laptop(scene.origin.root, first[:10]).base == first


def test_a_laptop_without_anything_to_measure_against_runs_everything(scene: Scene) -> None:
    assert_everything(scene.laptop(scene.origin.root), "knows no default branch")


def test_a_name_that_nothing_bears_is_refused(scene: Scene) -> None:
    with pytest.raises(UsageError, match="--base mian: this clone has no such revision"):
        scene.laptop(scene.origin.root, "mian")


@pytest.mark.parametrize("base", [ZEROS, "f" * 40, "f" * 12, ""])
def test_a_revision_that_is_gone_runs_everything(scene: Scene, base: str) -> None:
    assert_everything(scene.laptop(scene.origin.root, base), "is no revision in this clone")


def test_without_git_everything_runs(scene: Scene, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    copy.mkdir()
    assert_everything(scene.laptop(copy), "this is no git checkout")
    assert_everything(scene.laptop(copy, "main"), "this is no git checkout")


def test_an_empty_change_is_empty(scene: Scene) -> None:
    selection = scene.merge_request(scene.origin.head, scene.origin.head)
    assert selection.document() == {
        "mode": "changed",
        "base": scene.origin.head,
        "reason": "merge request: where its branch began, CI_MERGE_REQUEST_DIFF_BASE_SHA",
        "targets": [],
        "services": [],
        "images": [],
        "deploys": {"production": []},
    }
    assert scene.graphs.reads == 0


# Each trap.


def test_a_merge_request_of_25_commits_at_depth_20(scene: Scene) -> None:
    base = scene.origin.head
    scene.origin.branch("topic")
    scene.origin.commit({"libs/right/c.py": "# the first of 25, out of the clone's sight\n"})
    for number in range(24):
        scene.origin.commit({"docs/other.md": str(number)})
    selection = scene.merge_request(scene.origin.head, base, depth=20)
    assert selection.base == base
    assert services_of(selection) == ["two"]
    assert any("shallow" in line for line in scene.said)


def test_a_shallow_clone_that_can_t_be_completed_runs_everything(scene: Scene) -> None:
    base = scene.origin.head
    for number in range(3):
        scene.origin.commit({"docs/other.md": str(number)})
    clone = scene.origin.fetched(scene.folder / "clone", scene.origin.head, depth=2)
    clone.git("remote", "set-url", "origin", str(scene.folder / "nowhere"))
    assert_everything(scene.laptop(clone.root, base), "the clone is shallow")


def crosswise(scene: Scene) -> tuple[str, str]:
    """Merges main and topic into each other; returns where topic began and its end."""
    began = scene.origin.head
    scene.origin.branch("topic")
    topic = scene.origin.commit({"libs/left/b.py": "import left.a\n# topic\n"})
    scene.origin.checkout("main")
    main = scene.origin.commit({"libs/right/c.py": "# main\n"})
    scene.origin.merge(topic)
    scene.origin.checkout("topic")
    scene.origin.merge(main)
    return began, scene.origin.commit({"services/three/web.py": "# topic\n"})


def test_a_criss_cross_merge_has_no_single_base(scene: Scene) -> None:
    _, head = crosswise(scene)
    assert_everything(scene.push(head, branch="topic"), "git names 2 merge bases")


def test_a_criss_cross_merge_request_counts_all_since_its_base(scene: Scene) -> None:
    began, head = crosswise(scene)
    assert services_of(scene.merge_request(head, began)) == ["one", "three", "two"]


def test_a_deleted_file_reaches_who_still_imports_it(scene: Scene) -> None:
    base = scene.origin.head
    head = scene.origin.commit({"libs/right/c.py": None})
    selection = scene.merge_request(head, base)
    assert which_tests(selection) == ["services/two/web_test.py"]
    assert services_of(selection) == ["two"]
    assert selection.images[0].why == (
        *("libs/right/c.py", "services/two/web.py"),
        "services/two:image",
    )
    assert scene.graphs.reads == 2


def test_a_renamed_module_reaches_who_imports_either_name(scene: Scene) -> None:
    base = scene.origin.head
    head = scene.origin.commit(
        {
            "libs/left/a.py": None,
            "libs/left/renamed.py": "",
            "libs/left/b.py": "import left.renamed\n",
        }
    )
    selection = scene.merge_request(head, base)
    # one by the new name, two (which was forgotten) by the old one.
    assert services_of(selection) == ["one", "two"]
    ways = {each.address: each.why[0] for each in selection.targets if each.goal == "test"}
    assert ways["services/two/web_test.py:tests"] == "libs/left/a.py"


def test_a_deleted_test_and_all_it_tested_need_nothing(scene: Scene) -> None:
    base = scene.origin.head
    head = scene.origin.commit(
        {f"services/three/{each}": None for each in ("web_test.py", "web.py")}
    )
    selection = scene.merge_request(head, base)
    assert which_tests(selection) == []
    assert services_of(selection) == ["three"]


def test_a_changed_resource_reaches_the_service_that_reads_it(scene: Scene) -> None:
    base = scene.origin.head
    selection = scene.merge_request(scene.origin.commit({"services/one/page.html": "<b>"}), base)
    assert which_tests(selection) == ["services/one/web_test.py"]
    assert services_of(selection) == ["one"]
    assert [each.goal for each in selection.targets if each.goal == "lint"] == []


def test_a_deleted_template_reaches_the_service_that_read_it(scene: Scene) -> None:
    base = scene.origin.head
    selection = scene.merge_request(scene.origin.commit({"services/one/page.html": None}), base)
    assert services_of(selection) == ["one"]


def test_a_pin_reaches_only_the_services_that_use_it(scene: Scene) -> None:
    base = scene.origin.head
    # Nobody imports jinja2: flask needs it.
    head = scene.origin.commit({LOCK: PINS.replace("jinja2==3.1.5", "jinja2==3.1.6")})
    selection = scene.merge_request(head, base)
    assert services_of(selection) == ["one"]
    assert selection.services[0].why[:2] == (LOCK, "3rdparty/python:requirements#flask")


def test_a_requirement_that_went_reaches_who_still_imports_it(scene: Scene) -> None:
    base = scene.origin.head
    head = scene.origin.commit({REQUIREMENTS: "flask\n", LOCK: PINS[: PINS.index("psutil")]})
    assert services_of(scene.merge_request(head, base)) == ["three"]


def test_a_lock_that_says_nothing_of_pins_reaches_everything(scene: Scene) -> None:
    base = scene.origin.head
    head = scene.origin.commit({LOCK: PINS.replace("    # via flask\n", "")})
    assert_everything(scene.merge_request(head, base), "a lock, in a way that names no pins")


def test_a_changed_service_file_reaches_its_service_alone(scene: Scene) -> None:
    base = scene.origin.head
    head = scene.origin.commit({"services/two/service.toml": "replicas = 7\n"})
    selection = scene.merge_request(head, base)
    assert (services_of(selection), selection.targets) == (["two"], ())


def test_documentation_runs_no_test_but_those_that_read_it(scene: Scene) -> None:
    base = scene.origin.head
    other = scene.origin.commit({"docs/other.md": "more", "README.md": "new"})
    assert scene.merge_request(other, base).document()["targets"] == []
    told = scene.origin.commit({"docs/told.md": "more"})
    assert which_tests(scene.merge_request(told, base)) == ["libs/docs_test.py"]


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
def test_what_everything_depends_on_runs_everything(scene: Scene, path: str, reason: str) -> None:
    base = scene.origin.head
    selection = scene.merge_request(scene.origin.commit({path: "# changed\n"}), base)
    assert_everything(selection, reason)
    assert selection.base == base


def test_where_pants_fails_everything_runs(scene: Scene) -> None:
    base = scene.origin.head
    scene.origin.commit({"libs/left/a.py": "# changed\n"})
    clone = scene.origin.cloned(scene.folder / "clone")
    graphs = FolderGraphs(clone.root)
    graphs.broken = "no such target"
    grounds = SelectionContext(
        pipeline_facts({}),
        GitRevisions(clone.root, print),
        graphs,
        scene.gitlab,
        {each: Service(each, f"services/{each}:image") for each in ("one", "three", "two")},
        ["production"],
        print,
    )
    assert_everything(affected(grounds, base), "./pants peek :: failed: no such target")


def test_a_job_s_own_files_are_no_change(scene: Scene) -> None:
    base = scene.origin.head
    head = scene.origin.commit({"docs/other.md": "more"})
    clone = scene.origin.fetched(scene.folder / "job", head)
    clone.write({"plan.json": "{}", "libs/left/a.py": "# a job writes where it likes\n"})
    selection = scene.ask(
        clone.root,
        {
            "CI_PIPELINE_SOURCE": "merge_request_event",
            "CI_MERGE_REQUEST_DIFF_BASE_SHA": base,
        },
    )
    assert selection.targets == ()


def test_a_nightly_run_tells_what_the_selection_missed(scene: Scene) -> None:
    base = scene.origin.head
    head = scene.origin.commit(
        {"libs/right/c.py": "# breaks two, and three in a way nobody declared\n"}
    )
    selection = scene.merge_request(head, base)
    require_none_missed(selection, ["services.two.web_test.py.tests"])
    with pytest.raises(SelectionMissedError, match=r"since .{12}: services\.three\.web_test\.py"):
        require_none_missed(
            selection, ["services.two.web_test.py.tests", "services.three.web_test.py.tests"]
        )


def test_a_night_is_measured_against_the_last_good_one(scene: Scene) -> None:
    grounds = scene.grounds(scene.origin.root, {"CI_API_V4_URL": scene.api})
    assert recorded(grounds, "nightly") is None
    assert "CI_PROJECT_ID is not set" in scene.said[-1]
    told = {"CI_API_V4_URL": scene.api, "CI_PROJECT_ID": "42", "CI_JOB_TOKEN": "job-token"}
    grounds = scene.grounds(scene.origin.root, told)
    assert recorded(grounds, "nightly") is None
    assert scene.said[-1] == "GitLab has recorded no revision for nightly yet"
    scene.gitlab.record("nightly", "a" * 40)
    assert recorded(grounds, "nightly") == "a" * 40
