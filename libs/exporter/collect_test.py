"""Containers, disk, certificate and nginx, from documents as the engine and nginx give them."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import ThreadingMixIn, UnixStreamServer
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from exporter import containers, host, nginx
from exporter.__main__ import Exporter, serve
from exporter.engine import Engine, EngineError
from exporter.exposition import Family

STATS = {
    "cpu_stats": {"cpu_usage": {"total_usage": 2_500_000_000}},
    "memory_stats": {"usage": 1000, "limit": 5000, "stats": {"inactive_file": 300}},
}
LISTED = {
    "Id": "1",
    "Names": ["/app-r000001-1"],
    "Labels": {"py-cicd.name": "app", "py-cicd.service": "app", "py-cicd.release": "r000001-abc"},
}
STATE = {
    "Status": "running",
    "StartedAt": "2026-11-24T05:30:00.123456789Z",
    "Health": {"Status": "healthy"},
}


class Documents:
    """An engine made of a table."""

    def __init__(
        self, state: dict[str, Any] | None = None, stats: dict[str, Any] | None = None
    ) -> None:
        self.state = STATE if state is None else state
        self.stats = STATS if stats is None else stats

    def containers(self) -> list[dict[str, Any]]:
        return [LISTED]

    def get(self, path: str) -> Any:
        if path.endswith("/json"):
            return {"State": self.state, "RestartCount": 3}
        if "/stats" in path:
            return self.stats
        if path.startswith("/system/df"):
            return {
                "LayersSize": 10,
                "Volumes": [{"UsageData": {"Size": 5}}, {"UsageData": {"Size": -1}}],
                "Containers": [{"SizeRw": 2}, {}],
            }
        return {"DockerRootDir": "/data", "ServerVersion": "28.5"}


def values(families: list[Family]) -> dict[str, float]:
    return {each.name: each.samples[0][2] for each in families if each.samples}


def test_a_container_is_told_in_the_words_of_its_metrics() -> None:
    families = containers.collect(Documents())
    assert values(families) == {
        "container_cpu_seconds_total": 2.5,
        "container_memory_bytes": 700.0,
        "container_memory_limit_bytes": 5000.0,
        "container_running": 1.0,
        "container_healthy": 1.0,
        "container_start_time_seconds": pytest.approx(1795498200.123),
        "container_restarts_total": 3.0,
        "container_oom_killed": 0.0,
    }
    assert families[0].samples[0][1] == {
        "kind": "replica",
        "service": "app",
        "release": "r000001-abc",
        "replica": "app-r000001-1",
        "container": "app-r000001-1",
    }


def test_one_that_stands_still_has_no_usage() -> None:
    ended = {"Status": "exited", "StartedAt": "0001-01-01T00:00:00Z", "OOMKilled": True}
    found = values(containers.collect(Documents(ended)))
    assert "container_memory_bytes" not in found
    assert (found["container_running"], found["container_healthy"]) == (0.0, 0.0)
    assert (found["container_oom_killed"], found["container_start_time_seconds"]) == (1.0, 0.0)


def test_one_that_ends_between_two_questions_is_no_error() -> None:
    assert "container_memory_bytes" not in values(
        containers.collect(Documents(stats={"memory_stats": {}}))
    )


def test_the_engine_s_disk_is_that_of_its_data(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    found = values(host.disk(Documents(), tmp_path))
    seen = os.statvfs(tmp_path)
    assert found["engine_disk_size_bytes"] == seen.f_frsize * seen.f_blocks
    assert 0 < found["engine_disk_available_bytes"] <= found["engine_disk_size_bytes"]


def test_what_fills_the_disk_is_told_by_kind() -> None:
    (used,) = host.use(Documents())
    assert {labels["kind"]: value for _, labels, value in used.samples} == {
        "images": 10,
        "volumes": 5,
        "containers": 2,
    }


@pytest.mark.parametrize(
    "years", [1, 40]
)  # 40: past 2049 a certificate writes its times in another form
def test_a_certificate_s_end_is_read(tmp_path: Path, years: int) -> None:
    end = datetime.now(UTC).replace(microsecond=0) + timedelta(days=365 * years)
    (tmp_path / "tls.crt").write_text(certificate(end))
    (tmp_path / "login").touch()
    os.utime(tmp_path / "login", (5, 7))
    found = values(host.credentials(tmp_path / "tls.crt", tmp_path / "login"))
    assert found == {
        "host_certificate_expiry_timestamp_seconds": end.timestamp(),
        "host_registry_login_timestamp_seconds": 7.0,
    }


def test_a_host_without_either_tells_neither(tmp_path: Path) -> None:
    assert values(host.credentials(tmp_path / "none", tmp_path / "none")) == {}


def certificate(end: datetime) -> str:
    key, name = (
        ec.generate_private_key(ec.SECP256R1()),
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "h")]),
    )
    built = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    )
    built = built.serial_number(x509.random_serial_number()).not_valid_before(
        datetime(2020, 1, 1, tzinfo=UTC)
    )
    signed = built.not_valid_after(end).sign(key, hashes.SHA256())
    return signed.public_bytes(serialization.Encoding.PEM).decode()


PAGE = "Active connections: 3 \nserver accepts handled requests\n 10 9 25 \nReading: 0 Writing: 1 Waiting: 2 \n"


def test_nginx_s_page_is_read() -> None:
    states, *totals = nginx.parse(PAGE)
    assert {labels["state"]: value for _, labels, value in states.samples} == {
        "active": 3,
        "reading": 0,
        "writing": 1,
        "waiting": 2,
    }
    assert [each.samples[0][2] for each in totals] == [10, 9, 25]


@pytest.mark.parametrize("page", ["", "<html>"])
def test_another_page_is_refused(page: str) -> None:
    with pytest.raises(ValueError, match="no status page"):
        nginx.parse(page)


class _Unix(ThreadingMixIn, UnixStreamServer):
    daemon_threads = True


@contextmanager
def engine_socket(path: Path, body: bytes, status: int = 200) -> Iterator[Engine]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def address_string(self) -> str:
            return "unix"

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Quiet."""

    with _Unix(str(path), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield Engine(str(path))
        server.shutdown()


def test_log_lines_come_whole_out_of_the_engine_s_frames(tmp_path: Path) -> None:
    frames = b"".join(
        b"\x01\0\0\0" + len(part).to_bytes(4) + part for part in (b"one\ntw", b"o\n", b"cut")
    )
    with engine_socket(tmp_path / "engine", frames) as engine:
        assert list(engine.lines("edge", since=0)) == [b"one", b"two"]


@pytest.mark.parametrize(("body", "status"), [(b"{}", 500), (b"no JSON", 200)])
def test_an_engine_that_ails_is_an_error(tmp_path: Path, body: bytes, status: int) -> None:
    with engine_socket(tmp_path / "engine", body, status) as engine, pytest.raises(EngineError):
        engine.get("/info")


def test_without_an_engine_the_rest_is_served(tmp_path: Path) -> None:
    (tmp_path / "crt").write_text(certificate(datetime(2030, 1, 1, tzinfo=UTC)))
    exporter = Exporter(
        Engine(str(tmp_path / "none")),
        tmp_path,
        "http://127.0.0.1:9/",
        tmp_path / "crt",
        tmp_path / "none",
    )
    with serve(exporter, "127.0.0.1", 0) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        body = _get(server, "/metrics")
        assert "engine_up 0.0" in body
        assert "nginx_up 0.0" in body
        assert "host_certificate_expiry_timestamp_seconds" in body
        assert "404" in _get(server, "/")
        server.shutdown()


def _get(server: ThreadingHTTPServer, path: str) -> str:
    connection = HTTPConnection("127.0.0.1", server.server_address[1], timeout=10)
    connection.request("GET", path)
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return f"{answer.status} {text}"
