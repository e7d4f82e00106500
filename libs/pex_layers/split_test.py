"""Which layer each file of a venv is in."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from pex_layers.split import source_of, split_dependencies, split_sources
from pex_layers.venv import EPOCH, SITE


@pytest.fixture
def venv(tmp_path: Path) -> Path:
    """A folder like a venv, which tests fill."""
    path = tmp_path / "opt" / "app"
    write(path / "pyvenv.cfg")
    write(path / "bin" / "gunicorn")
    (path / "lib64").symlink_to("lib")
    return path


def write(path: Path, size: int = 1) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * size)


def distribution(venv: Path, name: str, *files: str, size: int = 1) -> None:
    """Installs a distribution with byte code, which its own list of files doesn't have."""
    info = venv / SITE / f"{name}-1.dist-info"
    write(info / "INSTALLER")
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n")
    with (info / "RECORD").open("w") as record:
        csv.writer(record).writerows((file, "", "") for file in files)
    for file in files:
        write(venv / SITE / file, size)
        source = venv / SITE / file
        write(source.parent / "__pycache__" / f"{source.stem}.cpython-313.pyc", size)


def layers(out: Path, venv: Path) -> list[set[str]]:
    """The files of each layer, relative to the venv, without the marks."""
    return [
        {path for path in files(layer / venv.relative_to("/")) if not path.startswith(".layers/")}
        for layer in sorted(out.iterdir())
    ]


def files(folder: Path) -> set[str]:
    return {
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_symlink() or path.is_file()
    }


def test_distributions_in_one_folder_go_to_their_layers(venv: Path, tmp_path: Path) -> None:
    distribution(venv, "large", "shared/large/a.py", "shared/large/b.py", size=1000)
    distribution(venv, "small", "shared/small/c.py", size=10)
    split_dependencies(venv, tmp_path / "out", 3)
    bottom, top, rest = layers(tmp_path / "out", venv)
    assert bottom == {
        *("pyvenv.cfg", "bin/gunicorn", "lib64"),
        *(f"{SITE}/shared/large/{name}.py" for name in "ab"),
        *(f"{SITE}/shared/large/__pycache__/{name}.cpython-313.pyc" for name in "ab"),
        *(f"{SITE}/large-1.dist-info/{name}" for name in ("INSTALLER", "METADATA", "RECORD")),
    }
    assert f"{SITE}/shared/small/c.py" in top
    assert f"{SITE}/shared/small/__pycache__/c.cpython-313.pyc" in top
    assert rest == set()


def test_a_file_of_no_distribution_is_in_the_bottom_layer(venv: Path, tmp_path: Path) -> None:
    distribution(venv, "one", "one.py")
    write(venv / SITE / "stray.txt")
    split_dependencies(venv, tmp_path / "out", 2)
    assert f"{SITE}/stray.txt" in layers(tmp_path / "out", venv)[0]


def test_byte_code_is_in_the_layer_of_its_source(venv: Path, tmp_path: Path) -> None:
    names = [f"m{number}" for number in range(20)]
    for name in names:
        write(venv / SITE / "app" / f"{name}.py")
        write(venv / SITE / "app" / "__pycache__" / f"{name}.cpython-313.pyc")
    write(venv / SITE / "telemetry" / "logs.py")
    split_sources(venv, tmp_path / "out", 3, "app")
    bottom, *upper = layers(tmp_path / "out", venv)
    assert bottom == {"pyvenv.cfg", "bin/gunicorn", "lib64", f"{SITE}/telemetry/logs.py"}
    for name in names:
        source, code = (
            f"{SITE}/app/{name}.py",
            f"{SITE}/app/__pycache__/{name}.cpython-313.pyc",
        )
        assert [{source, code} & layer for layer in upper if {source, code} & layer] == [
            {source, code}
        ]


def test_each_layer_has_a_file_of_its_own(venv: Path, tmp_path: Path) -> None:
    split_sources(venv, tmp_path / "out", 3, "app")
    contents = [files(layer) for layer in sorted((tmp_path / "out").iterdir())]
    assert all(contents)
    assert len(set.union(*contents)) == sum(map(len, contents))


def test_every_file_and_folder_has_the_same_time(venv: Path, tmp_path: Path) -> None:
    distribution(venv, "one", "one.py")
    split_dependencies(venv, tmp_path / "out", 2)
    out = tmp_path / "out"
    assert {path.lstat().st_mtime for path in (out, *out.rglob("*"))} == {EPOCH}


def test_source_of_byte_code() -> None:
    assert source_of("a/__pycache__/b.cpython-313.pyc") == "a/b.py"
    assert source_of("a/b.pyc") == "a/b.pyc"
    assert source_of("a/__pycache__/data.txt") == "a/__pycache__/data.txt"
