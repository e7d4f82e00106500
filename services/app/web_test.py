"""The routes as a client sees them."""

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


def test_these_are_all_the_routes(app: Flask) -> None:
    """What ships has no route to break or slow it."""
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
def test_a_page_is_whole_and_says_who_made_it(client: FlaskClient, path: str) -> None:
    with client.get(path) as response:
        assert response.status_code == 200
        assert response.headers["Cache-Control"] == "no-store"
        page = text_of(response)
        assert page.count("<h1") == 1
        assert '<html lang="en">' in page
        assert f"<dd data-replica>{response.headers['X-Replica']}</dd>" in page
        assert f"<dd data-release>{response.headers['X-Release']}</dd>" in page


@pytest.mark.parametrize("path", [*PAGES, "/nowhere"])
def test_nothing_in_a_page_needs_more_than_the_policy_allows(
    client: FlaskClient, path: str
) -> None:
    with client.get(path) as response:
        policy = response.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        page = text_of(response)
    assert not re.search(r"<script(?![^>]* src=)|<style|\sstyle=|\son\w+=|javascript:", page)
    assert not re.search(r"""(src|href)=["'](https?:)?//""", page)


@pytest.mark.parametrize("path", PAGES)
def test_what_a_page_names_is_served_for_ever(client: FlaskClient, path: str) -> None:
    named = set(re.findall(r'(?:src|href)="(/static/[^"]+)"', text_of(client.get(path))))
    assert named
    for url in named:
        with client.get(url) as response:
            assert response.status_code == 200
            assert "immutable" in response.headers["Cache-Control"]
            assert response.headers["X-Content-Type-Options"] == "nosniff"


def test_scripts_import_what_is_served(client: FlaskClient) -> None:
    pending = re.findall(r'src="(/static/[^"]+\.js)"', text_of(client.get("/monitor")))
    seen = set()
    while pending:
        url = pending.pop()
        seen.add(url)
        with client.get(url) as response:
            assert "immutable" in response.headers["Cache-Control"]
            pending += [
                f"/static/{name}" for name in re.findall(r'from "\./(.+?)"', text_of(response))
            ]
    assert len(seen) == 4


def test_a_name_of_another_release_is_served_but_not_kept(client: FlaskClient) -> None:
    with client.get("/static/app.000000000000.css") as response:
        assert (response.status_code, response.headers["Cache-Control"]) == (200, "no-store")


def test_an_asset_is_compressed_for_who_takes_it(client: FlaskClient) -> None:
    plain = client.get("/static/app.000000000000.css").data
    with client.get("/static/app.000000000000.css", headers={"Accept-Encoding": "gzip"}) as packed:
        assert packed.headers["Content-Encoding"] == "gzip"
        assert gzip.decompress(packed.data) == plain
        assert int(packed.headers["Content-Length"]) == len(packed.data) < len(plain)


def test_the_api_keeps_the_demo_apps_fields(client: FlaskClient) -> None:
    monitor = json_of(client.get("/api/monitor"))
    for field in ("cpu", "mem", "disk", "net_sent", "net_recv", "disk_read", "disk_write"):
        assert isinstance(monitor[field], int | float)
    assert monitor["interval_s"] > 0
    processes = json_of(client.get("/api/process"))["processes"]
    assert processes
    assert processes[0].keys() == {"pid", "name", "memory_percent", "num_threads", "cpu_times"}


def test_asking_does_not_sample(client: FlaskClient) -> None:
    samples = {json_of(client.get("/api/monitor"))["sampled_at"] for _ in range(100)}
    assert len(samples) <= 3


def test_errors_are_a_page_or_json(client: FlaskClient) -> None:
    with client.get("/nowhere") as response:
        assert response.status_code == 404
        assert "<h1>Not Found</h1>" in text_of(response)
    with client.get("/api/nowhere") as response:
        assert (response.status_code, json_of(response)["error"]) == (404, "Not Found")
    with client.post("/api/monitor") as response:
        assert response.status_code == 405
        assert "GET" in response.headers["Allow"]


def test_before_the_first_sample_it_is_not_ready() -> None:
    client = assemble(Sampler()).test_client()
    assert json_of(client.get("/readyz")) == {"status": "starting", "waiting_for": ["sampler"]}
    assert client.get("/api/monitor").status_code == 503
    assert client.get("/monitor").status_code == 200
