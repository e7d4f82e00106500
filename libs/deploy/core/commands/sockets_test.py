"""Which TCP ports listen, from the kernel's own list."""

from __future__ import annotations

import os
import socket
import subprocess

from deploy.core.commands.sockets import Listener, list_listeners, parse_listeners

HEAD = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"


def line(local: str, state: str = "0A") -> str:
    return (
        f"   0: {local} 00000000:0000 {state} 00000000:00000000 00:00000000 00000000  1000 0 31 1\n"
    )


def test_listening_ports_are_told_apart_from_connections_and_the_engines_name_server() -> None:
    text = (
        HEAD
        + line("00000000:1F90")
        + line("0100007F:1F40")
        + line("0B00007F:A001")
        + line("02001EAC:D431", "01")
        + HEAD
        + line("00000000000000000000000000000000:238C")
        + line("00000000000000000000000001000000:0050")
    )
    assert parse_listeners(text) == (
        Listener(80, "::1"),
        Listener(8000, "127.0.0.1"),
        Listener(8080, "0.0.0.0"),  # noqa: S104
        Listener(9100, "::"),
    )
    assert [listener.is_private for listener in parse_listeners(text)] == [True, True, False, False]
    assert [str(listener) for listener in parse_listeners(text)][:2] == [
        "[::1]:80",
        "127.0.0.1:8000",
    ]


def test_the_kernels_own_list_is_understood() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        done = subprocess.run(
            list_listeners(os.getpid()), capture_output=True, text=True, check=False
        )
        assert Listener(server.getsockname()[1], "127.0.0.1") in parse_listeners(done.stdout)


def test_other_text_has_no_listeners() -> None:
    assert parse_listeners("") == ()
    assert parse_listeners("cat: /proc/1/net/tcp: No such file or directory\n") == ()
