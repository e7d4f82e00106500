from pathlib import Path

from deploy.adapters.file_cache import FileMemory


def test_what_was_kept_is_recalled(tmp_path: Path) -> None:
    memory = FileMemory(tmp_path / "images")
    assert memory.recall("key") is None
    memory.keep("key", "one")
    memory.keep("key", "two")
    assert memory.recall("key") == "two"
    assert memory.recall("other") is None
    assert len(list((tmp_path / "images").iterdir())) == 1


def test_a_folder_that_cannot_be_written_remembers_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    memory = FileMemory(tmp_path / "file" / "images")
    memory.keep("key", "one")
    assert memory.recall("key") is None
