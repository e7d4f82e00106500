"""Tests of what is told of Pants' caches, and of the bound on them."""

import json
from pathlib import Path

import pytest

from toolchain.build import remote_cache
from toolchain.caches import bound, caches
from toolchain.errors import UsageError
from toolchain.pants_cache import (
    CacheUse,
    is_noise,
    read_all,
    read_counters,
    write,
)

SAID = """\
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
USE = CacheUse(asked=7, local_hits=3, remote_hits=1, saved_s=4.0, spent_s=16.8)


def test_counters_are_read_as_pants_says_them() -> None:
    assert read_counters(SAID) == USE
    assert all(is_noise(line) for line in SAID)
    assert not is_noise("05:38:29.35 [INFO] Completed: Lint with ruff - ruff succeeded.\n")
    assert USE.line == (
        "cache: 4 of 7 results (57 %), 3 local, 1 remote; 4 s saved, 17 s spent on the others"
    )


def test_a_pipeline_s_jobs_are_summed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(USE, tmp_path, "lint")
    write(USE, tmp_path, "nightly good")
    assert read_all(tmp_path) == {"lint": USE, "nightly-good": USE}
    assert caches([str(tmp_path)]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[-1].startswith("all jobs: cache: 8 of 14 results (57 %)")
    assert caches([str(tmp_path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["total"]["saved_s"] == 8.0


def test_no_job_at_all_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert caches([str(tmp_path / "none")]) == 0
    assert capsys.readouterr().out == "no job told of its cache\n"


def test_what_is_no_figure_is_refused(tmp_path: Path) -> None:
    (tmp_path / "lint.json").write_text("{}]")
    with pytest.raises(UsageError, match=r"lint\.json"):
        caches([str(tmp_path)])


def test_a_cache_that_has_outgrown_its_bound_begins_anew(tmp_path: Path) -> None:
    store = tmp_path / "store"
    store.mkdir()
    (store / "data.mdb").write_bytes(b"x" * 2_000_000)
    environ = {"PANTS_LOCAL_STORE_DIR": str(store), "PANTS_NAMED_CACHES_DIR": str(tmp_path / "n")}
    assert bound(environ) == ""
    assert bound({**environ, "SHIP_CACHE_MB": "3"}) == ""
    assert store.exists()
    assert bound({**environ, "SHIP_CACHE_MB": "1"}).endswith("to 2 MB of 1: they begin anew")
    assert not store.exists()
    with pytest.raises(UsageError, match="SHIP_CACHE_MB is 'many'"):
        bound({"SHIP_CACHE_MB": "many"})


@pytest.mark.parametrize(("source", "writes"), [("merge_request_event", "false"), ("push", "true")])
def test_a_merge_request_only_reads_the_shared_cache(source: str, writes: str) -> None:
    environ = {"SHIP_REMOTE_CACHE": "grpc://cache.example.com:9000", "CI_PIPELINE_SOURCE": source}
    assert remote_cache(environ)["PANTS_REMOTE_CACHE_WRITE"] == writes
    assert remote_cache({}) == {}
