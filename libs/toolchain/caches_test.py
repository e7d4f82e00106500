"""Tests of the figures of Pants' caches, and of their size limit."""

import json
from pathlib import Path

import pytest

from toolchain.caches import caches, enforce_limit
from toolchain.errors import UsageError
from toolchain.pants import remote_cache
from toolchain.pants_cache import (
    CacheUse,
    is_stats_output,
    read_all,
    read_counters,
    write,
)

OUTPUT = """\
05:38:29.37 [INFO] Counters:
  backtrack_attempts: 0
  local_cache_requests: 7
  local_cache_requests_cached: 3
  local_cache_requests_uncached: 4
  local_cache_total_time_saved_ms: 1500
  local_process_total_time_run_ms: 16757
  remote_cache_requests: 4
  remote_cache_requests_cached: 1
  remote_cache_total_time_saved_ms: 2500
""".splitlines(keepends=True)
USE = CacheUse(requests=7, local_hits=3, remote_hits=1, saved_s=4.0, spent_s=16.8)


def test_counters_are_read_from_the_output_of_pants() -> None:
    assert read_counters(OUTPUT) == USE
    assert all(is_stats_output(line) for line in OUTPUT)
    assert not is_stats_output("05:38:29.35 [INFO] Completed: Lint with ruff - ruff succeeded.\n")
    assert USE.line == (
        "cache: 4 of 7 results (57 %), 3 local, 1 remote; 4 s saved, 17 s spent on the rest"
    )


def test_the_figures_of_all_jobs_are_summed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(USE, tmp_path, "lint")
    write(USE, tmp_path, "nightly good")
    assert read_all(tmp_path) == {"lint": USE, "nightly-good": USE}
    assert caches([str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1].startswith("all jobs: cache: 8 of 14 results (57 %)")
    assert caches([str(tmp_path), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["total"]["saved_s"] == 8.0
    assert list(document["total"]) == ["asked", "local_hits", "remote_hits", "saved_s", "spent_s"]


def test_missing_figures_are_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert caches([str(tmp_path / "none")]) == 0
    assert capsys.readouterr().out == f"no job wrote cache figures to {tmp_path / 'none'}\n"


def test_a_file_without_figures_is_refused(tmp_path: Path) -> None:
    (tmp_path / "lint.json").write_text("{}]")
    with pytest.raises(UsageError, match=r"lint\.json"):
        caches([str(tmp_path)])


def test_caches_over_the_limit_are_deleted(tmp_path: Path) -> None:
    store = tmp_path / "store"
    store.mkdir()
    (store / "data.mdb").write_bytes(b"x" * 2_000_000)
    environ = {"PANTS_LOCAL_STORE_DIR": str(store), "PANTS_NAMED_CACHES_DIR": str(tmp_path / "n")}
    assert enforce_limit(environ) is None
    assert enforce_limit({**environ, "SHIP_CACHE_MB": "3"}) is None
    assert store.exists()
    deleted = enforce_limit({**environ, "SHIP_CACHE_MB": "1"})
    assert deleted == "deleted Pants' caches: they had 2 MB, the limit is 1 MB"
    assert not store.exists()
    with pytest.raises(UsageError, match="SHIP_CACHE_MB is 'many'"):
        enforce_limit({"SHIP_CACHE_MB": "many"})


@pytest.mark.parametrize(("source", "writes"), [("merge_request_event", "false"), ("push", "true")])
def test_merge_requests_only_read_the_shared_cache(source: str, writes: str) -> None:
    environ = {"SHIP_REMOTE_CACHE": "grpc://cache.example.com:9000", "CI_PIPELINE_SOURCE": source}
    assert remote_cache(environ)["PANTS_REMOTE_CACHE_WRITE"] == writes
    assert remote_cache({}) == {}
