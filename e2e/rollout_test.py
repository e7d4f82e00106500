"""A release from the clone to the replicas, seen from outside, while users go on asking."""

from __future__ import annotations

import re
import ssl
import time
from base64 import b64encode
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from e2e.loadgen.load import Load, replicas_seen
from e2e.ship import Ended, until
from e2e.stack import Clone, Stack, fetch

RELEASE_ID = re.compile(r"r\d{6}-[0-9a-f]{7}(-dirty)?")
BEFORE, AFTER = "One service, many replicas", "One service, many equal replicas"


def test_status_tells_what_runs(stack: Stack) -> None:
    document = stack.ship("status").must().document
    assert document["environment"] == stack.environment()["name"]
    assert set(document["urls"]) == {"app", "prometheus"}
    (service,) = document["services"]
    assert set(service) == {
        *("name", "release", "revision", "image", "config_hash", "replicas", "url", "candidate"),
        *("drift", "lock", "hosts"),
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
        len({each["id"] for each in replicas}) == len({each["address"] for each in replicas}) == 5
    )
    assert {(each["health"], each["release"]) for each in replicas} == {
        ("healthy", service["release"])
    }


def test_what_status_tells_is_what_answers(stack: Stack) -> None:
    service = stack.service()
    seen = replicas_seen(stack.url, wanted=5)
    assert seen == {each["name"] for each in service["hosts"][0]["replicas"]}
    version = fetch(f"{stack.url}/version")
    assert version["release"] == service["release"]
    assert version["revision"] == service["revision"]
    assert version["config_hash"] == service["config_hash"]


def test_a_second_up_finds_nothing_to_do(stack: Stack) -> None:
    before = stack.service()
    ended = stack.ship("up", "--yes", "--no-e2e").must()
    assert [each["outcome"] for each in ended.document["services"]] == ["unchanged"]
    after = stack.service()
    assert after == before


def test_prometheus_has_every_replica_by_itself(stack: Stack) -> None:
    service = stack.service()
    labels = {(each["replica"], each["release"], each["host"]) for each in stack.replicas_up()}
    replicas = service["hosts"][0]["replicas"]
    assert labels == {(each["name"], service["release"], "host-1") for each in replicas}


def test_metrics_leave_a_host_only_with_the_password(stack: Stack) -> None:
    told = stack.environment()["metrics"]
    folder = stack.environment_file.parent
    context = ssl.create_default_context(cafile=folder / told["ca"])
    context.check_hostname = False  # the certificate names the host; this goes to its address
    url = f"https://{stack.host().address}:{told['port']}/api/v1/query?query=up"
    with pytest.raises(HTTPError) as refused:
        urlopen(url, timeout=5, context=context)
    refused.value.close()
    assert refused.value.code == 401
    password = (folder / told["password_file"]).read_text().strip()
    login = b64encode(f"{told['user']}:{password}".encode()).decode()
    request = Request(url, headers={"Authorization": f"Basic {login}"})
    with urlopen(request, timeout=5, context=context) as answer:  # noqa: S310
        assert answer.status == 200


def test_a_change_goes_live_and_no_request_is_lost(stack: Stack, clone: Clone) -> None:
    before = stack.service()
    clone.replace("services/app/templates/home.html", BEFORE, AFTER)
    revision = clone.commit("Say that the replicas are equal")
    with Load(stack.url, "/", rate=30) as load:
        until(lambda: len(load.report.answers) > 30, within_s=10)
        ended = stack.ship.of(clone.root)("deploy", "app").must()
        until(lambda: load.report.answers[-1].release != before["release"], within_s=5)
    document = ended.document
    assert (document["outcome"], document["previous"]) == ("live", before["release"])
    assert {"host", "step", "because", "seconds", "outcome"} <= set(document["steps"][0])
    after = stack.service()
    assert (after["release"], after["revision"]) == (document["release"], revision)
    assert after["replicas"] == {"wanted": 5, "ready": 5}
    assert after["drift"] == []
    with urlopen(stack.url, timeout=5) as page:  # noqa: S310 - our own stack
        assert AFTER in page.read().decode()
    assert set(load.report.releases) == {before["release"], after["release"]}
    assert not load.report.lost, str(load.report)


def test_a_bad_release_is_taken_back_and_nobody_notices(stack: Stack, tmp_path: Path) -> None:
    before = stack.service()
    # telemetry refuses a second worker: every replica ends as soon as it starts.
    bad = stack.variant(tmp_path, '[services.app.env]\nWEB_CONCURRENCY = "2"')
    with Load(stack.url, rate=30) as load:
        ended = stack.ship("deploy", "app", "--image", before["image"], env=bad)
    assert (ended.code, ended.kind) == (1, "RevertedError")
    assert ended.document["outcome"] == "reverted"
    assert ended.document["previous"] == before["release"]
    assert before["release"] in ended.error
    assert "ship" in ended.hint
    assert stack.service() == before
    assert set(load.report.releases) == {before["release"]}
    assert not load.report.lost, str(load.report)
    history = stack.ship("history", "app").must().document["releases"]
    assert "reverted" in {
        each["outcome"] for each in history if each["release"] == ended.document["release"]
    }


def test_a_replica_that_dies_is_left_out_and_comes_back(stack: Stack) -> None:
    victim = stack.service()["hosts"][0]["replicas"][0]["name"]
    host = stack.host()
    with Load(stack.url, rate=40) as load:
        until(lambda: load.report.replicas[victim] > 3, within_s=10)
        host.run("kill", "-9", host.replica_pid(victim))
        died = time.monotonic()
        until(lambda: host.replica_pid(victim) != "0" and _ready(stack, victim), within_s=15)
        back = time.monotonic()
        until(lambda: load.report.since(back).replicas[victim] > 3, within_s=15 - (back - died))
    # What was in its hands may fail; whoever asked later is answered, a second late at most.
    assert not load.report.since(died).lost, str(load.report)
    assert max(answer.seconds for answer in load.report.since(died).answers) < 3


def test_ctrl_c_changes_nothing_and_a_repeat_finishes(stack: Stack, tmp_path: Path) -> None:
    before = stack.service()
    changed = stack.variant(tmp_path, '[services.app.env]\nLOG_LEVEL = "warning"')
    words = ("deploy", "app", "--image", before["image"])
    with Load(stack.url, rate=30) as load:
        call = stack.ship.start(*words, env=changed)
        call.await_said("StartReplicas", within_s=60)
        call.interrupt()
        ended = call.ended(within_s=60)
        assert ended.code == 1
        assert "interrupted" in ended.error
        assert ended.hint
        interrupted = stack.service()
        again = stack.ship(*words, env=changed).must()
    assert interrupted["release"] == before["release"]
    assert interrupted["replicas"] == {"wanted": 5, "ready": 5}
    assert again.document["outcome"] == "live"
    after = stack.service()
    assert after["config_hash"] != before["config_hash"]
    assert (after["replicas"], after["drift"]) == ({"wanted": 5, "ready": 5}, [])
    assert not load.report.lost, str(load.report)


@pytest.mark.parametrize("folder", ["e2e", "services/app"])
def test_the_verbs_work_from_a_folder_below(stack: Stack, clone: Clone, folder: str) -> None:
    ended: Ended = stack.ship.of(clone.root)("status", "app", cwd=folder)
    assert ended.must().document["services"][0]["name"] == "app"


def _ready(stack: Stack, replica: str) -> bool:
    found = stack.host().run("docker", "inspect", "--format", "{{.State.Health.Status}}", replica)
    return found.strip() == "healthy"
