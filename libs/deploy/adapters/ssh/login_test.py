"""Many hosts at once, hosts behind a jump, and sshds that turn a login away."""

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
from deploy.adapters.ssh.login import Logins
from deploy.core.config import HostConfig, Jump
from deploy.errors import HostKeyError, HostUnreachableError
from deploy.testing.servers.sshd import SshServer, ssh_server

type Reach = Callable[..., list[SshHost]]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[SshServer]:
    with ssh_server(tmp_path) as running:
        yield running


@pytest.fixture
def jump(tmp_path: Path, server: SshServer) -> Iterator[SshServer]:
    """A second sshd that takes the same key; both are pinned in one file."""
    with ssh_server(tmp_path, "jump", user_key=server.user_key) as running:
        pins = server.known_hosts.read_text() + running.known_hosts.read_text()
        server.known_hosts.write_text(pins)
        yield running


@pytest.fixture
def reach(server: SshServer) -> Iterator[Reach]:
    with ExitStack() as ends:

        def make(*configs: HostConfig, **options: Any) -> list[SshHost]:
            known, key = str(server.known_hosts), str(server.key_file)
            logins = Logins(known_hosts=known, key=key, **options)
            ends.callback(logins.close)
            hosts = [SshHost(config, logins) for config in configs or [server.config]]
            for host in hosts:
                ends.callback(host.close)
            return hosts

        yield make


def through(jump: SshServer, config: HostConfig) -> HostConfig:
    return replace(config, jump=Jump("ops", "127.0.0.1", jump.config.port))


def fifty(config: HostConfig) -> list[HostConfig]:
    return [replace(config, name=f"host-{number}") for number in range(50)]


def answers(hosts: list[SshHost]) -> list[str]:
    with ThreadPoolExecutor(len(hosts)) as threads:
        return list(threads.map(lambda host: host.run(["echo", host.name]).stdout, hosts))


def test_fifty_hosts_at_once_are_never_refused(server: SshServer, reach: Reach) -> None:
    server.faults.login_s = 0.1
    hosts = reach(*fifty(server.config))
    assert answers(hosts) == [f"{host.name}\n" for host in hosts]
    assert (server.connections, server.refused) == (50, 0)


def test_who_is_refused_among_many_asks_again(server: SshServer, reach: Reach) -> None:
    server.faults.login_s = 0.1
    hosts = reach(*fifty(server.config), at_once=50)
    assert answers(hosts) == [f"{host.name}\n" for host in hosts]
    assert server.refused > 0


def test_an_sshd_that_hangs_up_is_asked_again(server: SshServer, reach: Reach) -> None:
    server.faults.hang_up = 2
    assert answers(reach()) == ["host-1\n"]
    assert (server.connections, server.refused) == (1, 2)


def test_an_sshd_that_always_hangs_up_is_given_up(server: SshServer, reach: Reach) -> None:
    server.faults.hang_up = 1000
    with pytest.raises(HostUnreachableError, match=r"host-1: can't connect to 127\.0\.0\.1:"):
        answers(reach(patience_s=0.6))
    assert server.refused > 1


def test_a_refused_login_is_not_tried_again(server: SshServer, reach: Reach) -> None:
    server.change_key()
    with pytest.raises(HostKeyError):
        answers(reach())
    assert server.connections == 1


def test_fifty_hosts_behind_a_jump_share_one_connection_to_it(
    server: SshServer, jump: SshServer, reach: Reach
) -> None:
    hosts = reach(*fifty(through(jump, server.config)))
    assert answers(hosts) == [f"{host.name}\n" for host in hosts]
    assert (jump.connections, server.connections) == (1, 50)


def test_an_unpinned_jump_is_refused_by_its_name(
    server: SshServer, jump: SshServer, reach: Reach
) -> None:
    jump.change_key()
    with pytest.raises(HostKeyError, match=r"jump ops@127\.0\.0\.1:\d+: the host key of") as caught:
        answers(reach(through(jump, server.config)))
    assert f"-p {jump.config.port} 127.0.0.1" in caught.value.hint
    assert server.connections == 0


def test_the_host_behind_a_jump_is_pinned_too(
    server: SshServer, jump: SshServer, reach: Reach
) -> None:
    server.change_key()
    with pytest.raises(HostKeyError, match="host-1: the host key of") as caught:
        answers(reach(through(jump, server.config)))
    ask = f"ops@127.0.0.1 'ssh-keyscan -t ed25519 -p {server.config.port} 127.0.0.1'"
    assert ask in caught.value.hint


def test_a_jump_that_is_down_is_asked_once_for_all(
    server: SshServer, jump: SshServer, reach: Reach
) -> None:
    jump.faults.silent = True
    begun = time.monotonic()
    hosts = reach(*fifty(through(jump, server.config)), connect_timeout_s=0.5)
    with ThreadPoolExecutor(50) as threads:
        ended = [threads.submit(host.run, ["true"]) for host in hosts]
    where = f"127.0.0.1:{jump.config.port}"
    told = f"jump ops@{where}: can't connect to {where}: "
    assert all(str(each.exception()).startswith(told) for each in ended)
    assert time.monotonic() - begun < 15  # one after the other would take 25


def test_nobody_behind_the_jump_is_told_with_the_way_there(
    server: SshServer, jump: SshServer, reach: Reach
) -> None:
    hosts = reach(through(jump, server.config))
    server.close()
    with pytest.raises(HostUnreachableError, match=r"through ops@127\.0\.0\.1:") as caught:
        answers(hosts)
    assert "ProxyCommand" in caught.value.hint


def test_a_lost_jump_loses_the_host_and_close_makes_both_anew(
    server: SshServer, jump: SshServer, reach: Reach
) -> None:
    [host] = reach(through(jump, server.config))
    host.run(["true"])
    jump.cut()
    with pytest.raises(HostUnreachableError, match="host-1: "):
        host.run(["sleep", "60"])
    host.close()
    assert host.run(["echo", "again"]).stdout == "again\n"
    assert jump.connections == 2


@pytest.mark.parametrize("behind", [False, True], ids=["straight", "behind a jump"])
def test_a_machine_that_vanishes_is_missed(
    server: SshServer, jump: SshServer, reach: Reach, behind: bool
) -> None:
    config = through(jump, server.config) if behind else server.config
    [host] = reach(config, keepalive_s=0.1, silence_s=0.5)
    lines = host.stream(["sh", "-c", "echo begun; exec sleep 60"])
    assert next(lines) == "begun"
    server.faults.deaf = True
    begun = time.monotonic()
    with pytest.raises(HostUnreachableError, match="host-1: "):
        next(lines)
    assert time.monotonic() - begun < 15
    server.faults.deaf = False
