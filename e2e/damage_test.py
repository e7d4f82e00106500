"""Damage to a host's records under load: no request is lost, no verb sees an empty host, and one command mends it.

Each damage is done to the sandbox's host as a person or a disk would do it, while users send requests.
"""

from __future__ import annotations

import io
import tarfile
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

import pytest

from deploy.core.stacks.nginx_conf import render_edge
from deploy.core.state.edge import EdgeRoute, EdgeState, Upstream
from e2e.live_sandbox import HostContainer, LiveSandbox
from e2e.loadgen.process import RunningLoad, running_gets
from e2e.ship import until

ROOT = "/srv/py-cicd"
ROUTES, LEDGER = f"{ROOT}/edge/conf/routes.conf", f"{ROOT}/ledger.jsonl"
BACKUP = "/tmp/damage-backup.tar"
HOST = "host-1"


@dataclass(frozen=True)
class Damaged:
    """The sandbox under load, and its host, whose files are put back after each test."""

    sandbox: LiveSandbox
    host: HostContainer
    load: RunningLoad
    image: str

    def sh(self, script: str) -> str:
        return self.host.run("sh", "-c", script)

    def deploy(self) -> tuple[int, str, str]:
        """Deploys what is live, which changes nothing on a whole host."""
        result = self.sandbox.ship("deploy", "app", "--image", self.image)
        assert "Traceback" not in result.stderr
        return result.code, result.kind, result.stderr


@pytest.fixture(scope="module")
def load(sandbox: LiveSandbox) -> Iterator[RunningLoad]:
    """GETs until the last test of this file."""
    with running_gets(sandbox.url, rate=30) as load:
        load.await_rows(31)
        yield load


@pytest.fixture
def damaged(sandbox: LiveSandbox, load: RunningLoad) -> Iterator[Damaged]:
    """Puts the files back afterwards, and asserts that no request was lost meanwhile."""
    begun, before = time.time(), sandbox.service()
    found = Damaged(sandbox, sandbox.host(), load, before["image"])
    assert before["drift"] == []
    found.sh(
        f"cd {ROOT} && tar -cf {BACKUP} edge/conf/routes.conf edge/states ledger.jsonl ledger.jsonl.seal"
    )
    try:
        yield found
        assert sandbox.service() == before
    except BaseException:
        with suppress(AssertionError):
            found.sh(f"cd {ROOT} && tar -xf {BACKUP}")
        raise
    finally:
        until(lambda: len(load.record.between(begun).rows) > 30, within_s=10)
    record = load.record.between(begun)
    assert not record.lost, str(record)
    assert {row.status for row in record.rows} == {200}, str(record)


NEWER = '{"format":99,"routes":[]}'


@pytest.mark.parametrize(
    "damage",
    [
        f"sed -i 1d {ROUTES}",
        f"rm {ROUTES}",
        f": > {ROUTES}",
        f"sed -i '1s/.*/# py-cicd edge: {{/' {ROUTES}",
        f"rm -r {ROOT}/edge/states",
        f"for f in {ROOT}/edge/states/*.json; do echo > $f; done",
        f"sed -i 1d {ROUTES} && rm -r {ROOT}/edge/states",
    ],
)
def test_damaged_state_stops_every_verb_but_no_request_and_is_repaired(
    damaged: Damaged, damage: str
) -> None:
    damaged.sh(damage)
    code, kind, text = damaged.deploy()
    assert (code, kind) == (4, "RecordError"), text
    assert f"./ship host --sandbox {damaged.sandbox.name} repair {HOST}" in text
    status = damaged.sandbox.ship("status", "app")
    assert status.code == 4
    assert [host["phase"] for host in status.document["services"][0]["hosts"]] == ["damaged"]
    until(lambda: damaged.sh(f"cat {ROOT}/watchdog.problem 2>/dev/null || true"), within_s=10)
    repaired = damaged.sandbox.ship("host", "repair", HOST).expect_success().document
    assert "rebuilt the edge's state" in repaired["repaired"][0]
    assert damaged.sandbox.ship("host", "repair", HOST).expect_success().document["repaired"] == []
    until(lambda: not damaged.sh(f"ls {ROOT} | grep problem || true"), within_s=10)


