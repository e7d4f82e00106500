"""Routes of the app, through Flask's test client."""

import gzip
import re
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from app.sampler import Sampler
from app.web import assemble
from telemetry.testing import wait_until

PAGES = ("/", "/info", "/monitor")


def text_of(response: Any) -> str:
    return str(response.get_data(as_text=True))


def json_of(response: Any) -> Any:
    return response.get_json()


@pytest.fixture(scope="module")
def app() -> Iterator[Flask]:
    sampler = Sampler()
    sampler.start()
    wait_until(sampler.fresh)
    yield assemble(sampler)
    sampler.stop()


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


def test_the_app_has_exactly_these_routes(app: Flask) -> None:
    """In particular it has no route that breaks or slows it for tests."""
    assert {rule.rule for rule in app.url_map.iter_rules()} == {
        "/",
        "/info",
        "/monitor",
        "/api/monitor",
        "/api/process",
        "/static/<name>",
        "/favicon.ico",
        "/livez",
        "/readyz",
        "/version",
    }
    for rule in app.url_map.iter_rules():
        assert rule.methods == {"GET", "HEAD", "OPTIONS"}


@pytest.mark.parametrize("path", PAGES)
def test_a_page_is_complete_and_names_its_release_and_replica(
    client: FlaskClient, path: str
) -> None:
    with client.get(path) as response:
        assert response.status_code == 200
        assert response.headers["Cache-Control"] == "no-store"
        page = text_of(response)
        assert page.count("<h1") == 1
        assert '<html lang="en">' in page
        assert f"<dd data-replica>{response.headers['X-Replica']}</dd>" in page
        assert f"<dd data-release>{response.headers['X-Release']}</dd>" in page


@pytest.mark.parametrize("path", [*PAGES, "/nowhere"])
def test_pages_comply_with_the_content_security_policy(client: FlaskClient, path: str) -> None:
    with client.get(path) as response:
        policy = response.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        page = text_of(response)
    assert not re.search(r"<script(?![^>]* src=)|<style|\sstyle=|\son\w+=|javascript:", page)
    assert not re.search(r"""(src|href)=["'](https?:)?//""", page)


@pytest.mark.parametrize("path", PAGES)
def test_assets_named_by_a_page_are_cached_forever(client: FlaskClient, path: str) -> None:
    urls = set(re.findall(r'(?:src|href)="(/static/[^"]+)"', text_of(client.get(path))))
    assert urls
    for url in urls:
        with client.get(url) as response:
            assert response.status_code == 200
            assert "immutable" in response.headers["Cache-Control"]
            assert response.headers["X-Content-Type-Options"] == "nosniff"


def test_imports_of_scripts_are_served(client: FlaskClient) -> None:
    pending = re.findall(r'src="(/static/[^"]+\.js)"', text_of(client.get("/monitor")))
    visited = set()
    while pending:
        url = pending.pop()
        visited.add(url)
        with client.get(url) as response:
            assert "immutable" in response.headers["Cache-Control"]
            pending += [
                f"/static/{name}" for name in re.findall(r'from "\./(.+?)"', text_of(response))
            ]
    assert len(visited) == 4


def test_an_asset_of_another_release_is_served_but_not_cached(client: FlaskClient) -> None:
    with client.get("/static/app.000000000000.css") as response:
        assert (response.status_code, response.headers["Cache-Control"]) == (200, "no-store")


def test_an_asset_is_compressed_if_the_client_accepts_gzip(client: FlaskClient) -> None:
    plain = client.get("/static/app.000000000000.css").data
    with client.get("/static/app.000000000000.css", headers={"Accept-Encoding": "gzip"}) as packed:
        assert packed.headers["Content-Encoding"] == "gzip"
        assert gzip.decompress(packed.data) == plain
        assert int(packed.headers["Content-Length"]) == len(packed.data) < len(plain)


def test_the_api_returns_the_documented_fields(client: FlaskClient) -> None:
    monitor = json_of(client.get("/api/monitor"))
    for field in ("cpu", "mem", "disk", "net_sent", "net_recv", "disk_read", "disk_write"):
        assert isinstance(monitor[field], int | float)
    assert monitor["interval_s"] > 0
    processes = json_of(client.get("/api/process"))["processes"]
    assert processes
    assert processes[0].keys() == {"pid", "name", "memory_percent", "num_threads", "cpu_times"}


def test_requests_do_not_take_samples(client: FlaskClient) -> None:
    samples = {json_of(client.get("/api/monitor"))["sampled_at"] for _ in range(100)}
    assert len(samples) <= 3


def test_errors_are_json_under_api_and_pages_elsewhere(client: FlaskClient) -> None:
    with client.get("/nowhere") as response:
        assert response.status_code == 404
        assert "<h1>Not Found</h1>" in text_of(response)
    with client.get("/api/nowhere") as response:
        assert (response.status_code, json_of(response)["error"]) == (404, "Not Found")
    with client.post("/api/monitor") as response:
        assert response.status_code == 405
        assert "GET" in response.headers["Allow"]


def test_the_app_is_not_ready_before_the_first_sample() -> None:
    client = assemble(Sampler()).test_client()
    assert json_of(client.get("/readyz")) == {"status": "starting", "waiting_for": ["sampler"]}
    assert client.get("/api/monitor").status_code == 503
    assert client.get("/monitor").status_code == 200
