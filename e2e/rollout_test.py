"""Deploys of the app, observed from outside under load: status, metrics, a change, a bad release, Ctrl-C."""

from __future__ import annotations

import re
import ssl
import time
from base64 import b64encode
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from e2e.deployer_faults import EventLog
from e2e.live_sandbox import Clone, LiveSandbox, fetch
from e2e.loadgen.process import running_gets
from e2e.loadgen.replicas import find_replicas
from e2e.ship import ShipResult, until

RELEASE_ID = re.compile(r"r\d{6}-[0-9a-f]{7}(-dirty)?")
BEFORE, AFTER = "One service, many replicas", "One service, many equal replicas"


def test_status_document_has_release_image_and_replicas(sandbox: LiveSandbox) -> None:
    document = sandbox.ship("status").expect_success().document
    assert document["environment"] == sandbox.environment()["name"]
    assert set(document["urls"]) == {"app", "prometheus"}
    (service,) = document["services"]
    assert set(service) == {
        *("name", "release", "revision", "image", "config_hash", "replicas", "url", "candidate"),
        *("summary", "reach", "drift", "problems", "draining", "lock", "hosts"),
    }
    assert RELEASE_ID.fullmatch(service["release"])
    assert re.fullmatch(
        r"\d+\.dkr\.ecr\.[\w-]+\.amazonaws\.com/app@sha256:[0-9a-f]{64}", service["image"]
    )
    assert re.fullmatch(r"sha256:[0-9a-f]{64}", service["config_hash"])
    assert service["replicas"] == {"wanted": 5, "ready": 5}
    assert (service["candidate"], service["drift"], service["lock"]) == (None, [], None)
    (host,) = service["hosts"]
    assert (host["name"], host["phase"], host["wanted"], host["ready"]) == ("host-1", "live", 5, 5)
    assert host["release"] == service["release"]
    assert host["url"] == service["url"] == document["urls"]["app"]
    replicas = host["replicas"]
    assert (
        len({replica["id"] for replica in replicas})
        == len({replica["address"] for replica in replicas})
        == 5
    )
    assert {(replica["health"], replica["release"]) for replica in replicas} == {
        ("healthy", service["release"])
    }


def test_status_matches_what_the_replicas_answer(sandbox: LiveSandbox) -> None:
    service = sandbox.service()
    replicas = find_replicas(sandbox.url, count=5)
    assert replicas == {replica["name"] for replica in service["hosts"][0]["replicas"]}
    version = fetch(f"{sandbox.url}/version")
    assert version["release"] == service["release"]
    assert version["revision"] == service["revision"]
    assert version["config_hash"] == service["config_hash"]


def test_second_up_changes_nothing(sandbox: LiveSandbox) -> None:
    before = sandbox.service()
    result = sandbox.ship("up", "--yes", "--no-e2e").expect_success()
    assert [up["outcome"] for up in result.document["services"]] == ["unchanged"]
    after = sandbox.service()
    assert after == before


def test_prometheus_scrapes_every_replica(sandbox: LiveSandbox) -> None:
    service = sandbox.service()
    scraped = {(up["replica"], up["release"], up["host"]) for up in sandbox.replicas_up()}
    replicas = service["hosts"][0]["replicas"]
    assert scraped == {(replica["name"], service["release"], "host-1") for replica in replicas}


def test_metrics_of_a_host_need_the_password(sandbox: LiveSandbox) -> None:
    metrics = sandbox.environment()["metrics"]
    folder = sandbox.environment_file.parent
    context = ssl.create_default_context(cafile=folder / metrics["ca"])
    context.check_hostname = False  # the certificate names the host; this goes to its address
    url = f"https://{sandbox.host().address}:{metrics['port']}/api/v1/query?query=up"
    with pytest.raises(HTTPError) as refused:
        urlopen(url, timeout=5, context=context)
    refused.value.close()
    assert refused.value.code == 401
    password = (folder / metrics["password_file"]).read_text().strip()
    login = b64encode(f"{metrics['user']}:{password}".encode()).decode()
    request = Request(url, headers={"Authorization": f"Basic {login}"})
    with urlopen(request, timeout=5, context=context) as answer:  # noqa: S310
        assert answer.status == 200


