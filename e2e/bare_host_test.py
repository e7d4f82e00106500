"""Bootstraps a bare Debian server, a container without an engine, with real apt, sshd and nftables."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import docker
import pytest
from docker.models.containers import Container

from e2e.live_sandbox import checkout, terminated_as_interrupt
from e2e.ship import Ship, ShipResult, until
from toolchain.tools.debian import KEYRING, mirror

SUITE = "trixie"
IMAGE = "py-cicd/bare-server"
NESTED = ["SYS_ADMIN", "NET_ADMIN", "SYS_PTRACE"]
UNCONFINED = ["seccomp=unconfined", "systempaths=unconfined", "apparmor=unconfined"]

# Does what an init system would: starts sshd, and Docker's engine once it is installed.
START = """
awk '$3 == "cgroup" || $3 == "cgroup2" { print $2 }' /proc/mounts |
    while read -r mount; do mount -o remount,bind,rw "$mount"; done
[ -L /var/run ] || { rm -rf /var/run && ln -s /run /var/run; }
install -d -m 0700 /run/sshd /root/.ssh
install -m 0600 /given/key.pub /root/.ssh/authorized_keys
install -m 0600 /given/host_key /etc/ssh/ssh_host_ed25519_key
keep() { while :; do command -v "$1" >/dev/null && "$@"; sleep 1; done; }
keep /usr/sbin/sshd -D -e &
keep dockerd &
wait
"""

ENVIRONMENT = """
name = "bare"
known_hosts = "known_hosts"
ssh_key = "key"
[registry]
account = "123456789012"
region = "eu-central-1"
[[hosts]]
name = "bare-1"
address = "127.0.0.1"
port = {port}
"""


@dataclass(frozen=True)
class BareServer:
    """The server, its ssh port, and ./ship for it."""

    container: Container
    folder: Path
    port: int
    ship: Ship

    def call(self, verb: str) -> ShipResult:
        return self.ship("host", verb, "bare-1", env=self.folder / "environment.toml")

    def run(self, command: str) -> str:
        done = self.container.exec_run(["sh", "-c", command])
        assert isinstance(done.output, bytes)
        assert done.exit_code == 0, done.output.decode()
        return done.output.decode()

    def log_in(self, *options: str, user: str, command: str) -> subprocess.CompletedProcess[str]:
        pinned = f"UserKnownHostsFile={self.folder / 'known_hosts'}"
        argv = ["ssh", "-p", str(self.port), "-o", pinned, "-o", "BatchMode=yes", *options]
        argv += [f"{user}@127.0.0.1", command]
        return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BareServer]:
    folder = tmp_path_factory.mktemp("bare")
    for name in ("key", "host_key"):
        argv = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)]
        subprocess.run(argv, check=True)
    (folder / "start.sh").write_text(START)
    engine = docker.from_env(version="auto")
    with terminated_as_interrupt():
        image = build_image(folder)
        # The Docker library has no parameter for `systempaths`, hence the command line.
        options = [f"--cap-add={capability}" for capability in NESTED]
        options += [f"--security-opt={option}" for option in UNCONFINED]
        options += ["--tmpfs=/run:exec,mode=755", "--volume=/var/lib/docker"]
        options += [f"--volume={folder}:/given:ro", "--publish=127.0.0.1::22"]
        argv = ["docker", "run", "--detach", *options, image, "sh", "/given/start.sh"]
        started = subprocess.run(argv, check=True, capture_output=True, text=True)
        container = engine.containers.get(started.stdout.strip())
        try:
            port = int(container.attrs["NetworkSettings"]["Ports"]["22/tcp"][0]["HostPort"])
            host_key = " ".join((folder / "host_key.pub").read_text().split()[:2])
            (folder / "known_hosts").write_text(f"[127.0.0.1]:{port} {host_key}\n")
            (folder / "environment.toml").write_text(ENVIRONMENT.format(port=port))
            ship = Ship(checkout(), "sandbox", folder / "logs")
            yield BareServer(container, folder, port, ship)
        finally:
            container.remove(force=True, v=True)
            engine.images.remove(image)


def build_image(folder: Path) -> str:
    """Builds an image of minimal Debian with sshd, whose apt uses this machine's mirror; returns its name."""
    system = folder / "system.tar"
    argv = ["mmdebstrap", "--variant=minbase", "--include=openssh-server,ca-certificates"]
    argv += ['--aptopt=Acquire::Check-Valid-Until "false"', SUITE, str(system)]
    argv += [f"deb [signed-by={KEYRING}] {mirror(os.environ)} {SUITE} main"]
    subprocess.run(argv, check=True, capture_output=True)
    imported = ["docker", "import", str(system), f"{IMAGE}:{os.getpid()}"]
    subprocess.run(imported, check=True, capture_output=True)
    system.unlink()
    return imported[-1]


