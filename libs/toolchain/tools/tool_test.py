"""Tests of pieces: whole or not there, made once, also by two at the same time."""

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from toolchain.tools.tool import Piece, bring


def piece_of(make: Callable[[Path, Path], None], *inputs: str) -> Piece:
    return Piece("tools", "thing", "a thing", inputs, download_mb=1, seconds=1, make=make)


def test_a_piece_is_made_once_and_found_afterwards(tmp_path: Path) -> None:
    made: list[Path] = []

    def make(aside: Path, home: Path) -> None:
        (aside / "file").write_text("x")
        made.append(home)

    piece = piece_of(make, "a")
    assert bring(piece, tmp_path) == bring(piece, tmp_path) == piece.home(tmp_path)
    assert made == [piece.home(tmp_path)]
    assert (piece.home(tmp_path) / "file").read_text() == "x"


def test_a_piece_that_was_brought_is_not_made(tmp_path: Path) -> None:
    own, brought = tmp_path / "own", tmp_path / "brought"
    made: list[Path] = []
    piece = piece_of(lambda aside, home: made.append(home), "a")
    there = bring(piece, brought)
    assert bring(piece, own, brought) == piece.home(own, brought) == there
    assert (made, piece.is_whole(own, brought), piece.is_whole(own)) == ([there], True, False)
    newer = piece_of(lambda aside, home: made.append(home), "b")
    assert bring(newer, own, brought) == newer.home(own)


def test_a_piece_that_failed_is_not_there_and_the_next_try_starts_anew(tmp_path: Path) -> None:
    def fail(aside: Path, home: Path) -> None:
        (aside / "half").touch()
        raise RuntimeError

    def make(aside: Path, home: Path) -> None:
        (aside / "all").touch()

    with pytest.raises(RuntimeError):
        bring(piece_of(fail), tmp_path)
    assert not piece_of(fail).is_whole(tmp_path)
    home = bring(piece_of(make), tmp_path)
    assert sorted(path.name for path in home.iterdir()) == ["all", "made.json"]


def test_the_home_follows_the_inputs(tmp_path: Path) -> None:
    def make(aside: Path, home: Path) -> None: ...

    assert piece_of(make, "a", "b").home(tmp_path) != piece_of(make, "ab").home(tmp_path)
    assert piece_of(make, "a").home(tmp_path) == piece_of(make, "a").home(tmp_path)


def test_two_clones_that_set_up_at_once_make_one_piece(tmp_path: Path) -> None:
    made: list[str] = []

    def make(aside: Path, home: Path) -> None:
        time.sleep(0.05)
        made.append(threading.current_thread().name)

    clones = [threading.Thread(target=bring, args=(piece_of(make), tmp_path)) for _ in range(4)]
    for clone in clones:
        clone.start()
    for clone in clones:
        clone.join()
    assert len(made) == 1
