"""Metrics of containers, disk, certificate and nginx, from documents of the engine and of nginx."""

from __future__ import annotations

import os
import threading
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from engine_api.client import EngineClient
from exporter import containers, host, nginx
from exporter.__main__ import Exporter, serve
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


class FakeEngine:
    """An engine whose documents are given."""

    def __init__(
        self, state: dict[str, Any] | None = None, stats: dict[str, Any] | None = None
    ) -> None:
        self.state = STATE if state is None else state
        self.stats = STATS if stats is None else stats

    def deployed_containers(self) -> list[dict[str, Any]]:
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
    return {family.name: family.samples[0][2] for family in families if family.samples}


def test_a_container_is_measured_under_the_labels_of_its_own_metrics() -> None:
    families = containers.collect(FakeEngine())
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


def test_a_stopped_container_has_no_usage() -> None:
    ended = {"Status": "exited", "StartedAt": "0001-01-01T00:00:00Z", "OOMKilled": True}
    found = values(containers.collect(FakeEngine(ended)))
    assert "container_memory_bytes" not in found
    assert (found["container_running"], found["container_healthy"]) == (0.0, 0.0)
    assert (found["container_oom_killed"], found["container_start_time_seconds"]) == (1.0, 0.0)


def test_a_container_that_ends_between_two_requests_is_no_error() -> None:
    assert "container_memory_bytes" not in values(
        containers.collect(FakeEngine(stats={"memory_stats": {}}))
    )


def test_the_engines_disk_is_the_file_system_of_its_data(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    found = values(host.disk(FakeEngine(), tmp_path))
    stat = os.statvfs(tmp_path)
    assert found["engine_disk_size_bytes"] == stat.f_frsize * stat.f_blocks
    assert 0 < found["engine_disk_available_bytes"] <= found["engine_disk_size_bytes"]


def test_disk_use_is_reported_by_kind() -> None:
    (used,) = host.disk_use(FakeEngine())
    assert {labels["kind"]: value for _, labels, value in used.samples} == {
        "images": 10,
        "volumes": 5,
        "containers": 2,
    }


@pytest.mark.parametrize(
    "years", [1, 40]
)  # 40: after 2049 a certificate has another format of dates
def test_the_expiry_of_a_certificate_is_read(tmp_path: Path, years: int) -> None:
    end = datetime.now(UTC).replace(microsecond=0) + timedelta(days=365 * years)
    (tmp_path / "tls.crt").write_text(certificate(end))
    (tmp_path / "login").touch()
    os.utime(tmp_path / "login", (5, 7))
    found = values(host.credentials(tmp_path / "tls.crt", tmp_path / "login"))
    assert found == {
        "host_certificate_expiry_timestamp_seconds": end.timestamp(),
        "host_registry_login_timestamp_seconds": 7.0,
    }


def test_a_host_without_certificate_and_login_reports_neither(tmp_path: Path) -> None:
    assert values(host.credentials(tmp_path / "none", tmp_path / "none")) == {}


def test_the_exporter_says_whether_the_watchdog_can_read_the_routes(tmp_path: Path) -> None:
    problem = tmp_path / "watchdog.problem"
    assert values(host.watchdog(problem)) == {"watchdog_routes_readable": 1.0}
    problem.touch()
    assert values(host.watchdog(problem)) == {"watchdog_routes_readable": 0.0}


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


def test_the_status_page_of_nginx_is_parsed() -> None:
    states, *totals = nginx.parse(PAGE)
    assert {labels["state"]: value for _, labels, value in states.samples} == {
        "active": 3,
        "reading": 0,
        "writing": 1,
        "waiting": 2,
    }
    assert [total.samples[0][2] for total in totals] == [10, 9, 25]


@pytest.mark.parametrize("page", ["", "<html>"])
def test_any_other_page_is_refused(page: str) -> None:
    with pytest.raises(ValueError, match="no status page"):
        nginx.parse(page)


def test_other_metrics_are_served_while_the_engine_is_down(tmp_path: Path) -> None:
    (tmp_path / "crt").write_text(certificate(datetime(2030, 1, 1, tzinfo=UTC)))
    exporter = Exporter(
        EngineClient(str(tmp_path / "none")),
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
    response = connection.getresponse()
    text = response.read().decode()
    connection.close()
    return f"{response.status} {text}"
