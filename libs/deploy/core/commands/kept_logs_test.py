"""Keeps logs with the real scripts, below a test's folder and with a fake `docker`."""

from __future__ import annotations

import gzip
import json
import stat
from collections.abc import Mapping
from pathlib import Path

import pytest

from deploy.core.commands import kept_logs, paths
from deploy.core.commands.files import tar_of
from deploy.testing.local_root import LocalRoot

OLD, NEW = "r000003-3f9c2ab", "r000004-3f9c2ab"
WHEN = "2026-11-28T10:00:00.100000001Z"


@pytest.fixture
def local(tmp_path: Path) -> LocalRoot:
    return LocalRoot.at(tmp_path)


def removed(local: LocalRoot, **logs: str) -> kept_logs.RemovedLogs:
    """Returns what `read` finds of containers that printed these logs."""
    for name, text in logs.items():
        (local.fake / f"log-{name}").write_text(text)
    done = local.run(kept_logs.read("app", NEW, list(logs)))
    assert (done.returncode, done.stderr) == (0, b"")
    return kept_logs.parse_removed(done.stdout.decode())


def keep(local: LocalRoot, release: str, logs: Mapping[str, str], *dropped: str) -> None:
    files = [(f"{name}.log", text, 0o600) for name, text in logs.items()]
    done = local.run(kept_logs.keep("app", release, dropped), gzip.compress(tar_of(files)))
    assert (done.returncode, done.stderr) == (0, b"")


def kept(local: LocalRoot, release: str | None = None) -> list[kept_logs.KeptLine]:
    done = local.run(kept_logs.print_kept("app", release))
    assert (done.returncode, done.stderr) == (0, b"")
    return list(kept_logs.parse_kept(done.stdout.decode()))


def test_the_end_of_each_log_is_read_in_whole_lines(local: LocalRoot) -> None:
    line = f"{WHEN} {'é' * 500}\n"
    found = removed(local, one=f"{WHEN} first\n", many=line * 2000)
    assert found.texts["one"] == f"{WHEN} first\n"
    assert len(found.texts["many"].encode()) <= kept_logs.MOST_BYTES
    assert set(found.texts["many"].splitlines()) == {line.rstrip("\n")}
    assert f"logs --timestamps --tail {kept_logs.MOST_LINES} one" in local.calls()


def test_a_line_that_the_engine_cut_is_joined_again(local: LocalRoot) -> None:
    pieces = ["x" * kept_logs._CUT_AFTER, "y" * 9]
    found = removed(local, app="".join(f"{WHEN} {piece}" for piece in pieces) + "\n")
    assert found.texts["app"] == f"{WHEN} {''.join(pieces)}\n"


def test_the_secrets_that_replicas_saw_are_read_with_their_logs(local: LocalRoot) -> None:
    folder = local.root / "services/app/releases" / NEW / "secrets"
    (folder / "files").mkdir(parents=True)
    (folder / "files/DB").write_text("first\nsecond")
    replica = {"environment": {"API": "5$$ green"}}
    (folder / "replica.json").write_text(json.dumps({"services": {"replica": replica}}))
    assert removed(local, app="a line\n").secrets == ("first\nsecond", "5$ green")


def test_kept_logs_and_record_are_for_the_owner_alone(local: LocalRoot) -> None:
    release = local.root / "services/app/releases" / NEW
    release.mkdir(parents=True)
    (release / "release.json").write_text("the record")
    keep(local, NEW, {"app-r000004-1": f"{WHEN} started\nno time\n"})
    folder = local.root / "services/app/logs" / NEW
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
    assert modes == {"app-r000004-1.log": 0o600, "release.json": 0o600}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(folder.parent.stat().st_mode) == 0o700
    assert (folder / "release.json").read_text() == "the record"
    assert kept(local) == [
        kept_logs.KeptLine(NEW, "app-r000004-1", WHEN, "started"),
        kept_logs.KeptLine(NEW, "app-r000004-1", "", "no time"),
    ]


def test_logs_of_another_replica_are_added_and_those_of_old_releases_removed(
    local: LocalRoot,
) -> None:
    keep(local, OLD, {"app-r000003-1": "old\n"})
    keep(local, NEW, {"app-r000004-1": "one\n"})
    (local.root / "services/app/logs/r000001-3f9c2ab.new").mkdir()
    keep(local, NEW, {"app-r000004-2": "two\n"}, OLD)
    assert [(line.replica, line.text) for line in kept(local)] == [
        ("app-r000004-1", "one"),
        ("app-r000004-2", "two"),
    ]
    assert [path.name for path in (local.root / "services/app/logs").iterdir()] == [NEW]


def test_one_release_is_printed_and_all_are_listed(local: LocalRoot) -> None:
    keep(local, OLD, {"app-r000003-1": "old\n"})
    keep(local, NEW, {"app-r000004-1": "new\n"})
    assert [line.text for line in kept(local, OLD)] == ["old"]
    assert kept(local, "r000009-3f9c2ab") == []
    listed = local.run(kept_logs.list_kept("app"))
    assert listed.stdout.decode().split() == [OLD, NEW]


def test_a_host_without_kept_logs_prints_nothing(local: LocalRoot) -> None:
    assert kept(local) == []
    (local.root / "services/app/logs").mkdir(parents=True)
    done = local.run(kept_logs.list_kept("app"))
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_a_broken_archive_leaves_what_was_kept(local: LocalRoot) -> None:
    keep(local, NEW, {"app-r000004-1": "one\n"})
    done = local.run(kept_logs.keep("app", NEW, ()), b"no archive")
    assert done.returncode != 0
    assert [line.text for line in kept(local)] == ["one"]


@pytest.mark.parametrize("text", ["log", "log app !", "log app aGVsbG8=", "other app aGVsbG8="])
def test_other_output_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        kept_logs.parse_removed(text)


def test_folder_is_below_the_service() -> None:
    assert paths.kept_logs("app") == "/srv/py-cicd/services/app/logs"
