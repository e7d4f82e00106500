"""The service as its image runs it: under gunicorn, with its identity from the environment."""

from concurrent.futures import ThreadPoolExecutor

from telemetry.testing import running, wait_until

APP = "app.web:create_app()"
ENVIRON = {
    "SERVICE": "app",
    "RELEASE": "r000042-3f9c2ab",
    "REVISION": "3f9c2ab",
    "CONFIG_HASH": "sha256:1",
    "REPLICA": "app-r000042-1",
    "DRAIN_NOTICE_S": "2",
}


def test_it_serves_requests_counts_them_and_drains() -> None:
    with running(APP, ENVIRON) as server:
        assert server.get("/version").json() == {
            "service": "app",
            "release": "r000042-3f9c2ab",
            "revision": "3f9c2ab",
            "config_hash": "sha256:1",
            "replica": "app-r000042-1",
        }
        with ThreadPoolExecutor(8) as pool:
            responses = list(pool.map(lambda _: server.get("/api/monitor"), range(200)))
        assert {response.status for response in responses} == {200}
        assert {response.headers["X-Replica"] for response in responses} == {"app-r000042-1"}
        counted = 'http_requests_total{method="GET",route="/api/monitor",status="2xx"} 200.0'
        wait_until(lambda: counted in server.metrics(), server)

        server.terminate()
        wait_until(lambda: server.get("/readyz").status == 503, server)
        assert server.get("/").status == 200
        assert server.wait() == 0
        assert all(line.startswith("{") for line in server.lines), server.lines