def test_state_of_a_newer_format_is_refused_and_left_alone(damaged: Damaged) -> None:
    damaged.sh(f"sed -i '1s/.*/# py-cicd edge: {NEWER}/' {ROUTES}")
    text = damaged.sh(f"cat {ROUTES}")
    code, kind, stderr = damaged.deploy()
    assert (code, kind) == (4, "RecordError"), stderr
    assert "newer version" in stderr
    assert damaged.sandbox.ship("host", "repair", HOST).code == 4
    assert damaged.sh(f"cat {ROUTES}") == text
    damaged.sh(f"cd {ROOT} && tar -xf {BACKUP}")


@pytest.mark.parametrize(
    "damage", [f"rm {LEDGER} {LEDGER}.seal", f"rm {LEDGER}", f"sed -i '2,$d' {LEDGER}"]
)
def test_lost_ledger_is_damage_and_prunes_nothing(damaged: Damaged, damage: str) -> None:
    releases = damaged.sh(f"ls {ROOT}/services/app/releases")
    damaged.sh(damage)
    assert damaged.sandbox.ship("history", "app", "--verify").code == 4
    code, kind, text = damaged.deploy()
    assert (code, kind) == (4, "RecordError"), text
    repaired = damaged.sandbox.ship("host", "repair", HOST).expect_success().document
    assert "began the ledger anew" in repaired["repaired"][0]
    code, _, text = damaged.deploy()
    assert code == 0, text
    assert damaged.sh(f"ls {ROOT}/services/app/releases") == releases
    damaged.sh(f"cd {ROOT} && tar -xf {BACKUP}")


def test_other_users_of_the_host_cannot_enter_the_folder(damaged: Damaged) -> None:
    assert damaged.sh(f"stat --format %a {ROOT}").strip() == "700"
    as_other = "setpriv --reuid 65534 --regid 65534 --clear-groups"
    for path in (f"{ROOT}/token", f"{ROOT}/lock", LEDGER, ROUTES):
        assert damaged.sh(f"{as_other} cat {path} >/dev/null 2>&1; echo $?").strip() != "0"


def test_message_about_the_lock_names_the_process_that_holds_it(damaged: Damaged) -> None:
    stranger = f"echo $$ > /tmp/stranger; exec flock --no-fork {ROOT}/lock sleep 600"
    damaged.host.container.exec_run(["sh", "-c", stranger], detach=True)
    holds = f"flock --nonblock {ROOT}/lock true && echo free || echo held"
    until(lambda: damaged.sh(holds).strip() == "held", within_s=10)
    try:
        code, _, text = damaged.deploy()
    finally:
        damaged.sh("kill $(cat /tmp/stranger)")
    assert code == 3
    assert "which is no deploy" in text


def _many(services: int, replicas: int, host: str = "") -> EdgeState:
    """A state in the middle of a deploy: two releases of every service."""
    state = EdgeState()
    for number in range(services):
        name = f"s{number}.{host}" if host else ""
        route = EdgeRoute(f"service-{number:03d}", f"/s{number}", name)
        for release in (f"r000001-{number:07x}", f"r000002-{number:07x}"):
            servers = tuple(f"10.213.{number}.{each + 1}:8080" for each in range(replicas))
            route = route.offer(Upstream(release, servers))
        state = state.with_route(route.point(f"r000001-{number:07x}").share_out(20))
    return state


@pytest.mark.parametrize(
    ("services", "replicas", "host"), [(200, 1, ""), (200, 1, "a" * 60 + ".example"), (4, 63, "")]
)
def test_nginx_takes_the_routes_of_200_services_and_of_63_replicas(
    sandbox: LiveSandbox, services: int, replicas: int, host: str
) -> None:
    machine = sandbox.host()
    (edge,) = machine.stack_containers("edge")
    key = machine.run(
        "docker", "inspect", "--format", '{{index .Config.Labels "py-cicd.key"}}', edge
    )
    conf, text = f"{ROOT}/edge/conf", render_edge(_many(services, replicas, host)).encode()
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        info = tarfile.TarInfo("many.conf")
        info.size, info.mode = len(text), 0o644
        archive.addfile(info, io.BytesIO(text))
    machine.put(conf, packed.getvalue())
    nginx_conf = (
        f"sed 's/routes[.]conf/many.conf/' {conf}/{key.strip()}/nginx.conf > {conf}/many.nginx.conf"
    )
    try:
        machine.run("sh", "-c", nginx_conf)
        machine.run(
            "docker", "exec", edge, "nginx", "-t", "-q", "-c", "/etc/nginx/py-cicd/many.nginx.conf"
        )
    finally:
        machine.run("rm", "-f", f"{conf}/many.conf", f"{conf}/many.nginx.conf")
