import pytest

from deploy.core.ci.requirements_diff import Touched
from deploy.core.ci.target_graph import (
    Change,
    Graph,
    Target,
    explain,
)

LOCK = "3rdparty/default.lock"


def source(path: str, *dependencies: str, kind: str = "python_source") -> Target:
    return Target(path, kind, (path,), dependencies)


def requirement(name: str) -> Target:
    return Target(f"3rdparty:r#{name}", "python_requirement", (), ("3rdparty:lock",), (name,))


GRAPH = Graph(
    [
        source("libs/left/a.py"),
        source("libs/left/b.py", "libs/left/a.py", "3rdparty:r#flask"),
        source("libs/right/c.py"),
        Target(
            "services/one/app.py", "python_source", ("services/one/app.py",), ("libs/left/b.py",)
        ),
        Target(
            "services/one/app_test.py:tests",
            "python_test",
            ("services/one/app_test.py",),
            ("services/one/app.py",),
        ),
        Target(
            "services/one:image",
            "docker_image",
            ("services/one/Dockerfile",),
            ("services/one/app.py",),
        ),
        Target("//x.toml:root", "file", ("x.toml",)),
        Target("3rdparty:lock", "_lockfile", (LOCK,)),
        requirement("flask"),
        requirement("psutil"),
    ]
)


def ways(*changes: Change, old: Graph | None = None) -> dict[str, tuple[str, ...]]:
    return {each.address: each.why for each in explain(changes, GRAPH, old)}


def test_a_change_reaches_all_that_depends_on_it_by_a_path() -> None:
    assert ways(Change("libs/left/a.py")) == {
        "libs/left/a.py": ("libs/left/a.py",),
        "libs/left/b.py": ("libs/left/a.py", "libs/left/b.py"),
        "services/one/app.py": ("libs/left/a.py", "libs/left/b.py", "services/one/app.py"),
        "services/one/app_test.py:tests": (
            *("libs/left/a.py", "libs/left/b.py", "services/one/app.py"),
            "services/one/app_test.py:tests",
        ),
        "services/one:image": (
            *("libs/left/a.py", "libs/left/b.py", "services/one/app.py"),
            "services/one:image",
        ),
    }


def test_of_several_paths_the_shortest_is_told_whatever_the_order() -> None:
    both = (Change("services/one/app.py"), Change("libs/left/a.py"))
    assert ways(*both) == ways(*reversed(both))
    assert ways(*both)["services/one:image"] == ("services/one/app.py", "services/one:image")


def test_only_what_changed_itself_is_direct() -> None:
    reached = explain([Change("libs/left/b.py")], GRAPH)
    assert [each.address for each in reached if each.direct] == ["libs/left/b.py"]


def test_a_circle_of_dependencies_ends() -> None:
    circle = Graph([source("a.py", "b.py"), source("b.py", "a.py")])
    assert [each.address for each in explain([Change("a.py")], circle)] == ["a.py", "b.py"]


@pytest.mark.parametrize(
    ("path", "owned"),
    [
        ("BUILD", len(GRAPH.targets)),
        ("libs/left/BUILD", 2),
        ("libs/BUILD.more", 3),
        ("services/one/BUILD", 3),
        ("services/on/BUILD", 0),
        ("x.toml", 1),
        ("libs/left/REBUILD", 0),
    ],
)
def test_a_build_file_owns_all_at_and_below_its_folder(path: str, owned: int) -> None:
    assert len(GRAPH.owners(path)) == owned


def test_a_pin_reaches_its_requirement_and_no_other() -> None:
    change = Change(LOCK, touched=Touched(there=frozenset({"flask"})))
    assert ways(change)["3rdparty:r#flask"] == (LOCK, "3rdparty:r#flask")
    assert "services/one:image" in ways(change)
    assert "3rdparty:r#psutil" not in ways(change)


def test_a_lock_of_which_nothing_is_known_reaches_all_that_use_it() -> None:
    assert {"3rdparty:r#flask", "3rdparty:r#psutil"} <= ways(Change(LOCK)).keys()


def test_what_depended_on_a_file_that_is_gone_is_in_the_old_graph_alone() -> None:
    gone = Change("libs/right/old.py", gone=True)
    old = Graph(
        [
            source("libs/right/old.py"),
            source("libs/right/c.py", "libs/right/old.py"),
            source("libs/right/gone_too.py", "libs/right/old.py"),
        ]
    )
    assert gone.needs_old_graph
    assert ways(gone) == {}
    assert ways(gone, old=old) == {"libs/right/c.py": ("libs/right/old.py", "libs/right/c.py")}


def test_what_the_old_graph_reaches_is_followed_on_in_the_new_one() -> None:
    gone = Change("libs/left/old.py", gone=True)
    old = Graph([source("libs/left/old.py"), source("libs/left/b.py", "libs/left/old.py")])
    assert ways(gone, old=old)["services/one:image"] == (
        *("libs/left/old.py", "libs/left/b.py", "services/one/app.py"),
        "services/one:image",
    )


def test_a_requirement_that_went_is_looked_up_in_the_old_graph() -> None:
    change = Change(LOCK, touched=Touched(gone=frozenset({"rich"})))
    old = Graph(
        [
            Target("3rdparty:lock", "_lockfile", (LOCK,)),
            requirement("rich"),
            source("libs/right/c.py", "3rdparty:r#rich"),
        ]
    )
    assert change.needs_old_graph
    assert ways(change, old=old) == {
        "libs/right/c.py": (LOCK, "3rdparty:r#rich", "libs/right/c.py"),
    }


def test_a_generator_stands_for_its_targets_by_the_form_of_their_addresses() -> None:
    graph = Graph(
        [
            Target("libs/a:a", "python_sources"),
            source("libs/a/x.py"),
            Target("libs/a:tests", "python_tests"),
            Target("libs/a/x_test.py:tests", "python_test", ("libs/a/x_test.py",)),
            Target("libs/a:assets", "resources"),
            Target("libs/a/s/y.css:../assets", "resource", ("libs/a/s/y.css",)),
            Target("//:root", "files"),
            Target("//x.toml:root", "file", ("x.toml",)),
            Target("3rdparty:r", "python_requirements"),
            requirement("flask"),
            Target("libs/a:alone", "file", ("libs/a/z",)),
        ]
    )
    assert graph.members == {
        "libs/a:a": {"libs/a/x.py"},
        "libs/a:tests": {"libs/a/x_test.py:tests"},
        "libs/a:assets": {"libs/a/s/y.css:../assets"},
        "//:root": {"//x.toml:root"},
        "3rdparty:r": {"3rdparty:r#flask"},
    }
