import pytest

from deploy.core.ci.base_revision import Base
from deploy.core.ci.requirements_diff import RequirementsDiff
from deploy.core.ci.selection import (
    GOALS,
    Selection,
    goals_of,
    missed_tests,
    reason_graph_cannot_tell,
    reason_to_select_all,
    select,
    select_all,
)
from deploy.core.ci.target_graph import (
    FileChange,
    Target,
    TargetGraph,
    reached_targets,
)
from deploy.core.config import Service

BASE = Base("a" * 40, "a reason")
SERVICES = (
    Service(name="one", image="services/one:image"),
    Service(name="two", image="services/two:image"),
)
LOCK = "3rdparty/python/default.lock"


def file_target(path: str, kind: str, *dependencies: str, name: str = "") -> Target:
    return Target(f"{path}{name}", kind, (path,), dependencies)


def service(name: str, *dependencies: str) -> tuple[Target, ...]:
    folder = f"services/{name}"
    return (
        file_target(f"{folder}/web.py", "python_source", *dependencies),
        file_target(f"{folder}/web_test.py", "python_test", f"{folder}/web.py", name=":tests"),
        Target(f"{folder}:tests", "python_tests", (), (f"{folder}/web_test.py:tests",)),
        Target(f"{folder}:srcs", "pex_binary", (), (f"{folder}/web.py",)),
        Target(f"{folder}:image", "docker_image", (f"{folder}/Dockerfile",), (f"{folder}:srcs",)),
        Target(f"{folder}:service", "file", (f"{folder}/service.toml",)),
    )


GRAPH = TargetGraph(
    [
        file_target("libs/left/a.py", "python_source"),
        *service("one", "libs/left/a.py"),
        *service("two"),
        file_target("docs/read.md", "file", name=":read"),
        file_target("libs/docs_test.py", "python_test", "docs/read.md:read", name=":tests"),
        Target(f"{LOCK}:lock", "_lockfile", (LOCK,)),
        Target("3rdparty/python:r#flask", "python_requirement", (), (f"{LOCK}:lock",), ("flask",)),
        Target("3rdparty/python:tool", "_lockfile", ("3rdparty/python/tool.lock",)),
    ]
)


def selected(*paths: str) -> Selection:
    return select(
        BASE, reached_targets([FileChange(path) for path in paths], GRAPH), GRAPH, SERVICES
    )


def shown(selection: Selection) -> list[str]:
    return [f"{each.goal} {each.address}" for each in selection.targets]


def test_lint_selects_changed_files_and_other_goals_dependents_too() -> None:
    selection = selected("libs/left/a.py")
    assert shown(selection) == [
        "lint libs/left/a.py",
        "check libs/left/a.py",
        "check services/one/web.py",
        "check services/one:tests",
        "test services/one:tests",
        "package services/one:image",
        "package services/one:srcs",
    ]
    assert selection.document()["services"] == ["one"]
    assert selection.document()["images"] == ["services/one:image"]


def test_document_has_the_documented_form() -> None:
    document = selected("services/one/web_test.py").document()
    why = [
        "services/one/web_test.py",
        "services/one/web_test.py:tests",
        "services/one:tests",
    ]
    assert document == {
        "mode": "changed",
        "base": "a" * 40,
        "reason": "a reason",
        "targets": [
            {"address": "services/one:tests", "goal": goal, "why": why}
            for goal in ("lint", "check", "test")
        ],
        "services": [],
        "images": [],
        "deploys": {},
    }


def test_changed_service_toml_selects_the_service_without_its_image() -> None:
    selection = selected("services/two/service.toml")
    assert selection.document()["services"] == ["two"]
    assert selection.services[0].why == ("services/two/service.toml", "services/two:service")
    assert (selection.targets, selection.images) == ((), ())


def test_documentation_selects_only_the_tests_that_read_it() -> None:
    assert shown(selected("docs/other.md", "README.md", "services/one/notes.md")) == []
    assert shown(selected("docs/read.md")) == ["test libs/docs_test.py:tests"]


def test_types_are_checked_unless_only_untyped_files_changed() -> None:
    def checked(*paths: str) -> list[str]:
        return [target for target in shown(selected(*paths)) if target.startswith("check ")]

    assert checked("docs/read.md") == []
    both = [
        "check libs/docs_test.py:tests",
        "check services/two/web.py",
        "check services/two:tests",
    ]
    assert checked("docs/read.md", "services/two/web.py") == both


def test_generator_replaces_its_targets_only_if_all_are_selected() -> None:
    tests = [file_target(f"libs/{each}_test.py", "python_test", name=":tests") for each in "ab"]
    graph = TargetGraph([Target("libs:tests", "python_tests"), *tests])
    one = select(BASE, reached_targets([FileChange("libs/a_test.py")], graph), graph, ())
    both = select(
        BASE,
        reached_targets([FileChange("libs/b_test.py"), FileChange("libs/a_test.py")], graph),
        graph,
        (),
    )
    assert shown(one) == [f"{goal} libs/a_test.py:tests" for goal in ("lint", "check", "test")]
    assert shown(both) == [f"{goal} libs:tests" for goal in ("lint", "check", "test")]


