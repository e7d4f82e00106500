import pytest

from deploy.core.ci.base_revision import Base
from deploy.core.ci.requirements_diff import Touched
from deploy.core.ci.selection import (
    GOALS,
    Selection,
    everything_because,
    everything_unless_owned,
    goals_of,
    missed,
    select,
    select_all,
)
from deploy.core.ci.target_graph import (
    Change,
    Graph,
    Target,
    explain,
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


GRAPH = Graph(
    [
        file_target("libs/left/a.py", "python_source"),
        *service("one", "libs/left/a.py"),
        *service("two"),
        file_target("docs/told.md", "file", name=":told"),
        file_target("libs/docs_test.py", "python_test", "docs/told.md:told", name=":tests"),
        Target(f"{LOCK}:lock", "_lockfile", (LOCK,)),
        Target("3rdparty/python:r#flask", "python_requirement", (), (f"{LOCK}:lock",), ("flask",)),
        Target("3rdparty/python:tool", "_lockfile", ("3rdparty/python/tool.lock",)),
    ]
)


def selected(*paths: str) -> Selection:
    return select(BASE, explain([Change(path) for path in paths], GRAPH), GRAPH, SERVICES)


def shown(selection: Selection) -> list[str]:
    return [f"{each.goal} {each.address}" for each in selection.targets]


def test_lint_takes_direct_changes_and_the_other_goals_dependents_too() -> None:
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


def test_the_document_is_the_contract_s() -> None:
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


def test_settings_of_a_service_reach_it_without_an_image() -> None:
    selection = selected("services/two/service.toml")
    assert selection.document()["services"] == ["two"]
    assert selection.services[0].why == ("services/two/service.toml", "services/two:service")
    assert (selection.targets, selection.images) == ((), ())


def test_documentation_reaches_the_tests_that_read_it_and_nothing_else() -> None:
    assert shown(selected("docs/other.md", "README.md", "services/one/notes.md")) == []
    assert shown(selected("docs/told.md")) == [
        "check libs/docs_test.py:tests",
        "test libs/docs_test.py:tests",
    ]


def test_a_generator_is_named_only_where_all_its_targets_are_in() -> None:
    tests = [file_target(f"libs/{each}_test.py", "python_test", name=":tests") for each in "ab"]
    graph = Graph([Target("libs:tests", "python_tests"), *tests])
    one = select(BASE, explain([Change("libs/a_test.py")], graph), graph, ())
    both = select(
        BASE, explain([Change("libs/b_test.py"), Change("libs/a_test.py")], graph), graph, ()
    )
    assert shown(one) == [f"{goal} libs/a_test.py:tests" for goal in ("lint", "check", "test")]
    assert shown(both) == [f"{goal} libs:tests" for goal in ("lint", "check", "test")]


def test_everything_is_every_goal_on_all_and_every_service_and_image() -> None:
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
        # A kind that came with a new backend.
        ("go_package", GOALS),
    ],
)
def test_a_kind_that_is_not_known_belongs_to_every_goal(kind: str, goals: tuple[str, ...]) -> None:
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
def test_what_all_depends_on_reaches_everything(path: str) -> None:
    reason = everything_because(["libs/left/a.py", path], ["macros/*.py", "plugins/**"])
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
def test_other_files_reach_what_depends_on_them(path: str) -> None:
    assert everything_because([path]) is None


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (
            Change("observability/rules.yml"),
            "observability/rules.yml changed and belongs to no target: what it reaches is unknown",
        ),
        (
            Change("libs/gone.py", gone=True),
            "libs/gone.py changed and belongs to no target: what it reaches is unknown",
        ),
        (Change(LOCK), f"{LOCK} changed, a lock, in a way that names no pins"),
        (
            Change("3rdparty/python/tool.lock"),
            "3rdparty/python/tool.lock changed, a lock, and a tool comes from it",
        ),
    ],
)
def test_what_the_graph_cannot_say_is_everything(change: Change, reason: str) -> None:
    assert everything_unless_owned([change], GRAPH, Graph([]), SERVICES) == reason


@pytest.mark.parametrize(
    "change",
    [
        Change("docs/other.md"),
        Change("LICENSE", gone=True),
        Change("libs/left/BUILD"),
        Change("libs/left/a.py"),
        Change(LOCK, touched=Touched(frozenset({"flask"}))),
    ],
)
def test_what_the_graph_says_is_enough(change: Change) -> None:
    assert everything_unless_owned([change], GRAPH, None, SERVICES) is None


def test_an_image_that_is_no_target_could_never_be_reached() -> None:
    wrong = Service(name="three", image="services/three:picture")
    assert everything_unless_owned([], GRAPH, None, [*SERVICES, wrong]) == (
        "services/three:picture, the image of three, is no target of the build"
    )


def test_a_test_that_failed_and_was_not_selected_is_missed() -> None:
    failed = [
        "services.one.web_test.py.tests",
        "services.two.web_test.py.tests",
        "batch-of-services.one.web_test.py.tests+4-files",
        "batch-of-services.two.web_test.py.tests+1-files",
        "libs.docs_test.py.tests",
    ]
    assert missed(failed, selected("libs/left/a.py")) == (
        "batch-of-services.two.web_test.py.tests+1-files",
        "libs.docs_test.py.tests",
        "services.two.web_test.py.tests",
    )
    assert missed(failed, select_all(None, "why", SERVICES)) == ()


def test_reports_are_named_as_pants_names_them() -> None:
    targets = [
        Target("a/b/c_test.py:../../tests", "python_test", ("a/b/c_test.py",)),
        Target("a/b/d_test.py", "python_test", ("a/b/d_test.py",)),
    ]
    graph = Graph(targets)
    changes = [Change("a/b/c_test.py"), Change("a/b/d_test.py")]
    selection = select(BASE, explain(changes, graph), graph, ())
    assert missed(["a.b.c_test.py@@tests", "a.b.d_test.py"], selection) == ()
