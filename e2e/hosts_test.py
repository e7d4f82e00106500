"""A second host, then nothing at all; it comes last, since it takes the stack away."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

from e2e.loadgen.load import replicas_seen
from e2e.ship import until
from e2e.stack import Stack


def test_a_second_host_doubles_the_replicas(stack: Stack) -> None:
    document = stack.ship("up", "--yes", "--hosts", "2", "--no-e2e").must().document
    assert document["hosts"] == 2
    service = stack.service()
    assert service["replicas"] == {"wanted": 10, "ready": 10}
    assert {each["phase"] for each in service["hosts"]} == {"live"}
    for host in service["hosts"]:
        wanted = {each["name"] for each in host["replicas"]}
        assert replicas_seen(host["url"], wanted=5) == wanted
    # Who left moments ago, with a restart of Prometheus that forgot to end the series, is seen for a while.
    wanted_up = {(each, service["release"]): 5 for each in ("host-1", "host-2")}
    until(lambda: _up(stack) == wanted_up, within_s=60)


def _up(stack: Stack) -> Counter[tuple[str, str]]:
    return Counter((each["host"], each["release"]) for each in stack.replicas_up())


def test_a_host_is_reached_through_another(stack: Stack, tmp_path: Path) -> None:
    first, second = stack.environment()["hosts"]
    straight = f'address = "127.0.0.1"\nport = {second["port"]}\n'
    jump = f'jump = "deploy@127.0.0.1:{first["port"]}"'
    behind = f'address = "host-2"\nport = 22\n{jump}\n'
    environment = stack.variant(tmp_path, host=(straight, behind))
    refused = stack.ship("status", "app", env=environment).must().document["services"][0]
    assert "pins no key of host-2" in refused["hosts"][1]["problem"]
    pins = environment.with_name("known_hosts")
    port = rf"\[127\.0\.0\.1\]:{second['port']}"
    pins.write_text(re.sub(port, "host-2", pins.read_text()))
    found = stack.ship("status", "app", env=environment).must().document["services"][0]
    assert [each["phase"] for each in found["hosts"]] == ["live", "live"]


def test_down_leaves_nothing(stack: Stack) -> None:
    assert stack.remains()
    assert stack.ship("down").must().document["removed"] is True
    assert stack.remains() == []
    assert stack.ship("down").must().document["removed"] is False
