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
