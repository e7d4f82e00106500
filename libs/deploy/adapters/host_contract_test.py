"""The contract of Host, tested with LocalHost and SshHost."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import cast

import pytest

from deploy.adapters.local_host import LocalHost
from deploy.adapters.ssh.host import SshHost
from deploy.adapters.ssh.login import SshConnector
from deploy.core.ports import Host
from deploy.errors import CommandError, CommandTimeoutError
from deploy.testing.servers.http_server import QuietHandler, http_server, unused_port
from deploy.testing.servers.sshd import ssh_server
from deploy.testing.waiting import wait_until

HOLD = ["sh", "-c", 'echo held; cat >/dev/null; rm "$0"']
"""Runs until its stdin ends and then removes a file."""


@pytest.fixture(params=["local", "ssh"])
def host(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Host]:
    if request.param == "local":
        local = LocalHost()
        yield local
        local.close()
        return
    with ssh_server(tmp_path) as server:
        connector = SshConnector(known_hosts=str(server.known_hosts), key=str(server.key_file))
        remote = SshHost(server.config, connector)
        yield remote
        remote.close()


@pytest.fixture
def loopback() -> Iterator[int]:
    class Handler(QuietHandler):
        def respond(self) -> None:
            body = f"{self.path} {self.headers.get('Host')} {self.headers.get('X-Test')}".encode()
            self.send_response(503 if self.path == "/busy" else 200)
            self.send_header("X-Release", "r000001-abc")
            self.end_headers()
            if self.path == "/slow":
                time.sleep(0.2)  # the body comes well after the headers
            self.wfile.write(body)

    with http_server(Handler) as server:
        yield server.server_port


def is_running(pid_file: Path) -> bool:
    """Returns whether the process whose id is in the file exists and is no zombie."""
    pid = pid_file.read_text(encoding="utf-8").strip()
    found = subprocess.run(["ps", "-o", "stat=", "-p", pid], capture_output=True, check=False)
    return bool(found.stdout.strip()) and not found.stdout.strip().startswith(b"Z")


class TestRun:
    def test_returns_exit_code_stdout_and_stderr(self, host: Host) -> None:
        done = host.run(["sh", "-c", "echo out; echo err >&2; exit 3"])
        assert (done.code, done.stdout, done.stderr) == (3, "out\n", "err\n")

    def test_arguments_are_passed_unchanged(self, host: Host) -> None:
        done = host.run(["printf", "%s|", "a b", "$HOME", "'", '"', "*", "", "é\n"])
        assert done.stdout == "a b|$HOME|'|\"|*||é\n|"

    def test_missing_program_gives_code_127(self, host: Host) -> None:
        assert host.run(["no-such-program"]).code == 127

    def test_end_by_a_signal_gives_128_plus_its_number(self, host: Host) -> None:
        assert host.run(["sh", "-c", "kill -s KILL $$"]).code == 137

    def test_full_stderr_does_not_block_stdout(self, host: Host) -> None:
        script = "head -c 6000000 /dev/zero >&2; echo out; head -c 6000000 /dev/zero >&2"
        done = host.run(["sh", "-c", script])
        assert (done.stdout, len(done.stderr)) == ("out\n", 12_000_000)

    def test_stdin_larger_than_any_buffer_arrives(self, host: Host) -> None:
        assert host.run(["wc", "-c"], stdin=b"x" * 6_000_000).stdout.strip() == "6000000"
        assert len(host.run(["cat"], stdin=b"x" * 6_000_000).stdout) == 6_000_000

    def test_unread_stdin_is_no_error(self, host: Host) -> None:
        assert host.run(["true"], stdin=b"x" * 6_000_000).code == 0

    def test_output_that_is_not_utf8_gets_replacement_characters(self, host: Host) -> None:
        assert host.run(["printf", r"a\377b"]).stdout == "a\N{REPLACEMENT CHARACTER}b"

    def test_time_limit_ends_the_command_and_its_children(self, host: Host, tmp_path: Path) -> None:
        child = tmp_path / "child"
        script = f"sh -c 'echo $$ >{child}; exec sleep 60' & wait"
        with pytest.raises(CommandTimeoutError, match=r"longer than 0\.5 s"):
            host.run(["sh", "-c", script], timeout_s=0.5)
        wait_until(lambda: not is_running(child), "the child is gone")
        assert host.run(["echo", "next"]).stdout == "next\n"

    def test_exit_code_124_of_a_command_is_no_timeout(self, host: Host) -> None:
        assert host.run(["sh", "-c", "exit 124"]).code == 124

    def test_many_threads_share_the_host(self, host: Host) -> None:
        def one(number: int) -> str:
            return host.run(["sh", "-c", f"sleep 0.05; echo {number}"]).stdout

        with ThreadPoolExecutor(24) as threads:
            assert list(threads.map(one, range(48))) == [f"{number}\n" for number in range(48)]


class TestFiles:
    def test_put_makes_folders_and_read_returns_every_byte(
        self, host: Host, tmp_path: Path
    ) -> None:
        path, content = str(tmp_path / "a b" / "ü" / "file"), bytes(range(256)) * 4000
        host.put(path, content)
        assert host.read(path) == content
        assert Path(path).stat().st_mode & 0o777 == 0o644

    def test_put_writes_an_empty_file(self, host: Host, tmp_path: Path) -> None:
        host.put(str(tmp_path / "empty"), b"")
        assert host.read(str(tmp_path / "empty")) == b""

    def test_put_replaces_a_file_atomically(self, host: Host, tmp_path: Path) -> None:
        path = tmp_path / "live"
        host.put(str(path), b"a" * 400_000)
        torn: list[int] = []
        done = threading.Event()

        def watch() -> None:
            while not done.is_set():
                if (size := len(path.read_bytes())) not in {400_000, 300_000}:
                    torn.append(size)

        watcher = threading.Thread(target=watch)
        watcher.start()
        for _ in range(5):
            host.put(str(path), b"b" * 300_000)
            host.put(str(path), b"a" * 400_000)
        done.set()
        watcher.join()
        assert torn == []
        assert [each.name for each in tmp_path.iterdir() if "live" in each.name] == ["live"]

    def test_secret_is_never_readable_by_others(self, host: Host, tmp_path: Path) -> None:
        folder = tmp_path / "secrets"
        folder.mkdir()
        loose: list[str] = []
        done = threading.Event()

        def watch() -> None:
            while not done.is_set():
                for each in os.scandir(folder):
                    try:
                        mode = each.stat().st_mode & 0o777
                    except FileNotFoundError:
                        continue
                    if mode & 0o077:
                        loose.append(f"{each.name} {mode:o}")

        watcher = threading.Thread(target=watch)
        watcher.start()
        for number in range(5):
            host.put(str(folder / f"env{number}"), b"TOKEN=x\n" * 50_000, mode=0o600)
        done.set()
        watcher.join()
        assert loose == []
        assert (folder / "env0").stat().st_mode & 0o777 == 0o600

    def test_failed_put_leaves_no_file(self, host: Host, tmp_path: Path) -> None:
        (tmp_path / "taken" / "inside").mkdir(parents=True)
        with pytest.raises(CommandError, match="can't write"):
            host.put(str(tmp_path / "taken"), b"x")
        (tmp_path / "file").write_bytes(b"")
        with pytest.raises(CommandError, match="can't write"):
            host.put(str(tmp_path / "file" / "below"), b"x")
        assert {each.name for each in tmp_path.iterdir()} >= {"taken", "file"}
        assert not [each for each in tmp_path.iterdir() if each.name.startswith(".")]

    def test_read_of_a_missing_file_is_none(self, host: Host, tmp_path: Path) -> None:
        assert host.read(str(tmp_path / "nope")) is None
        assert host.read(str(tmp_path / "nope" / "deeper")) is None

    def test_read_of_a_folder_is_an_error(self, host: Host, tmp_path: Path) -> None:
        with pytest.raises(CommandError, match="can't read"):
            host.read(str(tmp_path))

    def test_append_adds_lines(self, host: Host, tmp_path: Path) -> None:
        path = str(tmp_path / "below" / "ledger.jsonl")
        for line in ('{"a": "ü $x `y`"}', "", "two\n", "x" * 200_000):
            host.append(path, line)
        expected = '{"a": "ü $x `y`"}\n\ntwo\n' + "x" * 200_000 + "\n"
        assert host.read(path) == expected.encode()


class TestStream:
    def test_lines_arrive_while_the_command_runs(self, host: Host, tmp_path: Path) -> None:
        go = tmp_path / "go"
        script = f"echo one; echo two >&2; until [ -e {go} ]; do sleep 0.02; done; printf three"
        lines = host.stream(["sh", "-c", script])
        assert [next(lines), next(lines)] == ["one", "two"]
        go.touch()
        assert list(lines) == ["three"]

    def test_close_ends_a_command_that_prints_nothing(self, host: Host, tmp_path: Path) -> None:
        child = tmp_path / "child"
        lines = host.stream(["sh", "-c", f"echo $$ >{child}; echo started; exec sleep 60"])
        assert next(lines) == "started"
        cast("Generator[str]", lines).close()
        wait_until(lambda: not is_running(child), "the command is gone")
        assert host.run(["echo", "next"]).stdout == "next\n"

    def test_closing_the_host_ends_the_stream_without_an_error(
        self, host: Host, tmp_path: Path
    ) -> None:
        child, lines = tmp_path / "child", list[str]()
        script = f"echo $$ >{child}; echo started; exec sleep 60"
        follower = threading.Thread(target=lambda: lines.extend(host.stream(["sh", "-c", script])))
        follower.start()
        wait_until(child.exists, "the command runs")
        host.close()
        follower.join(10)
        assert not follower.is_alive()
        wait_until(lambda: not is_running(child), "the command is gone")

    def test_failure_is_raised_after_the_lines(self, host: Host) -> None:
        lines = host.stream(["sh", "-c", "echo one; echo no such container >&2; exit 4"])
        assert [next(lines), next(lines)] == ["one", "no such container"]
        with pytest.raises(CommandError, match="exited with 4: no such container"):
            next(lines)

    def test_more_output_than_a_window_arrives(self, host: Host) -> None:
        lines = host.stream(["sh", "-c", "yes 0123456789 | head -n 400000"])
        assert sum(1 for line in lines if line == "0123456789") == 400_000


class TestHold:
    def test_command_runs_as_long_as_the_context(self, host: Host, tmp_path: Path) -> None:
        sign = tmp_path / "sign"
        sign.touch()
        with host.keep_running([*HOLD, str(sign)], expect="held") as ended:
            assert ended is None
            assert host.run(["echo", "beside"]).stdout == "beside\n"
            assert sign.exists()
        wait_until(lambda: not sign.exists(), "the command saw its stdin end")

    def test_early_end_is_returned(self, host: Host) -> None:
        script = "echo who; echo why >&2; exit 9"
        with host.keep_running(["sh", "-c", script], expect="held") as ended:
            assert ended is not None
            assert (ended.code, ended.stdout, ended.stderr) == (9, "who\n", "why\n")

    def test_lock_is_free_after_the_context(self, host: Host, tmp_path: Path) -> None:
        lock = str(tmp_path / "lock")
        argv = ["flock", "-n", "-E", "75", lock, "sh", "-c", "echo held; cat >/dev/null"]
        for _ in range(3):
            with (
                host.keep_running(argv, expect="held") as first,
                host.keep_running(argv, expect="held") as second,
            ):
                assert first is None
                assert second is not None
                assert second.code == 75

    def test_error_of_the_caller_passes_through(self, host: Host) -> None:
        argv = ["sh", "-c", "echo held; cat"]
        with pytest.raises(OSError, match="the caller"), host.keep_running(argv, expect="held"):
            raise OSError("the caller")

    def test_closing_the_host_ends_the_command(self, host: Host, tmp_path: Path) -> None:
        sign = tmp_path / "sign"
        sign.touch()
        with host.keep_running([*HOLD, str(sign)], expect="held"):
            host.close()
            wait_until(lambda: not sign.exists(), "the command saw its stdin end")


class TestFetch:
    def test_returns_status_headers_and_body(self, host: Host, loopback: int) -> None:
        answer = host.fetch(loopback, "/version", headers={"Host": "app.test", "X-Test": "1"})
        assert (answer.status, answer.body) == (200, b"/version app.test 1")
        assert answer.headers["x-release"] == "r000001-abc"
        assert host.fetch(loopback, "/busy").status == 503

    def test_body_that_arrives_after_the_headers_is_read_completely(
        self, host: Host, loopback: int
    ) -> None:
        assert host.fetch(loopback, "/slow").body.startswith(b"/slow 127.0.0.1:")

    def test_closed_port_gives_status_0_with_the_reason(self, host: Host, loopback: int) -> None:
        answer = host.fetch(unused_port(), "/")
        assert answer.status == 0
        assert answer.body
        assert host.fetch(loopback, "/").status == 200

    def test_another_address_of_the_host_is_asked_directly(self, host: Host) -> None:
        class Handler(QuietHandler):
            def respond(self) -> None:
                self.send_response(200)
                self.end_headers()
                self.wfile.write(str(self.headers.get("Host")).encode())

        with http_server(Handler, "127.0.0.2") as server:
            port = server.server_port
            answer = host.fetch(port, "/readyz", address="127.0.0.2")
            assert (answer.status, answer.body) == (200, f"127.0.0.2:{port}".encode())
            assert host.fetch(port, "/readyz").status == 0

    def test_more_fetches_than_sessions_succeed(self, host: Host, loopback: int) -> None:
        with ThreadPoolExecutor(16) as threads:
            answers = threads.map(lambda _: host.fetch(loopback, "/").status, range(32))
            assert set(answers) == {200}


def test_host_can_be_used_after_close(host: Host) -> None:
    host.close()
    assert host.run(["echo", "again"]).stdout == "again\n"
