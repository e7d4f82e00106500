"""Tests of many logins at once, of jump hosts, and of SSH servers that refuse a login."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from deploy.adapters.ssh.host import SshHost
from deploy.adapters.ssh.login import SshConnector
from deploy.core.config import HostConfig, Jump
from deploy.errors import HostKeyError, HostUnreachableError
from deploy.testing.servers.sshd import SshServer, ssh_server

type MakeHosts = Callable[..., list[SshHost]]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[SshServer]:
    with ssh_server(tmp_path) as running:
        yield running


@pytest.fixture
def jump(tmp_path: Path, server: SshServer) -> Iterator[SshServer]:
    """A second SSH server that accepts the same key; both are pinned in one file."""
    with ssh_server(tmp_path, "jump", user_key=server.user_key) as running:
        pins = server.known_hosts.read_text() + running.known_hosts.read_text()
        server.known_hosts.write_text(pins)
        yield running


@pytest.fixture
def make_hosts(server: SshServer) -> Iterator[MakeHosts]:
    with ExitStack() as ends:

        def make(*configs: HostConfig, **options: Any) -> list[SshHost]:
            known, key = str(server.known_hosts), str(server.key_file)
            connector = SshConnector(known_hosts=known, key=key, **options)
            ends.callback(connector.close)
            hosts = [SshHost(config, connector) for config in configs or [server.config]]
            for host in hosts:
                ends.callback(host.close)
            return hosts

        yield make


def behind(jump: SshServer, config: HostConfig) -> HostConfig:
    return replace(config, jump=Jump("ops", "127.0.0.1", jump.config.port))


def fifty(config: HostConfig) -> list[HostConfig]:
    return [replace(config, name=f"host-{number}") for number in range(50)]


def answers(hosts: list[SshHost]) -> list[str]:
    with ThreadPoolExecutor(len(hosts)) as threads:
        return list(threads.map(lambda host: host.run(["echo", host.name]).stdout, hosts))


def test_fifty_logins_at_once_are_never_refused(server: SshServer, make_hosts: MakeHosts) -> None:
    server.faults.login_s = 0.1
    hosts = make_hosts(*fifty(server.config))
    assert answers(hosts) == [f"{host.name}\n" for host in hosts]
    assert (server.connections, server.refused) == (50, 0)


def test_refused_logins_among_many_are_tried_again(
    server: SshServer, make_hosts: MakeHosts
) -> None:
    server.faults.login_s = 0.1
    hosts = make_hosts(*fifty(server.config), at_once=50)
    assert answers(hosts) == [f"{host.name}\n" for host in hosts]
    assert server.refused > 0


def test_login_is_tried_again_if_sshd_hangs_up(server: SshServer, make_hosts: MakeHosts) -> None:
    server.faults.drop_logins = 2
    assert answers(make_hosts()) == ["host-1\n"]
    assert (server.connections, server.refused) == (1, 2)


def test_login_fails_if_sshd_always_hangs_up(server: SshServer, make_hosts: MakeHosts) -> None:
    server.faults.drop_logins = 1000
    with pytest.raises(HostUnreachableError, match=r"host-1: can't connect to 127\.0\.0\.1:"):
        answers(make_hosts(patience_s=0.6))
    assert server.refused > 1


def test_wrong_host_key_is_not_tried_again(server: SshServer, make_hosts: MakeHosts) -> None:
    server.change_key()
    with pytest.raises(HostKeyError):
        answers(make_hosts())
    assert server.connections == 1


def test_fifty_hosts_behind_a_jump_host_share_one_connection_to_it(
    server: SshServer, jump: SshServer, make_hosts: MakeHosts
) -> None:
    hosts = make_hosts(*fifty(behind(jump, server.config)))
    assert answers(hosts) == [f"{host.name}\n" for host in hosts]
    assert (jump.connections, server.connections) == (1, 50)


def test_error_of_a_jump_host_with_a_wrong_key_names_the_jump_host(
    server: SshServer, jump: SshServer, make_hosts: MakeHosts
) -> None:
    jump.change_key()
    with pytest.raises(HostKeyError, match=r"jump ops@127\.0\.0\.1:\d+: the host key of") as caught:
        answers(make_hosts(behind(jump, server.config)))
    assert f"-p {jump.config.port} 127.0.0.1" in caught.value.hint
    assert server.connections == 0


def test_key_of_a_host_behind_a_jump_host_is_checked(
    server: SshServer, jump: SshServer, make_hosts: MakeHosts
) -> None:
    server.change_key()
    with pytest.raises(HostKeyError, match="host-1: the host key of") as caught:
        answers(make_hosts(behind(jump, server.config)))
    scan = f"ops@127.0.0.1 'ssh-keyscan -t ed25519 -p {server.config.port} 127.0.0.1'"
    assert scan in caught.value.hint


def test_one_attempt_to_reach_a_jump_host_serves_all_hosts(
    server: SshServer, jump: SshServer, make_hosts: MakeHosts
) -> None:
    jump.faults.silent = True
    begun = time.monotonic()
    hosts = make_hosts(*fifty(behind(jump, server.config)), connect_timeout_s=0.5)
    with ThreadPoolExecutor(50) as threads:
        runs = [threads.submit(host.run, ["true"]) for host in hosts]
    where = f"127.0.0.1:{jump.config.port}"
    expected = f"jump ops@{where}: can't connect to {where}: "
    assert all(str(run.exception()).startswith(expected) for run in runs)
    assert time.monotonic() - begun < 15  # fifty attempts in a row would take 25


def test_unreachable_host_behind_a_jump_host_names_the_jump_host(
    server: SshServer, jump: SshServer, make_hosts: MakeHosts
) -> None:
    hosts = make_hosts(behind(jump, server.config))
    server.close()
    with pytest.raises(HostUnreachableError, match=r"through ops@127\.0\.0\.1:") as caught:
        answers(hosts)
    assert "ProxyCommand" in caught.value.hint


def test_lost_jump_host_loses_the_host_and_both_reconnect_after_close(
    server: SshServer, jump: SshServer, make_hosts: MakeHosts
) -> None:
    [host] = make_hosts(behind(jump, server.config))
    host.run(["true"])
    jump.cut()
    with pytest.raises(HostUnreachableError, match="host-1: "):
        host.run(["sleep", "60"])
    host.close()
    assert host.run(["echo", "again"]).stdout == "again\n"
    assert jump.connections == 2


@pytest.mark.parametrize("jumped", [False, True], ids=["direct", "behind a jump host"])
def test_connection_to_a_vanished_host_counts_as_lost(
    server: SshServer, jump: SshServer, make_hosts: MakeHosts, jumped: bool
) -> None:
    config = behind(jump, server.config) if jumped else server.config
    [host] = make_hosts(config, keepalive_s=0.1, silence_s=0.5)
    lines = host.stream(["sh", "-c", "echo begun; exec sleep 60"])
    assert next(lines) == "begun"
    server.faults.deaf = True
    begun = time.monotonic()
    with pytest.raises(HostUnreachableError, match="host-1: "):
        next(lines)
    assert time.monotonic() - begun < 15
    server.faults.deaf = False