def test_select_all_contains_every_goal_service_and_image() -> None:
    assert select_all(None, "why", SERVICES).document() == {
        "mode": "all",
        "base": None,
        "reason": "why",
        "targets": [{"address": "::", "goal": goal, "why": ["why"]} for goal in GOALS],
        "services": ["one", "two"],
        "images": ["services/one:image", "services/two:image"],
        "deploys": {},
    }


@pytest.mark.parametrize(
    ("kind", "goals"),
    [
        ("python_source", ("lint", "check")),
        ("python_test", ("lint", "check", "test")),
        ("pex_binary", ("package",)),
        ("docker_image", ("package",)),
        ("embedded_scripts", ("lint",)),
        ("grafana_dashboards", ("lint",)),
        ("resource", ()),
        ("python_tests", ()),
        # An unknown kind, of a new backend.
        ("go_package", GOALS),
    ],
)
def test_goals_of_each_kind_of_target(kind: str, goals: tuple[str, ...]) -> None:
    assert goals_of(kind) == goals


@pytest.mark.parametrize(
    "path",
    [
        "pants.toml",
        "pants.ci.toml",
        ".pants.bootstrap",
        "pyproject.toml",
        "BUILD",
        "3rdparty/python/tools/pytest.lock",
        "3rdparty/python/tools/pytest.txt",
        ".gitlab-ci.yml",
        ".gitlab/ci/verify.yml",
        ".ci/run",
        "ship",
        "pants",
        "libs/toolchain/pants.py",
        "macros/services.py",
        "plugins/a/b.py",
        ".gitattributes",
        "deploy/replica.yml",
        "deploy/nginx/nginx.conf",
        "deploy/environments/production.toml",
    ],
)
def test_files_that_everything_depends_on_select_everything(path: str) -> None:
    reason = reason_to_select_all(["libs/left/a.py", path], ["macros/*.py", "plugins/**"])
    assert reason is not None
    assert reason.startswith(f"{path} changed: ")


@pytest.mark.parametrize(
    "path",
    [
        "libs/left/a.py",
        "libs/left/BUILD",
        "services/one/pants.toml",
        "docs/ship",
        "README.md",
        "3rdparty/python/default.lock",
        "deploy/base/python/recipe.toml",
        "deploy/README.md",
    ],
)
def test_other_files_do_not_select_everything(path: str) -> None:
    assert reason_to_select_all([path]) is None


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (
            FileChange("observability/rules.yml"),
            "observability/rules.yml changed and belongs to no target, so what it affects is unknown",
        ),
        (
            FileChange("libs/deleted.py", deleted=True),
            "libs/deleted.py changed and belongs to no target, so what it affects is unknown",
        ),
        (FileChange(LOCK), f"{LOCK} changed: a lock whose changed pins are unknown"),
        (
            FileChange("3rdparty/python/tool.lock"),
            "3rdparty/python/tool.lock changed: the lock of a tool",
        ),
    ],
)
def test_changes_that_the_graph_cannot_resolve_give_a_reason(
    change: FileChange, reason: str
) -> None:
    assert reason_graph_cannot_tell([change], GRAPH, TargetGraph([]), SERVICES) == reason


@pytest.mark.parametrize(
    "change",
    [
        FileChange("docs/other.md"),
        FileChange("LICENSE", deleted=True),
        FileChange("libs/left/BUILD"),
        FileChange("libs/left/a.py"),
        FileChange(LOCK, requirements=RequirementsDiff(frozenset({"flask"}))),
    ],
)
def test_changes_that_the_graph_resolves_give_no_reason(change: FileChange) -> None:
    assert reason_graph_cannot_tell([change], GRAPH, None, SERVICES) is None


def test_image_that_is_no_target_gives_a_reason() -> None:
    wrong = Service(name="three", image="services/three:picture")
    assert reason_graph_cannot_tell([], GRAPH, None, [*SERVICES, wrong]) == (
        "services/three:picture, the image of three, is not a target of the build"
    )


def test_failed_test_that_was_not_selected_is_missed() -> None:
    failed = [
        "services/one/web_test.py",
        "services/two/web_test.py",
        "libs/docs_test.py",
    ]
    assert missed_tests(failed, selected("libs/left/a.py")) == (
        "libs/docs_test.py",
        "services/two/web_test.py",
    )
    assert missed_tests(failed, select_all(None, "why", SERVICES)) == ()


def test_a_test_of_a_target_in_a_folder_above_is_found_by_its_file() -> None:
    targets = [
        Target("a/b/c_test.py:../../tests", "python_test", ("a/b/c_test.py",)),
        Target("a/b/d_test.py", "python_test", ("a/b/d_test.py",)),
    ]
    graph = TargetGraph(targets)
    changes = [FileChange("a/b/c_test.py"), FileChange("a/b/d_test.py")]
    selection = select(BASE, reached_targets(changes, graph), graph, ())
    assert missed_tests(["a/b/c_test.py", "a/b/d_test.py"], selection) == ()
