"""Tests of SshHost with wrong logins, wrong keys and lost connections."""

from __future__ import annotations

import stat
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from deploy.adapters import limits
from deploy.adapters.ssh.host import SshHost
from deploy.adapters.ssh.login import SshConnector
from deploy.core.commands import shell
from deploy.core.config import HostConfig
from deploy.errors import (
    CommandError,
    HostAuthError,
    HostKeyError,
    HostUnreachableError,
    ShipError,
)
from deploy.testing.servers.sshd import SshServer, ssh_server
from deploy.testing.waiting import wait_until

type MakeHost = Callable[..., SshHost]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[SshServer]:
    with ssh_server(tmp_path) as running:
        yield running


@pytest.fixture
def make_host(server: SshServer) -> Iterator[MakeHost]:
    hosts: list[SshHost] = []

    def make(**options: Any) -> SshHost:
        given = {"known_hosts": str(server.known_hosts), "key": str(server.key_file), **options}
        config, grace_s = given.pop("config", server.config), given.pop("grace_s", 15.0)
        hosts.append(SshHost(config, SshConnector(**given), grace_s=grace_s))
        return hosts[-1]

    yield make
    for host in hosts:
        host.close()


def test_one_connection_is_opened_at_first_use(server: SshServer, make_host: MakeHost) -> None:
    host = make_host()
    assert server.connections == 0
    for _ in range(3):
        host.run(["true"])
    assert server.connections == 1


def test_connecting_opens_one_connection_that_commands_share(
    server: SshServer, make_host: MakeHost
) -> None:
    host = make_host()
    host.connect()
    assert server.connections == 1
    host.connect()
    host.run(["true"])
    assert server.connections == 1


def test_changed_host_key_is_refused_with_the_commands_to_check_it(
    server: SshServer, make_host: MakeHost
) -> None:
    server.change_key()
    with pytest.raises(HostKeyError) as caught:
        make_host().run(["touch", "/nowhere"])
    pinned = server.known_hosts.read_text(encoding="utf-8")
    port = server.config.port
    assert f"host-1: the host key of [127.0.0.1]:{port} is not the one pinned in" in str(
        caught.value
    )
    assert str(server.known_hosts) in str(caught.value)
    assert f"ssh-keygen -R '[127.0.0.1]:{port}' -f {server.known_hosts}" in caught.value.hint
    assert f"ssh-keyscan -t ed25519 -p {port} 127.0.0.1 >>" in caught.value.hint
    assert caught.value.exit_code == 2
    with pytest.raises(HostKeyError):
        make_host().run(["true"])
    assert server.known_hosts.read_text(encoding="utf-8") == pinned


def test_unknown_host_key_is_refused(server: SshServer, make_host: MakeHost) -> None:
    server.known_hosts.write_text("# empty\n", encoding="utf-8")
    with pytest.raises(HostKeyError, match="pins no key of") as caught:
        make_host().run(["true"])
    assert "ssh-keygen -R" not in caught.value.hint
    assert server.known_hosts.read_text(encoding="utf-8") == "# empty\n"


def test_missing_known_hosts_file_is_reported(make_host: MakeHost, tmp_path: Path) -> None:
    with pytest.raises(HostKeyError, match="can't read the pinned host keys"):
        make_host(known_hosts=str(tmp_path / "nope")).run(["true"])


def test_refused_login_names_user_and_key(server: SshServer, make_host: MakeHost) -> None:
    server.faults.refuse_login = True
    with pytest.raises(HostAuthError, match="host-1: refused the login of deploy with") as caught:
        make_host().run(["true"])
    assert "`./ship host bootstrap host-1` sets up a new server" in caught.value.hint
    assert f"ssh -p {server.config.port} -i {server.key_file}" in caught.value.hint


def test_invalid_key_file_is_reported(make_host: MakeHost, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    for content in (None, "not a key\n"):
        if content is not None:
            broken.write_text(content, encoding="utf-8")
        with pytest.raises(HostAuthError, match="can't use the key"):
            make_host(key=str(broken)).run(["true"])


def test_key_with_a_passphrase_is_reported(make_host: MakeHost, tmp_path: Path) -> None:
    locked = tmp_path / "locked"
    argv = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "secret", "-f", str(locked)]
    subprocess.run(argv, check=True, capture_output=True)
    with pytest.raises(HostAuthError, match="can't use the key"):
        make_host(key=str(locked)).run(["true"])


def test_closed_port_is_reported_with_the_next_command(
    make_host: MakeHost, server: SshServer
) -> None:
    server.close()
    with pytest.raises(
        HostUnreachableError, match=r"host-1: can't connect to 127\.0\.0\.1:"
    ) as caught:
        make_host().run(["true"])
    assert caught.value.hint.startswith("try `ssh -p ")


def test_unknown_host_name_is_reported(make_host: MakeHost) -> None:
    config = HostConfig(name="host-9", address="no.such.host.invalid", url="", metrics_address="")
    with pytest.raises(HostUnreachableError, match=r"host-9: can't connect to no\.such"):
        make_host(config=config).run(["true"])


def test_connection_to_a_silent_server_times_out(server: SshServer, make_host: MakeHost) -> None:
    server.faults.silent = True
    with pytest.raises(HostUnreachableError, match="host-1: can't connect"):
        make_host(connect_timeout_s=0.3).run(["true"])


