"""Adds a second host to the sandbox, then removes the sandbox, so these tests run last."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

from e2e.live_sandbox import LiveSandbox
from e2e.loadgen.replicas import find_replicas
from e2e.ship import until


def test_second_host_doubles_the_replicas(sandbox: LiveSandbox) -> None:
    document = sandbox.ship("up", "--yes", "--hosts", "2", "--no-e2e").expect_success().document
    assert document["hosts"] == 2
    service = sandbox.service()
    assert service["replicas"] == {"wanted": 10, "ready": 10}
    assert {host["phase"] for host in service["hosts"]} == {"live"}
    for host in service["hosts"]:
        expected = {replica["name"] for replica in host["replicas"]}
        assert find_replicas(host["url"], count=5) == expected
    # After a restart of Prometheus, series of removed replicas stay for a while.
    expected_up = {(name, service["release"]): 5 for name in ("host-1", "host-2")}
    until(lambda: _replicas_up(sandbox) == expected_up, within_s=60)


def _replicas_up(sandbox: LiveSandbox) -> Counter[tuple[str, str]]:
    """Counts the replicas that Prometheus scrapes, by host and release."""
    return Counter((labels["host"], labels["release"]) for labels in sandbox.replicas_up())


def test_host_is_reached_through_a_jump_host(sandbox: LiveSandbox, tmp_path: Path) -> None:
    first, second = sandbox.environment()["hosts"]
    direct = f'address = "127.0.0.1"\nport = {second["port"]}\n'
    jump = f'jump = "deploy@127.0.0.1:{first["port"]}"'
    behind = f'address = "host-2"\nport = 22\n{jump}\n'
    environment = sandbox.variant(tmp_path, host=(direct, behind))
    status = sandbox.ship("status", "app", env=environment)
    refused = status.document["services"][0]
    assert (status.code, status.kind) == (4, "HostUnreachableError")
    assert refused["release"] == refused["hosts"][0]["release"]
    assert "host-2 unreachable" in refused["summary"]
    assert "pins no key of host-2" in refused["hosts"][1]["problem"]
    known_hosts = environment.with_name("known_hosts")
    port = rf"\[127\.0\.0\.1\]:{second['port']}"
    known_hosts.write_text(re.sub(port, "host-2", known_hosts.read_text()))
    found = sandbox.ship("status", "app", env=environment).expect_success().document["services"][0]
    assert [host["phase"] for host in found["hosts"]] == ["live", "live"]


def test_down_leaves_nothing(sandbox: LiveSandbox) -> None:
    assert sandbox.remains()
    own = sandbox.own_image_names()
    document = sandbox.ship("down").expect_success().document
    assert document["removed"] is True
    assert sandbox.remains() == []
    # A build that runs beside these tests may still need some.
    kept = {each["what"] for each in document["kept"]}
    assert set(document["images"]) | kept >= own
    assert [name for name in document["images"] if sandbox.has_image(name)] == []
    assert document["build_daemon"] in ("ended", "busy", "none")
    assert sandbox.ship("down").expect_success().document["removed"] is False
