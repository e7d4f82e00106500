"""Work on all hosts at once: the error names every host that failed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from deploy.adapters.ssh.host import SshHost
from deploy.adapters.ssh.login import SshConnector
from deploy.core.ports import Host
from deploy.errors import CommandError, HostAuthError, HostUnreachableError, ShipError
from deploy.run.hosts.fanout import on_every, reach, side_by_side
from deploy.run.queries.history import history
from deploy.run.rollout.deploy import (
    AbortCommand,
    DeployContext,
    PromoteCommand,
    RollbackCommand,
    ScaleCommand,
    abort,
    confirm,
    deploy,
    plan,
    promote,
    rollback,
    scale,
)
from deploy.run.rollout.maintenance import Maintenance, set_maintenance
from deploy.run.rollout.rollout_fixture import context, deploy_command, live_fleet
from deploy.testing import factories
from deploy.testing.fleet.fleet import Fleet
from deploy.testing.servers.sshd import SshServer, ssh_server

NAMES = ("host-1", "host-2", "host-3")


def _fail(errors: dict[str, ShipError]) -> Callable[[Host], str]:
    def do(host: Host) -> str:
        if host.name in errors:
            raise errors[host.name]
        return host.name

    return do


def test_side_by_side_keeps_the_order_and_raises_the_first_error() -> None:
    assert side_by_side((3, 1, 2), str) == ("3", "1", "2")
    assert side_by_side((), str) == ()
    with pytest.raises(ValueError, match=r"invalid literal for int.*'one'"):
        side_by_side(("1", "one", "two"), int)


def test_results_are_in_the_order_of_the_hosts() -> None:
    hosts = Fleet.of("b", "a", "c").hosts
    assert on_every(hosts, _fail({})) == ("b", "a", "c")


def test_error_of_a_single_host_is_raised_unchanged() -> None:
    error = HostUnreachableError("b: gone; what ran there ends", hint="try that")
    with pytest.raises(HostUnreachableError) as caught:
        on_every(Fleet.of("a", "b").hosts, _fail({"b": error}))
    assert caught.value is error


def test_errors_of_several_hosts_become_one_line_with_the_exit_code_of_the_first() -> None:
    errors: dict[str, ShipError] = {
        "c": HostUnreachableError("c: can't connect; nothing was changed there", hint="c's"),
        "a": HostAuthError("a: refused the login; try", hint="a's"),
        "b": HostUnreachableError("jump ops@10.0.0.9: can't connect: timed out; nothing", hint="b"),
    }
    with pytest.raises(HostAuthError) as caught:
        on_every(Fleet.of("c", "b", "a", "d").hosts, _fail(errors))
    assert caught.value.message == (
        "3 of 4 hosts failed, nothing was changed: a: refused the login; "
        "b: jump ops@10.0.0.9: can't connect: timed out; c: can't connect"
    )
    assert (caught.value.hint, caught.value.exit_code) == ("a's", 2)


def test_every_host_whose_engine_is_down_is_named() -> None:
    errors = {name: CommandError(f"{name}: its engine is down", hint="start it") for name in "ab"}
    with pytest.raises(CommandError, match=r"2 of 2 hosts .*: a: its engine is down; b: its"):
        on_every(Fleet.of("a", "b").hosts, _fail({**errors}))


# Over SSH: one host answers, two refuse connections.


@pytest.fixture
def server(tmp_path: Path) -> Iterator[SshServer]:
    with ssh_server(tmp_path) as running:
        yield running


def test_every_host_that_refuses_connections_is_named(server: SshServer, tmp_path: Path) -> None:
    with ssh_server(tmp_path, "closed", user_key=server.user_key) as closed:
        port = closed.config.port
    connector = SshConnector(
        known_hosts=str(server.known_hosts), key=str(server.key_file), patience_s=0.1
    )
    configs = [server.config, *(replace(server.config, name=n, port=port) for n in NAMES[1:])]
    hosts = [SshHost(config, connector) for config in configs]
    with closing(connector), closing(hosts[0]), pytest.raises(HostUnreachableError) as caught:
        reach(hosts)
    message = caught.value.message
    assert message.startswith("2 of 3 hosts can't be reached, nothing was changed: host-2: can't")
    assert message.count(f"can't connect to 127.0.0.1:{port}: ") == 2
    assert "; host-3: can't connect" in message
    assert "\n" not in message
    assert caught.value.hint.startswith("try `ssh -p ")


# The verbs.


SERVICE, ORIGIN = factories.service(), factories.ORIGIN
VERBS: dict[str, Callable[[Fleet, DeployContext], object]] = {
    "plan": lambda fleet, context: plan(deploy_command(fleet, "two"), context),
    "deploy": lambda fleet, context: deploy(deploy_command(fleet, "two"), context, print),
    "confirm": lambda fleet, context: confirm(deploy_command(fleet, "one"), context, print),
    "rollback": lambda _, context: rollback(RollbackCommand(SERVICE, ORIGIN), context, print),
    "scale": lambda _, context: scale(ScaleCommand(SERVICE, ORIGIN, 5), context, print),
    "promote": lambda _, context: promote(
        PromoteCommand(SERVICE, ORIGIN, "r000002-3f"), context, print
    ),
    "abort": lambda _, context: abort(AbortCommand(SERVICE, ORIGIN, "r000002-3f"), context, print),
    "maintenance": lambda _, context: set_maintenance(
        Maintenance(SERVICE, True, ORIGIN), context, print
    ),
    "history": lambda fleet, _: history(fleet.hosts, "app"),
}


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_names_all_unreachable_hosts_and_changes_nothing(verb: str) -> None:
    fleet = live_fleet(*NAMES)
    fleet.gone.update(("host-1", "host-3"))
    before = {host.name: dict(host.files) for host in fleet.hosts}
    with pytest.raises(HostUnreachableError) as caught:
        VERBS[verb](fleet, context(fleet))
    assert caught.value.message == (
        "2 of 3 hosts can't be reached, nothing was changed: "
        "host-1: the connection was lost; host-3: the connection was lost"
    )
    assert caught.value.exit_code == 1
    assert {host.name: dict(host.files) for host in fleet.hosts} == before
    assert not any(host.locked_by for host in fleet.hosts)
