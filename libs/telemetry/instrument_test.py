"""Telemetry of an instrumented app, through Flask's test client."""

import json
import subprocess
import sys
from collections.abc import Iterator

import pytest
from flask import Flask, Response
from prometheus_client.openmetrics.exposition import generate_latest

from telemetry import Settings, SettingsError, Telemetry, instrument
from telemetry.catalog import CATALOG
from telemetry.testing import importable_environ

TRACE = "0af7651916cd43dd8448eb211c80319c"
ENVIRON = {"SERVICE": "shop", "RELEASE": "r1", "REPLICA": "shop-1", "REVISION": "abc"}


def make_app() -> tuple[Flask, Telemetry]:
    app = Flask("shop")

    @app.get("/item/<int:number>")
    def item(number: int) -> str:
        return f"item {number}"

    @app.get("/broken")
    def broken() -> str:
        raise RuntimeError("broken")

    @app.get("/stream")
    def stream() -> Response:
        def pieces() -> Iterator[bytes]:
            yield b"a"
            yield b"b"

        return Response(pieces())

    return app, instrument(app, environ=ENVIRON)


def value(telemetry: Telemetry, name: str, **labels: str) -> float | None:
    return telemetry.metrics.registry.get_sample_value(name, labels)


def requests(telemetry: Telemetry, route: str, status: str, method: str = "GET") -> float | None:
    return value(telemetry, "http_requests_total", route=route, method=method, status=status)


def exposition(telemetry: Telemetry) -> str:
    text: bytes = generate_latest(telemetry.metrics.registry)  # type: ignore[no-untyped-call]
    return text.decode()


def log_lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_all_series_of_known_routes_start_at_zero() -> None:
    _, telemetry = make_app()
    for route in ("/item/<int:number>", "/broken", "/livez", "/readyz", "/version", "unmatched"):
        for status in ("2xx", "3xx", "4xx", "5xx"):
            assert requests(telemetry, route, status) == 0.0
    assert value(telemetry, "log_records_total", level="error") == 0.0


def test_requests_are_counted_by_route_template() -> None:
    app, telemetry = make_app()
    client = app.test_client()
    for number in range(3):
        client.get(f"/item/{number}").close()
    client.get("/nowhere/17").close()
    client.get("/broken").close()
    assert requests(telemetry, "/item/<int:number>", "2xx") == 3
    assert requests(telemetry, "unmatched", "4xx") == 1
    assert requests(telemetry, "/broken", "5xx") == 1
    duration = {"route": "/item/<int:number>", "method": "GET"}
    assert value(telemetry, "http_request_duration_seconds_count", **duration) == 3
    assert value(telemetry, "http_requests_in_flight") == 0


def test_an_unknown_method_is_counted_as_other() -> None:
    app, telemetry = make_app()
    app.test_client().open("/item/1", method="BREW").close()
    assert requests(telemetry, "/item/<int:number>", "4xx", method="other") in (None, 0.0)
    assert requests(telemetry, "unmatched", "4xx", method="other") == 1


def test_a_streamed_response_is_in_flight_until_it_is_closed() -> None:
    app, telemetry = make_app()
    response = app.test_client().get("/stream")
    assert value(telemetry, "http_requests_in_flight") == 1
    assert requests(telemetry, "/stream", "2xx") == 0
    assert response.data == b"ab"
    response.close()
    assert value(telemetry, "http_requests_in_flight") == 0
    assert requests(telemetry, "/stream", "2xx") == 1


def test_every_response_names_release_replica_and_request() -> None:
    app, _ = make_app()
    for path in ("/item/1", "/nowhere", "/broken", "/version"):
        with app.test_client().get(path, headers={"X-Request-Id": "request-1"}) as response:
            assert response.headers["X-Release"] == "r1"
            assert response.headers["X-Replica"] == "shop-1"
            assert response.headers["X-Request-Id"] == "request-1"