def test_deploy_of_a_change_goes_live_and_loses_no_request(
    sandbox: LiveSandbox, clone: Clone
) -> None:
    before = sandbox.service()
    clone.replace("services/app/templates/home.html", BEFORE, AFTER)
    revision = clone.commit("Say that the replicas are equal")
    with running_gets(sandbox.url, "/", rate=30) as load:
        load.await_rows(31)
        result = sandbox.ship.of(clone.root)("deploy", "app").expect_success()
        until(lambda: load.record.rows[-1].release != before["release"], within_s=5)
    document = result.document
    assert (document["outcome"], document["previous"]) == ("live", before["release"])
    assert {"host", "step", "because", "seconds", "outcome"} <= set(document["steps"][0])
    after = sandbox.service()
    assert (after["release"], after["revision"]) == (document["release"], revision)
    assert after["replicas"] == {"wanted": 5, "ready": 5}
    assert after["drift"] == []
    with urlopen(sandbox.url, timeout=5) as page:  # noqa: S310 - our own sandbox
        assert AFTER in page.read().decode()
    assert set(load.record.releases) == {before["release"], after["release"]}
    assert not load.record.lost, str(load.record)


def test_release_that_cannot_start_is_rolled_back_and_loses_no_request(
    sandbox: LiveSandbox, tmp_path: Path
) -> None:
    before = sandbox.service()
    # The telemetry library refuses a second worker, so every replica exits as soon as it starts.
    bad = sandbox.variant(tmp_path, '[services.app.env]\nWEB_CONCURRENCY = "2"')
    with running_gets(sandbox.url, rate=30) as load:
        result = sandbox.ship("deploy", "app", "--image", before["image"], env=bad)
    assert (result.code, result.kind) == (1, "RevertedError")
    assert result.document["outcome"] == "reverted"
    assert result.document["previous"] == before["release"]
    assert before["release"] in result.error
    assert "ship" in result.hint
    assert sandbox.service() == before
    assert set(load.record.releases) == {before["release"]}
    assert not load.record.lost, str(load.record)
    history = sandbox.ship("history", "app").expect_success().document["releases"]
    assert "reverted" in {
        entry["outcome"] for entry in history if entry["release"] == result.document["release"]
    }


def test_killed_replica_gets_no_requests_until_it_is_back(sandbox: LiveSandbox) -> None:
    victim = sandbox.service()["hosts"][0]["replicas"][0]["name"]
    host = sandbox.host()
    with running_gets(sandbox.url, rate=40) as load:
        until(lambda: load.record.replicas[victim] > 3, within_s=10)
        host.run("kill", "-9", host.replica_pid(victim))
        died = time.time()
        until(lambda: host.replica_pid(victim) != "0" and _ready(sandbox, victim), within_s=15)
        back = time.time()
        until(lambda: load.record.between(back).replicas[victim] > 3, within_s=15 - (back - died))
    # Requests that the replica was serving may fail. Later ones are served by the others.
    later = load.record.between(died)
    assert not later.lost, str(later)
    assert max(row.seconds for row in later.rows) < 3


def test_ctrl_c_keeps_the_live_release_and_a_second_deploy_goes_live(
    sandbox: LiveSandbox, tmp_path: Path
) -> None:
    before = sandbox.service()
    changed = sandbox.variant(tmp_path, '[services.app.env]\nLOG_LEVEL = "warning"')
    words = ("deploy", "app", "--image", before["image"])
    with running_gets(sandbox.url, rate=30) as load:
        events = EventLog(tmp_path / "events.jsonl")
        call = sandbox.ship.start(*words, "--events", str(events.file), env=changed)
        events.await_step_done(call, "StartReplicas", within_s=60)
        call.interrupt()
        result = call.wait(within_s=60)
        assert result.code == 1
        assert "interrupted" in result.error
        assert result.hint
        interrupted = sandbox.service()
        again = sandbox.ship(*words, env=changed).expect_success()
    assert interrupted["release"] == before["release"]
    assert interrupted["replicas"] == {"wanted": 5, "ready": 5}
    assert again.document["outcome"] == "live"
    after = sandbox.service()
    assert after["config_hash"] != before["config_hash"]
    assert (after["replicas"], after["drift"]) == ({"wanted": 5, "ready": 5}, [])
    assert not load.record.lost, str(load.record)


@pytest.mark.parametrize("folder", ["e2e", "services/app"])
def test_ship_works_from_a_subfolder(sandbox: LiveSandbox, clone: Clone, folder: str) -> None:
    result: ShipResult = sandbox.ship.of(clone.root)("status", "app", cwd=folder)
    assert result.expect_success().document["services"][0]["name"] == "app"


def _ready(sandbox: LiveSandbox, replica: str) -> bool:
    found = sandbox.host().run("docker", "inspect", "--format", "{{.State.Health.Status}}", replica)
    return found.strip() == "healthy"
