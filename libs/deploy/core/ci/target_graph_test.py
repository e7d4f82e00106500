import pytest

from deploy.core.ci.requirements_diff import RequirementsDiff
from deploy.core.ci.target_graph import (
    FileChange,
    Target,
    TargetGraph,
    reached_targets,
)

LOCK = "3rdparty/default.lock"


def source(path: str, *dependencies: str, kind: str = "python_source") -> Target:
    return Target(path, kind, (path,), dependencies)


def requirement(name: str) -> Target:
    return Target(f"3rdparty:r#{name}", "python_requirement", (), ("3rdparty:lock",), (name,))


GRAPH = TargetGraph(
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


def chains(*changes: FileChange, old: TargetGraph | None = None) -> dict[str, tuple[str, ...]]:
    return {each.address: each.why for each in reached_targets(changes, GRAPH, old)}


def test_change_affects_all_dependents_with_the_chain_to_each() -> None:
    assert chains(FileChange("libs/left/a.py")) == {
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


def test_shortest_chain_is_reported_in_any_order_of_changes() -> None:
    both = (FileChange("services/one/app.py"), FileChange("libs/left/a.py"))
    assert chains(*both) == chains(*reversed(both))
    assert chains(*both)["services/one:image"] == ("services/one/app.py", "services/one:image")


def test_only_targets_of_changed_files_are_direct() -> None:
    reached = reached_targets([FileChange("libs/left/b.py")], GRAPH)
    assert [each.address for each in reached if each.direct] == ["libs/left/b.py"]


def test_dependency_cycle_ends() -> None:
    circle = TargetGraph([source("a.py", "b.py"), source("b.py", "a.py")])
    assert [each.address for each in reached_targets([FileChange("a.py")], circle)] == [
        "a.py",
        "b.py",
    ]


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
def test_build_file_belongs_to_all_targets_in_and_below_its_folder(path: str, owned: int) -> None:
    assert len(GRAPH.owners(path)) == owned


def test_changed_pin_affects_its_requirement_only() -> None:
    change = FileChange(LOCK, requirements=RequirementsDiff(changed=frozenset({"flask"})))
    assert chains(change)["3rdparty:r#flask"] == (LOCK, "3rdparty:r#flask")
    assert "services/one:image" in chains(change)
    assert "3rdparty:r#psutil" not in chains(change)


def test_lock_with_unknown_differences_affects_every_requirement() -> None:
    assert {"3rdparty:r#flask", "3rdparty:r#psutil"} <= chains(FileChange(LOCK)).keys()


def test_dependents_of_a_deleted_file_come_from_the_old_graph() -> None:
    deleted = FileChange("libs/right/old.py", deleted=True)
    old = TargetGraph(
        [
            source("libs/right/old.py"),
            source("libs/right/c.py", "libs/right/old.py"),
            source("libs/right/gone_too.py", "libs/right/old.py"),
        ]
    )
    assert deleted.needs_old_graph
    assert chains(deleted) == {}
    assert chains(deleted, old=old) == {"libs/right/c.py": ("libs/right/old.py", "libs/right/c.py")}


def test_dependents_from_the_old_graph_are_followed_in_the_new_one() -> None:
    deleted = FileChange("libs/left/old.py", deleted=True)
    old = TargetGraph([source("libs/left/old.py"), source("libs/left/b.py", "libs/left/old.py")])
    assert chains(deleted, old=old)["services/one:image"] == (
        *("libs/left/old.py", "libs/left/b.py", "services/one/app.py"),
        "services/one:image",
    )


def test_removed_requirement_is_looked_up_in_the_old_graph() -> None:
    change = FileChange(LOCK, requirements=RequirementsDiff(removed=frozenset({"rich"})))
    old = TargetGraph(
        [
            Target("3rdparty:lock", "_lockfile", (LOCK,)),
            requirement("rich"),
            source("libs/right/c.py", "3rdparty:r#rich"),
        ]
    )
    assert change.needs_old_graph
    assert chains(change, old=old) == {
        "libs/right/c.py": (LOCK, "3rdparty:r#rich", "libs/right/c.py"),
    }


def test_generators_are_found_by_the_addresses_of_their_targets() -> None:
    graph = TargetGraph(
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