def test_one_id_connects_response_log_line_and_exemplar(capsys: pytest.CaptureFixture[str]) -> None:
    app, telemetry = make_app()
    with app.test_client().get("/item/7", headers={"X-Request-Id": TRACE}) as response:
        assert response.headers["X-Request-Id"] == TRACE
    (line,) = log_lines(capsys)
    assert line["request_id"] == line["trace_id"] == TRACE
    assert (line["route"], line["path"]) == ("/item/<int:number>", "/item/7")
    assert (line["status"], line["level"], line["service"]) == (200, "info", "shop")
    assert f'# {{trace_id="{TRACE}"}}' in exposition(telemetry)


def test_a_crash_is_logged_with_its_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    app, telemetry = make_app()
    app.test_client().get("/broken", headers={"X-Request-Id": TRACE}).close()
    crash, request = log_lines(capsys)
    assert "RuntimeError: broken" in str(crash["exception"])
    assert crash["request_id"] == request["request_id"] == TRACE
    assert request["level"] == "error"
    assert value(telemetry, "log_records_total", level="error") == 2


def test_a_message_with_line_breaks_is_one_log_line(capsys: pytest.CaptureFixture[str]) -> None:
    app, _ = make_app()
    app.logger.warning("two\nlines %s", "\u2028ä")
    (line,) = log_lines(capsys)
    assert line["message"] == "two\nlines \u2028ä"
    assert "request_id" not in line


def test_probes_are_not_logged(capsys: pytest.CaptureFixture[str]) -> None:
    app, _ = make_app()
    app.test_client().get("/livez").close()
    assert log_lines(capsys) == []


def test_readiness_follows_conditions_and_drain() -> None:
    app, telemetry = make_app()
    warm = False
    telemetry.ready_when("cache", lambda: warm)
    with app.test_client().get("/readyz") as response:
        assert (response.status_code, response.json) == (
            503,
            {"status": "starting", "waiting_for": ["cache"]},
        )
    assert value(telemetry, "service_ready") == 0
    warm = True
    assert app.test_client().get("/readyz").status_code == 200
    assert value(telemetry, "service_ready") == 1
    telemetry.lifecycle.begin_drain()
    with app.test_client().get("/readyz") as response:
        assert (response.status_code, response.json) == (
            503,
            {"status": "draining", "waiting_for": []},
        )
    assert app.test_client().get("/livez").status_code == 200
    assert app.test_client().get("/item/1").status_code == 200


def test_version_returns_the_identity() -> None:
    app, _ = make_app()
    assert app.test_client().get("/version").json == {
        "service": "shop",
        "release": "r1",
        "revision": "abc",
        "config_hash": "unknown",
        "replica": "shop-1",
    }


def test_the_registry_contains_every_metric_of_the_catalog() -> None:
    _, telemetry = make_app()
    telemetry.metrics.follow_worker(8, lambda: 11)
    families = {family.name: family for family in telemetry.metrics.registry.collect()}
    for metric in CATALOG:
        family = families[metric.name.removesuffix("_total")]
        assert (family.type, family.documentation) == (metric.kind, metric.help)
    assert value(telemetry, "http_worker_threads_busy") == 8
    assert value(telemetry, "http_worker_queued_connections") == 3


def test_an_invalid_environment_is_refused() -> None:
    with pytest.raises(SettingsError, match="LOG_LEVEL"):
        instrument(Flask("shop"), environ={"LOG_LEVEL": "loud"})
    assert Settings.from_environ({}).log_level == "info"


def test_opentelemetry_is_not_imported_without_an_endpoint() -> None:
    program = (
        "import sys; from flask import Flask; from telemetry import instrument; "
        "instrument(Flask('shop')); "
        "sys.exit(any(name.startswith('opentelemetry') for name in sys.modules))"
    )
    ran = subprocess.run([sys.executable, "-c", program], env=importable_environ(), check=False)
    assert ran.returncode == 0