def test_bootstrap_makes_a_bare_server_a_host_and_a_second_run_changes_nothing(
    bare: BareServer,
) -> None:
    until(
        lambda: (
            bare.log_in("-i", str(bare.folder / "key"), user="root", command="true").returncode == 0
        ),
        within_s=30,
    )
    checked = bare.call("check")
    assert (checked.code, checked.document["missing"]) == (1, len(checked.document["points"]))
    assert bare.run("command -v dockerd || echo none").strip() == "none"
    made = bare.call("bootstrap").expect_success().document
    assert made["system"] == "debian 13"
    assert made["changed"] > 8
    assert bare.call("check").expect_success().document["missing"] == 0
    (line,) = bare.run("cat /srv/py-cicd/ledger.jsonl").splitlines()
    entry = json.loads(line)
    assert (entry["verb"], entry["event"]) == ("host bootstrap", "effect")
    assert "user deploy" in entry["what"]
    assert bare.run("stat --format %U /srv/py-cicd/ledger.jsonl").strip() == "deploy"
    again = bare.call("bootstrap").expect_success().document
    assert (again["changed"], again["missing"]) == (0, 0)
    assert len(bare.run("cat /srv/py-cicd/ledger.jsonl").splitlines()) == 1


def test_deploy_user_can_run_containers_and_not_write_to_etc(bare: BareServer) -> None:
    key = ("-i", str(bare.folder / "key"))
    command = "docker version --format '{{.Server.Version}}' && docker compose version --short"
    done = bare.log_in(*key, user="deploy", command=f"{command} && touch /srv/py-cicd/mine")
    engine, compose = done.stdout.split()
    assert int(engine.split(".")[0]) >= 26
    assert compose.removeprefix("v") >= "2.26"
    assert bare.log_in(*key, user="deploy", command="touch /etc/mine").returncode != 0


def test_sshd_accepts_only_keys_and_the_firewall_only_listed_ports(bare: BareServer) -> None:
    without = ("-o", "PubkeyAuthentication=no", "-o", "PreferredAuthentications=password")
    assert (
        "Permission denied (publickey)" in bare.log_in(*without, user="root", command="true").stderr
    )
    rules = bare.run("nft list table inet py_cicd")
    assert "policy drop" in rules
    assert "tcp dport { 22, 80 } accept" in rules
    assert bare.run("sysctl -n net.ipv4.tcp_migrate_req").strip() == "1"
    assert bare.run("sysctl -n net.ipv4.ip_unprivileged_port_start").strip() == "80"


def test_check_lists_manual_changes_and_bootstrap_repairs_them(bare: BareServer) -> None:
    bare.run("nft delete table inet py_cicd; rm /etc/sysctl.d/60-py-cicd.conf")
    bare.run("gpasswd --delete deploy docker")
    points = bare.call("check").document["points"]
    missing = {point["name"] for point in points if not point["right"]}
    assert missing == {"user deploy", "kernel settings", "firewall in effect"}
    assert bare.call("bootstrap").expect_success().document["changed"] == 3
    assert bare.call("check").expect_success().document["missing"] == 0
