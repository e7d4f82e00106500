"""Tests of the choice of the mirror, and of the apt configuration, with apt itself."""

import subprocess
from pathlib import Path

import pytest

from toolchain.errors import PersonNeededError
from toolchain.tools.debian import (
    apt_configuration,
    mirror,
    source_line,
)

DEB822 = """\
Types: deb
# http://snapshot.example/debian
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates
Components: main

Types: deb
URIs: http://mirror.example/debian-security
Suites: bookworm-security
Components: main
"""


def etc_with(tmp_path: Path, name: str, text: str) -> Path:
    path = tmp_path / "apt" / name
    path.parent.mkdir(parents=True)
    path.write_text(text)
    return tmp_path


@pytest.mark.parametrize(
    ("name", "text", "address"),
    [
        ("sources.list.d/debian.sources", DEB822, "http://mirror.example/debian"),
        ("sources.list", "deb http://a.example/debian/ trixie main\n", "http://a.example/debian/"),
        (
            "sources.list",
            (
                "# deb http://old.example/debian x main\n"
                "deb [arch=amd64] http://s.example/debian-security trixie-security main\n"
                "deb [arch=amd64] http://b.example/debian trixie main\n"
            ),
            "http://b.example/debian",
        ),
        (
            "sources.list",
            "deb mirror+file:/etc/mirrors/debian trixie main\n",
            "mirror+file:/etc/mirrors/debian",
        ),
    ],
)
def test_the_mirror_comes_from_the_machines_apt_sources(
    tmp_path: Path, name: str, text: str, address: str
) -> None:
    etc = etc_with(tmp_path, name, text)
    assert mirror({}, etc) == address


@pytest.mark.parametrize(
    ("name", "text"),
    [("sources.list", "deb http://archive.example/ubuntu noble main\n"), ("preferences", "")],
)
def test_without_a_mirror_the_error_names_the_variable_to_set(
    tmp_path: Path, name: str, text: str
) -> None:
    with pytest.raises(PersonNeededError, match="PY_CICD_DEBIAN_MIRROR"):
        mirror({}, etc_with(tmp_path, name, text))


def test_the_variable_overrides_the_machines_mirror(tmp_path: Path) -> None:
    etc = etc_with(tmp_path, "sources.list.d/debian.sources", DEB822)
    assert mirror({"PY_CICD_DEBIAN_MIRROR": "http://c.example/d"}, etc) == "http://c.example/d"


def test_apt_reads_and_writes_only_below_the_folder(tmp_path: Path) -> None:
    folder = tmp_path / "with a space"
    folder.mkdir()
    (folder / "apt.conf").write_text(apt_configuration(folder))
    argv = ["apt-config", "-c", str(folder / "apt.conf"), "shell"]
    settings = [
        "L",
        "Dir::State::lists/d",
        "C",
        "Dir::Cache::archives/d",
        "S",
        "Dir::Etc::sourcelist/f",
    ]
    done = subprocess.run([*argv, *settings], capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    assert len(lines) == 3
    assert all(str(folder) in line for line in lines), lines


def test_sources_are_verified_with_debians_archive_keys() -> None:
    line = source_line("trixie", "http://mirror.example/debian")
    assert line == (
        "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]"
        " http://mirror.example/debian trixie main\n"
    )