@pytest.mark.parametrize(
    "use",
    [
        lambda host, path: host.run(["echo", "marker"]),
        lambda host, path: host.put(f"{path}/marker", b"x"),
        lambda host, path: host.read(f"{path}/marker"),
        lambda host, path: host.append(f"{path}/marker", "x"),
        lambda host, path: list(host.stream(["echo", "marker"])),
        lambda host, path: host.keep_running(["echo", "marker"], expect="held").__enter__(),
    ],
    ids=["run", "put", "read", "append", "stream", "keep_running"],
)
def test_connection_lost_at_the_start_of_a_command(
    use: Callable[[SshHost, Path], object], server: SshServer, make_host: MakeHost, tmp_path: Path
) -> None:
    host = make_host()
    host.run(["true"])
    server.faults.cut_at = "marker"
    with pytest.raises(HostUnreachableError, match="host-1: ") as caught:
        use(host, tmp_path)
    assert "run this again" in caught.value.hint
    assert not (tmp_path / "marker").exists()


def test_connection_lost_while_a_command_prints(server: SshServer, make_host: MakeHost) -> None:
    server.faults.cut_after = 100_000
    with pytest.raises(HostUnreachableError, match="the connection was lost"):
        make_host().run(["head", "-c", "9000000", "/dev/zero"])


def test_connection_lost_while_streaming(server: SshServer, make_host: MakeHost) -> None:
    server.faults.cut_after = 100_000
    with pytest.raises(HostUnreachableError, match="the connection was lost"):
        list(make_host().stream(["yes"]))


def test_lost_connection_stays_lost_until_close(server: SshServer, make_host: MakeHost) -> None:
    host = make_host()
    host.run(["true"])
    server.cut()
    for _ in range(2):
        with pytest.raises(HostUnreachableError, match="the connection was lost"):
            host.run(["true"])
        with pytest.raises(HostUnreachableError, match="the connection was lost"):
            host.fetch(1, "/")
    assert server.connections == 1
    host.close()
    assert host.run(["echo", "again"]).stdout == "again\n"


def test_held_command_ends_when_the_connection_is_lost(
    server: SshServer, make_host: MakeHost, tmp_path: Path
) -> None:
    sign = tmp_path / "sign"
    sign.touch()
    host = make_host()
    argv = ["sh", "-c", 'echo held; cat >/dev/null; rm "$0"', str(sign)]
    with host.keep_running(argv, expect="held") as ended:
        assert ended is None
        server.cut()
        wait_until(lambda: not sign.exists(), "the held command saw its stdin end")
        with pytest.raises(HostUnreachableError):
            host.run(["true"])


def test_command_on_a_host_that_stops_answering_times_out(
    server: SshServer, make_host: MakeHost
) -> None:
    server.faults.stall_at = "stalled"
    with pytest.raises(HostUnreachableError, match="it stopped answering"):
        make_host(grace_s=0.3).run(["stalled"], timeout_s=0.2)


def test_interrupted_put_leaves_the_old_file(server: SshServer, tmp_path: Path) -> None:
    # What the host sees when the connection is lost: stdin ends early, which must not count as a whole file.
    path = tmp_path / "live"
    path.write_bytes(b"old")
    done = subprocess.run(
        shell.put_argv(str(path), 100, 0o644, "t"),
        input=b"x" * 40,
        capture_output=True,
        check=False,
    )
    assert done.returncode != 0
    assert done.stderr == b"40 of 100 bytes arrived\n"
    assert path.read_bytes() == b"old"
    done = subprocess.run(
        shell.append_argv(str(path), 100), input=b"x" * 40, capture_output=True, check=False
    )
    assert done.returncode != 0
    assert path.read_bytes() == b"old"
    assert not [each for each in tmp_path.iterdir() if each.name.startswith(".live")]


def test_errors_name_the_host_and_the_next_step(server: SshServer, make_host: MakeHost) -> None:
    with pytest.raises(CommandError) as caught:
        make_host().put("/proc/nope/file", b"x")
    error: ShipError = caught.value
    assert error.message.startswith("host-1: can't write /proc/nope/file: ")
    assert error.hint


def test_server_key_file_is_private(server: SshServer) -> None:
    assert stat.S_IMODE(server.key_file.stat().st_mode) == 0o600


@pytest.mark.parametrize("redirect", ["", ">&2"], ids=["stdout", "stderr"])
def test_output_without_end_is_given_up(
    make_host: MakeHost, monkeypatch: pytest.MonkeyPatch, redirect: str
) -> None:
    monkeypatch.setattr(limits, "MAX_BYTES", 2**20)
    host = make_host()
    with pytest.raises(CommandError, match="it sent more than 1 MB"):
        host.run(["sh", "-c", f"yes {redirect}"])
    assert host.run(["echo", "still there"]).stdout == "still there\n"


def test_output_of_single_bytes_ends_at_the_deadline(
    server: SshServer, make_host: MakeHost
) -> None:
    server.faults.trickle_s = (
        0.02  # the command has ended, so the host's own time limit doesn't help
    )
    with pytest.raises(HostUnreachableError, match="it stopped answering"):
        make_host(grace_s=0.1).run(["echo", "x" * 10_000], timeout_s=0.5)


def test_streamed_line_without_end_arrives_in_pieces(make_host: MakeHost) -> None:
    lines = make_host().stream(["sh", "-c", "yes | tr -d '\\n'"])
    assert len(next(lines)) > limits.MAX_LINE
    lines.close()
