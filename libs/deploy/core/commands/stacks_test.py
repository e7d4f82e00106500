"""Runs the scripts for stacks on this machine, below another root and with a fake `docker`."""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path

import pytest

from deploy.core.commands import edge_state, stacks
from deploy.core.stacks.nginx_conf import render_edge
from deploy.core.state.edge import HEADER, EdgeRoute, EdgeState, dump_edge, state_name
from deploy.testing import factories
from deploy.testing.local_root import LocalRoot

EDGE, _, METRICS = factories.stacks()
STATE = b'{"routes":[]}'
STATE_FILE = f"edge/states/{hashlib.sha256(STATE).hexdigest()}.json"


@pytest.fixture
def machine(tmp_path: Path) -> LocalRoot:
    """A host with two edges, one of which replaces the other."""
    machine = LocalRoot.at(tmp_path / "root with a space")
    for key in ("old", "new"):
        conf = machine.root / "edge/conf" / key
        conf.mkdir(parents=True)
        (conf / "nginx.conf").write_text(f"# {key}\ninclude /etc/nginx/py-cicd/routes.conf;\n")
    (machine.root / "edge/conf/routes.conf").write_text("before\n")
    (machine.fake / "edges").write_text("0c1d old\n2e3f new\n")
    return machine


def files(machine: LocalRoot) -> list[str]:
    conf = machine.root / "edge/conf"
    return sorted(str(path.relative_to(conf)) for path in conf.rglob("*") if path.is_file())


def test_routes_are_checked_by_every_edge_then_replaced_then_loaded_by_every_edge(
    machine: LocalRoot,
) -> None:
    assert (
        machine.run(stacks.replace_routes(4, "one", "two", STATE), STATE + b"new\n").returncode == 0
    )
    assert machine.read("fake/checked") == "new\n"
    assert machine.read("edge/conf/routes.conf") == "new\n"
    calls = [call for call in machine.calls() if call.startswith(("exec", "kill"))]
    check = "nginx -t -q -c /etc/nginx/py-cicd"
    assert calls == [
        f"exec 0c1d {check}/old/nginx.next.conf",
        f"exec 2e3f {check}/new/nginx.next.conf",
        "kill --signal HUP 0c1d 2e3f",
    ]
    assert files(machine) == ["left/one", "new/nginx.conf", "old/nginx.conf", "routes.conf"]


def test_state_is_written_before_the_routes_that_name_it(machine: LocalRoot) -> None:
    argv = stacks.replace_routes(4, "one", "two", STATE)
    (machine.fake / "check").write_text("1")
    assert machine.run(argv, STATE + b"new\n").returncode == stacks.NGINX_REFUSED
    assert not (machine.root / STATE_FILE).exists()
    (machine.fake / "check").unlink()
    assert machine.run(argv, STATE + b"new\n").returncode == 0
    assert machine.read(STATE_FILE).encode() == STATE
    script = argv[2]
    steps = ('sync "$6/.next"', 'mv "$6/.next"', 'sync "$6" ', "mv routes.next.conf")
    assert sorted(steps, key=script.index) == list(steps)


@pytest.mark.parametrize("sent", [b"", STATE[:-1], b"x" * len(STATE)])
def test_state_that_arrives_cut_short_or_changed_changes_nothing(
    machine: LocalRoot, sent: bytes
) -> None:
    done = machine.run(stacks.replace_routes(4, "one", "two", STATE), sent)
    assert done.returncode == 1
    assert machine.read("edge/conf/routes.conf") == "before\n"
    assert machine.calls() == []


def test_states_that_nothing_names_are_removed_by_the_next_switch_minutes_later(
    machine: LocalRoot,
) -> None:
    states = machine.root / "edge/states"
    states.mkdir()
    for name, minutes in (("a", stacks.LEFT_KEPT_MIN + 2), ("b", stacks.LEFT_KEPT_MIN - 2)):
        (states / f"{name}.json").touch()
        then = time.time() - 60 * minutes
        os.utime(states / f"{name}.json", (then, then))
    argv = stacks.replace_routes(4, "one", "two", STATE)
    assert machine.run(argv, STATE + b"new\n").returncode == 0
    assert sorted(path.name for path in states.iterdir()) == sorted(
        ["b.json", STATE_FILE.rpartition("/")[2]]
    )


def test_state_is_read_with_the_line_that_names_it(machine: LocalRoot) -> None:
    state = EdgeState((EdgeRoute("app", "/", ""),))
    routes = machine.root / "edge/conf/routes.conf"
    (machine.root / "edge/states").mkdir()
    (machine.root / f"edge/states/{state_name(state)}.json").write_text(dump_edge(state))
    for text in (render_edge(state), HEADER + dump_edge(state)):
        routes.write_text(text)
        assert edge_state.parse(machine.run(edge_state.read()).stdout.decode()) == state
    routes.unlink()
    assert edge_state.parse(machine.run(edge_state.read()).stdout.decode()) == EdgeState()


def test_generation_that_is_restored_is_no_longer_marked_as_left(machine: LocalRoot) -> None:
    for left, taken in (("one", "two"), ("two", "one"), ("one", "one")):
        argv = stacks.replace_routes(4, left, taken, STATE)
        assert machine.run(argv, STATE + b"new\n").returncode == 0
    assert "left/two" in files(machine)
    assert "left/one" not in files(machine)


