import os
from pathlib import Path

from deploy.adapters.file_cache import FileCache


def test_last_text_under_a_key_is_returned(tmp_path: Path) -> None:
    cache = FileCache(tmp_path / "images")
    assert cache.get("key") is None
    cache.put("key", "one")
    cache.put("key", "two")
    assert cache.get("key") == "two"
    assert cache.get("other") is None
    assert len(list((tmp_path / "images").iterdir())) == 1


def test_folder_that_cannot_be_written_caches_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    cache = FileCache(tmp_path / "file" / "images")
    cache.put("key", "one")
    assert cache.get("key") is None


def test_only_the_texts_that_were_stored_last_are_kept(tmp_path: Path) -> None:
    cache = FileCache(tmp_path / "graphs", limit=2)
    for number, key in enumerate(("one", "two", "three")):
        cache.put(key, key)
        for file in (tmp_path / "graphs").iterdir():
            if file.read_text() == key:
                os.utime(file, (number, number))
    cache.put("four", "four")
    assert [cache.get(key) for key in ("one", "two", "three", "four")] == [
        None,
        None,
        "three",
        "four",
    ]