def test_marks_of_generations_left_long_ago_are_removed(machine: LocalRoot) -> None:
    left = machine.root / "edge/conf/left"
    left.mkdir()
    for name, minutes in (("old", stacks.LEFT_KEPT_MIN + 2), ("recent", stacks.LEFT_KEPT_MIN - 2)):
        (left / name).touch()
        then = time.time() - 60 * minutes
        os.utime(left / name, (then, then))
    assert (
        machine.run(stacks.replace_routes(4, "one", "two", STATE), STATE + b"new\n").returncode == 0
    )
    assert sorted(file.name for file in left.iterdir()) == ["one", "recent"]


def test_routes_that_an_edge_refuses_change_nothing(machine: LocalRoot) -> None:
    (machine.fake / "check").write_text("1")
    done = machine.run(stacks.replace_routes(4, "one", "two", STATE), STATE + b"new\n")
    assert done.returncode == stacks.NGINX_REFUSED
    assert machine.read("edge/conf/routes.conf") == "before\n"
    assert not [call for call in machine.calls() if call.startswith("kill")]


def test_routes_without_an_edge_are_not_written(machine: LocalRoot) -> None:
    (machine.fake / "edges").unlink()
    done = machine.run(stacks.replace_routes(4, "one", "two", STATE), STATE + b"new\n")
    assert (done.returncode, done.stderr) == (stacks.NGINX_REFUSED, b"no edge runs\n")
    assert machine.read("edge/conf/routes.conf") == "before\n"


def test_truncated_routes_are_not_checked_or_written(machine: LocalRoot) -> None:
    assert machine.run(stacks.replace_routes(4, "one", "two", STATE), STATE + b"ne").returncode == 1
    assert machine.read("edge/conf/routes.conf") == "before\n"
    assert machine.calls() == []


def test_every_edge_process_is_listed_with_the_key_of_its_edge(machine: LocalRoot) -> None:
    done = machine.run(stacks.edge_processes())
    assert done.returncode == 0
    assert done.stdout.decode().splitlines() == [
        line
        for key in ("old", "new")
        for line in (f"{key} PID COMMAND", f"{key} 7 nginx: worker process")
    ]


def test_listing_the_processes_fails_if_docker_does(machine: LocalRoot) -> None:
    (machine.fake / "top").write_text("1")
    assert machine.run(stacks.edge_processes()).returncode == 1


def test_files_of_an_edge_are_checked_without_network() -> None:
    argv = stacks.check_files(EDGE)
    assert argv[:5] == ["docker", "run", "--rm", "--network", "none"]
    assert argv[argv.index("--volume") + 1] == "/srv/py-cicd/edge/conf:/etc/nginx/py-cicd:ro"
    conf = f"/etc/nginx/py-cicd/{EDGE.key}/nginx.conf"
    assert argv[-6:] == [EDGE.image, "nginx", "-t", "-q", "-c", conf]


def test_edge_starts_as_its_own_project_and_replaces_one_of_an_older_version(
    machine: LocalRoot,
) -> None:
    (machine.fake / "older").write_text("5a5a\n")
    assert machine.run(stacks.start(EDGE)).returncode == 0
    calls = machine.calls()
    assert calls[1] == "rm --force 5a5a"
    assert calls[2].startswith(
        f"compose --project-name py-cicd-edge-{EDGE.key} --project-directory "
    )
    assert calls[2].endswith(f"edge/{EDGE.key}/ up --detach --wait --wait-timeout 60")


def test_other_stack_is_started_in_place_of_the_running_one() -> None:
    assert stacks.start(METRICS)[-2:] == ["py-cicd-metrics", "/srv/py-cicd/metrics/"]


def test_old_edge_is_stopped_then_removed_with_its_files(machine: LocalRoot) -> None:
    (machine.fake / "found").write_text("0c1d\n")
    (machine.root / "edge/old").mkdir()
    assert machine.run(stacks.stop("edge", ["old"])).returncode == 0
    assert machine.calls()[1:] == ["stop 0c1d", "rm --force 0c1d"]
    assert not (machine.root / "edge/old").exists()
    assert files(machine) == ["new/nginx.conf", "routes.conf"]


def test_removed_stack_is_stopped_and_its_containers_are_removed_after_its_folder(
    machine: LocalRoot,
) -> None:
    (machine.fake / "found-keeper").write_text("0c1d\n")
    (machine.root / "keeper/code").mkdir(parents=True)
    assert machine.run(stacks.remove("keeper")).returncode == 0
    assert machine.calls()[1:] == ["stop 0c1d", "rm --force 0c1d"]
    assert not (machine.root / "keeper").exists()
    assert (machine.root / "edge/conf/routes.conf").exists()


def test_removing_a_missing_stack_succeeds(machine: LocalRoot) -> None:
    assert machine.run(stacks.remove("keeper")).returncode == 0
    assert len(machine.calls()) == 1


def test_stopping_a_missing_edge_succeeds(machine: LocalRoot) -> None:
    assert machine.run(stacks.stop("edge", ["old"])).returncode == 0
    assert len(machine.calls()) == 1
